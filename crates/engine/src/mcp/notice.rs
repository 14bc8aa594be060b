//! What changed, told to clients that asked to hear of it: legacy sessions by what they subscribed to, modern clients by
//! `subscriptions/listen`.
//!
//! A caller hears only of servers of which it may see something, and of resources that it may read.

use super::progress::{Out, Outbox};
use super::session::Session;
use super::{Peer, Pending, Reply, SERVER_INFO, offers};
use crate::{Engine, Told, Watch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::sync::broadcast::error::RecvError;
use toolgate_core::link::Change;
use toolgate_core::name::Door;
use toolgate_core::quota::Full;
use toolgate_core::{Caller, Error, Face, Kind};
use toolgate_wire::result::ResultWriter;
use toolgate_wire::{Fault, Id, Incoming, notify};

const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// What a modern client wants to hear of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Filter {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tools_list_changed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    prompts_list_changed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resources_list_changed: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    resource_subscriptions: BTreeSet<String>,
}

impl Filter {
    fn wants(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools_list_changed,
            Change::Prompts => self.prompts_list_changed,
            Change::Resources => self.resources_list_changed,
            Change::Resource(uri) => self.resource_subscriptions.contains(uri),
        }
    }

    fn everything(&self) -> Vec<Change> {
        let lists = [Change::Tools, Change::Prompts, Change::Resources].into_iter().filter(|c| self.wants(c));
        lists.chain(self.resource_subscriptions.iter().cloned().map(Change::Resource)).collect()
    }
}

fn method(change: &Change) -> &'static str {
    match change {
        Change::Tools => "notifications/tools/list_changed",
        Change::Prompts => "notifications/prompts/list_changed",
        Change::Resources => "notifications/resources/list_changed",
        Change::Resource(_) => "notifications/resources/updated",
    }
}

fn params(change: &Change) -> Value {
    match change {
        Change::Resource(uri) => json!({ "uri": uri }),
        _ => json!({}),
    }
}

// Whether a caller at this door may hear of it.
fn may_hear(engine: &Engine, caller: &Caller, scope: Option<&Door>, told: &Told) -> bool {
    if !engine.0.snapshot.load().catalogue.leads_to(scope, &told.server) {
        return false;
    }
    // Whoever saw something of it before hears that it is gone.
    told.saw.contains(&caller.roles) || engine.leads(caller, Some(told.server.as_str()))
}

// What changed, as this caller asked for it at this door; `None` when it did not, or may not hear of it.
fn heard(
    engine: &Engine,
    caller: &Caller,
    scope: Option<&Door>,
    told: &Told,
    wants: impl Fn(&Change) -> bool,
) -> Option<Change> {
    let Change::Resource(uri) = &told.change else {
        return (wants(&told.change) && may_hear(engine, caller, scope, told)).then(|| told.change.clone());
    };
    let names = [uri.clone(), format!("{}+{uri}", told.server)].map(Change::Resource);
    names.into_iter().find(|name| {
        let Change::Resource(shown) = name else { return false };
        let same = |readable: crate::Readable| readable.server == told.server && readable.uri == *uri;
        wants(name) && engine.readable(caller, scope, shown).is_some_and(same)
    })
}

/// Ask upstreams again for the changes that a session subscribed to before this process began.
pub fn watch_again(engine: &Engine, session: &Session, caller: &Caller, scope: Option<&Door>) {
    for uri in session.unwatched() {
        let watch = engine.readable(caller, scope, &uri).and_then(|readable| readable.watch(caller));
        session.watched(&uri, watch);
    }
}

/// The notification for a legacy session, when it is one that it wants and may have.
pub fn for_session(
    engine: &Engine,
    session: &Session,
    caller: &Caller,
    scope: Option<&Door>,
    told: &Told,
) -> Option<Vec<u8>> {
    let wants = |change: &Change| match change {
        Change::Resource(uri) => session.is_subscribed(uri),
        _ => true,
    };
    let change = heard(engine, caller, scope, told, wants)?;
    Some(notify::of(method(&change), &params(&change)))
}

/// The notifications for a legacy session that missed changes. Which ones is not known, so everything that it would hear of
/// may have changed.
pub fn after_a_gap(
    engine: &Engine,
    session: &Session,
    caller: &Caller,
    scope: Option<&Door>,
) -> Vec<Vec<u8>> {
    let has = |face| engine.lists(face, caller, scope.map(Door::as_str), |_| true);
    let lists =
        [(Face::Tool, Change::Tools), (Face::Prompt, Change::Prompts), (Face::Resource, Change::Resources)];
    let lists = lists.into_iter().filter(|(face, _)| *face == Face::Tool || has(*face)).map(|(_, list)| list);
    let readable = |uri: &String| engine.readable(caller, scope, uri).is_some();
    let resources = session.subscriptions().into_iter().filter(readable).map(Change::Resource);
    lists.chain(resources).map(|change| notify::of(method(&change), &params(&change))).collect()
}

