//! What does not depend on how busy the machine is: instructions and allocations of one call.
//!
//! `toolgate-bench counts` starts the real gateway under valgrind's callgrind, warms it up, sets the counters to zero,
//! makes some calls one after the other and reads them. Its threads run one at a time there, on one worker; the upstream is
//! outside. Allocations are calls into the allocator by their names, which only a build with symbols has. The readings
//! repeat to within half a percent: what the gateway does beside calls (timers) is in them.
//!
//! Files have no root there, because valgrind does not know `openat2`; checkpoints of the journal, which come by the clock,
//! are put off. Everything else is as a user has it.

use crate::call::{Call, Door, Place, Tool};
use crate::client::Connection;
use crate::raw::Counts;
use crate::target::Upstream;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const WARM_UP: usize = 60;
const CALLS: usize = 100;
// Everything is some fifty times slower there.
const START: Duration = Duration::from_secs(240);
/// What is counted, by the name it has in `bench/bounds.toml`.
const KINDS: [(&str, Door); 4] = [
    ("built_in_modern", Door::Modern),
    ("built_in_legacy", Door::Legacy),
    ("proxied_modern", Door::Modern),
    ("proxied_legacy", Door::Legacy),
];

pub fn run(binary: &Path) -> Result<BTreeMap<String, Counts>> {
    let upstream = Upstream::start(None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let gateway = Counted::start(binary, &upstream).await?;
        let mut all = BTreeMap::new();
        for (name, door) in KINDS {
            all.insert(name.to_owned(), gateway.count(name, door).await.with_context(|| name)?);
        }
        Ok(all)
    })
}

pub fn print(all: &BTreeMap<String, Counts>) -> String {
    let mut text = "| call | instructions | allocations |\n|---|---|---|\n".to_owned();
    for (name, counts) in all {
        let allocations = counts.allocations.map_or("–".to_owned(), |n| format!("{n:.1}"));
        text.push_str(&format!(
            "| {} | {:.0} | {allocations} |\n",
            name.replace('_', " "),
            counts.instructions
        ));
    }
    text
}

/// Compare with the bounds of a file: lines `name.instructions = N` and `name.allocations = N`.
pub fn check(all: &BTreeMap<String, Counts>, bounds: &Path) -> Result<()> {
    let text = std::fs::read_to_string(bounds).with_context(|| bounds.display().to_string())?;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let fit = || format!("{}: not understood: {line}", bounds.display());
        let (name, bound) = line.split_once('=').with_context(fit)?;
        let (kind, what) = name.trim().split_once('.').with_context(fit)?;
        let bound: f64 = bound.trim().replace('_', "").parse().with_context(fit)?;
        let counts = all.get(kind).with_context(fit)?;
        let found = match what {
            "instructions" => counts.instructions,
            "allocations" => {
                counts.allocations.context("this build has no symbols to count allocations by")?
            }
            _ => bail!(fit()),
        };
        seen += 1;
        if found > bound {
            wrong.push(format!("{kind}: {found:.1} {what} a call, at most {bound} allowed"));
        } else if found < bound * 0.9 {
            println!("{kind}: {found:.1} {what} a call; the bound of {bound} can go down");
        }
    }
    ensure!(seen == KINDS.len() * 2, "{}: a bound is missing", bounds.display());
    ensure!(wrong.is_empty(), "more than {} allows:\n{}", bounds.display(), wrong.join("\n"));
    Ok(())
}

/// The gateway under callgrind.
struct Counted {
    child: Child,
    directory: tempfile::TempDir,
    place: Place,
}

