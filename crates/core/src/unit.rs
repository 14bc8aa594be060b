//! Durations (`"30s"`), sizes (`"10MiB"`) and rates (`"100/60s"`) as people write them in configuration.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A span of time, written `"250ms"`, `"30s"`, `"5m"`, `"1h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// A number of bytes, written `"512B"`, `"64KiB"`, `"10MiB"`, `"1GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

/// So many calls in a span of time, written `"10/hour"`, `"100/60s"`, `"5/minute"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    pub calls: u32,
    pub per: Duration,
}

const SPANS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const WORDS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400)];

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn unscaled(n: u64, units: &[(&str, u64)]) -> String {
    let (name, factor) =
        units.iter().rev().find(|(_, f)| n != 0 && n.is_multiple_of(*f)).unwrap_or(&units[0]);
    format!("{}{name}", n / factor)
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &SPANS).map(|ms| Span(Duration::from_millis(ms))).ok_or_else(|| {
            format!("{text:?} is not a duration; write it like \"250ms\", \"30s\", \"5m\", \"1h\", \"7d\"")
        })
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &SIZES).map(Size).ok_or_else(|| {
            format!("{text:?} is not a size; write it like \"512B\", \"64KiB\", \"10MiB\", \"1GiB\"")
        })
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let problem =
            || format!("{text:?} is not a rate; write it like \"10/hour\", \"100/60s\", \"5/minute\"");
        let (calls, per) = text.split_once('/').ok_or_else(problem)?;
        let calls: u32 = calls.trim().parse().map_err(|_| problem())?;
        let per = per.trim();
        let per = match WORDS.iter().find(|(word, _)| *word == per) {
            Some((_, seconds)) => Duration::from_secs(*seconds),
            None => per.parse::<Span>().map_err(|_| problem())?.0,
        };
        if calls == 0 || per.is_zero() {
            return Err(format!(
                "{text:?}: a rate of nothing; leave the tool out of the policy to refuse it"
            ));
        }
        Ok(Rate { calls, per })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&unscaled(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &SPANS))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&unscaled(self.0, &SIZES))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calls, Span(self.per))
    }
}

macro_rules! text_form {
    ($type:ident, $name:literal, $pattern:literal, $about:literal) => {
        impl TryFrom<String> for $type {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $about })
            }
        }
    };
}

text_form!(Span, "Span", "^[0-9]+(ms|s|m|h|d)$", "A duration: 250ms, 30s, 5m, 1h, 7d.");
text_form!(Size, "Size", "^[0-9]+(B|KiB|MiB|GiB)$", "A size: 512B, 64KiB, 10MiB, 1GiB.");
text_form!(
    Rate,
    "Rate",
    "^[1-9][0-9]*/([1-9][0-9]*(ms|s|m|h|d)|second|minute|hour|day)$",
    "A rate: 10/hour, 100/60s, 5/minute."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in ["250ms", "30s", "5m", "1h", "7d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["512B", "64KiB", "10MiB", "1GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("10/hour".parse::<Rate>().unwrap(), Rate { calls: 10, per: Duration::from_secs(3600) });
        assert_eq!("100/60s".parse::<Rate>().unwrap().to_string(), "100/1m");
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "30", "s", "-1s", "1 week", "99999999999999999999s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["0/hour", "10", "10/", "/s", "10/0s", "x/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
