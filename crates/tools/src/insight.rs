//! What servers that report on the gateway itself may know of it. The binary answers it from the engine.

use schemars::JsonSchema;
use serde::Serialize;

/// Use of one tool since the gateway started.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ToolUse {
    pub tool: String,
    pub calls: u64,
    pub errors: u64,
    pub avg_latency_ms: f64,
    /// Between 0 and 1; 0 before the first call.
    pub success_rate: f64,
}

/// The gateway's result cache since it started.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct CacheStats {
    pub hits: u64,
    pub misses: u64,
    /// Between 0 and 1.
    pub hit_rate: f64,
    /// Results held now.
    pub size: usize,
    pub bytes: u64,
    pub evictions: u64,
}

/// Facts of the running gateway.
pub trait Insight: Send + Sync {
    /// Use of every tool of one server.
    fn uses(&self, server: &str) -> Vec<ToolUse>;
    fn cache(&self) -> CacheStats;
    /// Forget every cached result; says how many there were.
    fn clear_cache(&self) -> usize;
    /// Seconds since the gateway started.
    fn uptime(&self) -> f64;
}
