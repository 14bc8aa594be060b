//! `toolgate-bench lists`: what `tools/list` costs the gateway in front of many upstreams with many tools.
//!
//! One process stands for all upstreams, under many names. A list is read page by page to its end, once with every answer
//! parsed and checked, then again and again with every byte compared to that first time, as an administrator who may see
//! all and as a viewer who may see every other tool, in both eras. CPU is the gateway's own, read from the kernel.

use crate::call::Place;
use crate::client::{Connection, post};
use crate::gateway::Gateway;
use crate::process;
use crate::target::Upstream;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

struct Options {
    binary: PathBuf,
    upstreams: usize,
    tools: usize,
    length: Duration,
}

pub fn main(words: impl Iterator<Item = String>) -> Result<()> {
    let mut options = Options {
        binary: PathBuf::from("target/release/toolgate"),
        upstreams: 20,
        tools: 100,
        length: Duration::from_secs(3),
    };
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--binary" => options.binary = value()?.into(),
            "--upstreams" => options.upstreams = value()?.parse()?,
            "--tools" => options.tools = value()?.parse()?,
            "--seconds" => options.length = Duration::from_secs_f64(value()?.parse()?),
            _ => {
                bail!("usage: toolgate-bench lists [--binary FILE] [--upstreams N] [--tools N] [--seconds N]")
            }
        }
    }
    println!("{}", crate::machine());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> Result<()> {
    let upstream = Upstream::with_tools(options.tools)?;
    let mut settings = "http:\n  sessions:\n    per_caller: 10000\nupstreams:\n".to_owned();
    for i in 0..options.upstreams {
        let url = format!("http://{}/mcp", upstream.address);
        settings.push_str(&format!("  up{i:02}: {{url: \"{url}\", tools: {{trust_hints: true}}}}\n"));
    }
    let gateway = Gateway::start(&options.binary, &settings).await?;
    let viewer = gateway.key_of("viewer")?;
    println!(
        "{} upstreams of {} tools, beside the built-in servers; a list is read page by page to its end",
        options.upstreams, options.tools
    );
    println!(
        "| caller | era | tools | pages | bytes | gateway CPU per page | per whole list | p50 of a page |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (caller, key, share) in [("admin", &gateway.key, 1), ("viewer", &viewer, 2)] {
        for modern in [true, false] {
            let place = Place::with_key(&gateway.address, "/mcp", key);
            let mut list = List::open(&place, modern).await?;
            let (pages, tools) = list.settled(options.upstreams * options.tools / share).await?;
            let bytes: usize = pages.iter().map(|page| page.answer.len()).sum();
            let (cpu, lists, p50) = list.repeat(&pages, options.length, gateway.pid()).await?;
            let micros = cpu.as_secs_f64() * 1e6 / lists as f64;
            println!(
                "| {caller} | {} | {tools} | {} | {bytes} | {:.1} µs | {micros:.0} µs | {:.0} µs |",
                if modern { "modern" } else { "legacy" },
                pages.len(),
                micros / pages.len() as f64,
                p50.as_secs_f64() * 1e6,
            );
        }
    }
    println!("resident memory of the gateway: {:.1} MiB", gateway.memory() as f64 / f64::from(1 << 20));
    println!("journal: {}", gateway.stop_and_verify().await?);
    Ok(())
}

struct Page {
    request: Vec<u8>,
    answer: Vec<u8>,
}

struct List<'a> {
    place: &'a Place,
    connection: Connection,
    modern: bool,
    session: String,
}

impl<'a> List<'a> {
    async fn open(place: &'a Place, modern: bool) -> Result<Self> {
        let mut connection = Connection::open(&place.address).await?;
        let session = if modern { String::new() } else { place.session(&mut connection).await? };
        Ok(Self { place, connection, modern, session })
    }

    fn request(&self, cursor: Option<&str>) -> Vec<u8> {
        let mut members = Vec::new();
        let mut headers = format!("{}{}", self.place.headers, self.session);
        members.extend(cursor.map(|cursor| format!(r#""cursor":"{cursor}""#)));
        if self.modern {
            members.push(r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#.to_owned());
            headers.push_str("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n");
        }
        let params = members.join(",");
        let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{{params}}}}}"#);
        post(&self.place.address, &self.place.path, &headers, &body)
    }

    /// The pages once all upstreams have said what they have; `proxied`: how many of their tools this caller may see.
    async fn settled(&mut self, proxied: usize) -> Result<(Vec<Page>, usize)> {
        let begin = Instant::now();
        loop {
            let (pages, names) = self.whole().await?;
            let found = names.iter().filter(|name| name.contains("_record_")).count();
            ensure!(found <= proxied, "{found} tools of upstreams, and {proxied} may be seen");
            if found == proxied {
                return Ok((pages, names.len()));
            }
            ensure!(begin.elapsed() < Duration::from_secs(30), "{found} of {proxied} tools after 30 s");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    // All pages, each looked at.
    async fn whole(&mut self) -> Result<(Vec<Page>, HashSet<String>)> {
        let (mut pages, mut names, mut cursor) = (Vec::new(), HashSet::new(), None::<String>);
        loop {
            let request = self.request(cursor.as_deref());
            let answer = self.connection.send(&request).await?;
            let text = String::from_utf8_lossy(answer.body);
            ensure!(answer.status == 200, "tools/list: {} {text}", answer.status);
            let body: Value = serde_json::from_str(&text)?;
            ensure!(body["id"] == 7, "not the id that was sent");
            let result = &body["result"];
            ensure!(!self.modern || result["ttlMs"].is_u64(), "a modern list says how long it holds");
            for tool in result["tools"].as_array().context("no tools")? {
                let name = tool["name"].as_str().context("a tool without a name")?.to_owned();
                ensure!(tool["inputSchema"]["type"] == "object", "{name} has no schema");
                ensure!(names.insert(name.clone()), "{name} is there twice");
            }
            cursor = result["nextCursor"].as_str().map(str::to_owned);
            pages.push(Page { request, answer: answer.body.to_vec() });
            if cursor.is_none() {
                return Ok((pages, names));
            }
        }
    }

    // CPU of the gateway, lists read, and the median time of a page.
    async fn repeat(
        &mut self,
        pages: &[Page],
        length: Duration,
        pid: u32,
    ) -> Result<(Duration, u32, Duration)> {
        let (before, begin) = (process::cpu(pid), Instant::now());
        let (mut lists, mut times) = (0, Vec::new());
        while begin.elapsed() < length {
            for page in pages {
                let sent = Instant::now();
                let answer = self.connection.send(&page.request).await?;
                times.push(sent.elapsed());
                ensure!(answer.status == 200 && answer.body == page.answer, "an answer is another");
            }
            lists += 1;
        }
        times.sort();
        Ok((process::cpu(pid) - before, lists, times[times.len() / 2]))
    }
}
