//! The forms that the shop can run in, side by side: one process, and a fleet on the same machine.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    books, crash,
    fleet::{Engine, Fleet, Plan, ROLES},
    load::{self, Outcome, Scenario, Until},
    say,
    server::{Program, Server},
};

/// What to measure.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/bookworm")]
    bin: PathBuf,
    /// How many books
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    books: u32,
    /// How many connections
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// How long to measure each scenario
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Only these forms
    #[arg(long, value_delimiter = ',', default_values_t = Form::ALL)]
    only: Vec<Form>,
}

/// How the shop runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// One process on embedded engines
    Embedded,
    /// One process on PostgreSQL
    Postgres,
    /// A process of each role, on PostgreSQL, NATS and Redis
    FleetOfOne,
    /// Two processes of each role
    FleetOfTwo,
}

impl Form {
    const ALL: [Self; 4] = [Self::Embedded, Self::Postgres, Self::FleetOfOne, Self::FleetOfTwo];

    fn title(self) -> &'static str {
        match self {
            Self::Embedded => "one process, SQLite",
            Self::Postgres => "one process, PostgreSQL",
            Self::FleetOfOne => "one of each role",
            Self::FleetOfTwo => "two of each role",
        }
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Postgres => "postgres",
            Self::FleetOfOne => "fleet-of-one",
            Self::FleetOfTwo => "fleet-of-two",
        })
    }
}

const SCENARIOS: [Scenario; 5] =
    [Scenario::List, Scenario::Detail, Scenario::Search, Scenario::Basket, Scenario::Checkout];

/// A shop that runs in one of the forms.
enum Running {
    Alone(Box<Server>, Option<Box<Engine>>),
    Fleet(Box<Fleet>),
}

impl Running {
    async fn start(form: Form, arguments: &Arguments, folder: &Path) -> Result<Self> {
        let alone = |url: Option<String>| {
            Program::new(&arguments.bin, folder, url.as_deref()).with("BOOKWORM_AI__PROVIDER", "off")
        };
        let (postgres, program) = match form {
            Form::Embedded => (None, alone(None)),
            Form::Postgres => {
                let postgres = Engine::postgres(folder, crate::fleet::own_address()).await?;
                let url = Engine::database_url(postgres.address);
                (Some(postgres), alone(Some(url)))
            }
            Form::FleetOfOne | Form::FleetOfTwo => {
                let instances = if form == Form::FleetOfOne { 1 } else { 2 };
                let plan = Plan { books: arguments.books, ..Plan::new(&arguments.bin, folder, instances) };
                return Ok(Self::Fleet(Box::new(Fleet::start(&plan).await?)));
            }
        };
        let file = folder.join("books.jsonl");
        books::write(&file, arguments.books, crash::PLENTY)?;
        program.run(&["import", &file.to_string_lossy()]).await?;
        Ok(Self::Alone(Box::new(program.start().await?), postgres.map(Box::new)))
    }

    fn address(&self) -> std::net::SocketAddr {
        match self {
            Self::Alone(server, _) => server.address,
            // A balancer in this process would take its share of one core.
            Self::Fleet(fleet) => {
                let mut gateways = fleet.members.iter().filter(|member| member.role == "gateway");
                match (gateways.next(), gateways.next()) {
                    (Some(gateway), None) => gateway.public,
                    _ => fleet.address(),
                }
            }
        }
    }

    /// Processor time of the shop's processes and of its engines.
    fn cpu(&self) -> Result<(Duration, Duration)> {
        match self {
            Self::Alone(server, postgres) => {
                Ok((server.cpu()?, postgres.as_ref().map_or(Ok(Duration::ZERO), |postgres| postgres.cpu())?))
            }
            Self::Fleet(fleet) => fleet.cpu(),
        }
    }

    async fn stop(self) -> Result<()> {
        match self {
            Self::Alone(server, _) => server.stop().await.map(drop),
            Self::Fleet(mut fleet) => fleet.stop().await,
        }
    }
}

/// One line of the table.
struct Row {
    what: String,
    cells: Vec<String>,
}

/// Measures and prints.
///
/// # Errors
/// When a form does not start, or anything is not answered as it should be.
pub async fn run(arguments: Arguments) -> Result<()> {
    let mut rows: Vec<Row> = SCENARIOS
        .iter()
        .flat_map(|scenario| [format!("{}, {} connections", scenario.title(), arguments.connections), String::new()])
        .chain(["book detail, one connection, p50".to_owned(), "memory, all processes of the shop".to_owned()])
        .map(|what| Row { what, cells: Vec::new() })
        .collect();
    let mut smallest = Vec::new();
    for form in &arguments.only {
        say(&format!("{}:", form.title()));
        let folder = tempfile::tempdir()?;
        let shop = Running::start(*form, &arguments, folder.path()).await?;
        let cells = measure(&shop, &arguments).await.with_context(|| form.title())?;
        rows.iter_mut().zip(cells).for_each(|(row, cell)| row.cells.push(cell));
        if let (Running::Fleet(fleet), Form::FleetOfOne) = (&shop, form) {
            for member in &fleet.members {
                smallest.push((member.role, member.memory()?));
            }
        }
        shop.stop().await?;
    }
    say(&format!("\n| what | {} |", arguments.only.iter().map(|form| form.title()).collect::<Vec<_>>().join(" | ")));
    say(&format!("|---|{}", "---|".repeat(arguments.only.len())));
    for row in rows {
        say(&format!("| {} | {} |", row.what, row.cells.join(" | ")));
    }
    if !smallest.is_empty() {
        say("\n| role | memory of its process |\n|---|---|");
        for role in ROLES {
            for (_, memory) in smallest.iter().filter(|(of, _)| *of == role) {
                say(&format!("| {role} | {memory:.0} MB |"));
            }
        }
    }
    Ok(())
}

/// The cells of one form, from the top.
async fn measure(shop: &Running, arguments: &Arguments) -> Result<Vec<String>> {
    let mut cells = Vec::new();
    for scenario in SCENARIOS {
        let (outcome, shop_cpu, engines_cpu) =
            measured(shop, scenario, usize::from(arguments.connections), arguments.seconds).await?;
        say(&format!("  {}: {outcome}", scenario.title()));
        cells.push(format!("{:.0}/s, p99 {:.1} ms", outcome.rate(), outcome.percentile(0.99)));
        let each = |time: Duration| time.as_secs_f64() * 1e6 / outcome.steps as f64;
        cells.push(format!("{:.0} µs of the shop, {:.0} µs of engines", each(shop_cpu), each(engines_cpu)));
    }
    let (outcome, ..) = measured(shop, Scenario::Detail, 1, arguments.seconds).await?;
    cells.push(format!("{:.2} ms", outcome.percentile(0.5)));
    cells.push(match shop {
        Running::Alone(server, _) => format!("{:.0} MB", server.memory()?),
        Running::Fleet(fleet) => {
            let memories = fleet.members.iter().map(crate::fleet::Member::memory).collect::<Result<Vec<_>>>()?;
            format!("{:.0} MB in {}", memories.iter().sum::<f64>(), memories.len())
        }
    });
    Ok(cells)
}

async fn measured(
    shop: &Running,
    scenario: Scenario,
    connections: usize,
    seconds: u64,
) -> Result<(Outcome, Duration, Duration)> {
    let before = shop.cpu()?;
    let until = Until::Time(Duration::from_secs(seconds));
    let outcome = load::run(shop.address(), scenario, connections, until).await?;
    let after = shop.cpu()?;
    Ok((outcome, after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)))
}
