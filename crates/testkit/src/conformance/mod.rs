//! Server `conformance`: the tools, resources and prompts that the official conformance suite calls, as an ordinary
//! built-in server. What it does the engine does for every server; nothing here speaks the protocol.

mod asking;
mod holding;
mod offers;
mod showing;
mod tasks;

pub use showing::json_schema;

use toolgate_core::{PromptDef, ResourceDef, Server, ToolDef};

/// The fixture. Mounted in tests only.
pub struct Conformance;

impl Server for Conformance {
    const NAME: &'static str = "conformance";
    const ABOUT: &'static str = "What the conformance suite calls.";

    fn tools() -> Vec<ToolDef<Self>> {
        [showing::tools(), asking::tools(), tasks::tools(), holding::tools()].into_iter().flatten().collect()
    }

    fn resources() -> Vec<ResourceDef<Self>> {
        offers::resources()
    }

    fn prompts() -> Vec<PromptDef<Self>> {
        offers::prompts()
    }
}

/// A tool without state: its members, what it says of itself, its facts, its work.
macro_rules! tool {
    ($name:ident { $($field:ident: $type:ty),* } $about:literal, $spec:expr, |$this:ident, $ctx:ident| $work:expr) => {
        #[doc = $about]
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $(
                #[doc = concat!("The ", stringify!($field), ".")]
                $field: $type,
            )*
        }

        impl toolgate_core::Tool for $name {
            type Server = $crate::conformance::Conformance;
            type Output = toolgate_core::content::Shown;
            const SPEC: toolgate_core::Spec = $spec.shows();

            async fn call(
                self,
                _server: &Self::Server,
                $ctx: &toolgate_core::Ctx,
            ) -> Result<Self::Output, toolgate_core::ToolError> {
                let $this = self;
                $work
            }
        }
    };
}
pub(crate) use tool;

/// A red pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde\
    \x00\x00\x00\x0cIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82";
/// Two silent samples.
const WAV: &[u8] =
    b"RIFF\x28\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\
    \x10\x00data\x04\x00\x00\x00\x00\x00\x00\x00";
