//! A peer that is up: started by its command in a directory of its own, or found where its URL says.
//!
//! Ended with everything it started when it is dropped: it has a process group of its own.

use super::Peer;
use crate::call::Place;
use crate::process::Through;
use crate::target::{Kind, Target};
use anyhow::{Context, Result, bail, ensure};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

// The slowest takes 15 s on a quiet machine.
const START: Duration = Duration::from_secs(120);
// After SIGTERM.
const END: Duration = Duration::from_secs(8);

pub struct Running {
    child: Option<Child>,
    directory: tempfile::TempDir,
    pub target: Target,
    pub version: String,
}

impl Peer {
    /// Start it in front of the upstream and wait until its port answers. The error says why it cannot be measured.
    pub fn start(&self, upstream: &str) -> Result<Running> {
        let directory = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let bench = std::env::current_exe()?.display().to_string();
        let mut places = vec![
            ("port", port.to_string()),
            ("upstream", upstream.to_owned()),
            ("bench", bench),
            ("peers", installed(&self.here)?.display().to_string()),
            ("here", self.here.display().to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<Vec<_>>();
        if let Some(needs) = self.needs.as_ref().map(|text| fill(text, &places)) {
            ensure!(Path::new(&needs).exists(), "could not be installed here (bench/peers.sh)");
        }
        let version = match &self.version {
            Some(line) => said(&self.shell(line, &places, directory.path()).output()?)?,
            None => String::new(),
        };
        let mut child = None;
        if let Some(line) = &self.command {
            let log = std::fs::File::create(directory.path().join("log"))?;
            let mut command = self.shell(line, &places, directory.path());
            command.stdout(log.try_clone()?).stderr(log).process_group(0);
            child = Some(command.spawn().context("cannot start it")?);
        }
        let nobody = Place { address: String::new(), path: String::new(), headers: String::new() };
        let target = Target {
            name: self.name.clone(),
            kind: Kind::Peer,
            place: nobody,
            tools: self.tools.clone(),
            through: Through::Nobody,
        };
        let mut running = Running { child, directory, target, version: version.trim().to_owned() };
        if running.child.is_some() {
            running.wait_for(port)?;
        }
        if let Some(line) = &self.prepare {
            let output =
                self.shell(line, &places, running.directory.path()).stderr(Stdio::piped()).output()?;
            let text = said(&output).with_context(|| running.last_words())?;
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            places.extend(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())));
        }
        let url = fill(&self.url, &places);
        let rest = url.strip_prefix("http://").context("url: http:// only")?;
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let headers =
            self.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", fill(value, &places)));
        running.target.place =
            Place { address: address.to_owned(), path: format!("/{path}"), headers: headers.collect() };
        running.target.through = match &running.child {
            Some(child) => Through::Process(child.id()),
            None => Through::Port(address.rsplit_once(':').context("url: a port is needed")?.1.parse()?),
        };
        Ok(running)
    }

    fn shell(&self, line: &str, places: &[(String, String)], directory: &Path) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(fill(line, places)).current_dir(directory).stdin(Stdio::null());
        command.env("HOME", directory);
        command.envs(self.env.iter().map(|(name, value)| (name, fill(value, places))));
        command
    }
}

impl Running {
    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[log.len().saturating_sub(400)..]).replace('\n', " ");
        format!("the end of its log: {}", log.trim())
    }

    fn wait_for(&mut self, port: u16) -> Result<()> {
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            ensure!(ended.is_none(), "it ended at once; {}", self.last_words());
            ensure!(begin.elapsed() < START, "it does not listen after {START:?}; {}", self.last_words());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let group = format!("-{}", child.id());
        let signal = |name: &str| {
            let _ = Command::new("kill").args([name, "--", &group]).stderr(Stdio::null()).status();
        };
        signal("-TERM");
        let begin = Instant::now();
        while begin.elapsed() < END && child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        signal("-KILL");
        let _ = child.wait();
    }
}

// What `peers.sh` beside the file has installed; looked at once. No folder where there is no such script.
fn installed(here: &Path) -> Result<PathBuf> {
    static FOLDER: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    if let Some(folder) = FOLDER.get() {
        return Ok(folder.clone());
    }
    let script = here.join("peers.sh");
    let folder = if !here.as_os_str().is_empty() && script.exists() {
        let output = Command::new("bash").arg(&script).stderr(Stdio::inherit()).output()?;
        PathBuf::from(said(&output)?.trim())
    } else {
        PathBuf::new()
    };
    Ok(FOLDER.get_or_init(|| folder).clone())
}

fn fill(text: &str, places: &[(String, String)]) -> String {
    places.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

fn said(output: &Output) -> Result<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        let error = text(&output.stderr);
        let end = error.chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect::<String>();
        bail!("{}: {end}", output.status);
    }
    Ok(text(&output.stdout))
}

#[cfg(test)]
mod tests {
    use crate::peers::parse;

    #[test]
    fn a_command_is_started_in_front_of_the_upstream_and_ended_with_what_it_started() {
        let text = r#"
[listener]
command = "sleep 100 & echo $! > pid; exec python3 -m http.server {port} --bind 127.0.0.1"
prepare = "echo \"token=$SECRET-{port}\""
version = "echo version 7"
url = "http://127.0.0.1:{port}/a/{token}"
headers.Authorization = "Bearer {token}"
env.SECRET = "s"
legacy = "echo"
"#;
        let peer = parse(text).unwrap().remove(0);
        let running = peer.start("http://127.0.0.1:1/mcp").unwrap();
        let port = running.target.place.address.rsplit_once(':').unwrap().1.to_owned();
        assert_eq!(running.version, "version 7");
        assert_eq!(running.target.place.path, format!("/a/s-{port}"));
        assert_eq!(running.target.place.headers, format!("Authorization: Bearer s-{port}\r\n"));
        let sleeper = std::fs::read_to_string(running.directory.path().join("pid")).unwrap();
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z")
        };
        assert!(alive());
        drop(running);
        assert!(!alive());
        let why = parse(&text.replace("exec python3", "exec false"))
            .unwrap()
            .remove(0)
            .start("u")
            .err()
            .map(|e| format!("{e:#}"))
            .unwrap();
        assert!(why.contains("ended at once"), "{why}");
    }
}
