//! Requests counted by endpoint, for `http_requests_total` and `http_request_duration_seconds` (autoscaling reads them).
//!
//! Fed by `app::edge`, shown by `GET /metrics`. Labels come from closed sets (the route's own path, known methods), so
//! that no client can invent series. A duration ends with the head of the answer; streams go on after it.

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

// Upper bounds of the duration buckets, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counters by method and endpoint.
#[derive(Default)]
pub(crate) struct Traffic(Mutex<BTreeMap<(&'static str, String), Counts>>);

#[derive(Default)]
struct Counts {
    by_status: BTreeMap<u16, u64>,
    // Not cumulative; the last place is for what is beyond all bounds.
    by_duration: [u64; BUCKETS.len() + 1],
    total: Duration,
}

/// A request that was not answered yet.
pub(crate) struct Asked {
    method: &'static str,
    endpoint: String,
    at: Instant,
}

impl Traffic {
    /// A request came.
    pub(crate) fn asked(&self, request: &Request) -> Asked {
        let endpoint = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str);
        Asked { method: label(request.method()), endpoint: endpoint.to_owned(), at: Instant::now() }
    }

    /// Its answer goes out.
    pub(crate) fn answered(&self, asked: Asked, status: StatusCode) {
        let took = asked.at.elapsed();
        tracing::debug!(
            method = asked.method,
            endpoint = asked.endpoint,
            status = status.as_u16(),
            duration_us = took.as_micros(),
            "request"
        );
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = all.entry((asked.method, asked.endpoint)).or_default();
        *counts.by_status.entry(status.as_u16()).or_default() += 1;
        counts.by_duration[bucket] += 1;
        counts.total += took;
    }

    /// Prometheus text exposition.
    pub(crate) fn render(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out =
            String::from("# HELP http_requests_total HTTP requests.\n# TYPE http_requests_total counter\n");
        for ((method, endpoint), counts) in &*all {
            for (status, count) in &counts.by_status {
                let labels = format!("method=\"{method}\",endpoint=\"{endpoint}\",status=\"{status}\"");
                let _ = writeln!(out, "http_requests_total{{{labels}}} {count}");
            }
        }
        let name = "http_request_duration_seconds";
        let _ = writeln!(out, "# HELP {name} Time to the head of the answer.\n# TYPE {name} histogram");
        for ((method, endpoint), counts) in &*all {
            let labels = format!("method=\"{method}\",endpoint=\"{endpoint}\"");
            let mut sum = 0;
            for (bound, count) in BUCKETS.iter().zip(counts.by_duration) {
                sum += count;
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}");
            }
            sum += counts.by_duration[BUCKETS.len()];
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {sum}");
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", counts.total.as_secs_f64());
            let _ = writeln!(out, "{name}_count{{{labels}}} {sum}");
        }
        out
    }
}

fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        _ => "other",
    }
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
        let old =
            Asked { method: "GET", endpoint: "other".into(), at: Instant::now() - Duration::from_secs(7) };
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
    }
}
