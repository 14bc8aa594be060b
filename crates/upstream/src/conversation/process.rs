//! `Process`: a connection to a modern upstream, which keeps nothing between requests: a process over a pipe, or the one
//! client of an origin.
//!
//! Made by `pool`. Listens over a pipe to what belongs to no request, and notes when the process is gone.

use super::Place;
use super::pool::Held;
use super::read::{Said, read};
use crate::transport::Transport;
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// A connection. Its process ends with it, and with the requests on it.
pub(crate) struct Process {
    pub transport: Arc<dyn Transport>,
    lost: Arc<AtomicBool>,
    listener: JoinHandle<()>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Held for Process {
    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

impl Process {
    /// `watcher`: whether the supervisor must know when it is gone.
    pub fn begin(place: &Arc<Place>, transport: Arc<dyn Transport>, watcher: bool) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let (there, place, flag) = (transport.clone(), place.clone(), lost.clone());
        let listener = tokio::spawn(async move {
            let listening = async {
                if there.one_session()
                    && let Ok(mut stream) = there.unsolicited(HeaderMap::new()).await
                {
                    while let Some(Ok(message)) = stream.next().await {
                        if let Said::Changed(change) = read(&message, None) {
                            place.notices.changed(change);
                        }
                    }
                }
                std::future::pending().await
            };
            tokio::select! {
                () = listening => {}
                failure = there.gone() => {
                    flag.store(true, Ordering::Release);
                    if watcher {
                        place.notices.gone(failure);
                    }
                }
            }
        });
        Self { transport, lost, listener }
    }
}
