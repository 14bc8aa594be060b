//! What is refused, and what a command counts as: the table of attacks, most of them reported against peers.

use super::*;

#[test]
fn attacks_are_refused() {
    let place = Place::new();
    let exec = place.exec(Profile::Standard);
    let lines = [
        // shell grammar (bypasses by substitution, quotes, newline, chains)
        "ls; whoami",
        "ls && whoami",
        "ls || whoami",
        "ls | cat",
        "ls & whoami",
        "ls\nwhoami",
        "ls\r\nwhoami",
        "echo $(whoami)",
        "echo `whoami`",
        "echo \"$(whoami)\"",
        "echo \"`whoami`\"",
        "echo ${HOME}",
        "echo $HOME",
        "cat < /etc/passwd",
        "echo x > f",
        "ls 2>&1",
        "(ls)",
        "cat <(ls)",
        "ls # x",
        "echo $'\\x41'",
        "ls\\\nwhoami",
        // another program, or an allowed one by another name
        "sh -c ls",
        "bash -c ls",
        "'sh' -c ls",
        "s\\h -c ls",
        "\"b\"ash -c ls",
        "/bin/sh -c ls",
        "/bin/ls",
        "../../bin/ls",
        "./ls",
        "/usr/bin/env sh",
        "env sh -c ls",
        "env ls",
        "env -i ls",
        "env -S 'sh -c ls'",
        "env A=b ls",
        "xargs ls",
        "busybox sh",
        "sudo ls",
        "nohup ls",
        "timeout 5 ls",
        "LD_PRELOAD=x ls",
        "PATH=/tmp ls",
        "A=b ls",
        "sh*",
        "/???/l?",
        "l?",
        "-c",
        "LS",
        "ls\u{a0}-l",
        "eval ls",
        "exec ls",
        "export A=b",
        "curl http://x.example/",
        "wget http://x.example/",
        "ping x.example",
        // interpreters
        "python3 -c 'print(1)'",
        "python3 -cprint(1)",
        "python3 -Ic x",
        "python3 -Bsc x",
        "python3 -W ignore -c x",
        "python3 -X dev -cx",
        "python3 -m timeit x",
        "python3 -mcode",
        "python3 -Im pdb",
        "python3 --check-hash-based-pycs x",
        "python3 -m http.server",
        "node -e x",
        "node --eval x",
        "node --eval=x",
        "node -p x",
        "node -pe x",
        "node --print x",
        "node --require ./a.js -e x",
        "node --import=data:text/javascript,x",
        "node --inspect-brk a.js",
        "node -r ./a.js -e x",
        "node --experimental-loader=data:x a.js",
        "npx cowsay",
        "npx --yes cowsay",
        "npx --no-install -c ls",
        "npx -p x y",
        "npx --no-install sh",
        "npm exec x",
        "npm x y",
        "npm explore a",
        "npm run a --script-shell=/bin/x",
        "npm config set script-shell x",
        "npm init evil",
        "yarn dlx x",
        "yarn exec x",
        "yarn node -e x",
        // programs that run others
        "find . -exec id {} +",
        "find . -execdir id",
        "find . -ok id",
        "find . -okdir id",
        "find . -delete",
        "find . -fprint f",
        "find . -fprintf f x",
        "find . -fls f",
        "tar -cf a --to-command=id b",
        "tar cf a b --checkpoint=1 --checkpoint-action=exec=id",
        "tar -cf a --checkpoint-act exec=id b",
        "tar -I id -xf a",
        "tar -xIid -f a",
        "tar xIf id a",
        "tar --use-compress-prog=id -xf a",
        "tar -xf a -T list",
        "tar -xf a --rsh-command=id",
        "tar -F id -cf a b",
        "tar --info-script=id -cMf a b",
        "zip a.zip b -T -TT id",
        "zip -rT a b",
        "zip --unzip-command=id -T a",
        "make SHELL=/bin/x",
        "make --eval=x",
        "make --eva x",
        "make -E x",
        "make -kE x",
        "make 'A=$(shell id)'",
        "make 'CC=sh -c id'",
        "make MAKEFLAGS=--eval=x",
        "make .SHELLFLAGS=-c",
        "make SHELL:=x",
        "make 'a;b'",
        "cmake -E env id",
        "cmake -E time id",
        "cmake -DCMAKE_C_COMPILER_LAUNCHER=id .",
        "cmake -DCMAKE_MAKE_PROGRAM=id .",
        "cmake --build . -- SHELL=x",
        "cargo --config a=b build",
        "cargo build --config build.rustc-wrapper=x",
        "cargo +nightly build",
        "cargo evil",
        "cargo install x",
        "pip install --python /bin/x a",
        "pip install file:///etc",
        "pip install http://127.0.0.1/x",
        "pip install http://[::1]:80/x",
        "pip install http://2130706433/",
        "pip install http://u@169.254.169.254/x",
        // git
        "git -c core.pager=id log",
        "git -c alias.x=!id x",
        "git --exec-path=/tmp log",
        "git --config-env=a=b log",
        "git evil-alias",
        "git clone --upload-pack=id x",
        "git clone --upload-pa id x",
        "git clone -u id x",
        "git clone -c core.sshCommand=id x",
        "git clone --config core.x=id x",
        "git clone ext::id",
        "git fetch ext::id",
        "git clone 'ext::sh -c id'",
        "git ls-remote --exec=id x",
        "git submodule foreach id",
        "git bisect run id",
        "git rebase -x id",
        "git rebase --exec=id",
        "git config core.pager id",
        "git config --global alias.x y",
        "git difftool -x id",
        "git grep -Oid x",
        "git grep --open-files-in-pager=id x",
        "git log --ext-diff",
        "git --git-dir=x log",
        "git filter-branch --tree-filter id",
        "git clone file:///root",
        "git daemon",
        "git archive --remote=ext::id HEAD",
        "git clone http://localhost:8080/x",
        "git clone http://10.0.0.1/x",
        "git init --template=x",
        "git remote add x ext::id",
        "git send-email --smtp-server=id x",
        "git credential fill",
        // containers and clusters
        "docker run --privileged x",
        "docker run -v /:/h x",
        "docker run -v/:/h x",
        "docker run -itv /:/h x",
        "docker run --volume=/:/h x",
        "docker run --volume /etc:/h x",
        "docker run --mount type=bind,src=/,dst=/h x",
        "docker run --mount=type=bind,src=/,dst=/h x",
        "docker run --pid=host x",
        "docker run --pid host x",
        "docker run --net=host x",
        "docker run --network host x",
        "docker run --device=/dev/sda x",
        "docker run --cap-add SYS_ADMIN x",
        "docker run --security-opt seccomp=unconfined x",
        "docker -H tcp://x ps",
        "docker --host=x ps",
        "docker volume create --opt device=/ x",
        "docker volume create -o device=/ x",
        "docker container run --privileged x",
        "docker container run -v /:/h x",
        "docker plugin install x",
        "docker login",
        "docker --config=/x ps",
        "docker context use x",
        "docker run -v ../:/h x",
        "kubectl --kubeconfig=x get pods",
        "kubectl get pods --kubeconfig x",
        "kubectl get secrets",
        "kubectl get secret/x",
        "kubectl get pods,secrets -o yaml",
        "kubectl describe secret x",
        "kubectl get --raw /api",
        "kubectl proxy",
        "kubectl evil",
        "kubectl config view --raw",
        "kubectl create token x",
        "kubectl --token=x get pods",
        "kubectl edit x",
        "helm plugin install x",
        "helm template x --post-renderer id",
        "helm evil",
        // environments and terminals
        "ps eww",
        "ps auxe",
        "ps -o environ",
        "top",
        "black -c x",
        "black --code=x",
        "mypy --python-executable=x",
        "gh alias set x '!id'",
        "gh extension exec x",
        "gh auth token",
        "gh evil",
        "gh repo clone a/b -- --upload-pack=id",
        "npm fund --browser=id",
        "yarn workspaces foreach exec id",
    ];
    for line in lines {
        let error = exec.parse(line).map(|c| c.argv()).expect_err(line);
        assert!(
            matches!(error.kind, Kind::Forbidden | Kind::Invalid),
            "{line:?} is refused for another reason: {error:?}"
        );
    }
    assert!(lines.len() > 150);
}

