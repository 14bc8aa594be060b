//! POST: parse the body once, find the era, hand over.

use super::negotiate::{self, Accepts};
use super::{Named, Shared, Visit, answer, legacy, modern};
use crate::AppState;
use crate::bounds::{self, Arrived};
use crate::holdings::Held;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use toolgate_core::Caller;
use toolgate_core::json_text::Whole;
use toolgate_engine::mcp::Reply;
use toolgate_wire::era::{self, Era};
use toolgate_wire::message::{Body, Message, parse_str, text};
use toolgate_wire::params::{Meta, Params};
use toolgate_wire::{Fault, Incoming, header};

pub(super) async fn post(
    State(app): State<AppState>,
    Extension(shared): Extension<Arc<Shared>>,
    Extension(caller): Extension<Arc<Caller>>,
    door: Named,
    request: Request,
) -> Response {
    // Taken apart here, because the extractor of headers copies them.
    let (head, body) = request.into_parts();
    let visit = match Visit::new(app, shared, caller, door, head.headers) {
        Ok(visit) => visit,
        Err(refused) => return *refused,
    };
    let accepts = match negotiate::check(&visit.headers) {
        Ok(accepts) => accepts,
        Err((status, fault)) => return answer::fault(status, None, &fault),
    };
    match bounds::arrived(&visit.headers, body, visit.app.limits(), &visit.caller).await {
        Ok(body) => dispatch(&visit, accepts, body).await,
        Err(refusal) => refusal.into_response(),
    }
}

// A body as text. Its room is taken as long as anything of it is kept.
struct Text(String, #[expect(dead_code, reason = "given back when dropped")] Held);

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

async fn dispatch(visit: &Visit, accepts: Accepts, body: Arrived) -> Response {
    let said = match header::value(&visit.headers, header::PROTOCOL_VERSION) {
        Ok(said) => said,
        Err(fault) => return answer::whole(Reply::fault(Era::Modern, None, &fault), accepts),
    };
    let era = |meta_names_version| era::of(said, meta_names_version);
    let refuse = |fault: &Fault| answer::fault(StatusCode::BAD_REQUEST, None, fault);
    let whole: Whole = match text(body.bytes) {
        Ok(text) => Arc::new(Text(text, body.held)),
        Err(malformed) => return refuse(&malformed.fault),
    };
    match parse_str((*whole).as_ref(), visit.app.engine().clients().of_body()) {
        Err(malformed) => answer::fault(StatusCode::BAD_REQUEST, malformed.id.as_ref(), &malformed.fault),
        Ok(Body::Batch(messages)) => match era(false) {
            Era::Legacy => legacy::batch(visit, accepts, messages).await,
            Era::Modern => refuse(&Fault::invalid_request("Invalid request: this version has no batches")),
        },
        Ok(Body::One(Message::Request(request))) => match Incoming::within(&whole, request) {
            Err(malformed) => answer::fault(StatusCode::BAD_REQUEST, malformed.id.as_ref(), &malformed.fault),
            Ok(request) => match era(request.meta.protocol_version.is_some()) {
                Era::Modern => modern::request(visit, accepts, &request).await,
                Era::Legacy => legacy::request(visit, accepts, &request).await,
            },
        },
        Ok(Body::One(Message::Notification { method, params })) => {
            let meta = Params::of(params).and_then(|p| Meta::of(p.meta));
            match meta.map(|meta| era(meta.protocol_version.is_some())) {
                // The modern revision gives clients nothing to notify of over HTTP; what comes is taken and dropped.
                Ok(Era::Modern) => answer::empty(StatusCode::ACCEPTED),
                Ok(Era::Legacy) => legacy::notification(visit, &method, params).await,
                Err(fault) => refuse(&fault),
            }
        }
        Ok(Body::One(Message::Response { id, result, error })) => match era(false) {
            Era::Legacy => legacy::response(visit, id.as_ref(), result, error).await,
            Era::Modern => refuse(&Fault::invalid_request(
                "Invalid request: a client sends no responses in this version",
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is moved each time it is handed on, and kept for as long as a request runs.
    fn size_of_made<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_request_stays_small() {
        let size = size_of_made(|visit: &'static Visit, accepts, body| dispatch(visit, accepts, body));
        assert!(size <= 6400, "{size} bytes");
    }
}
