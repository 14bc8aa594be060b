//! What a caller who may only read must not reach with commands: environments, changes, programs that a repository
//! names, files that the file tools keep closed.

use super::*;
use std::os::unix::fs::PermissionsExt;

fn reads(line: &str) -> bool {
    let argv = words::split(line).unwrap();
    let rule = Rule::of(&argv[0]);
    rule.refuse(&argv[1..]).is_ok() && rule.only_reads(&argv[1..])
}

async fn line(exec: &Exec, line: &str) -> Finished {
    exec.run(exec.parse(line).unwrap()).await.unwrap()
}

#[tokio::test]
async fn environments_of_processes() {
    let place = Place::new();
    let exec = place.exec(Profile::Standard);
    for line in [
        "ps -A e",
        "ps -A ewww",
        "ps -e e",
        "ps -ww e",
        "ps -ex",
        "ps -axe",
        "ps -auxe",
        "ps e",
        "ps auxewww",
        "ps -ewwx -u x",
        "ps -u xwe",
        "ps -uxwe",
        "ps -f -o args -C e",
        "ps -C e -u nobody",
        "ps -p e",
        "ps -pe",
        "ps -o pid -p 1e",
        "ps -E",
        "ps -- e",
        "ps -A -- e",
        "ps --sort=pid e",
        "ps -o pid,environ",
        "ps k pid e",
        "htop",
        "top -b -n 1 -z",
    ] {
        assert!(!reads(line), "{line}");
    }
    for line in
        ["ps -ef", "ps -eo pid,comm", "ps -ef -o args", "ps -e -o nosuch", "ps aux", "ps auxww", "ps 1"]
    {
        let done = super::viewer::line(&exec, line).await;
        assert!(!(done.stdout + &done.stderr).contains("CARGO_MANIFEST_DIR"), "{line}");
    }
    let listed = line(&exec, "ps -eo pid,comm").await;
    assert!(listed.stdout.lines().count() > 2, "{listed:?}");
    // What no rule holds, the kernel does: to a child without capabilities, Landlock closes the environments of processes
    // outside. What came out is not shown when this fails: it holds environments.
    let argv = ["ps", "-A", "ewww"].map(str::to_owned).to_vec();
    let shown = exec.run(exec.vetted(argv).unwrap()).await.unwrap().stdout;
    assert!(shown.lines().count() > 2, "it lists processes");
    assert!(!shown.contains("CARGO_MANIFEST_DIR"), "it shows the environment of this test");
}

#[tokio::test]
async fn no_capabilities() {
    let place = Place::new();
    place
        .script("caps.py", "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('Cap')])");
    let done = run(&place.exec(Profile::None), &["python3", "caps.py"]).await;
    let caps: Vec<_> = done.stdout.split('\'').filter(|w| w.len() == 16).collect();
    assert_eq!(caps.len(), 5, "{done:?}");
    // The bounding set of a gateway that is not root stays, and is worth nothing.
    for (at, set) in caps.iter().enumerate() {
        assert!(*set == "0000000000000000" || at == 3 && !rustix::process::geteuid().is_root(), "{done:?}");
    }
}

