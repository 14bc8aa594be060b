//! Problems all at once, layers and their order, origins.

use super::*;
use serde_json::json;

const KNOWN: Known = Known { servers: &["omnipotent", "a2a-unified", "desktop-commander"], entries };

fn entries(server: &str) -> Vec<String> {
    if server == "omnipotent" {
        vec!["kill_process".into(), "http_request".into()]
    } else {
        vec!["remember".into()]
    }
}

struct Case {
    dir: tempfile::TempDir,
    sources: Sources,
}

fn case(yaml: &str, env: &[(&str, &str)]) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("toolgate.yaml");
    std::fs::write(&file, yaml).unwrap();
    let mut sources = Sources { config: Some(file), cwd: dir.path().join("work"), ..Sources::default() };
    sources.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    sources.env.insert("HOME".into(), dir.path().join("home").display().to_string());
    Case { dir, sources }
}

impl Case {
    fn problems(&self) -> String {
        let error = load(&self.sources, KNOWN).unwrap_err();
        error.to_string().replace(&self.dir.path().display().to_string(), "DIR")
    }
    fn settings(&self) -> Settings {
        load(&self.sources, KNOWN).unwrap()
    }
}

#[test]
fn shape_problems_all_at_once() {
    let case = case(
        r#"
limts: {}
listen: 8000
log: { level: info, format: jsn }
limits:
  per_tool: fast
  max_output: 10MB
  concurency: 4
  concurrency: -1
  servers: { a2a-unified: { per_tool: 5 } }
  journal_failure: ignore
exec: { max_children: many }
files: { roots: [ { paht: /tmp } ] }
roles: { dev: { permissions: "a:b" } }
"#,
        &[("RATE_LIMIT_PERIOD", "60")],
    );
    insta::assert_snapshot!(case.problems());
}

#[test]
fn meaning_problems_all_at_once() {
    let case = case(
        r#"
version: 2
log: { level: "loud=" }
limits:
  concurrency: 0
  read_attempts: 0
  max_duration: 0s
  servers: { omnipotnet: {} }
exec: { allow: [/bin/sh, bash], network: [a/b], env: [LD_PRELOAD], path: [bin], max_children: 0 }
egress: { allow_private: ["http://a"], deny: ["*"], max_redirects: 21 }
files: { roots: [ { path: nowhere } ] }
servers: { enabled: [desktop-comander] }
"#,
        &[("TOOLGATE_LISTEN", "everywhere:80000")],
    );
    insta::assert_snapshot!(case.problems());
}

#[test]
fn a_section_of_the_wrong_shape_does_not_hide_what_the_others_mean() {
    let text = case(
        "version: 1\nlisten: nonsense\nlimts: {}\nlimits: { concurrency: many, queue: 0 }\n\
         files: { roots: [ { path: nowhere } ] }\nexec: { allow: [/bin/sh] }\n\
         server_policies: { omnipotent: { read_file_advanced: { roles: 7 } } }\n",
        &[],
    )
    .problems();
    for path in ["listen: ", "limts: ", "limits.concurrency: ", "files.roots[0].path: ", "exec.allow[0]: "] {
        assert!(text.contains(path), "{path} is missing:\n{text}");
    }
}

#[test]
fn numbers_that_the_schema_lets_through_keep_their_path() {
    let case = case(
        "version: 1\nlimits: { max_output: 99999999999999999999GiB, max_duration: 99999999999999999999d }",
        &[],
    );
    let text = case.problems();
    assert!(text.contains("limits.max_output: \"99999999999999999999GiB\" is not a size"), "{text}");
    assert!(text.contains("limits.max_duration: "), "{text}");
}

#[test]
fn files_of_tls_are_where_the_file_is() {
    let case =
        case("version: 1\nhttp: { tls: { cert: tls/c.pem, key: ~/k.pem, client_ca: /etc/ca.pem } }", &[]);
    let tls = case.settings().document.http.tls.unwrap();
    assert_eq!(tls.cert, case.dir.path().join("tls/c.pem"), "not the directory of whoever started it");
    assert_eq!(tls.key, case.dir.path().join("home/k.pem"));
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("/etc/ca.pem")));
}

#[test]
fn a_level_of_the_log_that_would_silence_it_is_a_problem() {
    for (level, hint) in [("foo", false), ("inof", true), ("info,toolgate_engine", false), ("", false)] {
        let text = case(&format!("version: 1\nlog: {{ level: {level:?} }}"), &[]).problems();
        assert!(text.contains("is neither a level (off, error"), "{level}: {text}");
        assert_eq!(text.contains("did you mean"), hint, "{text}");
    }
    for level in ["off", "WARN", "info,toolgate_engine=debug", "toolgate=debug, warn"] {
        case(&format!("version: 1\nlog: {{ level: {level:?} }}"), &[]).settings();
    }
}

