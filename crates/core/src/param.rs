//! Lenient scalars for tool parameters: models often send `"10"` for 10 and `"true"` for true.
//!
//! Use as `#[serde(default, deserialize_with = "...")]`; the schema still asks for the real type. A number with a range
//! is a `Within`, which publishes the range it enforces.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// An integer of a certain width.
pub trait Integer: FromStr + TryFrom<i64> + TryFrom<u64> {
    const LEAST: i128;
    const MOST: i128;
}

macro_rules! integers {
    ($($of:ty),*) => {$(
        impl Integer for $of {
            const LEAST: i128 = <$of>::MIN as i128;
            const MOST: i128 = <$of>::MAX as i128;
        }
    )*};
}

integers!(u8, u16, u32, u64, usize, i32, i64);

struct Lenient<T> {
    /// The least and the greatest number, to be told.
    range: (i128, i128),
    of: PhantomData<T>,
}

impl<T> Visitor<'_> for Lenient<T>
where
    T: FromStr + TryFrom<i64> + TryFrom<u64>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.range;
        write!(f, "an integer from {least} to {most}")
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<T, E> {
        T::try_from(n).map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(n), &self))
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<T, E> {
        T::try_from(n).map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(n), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.trim().parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }

    // JSON has one number type; 10.0 is the integer 10.
    fn visit_f64<E: Error>(self, n: f64) -> Result<T, E> {
        if n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0 {
            #[allow(clippy::cast_possible_truncation)]
            return self.visit_i64(n as i64);
        }
        Err(E::invalid_value(serde::de::Unexpected::Float(n), &self))
    }
}

/// An integer, given as one or as its decimal digits in a string.
pub fn integer<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Integer,
{
    deserializer.deserialize_any(Lenient { range: (T::LEAST, T::MOST), of: PhantomData })
}

/// An integer or nothing.
pub fn optional_integer<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Integer,
{
    struct Maybe<T>(PhantomData<T>);
    impl<'de, T: Integer> Visitor<'de> for Maybe<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an integer from {} to {}, or null", T::LEAST, T::MOST)
        }
        fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
            integer(deserializer).map(Some)
        }
    }
    deserializer.deserialize_option(Maybe(PhantomData))
}

/// An integer from `LEAST` to `MOST`, both included; `USUAL` when it is left out. The schema says all three, and what is
/// outside is refused with the range. As a field: `#[serde(default)] limit: Within<1, 100, 10>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within<const LEAST: u32, const MOST: u32, const USUAL: u32>(u32);

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> Within<LEAST, MOST, USUAL> {
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The same as a number of things in memory.
    pub const fn count(self) -> usize {
        self.0 as usize
    }
}

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> Default for Within<LEAST, MOST, USUAL> {
    fn default() -> Self {
        const { assert!(LEAST <= USUAL && USUAL <= MOST) };
        Self(USUAL)
    }
}

/// Outside of the range; whoever says so names it.
#[derive(Debug)]
pub struct Outside;

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> TryFrom<u64> for Within<LEAST, MOST, USUAL> {
    type Error = Outside;
    fn try_from(n: u64) -> Result<Self, Outside> {
        u32::try_from(n).ok().filter(|n| (LEAST..=MOST).contains(n)).map(Self).ok_or(Outside)
    }
}

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> TryFrom<i64> for Within<LEAST, MOST, USUAL> {
    type Error = Outside;
    fn try_from(n: i64) -> Result<Self, Outside> {
        u64::try_from(n).map_err(|_| Outside)?.try_into()
    }
}

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> FromStr for Within<LEAST, MOST, USUAL> {
    type Err = Outside;
    fn from_str(text: &str) -> Result<Self, Outside> {
        text.parse::<u64>().map_err(|_| Outside)?.try_into()
    }
}

impl<'de, const LEAST: u32, const MOST: u32, const USUAL: u32> Deserialize<'de>
    for Within<LEAST, MOST, USUAL>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient { range: (LEAST.into(), MOST.into()), of: PhantomData })
    }
}

// A schema shows a default by what it serialises to.
impl<const LEAST: u32, const MOST: u32, const USUAL: u32> Serialize for Within<LEAST, MOST, USUAL> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<const LEAST: u32, const MOST: u32, const USUAL: u32> JsonSchema for Within<LEAST, MOST, USUAL> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Within_{LEAST}_{MOST}_{USUAL}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

/// A boolean, given as one or as `"true"` or `"false"`.
pub fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Bool;
    impl Visitor<'_> for Bool {
        type Value = bool;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a boolean")
        }
        fn visit_bool<E: Error>(self, b: bool) -> Result<bool, E> {
            Ok(b)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
            match text.trim() {
                t if t.eq_ignore_ascii_case("true") => Ok(true),
                t if t.eq_ignore_ascii_case("false") => Ok(false),
                _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
            }
        }
    }
    deserializer.deserialize_any(Bool)
}

#[cfg(test)]
mod tests {
    use super::Within;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, JsonSchema, Debug)]
    struct Page {
        /// Seconds.
        #[serde(default)]
        timeout: Within<1, 600, 30>,
    }

    #[test]
    fn a_range_is_published_and_enforced() {
        let page = |value| serde_json::from_value::<Page>(json!({"timeout": value}));
        for (value, number) in [(json!(1), 1), (json!(600), 600), (json!("600"), 600), (json!(10.0), 10)] {
            assert_eq!(page(value).unwrap().timeout.get(), number);
        }
        assert_eq!(serde_json::from_str::<Page>("{}").unwrap().timeout.count(), 30);
        for bad in [
            json!(0),
            json!(601),
            json!(-1),
            json!("0"),
            json!("x"),
            json!(u64::MAX),
            json!(1.5),
            json!(null),
        ] {
            let error = page(bad.clone()).unwrap_err().to_string();
            assert!(error.contains("an integer from 1 to 600"), "{bad}: {error}");
        }
        let schema = schemars::schema_for!(Page).to_value();
        let expected = json!({"type": "integer", "description": "Seconds.", "minimum": 1, "maximum": 600, "default": 30});
        assert_eq!(schema["properties"]["timeout"], expected);
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct P {
        #[serde(deserialize_with = "super::integer")]
        n: u8,
        #[serde(default, deserialize_with = "super::optional_integer")]
        m: Option<i32>,
        #[serde(default, deserialize_with = "super::boolean")]
        b: bool,
    }

    #[test]
    fn takes_what_models_send() {
        let p: P = serde_json::from_str(r#"{"n":"10","m":"-3","b":"True"}"#).unwrap();
        assert_eq!(p, P { n: 10, m: Some(-3), b: true });
        let p: P = serde_json::from_str(r#"{"n":10.0,"m":null}"#).unwrap();
        assert_eq!(p, P { n: 10, m: None, b: false });
    }

    #[test]
    fn refuses_what_is_no_integer() {
        for bad in [r#"{"n":"ten"}"#, r#"{"n":300}"#, r#"{"n":-1}"#, r#"{"n":1.5}"#, r#"{"n":true}"#] {
            let error = serde_json::from_str::<P>(bad).unwrap_err().to_string();
            assert!(error.contains("an integer from 0 to 255"), "{bad}: {error}");
        }
    }
}
