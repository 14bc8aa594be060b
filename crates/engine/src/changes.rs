//! `Changes`: what servers say has changed, to whoever listens.
//!
//! Servers tell through their calls' `Ctx`; streams of clients listen. A listener that falls behind is told that it did
//! and reads the lists again; nobody is held up by it. What a caller may hear is decided where it is delivered.

use crate::snapshot::Roles;
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
    /// Sets of roles that saw something of the server before the change, if that is another.
    pub(crate) saw: Vec<Roles>,
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
            let _ = sender.send(Arc::new(Told { server: server.clone(), change, saw: Vec::new() }));
        })
    }

    /// Of a server that was mounted, replaced or taken away.
    pub fn tell(&self, server: &ServerName, change: Change, saw: Vec<Roles>) {
        let _ = self.0.send(Arc::new(Told { server: server.clone(), change, saw }));
    }

    pub fn listen(&self) -> broadcast::Receiver<Arc<Told>> {
        self.0.subscribe()
    }
}
