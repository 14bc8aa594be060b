//! Server `a2a-unified`: memories, knowledge, files, commands, SQL and statistics (CATALOGUE 1.17).
//!
//! The fourteen tools of the catalogue, and `import_knowledge`, without which a search would have nothing to find. What
//! is kept is kept by a `Library`, which the binary provides; all callers share it, only errors are shown to those who
//! caused them. Files, commands and requests go through `Host`.

mod api;
mod changes;
mod get_error_stats;
mod get_recent_errors;
mod get_stackoverflow_qa;
mod get_tool_usage_stats;
mod get_trending_repos;
mod import_knowledge;
pub mod library;
mod list_directory;
mod list_memories;
mod prompts;
mod read_file;
mod recall;
mod remember;
mod resources;
mod run_command;
mod search_knowledge;
mod sql_query;
#[cfg(test)]
mod testing;
mod write_file;

use crate::given::{at_most, bounded, given};
use crate::insight::Insight;
use api::Api;
use library::Library;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::server::{Health, Status};
use toolgate_core::unit::Rate;
use toolgate_core::{PromptDef, ResourceDef, Server, ToolDef};
use toolgate_host::Host;
use url::Url;

pub const GITHUB: &str = "https://api.github.com";
pub const STACKEXCHANGE: &str = "https://api.stackexchange.com";

const MAX_KEY: usize = 512;
const MAX_CATEGORY: usize = 128;

/// Addresses of the public services asked; a proxy's, where the gateway reaches them through one.
#[derive(Debug, Clone)]
pub struct Sources {
    pub github: Url,
    pub stackexchange: Url,
}

impl Sources {
    /// The services themselves: `GITHUB` and `STACKEXCHANGE`.
    pub fn public() -> Result<Self, url::ParseError> {
        Ok(Self { github: GITHUB.parse()?, stackexchange: STACKEXCHANGE.parse()? })
    }
}

/// The server's state.
pub struct A2aUnified {
    host: Host,
    library: Arc<dyn Library>,
    insight: Arc<dyn Insight>,
    github: Api,
    stackexchange: Api,
}

impl A2aUnified {
    pub fn new(host: Host, library: Arc<dyn Library>, insight: Arc<dyn Insight>, sources: Sources) -> Self {
        let github = Api::new("GitHub", sources.github);
        let stackexchange = Api::new("Stack Exchange", sources.stackexchange);
        Self { host, library, insight, github, stackexchange }
    }
}

impl Server for A2aUnified {
    const NAME: &'static str = "a2a-unified";
    // CATALOGUE 1.17.
    const RATE: Option<Rate> = Some(Rate { calls: 150, per: Duration::from_secs(60) });
    const ABOUT: &'static str = "What agents share: memories, knowledge with full-text search, SQL over both; files, commands, statistics.";

    fn tools() -> Vec<ToolDef<Self>> {
        vec![
            ToolDef::of::<search_knowledge::SearchKnowledge>(),
            ToolDef::of::<get_trending_repos::GetTrendingRepos>(),
            ToolDef::of::<get_stackoverflow_qa::GetStackoverflowQa>(),
            ToolDef::of::<remember::Remember>(),
            ToolDef::of::<recall::Recall>(),
            ToolDef::of::<list_memories::ListMemories>(),
            ToolDef::of::<read_file::ReadFile>(),
            ToolDef::of::<write_file::WriteFile>(),
            ToolDef::of::<list_directory::ListDirectory>(),
            ToolDef::of::<run_command::RunCommand>(),
            ToolDef::of::<sql_query::SqlQuery>(),
            ToolDef::of::<get_error_stats::GetErrorStats>(),
            ToolDef::of::<get_recent_errors::GetRecentErrors>(),
            ToolDef::of::<get_tool_usage_stats::GetToolUsageStats>(),
            ToolDef::of::<import_knowledge::ImportKnowledge>(),
        ]
    }

    fn resources() -> Vec<ResourceDef<Self>> {
        resources::all()
    }

    fn prompts() -> Vec<PromptDef<Self>> {
        prompts::all()
    }

    async fn health(&self) -> Vec<Health> {
        let asked = tokio::time::timeout(Duration::from_secs(5), self.library.error_stats(1)).await;
        vec![match asked {
            Ok(Ok(_)) => Health::healthy("database"),
            Ok(Err(error)) => Health::of("database", Status::Unhealthy, error.message),
            Err(_) => Health::of("database", Status::Unhealthy, "no answer within 5 s"),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolgate_core::Mount;

    #[tokio::test]
    async fn the_catalogues_tools_in_its_order() {
        let (server, library, _dir) = testing::server_with("http://127.0.0.1:1");
        let mounted = Mount::of(server);
        let names: Vec<_> = mounted.tools.iter().map(|tool| tool.spec().name).collect();
        assert_eq!(names[..3], ["search_knowledge", "get_trending_repos", "get_stackoverflow_qa"]);
        assert_eq!((names.len(), names[13], names[14]), (15, "get_tool_usage_stats", "import_knowledge"));
        assert!(mounted.tools.iter().all(|tool| !tool.description().is_empty()));
        let uris: Vec<_> = mounted.resources.iter().map(|r| r.template.as_str()).collect();
        assert_eq!(uris, ["memory://{key}", "knowledge://{id}"]);
        assert_eq!(mounted.prompts.len(), 2);
        assert_eq!(mounted.health().await[0].status, Status::Healthy);
        library.break_down();
        assert_eq!(mounted.health().await[0].status, Status::Unhealthy);
        assert!(Sources::public().is_ok());
    }
}
