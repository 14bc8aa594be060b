//! The table of programs: which run by default, what each may not be told, what each needs, which calls only read.
//!
//! Data, looked up by `Exec`. A program without a row that the operator names runs with any argument, without network,
//! and counts as writing. Shells and programs whose work is to run another one cannot be named at all.

use super::arguments::{Interpreter, Refused, Subcommands, interpreter, options};
use super::programs as p;

/// One row.
pub(super) struct Rule {
    pub name: &'static str,
    /// In the built-in list. The others run only when the operator names them.
    pub built_in: bool,
    /// Needs TCP, whatever its arguments (under the profile `strict` it gets none all the same). With subcommands they
    /// say so.
    pub network: bool,
    /// Reads /proc of other processes.
    pub proc: bool,
    /// Gets the variables that the operator passes on.
    pub variables: bool,
    pub interpreter: Option<&'static Interpreter>,
    pub subcommands: Option<&'static Subcommands>,
    /// Refused letters; letters with a value; refused long options; words refused anywhere.
    pub short: &'static str,
    pub valued: &'static str,
    pub long: &'static [&'static str],
    pub words: &'static [&'static str],
    pub check: fn(&[String]) -> Refused,
    /// Whether a call that passed only reads (with `subcommands`: and the subcommand only reads).
    pub reads: fn(&[String]) -> bool,
}

const ROW: Rule = Rule {
    name: "",
    built_in: true,
    network: false,
    proc: false,
    variables: true,
    interpreter: None,
    subcommands: None,
    short: "",
    valued: "",
    long: &[],
    words: &[],
    check: p::anything,
    reads: p::never,
};
const READS: Rule = Rule { reads: p::always, ..ROW };
const NAMED: Rule = Rule { built_in: false, ..ROW };

/// Programs without a row.
pub(super) static UNKNOWN: Rule = NAMED;

/// Never run, whoever names them: with one of these the list means nothing.
pub(super) const NEVER: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "mksh",
    "fish",
    "csh",
    "tcsh",
    "rbash",
    "pwsh",
    "busybox",
    "toybox",
    "sudo",
    "su",
    "doas",
    "pkexec",
    "runuser",
    "xargs",
    "parallel",
    "nohup",
    "setsid",
    "nice",
    "ionice",
    "timeout",
    "time",
    "stdbuf",
    "script",
    "expect",
    "unbuffer",
    "screen",
    "tmux",
    "watch",
    "flock",
    "chroot",
    "unshare",
    "nsenter",
    "setpriv",
    "capsh",
    "bwrap",
    "strace",
    "ltrace",
    "gdb",
    "perf",
    "systemd-run",
    "at",
    "batch",
    "crontab",
    "eval",
    "exec",
    "source",
    "command",
    "builtin",
    "taskset",
    "numactl",
    "chrt",
    "prlimit",
    "setarch",
    "ld.so",
];

const PYTHON: Interpreter =
    Interpreter { flags: "bBdEhiIOPqRsSuvVx", valued: "WXm", long: &["--help", "--version"] };
const NODE: Interpreter = Interpreter {
    flags: "vhic",
    valued: "r",
    long: &[
        "--version",
        "--help",
        "--check",
        "--test",
        "--watch",
        "--interactive",
        "--no-warnings",
        "--trace-warnings",
        "--enable-source-maps",
        "--max-old-space-size=",
        "--env-file=",
        "--conditions=",
        "--require=",
        "--run=",
        "--test-name-pattern=",
        "--test-reporter=",
        "--unhandled-rejections=",
    ],
};
const PERL: Interpreter = Interpreter { flags: "wcvtT", valued: "", long: &["--version", "--help"] };
const RUBY: Interpreter = Interpreter { flags: "wcv", valued: "", long: &["--version", "--help"] };
const PHP: Interpreter = Interpreter { flags: "lvin", valued: "f", long: &["--version", "--help"] };

