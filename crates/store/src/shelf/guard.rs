//! What a statement that a model wrote may do: SQLite's own authorizer, limits and defensive mode.
//!
//! Called by `sql` before every statement, on connections that serve nothing else. `decide` is the whole policy. The
//! authorizer stays installed while the statement runs, because SQLite compiles more behind it (pragma functions, the
//! full-text index). That is why the index's own tables are not refused here: defensive mode keeps users from them.
//!
//! The only unsafe code of this crate: calls of SQLite's C interface that sqlx does not offer.

use libsqlite3_sys as ffi;
use sqlx::sqlite::LockedSqliteHandle;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

// Longest statement, in bytes.
pub(super) const MAX_SQL: usize = 100_000;

// A value has at most 2 MiB (twice what a memory holds) because instr() and replace() take the square of it, and SQLite
// looks at the clock only between calls of a function. The same goes for the length of a LIKE pattern.
const LIMITS: [(c_int, c_int); 11] = [
    (ffi::SQLITE_LIMIT_ATTACHED, 0),
    (ffi::SQLITE_LIMIT_LENGTH, 2 << 20),
    (ffi::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL as c_int),
    (ffi::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 50),
    (ffi::SQLITE_LIMIT_VDBE_OP, 100_000),
    (ffi::SQLITE_LIMIT_COLUMN, 200),
    (ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 1000),
    (ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 128),
    (ffi::SQLITE_LIMIT_TRIGGER_DEPTH, 20),
    (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Whether a connection may change data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Read,
    Write,
}

/// What compiling a statement told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compiled {
    /// Whether it inserts, updates or deletes rows of a table (and not: changes the schema).
    pub changes_rows: bool,
}

/// Why a statement was not compiled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The policy says no, and why.
    Denied(String),
    /// Nothing to run: empty, or only comments.
    Empty,
    /// More than one statement.
    Several,
    /// It has `wanted` parameters, not as many as were given.
    Params { wanted: usize },
    /// SQLite says no: result code and message.
    Sqlite(i32, String),
}

struct Watch {
    mode: Mode,
    denied: Option<String>,
    schema: bool,
    alters: bool,
}

/// Install the guard and compile `sql` under it, without running it. The guard stays installed.
#[allow(unsafe_code)]
pub(super) fn compile(
    handle: &mut LockedSqliteHandle<'_>,
    mode: Mode,
    sql: &str,
    params: usize,
) -> Result<Compiled, Refusal> {
    let db = handle.as_raw_handle().as_ptr();
    let mut watch = Watch { mode, denied: None, schema: false, alters: false };
    // SAFETY: `db` is a live connection, and the locked handle keeps the worker thread away from it meanwhile.
    unsafe { install(db, mode) }?;
    // SAFETY: as above; `watch` outlives its use as the authorizer's argument, which ends two lines below.
    let compiled = unsafe {
        ffi::sqlite3_set_authorizer(db, Some(on_watch), ptr::from_mut(&mut watch).cast());
        let compiled = prepare(db, sql);
        set_lasting(db, mode);
        compiled
    };
    // What the second of several may not do is not what is wrong with them.
    if compiled == Err(Refusal::Several) {
        return Err(Refusal::Several);
    }
    if let Some(why) = watch.denied {
        return Err(Refusal::Denied(why));
    }
    let (wanted, read_only) = compiled?;
    // The authorizer is not told the new name of RENAME TO.
    let text = sql.to_ascii_lowercase();
    if let Some(prefix) = RESERVED.into_iter().find(|prefix| watch.alters && text.contains(prefix)) {
        return Err(Refusal::Denied(format!(
            "names with {prefix} are reserved and cannot be given to a table"
        )));
    }
    if wanted != params {
        return Err(Refusal::Params { wanted });
    }
    Ok(Compiled { changes_rows: !read_only && !watch.schema })
}

