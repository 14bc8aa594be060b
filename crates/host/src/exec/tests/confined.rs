//! Landlock does what the rules say. These tests need a kernel with Landlock, as the project's CI has.

use super::*;

/// Tries one thing and says `yes` or the error.
const TRY: &str = "
import os, socket, sys
what, arg = sys.argv[1:3]
try:
    if what == 'read': open(arg).read()
    elif what == 'write': open(arg, 'w').write('x')
    elif what == 'list': os.listdir(arg)
    elif what == 'rename': os.rename(arg, sys.argv[3])
    elif what == 'link': os.symlink(arg, 'link'); open('link').read()
    elif what == 'connect': socket.create_connection(('127.0.0.1', int(arg)), 5)
    elif what == 'bind': socket.create_server(('127.0.0.1', 0))
    elif what == 'signal': os.kill(int(arg), 0)
    print('yes')
except OSError as e:
    print(type(e).__name__)
";

async fn attempt(exec: &Exec, what: &str, args: &[&str]) -> String {
    let mut argv = vec!["python3", "try.py", what];
    argv.extend(args);
    let done = run(exec, &argv).await;
    assert_eq!(done.exit_code, Some(0), "{done:?}");
    done.stdout.trim().to_owned()
}

fn place() -> Place {
    let place = Place::new();
    place.script("try.py", TRY);
    place
}

#[tokio::test]
async fn files() {
    let place = place();
    for profile in [Profile::Standard, Profile::Strict] {
        let exec = place.exec(profile);
        assert!(exec.confinement().starts_with("landlock abi "), "{}", exec.confinement());
        let gateway = format!("/proc/{}/environ", std::process::id());
        for (what, path, expected) in [
            ("read", place.file("read/f"), "yes"),
            ("read", place.file("write/f"), "yes"),
            ("read", place.file("outside/f"), "PermissionError"),
            ("list", place.file("outside"), "PermissionError"),
            ("list", "/root".into(), "PermissionError"),
            ("list", "/tmp".into(), "PermissionError"),
            ("read", "/etc/passwd".into(), "yes"),
            ("read", "/etc/shadow".into(), "PermissionError"),
            ("read", gateway, "PermissionError"),
            ("read", "/proc/self/status".into(), "yes"),
            ("write", "/dev/null".into(), "yes"),
            ("write", place.file("write/new"), "yes"),
            ("write", place.file("read/f"), "PermissionError"),
            ("write", place.file("outside/new"), "PermissionError"),
            ("write", "/usr/new".into(), "PermissionError"),
        ] {
            // In the script: an argument that names a denied path is refused before anything starts.
            place.script("try2.py", &TRY.replace("sys.argv[1:3]", &format!("({what:?}, {path:?})")));
            let done = run(&exec, &["python3", "try2.py"]).await;
            assert_eq!(done.stdout.trim(), expected, "{profile:?} {what} {path}: {done:?}");
            assert!(done.confinement.starts_with("landlock abi"), "{done:?}");
            let word = if profile == Profile::Strict { Confined::Strict } else { Confined::Landlock };
            assert_eq!(done.confined, word);
        }
        let outside = place.file("outside/f");
        let _ = std::fs::remove_file(place.dir("write").join("link"));
        assert_eq!(attempt(&exec, "link", &[&outside]).await, "PermissionError");
    }
    assert_eq!(std::fs::read_to_string(place.file("read/f")).unwrap(), "read");
    // Without confinement the same program reads it: it is Landlock that says no.
    let exec = place.exec(Profile::None);
    assert_eq!(attempt(&exec, "read", &[&place.file("outside/f")]).await, "yes");
}

