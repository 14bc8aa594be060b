//! Imports: a fixture of each client and of a registry, names, secrets, bundles that are well and ill.

use super::*;
use serde_json::json;
use std::io::Write;
use toolgate_upstream::settings::Transport;

struct World {
    data: tempfile::TempDir,
    given: BTreeMap<String, String>,
}

impl World {
    fn new() -> Self {
        Self { data: tempfile::tempdir().unwrap(), given: BTreeMap::new() }
    }

    fn given(mut self, id: &str, value: &str) -> Self {
        self.given.insert(id.into(), value.into());
        self
    }

    fn around<R>(&self, run: impl FnOnce(&Around<'_>) -> R) -> R {
        let env = |name: &str| match name {
            "TOKEN" => Some("s3cret-token".to_owned()),
            "REGION" => Some("eu".to_owned()),
            _ => None,
        };
        run(&Around {
            env: &env,
            home: Some(Path::new("/h/ann")),
            folder: Some(Path::new("/p")),
            data: self.data.path(),
            files: true,
            given: &self.given,
        })
    }

    fn plan(&self, document: Value) -> Plan {
        self.around(|around| plan(&document, around)).unwrap().settle(&[], self.data.path())
    }

    fn waiting(&self, name: &str, id: &str) -> String {
        format!("${{file:{}/secrets/{name}/{id}}}", self.data.path().display())
    }
}

fn one(plan: &Plan) -> &Candidate {
    assert_eq!((plan.servers.len(), plan.skipped.len()), (1, 0), "{plan:?}");
    &plan.servers[0]
}

#[test]
fn claude_code() {
    let plan = World::new().plan(json!({"mcpServers": {
        "My Server": {"type": "stdio", "command": "npx", "args": ["-y", "x@1", "--region=${REGION}"],
            "env": {"API_TOKEN": "${TOKEN}", "LEVEL": "${LEVEL:-info}", "MISSING": "${MISSING}"}},
        "remote": {"type": "http", "url": "https://${REGION}.example.com/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"},
            "oauth": {"clientId": "x"}},
        "old": {"type": "sse", "url": "https://example.com/sse"},
        "toolgate": {"command": "/usr/bin/toolgate", "args": ["stdio"]},
        "nothing": {},
    }}));
    let names: Vec<&str> = plan.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["my-server", "remote", "old"]);
    let mine = &plan.servers[0];
    assert_eq!(mine.settings.command.as_deref(), Some("npx"));
    assert_eq!(mine.settings.args, ["-y", "x@1", "--region=eu"]);
    assert_eq!(mine.settings.env["API_TOKEN"], "${env:TOKEN}");
    assert_eq!(mine.settings.env["LEVEL"], "info");
    assert_eq!(mine.settings.env["MISSING"], "${env:MISSING}");
    assert!(mine.notes.iter().any(|note| note.contains("MISSING")), "{:?}", mine.notes);
    let remote = &plan.servers[1];
    assert_eq!(remote.settings.url.as_deref(), Some("https://eu.example.com/mcp"));
    assert_eq!(remote.settings.headers["Authorization"], "Bearer ${env:TOKEN}");
    assert!(remote.notes.iter().any(|note| note.contains("oauth")));
    assert_eq!(plan.servers[2].settings.transport, Transport::Sse);
    let skipped: Vec<&str> = plan.skipped.iter().map(|skipped| skipped.original.as_str()).collect();
    assert_eq!(skipped, ["toolgate", "nothing"]);
}

#[test]
fn claude_desktop_on_windows() {
    let plan = World::new().plan(json!({"mcpServers": {"fs": {
        "command": "cmd", "args": ["/c", "npx", "-y", "@modelcontextprotocol/server-filesystem", "/data"],
        "env": {"GITHUB_TOKEN": "ghp_0123456789abcdefghij"}
    }}}));
    let server = one(&plan);
    assert_eq!(server.settings.command.as_deref(), Some("npx"));
    assert_eq!(server.settings.args, ["-y", "@modelcontextprotocol/server-filesystem", "/data"]);
    // A literal stays until it is stored, and is said.
    assert!(server.notes.iter().any(|note| note.starts_with("env.GITHUB_TOKEN:")), "{:?}", server.notes);
    assert!(!format!("{:?}", server.notes).contains("ghp_"));
}

