//! Requests counted by endpoint, for `http_requests_total` and `http_request_duration_seconds` (autoscaling reads them).
//!
//! Fed by `app::edge`, shown by `GET /metrics`. Labels come from closed sets (the route's own path, known methods), so
//! that no client can invent series. A duration ends with the head of the answer; streams go on after it. A request
//! costs a shared lock and a few atomic additions.

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

// Upper bounds of the duration buckets, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const METHODS: [&str; 8] = ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH", "other"];
// The statuses there are: 100 to 599.
const STATUSES: usize = 500;

/// Counters by endpoint and method. An endpoint is there from its first request on.
#[derive(Default)]
pub(crate) struct Traffic(RwLock<BTreeMap<String, Arc<Endpoint>>>);

struct Endpoint {
    path: String,
    by_method: [OnceLock<Box<Counts>>; METHODS.len()],
}

struct Counts {
    by_status: [AtomicU64; STATUSES],
    // Not cumulative; the last place is for what is beyond all bounds.
    by_duration: [AtomicU64; BUCKETS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            by_status: std::array::from_fn(|_| AtomicU64::new(0)),
            by_duration: std::array::from_fn(|_| AtomicU64::new(0)),
            nanoseconds: AtomicU64::new(0),
        }
    }
}

/// A request that was not answered yet.
pub(crate) struct Asked {
    endpoint: Arc<Endpoint>,
    // Its place in `METHODS`.
    method: usize,
    at: Instant,
}

impl Traffic {
    /// A request came.
    pub(crate) fn asked(&self, request: &Request) -> Asked {
        let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str);
        Asked { endpoint: self.endpoint(path), method: place(request.method()), at: Instant::now() }
    }

    fn endpoint(&self, path: &str) -> Arc<Endpoint> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return known.clone();
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Endpoint { path: path.to_owned(), by_method: Default::default() });
        all.entry(path.to_owned()).or_insert_with(fresh).clone()
    }

    /// Its answer goes out.
    pub(crate) fn answered(&self, asked: Asked, status: StatusCode) {
        let took = asked.at.elapsed();
        tracing::debug!(
            method = METHODS[asked.method],
            endpoint = asked.endpoint.path,
            status = status.as_u16(),
            duration_us = took.as_micros(),
            "request"
        );
        asked.endpoint.by_method[asked.method].get_or_init(Box::default).add(status, took);
    }

    /// Prometheus text exposition.
    pub(crate) fn render(&self) -> String {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let counted = || {
            all.iter().flat_map(|(path, endpoint)| {
                let methods = METHODS.iter().zip(&endpoint.by_method);
                methods.filter_map(move |(method, counts)| Some((path, method, counts.get()?)))
            })
        };
        let mut out =
            String::from("# HELP http_requests_total HTTP requests.\n# TYPE http_requests_total counter\n");
        for (endpoint, method, counts) in counted() {
            for (at, count) in counts.by_status.iter().enumerate() {
                let (status, count) = (at + 100, count.load(Relaxed));
                if count > 0 {
                    let labels = format!("method=\"{method}\",endpoint=\"{endpoint}\",status=\"{status}\"");
                    let _ = writeln!(out, "http_requests_total{{{labels}}} {count}");
                }
            }
        }
        let name = "http_request_duration_seconds";
        let _ = writeln!(out, "# HELP {name} Time to the head of the answer.\n# TYPE {name} histogram");
        for (endpoint, method, counts) in counted() {
            let labels = format!("method=\"{method}\",endpoint=\"{endpoint}\"");
            let mut sum = 0;
            for (bound, count) in BUCKETS.iter().zip(&counts.by_duration) {
                sum += count.load(Relaxed);
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}");
            }
            sum += counts.by_duration[BUCKETS.len()].load(Relaxed);
            let total = Duration::from_nanos(counts.nanoseconds.load(Relaxed));
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {sum}");
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", total.as_secs_f64());
            let _ = writeln!(out, "{name}_count{{{labels}}} {sum}");
        }
        out
    }
}

impl Counts {
    fn add(&self, status: StatusCode, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.by_duration[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        // What is no status of HTTP counts as the last one there is.
        let at = usize::from(status.as_u16()).saturating_sub(100).min(STATUSES - 1);
        self.by_status[at].fetch_add(1, Relaxed);
    }
}

fn place(method: &Method) -> usize {
    METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_labels_closed() {
        let traffic = Traffic::default();
        for method in ["GET", "BREW", "STEEP"] {
            let request =
                Request::builder().method(method).uri("/x").body(axum::body::Body::empty()).unwrap();
            traffic.answered(traffic.asked(&request), StatusCode::OK);
        }
        let at = Instant::now() - Duration::from_secs(7);
        let old = Asked { endpoint: traffic.endpoint("other"), method: place(&Method::GET), at };
        traffic.answered(old, StatusCode::SERVICE_UNAVAILABLE);
        let text = traffic.render();
        for line in [
            "http_requests_total{method=\"other\",endpoint=\"other\",status=\"200\"} 2\n",
            "http_requests_total{method=\"GET\",endpoint=\"other\",status=\"503\"} 1\n",
            "http_request_duration_seconds_bucket{method=\"GET\",endpoint=\"other\",le=\"5\"} 1\n",
            "http_request_duration_seconds_bucket{method=\"GET\",endpoint=\"other\",le=\"10\"} 2\n",
            "http_request_duration_seconds_count{method=\"GET\",endpoint=\"other\"} 2\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("POST"), "what was not asked is not shown");
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let traffic = Traffic::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for path in ["/a", "/b"].into_iter().cycle().take(1000) {
                        let asked = Asked { endpoint: traffic.endpoint(path), method: 0, at: Instant::now() };
                        traffic.answered(asked, StatusCode::OK);
                    }
                });
            }
        });
        let text = traffic.render();
        for endpoint in ["/a", "/b"] {
            let line = format!(
                "http_requests_total{{method=\"GET\",endpoint=\"{endpoint}\",status=\"200\"}} 2000\n"
            );
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
