//! The text of an API key: `tg_<id>_<secret>`, 12 and 43 characters of base62.
//!
//! Made by `keys create` and by the first start. The store keeps the SHA-256 of the whole text, never the secret; 43
//! characters of base62 are 256 bits, so a plain hash is enough.

use anyhow::{Context, Result, bail};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::path::Path;
use toolgate_core::caller::KEY_PREFIX;
use toolgate_core::canon;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID: usize = 12;
const SECRET: usize = 43;
const LENGTH: usize = KEY_PREFIX.len() + ID + 1 + SECRET;

/// A key's text. Prints its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// A new key from the system's random numbers.
    pub fn generate() -> Result<Self> {
        let random = SystemRandom::new();
        Ok(Self(format!("{KEY_PREFIX}{}_{}", base62(&random, ID)?, base62(&random, SECRET)?)))
    }

    /// A key as a person or a file gives it.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let well_formed = text.strip_prefix(KEY_PREFIX).and_then(|rest| rest.split_once('_')).is_some_and(
            |(id, secret)| {
                let fits =
                    |part: &str, length| part.len() == length && part.bytes().all(|b| ALPHABET.contains(&b));
                fits(id, ID) && fits(secret, SECRET)
            },
        );
        if !well_formed {
            bail!("this is not an API key: one begins with {KEY_PREFIX:?} and has {LENGTH} characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// The key in a file, if there is one.
    pub fn read(file: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text).map(Some).with_context(|| file.display().to_string()),
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(problem) => Err(problem).with_context(|| file.display().to_string()),
        }
    }

    /// The public part.
    pub fn id(&self) -> &str {
        &self.0[KEY_PREFIX.len()..KEY_PREFIX.len() + ID]
    }

    /// SHA-256 of the whole text.
    pub fn hash(&self) -> [u8; 32] {
        canon::sha256(self.0.as_bytes())
    }

    /// The whole text, secret included: for the one place that shows or sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KEY_PREFIX}{}_***", self.id())
    }
}

// Bytes of 248 and more are thrown away: 248 = 4 * 62, so that every character is as likely as any other.
fn base62(random: &SystemRandom, length: usize) -> Result<String> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        random.fill(&mut bytes).ok().context("the system gives no random numbers")?;
        let fair =
            bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(fair.take(length - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_and_round_trip() {
        let key = KeyText::generate().unwrap();
        let text = key.reveal();
        assert_eq!(text.len(), 59);
        assert_eq!(text.matches('_').count(), 2);
        assert_eq!(KeyText::parse(&format!(" {text}\n")).unwrap(), key);
        assert_eq!(text.split('_').nth(1), Some(key.id()));
        assert_eq!(key.hash(), canon::sha256(text.as_bytes()));
        assert_ne!(KeyText::generate().unwrap(), key);
    }

    #[test]
    fn refuses_the_rest_and_hides_the_secret() {
        let key = KeyText::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("tg_{}_***", key.id()));
        for bad in [
            "",
            "tg_",
            "tg_a_b",
            &key.reveal()[1..],
            &format!("{}x", key.reveal()),
            &key.reveal().replace("tg", "TG"),
        ] {
            let text = KeyText::parse(bad).unwrap_err().to_string();
            assert!(text.contains("not an API key") && (bad.len() < 10 || !text.contains(bad)), "{text}");
        }
    }
}
