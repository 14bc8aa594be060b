//! The MCP endpoint (to come).
