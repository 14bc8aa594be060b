//! The gateway's own health checks (CATALOGUE 2.10): `database`, `journal`, `system_resources`.
//!
//! Asked by the engine for health reports, never on the data path. A processor that is busy for a moment is what it is
//! there for: it makes the gateway unhealthy only when it has been so for a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::server::{Health, Status};
use toolgate_engine::health::Checks;
use toolgate_engine::journal::Journal;
use toolgate_host::Host;
use toolgate_store::Store;

/// Percent above which processor, memory and disk are degraded, and above which any is unhealthy.
const DEGRADED: [f32; 3] = [80.0, 85.0, 90.0];
const UNHEALTHY: f32 = 95.0;
/// How long the processor may be that busy.
const BUSY: Duration = Duration::from_secs(60);

/// The checks of one process.
pub fn checks(store: Arc<Store>, journal: Journal, host: Host) -> Checks {
    let busy_since: Arc<Mutex<Option<Instant>>> = Arc::default();
    Box::new(move || {
        let (store, journal, host, busy_since) =
            (store.clone(), journal.clone(), host.clone(), busy_since.clone());
        Box::pin(async move {
            let (database, load) = tokio::join!(database(&store), host.system().load());
            let busy = busy(&busy_since, load.0 > UNHEALTHY, Instant::now());
            vec![database, written(&journal), resources([load.0, load.1, load.2], busy)]
        })
    })
}

async fn database(store: &Store) -> Health {
    match store.data_version().await {
        Ok(_) => Health::healthy("database"),
        Err(problem) => Health::of("database", Status::Unhealthy, problem.message().to_owned()),
    }
}

fn written(journal: &Journal) -> Health {
    let stats = journal.stats();
    if stats.sync_failed {
        return Health::of(
            "journal",
            Status::Unhealthy,
            "cannot be put on disk; check the disk, then restart",
        );
    }
    if stats.dropped > 0 {
        return Health::of("journal", Status::Degraded, format!("{} records were lost", stats.dropped));
    }
    Health::healthy("journal")
}

// For how long it has been busy without a pause.
fn busy(since: &Mutex<Option<Instant>>, now_busy: bool, now: Instant) -> Duration {
    let mut since = since.lock().unwrap_or_else(PoisonError::into_inner);
    if !now_busy {
        *since = None;
        return Duration::ZERO;
    }
    now.duration_since(*since.get_or_insert(now))
}

fn resources(percent: [f32; 3], busy: Duration) -> Health {
    let [cpu, memory, disk] = percent;
    let status = if memory > UNHEALTHY || disk > UNHEALTHY || (cpu > UNHEALTHY && busy >= BUSY) {
        Status::Unhealthy
    } else if percent.iter().zip(DEGRADED).any(|(used, limit)| *used > limit) {
        Status::Degraded
    } else {
        Status::Healthy
    };
    Health::of(
        "system_resources",
        status,
        format!("cpu {cpu:.0} %, memory {memory:.0} %, fullest disk {disk:.0} %"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        let of = |percent, busy| resources(percent, Duration::from_secs(busy)).status;
        assert_eq!(of([80.0, 85.0, 90.0], 0), Status::Healthy);
        assert_eq!(of([81.0, 0.0, 0.0], 0), Status::Degraded);
        assert_eq!(of([0.0, 86.0, 0.0], 0), Status::Degraded);
        assert_eq!(of([0.0, 0.0, 91.0], 0), Status::Degraded);
        assert_eq!(of([0.0, 96.0, 0.0], 0), Status::Unhealthy);
        assert_eq!(of([100.0, 0.0, 0.0], 59), Status::Degraded);
        assert_eq!(of([100.0, 0.0, 0.0], 60), Status::Unhealthy);
    }

    #[test]
    fn a_pause_begins_the_minute_again() {
        let (since, start) = (Mutex::new(None), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(busy(&since, true, start), Duration::ZERO);
        assert_eq!(busy(&since, true, at(50)), Duration::from_secs(50));
        assert_eq!(busy(&since, false, at(55)), Duration::ZERO);
        assert_eq!(busy(&since, true, at(60)), Duration::ZERO);
    }
}
