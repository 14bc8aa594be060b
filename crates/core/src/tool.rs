//! `Tool`: one callable thing of a built-in server, and `ToolDef`, the same thing with its types erased.
//!
//! The parameter struct is the tool: its doc comment is what a model reads, its `Deserialize` is the validation. A tool
//! does its own work and nothing else: deadline, cancellation (its future is dropped), panic barrier, retry, breaker,
//! cache, output cap and redaction are the engine's.

use crate::ctx::Ctx;
use crate::json_text::JsonText;
use crate::kind::Kind;
use crate::outcome::ToolOutput;
use crate::spec::{Effect, Spec};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::{Serialize, de::DeserializeOwned};
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// One tool of a built-in server: its parameters, its facts and its work.
pub trait Tool: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The server it belongs to, and whose state it uses.
    type Server: Send + Sync + 'static;
    /// What it returns: a struct that serialises to a JSON object.
    type Output: Serialize + JsonSchema + Send + 'static;

    const SPEC: Spec;

    /// Effect of this very call; at least `SPEC.effect`, at most `SPEC.most`.
    fn effect(&self) -> Effect {
        Self::SPEC.effect
    }

    /// Do the work. The future is dropped at the deadline or when the caller goes away; what it started must end with it.
    fn call(
        self,
        server: &Self::Server,
        ctx: &Ctx,
    ) -> impl Future<Output = Result<Self::Output, ToolError>> + Send;
}

/// The tool ran and says no. The text is for the model: what was wrong and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolError {
    pub kind: Kind,
    pub message: Cow<'static, str>,
    /// Machine-readable details, public.
    pub data: Option<Box<serde_json::Value>>,
    /// An error of the protocol, not a result with `isError` that a model reads.
    pub protocol: bool,
    /// JSON-RPC code of an upstream's own error, passed on as it is.
    pub code: Option<i64>,
}

impl ToolError {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), data: None, protocol: false, code: None }
    }

    /// Answer as an error of the protocol, with details for the client's code.
    pub fn of_protocol(
        kind: Kind,
        message: impl Into<Cow<'static, str>>,
        data: Option<serde_json::Value>,
    ) -> Self {
        Self { data: data.map(Box::new), protocol: true, ..Self::new(kind, message) }
    }

    /// An upstream's own error, passed on with its code and data.
    pub fn of_upstream(
        kind: Kind,
        code: i64,
        message: impl Into<Cow<'static, str>>,
        data: Option<serde_json::Value>,
    ) -> Self {
        Self { code: Some(code), ..Self::of_protocol(kind, message, data) }
    }

    /// The client did not say that it can do what this call needs. `required`: an object of capability objects.
    pub fn needs_client(required: serde_json::Value) -> Self {
        let data = serde_json::json!({ "requiredCapabilities": required });
        Self::of_protocol(
            Kind::MissingCapability,
            "this call needs a capability that the client did not declare",
            Some(data),
        )
    }

    /// The call waits for answers of the client, which its link has noted.
    pub fn input_required() -> Self {
        Self::new(Kind::InputRequired, "the client is asked first")
    }

    /// The arguments make no sense together or for this server.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A rule of the server forbids it.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, message)
    }

    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    /// The thing behind the tool does not answer or is ill; counts for its circuit breaker, and a read may be repeated.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    pub fn timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Timeout, message)
    }

    /// The server lacks a setting; the text names it.
    pub fn unconfigured(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unsupported, message)
    }
}

impl From<ToolError> for crate::Error {
    /// As an error of the protocol, with its code and data.
    fn from(error: ToolError) -> Self {
        let refused = Self::new(error.kind, error.message);
        let refused = match error.code {
            Some(code) => refused.with_code(code),
            None => refused,
        };
        match error.data {
            Some(data) => refused.with_data(*data),
            None => refused,
        }
    }
}

impl std::fmt::Display for ToolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ToolError {}

/// A future that may go to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Arguments that parsed: a call that can run once.
pub trait Ready: Send + Sync {
    fn effect(&self) -> Effect;
    fn run<'a>(self: Box<Self>, ctx: &'a Ctx) -> BoxFuture<'a, Result<ToolOutput, ToolError>>
    where
        Self: 'a;
}