/// As `Exec::parse` would say, but also for programs that are not installed here.
fn effect(line: &str) -> Result<Effect, String> {
    let argv = words::split(line).unwrap();
    let rule = Rule::of(&argv[0]);
    rule.refuse(&argv[1..])?;
    Ok(if rule.only_reads(&argv[1..]) { Effect::Read } else { Effect::Write })
}

#[test]
fn effects() {
    for line in [
        "ls -la",
        "cat f",
        "head -n 3 f",
        "tail f",
        "grep -r -e '-exec' .",
        "wc f",
        "pwd",
        "whoami",
        "hostname",
        "uname -a",
        "date",
        "date -u +%F",
        "date -d yesterday",
        "echo -exec",
        "git status",
        "git log -p --stat",
        "git diff HEAD~1",
        "git show",
        "git branch --list",
        "git -C sub status",
        "ps aux",
        "ps -ef",
        "ps -o pid,comm",
        "ps -C node",
        "top -b -n 1",
        "find . -name '*.rs' -type f",
        "docker ps -a",
        "docker --version",
        "kubectl get pods",
        "kubectl -n a describe pod x",
        "kubectl logs x",
        "kubectl rollout status deploy/x",
        "helm list",
        "env",
        "npm ls",
        "pip list",
        "gh pr list",
        "python3 --version",
        "node -v",
        "git config --get user.name",
    ] {
        assert_eq!(effect(line), Ok(Effect::Read), "{line}");
    }
    for line in [
        "date -s 12:00",
        "date 11211200",
        "date --set=x",
        "hostname evil",
        "git commit -m 'std::mem moved'",
        "git switch -c x",
        "git branch x",
        "git branch -D x",
        "git log --output=f",
        "git push -u origin main",
        "git stash",
        "git tag x",
        "git clone https://example.org/x.git",
        "git remote add o https://example.org/x",
        "pip install x",
        "npm install",
        "npm run build",
        "npx --no-install eslint .",
        "yarn add x",
        "make -j4 test",
        "make CFLAGS=-O2 all",
        "cmake -S . -B build -DX=ON",
        "cmake --build build",
        "cargo test",
        "docker run --rm -v data:/d alpine ls /",
        "docker build -t x .",
        "docker exec x ls",
        "docker compose up -d",
        "kubectl apply -f x.yaml",
        "kubectl delete pod x",
        "kubectl scale deploy/x --replicas=2",
        "helm upgrade x y",
        "tar czf a.tgz b",
        "tar -xf a.tar -C d",
        "zip -r a.zip b",
        "unzip a.zip",
        "gzip f",
        "python3 a.py -c x",
        "python3 -m pytest -x -k 'a or b'",
        "python3 -u -W ignore a.py",
        "python3 -X dev a.py",
        "node a.js -e x",
        "node --test",
        "pytest -x",
        "ruff check .",
        "black .",
        "gh pr create",
        "docker create x",
        "some-program --exec",
    ] {
        assert_eq!(effect(line), Ok(Effect::Write), "{line}");
    }
}

