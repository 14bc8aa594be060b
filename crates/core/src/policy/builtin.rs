//! The roles and tool policies that are there without a policy file: CATALOGUE 2.4.

use super::file::{PolicyFile, Role, ServerPolicy, ToolPolicy};
use crate::unit::Rate;
use std::time::Duration;

// Role, what it inherits, its permissions.
const ROLES: [(&str, &[&str], &[&str]); 9] = [
    ("admin", &["operator"], &["*:*"]),
    (
        "operator",
        &["viewer"],
        &[
            "mcp.docker:execute",
            "mcp.kubernetes:execute",
            "mcp.desktop:execute",
            "circle_of_experts:execute",
            "deployment:write",
            "deployment:execute",
        ],
    ),
    ("viewer", &[], &["*:read", "auth:read", "circle_of_experts:read"]),
    (
        "developer",
        &[],
        &["development_workflow:*", "code_analysis:*", "performance_monitoring:read", "documentation:*"],
    ),
    (
        "security_auditor",
        &[],
        &["security_scanning:*", "code_analysis:security_scan", "performance_monitoring:read"],
    ),
    ("read_only", &[], &["*:read", "*:list", "*:health"]),
    ("mcp_service", &[], &["mcp.*:*", "infrastructure:execute", "monitoring:write"]),
    (
        "ci_cd_service",
        &[],
        &["deployment:*", "mcp.docker:*", "mcp.kubernetes:*", "mcp.azure_devops:*", "security.scan:execute"],
    ),
    ("monitoring_service", &[], &["monitoring:*", "mcp.prometheus:*", "mcp.slack:execute", "logs:read"]),
];

// Server, tool, roles, calls an hour, approval.
const TOOLS: [(&str, &str, &[&str], u32, bool); 4] = [
    ("security_scanning", "scan_vulnerabilities", &["security_auditor", "admin"], 10, false),
    ("security_scanning", "audit_dependencies", &["developer", "security_auditor", "admin"], 50, false),
    ("development_workflow", "create_project_structure", &["developer", "admin"], 20, false),
    ("development_workflow", "deploy_staging", &["developer", "admin"], 5, true),
];

pub(super) fn policy() -> PolicyFile {
    let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect();
    let mut file = PolicyFile::default();
    for (name, inherits, permissions) in ROLES {
        file.roles
            .insert(name.to_owned(), Role { inherits: words(inherits), permissions: words(permissions) });
    }
    for (server, tool, roles, hourly, approval) in TOOLS {
        let rate = Rate { calls: hourly, per: Duration::from_secs(3600) };
        let policy =
            ToolPolicy { requires: words(roles), rate_limit: Some(rate), approval_required: approval };
        let rules: &mut ServerPolicy = file.server_policies.entry(server.to_owned()).or_default();
        rules.tools.insert(tool.to_owned(), policy);
    }
    file
}
