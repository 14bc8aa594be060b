//! The journal's Ed25519 key: made at the first opening, never silently made anew.
//!
//! `DIR/journal.key` (0600) is PKCS#8 in PEM, `DIR/journal.pub` 64 hexadecimal digits. Used by `open` (both files) and
//! by `verify` (the public one only). Absent on purpose: rotation; a new key begins a new directory.

use super::{damaged, io_error};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use toolgate_core::{Error, Kind, canon};

pub const KEY_FILE: &str = "journal.key";
pub const PUBLIC_FILE: &str = "journal.pub";
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----\n";
const END: &str = "-----END PRIVATE KEY-----\n";

/// What checkpoints are signed with.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public_hex: String,
}

impl SigningKey {
    /// 64 lower-case hexadecimal digits.
    pub fn public_hex(&self) -> &str {
        &self.public_hex
    }

    /// Signature in base64.
    pub fn sign(&self, text: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(text))
    }

    fn new(pair: Ed25519KeyPair) -> Self {
        let public_hex = canon::hex(pair.public_key().as_ref());
        Self { pair, public_hex }
    }
}

/// The public half: what a checkpoint is checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From 64 hexadecimal digits, as `journal.pub` and headers have them. `Invalid` when it is something else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let mut key = [0; 32];
        let digits = text.as_bytes();
        let all_hex = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
        for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        if all_hex {
            Ok(Self(key))
        } else {
            Err(Error::invalid(
                "a journal's public key is 64 hexadecimal digits, as the file journal.pub has them",
            ))
        }
    }

    pub fn hex(&self) -> String {
        canon::hex(&self.0)
    }

    /// Whether `signature` (base64) is this key's over `text`.
    pub fn signed(&self, text: &[u8], signature: &str) -> bool {
        STANDARD
            .decode(signature)
            .is_ok_and(|signature| UnparsedPublicKey::new(&ED25519, &self.0).verify(text, &signature).is_ok())
    }
}

/// Read the key, or make one when there is neither key nor chain. The caller holds the directory's lock.
pub fn load_or_create(dir: &Path, chains_exist: bool) -> Result<SigningKey, Error> {
    let path = dir.join(KEY_FILE);
    let key = match fs::read_to_string(&path) {
        Ok(pem) => parse_pem(&pem).ok_or_else(|| {
            damaged(format!(
                "{} is not an Ed25519 private key in PKCS#8 PEM; put the right key back, or move the directory \
                 aside to start a new journal",
                path.display()
            ))
        })?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !chains_exist => create(dir)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged(format!(
                "the journal in {} has chains but its signing key {KEY_FILE} is missing; put the key back, or move \
                 the directory aside to start a new journal (the old one can still be verified)",
                dir.display()
            )));
        }
        Err(e) => return Err(io_error("read the journal's key", e)),
    };
    match read_public(dir)? {
        Some(public) if public.hex() == key.public_hex => Ok(key),
        Some(_) => Err(damaged(format!(
            "{PUBLIC_FILE} does not belong to {KEY_FILE} in {}; one of them was exchanged",
            dir.display()
        ))),
        None => {
            write_new(&dir.join(PUBLIC_FILE), 0o644, &format!("{}\n", key.public_hex))?;
            Ok(key)
        }
    }
}

/// `DIR/journal.pub`, when there is one.
pub fn read_public(dir: &Path) -> Result<Option<PublicKey>, Error> {
    match fs::read_to_string(dir.join(PUBLIC_FILE)) {
        Ok(text) => PublicKey::parse(&text).map(Some),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error("read journal.pub", e)),
    }
}

fn create(dir: &Path) -> Result<SigningKey, Error> {
    let refused = |_| Error::new(Kind::Internal, "the system's random source or cryptography is unavailable");
    let pair = Ed25519KeyPair::generate().map_err(refused)?;
    let document = pair.to_pkcs8v1().map_err(refused)?;
    let pem = format!("{BEGIN}{}\n{END}", STANDARD.encode(document.as_ref()));
    write_new(&dir.join(KEY_FILE), 0o600, &pem)?;
    Ok(SigningKey::new(pair))
}

fn parse_pem(pem: &str) -> Option<SigningKey> {
    let body = pem.trim_start().strip_prefix(BEGIN)?.split("-----END").next()?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD.decode(body).ok()?;
    Ed25519KeyPair::from_pkcs8(&der).ok().map(SigningKey::new)
}

// Written beside and renamed, so that a crash never leaves half a key.
fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Error> {
    let part = path.with_extension("part");
    let write = || {
        let _ = fs::remove_file(&part);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|e| io_error("write the journal's key", e))
}
