//! What a confined child may not do, and what it must be able to.

use super::*;

/// Python that prints what came of one attempt.
fn attempt(code: &str) -> String {
    format!(
        "import os, ctypes, socket\ntry:\n    {code}\n    print('OK')\nexcept Exception as e:\n    print(type(e).__name__, getattr(e, 'errno', ''))\n"
    )
}

fn call(number: i64, arguments: &str) -> String {
    attempt(&format!(
        "libc = ctypes.CDLL(None, use_errno=True); r = libc.syscall({number}, {arguments}); e = ctypes.get_errno()\n    if r < 0: raise OSError(e, '')"
    ))
}

#[tokio::test]
async fn files_outside_are_closed_and_its_own_are_open() {
    let outside = tempfile::tempdir().unwrap();
    let data = outside.path().join("data");
    let (readable, writable) = (outside.path().join("readable"), outside.path().join("writable"));
    for directory in [&data, &readable, &writable] {
        std::fs::create_dir(directory).unwrap();
        std::fs::write(directory.join("file"), "x").unwrap();
    }
    std::fs::create_dir(readable.join(".ssh")).unwrap();
    std::fs::write(readable.join(".ssh/id_rsa"), "key").unwrap();
    let home = program::home().unwrap();
    let home = home.display();
    let path = |p: &Path, name: &str| p.join(name).display().to_string();
    for (how, machine) in machines() {
        for profile in [Profile::Standard, Profile::Strict] {
            let state = tempfile::tempdir().unwrap();
            let plan = Plan {
                read: vec![readable.clone(), outside.path().join("writable/file")],
                write: vec![writable.clone()],
                denied: vec![data.clone()],
                ..plan(state.path(), profile, PYTHON, &[])
            };
            for (code, allowed) in [
                (format!("open({:?}).read()", path(&readable, "file")), true),
                (format!("open({:?}, 'w')", path(&readable, "file")), false),
                (format!("os.truncate({:?}, 0)", path(&readable, "file")), false),
                (format!("open({:?})", path(&readable, ".ssh/id_rsa")), false),
                (format!("open({:?}, 'w').write('y')", path(&writable, "new")), true),
                (format!("open({:?})", path(&data, "file")), false),
                (format!("os.listdir({:?})", data), false),
                (format!("os.listdir({:?})", outside.path()), false),
                (format!("os.listdir('{home}')"), false),
                (format!("open('{home}/.ssh/id_rsa').read()"), false),
                (format!("open('{home}/.toolgate-test', 'w')"), false),
                ("open('/tmp/toolgate-test', 'w')".into(), false),
                ("open('/etc/shadow')".into(), false),
                ("open('/etc/passwd').read(); open('/etc/hosts').read()".into(), true),
                ("open('/usr/toolgate-test', 'w')".into(), false),
                (
                    "open('/dev/null', 'w').write('x'); os.urandom(4); open('/dev/zero','rb').read(1)".into(),
                    true,
                ),
                ("open('/proc/self/status').read(); open('/proc/self/maps').read()".into(), true),
                ("open('here', 'w').write('x'); os.remove('here')".into(), true),
                ("import tempfile; tempfile.NamedTemporaryFile().write(b'x')".into(), true),
                ("open(os.path.expanduser('~/.cache'), 'w').write('x')".into(), true),
                (format!("open('/proc/{}/environ').read()", std::process::id()), false),
                (format!("open('/proc/{}/mem', 'rb').read(1)", std::process::id()), false),
                ("open('/proc/1/environ').read()".into(), false),
                ("open('/proc/1/mem', 'rb').read(1)".into(), false),
            ] {
                let said = python(plan.clone(), &machine, &attempt(&code)).await;
                assert_eq!(said == "OK", allowed, "{how} {profile:?} {code}: {said}");
            }
        }
    }
    assert_eq!(std::fs::read(readable.join("file")).unwrap(), b"x");
}

#[tokio::test]
async fn dangerous_calls_are_refused() {
    let eperm = format!("PermissionError {}", libc::EPERM);
    for (how, machine) in machines() {
        for profile in [Profile::Standard, Profile::Strict] {
            let state = tempfile::tempdir().unwrap();
            let plan = plan(state.path(), profile, PYTHON, &[]);
            for (number, arguments) in [
                (libc::SYS_mount, "b'x', b'/tmp', b'tmpfs', 0, 0"),
                (libc::SYS_ptrace, "0, 0, 0, 0"),
                (libc::SYS_process_vm_readv, "1, 0, 0, 0, 0, 0"),
                (libc::SYS_unshare, "0x10000000"),
                (libc::SYS_setns, "0, 0"),
                (libc::SYS_bpf, "0, 0, 0"),
                (libc::SYS_io_uring_setup, "1, 0"),
                (libc::SYS_keyctl, "0, 0"),
                (libc::SYS_userfaultfd, "0"),
                (libc::SYS_open_by_handle_at, "0, 0, 0"),
                (libc::SYS_perf_event_open, "0, 0, 0, 0, 0"),
                (libc::SYS_socket, "17, 3, 0"),
                (libc::SYS_socket, "2, 2, 0"),
                (libc::SYS_socket, "2, 1, 262"),
                (libc::SYS_ioctl, "0, 0x5412, 0"),
            ] {
                let said = python(plan.clone(), &machine, &call(number, arguments)).await;
                assert_eq!(said, eperm, "{how} {profile:?} {number} {arguments}");
            }
            let threads =
                attempt("import threading; t = threading.Thread(target=print); t.start(); t.join()");
            assert_eq!(python(plan.clone(), &machine, &threads).await, "OK");
            let gateway = std::process::id();
            for (number, arguments) in [
                (libc::SYS_prlimit64, format!("{gateway}, 7, None, None")),
                (libc::SYS_setpriority, format!("0, {gateway}, 19")),
                (libc::SYS_sched_setaffinity, format!("{gateway}, 8, b'\\xff' * 8")),
            ] {
                let said = python(plan.clone(), &machine, &call(number, &arguments)).await;
                assert_eq!(said, eperm, "{how} {profile:?} {number} {arguments}");
            }
            let own =
                attempt("import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.nice(1)");
            assert_eq!(python(plan.clone(), &machine, &own).await, "OK", "{how}");
            let signal = attempt(&format!("os.kill({}, 0)", std::process::id()));
            let said = python(plan.clone(), &machine, &signal).await;
            assert!(
                said.starts_with("PermissionError") || said.starts_with("ProcessLookupError"),
                "{how} {said}"
            );
            let more = attempt(
                "assert os.system('su -c true </dev/null 2>/dev/null') != 0; assert 'NoNewPrivs:\\t1' in open('/proc/self/status').read()",
            );
            if profile == Profile::Standard {
                assert_eq!(python(plan, &machine, &more).await, "OK", "{how}");
            }
        }
    }
}

