//! What the built-in roles may do, and what a policy file can change.

use super::*;

fn allows(policy: &Policy, role: &str, server: &str, tool: &str, effect: Effect) -> bool {
    matches!(policy.decide(&[role], server, tool, effect), Verdict::Allow(_))
}

#[test]
fn built_in_roles() {
    let p = Policy::default();
    use Effect::{Destroy, Read, Write};
    for (role, server, tool, effect, expected) in [
        ("admin", "docker", "docker_run", Write, true),
        ("admin", "kubernetes", "kubectl_delete", Destroy, true),
        ("operator", "docker", "docker_run", Write, true),
        ("operator", "desktop-commander", "write_file", Write, true),
        ("operator", "kubernetes", "kubectl_delete", Destroy, false),
        ("operator", "s3-storage", "s3_upload_file", Write, false),
        ("viewer", "docker", "docker_ps", Read, true),
        ("viewer", "docker", "docker_run", Write, false),
        ("developer", "documentation", "create_user_guides", Write, true),
        ("developer", "performance_monitoring", "setup_alerts", Write, false),
        ("developer", "docker", "docker_ps", Read, false),
        ("security_auditor", "code_analysis", "security_scan", Read, true),
        ("security_auditor", "code_analysis", "detect_code_smells", Read, false),
        ("read_only", "a2a-unified", "recall", Read, true),
        ("mcp_service", "a2a-unified", "remember", Write, true),
        ("ci_cd_service", "azure-devops", "trigger_pipeline", Write, true),
        ("ci_cd_service", "omnipotent", "system_info", Read, false),
        ("monitoring_service", "prometheus-monitoring", "prometheus_query", Read, true),
        ("monitoring_service", "slack-notifications", "post_message", Write, true),
        ("nobody", "docker", "docker_ps", Read, false),
    ] {
        assert_eq!(allows(&p, role, server, tool, effect), expected, "{role} {server}:{tool} {effect:?}");
    }
    assert!(!matches!(p.decide::<&str>(&[], "docker", "docker_ps", Read), Verdict::Allow(_)));
}

#[test]
fn requires_narrows_what_permissions_allow() {
    let p = Policy::default();
    assert!(!allows(&p, "mcp_service", "security_scanning", "scan_vulnerabilities", Effect::Read));
    assert!(allows(&p, "security_auditor", "security_scanning", "scan_vulnerabilities", Effect::Read));
    // admin inherits operator, so a rule that requires operator is met.
    let file: PolicyFile = serde_json::from_value(serde_json::json!({
        "server_policies": {"omnipotent": {"tools": {"system_info": {"requires": ["operator"], "rate_limit": "10/hour"}}}}
    }))
    .unwrap();
    let p = Policy::compile(&file).unwrap();
    assert!(allows(&p, "admin", "omnipotent", "system_info", Effect::Read));
    assert!(!allows(&p, "viewer", "omnipotent", "system_info", Effect::Read));
    assert_eq!(p.tool("omnipotent", "system_info").unwrap().rate_limit.unwrap().calls, 10);
}

#[test]
fn all_problems_at_once() {
    let file: PolicyFile = serde_json::from_value(serde_json::json!({
        "roles": {
            "x": {}, "dev_team": {"inherits": ["ghost"], "permissions": ["nocolon", "a b:c"]},
            "one_a": {"inherits": ["one_b"]}, "one_b": {"inherits": ["one_a"]}
        },
        "server_policies": {"s": {"tools": {"t": {"requires": ["phantom"]}}}}
    }))
    .unwrap();
    let problems = Policy::compile(&file).unwrap_err();
    for part in [
        "roles.x:",
        "no role \"ghost\"",
        "permissions[0]",
        "permissions[1]",
        "inherits itself",
        "no role \"phantom\"",
    ] {
        assert!(problems.iter().any(|p| p.contains(part)), "{part} in {problems:?}");
    }
}

#[test]
fn digest_follows_rights() {
    let p = Policy::default();
    assert_eq!(p.digest(&["viewer"]), p.digest(&["viewer"]));
    assert_ne!(p.digest(&["viewer"]), p.digest(&["operator"]));
    let file: PolicyFile =
        serde_json::from_value(serde_json::json!({"roles": {"viewer": {"permissions": ["docker:read"]}}}))
            .unwrap();
    assert_ne!(p.digest(&["viewer"]), Policy::compile(&file).unwrap().digest(&["viewer"]));
}

#[test]
fn observation_rights() {
    let p = Policy::default();
    assert!(p.permits(&["admin"], "audit", "read"));
    assert!(p.permits(&["monitoring_service"], "monitoring", "read"));
    assert!(p.permits(&["read_only"], "gateway", "health"));
    assert!(!p.permits(&["developer"], "monitoring", "read"));
    assert!(!p.permits(&["mcp_service"], "audit", "read"));
}
