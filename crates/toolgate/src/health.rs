//! The gateway's own health checks (CATALOGUE 2.10): `database`, `journal`, `system_resources`.
//!
//! Asked by the engine for health reports, never on the data path. What of the machine is bad says `host::system`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use toolgate_core::record::Decision;
use toolgate_core::server::{Health, Status};
use toolgate_engine::health::Checks;
use toolgate_engine::journal::{self, Journal};
use toolgate_host::Host;
use toolgate_host::system::Strain;
use toolgate_store::Store;

/// The checks of one process. `data`: its data directory, whose disk counts whatever kind of file system it is.
pub fn checks(store: Arc<Store>, journal: Journal, host: Host, data: PathBuf) -> Checks {
    let failures: Arc<Mutex<Failures>> = Arc::default();
    Box::new(move || {
        let (store, journal, host, data) = (store.clone(), journal.clone(), host.clone(), data.clone());
        let failures = failures.clone();
        Box::pin(async move {
            let of_disk = tokio::task::spawn_blocking(move || (written(&journal, &failures), used(&data)));
            let (database, mut strain, of_disk) =
                tokio::join!(database(&store), host.system().strain(), of_disk);
            let (written, used) = of_disk.unwrap_or_else(|_| {
                (Health::of("journal", Status::Unhealthy, "its state could not be asked for"), 0.0)
            });
            strain[2].percent = strain[2].percent.max(used);
            vec![database, written, resources(&strain)]
        })
    })
}

// Percent of the file system around a directory that is used, as `df` counts: what only root may fill is used.
fn used(dir: &Path) -> f32 {
    let Ok(stat) = rustix::fs::statvfs(dir) else { return 0.0 };
    let used = stat.f_blocks.saturating_sub(stat.f_bfree);
    match used + stat.f_bavail {
        0 => 0.0,
        all => (used as f64 / all as f64 * 100.0) as f32,
    }
}

/// Appends that failed, as far as they were seen.
#[derive(Default)]
struct Failures {
    seen: u64,
    /// The last append that is known of failed.
    failing: bool,
}

async fn database(store: &Store) -> Health {
    match store.data_version().await {
        Ok(_) => Health::healthy("database"),
        Err(problem) => Health::of("database", Status::Unhealthy, problem.message().to_owned()),
    }
}

// After a failed append nobody may come by to try again (a balancer sends nothing to the unhealthy), so this tries.
fn written(journal: &Journal, failures: &Mutex<Failures>) -> Health {
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    let stats = journal.stats();
    failures.failing |= stats.failures > failures.seen;
    if failures.failing && !stats.sync_failed {
        let tried = journal.append(&journal::event(
            &crate::wiring::local_caller(),
            "journal_tried_again",
            Some("after appends that failed"),
            Decision::Allow,
        ));
        failures.failing = tried.is_err();
        failures.seen = journal.stats().failures;
        if let Err(problem) = tried {
            return Health::of("journal", Status::Unhealthy, problem.message().to_owned());
        }
    }
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
    if !journal.records_calls() {
        return Health::of("journal", Status::Degraded, "calls are not recorded (journal.calls: false)");
    }
    Health::healthy("journal")
}

fn resources(strain: &[Strain; 3]) -> Health {
    let status = strain.iter().map(Strain::status).max().unwrap_or(Status::Unhealthy);
    let [cpu, memory, disk] = strain.map(|part| part.percent);
    let shown = format!("cpu {cpu:.0} %, memory {memory:.0} %, fullest disk {disk:.0} %");
    Health::of("system_resources", status, shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_cannot_be_written_is_unhealthy_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        // A new segment for every long record: a directory in the place of the next one is a disk that takes no more.
        let options = toolgate_engine::journal::Options {
            segment_size: toolgate_core::unit::Size(1),
            ..toolgate_engine::journal::Options::default()
        };
        let journal = Journal::open_with(dir.path(), "test", options).unwrap();
        let failures = Mutex::default();
        let look = || written(&journal, &failures);
        let long = "c".repeat(2000);
        let record = journal::event(&crate::wiring::local_caller(), "b", Some(&long), Decision::Allow);
        journal.append(&record).unwrap();
        assert_eq!(look().status, Status::Healthy);
        let (records, chain) = (journal.stats().records, journal.chain().0.to_path_buf());
        let segments = std::fs::read_dir(&chain).unwrap().map(|entry| entry.unwrap().path());
        let number = |path: PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
        let last = segments.filter_map(number).max().unwrap();
        let blocked = chain.join(format!("{:08}.jsonl", last + 1));
        std::fs::create_dir(&blocked).unwrap();
        assert!(journal.append(&record).is_err());
        for _ in 0..2 {
            let health = look();
            assert_eq!(health.status, Status::Unhealthy);
            assert!(health.message.unwrap().contains("free space"));
        }
        assert_eq!(journal.stats().records, records);
        std::fs::remove_dir(&blocked).unwrap();
        assert_eq!(look().status, Status::Healthy, "it tried by itself");
        assert_eq!(look().status, Status::Healthy);
        assert_eq!(journal.stats().records, records + 1, "and only once");
    }

    #[test]
    fn the_disk_around_the_data_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert!((0.0..=100.0).contains(&used(dir.path())));
        assert!(used(Path::new("/nowhere/at/all")) == 0.0);
        assert!(used(Path::new("/")) > 0.0);
    }
}
