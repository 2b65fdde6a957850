//! Measures the shop and tries to break it, from outside: over its public API, with the real program.

mod books;
mod chat;
mod checks;
mod client;
mod crash;
mod faults;
mod fleet;
mod forms;
mod load;
mod oversell;
mod probes;
mod search;
mod server;
mod shop;
mod suite;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

use crate::{
    load::{Scenario, Until},
    server::Program,
};

/// Measures a BookWorm shop and tries to break it, from outside.
#[derive(Debug, Parser)]
#[command(name = "bookworm-bench", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a running shop; fails when any answer is not what it should be
    ///
    /// Start the shop with BOOKWORM_GATEWAY__RATE_LIMIT__ENABLED=false.
    Load {
        /// What to do
        scenario: Scenario,
        /// The shop
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        url: url::Url,
        /// How many connections
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
        connections: u16,
        /// For how long
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
    },
    /// Measure from start to first answer, and memory, on an existing data folder
    Start {
        /// The program
        #[arg(long, default_value = "target/release/bookworm")]
        bin: PathBuf,
        /// The data folder
        #[arg(long)]
        data_dir: PathBuf,
    },
    /// Measure everything on a shop of its own, and print the table of docs/performance.md
    Suite(suite::Arguments),
    /// Kill the program again and again while people buy, and check that nothing was lost or done twice
    Crash(crash::Arguments),
    /// Try what can go wrong in a fleet, one fault after the other, while people buy, and check that nothing was lost
    ///
    /// Starts a fleet of real processes for each case, on a PostgreSQL, a NATS and a Redis of its own. Run it as
    /// `make faults` does, with scripts/with-postgres scripts/with-nats scripts/with-redis scripts/with-ferretdb. At the
    /// end comes a table: case, requests, verdict, and what was refused or failed. docs/faults.md says more.
    Faults(faults::Arguments),
    /// Kill the program in mid-conversation again and again, and check that no message was lost or shown twice
    ChatCrash(chat::crash::Arguments),
    /// Time how fast messages arrive and the bot answers while many people chat
    ChatLoad(chat::load::Arguments),
    /// Let many people buy the last copies at once
    Oversell(oversell::Arguments),
    /// Measure one process against a fleet of one and of two of each role
    Forms(forms::Arguments),
    /// Score the search on judged queries: words only, meaning only, and both
    SearchQuality(search::Quality),
    /// Time the search on a shop with many books
    SearchSpeed(search::Speed),
}

// One thread: the load generator shares the machine with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = tokio::select! {
        ended = run(Arguments::parse().command) => ended,
        // What was started ends with what started it.
        interrupted = interrupted() => interrupted,
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bookworm-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! { interrupted = ctrl_c() => interrupted?, _ = terminate.recv() => {} }
    anyhow::bail!("interrupted")
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Load { scenario, url, connections, seconds } => {
            let address = loopback(&url)?;
            for scenario in scenario.each() {
                let time = Duration::from_secs(seconds);
                let outcome = load::run(address, scenario, usize::from(connections), Until::Time(time)).await?;
                say(&format!("{}: {outcome}", scenario.title()));
            }
        }
        Command::Start { bin, data_dir } => start(&Program::new(&bin, &data_dir, None)).await?,
        Command::Suite(arguments) => suite::run(arguments).await?,
        Command::Crash(arguments) => return crash::run(arguments).await,
        Command::Faults(arguments) => return faults::run(arguments).await,
        Command::ChatCrash(arguments) => return chat::crash::run(arguments).await,
        Command::ChatLoad(arguments) => chat::load::run(arguments).await?,
        Command::Oversell(arguments) => return oversell::run(arguments).await,
        Command::Forms(arguments) => forms::run(arguments).await?,
        Command::SearchQuality(arguments) => search::quality(arguments).await?,
        Command::SearchSpeed(arguments) => search::speed(arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn start(program: &Program) -> Result<()> {
    for _ in 0..5 {
        let server = program.start().await?;
        let (took, memory) = (server.took, server.memory()?);
        let stopped = server.stop().await?;
        say(&format!("first answer after {took:.0?}, {memory:.0} MiB; stopped within {stopped:.0?}"));
    }
    Ok(())
}

/// The address of a shop on this machine: others are not to be loaded.
fn loopback(url: &url::Url) -> Result<SocketAddr> {
    let addresses = url.socket_addrs(|| None)?;
    let own = addresses.into_iter().find(|address| address.ip().is_loopback());
    own.with_context(|| format!("{url} is not on this machine"))
}

/// A line on standard output.
fn say(line: &str) {
    use std::io::Write;
    // A reader that has gone away is no error.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
