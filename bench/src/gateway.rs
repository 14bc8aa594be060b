//! The gateway under measurement: a real process on a data directory of its own, with the limits raised out of the way
//! and everything else (key, policy, rate limit, journal) as it comes.

use crate::call::{Call, Door, Place, Tool};
use crate::client::Connection;
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Gateway {
    child: Child,
    directory: tempfile::TempDir,
    binary: PathBuf,
    pub address: String,
    pub key: String,
    pub to_first_answer: Duration,
}

const CONFIG: &str = "version: 1\nlimits:\n  per_caller: \"100000000/1s\"\n  per_tool: \"100000000/1s\"\n";

impl Gateway {
    /// `settings`: more of `toolgate.yaml`.
    pub async fn start(binary: &Path, settings: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let config = directory.path().join("toolgate.yaml");
        std::fs::write(&config, format!("{CONFIG}{settings}"))?;
        let data = directory.path().join("data");
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let started = Instant::now();
        // The process starts in another directory.
        let child = Command::new(std::path::absolute(binary)?)
            .args(["serve", "--listen", &address, "--data"])
            .arg(&data)
            .arg("--config")
            .arg(&config)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("log"))?)
            .spawn()
            .with_context(|| {
                format!("cannot start {}; build it with: cargo build --release", binary.display())
            })?;
        let mut gateway = Self {
            child,
            directory,
            binary: std::path::absolute(binary)?,
            address,
            key: String::new(),
            to_first_answer: Duration::ZERO,
        };
        gateway.first_answer(&data, started).await?;
        Ok(gateway)
    }

    async fn first_answer(&mut self, data: &Path, started: Instant) -> Result<()> {
        while started.elapsed() < Duration::from_secs(20) {
            let key = std::fs::read_to_string(data.join("admin.key")).unwrap_or_default();
            if let (false, Ok(mut connection)) = (key.is_empty(), Connection::open(&self.address).await) {
                self.key = key.trim().to_owned();
                let place = Place::with_key(&self.address, "/mcp", &self.key);
                let mut call = Call::new(&place, Door::Rest, &Tool::EnvVar, 0, "", 0);
                let answer = connection.send(call.next()).await?;
                self.to_first_answer = started.elapsed();
                return call.check(&answer).context("first call");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        bail!("the gateway did not answer within 20 s; its log:\n{log}")
    }

    /// Another key, with one role, made by the gateway's own command.
    pub fn key_of(&self, role: &str) -> Result<String> {
        let made = Command::new(&self.binary)
            .args(["keys", "create", role, "--role", role, "--data"])
            .arg(self.directory.path().join("data"))
            .arg("--config")
            .arg(self.directory.path().join("toolgate.yaml"))
            .output()?;
        let text = String::from_utf8_lossy(&made.stdout).into_owned();
        let key = text.split_whitespace().find(|word| word.starts_with("tg_")).map(str::to_owned);
        key.with_context(|| format!("no key: {text}{}", String::from_utf8_lossy(&made.stderr)))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident bytes.
    pub fn memory(&self) -> u64 {
        process::resident(self.child.id())
    }

    /// Stop it as an operator would and let its own command check the journal.
    pub async fn stop_and_verify(mut self) -> Result<String> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let code = self.child.wait()?;
        let data = self.directory.path().join("data");
        let verify = Command::new(&self.binary).args(["audit", "verify", "--data"]).arg(data).output()?;
        let text = String::from_utf8_lossy(&verify.stdout).trim().replace('\n', "; ");
        if !verify.status.success() {
            bail!("audit verify failed ({code}): {text} {}", String::from_utf8_lossy(&verify.stderr));
        }
        Ok(text)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