#[tokio::test]
async fn denied_paths_inside_a_root() {
    let place = place();
    let secret = place.dir("write").join("data/secret");
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::create_dir_all(place.dir("write").join("data/open")).unwrap();
    std::fs::create_dir_all(place.dir("write").join(".ssh")).unwrap();
    std::fs::write(secret.join("key"), "k").unwrap();
    std::fs::write(place.file("write/data/open/f"), "o").unwrap();
    std::fs::write(place.file("write/.ssh/id"), "k").unwrap();
    std::os::unix::fs::symlink(place.dir("outside"), place.dir("write").join("way")).unwrap();
    for profile in [Profile::Standard, Profile::Strict] {
        let rules = ExecRules { profile, allow: allow(), ..ExecRules::default() };
        let exec = place.exec_with(rules, vec![secret.clone()]);
        // By argument: refused before anything starts, whatever way leads there.
        for line in
            ["cat data/secret/key", "cat ./data/open/../secret/key", "ls .ssh", "grep --file=.ssh/id x"]
        {
            assert_eq!(
                exec.run(exec.parse(line).unwrap()).await.unwrap_err().kind,
                Kind::Forbidden,
                "{line}"
            );
        }
        // By a program: refused by the kernel.
        for (line, expected) in [
            ("'read', 'data/secret/key'", "PermissionError"),
            ("'read', '.ssh/id'", "PermissionError"),
            ("'write', 'data/secret/new'", "PermissionError"),
            ("'write', '.ssh/authorized_keys'", "PermissionError"),
            ("'read', 'way/f'", "PermissionError"),
            ("'read', 'data/open/f'", "yes"),
            ("'write', 'data/open/f'", "yes"),
            ("'write', 'data/open/new'", "yes"),
        ] {
            place.script("try2.py", &TRY.replace("sys.argv[1:3]", line));
            let done = run(&exec, &["python3", "try2.py"]).await;
            assert_eq!(done.stdout.trim(), expected, "{profile:?} {line}: {done:?}");
            assert!(done.confinement.contains("no new entries directly in"), "{done:?}");
        }
        let listed = attempt(&exec, "list", &["."]).await;
        assert_eq!(listed, if profile == Profile::Strict { "PermissionError" } else { "yes" });
        let moved = run(&exec, &["python3", "try.py", "rename", "data/open/f", "data/open/g"]).await;
        assert_eq!(moved.stdout.trim(), "yes", "{moved:?}");
        std::fs::rename(place.file("write/data/open/g"), place.file("write/data/open/f")).unwrap();
    }
}

#[tokio::test]
async fn network_and_signals() {
    let place = place();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let me = std::process::id().to_string();
    for (profile, expected) in
        [(Profile::Standard, "PermissionError"), (Profile::Strict, "PermissionError"), (Profile::None, "yes")]
    {
        let exec = place.exec(profile);
        assert_eq!(attempt(&exec, "connect", &[&port]).await, expected, "{profile:?}");
        assert_eq!(attempt(&exec, "bind", &["0"]).await, expected, "{profile:?}");
        assert_eq!(attempt(&exec, "signal", &[&me]).await, expected, "{profile:?}");
    }
}

/// A command that counts as reading writes nothing but its own temporary directory, whatever its program does.
#[tokio::test]
async fn readers_cannot_write() {
    let place = place();
    for profile in [Profile::Standard, Profile::Strict] {
        let exec = place.exec(profile);
        let python = exec.parse("python3 try.py").unwrap();
        for (what, path, reader, writer) in [
            ("write", "new", "PermissionError", "yes"),
            ("write", "f", "PermissionError", "yes"),
            ("read", "f", "yes", "yes"),
            ("read", &place.file("read/f"), "yes", "yes"),
        ] {
            // As if the table were wrong about a program: `cat` by its rule, python by what it does.
            for (rule, expected) in [("cat", reader), ("make", writer)] {
                let mut command = python.clone();
                command.rule = Rule::of(rule);
                command.args = ["try.py", what, path].map(str::to_owned).to_vec();
                let effect = if rule == "cat" { Effect::Read } else { Effect::Write };
                assert_eq!(command.effect(), effect);
                let done = exec.run(command).await.unwrap();
                assert_eq!(done.stdout.trim(), expected, "{profile:?} {rule} {what} {path}: {done:?}");
            }
        }
        let own = "import os, tempfile; tempfile.TemporaryFile(); print('yes')";
        place.script("own.py", own);
        let mut command = python.clone();
        command.rule = Rule::of("cat");
        command.args = vec!["own.py".to_owned()];
        assert_eq!(exec.run(command).await.unwrap().stdout.trim(), "yes", "{profile:?}");
    }
}

