//! The grammar of `toolgate load`. Defaults are those of the load patterns (CATALOGUE 3.6).

use super::Credentials;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use toolgate_core::unit::Span;

const AFTER: &str = "\
Exit codes: 0 the verdict is PASS, or WARNING without --strict; 1 it is FAIL, or the first call was not
answered right; 2, 69, 78 as for every command.

Ctrl-C ends the run early, with the report of what was done.";

#[derive(Debug, Subcommand)]
pub enum Load {
    /// The same rate all the time
    #[command(after_help = AFTER)]
    Constant {
        /// Calls a second
        #[arg(long, value_name = "RATE", default_value_t = 1000.0)]
        rps: f64,
        /// How long
        #[arg(long, value_name = "DURATION", default_value = "5m")]
        duration: Span,
        #[command(flatten)]
        options: Options,
    },
    /// A low rate with bursts of a high one
    #[command(after_help = AFTER)]
    Spike {
        /// Calls a second between the bursts
        #[arg(long, value_name = "RATE", default_value_t = 50.0)]
        from: f64,
        /// Calls a second in a burst
        #[arg(long, value_name = "RATE", default_value_t = 5000.0)]
        to: f64,
        /// Length of a burst
        #[arg(long, value_name = "DURATION", default_value = "30s")]
        burst: Span,
        /// From the begin of one period to the next; the burst is its end
        #[arg(long, value_name = "DURATION", default_value = "60s")]
        every: Span,
        /// How long
        #[arg(long, value_name = "DURATION", default_value = "5m")]
        duration: Span,
        #[command(flatten)]
        options: Options,
    },
    /// Step by step faster, until errors or p95 pass their bounds; tells the highest rate that held
    #[command(name = "ramp-up", alias = "ramp", after_help = AFTER)]
    Ramp {
        /// Calls a second of the first step
        #[arg(long, value_name = "RATE", default_value_t = 10.0)]
        from: f64,
        /// Go no further than this
        #[arg(long, value_name = "RATE", default_value_t = 50_000.0)]
        to: f64,
        /// Length of a step
        #[arg(long, value_name = "DURATION", default_value = "5s")]
        step: Span,
        /// How many times faster each step is than the one before
        #[arg(long, value_name = "FACTOR", default_value_t = 1.25)]
        growth: f64,
        /// Fail unless this rate held
        #[arg(long, value_name = "RATE")]
        at_least: Option<f64>,
        #[command(flatten)]
        options: Options,
    },
    /// The same rate for a day
    #[command(after_help = AFTER)]
    Endurance {
        /// Calls a second
        #[arg(long, value_name = "RATE", default_value_t = 100.0)]
        rps: f64,
        /// How long
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        duration: Span,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, Args)]
pub struct Options {
    /// Connections, each with one call at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub connections: u16,
    /// Longest a call may take, counted from when it was due
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub timeout: Span,
    /// Server of the running gateway whose tool is called [default: omnipotent]
    #[arg(long, value_name = "NAME", conflicts_with = "url", requires = "tool")]
    pub server: Option<String>,
    /// Tool that is called [default: get_env_var, which only reads and answers at once]
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,
    /// Its arguments, a JSON object
    #[arg(long, value_name = "JSON", requires = "tool")]
    pub arguments: Option<String>,
    /// Text that every result must have
    #[arg(long, value_name = "TEXT")]
    pub expect: Option<String>,
    /// Era of MCP that is spoken
    #[arg(long, value_enum, default_value_t = Era::Modern)]
    pub era: Era,
    /// MCP endpoint of another server, instead of the running gateway
    #[arg(long, requires = "tool")]
    pub url: Option<String>,
    /// A header of every request to --url; give it again for more
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    pub header: Vec<String>,
    /// File of PEM certificates that the certificate of --url is checked against
    #[arg(long, value_name = "FILE", requires = "url")]
    pub ca: Option<PathBuf>,
    /// File with the key that is sent
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub key_file: Option<PathBuf>,
    #[command(flatten)]
    pub given: Credentials,
    /// Percent of calls that may fail
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub max_errors: f64,
    /// 95 of 100 calls take no longer
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub max_p95: Span,
    /// Exit with 1 also for a warning
    #[arg(long)]
    pub strict: bool,
    /// Write a page with plots
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Write the raw data: the report, a row for each second, histograms
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Era {
    /// 2026-07-28, without sessions
    Modern,
    /// 2025-11-25, a session for each connection
    Legacy,
}

impl Load {
    pub fn options(&self) -> &Options {
        match self {
            Load::Constant { options, .. }
            | Load::Spike { options, .. }
            | Load::Ramp { options, .. }
            | Load::Endurance { options, .. } => options,
        }
    }
}
