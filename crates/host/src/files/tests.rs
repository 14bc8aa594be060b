//! Files beneath their roots, on a real file system.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// `rw` and `ro` are roots, `out` is not.
struct Ground {
    top: tempfile::TempDir,
    files: Files,
}

fn ground() -> Ground {
    ground_with(|_| vec![])
}

fn ground_with(denied: impl Fn(&Path) -> Vec<PathBuf>) -> Ground {
    let top = tempfile::tempdir().unwrap();
    for dir in ["rw/sub", "ro", "out"] {
        std::fs::create_dir_all(top.path().join(dir)).unwrap();
    }
    for (path, text) in
        [("rw/a.txt", "alpha"), ("rw/sub/b.txt", "beta"), ("ro/c.txt", "gamma"), ("out/s", "secret")]
    {
        std::fs::write(top.path().join(path), text).unwrap();
    }
    let roots = vec![
        Root { path: top.path().join("ro"), write: false },
        Root { path: top.path().join("rw"), write: true },
    ];
    let files = Files::new(roots, denied(top.path())).unwrap();
    Ground { top, files }
}

impl Ground {
    fn at(&self, path: &str) -> PathBuf {
        self.top.path().join(path)
    }

    fn text(&self, path: &str) -> String {
        self.at(path).to_str().unwrap().to_owned()
    }

    async fn read(&self, path: &str) -> Result<String, HostError> {
        self.files.read(path, 0, 1000).await.map(|(bytes, _)| String::from_utf8(bytes).unwrap())
    }

    async fn replace(&self, path: &str, text: &str) -> Result<(u64, bool), HostError> {
        self.files.write(path, text.into(), WriteMode::Replace, false).await
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, HostError>) -> Kind {
    result.expect_err("must not succeed").kind
}

fn make_pipe(path: PathBuf) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}

#[tokio::test]
async fn paths_inside_are_read() {
    let g = ground();
    for path in ["a.txt", "./a.txt", "sub/../a.txt", "sub//../a.txt", "../rw/a.txt", &g.text("rw/a.txt")] {
        assert_eq!(g.read(path).await.unwrap(), "alpha", "{path}");
    }
    assert_eq!(g.read(&g.text("ro/c.txt")).await.unwrap(), "gamma");
    assert_eq!(g.read("../ro/c.txt").await.unwrap(), "gamma");
    assert_eq!(g.files.read("a.txt", 2, 2).await.unwrap(), (b"ph".to_vec(), 5));
    assert_eq!(g.files.read("a.txt", 99, 2).await.unwrap(), (vec![], 5));
    assert_eq!(g.files.base().unwrap(), g.at("rw"));
    assert_eq!(g.files.directory("sub/..").await.unwrap(), std::fs::canonicalize(g.at("rw")).unwrap());
    let meta = g.files.stat("sub/b.txt").await.unwrap();
    assert_eq!(
        (meta.name.as_str(), meta.kind, meta.size, meta.path),
        ("b.txt", FileKind::File, 4, g.text("rw/sub/b.txt"))
    );
    assert!(meta.modified.unwrap().ends_with('Z'));
}

#[tokio::test]
async fn paths_outside_are_refused_with_the_way_in() {
    let g = ground();
    for path in [
        "../out/s",
        "sub/../../out/s",
        "/etc/passwd",
        "/",
        "../../../../../../../../etc/hosts",
        &g.text("out/s"),
        &g.text("rw/../out/s"),
        &g.text("rwx"),
        "..",
        "/proc/self/root/etc/passwd",
        "../out/missing",
    ] {
        let error = g.read(path).await.unwrap_err();
        assert_eq!(error.kind, Kind::Forbidden, "{path}: {error}");
        assert!(error.message.contains("(read-write)") && error.message.contains("files.roots"), "{error}");
        assert!(g.files.stat(path).await.is_err() && g.files.directory(path).await.is_err(), "{path}");
        assert!(g.files.list(path, true, 10).await.is_err(), "{path}");
        assert!(
            g.replace(path, "x").await.is_err() && g.files.create_directory(path).await.is_err(),
            "{path}"
        );
        assert!(g.files.rename("a.txt", path, true).await.is_err(), "{path}");
    }
    assert_eq!(std::fs::read_to_string(g.at("out/s")).unwrap(), "secret");
    for path in ["", "a\0b", "~", "~/x", &"x".repeat(5000), &"x".repeat(300)] {
        assert_eq!(kind(g.read(path).await), Kind::Invalid);
    }
    assert_eq!(kind(g.read("nothing").await), Kind::NotFound);
    assert_eq!(kind(g.read("a.txt/x").await), Kind::NotFound);
    assert_eq!(kind(g.read("sub").await), Kind::Invalid);
}

