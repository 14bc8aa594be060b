//! Strict JSON: no member name twice in an object, no nesting beyond serde_json's limit of 128.
//!
//! Called on every REST body before it is used. Two readers that disagree on which of two equal names counts are how a
//! check gets bypassed, so such a body is refused. Nothing is built: the text is only walked.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Check a JSON text. The error says what is wrong.
pub(crate) fn check(json: &str) -> Result<(), String> {
    serde_json::from_str::<Walked>(json).map(|Walked| ()).map_err(|error| error.to_string())
}

struct Walked;

impl<'de> Deserialize<'de> for Walked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Walk.deserialize(deserializer)
    }
}

struct Walk;

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = Walked;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Walked, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Walked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Walked, E> {
        Ok(Walked)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Walked, E> {
        Ok(Walked)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Walked, E> {
        Ok(Walked)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Walked, E> {
        Ok(Walked)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Walked, E> {
        Ok(Walked)
    }
    fn visit_str<E>(self, _: &str) -> Result<Walked, E> {
        Ok(Walked)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Walked, A::Error> {
        while items.next_element_seed(Walk)?.is_some() {}
        Ok(Walked)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Walked, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Walk)?;
            if seen.contains(&name) {
                let shown: String = name.chars().take(64).collect();
                return Err(A::Error::custom(format!("the name {shown:?} occurs twice in one object")));
            }
            seen.insert(name);
        }
        Ok(Walked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_json() {
        for good in [
            "{}",
            "null",
            r#"{"a":[1,-2,3.5,true,null,"x",{"a":{"a":1}}],"b":1e300,"c":18446744073709551615}"#,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["", "{", "{}x", "{\"a\":1,}", "NaN", "{'a':1}", "\u{feff}{}", "1e999999"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for twice in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"a":3}}]"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(check(twice).unwrap_err().contains("\"a\" occurs twice"), "{twice}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(check(&deep).unwrap_err().contains("recursion limit"), "deep nesting");
    }
}