#[allow(unsafe_code)]
unsafe fn install(db: *mut ffi::sqlite3, mode: Mode) -> Result<(), Refusal> {
    let mut failed = false;
    for (limit, value) in LIMITS {
        // SAFETY: `db` is live; the call only stores a number.
        unsafe { ffi::sqlite3_limit(db, limit, value) };
    }
    for (option, on) in [
        (ffi::SQLITE_DBCONFIG_DEFENSIVE, 1),
        (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
        (ffi::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0),
    ] {
        // SAFETY: these options take an int and a pointer to int, which may be null.
        let code = unsafe { ffi::sqlite3_db_config(db, option, on as c_int, ptr::null_mut::<c_int>()) };
        failed |= code != ffi::SQLITE_OK;
    }
    // SAFETY: `db` is live.
    failed |= unsafe { set_lasting(db, mode) } != ffi::SQLITE_OK;
    if failed {
        return Err(Refusal::Sqlite(ffi::SQLITE_ERROR, "the guard could not be installed".to_owned()));
    }
    Ok(())
}

// The authorizer that stays: it needs nothing that could go out of scope.
#[allow(unsafe_code)]
unsafe fn set_lasting(db: *mut ffi::sqlite3, mode: Mode) -> c_int {
    let lasting = match mode {
        Mode::Read => on_read,
        Mode::Write => on_write,
    };
    // SAFETY: `db` is live and the function is static.
    unsafe { ffi::sqlite3_set_authorizer(db, Some(lasting), ptr::null_mut()) }
}

// Number of parameters, and whether it leaves the file as it is.
#[allow(unsafe_code)]
unsafe fn prepare(db: *mut ffi::sqlite3, sql: &str) -> Result<(usize, bool), Refusal> {
    let end = sql.as_ptr().wrapping_add(sql.len()).cast::<c_char>();
    let mut next: *const c_char = sql.as_ptr().cast();
    let mut found = None;
    while next < end {
        let mut statement = ptr::null_mut();
        // SAFETY: `next..end` lies in `sql`; SQLite reads at most that many bytes and moves `next` on within them.
        let (code, count, read_only) = unsafe {
            let length = end.offset_from(next) as c_int;
            let code = ffi::sqlite3_prepare_v2(db, next, length, &mut statement, &mut next);
            (code, ffi::sqlite3_bind_parameter_count(statement), ffi::sqlite3_stmt_readonly(statement) != 0)
        };
        let exists = !statement.is_null();
        if code != ffi::SQLITE_OK {
            // SAFETY: `db` is live; the message is copied at once.
            let text = unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(db)) }.to_string_lossy().into_owned();
            return Err(if found.is_some() { Refusal::Several } else { Refusal::Sqlite(code & 0xff, text) });
        }
        // SAFETY: made above, used nowhere else; null is allowed.
        unsafe { ffi::sqlite3_finalize(statement) };
        // Blanks and comments compile to nothing.
        if exists && found.replace((usize::try_from(count).unwrap_or(0), read_only)).is_some() {
            return Err(Refusal::Several);
        }
    }
    found.ok_or(Refusal::Empty)
}

type Text = *const c_char;

#[allow(unsafe_code)]
extern "C" fn on_read(_: *mut c_void, action: c_int, a: Text, b: Text, _: Text, by: Text) -> c_int {
    // SAFETY: SQLite passes C strings or null, valid during the call.
    let (a, b, by) = unsafe { (text(a), text(b), text(by)) };
    answer(decide(Mode::Read, action, &a, &b, &by).is_ok())
}

#[allow(unsafe_code)]
extern "C" fn on_write(_: *mut c_void, action: c_int, a: Text, b: Text, _: Text, by: Text) -> c_int {
    // SAFETY: SQLite passes C strings or null, valid during the call.
    let (a, b, by) = unsafe { (text(a), text(b), text(by)) };
    answer(decide(Mode::Write, action, &a, &b, &by).is_ok())
}

#[allow(unsafe_code)]
extern "C" fn on_watch(watch: *mut c_void, action: c_int, a: Text, b: Text, _: Text, by: Text) -> c_int {
    // SAFETY: `compile` passes a `Watch` that lives until it installs another authorizer; SQLite calls this only on the
    // thread that compiles.
    let watch = unsafe { &mut *watch.cast::<Watch>() };
    // SAFETY: SQLite passes C strings or null, valid during the call.
    let (a, b, by) = unsafe { (text(a), text(b), text(by)) };
    watch.schema |= changes_schema(action);
    watch.alters |= action == ffi::SQLITE_ALTER_TABLE;
    match decide(watch.mode, action, &a, &b, &by) {
        Ok(()) => answer(true),
        Err(why) => {
            watch.denied.get_or_insert(why);
            answer(false)
        }
    }
}

fn answer(allowed: bool) -> c_int {
    if allowed { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}

// Lower case: names in SQL have no case. Null reads as empty.
#[allow(unsafe_code)]
unsafe fn text(pointer: Text) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's: a C string.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().to_ascii_lowercase()
}

