use std::process::ExitCode;

use bookworm_config::Settings;
use bookworm_node::commands;
use clap::Args;

/// What of a trace is shown, and how.
#[derive(Debug, Args)]
pub struct Trace {
    /// The id of an order, of a conversation or of a trace (`trace_id` of a log line or of a problem document)
    #[arg(value_name = "ORDER|TRACE")]
    id: String,

    /// Print a Mermaid sequence diagram instead of the tree of steps
    #[arg(long)]
    mermaid: bool,
}

/// Prints what the running shop knows of it.
pub async fn run(settings: &Settings, trace: Trace) -> anyhow::Result<ExitCode> {
    let shown = commands::trace(settings, &trace.id).await?;
    crate::print(&if trace.mermaid { shown.mermaid().to_owned() } else { shown.to_string() });
    Ok(ExitCode::SUCCESS)
}
