//! `Route`: an endpoint as it is mounted and documented, and `At`, its path parameters.

use crate::app::AppState;
use crate::refusal::Refusal;
use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::routing::MethodRouter;
use http::Method;
use http::request::Parts;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

/// The schema of a type.
pub(crate) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// An endpoint.
pub(crate) struct Route {
    pub method: Method,
    pub path: &'static str,
    /// Unique name for generated clients.
    pub id: &'static str,
    pub summary: &'static str,
    /// Group in the document.
    pub tag: &'static str,
    /// Whether it needs no key.
    pub open: bool,
    pub body: Option<Shape>,
    pub answer: Answer,
    /// Statuses of refusals, besides those that every endpoint has.
    pub refusals: &'static [u16],
    pub handler: MethodRouter<AppState>,
}

/// The body of a success.
pub(crate) enum Answer {
    Json(Shape),
    /// JSON, sent with 503 too.
    Report(Shape),
    /// Text of this media type.
    Text(&'static str),
}

/// The schema of `T`.
pub(crate) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Mount every route.
pub(crate) fn mount(routes: Vec<Route>) -> Router<AppState> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
}

/// Path parameters; what is not UTF-8 names nothing.
pub(crate) struct At<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(found)) => Ok(Self(found)),
            Err(_) => Err(Refusal::invalid("the path is not UTF-8")),
        }
    }
}