impl Counted {
    async fn start(binary: &Path, upstream: &Upstream) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let url = upstream.url();
        let mut config =
            "version: 1\nfiles: {roots: []}\njournal: {checkpoint_lines: 100000000, checkpoint_after: 1h}\n\
            limits: {per_caller: \"100000000/1s\", per_tool: \"100000000/1s\"}\nupstreams:\n"
                .to_owned();
        for era in ["modern", "legacy"] {
            config.push_str(&format!(
                "  {era}: {{url: \"{url}\", era: {era}, tools: {{trust_hints: true}}}}\n"
            ));
        }
        let file = directory.path().join("toolgate.yaml");
        std::fs::write(&file, config)?;
        let address =
            format!("127.0.0.1:{}", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let log = std::fs::File::create(directory.path().join("log"))?;
        let child = Command::new("valgrind")
            .args(["--tool=callgrind", "-q", "--callgrind-out-file=counts"])
            .arg(std::path::absolute(binary)?)
            .args(["serve", "--listen", &address, "--data", "data", "--config"])
            .arg(&file)
            .current_dir(directory.path())
            .env("TOKIO_WORKER_THREADS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start valgrind; install it: apt-get install valgrind")?;
        let mut counted = Self { child, directory, place: Place::with_key(&address, "/mcp", "") };
        let begin = Instant::now();
        let key = counted.directory.path().join("data/admin.key");
        while Connection::open(&address).await.is_err() {
            let ended = counted.child.try_wait()?;
            ensure!(ended.is_none() && begin.elapsed() < START, "it did not start: {}", counted.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // It listens before it has a key.
        while !key.exists() {
            ensure!(begin.elapsed() < START, "it did not start: {}", counted.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        counted.place = Place::with_key(&address, "/mcp", std::fs::read_to_string(&key)?.trim());
        Ok(counted)
    }

    async fn count(&self, name: &str, door: Door) -> Result<Counts> {
        let tool = match name.split_once('_') {
            Some(("proxied", era)) => Tool::Echo(format!("{era}__echo")),
            _ => Tool::EnvVar,
        };
        let mut connection = Connection::open(&self.place.address).await?;
        let session = match door {
            Door::Legacy => self.place.session(&mut connection).await?,
            _ => String::new(),
        };
        let mut call = Call::new(&self.place, door, &tool, 1 << 10, &session, 0);
        let begin = Instant::now();
        // The upstream is connected to in the background.
        loop {
            let answer = connection.send(call.next()).await?;
            match call.check(&answer) {
                Ok(()) => break,
                Err(wrong) => ensure!(begin.elapsed() < START, "no right answer: {wrong:#}; {}", self.log()),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        many(&mut connection, &mut call, WARM_UP).await?;
        self.monitor("zero")?;
        many(&mut connection, &mut call, CALLS).await?;
        let path = self.monitor_dump()?;
        let profile = std::fs::read_to_string(&path)?;
        std::fs::remove_file(&path)?;
        read(&profile).with_context(|| self.log())
    }

    // valgrind's own door for commands; callgrind_control would need Perl.
    fn monitor(&self, command: &str) -> Result<()> {
        let output = Command::new("vgdb")
            .arg(format!("--pid={}", self.child.id()))
            .arg(command)
            .output()
            .context("vgdb")?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "vgdb {command}: {text}");
        Ok(())
    }

    fn monitor_dump(&self) -> Result<PathBuf> {
        self.monitor("dump")?;
        let files = std::fs::read_dir(self.directory.path())?.flatten().map(|entry| entry.path());
        let dump = |path: &PathBuf| {
            path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("counts."))
                && path.metadata().is_ok_and(|m| m.len() > 0)
        };
        files.into_iter().find(dump).context("callgrind wrote no profile")
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let from = log.char_indices().rev().nth(600).map_or(0, |(at, _)| at);
        format!("the end of its log: {}", &log[from..])
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn many(connection: &mut Connection, call: &mut Call, calls: usize) -> Result<()> {
    for _ in 0..calls {
        let answer = connection.send(call.next()).await?;
        call.check(&answer)?;
    }
    Ok(())
}

// What a profile says of `CALLS` calls. `summary:` has the instructions; `calls=` after `cfn=` how often that was called.
fn read(profile: &str) -> Result<Counts> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut called: HashMap<&str, u64> = HashMap::new();
    let (mut callee, mut instructions) = ("", 0u64);
    for line in profile.lines() {
        let name = |text: &'static str| line.strip_prefix(text);
        if let Some(rest) = name("cfn=").or_else(|| name("fn=")) {
            let (id, text) = rest.split_once(' ').unwrap_or((rest, ""));
            if !text.is_empty() {
                names.insert(id, text);
            }
            if line.starts_with('c') {
                callee = id;
            }
        } else if let Some(rest) = name("calls=") {
            let calls = rest.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            *called.entry(callee).or_default() += calls;
        } else if let Some(rest) = name("summary: ") {
            instructions = rest.trim().parse()?;
        }
    }
    ensure!(instructions > 0, "a profile without instructions");
    let allocates = |id: &&str| {
        let name = names.get(*id).copied().unwrap_or_default();
        name.contains("MiMalloc as ")
            && [">::alloc", ">::alloc_zeroed", ">::realloc"].iter().any(|end| name.ends_with(end))
    };
    let allocations: u64 = called.iter().filter(|(id, _)| allocates(id)).map(|(_, calls)| calls).sum();
    let each = |count: u64| count as f64 / CALLS as f64;
    Ok(Counts { instructions: each(instructions), allocations: (allocations > 0).then(|| each(allocations)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_its_instructions_and_the_calls_of_the_allocator() {
        let profile = "events: Ir\nfn=(1) main\n1 5\ncfn=(2) <mimalloc::MiMalloc as core::alloc::global::GlobalAlloc>::alloc\n\
            calls=300 1\n1 7\ncfn=(3) <mimalloc::MiMalloc as core::alloc::global::GlobalAlloc>::dealloc\ncalls=9 1\n1 7\n\
            fn=(4) other\ncfn=(2)\ncalls=100 1\n1 7\nsummary: 12300\n";
        let counts = read(profile).unwrap();
        assert_eq!((counts.instructions, counts.allocations), (123.0, Some(4.0)));
        assert_eq!(read("fn=(1) main\nsummary: 100\n").unwrap().allocations, None);
        assert!(read("").is_err());
    }

    #[test]
    fn more_than_a_bound_is_an_error_and_every_kind_needs_its_bounds() {
        let one = Counts { instructions: 1000.0, allocations: Some(10.0) };
        let all: BTreeMap<_, _> = KINDS.iter().map(|(name, _)| ((*name).to_owned(), one)).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = |instructions: u32| {
            let line = |(name, _): &(&str, Door)| {
                format!("{name}.instructions = {instructions}\n{name}.allocations = 10\n")
            };
            std::fs::write(file.path(), KINDS.iter().map(line).collect::<String>()).unwrap();
            check(&all, file.path())
        };
        lines(1000).unwrap();
        assert!(lines(999).unwrap_err().to_string().contains("at most 999"));
        std::fs::write(file.path(), "built_in_modern.instructions = 1000\n").unwrap();
        assert!(check(&all, file.path()).unwrap_err().to_string().contains("missing"));
    }
}