#[test]
fn changes_do_not_count_as_reading() {
    for line in [
        "git branch --list --no-list -D victim",
        "git branch --list --no-list made-by-viewer",
        "git branch --show-current --no-show-current -m main renamed",
        "git branch --show-current x",
        "git branch -l x",
        "git branch -a x",
        "git remote -v set-url origin https://evil.example/x",
        "git remote -v add evil https://evil.example/y",
        "git remote -v update",
        "git tag -l --no-list -d x",
        "git tag -n x",
        "git stash show --output=f",
        "git stash list --output=f",
        "git diff --output f",
        "git diff --outpu=f",
        "git log -o f",
        "git reflog expire --all",
        "git reflog delete HEAD@{0}",
        "git worktree list --no-porcelain x",
        "git config --get --replace-all a b",
        "git config --list --unset a",
        "git cat-file --filters HEAD:f",
        "git cat-file --textconv HEAD:f",
        "git blame --textconv f",
        "git blame --contents f g",
        "git log --textconv",
        "git diff --ignore-submodules=none",
        "git diff --submodule=diff",
        "git describe --dirty",
        "git range-diff a b c",
        "git submodule status",
        "git --help log",
        "git log --help",
        "git status -v",
        "git status --ignore-submodules=none",
        "git rev-list --alternate-refs",
        "git symbolic-ref HEAD refs/heads/x",
        "docker compose up",
        "docker compose ps",
        "docker compose -f x.yaml ps",
        "docker ps --config=x",
        "docker top x e",
        "docker stats --no-such",
        "kubectl cluster-info dump --output-directory=d",
        "kubectl get pods --profile-output=f",
        "kubectl get pods --cache-dir=d",
        "kubectl logs x --log-file=f",
        "helm list --repository-cache=d",
        "helm status x -o yaml",
        "pip list --log F",
        "pip list --log=F",
        "pip freeze --cache-dir=d",
        "pip --log F list",
        "npm ls --logs-dir=D",
        "npm view x --cache=D --offline",
        "npm --cache D ls",
        "npm fund x",
        "npm outdated",
        "yarn",
        "yarn --silent",
        "yarn info x",
        "cargo metadata",
        "cargo tree",
        "gh search issues x --web",
        "gh auth status --show-token",
        "gh auth status -t",
        "docker exec --privileged x ls",
        "unzip -l --l a.zip",
        "unzip -l a.zip -o",
        "date -f f",
        "date 11211200 -u",
        "hostname -F f",
        "hostname -bF f",
    ] {
        assert!(!reads(line), "{line}");
    }
    for line in ["gh auth status -t", "gh auth status --show-token", "docker exec --privileged x ls"] {
        let argv = words::split(line).unwrap();
        assert!(Rule::of(&argv[0]).refuse(&argv[1..]).is_err(), "{line}");
    }
    for line in [
        "git branch",
        "git branch -a --sort=-committerdate",
        "git branch --list 'x*'",
        "git branch --show-current",
        "git tag",
        "git tag -l 'v*' -n3",
        "git remote -v",
        "git remote",
        "git stash list",
        "git stash show -p 0",
        "git reflog",
        "git reflog show main -5",
        "git log --oneline --graph --all -20 -- src",
        "git log --since 2.weeks --author=x --format='%h %s'",
        "git show HEAD~2 --stat",
        "git diff --cached --name-only",
        "git diff main...topic -- a b",
        "git blame -L 1,20 f",
        "git rev-parse --abbrev-ref HEAD",
        "git ls-files -m -o --exclude-standard",
        "git grep -n -e x -- '*.rs'",
        "git status --porcelain=v2 -b",
        "git cat-file -p HEAD:f",
        "docker logs --tail 100 -f x",
        "docker images",
        "kubectl get pods -A -o wide",
        "kubectl logs -f x -c y --tail=10",
        "helm list -A",
        "pip list --outdated --format=json",
        "pip show requests",
        "npm ls --depth=0 --json",
        "npm view react version",
        "gh pr view 12 --json title",
        "date -d tomorrow +%F",
        "unzip -l a.zip",
    ] {
        assert!(reads(line), "{line}");
    }
}

/// TCP is for the subcommands that fetch, not for those that run the project's programs.
#[tokio::test]
async fn tcp_by_subcommand() {
    let connects = |line: &str| {
        let argv = words::split(line).unwrap();
        Rule::of(&argv[0]).connects(&argv[1..])
    };
    for line in [
        "npm install",
        "npm --silent ci",
        "npm view x",
        "pip install x",
        "yarn",
        "yarn add x",
        "cargo fetch",
        "git clone https://x.example/y",
        "git -C sub push",
        "git remote update",
        "git submodule update --init",
        "docker run x",
        "kubectl get pods",
    ] {
        assert!(connects(line), "{line}");
    }
    for line in [
        "npm run go",
        "npm test",
        "npm start",
        "npm rebuild",
        "yarn run x",
        "yarn build",
        "cargo build",
        "cargo run",
        "cargo test",
        "git commit -m x",
        "git status",
        "git log",
        "git remote -v",
        "git submodule status",
        "pip list2",
        "python3 a.py",
        "make",
    ] {
        assert!(!connects(line), "{line}");
    }

    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let package = r#"{"name": "x", "version": "1.0.0", "scripts": {"go": "node go.js"}}"#;
    std::fs::write(place.file("write/package.json"), package).unwrap();
    let go = format!(
        "require('net').connect({port}, '127.0.0.1').on('connect', () => {{ console.log('in'); process.exit() }})\
         .on('error', e => console.log(e.code))"
    );
    std::fs::write(place.file("write/go.js"), go).unwrap();
    let done = line(&place.exec(Profile::Standard), "npm run --silent go").await;
    assert_eq!(done.stdout.trim(), "EACCES", "{done:?}");
}

