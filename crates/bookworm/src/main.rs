//! The program. Reads the command line and hands over to `bookworm-node`.

mod arguments;
mod import;
mod serve;

use std::process::ExitCode;

use anyhow::Context;
use arguments::{Arguments, Command, Replay};
use bookworm_config::Settings;
use bookworm_node::commands;
use bookworm_telemetry::{LogFormat, Telemetry};
use clap::Parser;

/// A purchase makes and drops thousands of small values on several threads: the system's allocator takes longer for
/// them, and others keep more of what was freed. SQLite and the compressors are served by it too.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // The whole chain on one line: what was tried, and why it failed.
            eprintln!("bookworm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(arguments.sources())?;
    if matches!(arguments.command, Command::Config) {
        print(&settings.redacted_toml());
        return Ok(ExitCode::SUCCESS);
    }
    let telemetry = telemetry(&settings, &arguments.command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        match arguments.command {
            Command::Serve(_) => serve::run(settings, telemetry).await,
            Command::Import(import) => import::run(settings, import).await,
            Command::Replay { what: Replay::Orders } => {
                let report = commands::replay_orders(settings).await?;
                print(&format!("{report}\n"));
                Ok(if report.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Command::Reconcile => {
                let report = commands::reconcile(settings).await?;
                print(&report.to_string());
                Ok(if report.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Command::Config => unreachable!("answered above"),
        }
    })
}

/// The log. An import speaks for itself: of its log only what went wrong is shown.
fn telemetry(settings: &Settings, command: &Command) -> anyhow::Result<Telemetry> {
    let quiet = matches!(command, Command::Import(import) if !import.verbose);
    let filter = if quiet { "warn" } else { settings.telemetry.log_filter.as_str() };
    let format = match settings.telemetry.log_format {
        bookworm_config::LogFormat::Pretty => LogFormat::Pretty,
        bookworm_config::LogFormat::Json => LogFormat::Json,
    };
    Ok(bookworm_telemetry::init(format, filter)?)
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