type Prepare<S> = fn(&Arc<S>, &JsonText) -> Result<Box<dyn Ready>, String>;

/// A tool of server `S` with its own types erased.
pub struct ToolDef<S> {
    pub spec: Spec,
    pub description: String,
    pub input_schema: serde_json::Value,
    pub output_schema: serde_json::Value,
    prepare: Prepare<S>,
}

impl<S: Send + Sync + 'static> ToolDef<S> {
    /// Describe tool `T`.
    pub fn of<T: Tool<Server = S>>() -> Self {
        let settings = || {
            schemars::generate::SchemaSettings::draft2020_12()
                .with(|s| s.inline_subschemas = true)
                .with_transform(RecursiveTransform(without_number_format))
        };
        let mut input_schema = schema_of::<T>(settings());
        let description = take_description(&mut input_schema);
        let mut output_schema = schema_of::<T::Output>(settings().for_serialize());
        take_description(&mut output_schema);
        Self { spec: T::SPEC, description, input_schema, output_schema, prepare: prepare::<T> }
    }

    /// Parse arguments for a call on `server`.
    pub fn prepare(&self, server: &Arc<S>, arguments: &JsonText) -> Result<Box<dyn Ready>, String> {
        (self.prepare)(server, arguments)
    }
}

struct Parsed<T: Tool> {
    tool: T,
    server: Arc<T::Server>,
}

impl<T: Tool> Ready for Parsed<T> {
    fn effect(&self) -> Effect {
        self.tool.effect().max(T::SPEC.effect)
    }

    fn run<'a>(self: Box<Self>, ctx: &'a Ctx) -> BoxFuture<'a, Result<ToolOutput, ToolError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let Parsed { tool, server } = *self;
            let value = tool.call(&server, ctx).await?;
            let output = ToolOutput::of(&value).map_err(|e| {
                ToolError::new(Kind::Internal, format!("the result could not be written as JSON: {e}"))
            })?;
            Ok(ToolOutput { whole: T::SPEC.shows, ..output })
        })
    }
}

fn prepare<T: Tool>(server: &Arc<T::Server>, arguments: &JsonText) -> Result<Box<dyn Ready>, String> {
    let mut arguments = serde_json::Deserializer::from_str(arguments.get());
    let tool: T = serde_path_to_error::deserialize(&mut arguments).map_err(|e| explain(&e))?;
    Ok(Box::new(Parsed { tool, server: server.clone() }))
}

// "at line 1 column 40" tells a model nothing it can use, and the column is of our own re-serialisation.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let mut text = error.inner().to_string();
    if let Some(cut) = text.rfind(" at line ") {
        text.truncate(cut);
    }
    let field = error.path().to_string();
    // What is unknown or missing is named by the text itself.
    let named = field == "." || text.contains(&format!("`{field}`"));
    if named { text } else { format!("{field}: {text}") }
}

fn schema_of<T: JsonSchema>(settings: schemars::generate::SchemaSettings) -> serde_json::Value {
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.shift_remove("$schema");
        object.shift_remove("title");
        object.entry("type").or_insert_with(|| "object".into());
        object.entry("properties").or_insert_with(|| serde_json::json!({}));
    }
    schema
}

// `uint64` and its like are no formats of JSON Schema: validators that clients use warn of each, and range says the same.
fn without_number_format(schema: &mut Schema) {
    let number = |kind: &serde_json::Value| kind == "integer" || kind == "number";
    let numeric = schema.get("type").is_some_and(|t| match t {
        serde_json::Value::Array(kinds) => kinds.iter().any(number),
        kind => number(kind),
    });
    if numeric {
        schema.remove("format");
    }
}

fn take_description(schema: &mut serde_json::Value) -> String {
    schema
        .as_object_mut()
        .and_then(|o| o.shift_remove("description"))
        .and_then(|d| d.as_str().map(str::to_owned))
        .unwrap_or_default()
}