#[test]
fn what_a_file_names_is_looked_at_before_anything_is_made() {
    let case =
        case("version: 1\nhttp: { tls: { cert: c.pem, key: k.pem } }\njournal: { anchor: gone/anchor }", &[]);
    let all = opens::check(&case.settings()).unwrap_err();
    let dir = case.dir.path().display();
    let text = all.to_string();
    for said in [format!("http.tls.cert: {dir}/c.pem: "), format!("http.tls.key: {dir}/k.pem: ")] {
        assert!(text.contains(&said), "{said} is missing:\n{text}");
    }
    assert!(text.contains("journal.anchor: ") && text.contains("its directory is not there"), "{text}");
    assert_eq!(
        opens::journal(&case.settings()).unwrap_err().problems.len(),
        1,
        "every command needs the journal"
    );
    std::fs::create_dir_all(case.dir.path().join("gone/anchor")).unwrap();
    assert!(opens::journal(&case.settings()).unwrap_err().to_string().contains("is a directory"));
    std::fs::remove_dir(case.dir.path().join("gone/anchor")).unwrap();
    opens::journal(&case.settings()).unwrap();
    assert!(!case.dir.path().join("gone/anchor").exists(), "nothing is made");
}

#[test]
fn bad_files() {
    for (yaml, expected) in [
        ("version: 1\nlisten: a\nlisten: b", "duplicate"),
        ("- 1", "a list is not a mapping"),
        ("a: [", "is not valid YAML"),
    ] {
        let text = case(yaml, &[]).problems();
        assert!(text.contains(expected), "{yaml}: {text}");
    }
    let mut gone = case("", &[]);
    gone.sources.config = Some(gone.dir.path().join("gone.yaml"));
    assert!(gone.problems().contains("DIR/gone.yaml: cannot be read"));
}

#[test]
fn flags_over_environment_over_file() {
    let mut case = case(
        "version: 1\nlisten: 127.0.0.1:1\ndata: store\nlog: {level: debug}\n",
        &[
            ("TOOLGATE_LISTEN", "127.0.0.1:2"),
            ("PORT", "7"),
            ("LOG_LEVEL", "WARNING"),
            ("RATE_LIMIT_CALLS", "10"),
        ],
    );
    case.sources.flags.listen = Some("127.0.0.1:3".into());
    let settings = case.settings();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:3");
    assert_eq!(settings.data, case.dir.path().join("store"));
    assert_eq!(settings.document.log.level, "warn");
    assert_eq!(settings.document.limits.per_tool.to_string(), "10/1m");
    assert_eq!(settings.document.limits.servers["a2a-unified"].per_tool.map(|r| r.calls), Some(10));
    assert!(settings.denied.contains(&settings.data));

    let shown = show::effective(&settings);
    let origin =
        |path: &str| shown.iter().find(|row| row.path == path).map(|row| row.origin.clone()).unwrap();
    assert_eq!(origin("listen"), "command line");
    assert_eq!(origin("log.level"), "environment LOG_LEVEL");
    assert!(origin("data").ends_with("toolgate.yaml"));
    assert_eq!(origin("limits.concurrency"), "default");
    assert_eq!(origin("http.tls"), "default", "what is not set is shown too");
    assert_eq!(origin("limits.per_tool"), "environment RATE_LIMIT_CALLS");
}

#[test]
fn port_keeps_the_host_and_names_itself_in_a_problem() {
    let good = case("version: 1\nlisten: \"[::1]:1\"", &[("PORT", "9000")]);
    assert_eq!(good.settings().listen.to_string(), "[::1]:9000");
    let bad = case("version: 1", &[("PORT", "http"), ("RATE_LIMIT_CALLS", "lots")]).problems();
    assert!(
        bad.contains("environment RATE_LIMIT_CALLS: limits.per_tool: \"lots/60s\" is not accepted"),
        "{bad}"
    );
    let bad = case("version: 1", &[("PORT", "http")]).problems();
    assert!(bad.contains("environment PORT: listen: \"127.0.0.1:http\" is not an address"), "{bad}");
}

