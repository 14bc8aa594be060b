//! Runs: what comes out, what is cut, and that nothing stays behind.

use super::*;

#[tokio::test]
async fn a_plain_run() {
    let place = Place::new();
    let exec = place.exec(Profile::Standard);
    let done = exec.run(exec.parse("echo 'a  b' $ *".replace('$', "\\$").as_str()).unwrap()).await.unwrap();
    assert_eq!((done.stdout.as_str(), done.exit_code, done.timed_out), ("a  b $ *\n", Some(0), false));
    let done = run(&exec, &["cat", "no-such-file"]).await;
    assert_eq!(done.exit_code, Some(1));
    assert!(done.stderr.contains("No such file"), "{done:?}");
    // Standard input is empty, the first root is the working directory.
    assert_eq!(run(&exec, &["cat"]).await.exit_code, Some(0));
    assert_eq!(run(&exec, &["pwd"]).await.stdout.trim(), place.file("write"));
}

#[tokio::test]
async fn output_is_bounded() {
    let place = Place::new();
    place.script("many.py", "print('start')\nprint('x' * 1_000_000)\nprint('end')\n");
    let exec = place.exec(Profile::Standard);
    let mut command = exec.parse("python3 many.py").unwrap();
    command.max_output = 1000;
    let done = exec.run(command).await.unwrap();
    assert_eq!(done.exit_code, Some(0), "{done:?}");
    assert_eq!(done.cut, 1_000_000 + 6 + 5 - 1000);
    assert!(done.stdout.starts_with("start\nxxx") && done.stdout.ends_with("xxx\nend\n"));
    assert!(done.stdout.contains(&format!("[... {} bytes cut ...]", done.cut)));
}

