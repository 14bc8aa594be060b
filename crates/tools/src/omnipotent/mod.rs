//! Server (to come).
