//! Which tools of an upstream are offered, under which names, what calls of them count as, and which are tasks.
//!
//! Called by `offer`. The operator's word goes before the upstream's; without either a tool counts as one that destroys.

use crate::settings::{Tasks, Tools};
use serde_json::Value;
use std::collections::BTreeMap;
use toolgate_core::Effect;
use toolgate_core::pattern::fits;
use toolgate_core::spec::Task;

impl Tools {
    fn any(patterns: &[String], names: [&str; 2]) -> bool {
        patterns.iter().any(|pattern| names.iter().any(|name| fits(pattern, name)))
    }

    /// The name that a tool is offered under; `None` when it is not. Patterns fit the upstream's name or the new one.
    pub(super) fn offered<'a>(&'a self, own: &'a str) -> Option<&'a str> {
        let name = self.rename.get(own).map_or(own, String::as_str);
        let names = [own, name];
        let allowed = self.allow.is_empty() || Self::any(&self.allow, names);
        (allowed && !Self::any(&self.deny, names)).then_some(name)
    }

    /// What a call of the tool does: as the operator says, else as its hints say, when they are believed.
    pub(super) fn effect(&self, own: &str, name: &str, annotations: &Value) -> Effect {
        let said = said(&self.effects, own, name);
        match said {
            Some(effect) => *effect,
            None if self.trust_hints && annotations["readOnlyHint"] == true => Effect::Read,
            None if self.trust_hints && annotations["destructiveHint"] == false => Effect::Write,
            None => Effect::Destroy,
        }
    }

    /// Whether a call of the tool is a task of the gateway's.
    pub(super) fn task(&self, own: &str, name: &str) -> Task {
        match said(&self.tasks, own, name) {
            Some(Tasks::Optional) => Task::Optional,
            Some(Tasks::Required) => Task::Required,
            None => Task::Never,
        }
    }
}

// What is said of a tool, by its name or else by the longest pattern that fits.
fn said<'a, T>(all: &'a BTreeMap<String, T>, own: &str, name: &str) -> Option<&'a T> {
    let patterns = all.iter().filter(|(pattern, _)| fits(pattern, own) || fits(pattern, name));
    let longest = || patterns.max_by_key(|(pattern, _)| pattern.len()).map(|(_, said)| said);
    all.get(own).or_else(|| all.get(name)).or_else(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_operators_word_goes_first_and_nothing_said_means_destroy() {
        let mut tools = Tools::default();
        let reads = json!({"readOnlyHint": true});
        assert_eq!(tools.effect("get", "get", &reads), Effect::Destroy, "hints are not believed");
        tools.trust_hints = true;
        assert_eq!(tools.effect("get", "get", &reads), Effect::Read);
        assert_eq!(tools.effect("put", "put", &json!({"destructiveHint": false})), Effect::Write);
        assert_eq!(tools.effect("put", "put", &Value::Null), Effect::Destroy);
        tools.effects.insert("g*".into(), Effect::Write);
        tools.effects.insert("get_*".into(), Effect::Read);
        assert_eq!(tools.effect("get", "get", &reads), Effect::Write);
        assert_eq!(tools.effect("get_x", "get_x", &Value::Null), Effect::Read);
        tools.effects.insert("get_x".into(), Effect::Destroy);
        assert_eq!(tools.effect("get_x", "get_x", &reads), Effect::Destroy);
        tools.tasks =
            [("long_*".to_owned(), Tasks::Optional), ("long_job".to_owned(), Tasks::Required)].into();
        let task = |name: &str| tools.task(name, name);
        let found = [task("long_way"), task("long_job"), task("get")];
        assert_eq!(found, [Task::Optional, Task::Required, Task::Never]);
    }

    #[test]
    fn deny_goes_before_allow_and_names_are_renamed() {
        let tools = Tools {
            allow: vec!["read_*".into(), "list".into()],
            deny: vec!["*_secret".into()],
            rename: [("list".to_owned(), "all".to_owned())].into(),
            ..Tools::default()
        };
        assert_eq!(tools.offered("read_file"), Some("read_file"));
        assert_eq!(tools.offered("read_secret"), None);
        assert_eq!(tools.offered("list"), Some("all"));
        assert_eq!(tools.offered("write"), None);
    }
}
