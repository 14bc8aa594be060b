//! MCP methods by era. (to come)
