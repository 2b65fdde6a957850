//! Everything that `docs/performance.md` promises, measured on a shop of its own, as a table.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    books,
    load::{self, Outcome, Scenario, Until},
    say,
    server::{OwnDatabase, Program, Server, cpu},
};

/// What to measure.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/bookworm")]
    bin: PathBuf,
    /// A PostgreSQL server to run on, in a database of its own; SQLite when missing
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// How many books
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    books: u32,
    /// How many connections
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// How long to measure each scenario
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many orders there are when memory is measured
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    orders: u64,
}

/// Copies of each book: more than any run can sell.
const STOCK: i64 = 900_000;
/// How often to start the program.
const STARTS: usize = 5;

/// Measures and prints.
///
/// # Errors
/// When a scenario does not work, or anything is not answered as it should be.
pub async fn run(arguments: Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = match &arguments.database_url {
        Some(url) => Some(OwnDatabase::create(url).await?),
        None => None,
    };
    let url = database.as_ref().map(OwnDatabase::url);
    let program = Program::new(&arguments.bin, folder.path(), url.as_deref());
    let result = measure(&arguments, &program, folder.path(), url.is_some()).await;
    if let Some(database) = database {
        database.remove().await?;
    }
    result
}

struct Row {
    what: String,
    target: String,
    measured: String,
    p50: String,
    p99: String,
    server_cpu: String,
    client_cpu: String,
    met: bool,
}

async fn measure(arguments: &Arguments, program: &Program, folder: &Path, postgres: bool) -> Result<()> {
    let file = folder.join("books.jsonl");
    books::write(&file, arguments.books, STOCK)?;
    let importing = Instant::now();
    program.run(&["import", &file.to_string_lossy()]).await?;
    let imported = importing.elapsed();
    let flush = flush_time(folder)?;
    let mut rows = Vec::new();
    let server = program.start().await?;
    let fresh = server.memory()?;
    let (mut orders, mut loaded) = (0, 0.0);
    for scenario in Scenario::All.each() {
        let until = Until::Time(Duration::from_secs(arguments.seconds));
        let (outcome, busy) =
            with_cpu(&server, load::run(server.address, scenario, usize::from(arguments.connections), until)).await?;
        say(&format!("{}: {outcome}", scenario.title()));
        if scenario == Scenario::Checkout {
            orders = outcome.steps;
        } else {
            loaded = server.memory()?;
        }
        rows.push(row(scenario, &outcome, busy));
    }
    let missing = arguments.orders.saturating_sub(orders);
    if missing > 0 {
        let outcome =
            load::run(server.address, Scenario::Checkout, usize::from(arguments.connections), Until::Count(missing))
                .await?;
        say(&format!("{} more orders: {outcome}", outcome.done));
    }
    let memory = server.memory()?;
    let stopped = server.stop().await?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let server = program.start().await?;
        starts.push(server.took);
        server.stop().await?;
    }
    starts.sort_unstable();
    let start = starts[STARTS / 2];
    let plain = |what: String, target: &str, measured: String, met| Row {
        what,
        target: target.to_owned(),
        measured,
        p50: String::new(),
        p99: String::new(),
        server_cpu: String::new(),
        client_cpu: String::new(),
        met,
    };
    rows.push(plain(
        "start with existing data to first answer".to_owned(),
        "0.5 s",
        format!("{:.2} s", start.as_secs_f64()),
        start < Duration::from_millis(500),
    ));
    let after = format!("memory after {} orders", orders + missing);
    rows.push(plain(after, "200 MB", format!("{memory:.0} MB"), memory < 200.0));
    print(&rows);
    let engine = if postgres { "PostgreSQL" } else { "SQLite, synchronous=FULL" };
    say(&format!(
        "\n{engine}; {} books imported in {imported:.1?}; {} connections; {}; one flush of this disk {flush:.2?}; \
         memory at start {fresh:.0} MB, after reading and baskets {loaded:.0} MB; stopped within {stopped:.0?}",
        arguments.books,
        arguments.connections,
        machine()
    ));
    Ok(())
}

/// Processor time used by the server and by the load generator while something ran.
struct Busy {
    server: Duration,
    client: Duration,
}

async fn with_cpu(server: &Server, work: impl Future<Output = Result<Outcome>>) -> Result<(Outcome, Busy)> {
    let own = std::process::id();
    let before = (server.cpu()?, cpu(own)?);
    let outcome = work.await?;
    let after = (server.cpu()?, cpu(own)?);
    Ok((outcome, Busy { server: after.0 - before.0, client: after.1 - before.1 }))
}

fn row(scenario: Scenario, outcome: &Outcome, busy: Busy) -> Row {
    let (rate, slowest) = match scenario {
        Scenario::List => (5000.0, None),
        Scenario::Detail => (8000.0, None),
        Scenario::Page => (2000.0, None),
        Scenario::Basket => (1500.0, None),
        Scenario::Checkout => (200.0, Some(250.0)),
        Scenario::Search | Scenario::All => (0.0, None),
    };
    let each = |busy: Duration| format!("{:.0} µs", busy.as_secs_f64() * 1e6 / outcome.steps as f64);
    Row {
        what: scenario.title().to_owned(),
        target: match slowest {
            Some(p99) => format!("{rate:.0}/s, p99 {p99:.0} ms"),
            None => format!("{rate:.0}/s"),
        },
        measured: format!("{:.0}/s", outcome.rate()),
        p50: format!("{:.2} ms", outcome.percentile(0.5)),
        p99: format!("{:.2} ms", outcome.percentile(0.99)),
        server_cpu: each(busy.server),
        client_cpu: each(busy.client),
        met: outcome.rate() >= rate && slowest.is_none_or(|p99| outcome.percentile(0.99) < p99),
    }
}

fn print(rows: &[Row]) {
    say("\n| what | target | measured | p50 | p99 | server CPU each | client CPU each | met |");
    say("|---|---|---|---|---|---|---|---|");
    for row in rows {
        let Row { what, target, measured, p50, p99, server_cpu, client_cpu, met } = row;
        let met = if *met { "yes" } else { "no" };
        say(&format!("| {what} | {target} | {measured} | {p50} | {p99} | {server_cpu} | {client_cpu} | {met} |"));
    }
}

/// The median time that this disk takes to make 4 KiB durable: what bounds every commit.
fn flush_time(folder: &Path) -> Result<Duration> {
    let mut file = File::create(folder.join("flush")).context("cannot measure the disk")?;
    let mut times = Vec::new();
    for _ in 0..51 {
        let began = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// What this runs on.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {}", model.trim_start_matches([' ', '\t', ':']))
}