#[test]
fn vs_code_with_inputs_and_comments() {
    let world = World::new().given("given", "v4lue");
    let text = r#"{ // what the team uses
        "inputs": [{"type": "promptString", "id": "key", "password": true}],
        "servers": {
            "a": {"type": "stdio", "command": "uvx", "args": ["--dir", "${workspaceFolder}/d"], "cwd": "sub",
                  "env": {"K": "${input:key}", "G": "${input:given}", "E": "${env:TOKEN}"}},
            "b": {"type": "http", "url": "https://b.example/mcp", "headers": {"X-Key": "${input:key}"}},
        },
    }"#;
    let plan = world.plan(parse(text).unwrap());
    let (a, b) = (&plan.servers[0], &plan.servers[1]);
    assert_eq!(a.settings.args, ["--dir", "/p/d"]);
    assert_eq!(a.settings.cwd.as_deref(), Some(Path::new("/p/sub")));
    assert_eq!(a.settings.env["K"], world.waiting("a", "key"));
    assert_eq!(a.settings.env["G"], world.waiting("a", "given"));
    assert_eq!(a.settings.env["E"], "${env:TOKEN}");
    assert_eq!(a.files, [(waiting(world.data.path(), "a", "given"), "v4lue".to_owned())]);
    assert_eq!(b.settings.headers["X-Key"], world.waiting("b", "key"));
}

#[test]
fn cursor() {
    let world = World::new();
    let file = world.data.path().join("x.env");
    std::fs::write(&file, "# c\nA=1\nexport B='two'\nnot a line\n").unwrap();
    let plan = world.plan(json!({"mcpServers": {
        "r": {"url": "https://r.example/mcp", "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
        "p": {"command": "node", "args": ["${userHome}/s.js"], "envFile": file, "disabled": true},
    }}));
    assert_eq!(plan.servers[0].settings.transport, Transport::Auto);
    let p = &plan.servers[1].settings;
    assert_eq!((p.enabled, p.args[0].as_str()), (false, "/h/ann/s.js"));
    assert_eq!((p.env["A"].as_str(), p.env["B"].as_str(), p.env.len()), ("1", "two", 2));
}

#[test]
fn what_cannot_be_is_skipped_with_its_reason() {
    let plan = World::new().plan(json!({"mcpServers": {
        "both": {"command": "x", "url": "https://a/"},
        "ws": {"type": "ws", "url": "wss://a/"},
        "arg": {"command": "x", "args": ["--token=${TOKEN}"]},
        "unset": {"command": "x", "args": ["${UNSET}"]},
        "odd": {"command": "x", "env": {"A": "${command:x}"}},
        "list": {"command": "x", "args": "y"},
        "secret": {"url": "https://a.example/?token=abcdefgh"},
        "loader": {"command": "x", "env": {"LD_PRELOAD": "y"}},
        "text": 1,
    }}));
    assert!(plan.servers.is_empty(), "{:?}", plan.servers);
    let reason = |name: &str| &plan.skipped.iter().find(|skipped| skipped.original == name).unwrap().reason;
    for (name, part) in [
        ("both", "both"),
        ("ws", "WebSocket"),
        ("arg", "secret"),
        ("unset", "UNSET is not set"),
        ("odd", "not understood"),
        ("list", "args"),
        ("secret", "headers"),
        ("loader", "LD_PRELOAD"),
        ("text", "not an object"),
    ] {
        assert!(reason(name).contains(part), "{name}: {}", reason(name));
    }
    assert!(!format!("{plan:?}").contains("s3cret-token"));
    assert!(World::new().around(plan_error).contains("mcpServers"));
}

fn plan_error(around: &Around<'_>) -> String {
    plan(&json!({"x": 1}), around).unwrap_err().message().to_owned()
}

#[test]
fn names_are_made_and_stay_apart() {
    for (original, name) in [
        ("My Server", "my-server"),
        ("a__b", "a_b"),
        ("--x--", "x"),
        ("3d", "s-3d"),
        ("@scope/pkg", "scope-pkg"),
        ("servers", "servers-server"),
        ("é", "s"),
        ("", "s"),
    ] {
        assert_eq!(made_name(original), name, "{original:?}");
    }
    assert_eq!(made_name(&"x".repeat(60)).len(), 40);
    let world = World::new();
    let entry = || json!({"command": "x", "env": {"K": "${input:k}"}});
    let plan = world.plan(json!({"mcpServers": {"a b": entry(), "a-b": entry(), "omnipotent": entry()}}));
    let names: Vec<&str> = plan.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["a-b", "a-b-2", "omnipotent-2"]);
    assert_eq!(plan.servers[1].settings.env["K"], world.waiting("a-b-2", "k"), "secrets stay apart");
    let only = plan.only(&["omnipotent".into(), "a-b-2".into()]).unwrap();
    assert_eq!(only.servers.len(), 2);
    assert!(only.only(&["ghost".into()]).unwrap_err().message().contains("ghost"));
}