/// `subscriptions/listen`: acknowledged first, then what changes, each tagged with the request's id, until the client or
/// its key goes, or the gateway ends; only then it is answered.
pub(super) fn listen(
    engine: &Engine,
    peer: &Peer,
    request: &Incoming<'_>,
    outbox: Option<&Outbox>,
) -> Result<Pending, Fault> {
    let Some(outbox) = outbox.cloned() else {
        return Err(Fault::invalid_request("subscriptions/listen needs a stream; accept text/event-stream"));
    };
    // A door that is not there, or not this caller's, tells nothing.
    engine.list(Face::Tool, &peer.caller, peer.scope()).map_err(|error| Fault::from(&error))?;
    let asked = match request.params.notifications {
        None => return Err(Fault::invalid_params("Invalid params: \"notifications\" is missing")),
        Some(raw) => serde_json::from_str::<Filter>(raw.get())
            .map_err(|e| Fault::invalid_params(format!("Invalid params: \"notifications\": {e}")))?,
    };
    let most = engine.clients().subscriptions;
    if asked.resource_subscriptions.len() > most {
        let why = format!("Invalid params: at most {most} resources in one subscription");
        return Err(Fault::invalid_params(why));
    }
    let (filter, watches) = honoured(engine, peer, asked);
    let place = engine.0.listeners.take(&peer.caller).map_err(|full| {
        let full = match full {
            Full::Own(own) => format!("you have {own} subscription streams open"),
            Full::All(all) => format!("{all} subscription streams are open here"),
        };
        let why = format!("{full}, as many as there may be; close one");
        Fault::from(&Error::new(Kind::RateLimited, why))
    })?;
    // Listening begins before the acknowledgement, so that nothing is missed in between.
    let mut changes = engine.0.changes.listen();
    let mut closing = engine.0.closing.subscribe();
    let (engine, peer, id) = (engine.clone(), peer.clone(), request.id.clone());
    let tag = tag(&id);
    Ok(Pending::later(&request.id, async move {
        let (_place, _watches) = (place, watches);
        let acknowledged = json!({ "notifications": filter, "_meta": { SUBSCRIPTION_ID: tag } });
        let mut next = vec![notify::of("notifications/subscriptions/acknowledged", &acknowledged)];
        'open: loop {
            for message in next.drain(..) {
                if outbox.send(Out::Message(message)).await.is_err() {
                    break 'open;
                }
            }
            let told = tokio::select! {
                told = changes.recv() => told,
                _ = closing.wait_for(|closing| *closing) => break,
                () = outbox.closed() => break,
                () = engine.gone(&peer.caller) => break,
            };
            let heard: Vec<Change> = match told {
                Ok(told) => {
                    let wants = |change: &Change| filter.wants(change);
                    heard(&engine, &peer.caller, peer.scope.as_ref(), &told, wants).into_iter().collect()
                }
                // What was missed is not known, so everything that it asked for may have changed.
                Err(RecvError::Lagged(_)) => filter.everything(),
                Err(RecvError::Closed) => break,
            };
            next.extend(heard.iter().map(|change| {
                let mut params = params(change);
                params["_meta"] = json!({ SUBSCRIPTION_ID: tag });
                notify::of(method(change), &params)
            }));
        }
        let mut writer = ResultWriter::new(peer.version.era(), &id, 64);
        writer.meta(SUBSCRIPTION_ID, id.json());
        Reply::whole(writer.finish(SERVER_INFO))
    })
    .endless())
}

fn tag(id: &Id) -> Value {
    serde_json::from_str(id.json()).unwrap_or_default()
}

// What is asked for and there: a list that this caller does not have never changes, and what cannot tell is never heard.
fn honoured(engine: &Engine, peer: &Peer, asked: Filter) -> (Filter, Vec<Watch>) {
    let has = |face| offers(engine, peer, face);
    let mut watches = Vec::new();
    let mut readable = |uri: String| {
        let readable = engine.readable(&peer.caller, peer.scope.as_ref(), &uri)?;
        let readable = Some(readable).filter(|readable| readable.tells)?;
        watches.extend(readable.watch(&peer.caller));
        Some(super::known_as(&uri, Some(&readable)))
    };
    let resource_subscriptions = asked.resource_subscriptions.into_iter().filter_map(&mut readable).collect();
    let filter = Filter {
        tools_list_changed: asked.tools_list_changed,
        prompts_list_changed: asked.prompts_list_changed && has(Face::Prompt),
        resources_list_changed: asked.resources_list_changed && has(Face::Resource),
        resource_subscriptions,
    };
    (filter, watches)
}
