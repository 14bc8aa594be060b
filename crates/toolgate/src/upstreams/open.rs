//! How upstreams are reached: their transports, with secrets resolved when they are needed.
//!
//! Given to `Upstreams` by `Federation`. Decides nothing: which transport is said by the settings, and what may be reached
//! by the host.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::Kind;
use toolgate_host::Host;
use toolgate_upstream::settings::Transport as Spoken;
use toolgate_upstream::transport::http::StreamableHttp;
use toolgate_upstream::transport::sse_http::SseHttp;
use toolgate_upstream::transport::{Credentials, Failure, Open, Transport};
use toolgate_upstream::{Upstream, secrets};

// Secrets are read anew after this time, so that one that is replaced is used without a restart.
const FRESH: Duration = Duration::from_secs(1);

/// Opens transports through this host's door. `data`: the data directory.
pub fn opener(host: Host, _data: &Path) -> Open {
    Arc::new(move |name, settings| {
        let (host, name, settings) = (host.clone(), name.to_owned(), settings.clone());
        Box::pin(async move {
            match (&settings.url, &settings.command) {
                (Some(_), None) => endpoint(&host, &name, &settings).await,
                (None, Some(_)) => program(&name),
                _ => {
                    Err(Failure::new(Kind::Invalid, "exactly one of `url` and `command` must be set")
                        .unseen())
                }
            }
        })
    })
}

async fn endpoint(host: &Host, name: &str, settings: &Upstream) -> Result<Arc<dyn Transport>, Failure> {
    let credentials = credentials(name, settings);
    Ok(match settings.transport {
        Spoken::Sse => Arc::new(SseHttp::open(host.http(), settings, credentials).await?),
        Spoken::Auto | Spoken::StreamableHttp => {
            Arc::new(StreamableHttp::open(host.http(), settings, credentials).await?)
        }
    })
}

fn program(name: &str) -> Result<Arc<dyn Transport>, Failure> {
    let why = format!("{name}: programs cannot be started by this build yet; use a `url`");
    Err(Failure::new(Kind::Unsupported, why).unseen())
}

fn credentials(name: &str, settings: &Upstream) -> Credentials {
    let (name, headers) = (name.to_owned(), settings.headers.clone());
    let known: Mutex<Option<(Instant, HeaderMap)>> = Mutex::default();
    Arc::new(move || {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, resolved)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            let _ = at;
            return Ok(resolved.clone());
        }
        let mut resolved = HeaderMap::new();
        for (key, value) in &headers {
            let field = format!("upstreams.{name}.headers.{key}");
            let unusable = |why: String| Failure::new(Kind::Unavailable, why).unseen();
            let value = secrets::resolve(&field, value).map_err(unusable)?;
            let key = HeaderName::try_from(key.as_str())
                .map_err(|_| unusable(format!("{field}: is not the name of a header")))?;
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| unusable(format!("{field}: its value cannot be sent in a header")))?;
            value.set_sensitive(true);
            resolved.insert(key, value);
        }
        *known = Some((Instant::now(), resolved.clone()));
        Ok(resolved)
    })
}