#[test]
fn entries_of_a_registry() {
    let world = World::new().given("tenant", "acme");
    let plan = world.plan(json!({"servers": [
        {"server": {"name": "io.example/remote", "version": "1.2.3", "description": "d", "remotes": [
            {"type": "streamable-http", "url": "https://{tenant}.example/mcp", "headers": [
                {"name": "Authorization", "value": "Bearer {key}", "variables": {"key": {"isSecret": true}}},
                {"name": "X-Mode", "default": "fast"}, {"name": "X-Maybe"}]}]}},
        {"server": {"name": "io.example/npm", "version": "1.0.0", "packages": [
            {"registryType": "npm", "identifier": "@example/server", "version": "1.0.0", "transport": {"type": "stdio"},
             "runtimeArguments": [{"type": "positional", "value": "-y"}],
             "packageArguments": [{"type": "named", "name": "--mode", "default": "safe"}],
             "environmentVariables": [{"name": "API_KEY", "isSecret": true, "isRequired": true}]}]}},
        {"server": {"name": "io.example/py", "version": "2.0", "packages": [
            {"registryType": "pypi", "identifier": "py-server", "version": "2.0"}]}},
        {"server": {"name": "io.example/range", "version": "2", "packages": [
            {"registryType": "npm", "identifier": "x", "version": "latest"}]}},
        {"server": {"name": "io.example/option", "version": "2", "packages": [
            {"registryType": "npm", "identifier": "--eval", "version": "1.0.0"}]}},
        {"server": {"name": "io.example/oci", "version": "2", "packages": [
            {"registryType": "oci", "identifier": "docker.io/x", "version": "1.0.0"}]}},
        {"server": {"name": "io.example/gone", "version": "1", "remotes": [{"type": "sse", "url": "https://a.example"}]},
         "_meta": {"io.modelcontextprotocol.registry/official": {"status": "deleted"}}},
    ]}));
    let [remote, npm, py] = &plan.servers[..] else { panic!("{plan:?}") };
    assert_eq!(remote.settings.url.as_deref(), Some("https://acme.example/mcp"));
    assert_eq!(
        remote.settings.headers["Authorization"],
        format!("Bearer {}", world.waiting("remote", "key"))
    );
    assert_eq!(remote.settings.headers["X-Mode"], "fast");
    assert_eq!(remote.settings.headers.len(), 2);
    assert!(remote.settings.enabled);
    assert_eq!(npm.settings.args, ["-y", "@example/server@1.0.0", "--mode", "safe"]);
    assert_eq!(npm.settings.env["API_KEY"], world.waiting("npm", "API_KEY"));
    assert_eq!(npm.origin["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(
        (py.settings.command.as_deref(), &py.settings.args[..]),
        (Some("uvx"), &["py-server@2.0".to_owned()][..])
    );
    assert!(!npm.settings.enabled && !py.settings.enabled, "a package never runs by itself");
    let skipped: Vec<&str> = plan.skipped.iter().map(|skipped| skipped.original.as_str()).collect();
    assert_eq!(skipped, ["io.example/range", "io.example/option", "io.example/oci", "io.example/gone"]);
    // One entry alone, as in a server.json.
    let plan = world.plan(json!({"name": "io.example/x", "version": "1", "remotes": [{"type": "sse", "url": "https://a.example/sse"}]}));
    assert_eq!(one(&plan).settings.transport, Transport::Sse);
}

fn bundle(path: &Path, files: &[(&str, &str)]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, text) in files {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn manifest() -> Value {
    json!({"manifest_version": "0.3", "name": "Files", "version": "1.0.0", "server": {"type": "node", "entry_point": "s.js",
        "mcp_config": {"command": "node", "args": ["${__dirname}/s.js", "${user_config.dirs}"],
            "env": {"KEY": "${user_config.key}", "MODE": "${user_config.mode}"}}},
        "user_config": {"dirs": {"type": "directory", "multiple": true, "default": ["${HOME}/a", "/b"]},
            "key": {"type": "string", "sensitive": true, "required": true}, "mode": {"type": "string"}}})
}

#[test]
fn bundles() {
    let world = World::new();
    let file = world.data.path().join("x.mcpb");
    bundle(&file, &[("manifest.json", &manifest().to_string()), ("s.js", "1"), ("lib/a.js", "2")]);
    let read = |sha: Option<&str>, enabled| world.around(|around| read_bundle(&file, sha, enabled, around));
    let plan = read(None, false).unwrap().settle(&[], world.data.path());
    let server = one(&plan);
    let (_, folder) = server.bundle.clone().unwrap();
    assert_eq!(server.settings.args, [format!("{}/s.js", folder.display()), "/h/ann/a".into(), "/b".into()]);
    assert_eq!(server.settings.env["KEY"], world.waiting("files", "key"));
    assert_eq!(server.settings.env.len(), 1, "what is not given is left out");
    assert!(!server.settings.enabled && server.settings.read == [folder.clone()]);
    assert!(!folder.exists(), "looking unpacks nothing");
    unpack(&file, &folder).unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("lib/a.js")).unwrap(), "2");
    unpack(&file, &folder).unwrap();
    assert!(read(Some(&"0".repeat(64)), false).unwrap_err().to_string().contains("SHA-256"));
    let digest = server.origin["sha256"].as_str().unwrap();
    assert!(read(Some(digest), true).unwrap().servers[0].settings.enabled);
}

