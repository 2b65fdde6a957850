//! Load: many connections that do the same thing as fast as they are answered.

use std::{
    fmt,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bookworm_contracts::rest::{
    Page,
    basket::AddItem,
    catalog::Book,
    ordering::{Order, OrderStatus},
};
use bookworm_kernel::Quantity;
use bytes::Bytes;
use clap::ValueEnum;
use futures::future::join_all;
use http::{Method, StatusCode};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use crate::shop::{Range, Visitor, checkout_request};

/// What the connections do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// `GET /api/v1/books?limit=20`, walking through all pages
    List,
    /// `GET /api/v1/books/{id}` of any book
    Detail,
    /// `GET /api/v1/search` with two words of a title, hardly ever the same twice
    Search,
    /// `GET /books/{id}` of any book: the page that people see
    Page,
    /// `POST /api/v1/basket/items`: each connection has a basket of its own
    Basket,
    /// A guest's whole purchase: new basket, one or two books, checkout, confirmed
    Checkout,
    /// All of these but the search, which has a command of its own, one after the other
    All,
}

impl Scenario {
    /// The scenarios one by one.
    pub fn each(self) -> Vec<Self> {
        match self {
            Self::All => vec![Self::List, Self::Detail, Self::Page, Self::Basket, Self::Checkout],
            one => vec![one],
        }
    }

    /// What it is called in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::List => "list of 20, JSON",
            Self::Detail => "book detail, JSON",
            Self::Search => "search by words, JSON",
            Self::Page => "book page, HTML",
            Self::Basket => "add to basket, durable",
            Self::Checkout => "checkout to confirmed order, whole journey, durable",
            Self::All => "all",
        }
    }
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this long.
    Time(Duration),
    /// After this many.
    Count(u64),
}

/// What came out.
#[derive(Debug)]
pub struct Outcome {
    /// Steps that ended while it was measured.
    pub done: u64,
    /// All steps, the warm-up's too.
    pub steps: u64,
    pub took: Duration,
    /// In microseconds, ascending.
    latencies: Vec<u32>,
}

impl Outcome {
    /// What these steps, in microseconds each, came to in this time.
    pub fn new(mut latencies: Vec<u32>, took: Duration) -> Self {
        latencies.sort_unstable();
        Self { done: latencies.len() as u64, steps: latencies.len() as u64, took, latencies }
    }

    /// How many a second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }

    /// The latency in milliseconds that this share (0 to 1) stayed under.
    pub fn percentile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (share * last as f64).round() as usize;
        self.latencies.get(place).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0}/s, p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms, {} done, no errors",
            self.rate(),
            self.percentile(0.5),
            self.percentile(0.9),
            self.percentile(0.99),
            self.percentile(1.0),
            self.done
        )
    }
}

/// How long to run before measuring.
const WARM_UP: Duration = Duration::from_secs(1);
/// The longest that any run may take.
const LIMIT: Duration = Duration::from_secs(1800);
/// How many adds one basket takes before a connection begins another: its lines stay below 99 copies.
const ADDS_A_BASKET: u32 = 200;

/// Runs one scenario on this many connections.
///
/// # Errors
/// When any answer is not what it should be: a figure with errors in it is worth nothing.
pub async fn run(address: SocketAddr, scenario: Scenario, connections: usize, until: Until) -> Result<Outcome> {
    let range = Range::of(address).await.context("cannot look around in the shop")?;
    let pages = if scenario == Scenario::List { list_pages(address).await? } else { Vec::new() };
    let plan = Arc::new(Plan { scenario, range, pages });
    let began = Instant::now();
    let (measure_from, stop_at) = match until {
        Until::Time(time) => (began + WARM_UP, began + WARM_UP + time),
        Until::Count(_) => (began, began + LIMIT),
    };
    // One thread drives all connections, so this needs no lock.
    let left = Rc::new(std::cell::Cell::new(match until {
        Until::Time(_) => u64::MAX,
        Until::Count(count) => count,
    }));
    let connections = (0..connections).map(|n| {
        let (plan, left) = (plan.clone(), left.clone());
        async move {
            let mut buyer = Buyer::new(address, n as u64);
            let (mut latencies, mut steps) = (Vec::new(), 0_u64);
            while Instant::now() < stop_at && left.get() > 0 {
                left.set(left.get() - 1);
                let started = Instant::now();
                buyer.step(&plan).await?;
                steps += 1;
                let ended = Instant::now();
                if ended >= measure_from && ended <= stop_at {
                    latencies.push(u32::try_from((ended - started).as_micros()).unwrap_or(u32::MAX));
                }
            }
            Ok::<_, anyhow::Error>((latencies, steps))
        }
    });
    let results = join_all(connections).await;
    let took = match until {
        Until::Time(time) => time,
        Until::Count(_) => began.elapsed(),
    };
    let (mut latencies, mut steps) = (Vec::new(), 0);
    for result in results {
        let (of_one, done) = result.with_context(|| scenario.title())?;
        latencies.extend(of_one);
        steps += done;
    }
    latencies.sort_unstable();
    ensure!(!latencies.is_empty(), "{}: nothing was done", scenario.title());
    Ok(Outcome { done: latencies.len() as u64, steps, took, latencies })
}

