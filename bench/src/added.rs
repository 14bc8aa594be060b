//! What a proxy adds to the latency of one caller: direct and through it on one connection each, in turns of a few calls,
//! so that whatever else the machine does meets both.

use crate::call::{Call, Door, Tool};
use crate::client::Connection;
use crate::histogram::Histogram;
use crate::raw::Added;
use crate::report::{median, time};
use crate::target::Target;
use anyhow::Result;
use std::time::{Duration, Instant};

// Calls of one turn, and turns of one run, the first of which warm up and are not counted.
const TURN: usize = 25;
const TURNS: usize = 104;
const WARM_UP: usize = 4;
// Above this size (bytes) a tenth of the turns: a call takes milliseconds.
const LARGE: usize = 64 << 10;

fn turns(size: usize) -> usize {
    if size > LARGE { TURNS / 10 } else { TURNS }
}

/// Direct is the first target; without another there is nothing to compare.
pub fn measure(targets: &[&Target], doors: &[Door], size: usize, runs: usize) -> Result<Vec<Added>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut all = Vec::new();
    for &door in doors {
        let is_echo = |t: &&&Target| {
            matches!(t.tool(door), Some(Tool::Echo(_))) && !t.name.starts_with(crate::target::CHANGES)
        };
        let targets: Vec<&Target> = targets.iter().filter(is_echo).copied().collect();
        let name = |t: &&Target| t.name.clone();
        let none = |target| Added {
            target,
            door,
            p50: Vec::new(),
            p99: Vec::new(),
            more50: Vec::new(),
            more99: Vec::new(),
        };
        let mut added: Vec<Added> = targets.iter().map(name).map(none).collect();
        for _ in 0..runs {
            let seen = runtime.block_on(one(&targets, door, size))?;
            let Some(direct) = seen.first().map(|h| (h.at(0.5), h.at(0.99))) else { continue };
            for (added, seen) in added.iter_mut().zip(&seen) {
                let (p50, p99) = (seen.at(0.5), seen.at(0.99));
                added.p50.push(nanos(p50));
                added.p99.push(nanos(p99));
                added.more50.push(nanos(p50.saturating_sub(direct.0)));
                added.more99.push(nanos(p99.saturating_sub(direct.1)));
            }
        }
        all.extend(added);
    }
    Ok(all)
}

async fn one(targets: &[&Target], door: Door, size: usize) -> Result<Vec<Histogram>> {
    struct Line<'a> {
        target: &'a Target,
        connection: Connection,
        call: Call,
        session: Option<String>,
        seen: Histogram,
    }
    let mut lines = Vec::new();
    for target in targets {
        let Some(tool) = target.tool(door) else { continue };
        let mut connection = Connection::open(&target.place.address).await?;
        let session = match door {
            Door::Legacy => Some(target.place.session(&mut connection).await?),
            _ => None,
        };
        let call = Call::new(&target.place, door, tool, size, session.as_deref().unwrap_or(""), 0);
        lines.push(Line { target, connection, call, session, seen: Histogram::new() });
    }
    for turn in 0..turns(size) {
        for line in &mut lines {
            for _ in 0..TURN {
                let from = Instant::now();
                let answer = line.connection.send(line.call.next()).await?;
                let latency = from.elapsed();
                line.call.check(&answer)?;
                if turn >= WARM_UP {
                    line.seen.add(latency);
                }
            }
        }
    }
    for line in &mut lines {
        if let Some(session) = line.session.take() {
            line.target.place.end(&mut line.connection, &session).await?;
        }
    }
    Ok(lines.into_iter().map(|line| line.seen).collect())
}

pub fn print(all: &[Added], size: usize) {
    println!(
        "\nadded latency at one connection, turns of {TURN} calls, {} calls a run, medians over runs:\n",
        TURN * (turns(size) - WARM_UP)
    );
    print!("{}", table(all));
}

/// One row for each target and door.
pub fn table(all: &[Added]) -> String {
    let mut text =
        "| era | target | p50 | p99 | added p50 | added p99 |\n|---|---|---|---|---|---|\n".to_owned();
    for a in all {
        let [p50, p99, more50, more99] =
            [&a.p50, &a.p99, &a.more50, &a.more99].map(|times| time(median(times)));
        text.push_str(&format!("| {} | {} | {p50} | {p99} | {more50} | {more99} |\n", a.door, a.target));
    }
    text
}
