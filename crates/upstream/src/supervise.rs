//! One upstream, supervised: connected in the background, watched, connected again with back-off when it fails.
//!
//! `Hub` is what the tools of its `Mount` hold on to: it has the connection of the moment, or says at once why there is
//! none. The last good catalogue stays offered while an upstream fails. What a call runs on lives until the call ends,
//! whatever happens here meanwhile.

use crate::catalogue::{self, Listed, Prints};
use crate::conversation::fault::of_failure;
use crate::conversation::{Conversation, Place, Trouble, probe};
use crate::room::Room;
use crate::status::{self, State, Status};
use crate::transport::Failure;
use crate::watch::{Listener, Told};
use crate::{Event, Sink};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use toolgate_core::foreign::SetAside;
use toolgate_core::link::Change;
use toolgate_core::name::ServerName;
use toolgate_core::server::Mount;
use toolgate_core::{Kind, ToolError};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(60);
// An upstream that was well for so long begins with the first wait again.
const WELL: Duration = Duration::from_secs(30);
// Changes that come so close together are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(100);
// Lists that change again and again are looked at less and less often, up to this wait; after a calm so long, at once again.
const LONGEST_PACE: Duration = Duration::from_secs(10);
const CALM: Duration = Duration::from_secs(30);
// Shortest time between two looks at the lists of a modern upstream that says how long they hold, and where it also
// tells of changes.
const SHORTEST_TTL: Duration = Duration::from_secs(5);
const SHORTEST_TTL_TOLD: Duration = Duration::from_secs(60);
// Wait before lists that could not be read are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
// Time for subscribing: nothing waits for it.
const SUBSCRIBING: Duration = Duration::from_secs(10);

/// One upstream, as its tools and the binary know it.
pub(crate) struct Hub {
    pub name: ServerName,
    pub place: Arc<Place>,
    phase: watch::Sender<Phase>,
    /// Once `close` has returned nothing is offered or told any more, whatever still runs on another thread.
    open: Mutex<bool>,
    /// Of the last good catalogue.
    seen: Mutex<Status>,
    rewatch: Notify,
    room: Arc<Room>,
}

#[derive(Clone)]
enum Phase {
    Connecting,
    Ready(Arc<Conversation>),
    Failing {
        failure: Failure,
        since_ms: u64,
        next: Instant,
    },
    /// Removed, or replaced by another.
    Closed,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub fn new(name: ServerName, place: Arc<Place>, room: Arc<Room>) -> Self {
        let seen = Mutex::new(Status::new(name.as_str(), State::Connecting));
        let phase = watch::Sender::new(Phase::Connecting);
        Self { name, place, phase, open: Mutex::new(true), seen, rewatch: Notify::new(), room }
    }

    /// The connection of the moment. One that is being made is waited for; one that failed is not.
    pub async fn conversation(&self) -> Result<Arc<Conversation>, ToolError> {
        let limit = Instant::now() + self.place.settings.start.0;
        let mut phase = self.phase.subscribe();
        loop {
            match &*phase.borrow_and_update() {
                Phase::Ready(conversation) => return Ok(conversation.clone()),
                Phase::Closed => {
                    let why = format!(
                        "upstream {}: it was removed or its settings changed; list the tools again",
                        self.name
                    );
                    return Err(ToolError::unavailable(why));
                }
                Phase::Failing { failure, next, .. } => {
                    let wait = next.saturating_duration_since(Instant::now()).as_secs_f64();
                    let said = Failure {
                        message: format!("not connected: {}; next try in {wait:.1} s", failure.message),
                        ..failure.clone()
                    };
                    return Err(of_failure(self.name.as_str(), &said));
                }
                Phase::Connecting => {}
            }
            if tokio::time::timeout_at(limit, phase.changed()).await.is_err() {
                let seconds = self.place.settings.start.0.as_secs_f64();
                let why = format!("upstream {}: not connected within {seconds} s (start)", self.name);
                return Err(ToolError::unavailable(why));
            }
        }
    }

    /// Once more, or once less, a caller watches a resource.
    pub fn watch(&self, uri: &str, caller: &Arc<str>, more: bool) {
        if self.place.notices.watch(uri, caller, more) {
            self.rewatch.notify_one();
        }
    }

    fn watched(&self) -> BTreeSet<String> {
        self.place.notices.watched()
    }

    pub fn status(&self) -> Status {
        let mut status = lock(&self.seen).clone();
        status.parked = self.place.lot.count(&self.place.name);
        status.state = match &*self.phase.borrow() {
            Phase::Connecting => State::Connecting,
            Phase::Ready(conversation) => {
                status.sessions = conversation.sessions();
                State::Ready
            }
            Phase::Failing { failure, since_ms, next } => State::Failing {
                why: failure.message.clone(),
                since_ms: *since_ms,
                next_try_ms: millis(next.saturating_duration_since(Instant::now())),
            },
            Phase::Closed => State::Disabled,
        };
        status
    }