/// The operator can give TCP to a program.
#[tokio::test]
async fn network_by_setting() {
    let place = place();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for (profile, expected) in [(Profile::Standard, "yes"), (Profile::Strict, "PermissionError")] {
        let rules = ExecRules { profile, network: vec!["python3".into()], ..ExecRules::default() };
        let exec = place.exec_with(rules, vec![]);
        assert_eq!(attempt(&exec, "connect", &[&port]).await, expected, "{profile:?}");
    }
}

/// A program whose work is the network has it under `standard` and not under `strict`.
#[tokio::test]
async fn network_programs() {
    let place = place();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("git://127.0.0.1:{}/x", listener.local_addr().unwrap().port());
    for (profile, reached) in [(Profile::Strict, false), (Profile::Standard, true)] {
        let exec = place.exec(profile);
        // The rules refuse the address; what is tested is the confinement.
        let argv = ["git", "ls-remote", &url].map(str::to_owned).to_vec();
        assert!(exec.command(argv.clone()).is_err());
        let mut command = exec.vetted(argv).unwrap();
        command.timeout = Duration::from_secs(1);
        let done = exec.run(command).await.unwrap();
        assert_eq!(listener.accept().is_ok(), reached, "{profile:?}: {done:?}");
        assert!(done.confinement.contains(if reached { "tcp allowed" } else { "no tcp" }), "{done:?}");
    }
}

#[tokio::test]
async fn everyday_programs_work_under_strict() {
    let place = place();
    let exec = place.exec(Profile::Strict);
    assert_eq!(run(&exec, &["git", "init", "-q", "repo"]).await.stderr, "");
    let status = run(&exec, &["git", "-C", "repo", "status", "--short"]).await;
    assert_eq!((status.exit_code, status.stderr.as_str()), (Some(0), ""), "{status:?}");
    assert!(run(&exec, &["find", ".", "-name", "f"]).await.stdout.contains("./f"));
    std::fs::write(place.dir("write").join("Makefile"), "all:\n\t@echo made\n").unwrap();
    let made = run(&exec, &["make"]).await;
    assert_eq!(made.stdout, "made\n", "{made:?}");
    let ps = run(&exec, &["ps", "-e"]).await;
    assert!(ps.stdout.lines().count() > 2, "{ps:?}");
    std::fs::write(place.dir("write").join("a.js"), "console.log(6 * 7)").unwrap();
    let node = run(&exec, &["node", "a.js"]).await;
    assert_eq!(node.stdout, "42\n", "{node:?}");
    assert_eq!(run(&exec, &["tar", "-czf", "a.tgz", "f"]).await.exit_code, Some(0));
    assert_eq!(run(&exec, &["tar", "-tzf", "a.tgz"]).await.stdout, "f\n");
}

/// What a repository configures is not run by commands that count as reading.
#[tokio::test]
async fn git_reads_run_nothing_of_the_repository() {
    let place = place();
    let exec = place.exec(Profile::Standard);
    run(&exec, &["git", "init", "-q", "."]).await;
    std::fs::write(place.file("write/.gitattributes"), "f diff=evil\n").unwrap();
    run(&exec, &["git", "add", "f"]).await;
    std::fs::write(place.file("write/f"), "changed\n").unwrap();
    let script = place.dir("write").join("evil");
    std::fs::write(&script, "#!/usr/bin/env python3\nopen('ran', 'w')\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = "[core]\n fsmonitor = ./evil\n[diff]\n external = ./evil\n[diff \"evil\"]\n textconv = ./evil\n command = ./evil\n";
    let path = place.dir("write").join(".git/config");
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, old + config).unwrap();
    for line in ["git status", "git diff", "git log -p", "git diff --stat"] {
        let command = exec.parse(line).unwrap();
        assert_eq!(command.effect(), Effect::Read);
        let done = exec.run(command).await.unwrap();
        assert!(!place.dir("write").join("ran").exists(), "{line}: {done:?}");
    }
    // The same configuration does run where a command counts as writing, which shows that the test can fail.
    run(&exec, &["git", "add", "-u"]).await;
    assert!(place.dir("write").join("ran").exists());
}