#[tokio::test]
async fn accounts_are_closed_in_a_root_that_holds_them() {
    let files = Files::new(vec![Root { path: "/etc".into(), write: false }], vec![]).unwrap();
    for path in ["/etc/passwd", "/etc/passwd-", "/etc/shadow", "passwd", "../etc/passwd"] {
        let error = files.read(path, 0, 10).await.unwrap_err();
        assert!(error.kind == Kind::Forbidden && error.message.contains("closed"), "{path}: {error}");
    }
    assert!(files.stat("/etc/passwd").await.is_err());
    let (listed, _) = files.list("/etc", true, 10_000).await.unwrap();
    assert!(!listed.is_empty() && !listed.iter().any(|meta| meta.name == "passwd"));
}

#[tokio::test]
async fn what_starts_by_itself_is_not_written() {
    let g = ground();
    std::fs::create_dir_all(g.at("rw/p/.git/hooks")).unwrap();
    std::fs::create_dir_all(g.at("rw/made/hooks")).unwrap();
    std::fs::write(g.at("rw/.bashrc"), "mine").unwrap();
    assert_eq!(g.read(".bashrc").await.unwrap(), "mine");
    symlink("p/.git/hooks", g.at("rw/link")).unwrap();
    for path in [".bashrc", "p/.git/hooks/pre-commit", "link/pre-commit", "p/.git/config", ".mcp.json"] {
        for mode in [WriteMode::Replace, WriteMode::CreateNew, WriteMode::Append] {
            let error = g.files.write(path, b"x".to_vec(), mode, true).await.unwrap_err();
            assert!(error.kind == Kind::Forbidden && error.message.contains("writing"), "{path}: {error}");
        }
    }
    assert_eq!(
        kind(g.files.write("q/.git/hooks/x", vec![1], WriteMode::Replace, true).await),
        Kind::Forbidden
    );
    assert!(!g.at("rw/q").exists(), "judged before the first directory is made");
    assert_eq!(kind(g.files.create_directory(".config/autostart/x").await), Kind::Forbidden);
    for (from, to) in [("a.txt", ".profile"), (".bashrc", "b"), ("made", "new/.git"), ("made", "sub/.git")] {
        assert!(g.files.rename(from, to, true).await.is_err(), "{from} to {to}");
    }
    assert_eq!(std::fs::read_to_string(g.at("rw/.bashrc")).unwrap(), "mine");
    g.replace("p/.gitignore", "target").await.unwrap();
}

