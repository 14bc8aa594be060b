//! Server `desktop-commander`: files, search, commands and long processes of a workspace (CATALOGUE 1.2).
//!
//! The five tools of the catalogue keep their names; the others are what people expect of such a server today: ranged
//! reads, exact edits with a dry run, search with pages, processes that outlive one call. The same rules bind files and
//! commands (`Host`): an agent can neither leave its directories nor change the rules.

mod create_directory;
mod edit_block;
mod execute_command;
mod force_terminate;
mod get_file_info;
mod interact_with_process;
mod list_directory;
mod list_sessions;
mod make_command;
mod move_file;
mod process;
mod read_file;
mod read_multiple_files;
mod read_process_output;
mod start_process;
mod start_search;
mod write_file;

use toolgate_core::server::Health;
use toolgate_core::{Server, ToolDef};
use toolgate_host::Host;

/// The server's state: nothing of its own; sessions live in `Host`, each bound to the caller who started it.
pub struct DesktopCommander {
    host: Host,
}

impl DesktopCommander {
    pub fn new(host: Host) -> Self {
        Self { host }
    }
}

impl Server for DesktopCommander {
    const NAME: &'static str = "desktop-commander";
    const ABOUT: &'static str =
        "A workspace: read, write, edit and search files, run programs and long processes.";

    fn tools() -> Vec<ToolDef<Self>> {
        vec![
            ToolDef::of::<execute_command::ExecuteCommand>(),
            ToolDef::of::<read_file::ReadFile>(),
            ToolDef::of::<read_multiple_files::ReadMultipleFiles>(),
            ToolDef::of::<write_file::WriteFile>(),
            ToolDef::of::<edit_block::EditBlock>(),
            ToolDef::of::<list_directory::ListDirectory>(),
            ToolDef::of::<get_file_info::GetFileInfo>(),
            ToolDef::of::<create_directory::CreateDirectory>(),
            ToolDef::of::<move_file::MoveFile>(),
            ToolDef::of::<start_search::StartSearch>(),
            ToolDef::of::<make_command::MakeCommand>(),
            ToolDef::of::<start_process::StartProcess>(),
            ToolDef::of::<read_process_output::ReadProcessOutput>(),
            ToolDef::of::<interact_with_process::InteractWithProcess>(),
            ToolDef::of::<list_sessions::ListSessions>(),
            ToolDef::of::<force_terminate::ForceTerminate>(),
        ]
    }

    async fn health(&self) -> Vec<Health> {
        vec![Health::of("commands", toolgate_core::server::Status::Healthy, self.host.exec().confinement())]
    }
}

#[cfg(test)]
fn server() -> (std::sync::Arc<DesktopCommander>, tempfile::TempDir) {
    let (host, directory) = crate::testing::host();
    (std::sync::Arc::new(DesktopCommander::new(host)), directory)
}