/// A home of its own: nothing is left in the root.
#[tokio::test]
async fn reads_leave_nothing() {
    let place = Place::new();
    let exec = place.exec(Profile::Standard);
    std::fs::write(place.file("write/package.json"), r#"{"name": "x", "version": "1.0.0"}"#).unwrap();
    std::fs::write(place.file("write/.npmrc"), "cache=./kept\nlogs-dir=./logs\n").unwrap();
    let entries = || {
        let mut names: Vec<_> =
            std::fs::read_dir(place.dir("write")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = entries();
    assert!(line(&exec, "npm ls").await.stdout.contains("x@1.0.0"));
    line(&exec, "npm config list").await;
    line(&exec, "top -b -n 1").await;
    assert_eq!(entries(), before);
    let home = line(&exec, "env").await.stdout;
    assert!(!home.contains(&format!("HOME={}", place.file("write"))), "{home}");
}

#[tokio::test]
async fn files_closed_by_name() {
    let place = Place::new();
    let root = place.dir("write");
    for path in ["d/id_rsa", "proj/.npmrc", "proj/.git-credentials", "d/.ssh/config", "proj/.aws/credentials"]
    {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), "hunter2").unwrap();
    }
    std::os::unix::fs::symlink("d/id_rsa", root.join("way")).unwrap();
    let exec = place.exec(Profile::Standard);
    for line in [
        "cat d/id_rsa",
        "cat ./proj/../proj/.npmrc",
        "head -n 1 proj/.git-credentials",
        "cat d/.ssh/config",
        "ls d/.ssh",
        "cat proj/.aws/credentials",
        "cat way",
        "grep -r x d/.ssh",
        "grep --file=proj/.npmrc f",
        "grep -fproj/.npmrc f",
        "grep -vfproj/.npmrc f",
        "git show HEAD:proj/.npmrc",
        "git -C d/.ssh log",
    ] {
        let refused = exec.run(exec.parse(line).unwrap()).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Forbidden, "{line}");
        assert!(refused.message.contains("closed to commands"), "{line}: {refused}");
    }
    assert_eq!(line(&exec, "cat f").await.stdout, "write");
    assert_eq!(line(&exec, "echo 'mail: a@b, see .npmrc'").await.exit_code, Some(0));
}

/// A repository that names programs wherever git takes one. `ran` beside it says that one ran.
struct Hostile {
    place: Place,
    exec: Exec,
}

impl Hostile {
    async fn new(attributes: &str, config: &str) -> Self {
        let place = Place::new();
        let exec = place.exec(Profile::None);
        std::fs::write(
            place.file("write/evil"),
            format!("#!/bin/sh\necho x >> {}\ncat\n", place.file("ran")),
        )
        .unwrap();
        std::fs::set_permissions(place.file("write/evil"), PermissionsExt::from_mode(0o755)).unwrap();
        for line in
            ["git init -q -b main .", "git add f", "git -C . commit -q --author='a <a@b.example>' -m one"]
        {
            let mut command = exec.parse(line).unwrap();
            if line.contains("commit") {
                std::fs::write(place.file("write/.git/config"), "[user]\n name = a\n email = a@b.example\n")
                    .unwrap();
            }
            command.timeout = Duration::from_secs(20);
            let done = exec.run(command).await.unwrap();
            assert_eq!(done.exit_code, Some(0), "{line}: {done:?}");
        }
        std::fs::write(place.file("write/f"), "changed").unwrap();
        line(&exec, "git stash").await;
        std::fs::write(place.file("write/f"), "again").unwrap();
        std::fs::write(place.file("write/.gitattributes"), attributes).unwrap();
        let path = place.file("write/.git/config");
        let config = config.replace("EVIL", &place.file("write/evil"));
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + &config).unwrap();
        Self { place, exec }
    }

    fn ran(&self) -> bool {
        std::fs::remove_file(self.place.dir("ran")).is_ok()
    }

    /// Every line counts as reading and runs nothing, also with the profile `none`.
    async fn stays_quiet(&self, lines: &[&str]) {
        for line in lines {
            let command = self.exec.parse(line).unwrap();
            assert_eq!(command.effect(), Effect::Read, "{line}");
            let done = self.exec.run(command).await.unwrap();
            assert!(!self.ran(), "{line}: {done:?}");
            assert!(matches!(done.exit_code, Some(0 | 1)), "{line}: {done:?}");
        }
    }

    /// The same configuration does run a program where git is called without care: the test can fail.
    async fn runs(&self, argv: &[&str]) {
        let status =
            tokio::process::Command::new("git").args(argv).current_dir(self.place.dir("write")).output();
        let status = status.await.unwrap();
        assert!(self.ran(), "{argv:?}: {status:?}");
    }
}