#[tokio::test]
async fn links_work_inside_and_stop_at_the_edge() {
    let g = ground();
    symlink("sub/b.txt", g.at("rw/inside")).unwrap();
    symlink(g.at("rw/sub"), g.at("rw/absolute")).unwrap();
    symlink(g.at("ro"), g.at("rw/other_root")).unwrap();
    symlink("../out/s", g.at("rw/file_out")).unwrap();
    symlink(g.at("out"), g.at("rw/dir_out")).unwrap();
    symlink("self", g.at("rw/self")).unwrap();
    symlink("/proc/self/root", g.at("rw/magic")).unwrap();
    assert_eq!(g.read("inside").await.unwrap(), "beta");
    assert_eq!(g.read("absolute/b.txt").await.unwrap(), "beta");
    assert_eq!(g.read("other_root/c.txt").await.unwrap(), "gamma");
    for path in ["file_out", "dir_out/s", "self", "magic/etc/passwd", "sub/../dir_out/s"] {
        assert_eq!(kind(g.read(path).await), Kind::Forbidden, "{path}");
    }
    assert_eq!(kind(g.replace("dir_out/new", "x").await), Kind::Forbidden);
    assert_eq!(kind(g.files.write("dir_out/a/b", vec![1], WriteMode::Replace, true).await), Kind::Forbidden);
    assert_eq!(kind(g.files.create_directory("dir_out/new").await), Kind::Forbidden);
    // A way into the read-only root through the writable one does not make it writable.
    assert_eq!(kind(g.replace("other_root/c.txt", "x").await), Kind::Forbidden);
    // The last name is replaced, not followed.
    g.replace("file_out", "mine").await.unwrap();
    assert_eq!(std::fs::read_to_string(g.at("out/s")).unwrap(), "secret");
    assert!(std::fs::symlink_metadata(g.at("rw/file_out")).unwrap().is_file());
    assert_eq!(kind(g.files.write("inside", b"x".to_vec(), WriteMode::Append, false).await), Kind::Forbidden);
    assert_eq!(std::fs::read_dir(g.at("out")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipping_link_never_leads_out() {
    let g = ground();
    std::fs::create_dir(g.at("rw/real")).unwrap();
    std::fs::write(g.at("rw/real/s"), "open").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, rw, out) = (Arc::clone(&stop), g.at("rw"), g.at("out"));
    let flipper = std::thread::spawn(move || {
        let mut flips = 0u32;
        while !flag.load(Ordering::Relaxed) {
            for aim in [Path::new("real"), out.as_path(), Path::new("../out")] {
                let _ = std::fs::remove_file(rw.join("next"));
                symlink(aim, rw.join("next")).unwrap();
                std::fs::rename(rw.join("next"), rw.join("flip")).unwrap();
                flips += 1;
            }
        }
        flips
    });
    let (mut inside, mut refused) = (0, 0);
    for n in 0..2000 {
        match g.read("flip/s").await {
            Ok(text) => {
                assert_eq!(text, "open");
                inside += 1;
            }
            Err(_) => refused += 1,
        }
        if n % 20 == 0 {
            let _ = g.replace("flip/new", "x").await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(flipper.join().unwrap() > 100 && inside > 0 && refused > 0, "{inside} {refused}");
    assert_eq!(std::fs::read_dir(g.at("out")).unwrap().count(), 1);
}

#[tokio::test]
async fn closed_places_answer_alike_whether_they_exist() {
    let g = ground_with(|top| vec![top.join("rw/data"), top.join("rw/token.txt")]);
    for dir in ["rw/data/deep", "rw/.ssh", "rw/.docker"] {
        std::fs::create_dir_all(g.at(dir)).unwrap();
    }
    for path in ["rw/data/deep/key", "rw/.ssh/config", "rw/token.txt", "rw/.docker/config.json", "rw/id_rsa"]
    {
        std::fs::write(g.at(path), "secret").unwrap();
    }
    symlink("data", g.at("rw/way")).unwrap();
    symlink(".ssh/config", g.at("rw/conf")).unwrap();
    std::fs::hard_link(g.at("rw/token.txt"), g.at("rw/twin")).unwrap();
    let expected = g.read(".ssh/config").await.unwrap_err();
    assert_eq!(expected.kind, Kind::Forbidden);
    for path in [
        ".ssh/missing",
        ".ssh",
        "data",
        "data/deep/key",
        "data/deep/missing",
        "data/x/y",
        "way/deep/key",
        "way/missing",
        "conf",
        "token.txt",
        "twin",
        ".docker/config.json",
        "id_rsa",
        ".netrc",
        "sub/../.ssh/config",
        "sub/.SSH",
    ] {
        assert_eq!(g.read(path).await.unwrap_err(), expected, "{path}");
        assert_eq!(g.files.stat(path).await.unwrap_err(), expected, "{path}");
        assert_eq!(g.files.create_directory(path).await.unwrap_err(), expected, "{path}");
    }
    for path in [".ssh/new", "data/new", "way/new", "token.txt", "id_ed25519", "twin", ".ssh/a/b"] {
        for mode in [WriteMode::Replace, WriteMode::Append] {
            assert_eq!(g.files.write(path, vec![1], mode, true).await.unwrap_err(), expected, "{path}");
        }
    }
    for from in ["data", ".ssh", ".docker", "token.txt", "twin", "id_rsa", "way/deep/key"] {
        assert_eq!(g.files.rename(from, "moved", true).await.unwrap_err(), expected, "{from}");
    }
    assert_eq!(g.files.rename("a.txt", ".ssh/a", true).await.unwrap_err(), expected);
    let names: Vec<_> = g.files.list(".", true, 100).await.unwrap().0.into_iter().map(|m| m.name).collect();
    assert_eq!(names, [".docker", "sub", "a.txt", "conf", "twin", "way"]);
}

#[test]
fn problems_of_the_settings_come_at_once() {
    let top = tempfile::tempdir().unwrap();
    std::fs::write(top.path().join("f"), "").unwrap();
    std::fs::create_dir(top.path().join(".ssh")).unwrap();
    let root = |path: PathBuf| Root { path, write: true };
    let roots = ["", "missing", "f", ".ssh", ""]
        .map(|p| root(top.path().join(p)))
        .into_iter()
        .chain([root("rel".into())]);
    let text = Files::new(roots.collect(), vec!["also/relative".into()]).err().unwrap().message.into_owned();
    for part in ["roots[1]", "roots[2]", "roots[3]", "named twice", "roots[5]", "also/relative"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let inside = Files::new(vec![root(top.path().into())], vec![top.path().into()]);
    assert!(inside.err().unwrap().message.contains("closed place"));
}

#[tokio::test]
async fn without_roots_nothing_is_open() {
    let files = Files::new(vec![], vec![]).unwrap();
    for path in ["x", "/etc/hosts", "."] {
        assert_eq!(kind(files.stat(path).await), Kind::Forbidden);
    }
}

#[tokio::test]
async fn pipes_sockets_and_devices_are_not_opened() {
    let g = ground();
    make_pipe(g.at("rw/pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(g.at("rw/socket")).unwrap();
    for path in ["pipe", "socket"] {
        assert_eq!(kind(g.read(path).await), Kind::Forbidden);
        assert_eq!(kind(g.replace(path, "x").await), Kind::Forbidden);
        assert_eq!(kind(g.files.write(path, vec![1], WriteMode::Append, false).await), Kind::Forbidden);
        assert_eq!(g.files.stat(path).await.unwrap().kind, FileKind::Other);
    }
    let dev = Files::new(vec![Root { path: "/dev".into(), write: false }], vec![]).unwrap();
    assert_eq!(kind(dev.read("/dev/zero", 0, 10).await), Kind::Forbidden);
}

#[tokio::test]
async fn replace_keeps_the_mode_but_no_special_bits() {
    let g = ground();
    for (mode, kept) in [(0o640, 0o640), (0o4755, 0o755), (0o600, 0o600)] {
        std::fs::set_permissions(g.at("rw/a.txt"), std::fs::Permissions::from_mode(mode)).unwrap();
        let before = std::fs::metadata(g.at("rw/a.txt")).unwrap();
        assert_eq!(g.replace("a.txt", "new").await.unwrap(), (3, false));
        let after = std::fs::metadata(g.at("rw/a.txt")).unwrap();
        assert_eq!(after.mode() & 0o7777, kept);
        assert_ne!(after.ino(), before.ino());
    }
    assert_eq!(g.files.list(".", true, 10).await.unwrap().0.len(), 2, "no draft stays behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_the_old_or_the_new_whole() {
    let g = ground();
    let (old, new) = ("o".repeat(300_000), "n".repeat(300_000));
    g.replace("big", &old).await.unwrap();
    let (stop, path) = (Arc::new(AtomicBool::new(false)), g.at("rw/big"));
    let flag = Arc::clone(&stop);
    let reader = std::thread::spawn(move || {
        let mut reads = 0;
        while !flag.load(Ordering::Relaxed) || reads == 0 {
            let bytes = std::fs::read(&path).unwrap();
            assert!(bytes.len() == 300_000 && bytes.iter().all(|b| *b == bytes[0]));
            reads += 1;
        }
    });
    for n in 0..30 {
        g.replace("big", if n % 2 == 0 { &new } else { &old }).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
}

#[tokio::test]
async fn writing_new_appending_and_making_directories() {
    let g = ground();
    let write = |path, text: &'static str, mode, dirs| g.files.write(path, text.into(), mode, dirs);
    assert_eq!(kind(write("x/y/z.txt", "1", WriteMode::Replace, false).await), Kind::NotFound);
    assert_eq!(write("x/y/z.txt", "1", WriteMode::CreateNew, true).await.unwrap(), (1, true));
    assert_eq!(kind(write("x/y/z.txt", "2", WriteMode::CreateNew, true).await), Kind::Conflict);
    assert_eq!(write("x/y/z.txt", "23", WriteMode::Append, true).await.unwrap(), (3, false));
    assert_eq!(write("x/new", "4", WriteMode::Append, false).await.unwrap(), (1, false));
    assert_eq!(g.read("x/y/z.txt").await.unwrap(), "123");
    assert_eq!(kind(write("sub", "1", WriteMode::Replace, false).await), Kind::Invalid);
    assert_eq!(kind(write("a.txt/b", "1", WriteMode::Replace, true).await), Kind::Invalid);
    assert_eq!(kind(write(".", "1", WriteMode::Replace, true).await), Kind::Invalid);
    assert_eq!(kind(write("q/../../out/x", "1", WriteMode::Replace, true).await), Kind::Invalid);
    assert_eq!(kind(g.replace(&g.text("ro/c.txt"), "x").await), Kind::Forbidden);
    assert_eq!(kind(g.files.create_directory(&g.text("ro/d")).await), Kind::Forbidden);
    let large = vec![0; (100 << 20) + 1];
    assert_eq!(kind(g.files.write("large", large, WriteMode::Replace, false).await), Kind::TooLarge);
    g.files.create_directory("m/n").await.unwrap();
    g.files.create_directory("m/n").await.unwrap();
    assert_eq!(kind(g.files.create_directory("a.txt").await), Kind::Conflict);
    symlink("nowhere", g.at("rw/dangling")).unwrap();
    assert_eq!(kind(write("dangling/x", "1", WriteMode::Replace, true).await), Kind::Conflict);
}

#[tokio::test]
async fn one_of_many_makes_a_new_file_and_no_draft_stays() {
    let g = ground();
    let writes = (0..8u8).map(|n| g.files.write("sub/new", vec![n; 9], WriteMode::CreateNew, false));
    let results = futures_util::future::join_all(writes).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert!(results.into_iter().filter_map(Result::err).all(|e| e.kind == Kind::Conflict));
    assert_eq!(std::fs::read_dir(g.at("rw/sub")).unwrap().count(), 2);
}

#[tokio::test]
async fn renaming_never_replaces_unasked() {
    let g = ground();
    assert_eq!(kind(g.files.rename("a.txt", "sub/b.txt", false).await), Kind::Conflict);
    assert_eq!(kind(g.files.rename("missing", "x", false).await), Kind::NotFound);
    assert_eq!(kind(g.files.rename("sub", "sub/in", false).await), Kind::Invalid);
    assert_eq!(kind(g.files.rename(&g.text("ro/c.txt"), "c", false).await), Kind::Forbidden);
    assert_eq!(kind(g.files.rename("a.txt", &g.text("ro/a"), false).await), Kind::Forbidden);
    assert_eq!(kind(g.files.rename(".", "x", false).await), Kind::Invalid);
    g.files.rename("a.txt", "sub/b.txt", true).await.unwrap();
    assert_eq!(g.read("sub/b.txt").await.unwrap(), "alpha");
    g.files.rename("sub", "moved", false).await.unwrap();
    assert_eq!(g.read("moved/b.txt").await.unwrap(), "alpha");
}

#[tokio::test]
async fn the_deepest_root_decides_about_writing() {
    let g = ground();
    let roots = vec![Root { path: g.at("rw"), write: true }, Root { path: g.at("rw/sub"), write: false }];
    let files = Files::new(roots, vec![]).unwrap();
    symlink("sub", g.at("rw/alias")).unwrap();
    for path in ["sub/b.txt", "./sub/b.txt", "alias/b.txt", "x/../sub/b.txt", &g.text("rw/sub/b.txt")] {
        assert!(files.write(path, vec![1], WriteMode::Replace, false).await.is_err(), "{path}");
    }
    assert_eq!(kind(files.rename("sub", "elsewhere", false).await), Kind::Invalid);
    assert_eq!(std::fs::read_to_string(g.at("rw/sub/b.txt")).unwrap(), "beta");
    assert!(files.write("a.txt", vec![1], WriteMode::Replace, false).await.is_ok());
}

#[tokio::test]
async fn lists_have_an_order_and_an_end() {
    let g = ground();
    for file in ["B", "z", ".hidden", "é"] {
        g.replace(file, "").await.unwrap();
    }
    g.files.create_directory("zdir").await.unwrap();
    symlink("/etc", g.at("rw/link")).unwrap();
    let names = async |hidden, max| {
        let (metas, more) = g.files.list(".", hidden, max).await.unwrap();
        (metas.into_iter().map(|m| m.name).collect::<Vec<_>>().join(" "), more)
    };
    assert_eq!(names(false, 100).await, ("sub zdir B a.txt link z é".into(), false));
    assert_eq!(names(true, 4).await, ("sub zdir .hidden B".into(), true));
    assert!(!names(false, 7).await.1);
    let (metas, _) = g.files.list(".", false, 100).await.unwrap();
    assert_eq!((metas[4].kind, &metas[4].path), (FileKind::Symlink, &g.text("rw/link")));
    assert_eq!(kind(g.files.list("a.txt", false, 1).await), Kind::Invalid);
}

#[tokio::test]
async fn walks_are_ordered_bounded_and_stay_inside() {
    let g = ground();
    g.files.write("sub/deep/er/x", b"12345".to_vec(), WriteMode::Replace, true).await.unwrap();
    std::fs::create_dir(g.at("rw/.git")).unwrap();
    std::fs::write(g.at("rw/.git/config"), "").unwrap();
    std::fs::create_dir(g.at("rw/.ssh")).unwrap();
    std::fs::write(g.at("rw/.ssh/k"), "secret").unwrap();
    symlink(g.at("out"), g.at("rw/zlink")).unwrap();
    make_pipe(g.at("rw/zpipe"));
    let walk = async |max_depth, hidden, max_entries, stop_at: &'static str| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, top) = (Arc::clone(&seen), g.text("rw/"));
        let visit = move |meta: &Meta, file: &dyn ReadFile| {
            let text =
                file.read(3).map(|b| format!("={}", String::from_utf8(b).unwrap())).unwrap_or_default();
            log.lock().unwrap().push(format!("{}{text}", meta.path.strip_prefix(&top).unwrap()));
            meta.name != stop_at
        };
        let options = WalkOptions { max_depth, hidden, max_entries };
        let end = g.files.walk(".", options, visit).await.unwrap();
        (seen.lock().unwrap().join(" "), end)
    };
    let all = "a.txt=alp sub sub/b.txt=bet sub/deep sub/deep/er sub/deep/er/x=123 zlink zpipe";
    assert_eq!(walk(99, false, 99, "").await, (all.into(), WalkEnd::Complete));
    assert_eq!(walk(99, true, 99, "").await.0, format!(".git .git/config= {all}"));
    assert_eq!(walk(0, false, 99, "").await, ("a.txt=alp sub zlink zpipe".into(), WalkEnd::Complete));
    assert_eq!(
        walk(1, false, 99, "deep").await,
        ("a.txt=alp sub sub/b.txt=bet sub/deep".into(), WalkEnd::Stopped)
    );
    assert_eq!(walk(99, false, 2, "").await, ("a.txt=alp sub".into(), WalkEnd::Limited));
    assert_eq!(walk(99, false, 8, "").await.1, WalkEnd::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_walk_ends() {
    let g = ground();
    let (entered, mut first) = tokio::sync::mpsc::unbounded_channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let visit = move |_: &Meta, _: &dyn ReadFile| {
        let _ = entered.send(());
        let _ = wait.recv();
        true
    };
    let options = WalkOptions { max_depth: 9, hidden: true, max_entries: 99 };
    tokio::select! {
        _ = g.files.walk(".", options, visit) => panic!("the walk waits"),
        seen = first.recv() => assert!(seen.is_some()),
    }
    // The future is gone by now; the visit in flight ends, and no other follows.
    drop(go);
    assert!(first.recv().await.is_none());
}