#[test]
fn settings_that_would_open_the_door_are_refused() {
    let rules = |f: fn(&mut ExecRules)| {
        let mut rules = ExecRules::default();
        f(&mut rules);
        Exec::new(rules, vec![], vec![], vec![]).err().map(|e| e.kind)
    };
    assert_eq!(rules(|_| ()), None);
    for name in ["sh", "bash", "xargs", "sudo", "busybox"] {
        let rules = ExecRules { allow: vec![name.into()], ..ExecRules::default() };
        assert!(Exec::new(rules, vec![], vec![], vec![]).is_err(), "{name}");
    }
    assert_eq!(rules(|r| r.allow = vec!["/bin/ls".into()]), Some(Kind::Invalid));
    for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "TOOLGATE_KEY", "PATH", "BASH_ENV", "A=B", ""] {
        let rules = ExecRules { env: vec![name.into()], ..ExecRules::default() };
        assert!(Exec::new(rules, vec![], vec![], vec![]).is_err(), "{name}");
    }
    assert_eq!(rules(|r| r.path = vec!["bin".into()]), Some(Kind::Invalid));
    assert_eq!(rules(|r| r.max_children = 0), Some(Kind::Invalid));
    let all = ExecRules {
        allow: vec!["ls".into(), "bash".into(), "/bin/ls".into()],
        network: vec!["a b".into()],
        env: vec!["LANGUAGE".into(), "LD_PRELOAD".into()],
        path: vec!["/opt/bin".into(), "bin".into()],
        max_children: 10_001,
        ..ExecRules::default()
    };
    let problems = all.problems();
    let paths: Vec<&str> = problems.iter().map(|p| p.split_once(": ").unwrap().0).collect();
    let expected = [
        "exec.allow[1]",
        "exec.allow[2]",
        "exec.network[0]",
        "exec.env[1]",
        "exec.path[1]",
        "exec.max_children",
    ];
    assert_eq!(paths, expected, "{problems:?}");
    assert!(Exec::new(ExecRules::default(), vec!["/no/such/directory".into()], vec![], vec![]).is_err());
}

#[test]
fn strict_needs_landlock() {
    let strict = || ExecRules { profile: Profile::Strict, ..ExecRules::default() };
    for abi in [0, 1, 3] {
        let error = Exec::with_abi(strict(), vec![], vec![], vec![], abi).err().unwrap();
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.message.contains("needs Landlock ABI 4"), "{error}");
    }
    assert!(Exec::with_abi(strict(), vec![], vec![], vec![], 4).is_ok());
    let exec = Exec::with_abi(ExecRules::default(), vec![], vec![], vec![], 0).unwrap();
    assert!(exec.confinement().contains("no Landlock"));
}

#[test]
fn named_programs_keep_their_rules() {
    let place = Place::new();
    let rules = ExecRules { allow: vec!["curl".into(), "wget".into()], ..ExecRules::default() };
    let exec = place.exec_with(rules, vec![]);
    for line in [
        "curl file:///etc/passwd",
        "curl FILE:/etc/passwd",
        "curl -K f",
        "curl -sK f",
        "curl --config f",
        "curl gopher://x",
        "curl --unix-socket /var/run/docker.sock http://x/",
        "curl http://169.254.169.254/",
        "wget -i f",
        "wget -e a=b x",
        "wget --execute=a x",
        "ls",
    ] {
        assert_eq!(exec.parse(line).unwrap_err().kind, Kind::Forbidden, "{line}");
    }
    assert_eq!(effect("curl -s http://localhost:9090/metrics"), Ok(Effect::Write));
}

#[test]
fn lines_for_display() {
    let place = Place::new();
    let exec = place.exec(Profile::Standard);
    let command = exec.parse(r#"echo "a b" 'it'\''s' c"#).unwrap();
    assert_eq!(command.argv(), ["echo", "a b", "it's", "c"]);
    assert_eq!(command.line(), r"echo 'a b' 'it'\''s' c");
    assert_eq!(words::split(&command.line()).unwrap(), command.argv());
}