#[tokio::test]
async fn git_filters() {
    for (members, required) in [("clean = EVIL\n smudge = EVIL", "true"), ("process = EVIL", "false")] {
        let config =
            format!("[filter \"e.v= il\"]\n {members}\n required = {required}\n[filter \"e\"]\n {members}\n");
        let hostile = Hostile::new("f filter=e\n", &config).await;
        hostile.runs(&["diff"]).await;
        hostile
            .stays_quiet(&[
                "git status",
                "git diff",
                "git diff --stat HEAD",
                "git ls-files -m",
                "git blame f",
                "git describe --always",
                "git stash show -p",
                "git cat-file -p HEAD:f",
                "git grep again",
                "git -C . status",
            ])
            .await;
    }
    // A filter that the configuration only includes.
    let hostile = Hostile::new("f filter=e\n", "[include]\n path = more\n").await;
    let more = format!("[filter \"e\"]\n clean = {}\n", hostile.place.file("write/evil"));
    std::fs::write(hostile.place.file("write/.git/more"), more).unwrap();
    hostile.runs(&["diff"]).await;
    hostile.stays_quiet(&["git status", "git diff"]).await;
}

#[tokio::test]
async fn git_drivers() {
    let config = "[diff]\n external = EVIL\n[diff \"e\"]\n textconv = EVIL\n command = EVIL\n[core]\n fsmonitor = EVIL\n\
                  [log]\n showSignature = true\n[gpg]\n program = EVIL\n[gpg \"openpgp\"]\n program = EVIL\n";
    let hostile = Hostile::new("f diff=e\n", config).await;
    hostile.runs(&["blame", "f"]).await;
    hostile.runs(&["log", "-p", "--ext-diff"]).await;
    hostile
        .stays_quiet(&[
            "git status",
            "git diff",
            "git diff HEAD",
            "git log -p",
            "git show",
            "git diff-tree -p HEAD",
            "git blame f",
            "git annotate f",
            "git reflog show -p",
            "git reflog -p",
            "git stash list -p",
            "git stash show -p",
            "git shortlog HEAD",
            "git rev-list HEAD",
            "git grep again",
        ])
        .await;
}

#[tokio::test]
async fn git_submodules_are_not_entered() {
    let hostile = Hostile::new("", "").await;
    let inner = hostile.place.dir("write").join("sub");
    std::fs::create_dir(&inner).unwrap();
    for line in ["git -C sub init -q", "git -C sub add g"] {
        std::fs::write(inner.join("g"), "g").unwrap();
        super::viewer::line(&hostile.exec, line).await;
    }
    let config = format!(
        "[user]\n name = a\n email = a@b.example\n[filter \"e\"]\n clean = {0}\n[diff]\n external = {0}\n",
        hostile.place.file("write/evil")
    );
    line(&hostile.exec, "git -C sub -C . add g").await;
    std::fs::write(inner.join(".git/config"), config).unwrap();
    line(&hostile.exec, "git -C sub commit -q -m inner").await;
    line(&hostile.exec, "git add sub").await;
    std::fs::write(inner.join(".gitattributes"), "g filter=e\n").unwrap();
    std::fs::write(inner.join("g"), "h").unwrap();
    hostile.ran();
    hostile.runs(&["status"]).await;
    hostile.stays_quiet(&["git status", "git diff", "git diff HEAD", "git ls-files -m"]).await;
}

/// A missing object of a partial clone is fetched with a program that the configuration names.
#[tokio::test]
async fn git_fetches_nothing() {
    let config = "[core]\n repositoryformatversion = 1\n[extensions]\n partialClone = p\n[remote \"p\"]\n url = .\n \
                  promisor = true\n uploadpack = EVIL\n";
    let hostile = Hostile::new("", config).await;
    // It must not wait for what git would say.
    let evil = format!("#!/bin/sh\necho x >> {}\n", hostile.place.file("ran"));
    std::fs::write(hostile.place.file("write/evil"), evil).unwrap();
    let missing = "1111111111111111111111111111111111111111";
    hostile.runs(&["cat-file", "-p", missing]).await;
    for line in [format!("git show {missing}"), format!("git cat-file -p {missing}")] {
        let command = hostile.exec.parse(&line).unwrap();
        assert_eq!(command.effect(), Effect::Read);
        let done = hostile.exec.run(command).await.unwrap();
        assert!(done.exit_code != Some(0) && !hostile.ran(), "{done:?}");
    }
}
