//! Started, ended, and nothing left.

use super::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// A name for a process that no other test has.
fn unique() -> String {
    format!("86{}", crate::exec::spawn::mark().replace(|c: char| !c.is_ascii_digit(), "").split_off(2))
}

#[tokio::test]
async fn talks_through_its_pipes_and_ends_when_its_input_does() {
    for (how, machine) in machines() {
        for profile in [Profile::None, Profile::Standard, Profile::Strict] {
            let state = tempfile::tempdir().unwrap();
            let mut child = Child::start_on(plan(state.path(), profile, "cat", &[]), Some(machine.clone()))
                .await
                .unwrap();
            let mut stdin = child.take_stdin().unwrap();
            let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
            stdin.write_all(b"hello\n").await.unwrap();
            assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("hello"), "{how} {profile:?}");
            drop(stdin);
            let ended = child.ended().await;
            assert_eq!(
                (ended.code, ended.asked),
                (Some(0), false),
                "{how} {profile:?} {}",
                child.confinement()
            );
            let left: Vec<_> = std::fs::read_dir(state.path()).unwrap().flatten().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[tokio::test]
async fn the_end_is_told_as_it_was() {
    for (_, machine) in machines() {
        for profile in [Profile::None, Profile::Standard] {
            let state = tempfile::tempdir().unwrap();
            let sh = |script: &str| plan(state.path(), profile, "sh", &["-c", script]);
            let (_, ended, _) = run(sh("exit 7"), &machine).await;
            assert_eq!(ended.to_string(), "it exited with status 7");
            let (_, ended, tail) =
                run(sh("echo one >&2; echo key=sk-ant-REDACTED >&2; kill -SEGV $$"), &machine).await;
            assert_eq!(ended.signal, Some(libc::SIGSEGV), "{ended}");
            assert_eq!(tail[0], "one");
            assert!(!tail[1].contains("abcdefghij"), "{tail:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_left_after_a_drop_however_it_forked() {
    for (how, machine) in machines() {
        for profile in [Profile::None, Profile::Standard] {
            let state = tempfile::tempdir().unwrap();
            let (name, other) = (unique(), unique());
            // One in its group, one that left the session and cleared its environment; itself deaf to SIGTERM.
            let script = format!(
                "trap '' TERM; sleep {name} & (setsid env -i /bin/sleep {other} >/dev/null 2>&1 &) ; echo started; while :; do sleep 1; done"
            );
            let planned = plan(state.path(), profile, "sh", &["-c", &script]);
            let mut child = Child::start_on(planned, Some(machine.clone())).await.unwrap();
            let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
            assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("started"), "{:?}", child.tail());
            while !runs(&format!("sleep {other}")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let mut ended = child.ended.clone();
            drop(child);
            ended.wait_for(Option::is_some).await.unwrap();
            assert!(!runs(&format!("sleep {name}")), "{how} {profile:?}: in the group");
            assert!(!runs(&format!("sleep {other}")), "{how} {profile:?}: left the group");
        }
    }
}

#[test]
fn nothing_is_left_when_the_runtime_ends() {
    let name = unique();
    let state = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let child = Child::start(plan(state.path(), Profile::Standard, "sleep", &[&name])).await.unwrap();
        std::mem::forget(child);
        while !runs(&format!("sleep {name}")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    drop(runtime);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while runs(&format!("sleep {name}")) {
        assert!(std::time::Instant::now() < deadline, "still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn the_ladder_is_climbed_no_further_than_needed() {
    let state = tempfile::tempdir().unwrap();
    let machine = Machine::here();
    let script = "trap 'echo told >&2; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let plan = plan(state.path(), Profile::Standard, "sh", &["-c", script]);
    let mut child = Child::start_on(plan, Some(machine)).await.unwrap();
    let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
    lines.next_line().await.unwrap();
    child.stop();
    let ended = child.ended().await;
    assert_eq!((ended.code, ended.asked), (Some(3), true), "{ended}");
    assert_eq!(child.tail().last().map(String::as_str), Some("told"));
}

/// The gateway of the next test: it starts children and is killed.
const GATEWAY: &str = "TOOLGATE_TEST_GATEWAY";

#[test]
fn gateway_of_the_next_test() {
    let Ok(state) = std::env::var(GATEWAY) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let name = std::env::var("TOOLGATE_TEST_NAME").unwrap();
        let script = format!("(setsid env -i /bin/sleep 9{name} >/dev/null 2>&1 &) ; exec sleep {name}");
        for profile in [Profile::None, Profile::Standard] {
            let planned = plan(Path::new(&state), profile, "sh", &["-c", &script]);
            std::mem::forget(Child::start(planned).await.unwrap());
        }
        println!("started");
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_killed_gateway_leaves_nothing_that_the_next_does_not_sweep() {
    let state = tempfile::tempdir().unwrap();
    let name = unique();
    let mut gateway = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["child::tests::life::gateway_of_the_next_test", "--exact", "--nocapture"])
        .env(GATEWAY, state.path())
        .env("TOOLGATE_TEST_NAME", &name)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let until = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(std::time::Instant::now() < deadline, "in time");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let files = || {
        let entries = std::fs::read_dir(state.path()).unwrap().flatten();
        entries.filter(|e| e.path().extension().is_some_and(|e| e == "child")).count()
    };
    until(&|| files() == 2 && runs(&format!("sleep {name}")) && runs(&format!("sleep 9{name}")));
    assert_eq!(sweep(state.path()), 0, "its gateway lives");
    assert!(runs(&format!("sleep {name}")));
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    // The parent-death signal.
    until(&|| !runs(&format!("sleep {name}")));
    sweep(state.path());
    until(&|| !runs(&format!("sleep 9{name}")));
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn more_memory_than_allowed_is_not_had() {
    let script = "x = bytearray(400 << 20); print('had', len(x))";
    for (how, machine) in machines() {
        for profile in [Profile::None, Profile::Standard] {
            let state = tempfile::tempdir().unwrap();
            let plan = Plan { memory: 200 << 20, ..plan(state.path(), profile, PYTHON, &["-c", script]) };
            let (out, ended, tail) = run(plan, &machine).await;
            assert!(!out.contains("had"), "{how} {profile:?}: {out}");
            assert!(ended.code != Some(0), "{ended} {tail:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let state = tempfile::tempdir().unwrap();
    let start = async |plan: Plan| Child::start(plan).await.err().unwrap();
    let error = start(plan(state.path(), Profile::Standard, "no-such-server", &[])).await;
    assert_eq!(error.kind, Kind::NotFound);
    assert!(error.message.contains("`test`") && error.message.contains("looked in"), "{error}");
    let broken = state.path().join("broken");
    std::fs::write(&broken, "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = start(plan(state.path(), Profile::Standard, broken.to_str().unwrap(), &[])).await;
    assert!(error.message.contains("executing the program"), "{error}");
    let missing =
        Plan { read: vec!["/nowhere/at/all".into()], ..plan(state.path(), Profile::Standard, "cat", &[]) };
    assert!(start(missing).await.message.contains("/nowhere/at/all"));
}

#[tokio::test]
async fn a_profile_that_cannot_be_enforced_does_not_start() {
    let state = tempfile::tempdir().unwrap();
    let here = Machine::here();
    let without = |abi, spaces: Result<bool, String>, filter| Machine {
        abi,
        spaces,
        filter,
        group: here.group.clone(),
    };
    for (machine, profile, says) in [
        (without(0, Ok(false), Ok(connects::Way::Copy)), Profile::Standard, "Landlock ABI 3"),
        (without(3, Err("no".into()), Ok(connects::Way::Copy)), Profile::Standard, "Landlock ABI 4"),
        (without(5, Err("no".into()), Ok(connects::Way::Copy)), Profile::Strict, "Landlock ABI 6"),
        (without(7, Ok(false), Err("forbidden here".into())), Profile::Strict, "forbidden here"),
    ] {
        assert!(machine.enforceable(profile).is_err());
        let error = Child::start_on(plan(state.path(), profile, "cat", &[]), Some(Arc::new(machine))).await;
        let error = error.err().unwrap();
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.message.contains(says), "{error}");
    }
    assert!(without(0, Err("no".into()), Err("no".into())).enforceable(Profile::None).is_ok());
    enforceable(Profile::Strict).unwrap();
}