#[test]
fn bad_bundles_are_refused_and_leave_nothing() {
    let world = World::new();
    let file = world.data.path().join("x.mcpb");
    let read =
        || world.around(|around| read_bundle(&file, None, false, around)).map(|plan| plan.servers.len());
    std::fs::write(&file, "no zip").unwrap();
    assert!(read().is_err());
    bundle(&file, &[("s.js", "1")]);
    assert!(format!("{:#}", read().unwrap_err()).contains("manifest.json"));
    let mut secret = manifest();
    secret["server"]["mcp_config"]["args"] = json!(["${user_config.key}"]);
    let mut unknown = manifest();
    unknown["server"]["mcp_config"]["args"] = json!(["${other}"]);
    let mut version = manifest();
    version["manifest_version"] = json!("7");
    for (bad, part) in [(secret, "secret"), (unknown, "placeholder"), (version, "version")] {
        bundle(&file, &[("manifest.json", &bad.to_string())]);
        assert!(format!("{:#}", read().unwrap_err()).contains(part), "{part}");
    }
    // A path that leaves the directory.
    bundle(&file, &[("manifest.json", &manifest().to_string()), ("../../evil", "x")]);
    let folder = world.around(|around| read_bundle(&file, None, false, around)).unwrap().servers[0]
        .bundle
        .clone()
        .unwrap()
        .1;
    assert!(unpack(&file, &folder).is_err());
    let left: Vec<_> = std::fs::read_dir(folder.parent().unwrap()).unwrap().collect();
    assert!(left.is_empty() && !world.data.path().join("evil").exists());
}
