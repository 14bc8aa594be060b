//! JSON read once, for those who look at it and keep nothing: texts stay where they are.
//!
//! Used for the arguments of a call: `canon::digest` hashes it, `redact::arguments` takes what the journal keeps. A text
//! that is written without escapes is not copied, and is known to need none when it is written again.
//! An object with two members of one name is refused: one reader takes the first and another the last, so that what is
//! recorded could be another thing than what is done.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::fmt;

/// A text in JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Text<'a> {
    /// Written without escapes.
    Plain(&'a str),
    Escaped(String),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Escaped(text) => text,
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    Array(Vec<Json<'a>>),
    /// No two members have one name.
    Object(Vec<(Text<'a>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Read a whole text. Nested no deeper than `serde_json` reads.
    pub fn parse(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text::Plain(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text::Escaped(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text::Escaped(text))
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Texts)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }
    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        Texts.visit_borrowed_str(text).map(Json::Text)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json<'de>, E> {
        Texts.visit_str(text).map(Json::Text)
    }
    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Json<'de>, E> {
        Texts.visit_string(text).map(Json::Text)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut members: Vec<(Text<'de>, Json<'de>)> = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
            return Err(serde::de::Error::custom(format_args!("the member {:?} comes twice", twice[0])));
        }
        Ok(Json::Object(members))
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canon;
    use proptest::prelude::*;
    use serde_json::Value;

    fn value(json: &Json<'_>) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.clone()),
            Json::Text(text) => Value::String(text.to_string()),
            Json::Array(items) => items.iter().map(value).collect(),
            Json::Object(members) => Value::Object(
                members.iter().map(|(name, member)| (name.to_string(), value(member))).collect(),
            ),
        }
    }

    // JSON as somebody may write it: spaces, names in any order and twice, escapes that are not needed.
    fn texts() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            "[ -~é€😀]{0,12}".prop_map(|text| Value::from(text).to_string()),
            "[a-c\"\\\\\n\t\u{1}]{0,6}".prop_map(|text| Value::from(text).to_string()),
            Just(r#""\u0061\/\ud83d\ude00""#.to_owned()),
            Just("\"\u{7f}\u{2028}\"".to_owned()),
        ];
        let name = prop_oneof![
            text.clone(),
            "[ab]".prop_map(|n| format!("\"{n}\"")),
            Just(r#""\u0061""#.to_owned())
        ];
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just(" true ".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| n.to_string()),
            any::<f64>().prop_filter_map("finite", |n| n.is_finite().then(|| format!("{n:e}"))),
            Just("-0".to_owned()),
            Just("1E400".to_owned()),
            text,
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(" , "))),
                prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                    let members: Vec<String> =
                        members.into_iter().map(|(name, member)| format!("{name} :{member}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_means_what_a_value_means(text in texts()) {
            match serde_json::from_str::<Value>(&text) {
                Err(_) => prop_assert!(Json::parse(&text).is_err()),
                Ok(expected) => {
                    let json = match Json::parse(&text) {
                        Err(error) => {
                            prop_assert!(error.to_string().contains("comes twice"), "{}", error);
                            return Ok(());
                        }
                        Ok(json) => json,
                    };
                    // The texts too, because maps compare without the order of their members.
                    prop_assert_eq!(value(&json).to_string(), expected.to_string());
                    prop_assert_eq!(canon::digest(&json), canon::sha256(canon::to_string(&expected).as_bytes()));
                }
            }
        }
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_however_it_is_written() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"x":[{"a":1,"a":2}]}"#] {
            assert!(Json::parse(text).unwrap_err().to_string().contains("\"a\" comes twice"), "{text}");
        }
        assert!(Json::parse(r#"{"a":{"a":1},"A":2}"#).is_ok());
    }

    #[test]
    fn texts_without_escapes_stay_where_they_are() {
        let source = r#"{"plain":"é ok","escaped\n":"a\"b"}"#;
        let Json::Object(members) = Json::parse(source).unwrap() else { panic!("no object") };
        assert_eq!(members[0], (Text::Plain("plain"), Json::Text(Text::Plain("é ok"))));
        assert_eq!(members[1], (Text::Escaped("escaped\n".into()), Json::Text(Text::Escaped("a\"b".into()))));
    }

    #[test]
    fn no_deeper_than_other_readers_go() {
        for depth in [127, 128, 100_000] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(Json::parse(&text).is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{depth}");
        }
    }
}