#[test]
fn a_restriction_of_nothing_is_a_problem() {
    let text = case(
        "version: 1\nserver_policies:\n  omnipotnt: { tools: { kill_process: { requires: [admin] } } }\n  \
         omnipotent: { tools: { kill_proces: { requires: [admin] }, http_request: { requires: [admin] } } }\n  \
         a2a_unified: { tools: { remember: { requires: [admin] } } }\n",
        &[],
    )
    .problems();
    assert!(text.contains("2 problems"), "{text}");
    for said in [
        "server_policies.omnipotnt: unknown server \"omnipotnt\"; did you mean \"omnipotent\"?",
        "server_policies.omnipotent.tools.kill_proces: unknown tool \"kill_proces\"; did you mean \"kill_process\"?",
    ] {
        assert!(text.contains(said), "{said} is missing:\n{text}");
    }
    let file = case("version: 1\npolicy: policy.yaml", &[]);
    let write = |policy: &str| std::fs::write(file.dir.path().join("policy.yaml"), policy).unwrap();
    write("server_policies: { omnipotant: { tools: {} } }");
    let text = file.problems();
    assert!(text.contains("DIR/policy.yaml: server_policies.omnipotant: unknown server"), "{text}");
    // It may be for an upstream that is in the store, or comes later.
    write("server_policies: { github: { tools: {} } }");
    let warnings = file.settings().warnings;
    assert!(
        warnings[0].path == "server_policies.github" && warnings[0].message.contains("upstream"),
        "{warnings:?}"
    );
    let named = "version: 1\nupstreams: { github: { url: \"https://mcp.example.com/mcp\" } }\n\
                 server_policies: { github: { tools: { merge: { requires: [admin] } } } }\n";
    assert_eq!(case(named, &[]).settings().warnings.len(), 0);
    let typed = named.replace("server_policies: { github", "server_policies: { gihtub");
    assert!(case(&typed, &[]).problems().contains("unknown server"));
}

#[test]
fn limits_of_a_server_that_nobody_has_are_told_and_those_of_a_stored_upstream_are_not() {
    let limits =
        |name: &str| case(&format!("version: 1\nlimits: {{ servers: {{ {name}: {{ queue: 3 }} }} }}"), &[]);
    let settings = limits("github").settings();
    assert_eq!(settings.document.limits.servers["github"].queue, Some(3), "kept for when it comes");
    let [warning] = &settings.warnings[..] else { panic!("{:?}", settings.warnings) };
    assert!(warning.path == "limits.servers.github" && warning.message.contains("is added"), "{warning}");
    let stored = |name: &str| BTreeSet::from([name.to_owned()]);
    assert_eq!(settings.warnings_beside(&stored("github")).count(), 0);
    assert_eq!(settings.warnings_beside(&stored("gitlab")).count(), 1);
    for (slip, said) in [("omnipotnet", "did you mean \"omnipotent\"?"), ("Bad Name", "unknown server")] {
        let text = limits(&format!("\"{slip}\"")).problems();
        assert!(text.contains(said), "{text}");
    }
    let bounds = case("version: 1\nlimits: { catalogues: { max_items: 0, max_bytes: 0B } }", &[]).problems();
    assert!(bounds.contains("catalogues.max_items") && bounds.contains("catalogues.max_bytes"), "{bounds}");
}

#[test]
fn policy_file_problems_carry_its_name() {
    let case = case("version: 1\npolicy: policy.yaml", &[]);
    std::fs::write(case.dir.path().join("policy.yaml"), "roles: { dev: { permisions: [] } }").unwrap();
    let text = case.problems();
    assert!(
        text.contains(
            "DIR/policy.yaml: roles.dev.permisions: unknown key \"permisions\"; did you mean \"permissions\"?"
        ),
        "{text}"
    );
}

#[test]
fn no_file_at_all_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = Sources { cwd: dir.path().to_path_buf(), ..Sources::default() };
    let error = load(&sources, KNOWN).unwrap_err().to_string();
    assert!(error.contains("give --data DIR"), "{error}");
    sources.env.insert("HOME".into(), dir.path().display().to_string());
    let settings = load(&sources, KNOWN).unwrap();
    assert_eq!(settings.data, dir.path().join(".local/share/toolgate"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(settings.roots[0].path, settings.data.join("workspace"), "started in the home directory");
    assert!(settings.roots[0].write && settings.roots[1..].iter().all(|root| !root.write));
}

#[test]
fn the_examples_of_the_page_can_be_used() {
    let page = include_str!("../../../../docs/configuration.md");
    let examples: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 3);
    for example in examples {
        let case = case(example, &[]);
        std::fs::create_dir_all(case.dir.path().join("home/projects")).unwrap();
        load(&case.sources, crate::servers::known()).unwrap_or_else(|error| panic!("{example}\n{error}"));
    }
}

#[test]
fn the_schema_of_defaults_accepts_the_defaults() {
    assert_eq!(schema::check::<Document>(&serde_json::to_value(Document::default()).unwrap()), vec![]);
    assert_eq!(schema::check::<Document>(&json!({})), vec![]);
}

#[test]
fn the_published_schema_says_what_the_loader_says() {
    let schema = schema::published();
    assert_eq!(schema["required"], json!(["version"]));
    assert_eq!(schema["properties"]["version"]["const"], json!(1));
    let names: Vec<&String> = schema["$defs"].as_object().unwrap().keys().collect();
    assert!(
        names.iter().all(|name| !name.contains("Settings") || name.as_str() == "ServerSettings"),
        "{names:?}"
    );
}