struct Plan {
    scenario: Scenario,
    range: Range,
    /// The addresses of all pages of the list.
    pages: Vec<String>,
}

/// One connection's state.
struct Buyer {
    visitor: Visitor,
    random: StdRng,
    adds: u32,
}

impl Buyer {
    fn new(address: SocketAddr, n: u64) -> Self {
        Self { visitor: Visitor::new(address), random: StdRng::seed_from_u64(n), adds: 0 }
    }

    async fn step(&mut self, plan: &Plan) -> Result<()> {
        match plan.scenario {
            Scenario::List => {
                let page = plan.pages.choose(&mut self.random).context("no pages")?;
                self.read(page).await
            }
            Scenario::Detail => {
                let path = format!("/api/v1/books/{}", self.book(plan));
                self.read(&path).await
            }
            Scenario::Search => {
                let title = plan.range.titles.choose(&mut self.random).context("no titles")?;
                let words: Vec<&str> = title.split_whitespace().collect();
                let mut word = || words.choose(&mut self.random).copied().unwrap_or_default();
                let query: String =
                    url::form_urlencoded::byte_serialize(format!("{} {}", word(), word()).as_bytes()).collect();
                // What was asked for already comes from a cache, as long as all of it is the same.
                let limit = self.random.random_range(10..=50);
                self.read(&format!("/api/v1/search?q={query}&limit={limit}")).await
            }
            Scenario::Page => {
                let path = format!("/books/{}", self.book(plan));
                self.read(&path).await
            }
            Scenario::Basket => {
                if self.adds.is_multiple_of(ADDS_A_BASKET) {
                    self.visitor.basket_token = None;
                }
                // Four books for each basket, as people have: what is measured is adding, not reading long baskets.
                let basket = (self.adds / ADDS_A_BASKET) as usize;
                let book = plan.range.books[(basket * 4 + self.adds as usize % 4) % plan.range.books.len()];
                self.adds += 1;
                self.add(book).await
            }
            Scenario::Checkout => self.purchase(plan).await,
            Scenario::All => anyhow::bail!("one scenario at a time"),
        }
    }

    fn book(&mut self, plan: &Plan) -> bookworm_kernel::BookId {
        plan.range.books[self.random.random_range(0..plan.range.books.len())]
    }

    async fn read(&mut self, path: &str) -> Result<()> {
        let answer = self.visitor.send(Method::GET, path, &[], Bytes::new()).await?;
        ensure!(answer.status == StatusCode::OK && !answer.body.is_empty(), "GET {path}: {}", answer.excerpt());
        Ok(())
    }

    async fn add(&mut self, book_id: bookworm_kernel::BookId) -> Result<()> {
        let body = serde_json::to_vec(&AddItem { book_id, quantity: Quantity::ONE })?;
        let answer = self.visitor.send(Method::POST, "/api/v1/basket/items", &[], body.into()).await?;
        ensure!(answer.status == StatusCode::OK, "POST /api/v1/basket/items: {}", answer.excerpt());
        Ok(())
    }

    async fn purchase(&mut self, plan: &Plan) -> Result<()> {
        self.visitor.basket_token = None;
        let first = self.book(plan);
        self.add(first).await?;
        if self.random.random_bool(0.5) {
            let second = self.book(plan);
            self.add(second).await?;
        }
        let request = checkout_request(Some("bench@buyer.example"), &plan.range.shipping_method, "tok_approve", "load");
        let answer = self.visitor.checkout(&Uuid::new_v4().to_string(), &request).await?;
        ensure!(answer.status == StatusCode::CREATED, "POST /api/v1/orders/checkout: {}", answer.excerpt());
        let order: Order = answer.json()?;
        ensure!(order.status == OrderStatus::Confirmed, "the order is {:?}", order.status);
        Ok(())
    }
}

/// The addresses of all pages of the list of books.
async fn list_pages(address: SocketAddr) -> Result<Vec<String>> {
    let mut visitor = Visitor::new(address);
    let mut pages = vec!["/api/v1/books?limit=20".to_owned()];
    for _ in 0..1000 {
        let page: Page<Book> = visitor.get(&pages[pages.len() - 1]).await?;
        match page.next {
            Some(next) => pages.push(format!("/api/v1/books?limit=20&cursor={next}")),
            None => break,
        }
    }
    // The last page may be short, and would be cheaper than what is promised.
    if pages.len() > 1 {
        pages.pop();
    }
    Ok(pages)
}