/// Every row.
pub(super) static RULES: &[Rule] = &[
    Rule { name: "ls", ..READS },
    Rule { name: "pwd", ..READS },
    Rule { name: "echo", ..READS },
    Rule { name: "whoami", ..READS },
    Rule { name: "uname", ..READS },
    Rule { name: "cat", ..READS },
    Rule { name: "head", ..READS },
    Rule { name: "tail", ..READS },
    Rule { name: "grep", ..READS },
    Rule { name: "wc", ..READS },
    Rule { name: "date", reads: p::date_reads, ..ROW },
    Rule { name: "hostname", reads: p::hostname_reads, ..ROW },
    Rule { name: "ps", proc: true, check: p::ps, ..READS },
    Rule { name: "top", proc: true, check: p::top, reads: p::top_reads, ..ROW },
    Rule { name: "htop", proc: true, check: p::htop, ..READS },
    Rule { name: "netstat", proc: true, ..READS },
    Rule { name: "env", variables: false, check: p::env, ..READS },
    Rule {
        name: "find",
        words: &["-exec", "-execdir", "-ok", "-okdir", "-delete", "-fprint", "-fprint0", "-fprintf", "-fls"],
        ..READS
    },
    Rule {
        name: "tar",
        short: "IFT",
        valued: "fbCXgKNVLH",
        long: &[
            "--to-command",
            "--checkpoint-action",
            "--use-compress-program",
            "--info-script",
            "--new-volume-script",
            "--rsh-command",
            "--rmt-command",
            "--files-from",
        ],
        check: p::tar,
        ..ROW
    },
    Rule { name: "zip", short: "T", long: &["--test", "--unzip-command"], ..ROW },
    Rule { name: "unzip", reads: p::unzip_reads, ..ROW },
    Rule { name: "gzip", ..ROW },
    Rule { name: "gunzip", ..ROW },
    Rule { name: "git", subcommands: Some(&p::GIT), check: p::git, reads: p::always, ..ROW },
    Rule { name: "gh", subcommands: Some(&p::GH), check: p::gh, reads: p::always, ..ROW },
    Rule { name: "python", interpreter: Some(&PYTHON), reads: p::version_only, ..ROW },
    Rule { name: "python3", interpreter: Some(&PYTHON), reads: p::version_only, ..ROW },
    Rule { name: "pip", subcommands: Some(&p::PIP), check: p::pip, reads: p::always, ..ROW },
    Rule { name: "pip3", subcommands: Some(&p::PIP), check: p::pip, reads: p::always, ..ROW },
    Rule { name: "pytest", ..ROW },
    Rule { name: "mypy", long: &["--python-executable", "--install-types"], ..ROW },
    Rule { name: "black", short: "c", valued: "tlW", long: &["--code"], ..ROW },
    Rule { name: "flake8", ..ROW },
    Rule { name: "ruff", ..ROW },
    Rule { name: "node", interpreter: Some(&NODE), reads: p::version_only, ..ROW },
    Rule { name: "npm", subcommands: Some(&p::NPM), check: p::npm, reads: p::always, ..ROW },
    Rule { name: "npx", check: p::npx, ..ROW },
    Rule { name: "yarn", subcommands: Some(&p::YARN), check: p::npm, reads: p::never, ..ROW },
    Rule { name: "make", short: "E", valued: "fICjloOW", long: &["--eval"], check: p::make, ..ROW },
    Rule { name: "cmake", short: "E", valued: "SBCDUGTAPW", long: &["--launch"], check: p::cmake, ..ROW },
    Rule { name: "cargo", subcommands: Some(&p::CARGO), check: p::cargo, reads: p::always, ..ROW },
    Rule { name: "docker", subcommands: Some(&p::DOCKER), check: p::docker, reads: p::always, ..ROW },
    Rule {
        name: "docker-compose",
        subcommands: Some(&p::COMPOSE),
        check: p::docker,
        reads: p::always,
        ..ROW
    },
    Rule { name: "kubectl", subcommands: Some(&p::KUBECTL), check: p::kubectl, reads: p::always, ..ROW },
    Rule { name: "helm", subcommands: Some(&p::HELM), check: p::helm, reads: p::always, ..ROW },
    // The egress guard cannot bind these: only when the operator names them.
    Rule {
        name: "curl",
        network: true,
        short: "K",
        valued: "AbcCdDeEFhHmoPQrtTuUwxXyYz",
        long: &["--config", "--unix-socket", "--abstract-unix-socket", "--engine"],
        check: p::fetch,
        ..NAMED
    },
    Rule {
        name: "wget",
        network: true,
        short: "ei",
        valued: "aoOtTwQPUlABDRIX",
        long: &["--execute", "--input-file", "--config", "--use-askpass"],
        check: p::fetch,
        ..NAMED
    },
    Rule { name: "ping", network: true, ..NAMED },
    Rule { name: "perl", interpreter: Some(&PERL), ..NAMED },
    Rule { name: "ruby", interpreter: Some(&RUBY), ..NAMED },
    Rule { name: "php", interpreter: Some(&PHP), ..NAMED },
    Rule { name: "sort", long: &["--compress-program"], ..NAMED },
    Rule { name: "sleep", built_in: false, ..READS },
    Rule { name: "du", built_in: false, ..READS },
    Rule { name: "df", built_in: false, ..READS },
    Rule { name: "stat", built_in: false, ..READS },
    Rule { name: "id", built_in: false, ..READS },
    Rule { name: "diff", built_in: false, ..READS },
    Rule { name: "sha256sum", built_in: false, ..READS },
];

impl Rule {
    /// The row of a program.
    pub(super) fn of(name: &str) -> &'static Rule {
        RULES.iter().find(|r| r.name == name).unwrap_or(&UNKNOWN)
    }

    /// Refuse arguments that the row forbids.
    pub(super) fn refuse(&self, args: &[String]) -> Refused {
        if let Some(rule) = self.interpreter
            && let Some(module) = interpreter(rule, args)?
        {
            p::python_module(module, args)?;
        }
        if let Some(subcommands) = self.subcommands {
            subcommands.find(args)?;
        }
        options(args, self.short, self.valued, self.long, self.words)?;
        (self.check)(args)
    }

    /// Whether the call is there to use the network.
    pub(super) fn connects(&self, args: &[String]) -> bool {
        self.network || self.subcommands.is_some_and(|s| s.connects(args))
    }

    /// Whether the call changes nothing outside of itself.
    pub(super) fn only_reads(&self, args: &[String]) -> bool {
        self.subcommands.is_none_or(|s| s.reads(args)) && (self.reads)(args)
    }
}
