//! `requestState` of a call that waits for answers: sealed, so that a client can carry it but neither read nor change it.
//!
//! AES-256-GCM over the answers so far (or what the call left for itself) and an end of validity, bound (as associated data) to the caller, the door, the
//! method, the name and the arguments: a state is worth nothing in another call. Any process that holds the key opens it,
//! so a call may go on elsewhere, and after a restart.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toolgate_core::json::Json;
use toolgate_core::{Call, Error, Face, Kind, canon};

// A person needs time to answer; a stolen state does not need more.
const VALID_SECONDS: i64 = 15 * 60;
// Longest state made and read.
const MAX_STATE: usize = 1 << 20;
const NONCE: usize = 12;

/// Seals and opens states.
pub(crate) struct Seal(RandomizedNonceKey);

/// What a call leaves for when its client comes back to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Left {
    pub answers: Map<String, Value>,
    /// Of a call with a memory of its own, which then has no answers here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Value>,
}

#[derive(Serialize, Deserialize)]
struct Sealed<L> {
    until: i64,
    left: L,
}

/// What a state is bound to.
pub(super) fn binding(call: &Call) -> Vec<u8> {
    let face = match call.face {
        Face::Tool => "tools/call",
        Face::Prompt => "prompts/get",
        Face::Resource => "resources/read",
    };
    let scope = call.scope.as_ref().map_or("", |scope| scope.as_str());
    let arguments = call.arguments.get();
    let digest =
        Json::parse(arguments).map_or_else(|_| canon::sha256(arguments.as_bytes()), |a| canon::digest(&a));
    let mut bound = Vec::new();
    for part in [face.as_bytes(), call.caller.id.as_bytes(), scope.as_bytes(), call.tool.as_bytes(), &digest]
    {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

impl Seal {
    pub fn new(key: &[u8; 32]) -> Result<Self, Error> {
        RandomizedNonceKey::new(&AES_256_GCM, key)
            .map(Self)
            .map_err(|_| Error::internal("the key of request states"))
    }

    pub fn close(&self, left: &Left, binding: &[u8], now: i64) -> Result<String, Error> {
        let sealed = Sealed { until: now + VALID_SECONDS, left };
        let mut text = serde_json::to_vec(&sealed).map_err(Error::internal)?;
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(binding), &mut text)
            .map_err(|_| Error::internal("sealing a request state"))?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&text);
        let state = URL_SAFE_NO_PAD.encode(sealed);
        if state.len() > MAX_STATE {
            // It could not be opened again.
            return Err(Error::new(
                Kind::TooLarge,
                "what this call must remember is too large; answer with less",
            ));
        }
        Ok(state)
    }

    /// What is in a state. One text for every reason, because the state is not the client's to understand.
    pub fn open(&self, state: &str, binding: &[u8], now: i64) -> Result<Left, Error> {
        let refuse =
            || Error::invalid("requestState is not one of this call, or is too old; call again without it");
        if state.len() > MAX_STATE {
            return Err(refuse());
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(state).map_err(|_| refuse())?;
        if sealed.len() < NONCE {
            return Err(refuse());
        }
        let mut text = sealed.split_off(NONCE);
        let nonce = Nonce::try_assume_unique_for_key(&sealed).map_err(|_| refuse())?;
        let open = self.0.open_in_place(nonce, Aad::from(binding), &mut text).map_err(|_| refuse())?;
        let sealed: Sealed<Left> = serde_json::from_slice(open).map_err(|_| refuse())?;
        if sealed.until < now { Err(refuse()) } else { Ok(sealed.left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_state_opens_only_whole_in_time_and_in_its_own_call() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let of = |answers: Value| Left { answers: answers.as_object().unwrap().clone(), memo: None };
        let answers = of(json!({"a": {"action": "accept"}}));
        let state = seal.close(&answers, b"call", 1000).unwrap();
        assert_eq!(seal.open(&state, b"call", 1001).unwrap(), answers);
        assert!(seal.open(&state, b"other", 1001).is_err(), "another call");
        assert!(seal.open(&state, b"call", 1000 + VALID_SECONDS + 1).is_err(), "too old");
        assert!(seal.open(&format!("{state}-TAMPERED"), b"call", 1001).is_err());
        assert!(Seal::new(&[8; 32]).unwrap().open(&state, b"call", 1001).is_err(), "another key");
        for bad in ["", "a", "!!", &"A".repeat(MAX_STATE + 1)] {
            assert!(seal.open(bad, b"call", 1001).is_err());
        }
        let large = of(json!({"a": {"text": "x".repeat(MAX_STATE)}}));
        assert_eq!(seal.close(&large, b"call", 1000).unwrap_err().kind(), Kind::TooLarge);
        for at in 0..state.len() {
            let mut changed = state.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(seal.open(std::str::from_utf8(&changed).unwrap(), b"call", 1001).is_err(), "byte {at}");
        }
    }
}