    /// From now on there is no connection, and none will be made.
    pub fn close(&self) {
        *lock(&self.open) = false;
        self.phase.send_replace(Phase::Closed);
    }

    fn enter(&self, phase: Phase) {
        let open = lock(&self.open);
        if *open {
            self.phase.send_replace(phase);
        }
    }

    fn tell(&self, sink: &Sink, event: Event) {
        let open = lock(&self.open);
        if *open {
            sink(event);
        }
    }

    // What it offered stays; its status says why.
    fn hold_back(&self, aside: SetAside) {
        let mut seen = lock(&self.seen);
        if !seen.set_aside.contains(&aside) {
            tracing::warn!(upstream = %self.name, why = aside.reason, "what it lists now is not offered");
            seen.set_aside.retain(|other| other.name != aside.name);
            seen.set_aside.push(aside);
        }
    }

    /// What these lists offer; also remembered for the status.
    pub fn mount(self: &Arc<Self>, conversation: &Conversation, listed: Listed) -> Mount {
        let face = conversation.face();
        let mount = catalogue::mount(self, conversation.era(), face, listed);
        let mut seen = lock(&self.seen);
        seen.era = Some(status::era(conversation.era()));
        seen.version = Some(face.version.clone());
        seen.server = face.info.clone();
        (seen.tools, seen.prompts) = (mount.tools.len(), mount.prompts.len());
        if let Some(foreign) = &mount.foreign {
            seen.set_aside = foreign.set_aside.to_vec();
            seen.resources = foreign.resources.as_ref().map_or(0, |r| r.fixed.len() + r.templates.len());
        }
        mount
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Connect and read what is offered, within the time for that.
pub(crate) async fn connect(place: &Arc<Place>) -> Result<(Arc<Conversation>, Listed), Failure> {
    let limit = place.settings.start.0;
    let connecting = async {
        let conversation = Arc::new(Box::pin(probe::connect(place)).await?);
        let listed = catalogue::fetch(&conversation).await.map_err(why)?;
        Ok((conversation, listed))
    };
    tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs_f64();
        Err(Failure::new(Kind::Timeout, format!("not connected and listed within {seconds} s (start)")))
    })
}

fn why(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Lost(failure) => failure,
        trouble => Failure::new(Kind::Unavailable, format!("tools/list: {}", trouble.text())),
    }
}

/// Look after an upstream until the task is dropped. `before`: what this one takes the place of, until it is known how
/// this one does.
pub(crate) async fn run(hub: Arc<Hub>, sink: Sink, before: Option<crate::Supervised>) {
    let (mut before, mut prints, mut wait, mut since) = (before, None, FIRST_WAIT, None);
    loop {
        let failure = match connect(&hub.place).await {
            Ok((conversation, listed)) => {
                since = None;
                let begun = Instant::now();
                let failure = tend(&hub, &sink, conversation, listed, &mut prints, &mut before).await;
                if begun.elapsed() >= WELL {
                    wait = FIRST_WAIT;
                }
                failure
            }
            Err(failure) => failure,
        };
        drop(before.take());
        tracing::warn!(upstream = %hub.name, why = failure.message, "upstream fails");
        let since_ms = *since
            .get_or_insert_with(|| millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()));
        let pause = jittered(failure.wait.unwrap_or(wait).max(wait).min(LAST_WAIT));
        let next = Instant::now() + pause;
        hub.enter(Phase::Failing { failure, since_ms, next });
        tokio::time::sleep_until(next).await;
        wait = (wait * 2).min(LAST_WAIT);
        hub.enter(Phase::Connecting);
    }
}

// A fifth more or less, so that those who failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let share = RandomState::new().hash_one(0) % 401;
    wait.mul_f64(0.8 + f64::from(u32::try_from(share).unwrap_or(0)) / 1000.0)
}

