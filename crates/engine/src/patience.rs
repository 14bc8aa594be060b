//! `Patience`: how long a call may run. One that is silent ends at its tool's timeout; one that reports progress goes on,
//! to the hard limit of the configuration.
//!
//! Made by `admit`, asked by `run`. A sign of life is any progress reported through `Ctx`, and an answer of its user.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use toolgate_core::ToolError;
use toolgate_core::ctx::Sign;
use toolgate_core::name::ServerName;

pub(crate) struct Patience {
    began: Instant,
    silence: Duration,
    whole: Duration,
    /// The upstream that the call goes to, if it does.
    upstream: Option<ServerName>,
    /// Milliseconds from the beginning to the last sign of life.
    last: Arc<AtomicU64>,
}

impl Patience {
    /// From now: at most `silence` without a sign of life, at most `whole` in all.
    pub fn new(silence: Duration, whole: Duration) -> Self {
        Self {
            began: Instant::now(),
            silence: silence.min(whole),
            whole,
            upstream: None,
            last: Arc::default(),
        }
    }

    /// Of a call that goes to this upstream, which is named when it does not answer in time.
    pub fn of_upstream(self, upstream: Option<ServerName>) -> Self {
        Self { upstream, ..self }
    }

    /// Takes signs of life.
    pub fn sign(&self) -> Sign {
        let (began, last) = (self.began, self.last.clone());
        Arc::new(move || {
            let at = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            last.fetch_max(at, Ordering::Relaxed);
        })
    }

    /// The hard limit.
    pub fn hard(&self) -> Instant {
        self.began + self.whole
    }

    /// When the call ends if it gives no further sign.
    pub fn ends(&self) -> Instant {
        let last = self.began + Duration::from_millis(self.last.load(Ordering::Relaxed));
        (last + self.silence).min(self.hard())
    }

    /// Ends when the call is out of time; says which limit it was.
    pub async fn over(&self) -> ToolError {
        loop {
            let ends = self.ends();
            if ends <= Instant::now() {
                break;
            }
            tokio::time::sleep_until(ends).await;
        }
        let limit = if self.ends() < self.hard() {
            let seconds = self.silence.as_secs_f64();
            format!("no progress for {seconds} s, and without progress it has a deadline of {seconds} s")
        } else {
            let seconds = self.whole.as_secs_f64();
            format!("the hard limit of {seconds} s for any call (limits.max_duration)")
        };
        let who = self.upstream.as_ref().map_or_else(String::new, |name| format!("upstream {name}: "));
        ToolError::timeout(format!("{who}the tool did not finish and was stopped: {limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_timeout() {
        let patience = Patience::new(30 * SECOND, 600 * SECOND);
        let error = patience.over().await;
        assert_eq!(patience.began.elapsed().as_secs(), 30);
        assert!(error.message.contains("no progress for 30 s"), "{}", error.message);
        assert!(!error.message.contains("hard limit"), "{}", error.message);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_is_named() {
        let patience = Patience::new(SECOND, 600 * SECOND).of_upstream(ServerName::new("notes").ok());
        let error = patience.over().await;
        assert!(error.message.starts_with("upstream notes: the tool did not finish"), "{}", error.message);
    }

    #[tokio::test(start_paused = true)]
    async fn each_sign_renews_and_the_hard_limit_stays() {
        let patience = Patience::new(30 * SECOND, 100 * SECOND);
        let sign = patience.sign();
        let signs = async {
            loop {
                tokio::time::sleep(29 * SECOND).await;
                sign();
            }
        };
        let error = tokio::select! {
            error = patience.over() => error,
            () = signs => unreachable!(),
        };
        assert_eq!(patience.began.elapsed().as_secs(), 100);
        assert!(error.message.contains("the hard limit of 100 s"), "{}", error.message);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_after_progress_ends_it_too() {
        let patience = Patience::new(30 * SECOND, 600 * SECOND);
        tokio::time::advance(20 * SECOND).await;
        patience.sign()();
        let error = patience.over().await;
        assert_eq!(patience.began.elapsed().as_secs(), 50);
        assert!(error.message.contains("no progress for 30 s"), "{}", error.message);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_beyond_the_hard_limit_is_the_hard_limit() {
        let patience = Patience::new(700 * SECOND, 600 * SECOND);
        let error = patience.over().await;
        assert_eq!(patience.began.elapsed().as_secs(), 600);
        assert!(error.message.contains("the hard limit of 600 s"), "{}", error.message);
    }
}
