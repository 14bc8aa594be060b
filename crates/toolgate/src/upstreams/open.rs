//! How upstreams are reached: their transports, with secrets resolved when they are needed.
//!
//! Given to `Upstreams` by `Federation`. Decides nothing: which transport is said by the settings, and what may be reached
//! by the host.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::Kind;
use toolgate_host::Host;
use toolgate_host::egress::EgressRules;
use toolgate_upstream::settings::Transport as Spoken;
use toolgate_upstream::transport::http::StreamableHttp;
use toolgate_upstream::transport::sse_http::SseHttp;
use toolgate_upstream::transport::stdio::{Ground, Stdio, plan};
use toolgate_upstream::transport::{Credentials, Failure, Open, Transport};
use toolgate_upstream::{Upstream, secrets};

// Secrets are read anew after this time, so that one that is replaced is used without a restart.
const FRESH: Duration = Duration::from_secs(1);

/// Where run-files of children are, beneath the data directory; swept at the start.
pub fn children(data: &Path) -> PathBuf {
    data.join("run/children")
}

/// What holds for every program. The gateway's own files stay closed to it; beside them are its own directory and unpacked
/// bundles.
fn ground(data: &Path, egress: EgressRules) -> Ground {
    let mut denied: Vec<PathBuf> =
        ["journal", "secrets", "workspace", "admin.key", "state.key", "toolgate.yaml"]
            .into_iter()
            .map(|name| data.join(name))
            .collect();
    for database in [toolgate_store::STATE_FILE, toolgate_store::SHELF_FILE] {
        denied.extend(["", "-wal", "-shm", "-journal"].map(|end| data.join(format!("{database}{end}"))));
    }
    Ground { state: children(data), homes: data.join("upstreams"), denied, egress }
}

/// Opens transports through this host's door. `data`: the data directory.
pub fn opener(host: Host, data: &Path, egress: EgressRules) -> Open {
    let ground = Arc::new(ground(data, egress));
    Arc::new(move |name, settings, caller| {
        let (host, name, settings, ground) =
            (host.clone(), name.to_owned(), settings.clone(), ground.clone());
        let caller = caller.map(str::to_owned);
        Box::pin(async move {
            match (&settings.url, &settings.command) {
                (Some(_), None) => endpoint(&host, &name, &settings).await,
                (None, Some(_)) => program(name, settings, caller.as_deref(), &ground).await,
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

async fn program(
    name: String,
    settings: Upstream,
    caller: Option<&str>,
    ground: &Ground,
) -> Result<Arc<dyn Transport>, Failure> {
    let max_message = usize::try_from(settings.max_message.0).unwrap_or(usize::MAX);
    let (of, settings_of) = (name.clone(), settings.clone());
    let resolved = tokio::task::spawn_blocking(move || environment(&of, &settings_of)).await;
    let lost = |_| Failure::new(Kind::Internal, "its environment could not be read").unseen();
    let unusable = |why| Failure::new(Kind::Unavailable, why).unseen();
    let (env, secrets) = resolved.map_err(lost)?.map_err(unusable)?;
    Ok(Stdio::start(plan(&name, &settings, caller, env, secrets, ground), max_message).await?)
}

type Environment = (Vec<(String, String)>, Vec<String>);

// The variables, and which of their values came from references. Blocks.
fn environment(name: &str, settings: &Upstream) -> Result<Environment, String> {
    let (mut env, mut hidden) = (Vec::new(), Vec::new());
    for (key, value) in &settings.env {
        let resolved = secrets::resolve(&format!("upstreams.{name}.env.{key}"), value)?;
        if resolved != *value {
            hidden.push(resolved.clone());
        }
        env.push((key.clone(), resolved));
    }
    Ok((env, hidden))
}

fn credentials(name: &str, settings: &Upstream) -> Credentials {
    let (name, headers) = (name.to_owned(), settings.headers.clone());
    let known: Mutex<Option<(Instant, HeaderMap)>> = Mutex::default();
    Arc::new(move || {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, resolved)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
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
