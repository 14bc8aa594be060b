//! From what an operator wrote to a child's plan.

use crate::settings::{Sandbox, Upstream};
use std::path::PathBuf;
use toolgate_host::child::{Egress, Plan, Profile};
use toolgate_host::egress::EgressRules;

/// What holds for the children of all upstreams.
#[derive(Debug, Clone, Default)]
pub struct Ground {
    /// Run-files and directories of children (`host::child::sweep` is given the same).
    pub state: PathBuf,
    /// Directory in which each upstream has one of its own that is kept (caches of npx and uvx), and one for each caller where
    /// those are kept apart.
    pub homes: PathBuf,
    /// Closed to every child: the gateway's data directory.
    pub denied: Vec<PathBuf>,
    pub egress: EgressRules,
}

/// Its own directory is the same for all processes of an upstream, but for those that are one `caller`'s alone.
///
/// `env`: the resolved variables. `secrets`: those of their values that came from references, and are never shown.
pub fn plan(
    name: &str,
    upstream: &Upstream,
    caller: Option<&str>,
    env: Vec<(String, String)>,
    secrets: Vec<String>,
    ground: &Ground,
) -> Plan {
    let command = upstream.command.clone().unwrap_or_default();
    Plan {
        args: upstream.args.clone(),
        env,
        secrets,
        cwd: upstream.cwd.clone(),
        profile: match upstream.sandbox {
            Sandbox::None => Profile::None,
            Sandbox::Standard => Profile::Standard,
            Sandbox::Strict => Profile::Strict,
        },
        read: upstream.read.clone(),
        write: upstream.write.clone(),
        denied: ground.denied.clone(),
        egress: Egress { rules: ground.egress.clone(), allow: upstream.egress.clone() },
        memory: upstream.memory.0,
        // Beside the upstream's own, whose processes do not see it there.
        home: Some(match caller {
            Some(caller) => ground.homes.join(format!("{}.callers", directory(name))).join(directory(caller)),
            None => ground.homes.join(directory(name)),
        }),
        most_homes: caller.map(|_| upstream.max_sessions),
        ..Plan::new(name, command, ground.state.clone())
    }
}

// A name may hold what a directory's may not; two names never become one.
fn directory(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => out.push(char::from(byte)),
            _ => out.push_str(&format!("_{byte:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_planned() {
        let upstream = Upstream {
            command: Some("npx".into()),
            args: vec!["-y".into(), "server".into()],
            sandbox: Sandbox::Strict,
            egress: vec!["api.example.org".into()],
            ..Upstream::default()
        };
        let ground = Ground { state: "/s".into(), homes: "/h".into(), ..Ground::default() };
        let env = vec![("A".into(), "secret".into())];
        let own = plan("../a b", &upstream, Some("x.y"), env.clone(), Vec::new(), &ground);
        assert_eq!(own.home.unwrap(), std::path::Path::new("/h/_2e_2e_2fa_20b.callers/x_2ey"));
        assert_eq!(own.most_homes, Some(upstream.max_sessions));
        let plan = plan("../a b", &upstream, None, env, vec!["secret".into()], &ground);
        assert_eq!(plan.most_homes, None);
        assert_eq!((plan.program.as_str(), plan.profile, plan.memory), ("npx", Profile::Strict, 1 << 30));
        assert_eq!(plan.home.unwrap(), std::path::Path::new("/h/_2e_2e_2fa_20b"));
        assert_eq!(plan.egress.allow, ["api.example.org"]);
    }
}
