//! `Incoming`: a request with its params and `_meta` viewed, ready to be judged and handled.

use crate::id::Id;
use crate::message::{Malformed, Request};
use crate::params::{Meta, Params};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A request, parsed once.
#[derive(Debug)]
pub struct Incoming<'a> {
    pub id: Id,
    pub method: Cow<'a, str>,
    pub params: Params<'a>,
    pub meta: Meta<'a>,
    /// The whole `params`, for what reads members that have no name here.
    pub raw: Option<&'a RawValue>,
}

impl<'a> Incoming<'a> {
    /// View a request. The error carries its id.
    pub fn of(request: Request<'a>) -> Result<Self, Malformed> {
        let Request { id, method, params: raw } = request;
        let viewed = Params::of(raw).and_then(|params| Ok((params, Meta::of(params.meta)?)));
        match viewed {
            Ok((params, meta)) => Ok(Self { id, method, params, meta, raw }),
            Err(fault) => Err(Malformed { id: Some(id), fault }),
        }
    }
}
