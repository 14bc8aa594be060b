//! `TestGate`: `toolgate serve` as a real process, with a temporary data directory, a free port and a drop guard.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest a start may take on a loaded machine.
const START: Duration = Duration::from_secs(30);

/// How to start one.
pub struct Builder {
    binary: PathBuf,
    config: String,
    environment: Vec<(String, String)>,
    tls: Option<Option<reqwest::Identity>>,
}

/// A running gateway. Killed when dropped.
pub struct TestGate {
    binary: PathBuf,
    home: tempfile::TempDir,
    child: Option<Child>,
    environment: Vec<(String, String)>,
    tls: bool,
    pub address: String,
    /// The administrator's key.
    pub key: String,
    pub http: reqwest::Client,
}

impl Builder {
    /// Lines of `toolgate.yaml` after `version: 1`.
    pub fn config(mut self, yaml: &str) -> Self {
        self.config.push_str(yaml);
        self.config.push('\n');
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its `config` has `http.tls`: the requests of tests take any certificate, and present this one where they are asked.
    pub fn tls(mut self, identity: Option<reqwest::Identity>) -> Self {
        self.tls = Some(identity);
        self
    }

    pub async fn start(self) -> Result<TestGate> {
        let home = tempfile::tempdir()?;
        std::fs::create_dir(home.path().join("work"))?;
        std::fs::write(home.path().join("toolgate.yaml"), format!("version: 1\n{}", self.config))?;
        let mut http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
        let tls = self.tls.is_some();
        if let Some(identity) = self.tls {
            http = http.tls_danger_accept_invalid_certs(true);
            http = identity.into_iter().fold(http, reqwest::ClientBuilder::identity);
        }
        let mut gate = TestGate {
            binary: self.binary,
            home,
            child: None,
            environment: self.environment,
            tls,
            address: String::new(),
            key: String::new(),
            http: http.build()?,
        };
        gate.start().await?;
        Ok(gate)
    }
}

impl TestGate {
    /// `binary`: `env!("CARGO_BIN_EXE_toolgate")`.
    pub fn builder(binary: &str) -> Builder {
        Builder { binary: binary.into(), config: String::new(), environment: Vec::new(), tls: None }
    }

    /// With every default, and the rate limits out of the way.
    pub async fn quick(binary: &str) -> Result<TestGate> {
        Self::builder(binary)
            .config("limits:\n  per_caller: \"1000000/1s\"\n  per_tool: \"1000000/1s\"")
            .start()
            .await
    }

    /// Start the process (again) on the same data directory.
    pub async fn start(&mut self) -> Result<()> {
        self.start_at(false).await
    }

    /// Start it again where it was, for clients that know the address.
    pub async fn start_there(&mut self) -> Result<()> {
        self.start_at(true).await
    }

    async fn start_at(&mut self, keep: bool) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.home.path().join("log"))?;
        // Another process may take the port between the look and the start, so a lost race is tried again.
        let begun = Instant::now();
        loop {
            if !keep || self.address.is_empty() {
                let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                self.address = format!("127.0.0.1:{port}");
            }
            let child = self
                .command(&["serve", "--listen", &self.address])
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?)
                .spawn()?;
            self.child = Some(child);
            if self.answers(begun).await? {
                self.key = std::fs::read_to_string(self.data().join("admin.key"))?.trim().to_owned();
                return Ok(());
            }
            if begun.elapsed() > START {
                bail!("the gateway did not start; its log:\n{}", self.log());
            }
        }
    }

    // Whether it came up; false when the process ended.
    async fn answers(&mut self, begun: Instant) -> Result<bool> {
        while begun.elapsed() < START {
            if let Ok(answer) = self.http.get(self.url("/health")).send().await
                && answer.status() == 200
            {
                return Ok(true);
            }
            if self.child.as_mut().context("no process")?.try_wait()?.is_some() {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(false)
    }

    /// The binary with this gateway's data directory, configuration and surroundings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("LANG", "C.UTF-8")
            .env("TOOLGATE_DATA", self.data())
            .env("TOOLGATE_CONFIG", self.home.path().join("toolgate.yaml"))
            .envs(self.environment.iter().map(|(n, v)| (n, v)))
            .current_dir(self.work());
        command
    }

    /// Run a command of the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments).stdin(Stdio::null()).output()?)
    }

    /// Run a command that must succeed and print JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.run(arguments)?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{arguments:?}: {} {text} {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_str(&text).with_context(|| format!("{arguments:?}: {text}"))
    }

    /// Make a key with these roles; its text.
    pub fn make_key(&self, name: &str, roles: &[&str]) -> Result<String> {
        let mut arguments = vec!["keys", "create", name, "--json"];
        for role in roles {
            arguments.extend(["--role", role]);
        }
        let made = self.json(&arguments)?;
        Ok(made["key"].as_str().context("no key in the answer")?.to_owned())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.tls { "https" } else { "http" }, self.address)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The directory the gateway was started in: its tools' workspace.
    pub fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// The log once it says this, which is some milliseconds after it happened; after ten seconds as it is.
    pub async fn logged(&self, text: &str) -> String {
        for _ in 0..1000 {
            if self.log().contains(text) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.log()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// A signal by name, e.g. `TERM`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let done = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status()?;
        anyhow::ensure!(done.success(), "kill -{name} failed");
        Ok(())
    }

    /// `kill -9`, and wait for the end.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// End it as an operator would; its exit code.
    pub fn stop(&mut self) -> Result<Option<i32>> {
        self.signal("TERM")?;
        let status = self.child.take().context("no process")?.wait()?;
        Ok(status.code())
    }

    /// A REST call with the administrator's key: status and body.
    pub async fn rest(&self, server: &str, tool: &str, params: Value) -> Result<(u16, Value)> {
        self.rest_as(Some(&self.key), server, tool, params).await
    }

    /// A REST call with a key of your choice, or none.
    pub async fn rest_as(
        &self,
        key: Option<&str>,
        server: &str,
        tool: &str,
        params: Value,
    ) -> Result<(u16, Value)> {
        let mut request = self.http.post(self.url(&format!("/mcp/{server}/tools/{tool}")));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let body = serde_json::json!({ "params": params }).to_string();
        let answer = request.header("content-type", "application/json").body(body).send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).with_context(|| text.clone())?))
    }
}

impl Drop for TestGate {
    fn drop(&mut self) {
        let _ = self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of the gateway ---\n{}", self.log());
        }
    }
}
