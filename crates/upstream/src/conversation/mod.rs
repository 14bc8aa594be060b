//! Conversations with an upstream, in its era: one request there, its notifications and questions back to the caller.
//!
//! Made by `supervise` for each connection, used by the tools of `catalogue` and by `watch`. Two conversations, not four:
//! which era the client speaks is hidden behind `Link`. Nothing here decides who may do what.

mod ask;
mod face;
pub(crate) mod fault;
mod legacy;
mod modern;
mod park;
mod pool;
pub(crate) mod probe;
mod process;
mod read;
mod running;
mod session;
pub(crate) mod task;
mod write;

pub(crate) use face::Face;
pub(crate) use fault::Trouble;
pub(crate) use legacy::Legacy;
pub(crate) use modern::{LISTEN, Modern};
pub(crate) use park::Lot;
pub(crate) use pool::{Held, Lease, Owner};
pub(crate) use session::Session;
pub(crate) use write::Members;

use crate::settings::{self, Upstream};
use crate::transport::{Failure, Open, Transport};
use crate::watch::Notices;
use http::HeaderName;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use toolgate_core::caller::Caller;
use toolgate_core::{Ctx, Effect, JsonText, Kind, ToolError, ToolOutput};
use toolgate_wire::Era;

/// One upstream, as everything that speaks to it knows it.
pub(crate) struct Place {
    pub name: Arc<str>,
    pub settings: Upstream,
    pub open: Open,
    /// Calls that wait for answers of their clients; one for all upstreams.
    pub lot: Arc<Lot>,
    /// What the upstream says of its own accord.
    pub notices: Arc<Notices>,
    numbers: AtomicU64,
    /// Whether it turned out to speak HTTP+SSE.
    old_http: AtomicBool,
}

impl Place {
    pub fn new(name: &str, settings: Upstream, open: Open, lot: Arc<Lot>) -> Self {
        let notices = Arc::default();
        Self {
            name: name.into(),
            settings,
            open,
            lot,
            notices,
            numbers: AtomicU64::new(1),
            old_http: AtomicBool::default(),
        }
    }

    /// JSON text of the next request's id.
    pub fn number(&self) -> Arc<str> {
        self.numbers.fetch_add(1, Ordering::Relaxed).to_string().into()
    }

    /// `caller`: whose alone it will be, where callers are kept apart.
    pub async fn open(&self, caller: Option<&str>) -> Result<Arc<dyn Transport>, Failure> {
        if self.old_http.load(Ordering::Acquire) {
            let settings = Upstream { transport: settings::Transport::Sse, ..self.settings.clone() };
            return (self.open)(&self.name, &settings, caller).await;
        }
        (self.open)(&self.name, &self.settings, caller).await
    }

    /// Whether to open HTTP+SSE where the operator left that open.
    pub fn old_http(&self, old: bool) {
        self.old_http.store(old, Ordering::Release);
    }
}

/// A call to make upstream.
pub(crate) struct Operation {
    pub method: &'static str,
    pub params: Members,
    /// What `Mcp-Name` says.
    pub name: Option<String>,
    /// Arguments of a tool, which some of its parameters are mirrored from.
    pub arguments: Option<JsonText>,
    pub effect: Effect,
}

impl Operation {
    /// The URI that is read, for errors that name it.
    fn uri(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.method == "resources/read")
    }

    fn headers(&self, mirrors: Option<&toolgate_wire::mirror::Mirrors>) -> Vec<(HeaderName, String)> {
        mirrors
            .zip(self.arguments.as_ref())
            .map(|(mirrors, text)| mirrors.headers(text.get()))
            .unwrap_or_default()
    }

    /// What a parked call is bound to.
    fn what(&self) -> String {
        format!("{} {}", self.method, self.name.as_deref().unwrap_or_default())
    }
}

/// A connection in the upstream's era.
pub(crate) enum Conversation {
    Modern(Modern),
    Legacy(Legacy),
}

impl Conversation {
    pub fn era(&self) -> Era {
        match self {
            Self::Modern(_) => Era::Modern,
            Self::Legacy(_) => Era::Legacy,
        }
    }

    pub fn face(&self) -> &Face {
        match self {
            Self::Modern(modern) => &modern.face,
            Self::Legacy(legacy) => &legacy.face,
        }
    }

    /// Make a call for a client.
    pub async fn call(&self, operation: &Operation, ctx: &Ctx) -> Result<ToolOutput, ToolError> {
        match self {
            Self::Modern(modern) => modern.call(operation, ctx).await,
            Self::Legacy(legacy) => legacy.call(operation, ctx).await,
        }
    }

    /// Ask the upstream something for the gateway itself, or for a caller that cannot be asked back.
    pub async fn query(
        &self,
        method: &'static str,
        params: Members,
        caller: Option<&Arc<Caller>>,
    ) -> Result<JsonText, Trouble> {
        match self {
            Self::Modern(modern) => modern.query(method, params).await,
            Self::Legacy(legacy) => legacy.query(method, params, caller).await,
        }
    }

    /// End what nobody used for so long. The gateway's own session stays where it costs no process.
    pub fn reap(&self, idle: Duration) {
        match self {
            Self::Modern(modern) => modern.pool.reap(idle),
            Self::Legacy(legacy) => legacy.pool.reap(idle),
        }
    }

    /// Sessions of a legacy upstream, processes of a modern one.
    pub fn sessions(&self) -> usize {
        match self {
            Self::Modern(modern) => modern.processes(),
            Self::Legacy(legacy) => legacy.pool.len(),
        }
    }
}

/// The result of a call, as the engine takes it. Of a member that comes twice one reader takes the first and another the
/// last, so that nobody can say what was answered.
fn output(json: JsonText) -> Result<ToolOutput, Trouble> {
    let members = json.members();
    let failed = members.iter().any(|(name, value)| name == "isError" && value.get() == "true");
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
        let why = format!("its result has the member {:?} twice", read::shortened(twice[0]));
        return Err(Trouble::Refused(fault::Rpc::new(-32603, why)));
    }
    drop(members);
    Ok(ToolOutput { json, whole: true, failed })
}

/// Say that the upstream could not be reached, so that its supervisor looks.
fn doubt(place: &Place, failure: &Failure) {
    if failure.unseen && failure.status.is_none() && failure.kind == Kind::Unavailable {
        place.notices.gone(failure.clone());
    }
}

// Tries again of a request that was not let in, and the longest wait before one.
const RETRIES: usize = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long to wait before the same again, when the upstream asked for that and there is time.
fn patience(failure: &Failure, tries: usize, deadline: Instant) -> Option<Duration> {
    let asked = matches!(failure.status, Some(429 | 503)).then_some(failure.wait).flatten()?;
    let wait = asked.max(Duration::from_millis(50));
    (tries < RETRIES && wait <= LONGEST_WAIT && Instant::now() + wait < deadline).then_some(wait)
}

/// Wait, and keep the call alive that does.
async fn rest(wait: Duration, ctx: &Ctx) {
    let end = tokio::time::Instant::now() + wait;
    while tokio::time::Instant::now() < end {
        ctx.alive();
        tokio::time::sleep_until(end.min(tokio::time::Instant::now() + Duration::from_secs(1))).await;
    }
    ctx.alive();
}
