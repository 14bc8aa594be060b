//! `without`: an object without some of its members.
//!
//! Used where arguments and members of the envelope share one object. The values are taken over as they were written.

use crate::fault::Fault;
use crate::members::Key;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use toolgate_core::JsonText;

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let (mut all, mut seen) = (Vec::new(), HashSet::new());
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    if !seen.insert(key.0.clone()) {
                        return Err(A::Error::custom(format!("member {:?} comes twice", key.0)));
                    }
                    all.push((key.0, map.next_value()?));
                }
                Ok(Members(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// The text of an object without these members; `{}` when there is no object. Members that come twice are refused.
pub fn without(object: Option<&str>, names: &[&str]) -> Result<JsonText, Fault> {
    let invalid = |error: serde_json::Error| Fault::invalid_params(format!("Invalid params: {error}"));
    let members = match object.filter(|object| *object != "null") {
        None => Members(Vec::new()),
        Some(object) => serde_json::from_str(object).map_err(invalid)?,
    };
    let mut text = String::from("{");
    for (key, value) in members.0.iter().filter(|(key, _)| !names.contains(&key.as_ref())) {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(key).map_err(invalid)?);
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    JsonText::parse(text).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Option<String> {
        without(Some(text), &["_meta", "context"]).ok().map(|left| left.get().to_owned())
    }

    #[test]
    fn the_rest_stays_as_it_was_written() {
        assert_eq!(without(None, &["a"]).unwrap().get(), "{}");
        assert_eq!(ask("null").unwrap(), "{}");
        assert_eq!(ask(r#"{"_meta":{},"context":{"user_id":"u"}}"#).unwrap(), "{}");
        assert_eq!(
            ask(r#"{"a": 1.50, "context":0,"b\"":{"context":1}}"#).unwrap(),
            r#"{"a":1.50,"b\"":{"context":1}}"#
        );
        for wrong in ["[]", "7", r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"context":1,"context":2}"#]
        {
            assert_eq!(ask(wrong), None, "{wrong}");
        }
    }
}
