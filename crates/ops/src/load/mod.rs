//! Load patterns (CATALOGUE 3.6) on an MCP server: constant, spike, ramp-up, endurance.
//!
//! Used by `toolgate load`. Open loop: calls fall due at the pattern's rate whatever the answers do, and a latency counts
//! from the moment its call was due, so a target that stalls is seen as its users would see it. Invariant: every call that
//! fell due is in the report once: answered right, in a class of errors, or unfinished when the run was broken off.
//!
//! `pattern` says how many are due when, `clock` and `queue` release them, `run` has them sent by a `Target` for each
//! connection (`target` is the real one), `tally` counts, `verdict` judges, `report` and `page` tell. Absent on purpose:
//! a mix of tools, closed loops (`bench` has them), load from several machines, recovery (it follows a failure, and comes
//! with what makes one).

mod answer;
mod chart;
mod clock;
mod fault;
mod page;
mod pattern;
mod queue;
mod report;
mod run;
mod tally;
mod target;
#[cfg(test)]
mod tests;
mod verdict;

pub use fault::{Class, Fault};
pub use page::page;
pub use pattern::{Pattern, Segment};
pub use report::{About, Report};
pub use run::{Load, Moment, Progress, Result, Target, run};
pub use tally::{Row, Tally};
pub use target::{Ask, Era, McpTarget};
pub use verdict::{Bounds, Grade, Held, Verdict};
