//! `Changes`: what servers say has changed, to whoever listens.
//!
//! Servers tell through their calls' `Ctx`; streams of clients listen. A listener that falls behind is told that it did
//! and reads the lists again; nobody is held up by it. What a caller may hear is decided where it is delivered.

use std::sync::Arc;
use tokio::sync::broadcast;
use toolgate_core::ctx::Tell;
use toolgate_core::link::Change;
use toolgate_core::name::ServerName;

// Changes that a slow listener may be behind.
const BEHIND: usize = 1024;

/// A change, and whose.
#[derive(Debug, Clone)]
pub struct Told {
    pub server: ServerName,
    pub change: Change,
}

pub(crate) struct Changes(broadcast::Sender<Arc<Told>>);

impl Changes {
    pub fn new() -> Self {
        Self(broadcast::channel(BEHIND).0)
    }

    /// The way of one server to tell.
    pub fn of(&self, server: &ServerName) -> Tell {
        let (sender, server) = (self.0.clone(), server.clone());
        Arc::new(move |change| {
            // Nobody listening is no error.
            let _ = sender.send(Arc::new(Told { server: server.clone(), change }));
        })
    }

    pub fn listen(&self) -> broadcast::Receiver<Arc<Told>> {
        self.0.subscribe()
    }
}
