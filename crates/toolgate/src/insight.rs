//! What built-in servers may know of the gateway itself (`toolgate_tools::insight::Insight`), answered from the engine.
//!
//! Servers are made before the engine that holds them, so the engine is put in afterwards; until then nothing has
//! happened and everything is zero. Engine and servers then hold each other until the process ends, which is meant.

use std::sync::OnceLock;
use std::time::Instant;
use toolgate_engine::Engine;
use toolgate_tools::insight::{CacheStats, Insight, ToolUse};

/// The engine, once there is one.
pub struct EngineInsight {
    engine: OnceLock<Engine>,
    started: Instant,
}

impl EngineInsight {
    pub fn new() -> Self {
        Self { engine: OnceLock::new(), started: Instant::now() }
    }

    /// Put the engine in; a second one is ignored.
    pub fn put(&self, engine: Engine) {
        let _ = self.engine.set(engine);
    }
}

impl Insight for EngineInsight {
    fn uses(&self, server: &str) -> Vec<ToolUse> {
        let uses = self.engine.get().map(Engine::tool_uses).unwrap_or_default();
        uses.into_iter()
            .filter(|(of, _, _)| of == server)
            .map(|(_, tool, used)| ToolUse {
                tool,
                calls: used.calls,
                errors: used.errors,
                avg_latency_ms: used.avg_latency_ms,
                success_rate: used.success_rate,
            })
            .collect()
    }

    fn cache(&self) -> CacheStats {
        self.engine.get().map(Engine::cache_stats).map_or_else(CacheStats::default, |stats| CacheStats {
            hits: stats.hits,
            misses: stats.misses,
            hit_rate: stats.hit_rate,
            size: stats.size,
            bytes: stats.bytes,
            evictions: stats.evictions,
        })
    }

    fn clear_cache(&self) -> usize {
        self.engine.get().map_or(0, Engine::clear_cache)
    }

    fn uptime(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
