//! Installing and undoing on real files with other people's entries in them.

use super::*;
use crate::cli::{Client, Scope, Transport};
use serde_json::json;

const THEIRS: &str = "{\n  \"mcpServers\": {\n    \"github\": {\n      \"command\": \"gh\",\n      \"env\": { \"TOKEN\": \"ghp_secret\" }\n    }\n  },\n  \"oauth\": \"private\"\n}\n";

fn at(dir: &Path) -> PathBuf {
    dir.join("client.json")
}

fn backup_of(file: &Path) -> PathBuf {
    places(file, "toolgate").unwrap().1
}

fn put(file: &Path, name: &str, entry: &Value) -> Change {
    let change = install(file, "mcpServers", name, entry).unwrap();
    apply(&change, true).unwrap();
    change
}

fn take(file: &Path, name: &str) {
    apply(&undo(file, "mcpServers", name).unwrap(), false).unwrap();
}

#[test]
fn install_and_undo_restore_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let file = at(dir.path());
    fs::write(&file, THEIRS).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let change = put(&file, "toolgate", &json!({"command": "/t"}));
    let preview = change.preview();
    assert!(preview.contains("+ ") && preview.contains("/t"), "{preview}");
    assert!(!preview.contains("ghp_secret") && !preview.contains("private"), "{preview}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("ghp_secret") && text.contains("\"/t\""));
    assert_eq!(mode_of(&file), 0o640);
    assert_eq!(fs::read_to_string(backup_of(&file)).unwrap(), THEIRS);
    take(&file, "toolgate");
    assert_eq!(fs::read_to_string(&file).unwrap(), THEIRS);
    assert!(!backup_of(&file).exists());
    assert!(undo(&file, "mcpServers", "toolgate").unwrap_err().to_string().contains("has no entry"));
}

#[test]
fn later_changes_of_the_user_survive_the_undo() {
    let dir = tempfile::tempdir().unwrap();
    let file = at(dir.path());
    fs::write(&file, THEIRS).unwrap();
    put(&file, "toolgate", &json!({"command": "/t"}));
    put(&file, "other", &json!({"command": "/o"}));
    put(&file, "toolgate", &json!({"command": "/t2"}));
    take(&file, "toolgate");
    let all = edit::parse(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(all["mcpServers"]["other"], json!({"command": "/o"}));
    assert_eq!(all["mcpServers"]["github"]["command"], json!("gh"));
    assert!(all["mcpServers"].get("toolgate").is_none());
}

#[test]
fn an_older_entry_of_that_name_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = at(dir.path());
    fs::write(&file, "{\"mcpServers\": {\"toolgate\": {\"command\": \"old\"}}, \"n\": 1}").unwrap();
    put(&file, "toolgate", &json!({"command": "new"}));
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("\"n\": 1", "\"n\": 2")).unwrap();
    take(&file, "toolgate");
    let all = edit::parse(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(Value::Object(all), json!({"mcpServers": {"toolgate": {"command": "old"}}, "n": 2}));
}

#[test]
fn a_file_of_ours_alone_comes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("deep/er/client.json");
    let entry = json!({"command": "/t"});
    assert_eq!(put(&file, "toolgate", &entry).removed, "");
    assert_eq!(mode_of(&file), 0o600);
    assert!(
        install(&file, "mcpServers", "toolgate", &entry).unwrap().is_empty(),
        "a second time changes nothing"
    );
    take(&file, "toolgate");
    assert!(!file.exists());
}

#[test]
fn refuses_comments_links_to_nothing_and_races() {
    let dir = tempfile::tempdir().unwrap();
    let file = at(dir.path());
    let commented = "{\n  // mine\n  \"servers\": {}\n}";
    fs::write(&file, commented).unwrap();
    let problem = format!("{:#}", install(&file, "servers", "toolgate", &json!({})).unwrap_err());
    assert!(problem.contains("left as it is") && problem.contains("not plain JSON"), "{problem}");
    assert_eq!(fs::read_to_string(&file).unwrap(), commented);

    let link = dir.path().join("link.json");
    std::os::unix::fs::symlink(dir.path().join("gone"), &link).unwrap();
    assert!(install(&link, "servers", "toolgate", &json!({})).is_err());

    fs::write(&file, "{}").unwrap();
    let change = install(&file, "servers", "toolgate", &json!({})).unwrap();
    fs::write(&file, "{\"new\": 1}").unwrap();
    assert!(apply(&change, true).unwrap_err().to_string().contains("changed in the meantime"));
}

#[test]
fn a_linked_file_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let file = at(dir.path());
    fs::write(&file, "{}").unwrap();
    let link = dir.path().join("link.json");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    put(&link, "toolgate", &json!({"command": "/t"}));
    assert!(link.is_symlink() && fs::read_to_string(&file).unwrap().contains("/t"));
}

#[test]
fn entries_of_every_client() {
    let mut all = serde_json::Map::new();
    for (label, client) in [
        ("claude-code", Client::ClaudeCode),
        ("claude-desktop", Client::ClaudeDesktop),
        ("vscode", Client::Vscode),
        ("cursor", Client::Cursor),
    ] {
        for (form, transport) in [("stdio", Transport::Stdio), ("http", Transport::Http)] {
            let wanted = entry::Wanted {
                client,
                transport,
                program: Path::new("/usr/bin/toolgate"),
                args: vec!["stdio".into(), "--data".into(), "/data".into()],
                url: "http://127.0.0.1:8000/mcp",
            };
            let shown = match entry::entry(&wanted) {
                Ok(entry) => entry::snippet(client, "toolgate", &entry),
                Err(problem) => json!(problem.to_string()),
            };
            all.insert(format!("{label} {form}"), shown);
        }
        let home = Path::new("/me");
        for (label2, scope) in [("user", Scope::User), ("project", Scope::Project)] {
            let path =
                entry::file(client, scope, Some(home), Path::new("/p"), Some(Path::new("/me/.config")));
            all.insert(format!("{label} {label2}"), json!(path.map_err(|problem| problem.to_string())));
        }
    }
    insta::assert_json_snapshot!(all);
}