fn changes_schema(action: c_int) -> bool {
    matches!(
        action,
        ffi::SQLITE_CREATE_INDEX..=ffi::SQLITE_CREATE_VIEW
            | ffi::SQLITE_DROP_INDEX..=ffi::SQLITE_DROP_VIEW
            | ffi::SQLITE_ALTER_TABLE
            | ffi::SQLITE_REINDEX
            | ffi::SQLITE_ANALYZE
    )
}

// Functions that reach out of the database or into the process. Some exist in SQLite's shell only.
const NO_FUNCTIONS: [&str; 8] =
    ["load_extension", "fts3_tokenizer", "fts5", "readfile", "writefile", "edit", "sqlite_log", "lsdir"];

// Pragmas that show the schema. `data_version` is what the full-text index asks for.
const PRAGMAS: [&str; 8] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "data_version",
];

/// The policy: what the authorizer's `action` on `a`, `b` is answered, done by trigger or view `by`. Names come in lower
/// case. The error says why not and what is possible.
fn decide(mode: Mode, action: c_int, a: &str, b: &str, by: &str) -> Result<(), String> {
    match action {
        ffi::SQLITE_READ if a == "error_log" => {
            return Err("error_log holds errors of other callers: use get_recent_errors or get_error_stats"
                .to_owned());
        }
        ffi::SQLITE_SELECT | ffi::SQLITE_READ | ffi::SQLITE_RECURSIVE => return Ok(()),
        ffi::SQLITE_FUNCTION if NO_FUNCTIONS.contains(&b) => {
            return Err(format!("the function {b} is not available here"));
        }
        ffi::SQLITE_FUNCTION => return Ok(()),
        ffi::SQLITE_PRAGMA if PRAGMAS.contains(&a) => return Ok(()),
        ffi::SQLITE_PRAGMA => {
            return Err(format!("PRAGMA {a} is not available; these are: {}", PRAGMAS[..7].join(", ")));
        }
        ffi::SQLITE_TRANSACTION | ffi::SQLITE_SAVEPOINT => {
            return Err("transactions are not available: every call runs one statement, which takes effect \
                        whole or not at all"
                .to_owned());
        }
        ffi::SQLITE_ATTACH | ffi::SQLITE_DETACH => {
            return Err(
                "ATTACH, DETACH and VACUUM are not available: only this one database can be used".to_owned()
            );
        }
        _ => {}
    }
    if mode == Mode::Read {
        return Err(
            "this statement changes the database, and only reading was asked for: use SELECT, or ask for \
                    writing"
                .to_owned(),
        );
    }
    match action {
        ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => write_rows(a, by),
        ffi::SQLITE_ANALYZE => Ok(()),
        ffi::SQLITE_CREATE_TABLE
        | ffi::SQLITE_CREATE_VIEW
        | ffi::SQLITE_CREATE_INDEX
        | ffi::SQLITE_CREATE_TRIGGER
        | ffi::SQLITE_DROP_TABLE
        | ffi::SQLITE_DROP_VIEW
        | ffi::SQLITE_DROP_INDEX
        | ffi::SQLITE_DROP_TRIGGER
        | ffi::SQLITE_ALTER_TABLE
        | ffi::SQLITE_REINDEX => {
            if let Some(name) = [a, b].into_iter().find(|name| is_ours(name)) {
                return Err(format!(
                    "{name} belongs to the server: its structure cannot be changed; create tables of your own"
                ));
            }
            Ok(())
        }
        _ => {
            Err("temporary objects and virtual tables are not available: create an ordinary table".to_owned())
        }
    }
}

fn write_rows(table: &str, by: &str) -> Result<(), String> {
    match table {
        "tool_stats" | "tool_hours" | "error_log" => {
            Err(format!("{table} is kept by the server and only read here"))
        }
        // The triggers cannot be made by users: their names begin with shelf_, see `is_ours`.
        "shelf_fts" if !by.starts_with("shelf_") => {
            Err("shelf_fts follows memory and knowledge by itself: change those".to_owned())
        }
        _ => Ok(()),
    }
}

// How names of machinery, and of what later versions will add, begin.
const RESERVED: [&str; 3] = ["shelf_", "toolgate_", "_sqlx"];

// Tables of the schema, and names kept for its machinery and for what comes later.
fn is_ours(name: &str) -> bool {
    matches!(name, "memory" | "knowledge" | "tool_stats" | "tool_hours" | "error_log" | "shelf")
        || RESERVED.iter().any(|prefix| name.starts_with(prefix))
}
