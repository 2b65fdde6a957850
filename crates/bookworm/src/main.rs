//! The program. Reads the command line and hands over to `bookworm-node`.

mod arguments;
mod import;
mod init;
mod serve;
mod trace;
mod up;

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Context;
use arguments::{Arguments, Command, Replay};
use bookworm_config::Settings;
use bookworm_node::{Roles, commands, make_instance};
use bookworm_telemetry::{Export, LogFormat, Process, Telemetry, Traces};
use clap::Parser;
use rustix::fs::Mode;

/// How long the collector has, at the end, for the spans that wait.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// A purchase makes and drops thousands of small values on several threads: the system's allocator takes longer for
/// them, and others return less of what was freed. SQLite and the compressors are served by it too.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Nothing that the program writes is for other users of this machine: not databases, nor what SQLite puts beside
    // them, from the first moment on.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
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
    if let Command::Tied(tied) = &arguments.command {
        match up::become_program(tied)? {}
    }
    if matches!(arguments.command, Command::Config) {
        print(&Settings::explain(arguments.sources())?);
        return Ok(ExitCode::SUCCESS);
    }
    let quiet = arguments.is_quiet();
    let (sources, file) = (arguments.sources(), arguments.file().map(Path::to_owned));
    let mut settings = Settings::load(sources.clone())?;
    // Before the first line is logged: each says which process wrote it.
    let instance = settings.fleet.instance.get_or_insert_with(make_instance).clone();
    let process = Process { instance, release: env!("CARGO_PKG_VERSION").to_owned() };
    let telemetry = telemetry(&settings, quiet, process.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        match arguments.command {
            Command::Serve(serve) => {
                let traces = traces(&settings, &process)?;
                let ended = serve::run(settings, telemetry, serve.recreate).await;
                if let Some(traces) = traces {
                    traces.finish(LAST_SPANS).await;
                }
                ended
            }
            Command::Up(_) => up::run(&settings, sources, file).await,
            Command::Init(_) => init::run(settings).await,
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
            Command::Fleet { json } => {
                let fleet = commands::fleet(&settings).await?;
                print(&if json { format!("{:#}\n", fleet.to_json()) } else { fleet.to_string() });
                Ok(ExitCode::SUCCESS)
            }
            Command::Drain(drain) => {
                let drained = commands::drain(&settings, &drain.instance, !drain.undo).await?;
                print(&format!("{drained}\n"));
                Ok(ExitCode::SUCCESS)
            }
            Command::Trace(trace) => trace::run(&settings, trace).await,
            Command::Config | Command::Tied(_) => unreachable!("answered above"),
        }
    })
}

/// `quiet`: warnings only, unless the settings ask for something else than the default.
fn telemetry(settings: &Settings, quiet: bool, process: Process) -> anyhow::Result<Telemetry> {
    let chosen = &settings.telemetry.log_filter;
    let filter = if quiet && *chosen == Settings::default().telemetry.log_filter { "warn" } else { chosen };
    let format = match settings.telemetry.log_format {
        bookworm_config::LogFormat::Pretty => LogFormat::Pretty,
        bookworm_config::LogFormat::Json => LogFormat::Json,
    };
    Ok(bookworm_telemetry::init(format, filter, process)?)
}

/// Exports spans, where the settings say to whom.
fn traces(settings: &Settings, process: &Process) -> anyhow::Result<Option<Traces>> {
    let wanted = &settings.telemetry;
    let Some(endpoint) = &wanted.otlp_endpoint else { return Ok(None) };
    let export = Export {
        endpoint: endpoint.as_str().trim_end_matches('/').to_owned(),
        headers: wanted.otlp_headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ratio: wanted.trace_ratio,
        roles: Roles::parse(&settings.roles)?.iter().map(|role| role.name().to_owned()).collect(),
    };
    Ok(Some(Traces::start(export, process)?))
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
