//! Lenient scalars for tool parameters: models often send `"10"` for 10 and `"true"` for true.
//!
//! Use as `#[serde(default, deserialize_with = "...")]`; the schema still asks for the real type.

use serde::de::{Deserializer, Error, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

struct Lenient<T>(PhantomData<T>);

impl<T> Visitor<'_> for Lenient<T>
where
    T: FromStr + TryFrom<i64> + TryFrom<u64>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer in range")
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
    T: FromStr + TryFrom<i64> + TryFrom<u64>,
{
    deserializer.deserialize_any(Lenient(PhantomData))
}

/// An integer or nothing.
pub fn optional_integer<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr + TryFrom<i64> + TryFrom<u64>,
{
    struct Maybe<T>(PhantomData<T>);
    impl<'de, T: FromStr + TryFrom<i64> + TryFrom<u64>> Visitor<'de> for Maybe<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer in range, or null")
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
    use serde::Deserialize;

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
            assert!(serde_json::from_str::<P>(bad).is_err(), "{bad}");
        }
    }
}