#[tokio::test]
async fn the_environment_is_clean() {
    let place = Place::new();
    // The test runner sets CARGO_MANIFEST_DIR: a variable that this process has and no child should, unless named.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let exec = place.exec(Profile::Standard);
    let done = run(&exec, &["env"]).await;
    let mut names: Vec<_> = done.stdout.lines().filter_map(|l| l.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LANG", "PATH", "TERM", "TMPDIR", "TOOLGATE_CHILD"]);

    place.script(
        "env.py",
        "import os\nprint(sorted(os.environ))\nprint(os.umask(0), os.getsid(0) == os.getpid())\n",
    );
    let rules = ExecRules { allow: allow(), env: vec!["CARGO_MANIFEST_DIR".into()], ..ExecRules::default() };
    let exec = place.exec_with(rules, vec![]);
    let done = run(&exec, &["python3", "env.py"]).await;
    assert!(done.stdout.contains("CARGO_MANIFEST_DIR"), "{done:?}");
    assert!(!done.stdout.contains("CARGO_PKG_NAME") && done.stdout.contains("18 True"), "{done:?}");
    // `env` shows no passed variable: it may be a secret.
    assert!(!run(&exec, &["env"]).await.stdout.contains("CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn no_descriptor_is_inherited_and_limits_hold() {
    use std::os::fd::AsRawFd;
    let place = Place::new();
    let file = std::fs::File::open(place.dir("read").join("f")).unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    place.script(
        "fds.py",
        "import os, resource as r\nprint([n for n in range(3, 4096) if os.path.exists(f'/proc/self/fd/{n}')])\n\
         print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_NOFILE)[0] <= 4096, r.getrlimit(r.RLIMIT_AS))\n",
    );
    let rules = ExecRules { allow: allow(), max_memory: Some(Size(1 << 30)), ..ExecRules::default() };
    let done = run(&place.exec_with(rules, vec![]), &["python3", "fds.py"]).await;
    assert_eq!(
        done.stdout,
        "[]\n(0, 0) True (1073741824, 1073741824)\n",
        "fd {}: {done:?}",
        file.as_raw_fd()
    );
}

/// A program with a child in its group, one in a session of its own, and one that left by a double fork.
const FAMILY: &str = "
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def note(pid):
    with open('pids', 'a') as f:
        f.write(f'{pid}\\n')
note(os.getpid())
note(subprocess.Popen(['sleep', '1000']).pid)
note(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note(os.getpid())
        time.sleep(1000)
    os._exit(0)
if sys.argv[1] == 'wait':
    time.sleep(1000)
while len(open('pids').read().splitlines()) < 4:
    time.sleep(0.01)
";

#[tokio::test]
async fn a_timeout_kills_the_whole_family() {
    let place = Place::new();
    place.script("family.py", FAMILY);
    let exec = place.exec(Profile::Standard);
    let mut command = exec.parse("python3 family.py wait").unwrap();
    command.timeout = Duration::from_secs(2);
    let done = exec.run(command).await.unwrap();
    assert!(done.timed_out && done.signal == Some(9) && done.exit_code.is_none(), "{done:?}");
    assert!(done.duration >= Duration::from_secs(4), "SIGTERM came two seconds before SIGKILL: {done:?}");
    for pid in numbers(&place.dir("write").join("pids"), 4).await {
        until("all are dead", || !alive(pid)).await;
    }
}

#[tokio::test]
async fn orphans_die_with_a_normal_end() {
    let place = Place::new();
    place.script("family.py", FAMILY);
    let exec = place.exec(Profile::Standard);
    let done = run(&exec, &["python3", "family.py", "leave"]).await;
    assert_eq!((done.exit_code, done.timed_out), (Some(0), false), "{done:?}");
    for pid in numbers(&place.dir("write").join("pids"), 4).await {
        until("all are dead", || !alive(pid)).await;
    }
}

#[tokio::test]
async fn dropping_the_run_kills_the_whole_family() {
    let place = Place::new();
    place.script("family.py", FAMILY);
    let exec = place.exec(Profile::Standard);
    let pids = {
        let running = exec.run(exec.parse("python3 family.py wait").unwrap());
        let pids = place.dir("write").join("pids");
        tokio::select! {
            done = running => panic!("ended by itself: {done:?}"),
            pids = numbers(&pids, 4) => pids,
        }
    };
    for pid in pids {
        until("all are dead", || !alive(pid)).await;
    }
    until("the slot is free", || exec.slots.available_permits() == 32).await;
}

#[tokio::test]
async fn children_are_counted_and_shutdown_ends_them() {
    let place = Place::new();
    let rules = ExecRules { allow: allow(), max_children: 2, ..ExecRules::default() };
    let exec = place.exec_with(rules, vec![]);
    let sleep = || exec.parse("sleep 1000").unwrap();
    let one = exec.start(sleep(), "a").await.unwrap();
    let two = exec.run(sleep());
    let outside = async {
        until("both run", || exec.slots.available_permits() == 0).await;
        assert_eq!(exec.run(sleep()).await.unwrap_err().kind, Kind::RateLimited);
        exec.shutdown().await;
    };
    let (two, ()) = tokio::join!(two, outside);
    assert_eq!(two.unwrap_err().kind, Kind::Unavailable);
    until("the session has ended", || !one.info().running).await;
    assert_eq!(one.info().signal, Some(9));
    assert_eq!(exec.run(sleep()).await.unwrap_err().kind, Kind::Unavailable);
}

#[tokio::test]
async fn the_temporary_directory_is_private_and_goes() {
    let place = Place::new();
    place.script(
        "temp.py",
        "import os, tempfile\nd = tempfile.gettempdir()\nopen(d + '/x', 'w').write('x')\n\
         print(d, oct(os.stat(d).st_mode & 0o777))\n",
    );
    let exec = place.exec(Profile::Strict);
    let done = run(&exec, &["python3", "temp.py"]).await;
    let (path, mode) = done.stdout.trim().split_once(' ').unwrap();
    assert_eq!(mode, "0o700");
    until("it is removed", || !Path::new(path).exists()).await;
}

#[tokio::test]
async fn without_landlock_the_result_says_so() {
    let place = Place::new();
    let rules = ExecRules { allow: allow(), ..ExecRules::default() };
    let exec = Exec::with_abi(rules, vec![place.dir("read")], vec![place.dir("write")], vec![], 0).unwrap();
    let done = run(&exec, &["cat", "f"]).await;
    assert_eq!((done.stdout.as_str(), done.exit_code), ("write", Some(0)));
    assert!(done.confinement.contains("no Landlock"), "{done:?}");
    assert_eq!(done.confined, Confined::None);
}

/// Many at once: every one ends with its own output, and every slot comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once() {
    let place = Place::new();
    let exec = Arc::new(place.exec(Profile::Standard));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..30 {
        let exec = exec.clone();
        tasks.spawn(async move { (n, exec.run(exec.parse(&format!("echo {n}")).unwrap()).await.unwrap()) });
    }
    while let Some(done) = tasks.join_next().await {
        let (n, done) = done.unwrap();
        assert_eq!((done.stdout, done.exit_code), (format!("{n}\n"), Some(0)));
    }
    assert_eq!(exec.slots.available_permits(), 32);
}

/// Every future of the door can go to another thread.
#[tokio::test]
async fn futures_are_send() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let place = Place::new();
    let exec = place.exec(Profile::Standard);
    let session = send(exec.start(exec.parse("cat").unwrap(), "a")).await.unwrap();
    send(session.send("x\n")).await.unwrap();
    assert_eq!(send(session.read(0, 1, Duration::from_secs(10))).await.lines, ["x"]);
    assert!(!send(session.terminate(true)).await.running);
    send(exec.shutdown()).await;
}
