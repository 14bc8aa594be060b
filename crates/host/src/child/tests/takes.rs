//! What a child takes as a whole is bounded, whether or not a control group bounds it.

use super::*;

/// What ended it; it would go on for half a minute.
async fn ended_by(script: &str, profile: Profile, memory: u64, machine: &Arc<Machine>) -> String {
    let state = tempfile::tempdir().unwrap();
    let script =
        format!("import os, time, mmap\n{script}\nprint('ready', flush=True)\ntime.sleep(30)\nprint('over')");
    let plan = Plan { memory, ..plan(state.path(), profile, PYTHON, &["-c", &script]) };
    let begun = std::time::Instant::now();
    let (out, ended, tail) = run(plan, machine).await;
    assert!(!out.contains("over") && begun.elapsed() < Duration::from_secs(20), "{out} {ended} {tail:?}");
    ended.to_string()
}

#[tokio::test]
async fn memory_of_all_processes_together_and_in_files_without_names() {
    for (script, what) in [
        // Each of them is within the limit.
        ("for n in range(5):\n  if os.fork() == 0:\n    x = b'x' * (30 << 20); time.sleep(30)", "several"),
        ("fd = os.memfd_create('m')\nfor n in range(200): os.write(fd, b'x' * (1 << 20))", "a file"),
        ("m = mmap.mmap(-1, 200 << 20)\nfor n in range(0, 200 << 20, 4096): m[n] = 1", "shared"),
    ] {
        for (how, machine) in machines() {
            let said = ended_by(script, Profile::Standard, 96 << 20, &machine).await;
            assert!(said.contains("memory"), "{how}, {what}: {said}");
        }
    }
}

#[tokio::test]
async fn processes_and_threads() {
    // Fewer than a user's processes may be: what ends them is a bound of this one child.
    let fork = "for n in range(700):\n  try:\n    if os.fork() == 0: time.sleep(60); os._exit(0)\n  except OSError: os._exit(9)";
    let thread = "import threading\nthreading.stack_size(65536)\ntry:\n  for n in range(700): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nexcept RuntimeError: os._exit(9)";
    let group = group::Group::make(&crate::exec::spawn::mark(), 64 << 20, 16);
    let bounded = group.is_ok_and(|group| group.bounds_processes);
    for (how, machine) in machines() {
        // A group refuses one more, and the script says so; without it they are looked at.
        let by_group = bounded && machine.group.is_ok();
        let expected = if by_group { "status 9" } else { "more than 512 processes and threads" };
        for (script, profile) in [(fork, Profile::Standard), (thread, Profile::None)] {
            let said = ended_by(script, profile, 1 << 30, &machine).await;
            assert!(said.contains(expected), "{how}: {said}");
        }
    }
}

#[tokio::test]
async fn what_processes_have_in_common_counts_once() {
    let script = "import os, time\nx = b'x' * (60 << 20)\nchildren = []\nfor n in range(4):\n  pid = os.fork()\n  if pid == 0: time.sleep(2.5); os._exit(0)\n  children.append(pid)\nfor pid in children: os.waitpid(pid, 0)\nprint('over')";
    for (how, machine) in machines() {
        let state = tempfile::tempdir().unwrap();
        let plan = plan(state.path(), Profile::Standard, PYTHON, &["-c", script]);
        let (out, ended, tail) = run(Plan { memory: 200 << 20, ..plan }, &machine).await;
        assert_eq!(out.trim(), "over", "{how} {ended} {tail:?}");
    }
}

#[tokio::test]
async fn no_file_runs_as_its_owner() {
    let script = "\
import os, ctypes
home = os.environ['HOME']
path = os.path.join(home, 'file')
open(path, 'w').close()
def refused(what, *arguments):
    try: what(*arguments)
    except PermissionError: return True
    return False
fd = os.open(path, os.O_RDWR)
os.chmod(path, 0o755); os.chmod(home, 0o2700)
tries = [
    refused(os.chmod, path, 0o4755), refused(os.fchmod, fd, 0o6755),
    refused(os.open, path + '1', os.O_CREAT | os.O_WRONLY, 0o4755),
    refused(os.open, path + '2', os.O_CREAT | os.O_WRONLY, 0o2755),
    refused(os.mknod, path + '3', 0o104755),
]
libc = ctypes.CDLL(None, use_errno=True)
how = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, 0o4755, 0)
tries.append(libc.syscall(437, -100, (path + '4').encode(), ctypes.byref(how), 24) == -1 and ctypes.get_errno() == 38)
tries.append(libc.syscall(452, -100, path.encode(), 0o4755, 0) == -1)
with open('/proc/self/status') as status: tries.append('NoNewPrivs:\\t1' in status.read())
print('OK' if all(tries) else tries)";
    for (_, machine) in machines() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(python(plan(state.path(), Profile::Standard, PYTHON, &[]), &machine, script).await, "OK");
    }
}