/// Offer it and keep the offer up to date, until the connection is of no use any more.
async fn tend(
    hub: &Arc<Hub>,
    sink: &Sink,
    conversation: Arc<Conversation>,
    listed: Listed,
    prints: &mut Option<Prints>,
    before: &mut Option<crate::Supervised>,
) -> Failure {
    // What was said while it was connected is in the lists.
    hub.place.notices.take();
    let mut ttl = hold(&conversation, &listed);
    hub.enter(Phase::Ready(conversation.clone()));
    let again = prints.is_some();
    if !offer(hub, sink, &conversation, listed, Told::default(), prints) {
        ttl = Some(LOOK_AGAIN);
    }
    if again {
        hub.tell(sink, Event::Back(hub.name.clone()));
    }
    drop(before.take());
    let mut listener = Listener::new(conversation.clone());
    let idle = hub.place.settings.idle.0;
    let mut tick =
        tokio::time::interval((idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(15)));
    let mut looked = Instant::now();
    // Lists that changed and are not looked at yet, and the wait between two looks at such.
    let (mut waiting, mut pace) = (Told::default(), Duration::ZERO);
    loop {
        let mut told = tokio::select! {
            () = hub.place.notices.news() => {
                tokio::time::sleep(DEBOUNCE).await;
                hub.place.notices.take()
            }
            () = hub.rewatch.notified() => {
                let _ = tokio::time::timeout(SUBSCRIBING, listener.want(hub.watched())).await;
                continue;
            }
            _ = tick.tick() => {
                conversation.reap(idle);
                let _ = tokio::time::timeout(SUBSCRIBING, listener.want(hub.watched())).await;
                continue;
            }
            () = after(ttl.map(|ttl| looked + ttl)) => Told { looks: true, ..Told::default() },
            () = after(waiting.lists().then(|| looked + pace)) => std::mem::take(&mut waiting),
        };
        if let Some(failure) = told.gone.take() {
            return failure;
        }
        for uri in std::mem::take(&mut told.updated) {
            hub.tell(sink, Event::Changed(hub.name.clone(), Change::Resource(uri)));
        }
        told.and(std::mem::take(&mut waiting));
        if told.lists() && looked.elapsed() < pace {
            waiting = told;
            continue;
        }
        if !(told.lists() || told.looks) {
            continue;
        }
        if told.lists() {
            let calm = looked.elapsed() >= CALM.max(pace);
            pace = if calm { Duration::ZERO } else { (pace * 2).clamp(DEBOUNCE, LONGEST_PACE) };
        }
        looked = Instant::now();
        let limit = hub.place.settings.start.0;
        match tokio::time::timeout(limit, catalogue::fetch(&conversation)).await {
            Ok(Ok(listed)) => {
                ttl = hold(&conversation, &listed);
                if !offer(hub, sink, &conversation, listed, told, prints) {
                    ttl = Some(LOOK_AGAIN);
                }
            }
            Ok(Err(Trouble::Lost(failure))) if failure.status.is_none() && failure.kind != Kind::Timeout => {
                return failure;
            }
            // Calls may go well all the same: the last good catalogue stays, and is looked at again later.
            failed => {
                let why = match failed {
                    Ok(Err(trouble)) => trouble.text(),
                    _ => format!("no lists within {} s (start)", limit.as_secs_f64()),
                };
                tracing::warn!(upstream = %hub.name, why, "its lists cannot be read; what was offered stays");
                ttl = Some(LOOK_AGAIN);
            }
        }
    }
}

// How long lists hold before they are looked at again. A process is not kept from being idle for that.
fn hold(conversation: &Conversation, listed: &Listed) -> Option<Duration> {
    if matches!(conversation, Conversation::Modern(modern) if !modern.has_headers) {
        return None;
    }
    let capabilities = &conversation.face().capabilities;
    let tells = capabilities["tools"]["listChanged"] == true;
    listed.ttl.map(|ttl| ttl.max(if tells { SHORTEST_TTL_TOLD } else { SHORTEST_TTL }))
}

async fn after(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

// Hand on what is offered where it is another than before, and tell what was told. False where there is no room for it:
// what was offered stays, and one that offered nothing yet is there with nothing but the reason.
fn offer(
    hub: &Arc<Hub>,
    sink: &Sink,
    conversation: &Conversation,
    listed: Listed,
    told: Told,
    prints: &mut Option<Prints>,
) -> bool {
    // Held to the end, so that nothing is offered after `close`.
    let open = lock(&hub.open);
    if !*open {
        return true;
    }
    let mut listed = listed;
    let (bytes, items) = listed.size();
    let held_back = hub.room.take(hub.name.as_str(), bytes, items).err();
    if let Some(reason) = &held_back {
        let aside =
            SetAside { name: "lists".to_owned(), reason: format!("{reason}; nothing new of it is offered") };
        if prints.is_some() {
            hub.hold_back(aside);
            return false;
        }
        listed = Listed::nothing(aside);
    }
    let new = listed.prints();
    let old = prints.replace(new);
    if old != Some(new) {
        sink(Event::Offers(hub.mount(conversation, listed)));
    }
    // A first offer is nobody's change.
    let old = old.unwrap_or(new);
    for (changed, change) in [
        (told.tools || old.tools != new.tools, Change::Tools),
        (told.prompts || old.prompts != new.prompts, Change::Prompts),
        (told.resources || old.resources != new.resources, Change::Resources),
    ] {
        if changed {
            sink(Event::Changed(hub.name.clone(), change));
        }
    }
    held_back.is_none()
}
