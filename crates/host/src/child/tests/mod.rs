//! Children as they are: real processes, in every profile, with and without namespaces.

mod confined;
mod life;
mod network;
mod takes;

use super::*;
use std::path::Path;
use tokio::io::AsyncReadExt;

/// This machine, the same one where namespaces are forbidden, and like a container that forbids more.
pub(super) fn machines() -> [(&'static str, Arc<Machine>); 3] {
    let here = Machine::here();
    assert!(
        here.spaces.is_ok(),
        "these tests need a machine that lets namespaces be made: {:?}",
        here.spaces
    );
    let no = || "tested without".to_owned();
    let bare = Machine { spaces: Err(no()), ..(*here).clone() };
    let contained = Machine { filter: Ok(connects::Way::Replace), group: Err(no()), ..bare.clone() };
    [("namespaces", here), ("bare", Arc::new(bare)), ("contained", Arc::new(contained))]
}

pub(super) const PYTHON: &str = "/usr/bin/python3";

pub(super) fn plan(state: &Path, profile: Profile, program: &str, args: &[&str]) -> Plan {
    Plan {
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        profile,
        grace: Duration::from_millis(300),
        ..Plan::new("test", program, state)
    }
}

/// Run to its own end: standard output, and how it ended.
pub(super) async fn run(plan: Plan, machine: &Arc<Machine>) -> (String, Ended, Vec<String>) {
    let mut child = Child::start_on(plan, Some(machine.clone())).await.unwrap();
    let (mut stdout, mut text) = (child.take_stdout().unwrap(), String::new());
    drop(child.take_stdin());
    stdout.read_to_string(&mut text).await.unwrap();
    let ended = child.ended().await;
    (text, ended, child.tail())
}

/// The last line of a Python script that prints `OK` or the error of what it tries.
pub(super) async fn python(plan: Plan, machine: &Arc<Machine>, script: &str) -> String {
    let plan = Plan { args: vec!["-c".into(), script.to_owned()], program: PYTHON.into(), ..plan };
    let (out, ended, tail) = run(plan, machine).await;
    assert_eq!(ended.code, Some(0), "{ended} {tail:?} {out}");
    out.trim().to_owned()
}

/// Whether any process of this machine (zombies apart) has this text in its command line.
pub(super) fn runs(text: &str) -> bool {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name != own
            && name.bytes().all(|b| b.is_ascii_digit())
            && std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(text))
    })
}
