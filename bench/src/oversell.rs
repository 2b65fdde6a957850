//! Many buyers for the last copies, each in two windows at once: exactly as many succeed as there are copies, and none of
//! them twice.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, Result, ensure};
use bookworm_contracts::rest::{
    catalog::{Book, BookInput, Stock},
    ordering::CheckoutRequest,
};
use bookworm_kernel::{BookId, Currency, Money, Quantity};
use clap::Args;
use futures::future::join_all;
use tokio::{
    sync::Barrier,
    time::{Duration, Instant, sleep},
};
use uuid::Uuid;

use crate::{
    books,
    fleet::{Fleet, Plan},
    say,
    server::{ADMIN, OwnDatabase, Program},
    shop::{Range, Visitor, checkout_request},
};

/// How many want how many.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/bookworm")]
    bin: PathBuf,
    /// A PostgreSQL server to run on, in a database of its own; SQLite when missing
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// A fleet instead of one process: two of every role, on engines of its own. Run it with scripts/with-postgres
    /// scripts/with-nats scripts/with-redis
    #[arg(long, conflicts_with = "database_url")]
    fleet: bool,
    /// How many people want a copy
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2000))]
    buyers: u16,
    /// How many copies there are
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    copies: u16,
}

/// How long one buyer waits for a definite answer.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(90);

/// Runs it. The exit code is 1 when more or fewer copies were sold than there were.
///
/// # Errors
/// When it cannot be run.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    if arguments.fleet {
        let mut fleet = Fleet::start(&Plan::new(&arguments.bin, folder.path(), 2)).await?;
        let mut violations = rush(&arguments, fleet.address()).await?;
        if let Err(error) = fleet.operate(&["reconcile"]).await {
            violations.push(format!("{error:#}"));
        }
        fleet.stop().await?;
        violations.append(&mut fleet.violations);
        return Ok(verdict(&violations));
    }
    let database = match &arguments.database_url {
        Some(url) => Some(OwnDatabase::create(url).await?),
        None => None,
    };
    let url = database.as_ref().map(OwnDatabase::url);
    let program = Program::new(&arguments.bin, folder.path(), url.as_deref());
    let result = in_one_process(&arguments, &program, folder.path()).await;
    if let Some(database) = database {
        database.remove().await?;
    }
    Ok(verdict(&result?))
}

fn verdict(violations: &[String]) -> ExitCode {
    violations.iter().for_each(|violation| say(&format!("VIOLATION {violation}")));
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn in_one_process(arguments: &Arguments, program: &Program, folder: &std::path::Path) -> Result<Vec<String>> {
    let file = folder.join("books.jsonl");
    books::write(&file, 1, 1000)?;
    program.run(&["import", &file.to_string_lossy()]).await?;
    let server = program.start().await?;
    let violations = rush(arguments, server.address).await?;
    server.stop().await?;
    Ok(violations)
}

async fn rush(arguments: &Arguments, address: SocketAddr) -> Result<Vec<String>> {
    let range = Range::of(address).await?;
    let mut admin = Visitor::new(address);
    admin.sign_in(ADMIN.0, ADMIN.1).await?;
    let input = BookInput {
        title: "The last copies".to_owned(),
        price: Some(Money::new(1299, Currency::USD)),
        stock: Some(i64::from(arguments.copies)),
        ..BookInput::default()
    };
    let book: Book = admin.post("/api/v1/books", &input).await?;
    let all_ready = Arc::new(Barrier::new(usize::from(arguments.buyers)));
    let buyers = (0..arguments.buyers)
        .map(|n| tokio::spawn(buyer(address, book.id, range.shipping_method.clone(), n, all_ready.clone())));
    let began = Instant::now();
    let mut answers = std::collections::BTreeMap::<String, u16>::new();
    for answer in join_all(buyers).await {
        *answers.entry(answer.context("a buyer broke down")??).or_default() += 1;
    }
    say(&format!("{} buyers, {} copies, {:.1?}: {answers:?}", arguments.buyers, arguments.copies, began.elapsed()));

    let mut violations = Vec::new();
    let expected = arguments.copies.min(arguments.buyers);
    let confirmed = answers.remove("confirmed").unwrap_or(0);
    if confirmed != expected {
        violations.push(format!("{confirmed} instead of {expected} succeeded"));
    }
    answers.remove("insufficient_stock");
    answers.remove("book_unavailable");
    if !answers.is_empty() {
        violations.push(format!("other answers than those for a book that is sold out: {answers:?}"));
    }
    let stock: Stock = admin.get(&format!("/api/v1/books/{}/stock", book.id)).await?;
    if stock.available != i64::from(arguments.copies - expected) || stock.available != stock.on_hand - stock.reserved {
        violations.push(format!("the stock is {stock:?} in the end"));
    }
    Ok(violations)
}

/// Puts a copy into a basket, waits for all others, and buys it twice at once, with a key each. Says how it ended:
/// `confirmed`, a problem's code, or `confirmed twice`.
async fn buyer(address: SocketAddr, book: BookId, shipping: String, n: u16, all_ready: Arc<Barrier>) -> Result<String> {
    let mut visitor = Visitor::new(address);
    // A failure must not keep the others waiting at the barrier.
    let filled = visitor.add(book, Quantity::ONE).await;
    all_ready.wait().await;
    filled.with_context(|| format!("buyer {n} cannot fill the basket"))?;
    let request = checkout_request(Some(&format!("buyer-{n}@bench.example")), &shipping, "tok_approve", &n.to_string());
    let mut second = visitor.second_connection(address);
    let (one, two) =
        futures::try_join!(until_definite(&mut visitor, &request, n), until_definite(&mut second, &request, n))?;
    Ok(match (one.as_str(), two.as_str()) {
        ("confirmed", "confirmed") => "confirmed twice".to_owned(),
        ("confirmed", "order_in_progress" | "basket_empty") | ("order_in_progress" | "basket_empty", "confirmed") => {
            "confirmed".to_owned()
        }
        // The other order was refused later.
        ("order_in_progress", other) | (other, _) => other.to_owned(),
    })
}

/// Sends the checkout under one key until there is a definite answer.
async fn until_definite(visitor: &mut Visitor, request: &CheckoutRequest, n: u16) -> Result<String> {
    let (key, until) = (Uuid::new_v4().to_string(), Instant::now() + CHECKOUT_TIMEOUT);
    loop {
        let answer = visitor.checkout(&key, request).await?;
        match answer.status.as_u16() {
            201 => return Ok("confirmed".to_owned()),
            402 | 409 if !matches!(answer.code().as_str(), "request_in_progress" | "concurrent_change") => {
                return Ok(answer.code());
            }
            202 | 409 | 503 => {
                ensure!(Instant::now() < until, "buyer {n} got no definite answer: {}", answer.excerpt())
            }
            _ => return Ok(answer.excerpt()),
        }
        sleep(Duration::from_millis(100)).await;
    }
}
