//! What every handler of the edge shares.

use toolgate_engine::Engine;

/// Shared by all handlers. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    engine: Engine,
}

impl AppState {
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}
