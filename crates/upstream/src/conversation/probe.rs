//! Which era an upstream speaks: asked with `server/discover` first; any other answer, or none, means `initialize`.
//!
//! Called by `supervise` for each new connection, so that an upstream that changed its era is found out by the same way.
//! A credential that is refused and an address that cannot be reached say nothing of an era: they end the attempt.

use super::face::{Answer, Face};
use super::fault::Trouble;
use super::modern::{self, About};
use super::read::Said;
use super::running::Manner;
use super::{Conversation, Legacy, Modern, Place};
use crate::settings::{self, EraChoice};
use crate::transport::{Failure, Transport};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::{JsonText, Kind};
use toolgate_wire::{Era, Version};

// The version that is asked in.
const MODERN: &str = Version::V2026_07_28.as_str();
// How long an upstream may be silent about its era.
const SILENCE: Duration = Duration::from_secs(5);

/// Connect, in the era that the upstream speaks or that the operator says it does.
pub(crate) async fn connect(place: &Arc<Place>) -> Result<Conversation, Failure> {
    place.old_http(false);
    let transport = place.open(None).await?;
    if place.settings.era == EraChoice::Legacy {
        return Ok(Conversation::Legacy(Legacy::begin(place.clone(), transport).await?));
    }
    let mut discovered = discover(place, &transport).await;
    // A modern upstream that names the version it was asked in, as one that it speaks.
    if matches!(&discovered, Err(Trouble::Refused(rpc)) if rpc.speaks(MODERN)) {
        discovered = discover(place, &transport).await;
    }
    let trouble = match discovered {
        Ok(face) => return Ok(Conversation::Modern(Modern::new(place.clone(), transport, face))),
        Err(trouble) => trouble,
    };
    if place.settings.era == EraChoice::Modern {
        return Err(match trouble {
            Trouble::Lost(failure) => failure,
            trouble => Failure::new(Kind::Unavailable, format!("server/discover: {}", trouble.text())),
        });
    }
    let mut transport = transport;
    if let Trouble::Lost(failure) = &trouble {
        if says_nothing(failure) {
            return Err(failure.clone());
        }
        // A process may have ended over a word that it does not know.
        if transport.one_session() && failure.kind != Kind::Timeout {
            transport = place.open(None).await?;
        }
    }
    let failed = match Legacy::begin(place.clone(), transport).await {
        Ok(legacy) => return Ok(Conversation::Legacy(legacy)),
        Err(failed) => failed,
    };
    // What takes no messages at its address may be of 2024-11-05, with a stream to open first.
    if place.settings.url.is_some()
        && place.settings.transport == settings::Transport::Auto
        && matches!(failed.status, Some(400 | 404 | 405))
    {
        place.old_http(true);
        if let Ok(transport) = place.open(None).await {
            return Ok(Conversation::Legacy(Legacy::begin(place.clone(), transport).await?));
        }
        place.old_http(false);
    }
    let why = format!("{} (before that, to server/discover: {})", failed.message, trouble.text());
    Err(Failure { message: why, ..failed })
}

// What is wrong is not the word.
fn says_nothing(failure: &Failure) -> bool {
    match failure.status {
        Some(401 | 403 | 407 | 429 | 502 | 503 | 504) => true,
        Some(_) => false,
        None => failure.unseen,
    }
}

/// What a modern upstream says of itself.
async fn discover(place: &Place, transport: &Arc<dyn Transport>) -> Result<Face, Trouble> {
    let nothing = json!({});
    let about = About::own(&nothing);
    let asking = async {
        let params = super::Members::default();
        let method = "server/discover";
        let mut running = modern::start(place, transport, MODERN, method, params, &about, Manner::Query);
        // A legacy upstream would have to understand a cancellation before its session begins.
        running.quiet();
        loop {
            match running.next().await {
                Said::Answer(Ok(result)) => return Ok(result),
                Said::Answer(Err(rpc)) => return Err(Trouble::Refused(rpc)),
                Said::Lost(failure) => return Err(failure.into()),
                _ => {}
            }
        }
    };
    let result = tokio::time::timeout(SILENCE, asking).await.unwrap_or_else(|_| {
        let why = format!("no answer to server/discover within {} s", SILENCE.as_secs());
        Err(Trouble::Lost(Failure::new(Kind::Timeout, why)))
    })?;
    face(&result).map_err(|why| Trouble::Lost(Failure::new(Kind::Unavailable, why)))
}

fn face(result: &JsonText) -> Result<Face, String> {
    let answer = Answer::of(result.get())?;
    let versions = answer.small("supportedVersions");
    let versions: Vec<&str> = versions.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let spoken = Version::names(Era::Modern);
    let Some(version) = spoken.iter().rev().find(|version| versions.contains(version)) else {
        let shown: Vec<&str> = versions.iter().copied().filter(|v| v.len() <= 40).take(8).collect();
        return Err(format!(
            "it speaks the versions {shown:?}; of the modern ones the gateway speaks {spoken:?}"
        ));
    };
    answer.face(version)
}
