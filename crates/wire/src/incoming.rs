//! `Incoming`: a request with its params and `_meta` viewed, ready to be judged and handled.

use crate::fault::Fault;
use crate::id::Id;
use crate::message::{Malformed, Request};
use crate::params::{Meta, Params};
use serde_json::value::RawValue;
use std::borrow::Cow;
use toolgate_core::json_text::{JsonText, Whole};

/// A request, parsed once.
pub struct Incoming<'a> {
    pub id: Id,
    pub method: Cow<'a, str>,
    pub params: Params<'a>,
    pub meta: Meta<'a>,
    /// The whole `params`, for what reads members that have no name here.
    pub raw: Option<&'a RawValue>,
    /// The message that it was parsed from, where its parts may be kept without a copy.
    whole: Option<&'a Whole>,
}

impl<'a> Incoming<'a> {
    /// View a request. The error carries its id.
    pub fn of(request: Request<'a>) -> Result<Self, Malformed> {
        let Request { id, method, params: raw } = request;
        let viewed = Params::of(raw).and_then(|params| Ok((params, Meta::of(params.meta)?)));
        match viewed {
            Ok((params, meta)) => Ok(Self { id, method, params, meta, raw, whole: None }),
            Err(fault) => Err(Malformed { id: Some(id), fault }),
        }
    }

    /// As `of`, of a request that was parsed from `whole`.
    pub fn within(whole: &'a Whole, request: Request<'a>) -> Result<Self, Malformed> {
        Ok(Self { whole: Some(whole), ..Self::of(request)? })
    }

    /// The arguments of a call: an object; `{}` when there are none.
    pub fn arguments(&self) -> Result<JsonText, Fault> {
        Ok(match (self.params.arguments()?, self.whole) {
            (None, _) => JsonText::empty(),
            (Some(raw), Some(whole)) => JsonText::part(whole, raw),
            (Some(raw), None) => raw.to_owned().into(),
        })
    }
}
