use std::process::ExitCode;

use bookworm_config::Settings;
use bookworm_node::commands;

use crate::serve;

/// Prepares what the processes of a shop share, and prints each step.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let home = settings.public_url.as_ref().map_or_else(|| "/".to_owned(), ToString::to_string);
    let done = commands::init(settings, |step| crate::print(&format!("{step}\n"))).await?;
    if let Some(admin) = done.first_admin {
        crate::print(&serve::once(&admin, &home));
    }
    Ok(ExitCode::SUCCESS)
}