#[tokio::test]
async fn a_node_server_runs_as_it_is() {
    let app = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(app.path().join("node_modules/dep")).unwrap();
    std::fs::write(app.path().join("package.json"), "{}").unwrap();
    std::fs::write(app.path().join("node_modules/dep/index.js"), "module.exports = 41").unwrap();
    std::fs::create_dir(app.path().join("dist")).unwrap();
    let script = app.path().join("dist/index.js");
    std::fs::write(
        &script,
        "const fs = require('fs'), os = require('os'), cp = require('child_process');
         const dep = require('dep');
         fs.promises.writeFile(os.tmpdir() + '/x', 'y').then(() => {
           const out = cp.execFileSync(process.execPath, ['-p', 'process.memoryUsage().rss > 0']).toString().trim();
           console.log(dep + 1, process.memoryUsage().rss > 0, out, os.cpus().length > 0);
         });",
    )
    .unwrap();
    // It may be installed in the home directory, of which `strict` reads only what is named.
    let node = program::find("node", None, None).expect("these tests need Node.js in PATH").path;
    let installed = std::fs::canonicalize(&node).unwrap().ancestors().nth(2).unwrap().to_owned();
    for (how, machine) in machines() {
        for profile in [Profile::Standard, Profile::Strict] {
            if how != "namespaces" && profile == Profile::Strict {
                // There the children of a child have no /proc, of which `memoryUsage` reads.
                continue;
            }
            let state = tempfile::tempdir().unwrap();
            let mut plan = plan(state.path(), profile, "node", &[script.to_str().unwrap()]);
            plan.read.push(installed.clone());
            let (out, ended, tail) = run(plan, &machine).await;
            assert_eq!(out.trim(), "42 true true true", "{how} {profile:?} {ended} {tail:?}");
        }
    }
}

#[tokio::test]
async fn a_python_of_a_venv_runs_as_it_is() {
    let project = tempfile::tempdir().unwrap();
    let venv = project.path().join("venv");
    let made = std::process::Command::new(PYTHON)
        .args(["-m", "venv", "--without-pip", venv.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(made.success());
    let version = std::fs::read_dir(venv.join("lib")).unwrap().flatten().next().unwrap().path();
    let package = version.join("site-packages/some_server");
    std::fs::create_dir(&package).unwrap();
    let code = "import asyncio, json, sqlite3, subprocess, sys, ssl\nsubprocess.run(['/bin/sh', '-c', 'true'], check=True)\nasync def main():\n    p = await asyncio.create_subprocess_exec('/bin/echo', 'sub'); await p.wait()\nasyncio.run(main())\nprint('ran', sys.prefix != sys.base_prefix)\n";
    std::fs::write(package.join("__main__.py"), code).unwrap();
    let python = venv.join("bin/python");
    for (how, machine) in machines() {
        for profile in [Profile::Standard, Profile::Strict] {
            let state = tempfile::tempdir().unwrap();
            let plan = plan(state.path(), profile, python.to_str().unwrap(), &["-m", "some_server"]);
            let (out, ended, tail) = run(plan, &machine).await;
            assert!(out.ends_with("ran True\n"), "{how} {profile:?} {ended} {tail:?} {out}");
        }
    }
}

#[tokio::test]
async fn namespaces_give_it_shared_memory_and_its_own_processes_only() {
    let state = tempfile::tempdir().unwrap();
    let code = "import multiprocessing; multiprocessing.Lock(); assert len([p for p in os.listdir('/proc') if p.isdigit()]) <= 3";
    let plan = plan(state.path(), Profile::Strict, PYTHON, &[]);
    assert_eq!(python(plan, &Machine::here(), &attempt(code)).await, "OK");
}

#[tokio::test]
async fn strict_reads_nothing_of_the_home_directory_unasked() {
    let home = program::home().unwrap();
    let Ok(directory) = tempfile::tempdir_in(&home) else { panic!("the home directory cannot be written") };
    let program = directory.path().join("server");
    std::fs::write(&program, "#!/bin/sh\necho ran\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let state = tempfile::tempdir().unwrap();
    let plan = |profile| plan(state.path(), profile, program.to_str().unwrap(), &[]);
    assert_eq!(run(plan(Profile::Standard), &Machine::here()).await.0, "ran\n");
    let error = Child::start(plan(Profile::Strict)).await.err().unwrap();
    assert!(error.kind == Kind::Forbidden && error.message.contains("`read`"), "{error}");
    let named = Plan { read: vec![directory.path().to_owned()], ..plan(Profile::Strict) };
    assert_eq!(run(named, &Machine::here()).await.0, "ran\n");
}
