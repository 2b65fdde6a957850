//! What readers type, and what must come of it: by words alone and with the model, over the demonstration catalogue, and
//! over real books where there are some.
//!
//! | variable | what |
//! |---|---|
//! | `SEARCH_BOOKS` | a file of real books, a JSON object a line, gzipped |
//! | `SEARCH_QUERIES` | a list of queries to ask of it instead of the suite's own |
//! | `SEARCH_FOLDER` | where the shops stay, so that the next run finds them ready |
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use bookworm_ai::AiService;
use bookworm_catalog::{
    CatalogService, Dependencies, Models, SearchOptions,
    import::{Options, Papers, Source},
};
use bookworm_config::{Ai, AiProvider, Search};
use bookworm_contracts::grpc::{Edge, methods};
use bookworm_db::Databases;
use bookworm_http::auth::{AccountClaims, Caller, Role};
use bookworm_kernel::{Clock, Currency, CustomerId, ManualClock, Timestamp};
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Titles that the demonstration catalogue lacks, for names with symbols and irregular forms.
const OTHERS: [&str; 14] = [
    "C# in Depth",
    "C++ Primer",
    "Pro .NET",
    "F# Deep Dives",
    "R&B: The Story",
    "AC/DC: Maximum Rock",
    "Node.js Cookbook",
    "S/Z",
    "D&D Companion",
    "Half\u{ad}hyphenated",
    "แมวดำ",
    "Wolves of Winter",
    "Children of Time",
    "A Murder of Crows",
];

/// A catalogue with an index, and with a model or without one.
struct Shop {
    catalog: CatalogService,
    router: Router,
    stop: CancellationToken,
    workers: Vec<tokio::task::JoinHandle<()>>,
    has_model: bool,
    folder: tempfile::TempDir,
}

/// The model that `scripts/model` fetches; `None` where it is not. Where `CI` is set it must be there.
fn model() -> Option<AiService> {
    let settings = Ai { provider: AiProvider::Local, ..Ai::default() };
    match AiService::open(bookworm_ai::Dependencies { settings }) {
        Ok(ai) => Some(ai),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "0"), "{why}");
            println!("SKIPPED: {why}");
            None
        }
    }
}

impl Shop {
    /// Opens a shop of this name.
    async fn open(ai: Option<AiService>, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{name}-{}", if ai.is_some() { "model" } else { "words" });
        let place = std::env::var_os("SEARCH_FOLDER").map_or(folder.path().to_owned(), PathBuf::from).join(name);
        std::fs::create_dir_all(&place).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
        let db = Databases::Sqlite(place.clone()).open(CatalogService::NAME).await.unwrap();
        let models = ai.as_ref().map(|ai| {
            let edge = |name| Edge::local(name, ai.grpc(), methods::AI);
            Models { queries: edge("test.queries"), books: edge("test.books") }
        });
        // What is found must not depend on how fast the machine is.
        let settings = Search { meaning_timeout_ms: 30_000, ..Search::default() };
        let search = SearchOptions { folder: place.join("search"), ai: models, settings };
        let catalog = CatalogService::open(Dependencies { db, clock, currency: Currency::USD, search: Some(search) })
            .await
            .unwrap();
        let (router, _) = catalog.api().split_for_parts();
        let stop = CancellationToken::new();
        let workers = catalog.loops().iter().map(|work| tokio::spawn(work.run(stop.clone()))).collect();
        Self { catalog, router, stop, workers, has_model: ai.is_some(), folder }
    }

    async fn call(&self, mut request: Request<Body>) -> (StatusCode, Value) {
        let account = AccountClaims {
            id: CustomerId::new(),
            email: "somebody@example.com".to_owned(),
            name: "Somebody".to_owned(),
            roles: vec![Role::Staff],
            email_confirmed: true,
        };
        request.extensions_mut().insert(Caller::Account(Arc::new(account)));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Adds a book as a line of a catalogue has it.
    async fn add(&self, line: &Value) {
        let mut book = serde_json::Map::new();
        for name in [
            "title",
            "authors",
            "isbn13",
            "publisher",
            "year",
            "language",
            "subjects",
            "series",
            "description",
            "pages",
        ] {
            if let Some(value) = line.get(name).filter(|value| !value.is_null()) {
                book.insert(name.to_owned(), value.clone());
            }
        }
        book.insert("price".to_owned(), json!({"amount": 1_000, "currency": "USD"}));
        let body = Body::from(Value::Object(book).to_string());
        let request = Request::post("/books").header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
        let (status, answer) = self.call(request).await;
        assert!(status.is_success(), "{status}: {answer}");
    }

    /// Imports a catalogue as a bookseller does, with how many readers rated each book. Every book gets a price.
    async fn import(&self, lines: impl Iterator<Item = String>) {
        let file = self.folder.path().join("books.jsonl");
        let mut out = BufWriter::new(std::fs::File::create(&file).unwrap());
        for line in lines {
            let mut book: Value = serde_json::from_str(&line).unwrap();
            book["price"] = json!(10);
            writeln!(out, "{book}").unwrap();
        }
        out.into_inner().unwrap();
        let mut papers = Papers::memory();
        let options = Options::default();
        self.catalog.import(&Source::File(file), &options, false, &mut papers, |_| {}).await.unwrap();
    }

    async fn status(&self) -> Value {
        self.call(Request::get("/admin/search").body(Body::empty()).unwrap()).await.1
    }

    /// Waits until every book is found by its words, and by its meaning where there is a model.
    async fn ready(&self) {
        let wanted = if self.has_model { "ready" } else { "off" };
        // An hour at most: a model of this size reads 10,000 books in a few minutes.
        for _ in 0..72_000 {
            let status = self.status().await;
            let books = status["books"].as_i64();
            let is_embedded = !self.has_model || status["with_meaning"] == status["books"];
            if books > Some(0) && status["indexed"] == status["books"] && status["meaning"] == wanted && is_embedded {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the books are not indexed: {}", self.status().await);
    }

    async fn is_empty(&self) -> bool {
        self.status().await["books"].as_i64() == Some(0)
    }

    async fn search(&self, query: &str) -> Value {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, body) =
            self.call(Request::get(format!("/search?q={query}&limit=5")).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{query}: {body}");
        body
    }

    async fn end(self) {
        self.stop.cancel();
        for worker in self.workers {
            worker.await.unwrap();
        }
    }
}

/// Whether a hit is what was expected.
fn is_expected(hit: &Value, expected: &str) -> bool {
    let book = &hit["book"];
    let title = book["title"].as_str().unwrap();
    let authors: Vec<&str> = book["authors"].as_array().unwrap().iter().filter_map(|a| a["name"].as_str()).collect();
    expected.split('|').filter(|wanted| !wanted.starts_with('!')).any(|wanted| match wanted.strip_prefix("by:") {
        Some(author) => authors.iter().any(|name| name.contains(author)),
        None => title.starts_with(wanted),
    })
}

/// How the queries of one kind went.
#[derive(Default)]
struct Score {
    queries: usize,
    first: usize,
    among_three: usize,
    /// Proposals of another spelling that are wrong, or where nothing is misspelt.
    nonsense: usize,
}

/// Asks every query of a list, prints what went wrong, and returns the scores by kind.
async fn score(shop: &Shop, list: &str) -> BTreeMap<String, Score> {
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.split('\t');
        let (Some(kind), Some(query), Some(expected)) = (parts.next(), parts.next(), parts.next()) else {
            panic!("not a query: {line:?}");
        };
        let meant = parts.next();
        let body = shop.search(query).await;
        let hits = body["items"].as_array().unwrap();
        // `!` and a book or an author: must not be there at all.
        let unwanted = |hit: &Value| {
            expected.split('|').filter_map(|wanted| wanted.strip_prefix('!')).any(|unwanted| is_expected(hit, unwanted))
        };
        let is_absent = body["total"] == 0 && (hits.is_empty() || body["missing"] == true || body["nearest"] == true);
        let (first, among_three) = match expected {
            "" => (true, true),
            "-" => (is_absent, is_absent),
            expected => {
                // `-` among them: also when the shop says that it does not have it.
                let ok = |hit: &Value| is_expected(hit, expected);
                let or_absent = expected.split('|').any(|wanted| wanted == "-") && is_absent;
                (hits.first().is_some_and(ok) || or_absent, hits.iter().take(3).any(ok) || or_absent)
            }
        };
        let (first, among_three) = if hits.iter().any(unwanted) { (false, false) } else { (first, among_three) };
        let proposed = body["corrected_to"].as_str().or(body["did_you_mean"].as_str());
        let nonsense = match meant {
            Some(meant) => proposed != Some(meant),
            // What is spelt in another way than the book is told so, and finds it.
            None => {
                proposed.is_some()
                    && !(among_three && (matches!(kind, "forms" | "joined") || kind.starts_with("misspelt")))
            }
        };
        let score = scores.entry(kind.to_owned()).or_default();
        score.queries += 1;
        score.first += usize::from(first);
        score.among_three += usize::from(among_three);
        score.nonsense += usize::from(nonsense);
        if !first || nonsense {
            let titles: Vec<&str> = hits.iter().take(3).filter_map(|hit| hit["book"]["title"].as_str()).collect();
            println!(
                "{kind}: {query:?} wants {expected:?}: {titles:?}, total {}, missing {}, proposed {proposed:?}",
                body["total"], body["missing"]
            );
        }
    }
    println!("| kind | queries | first | among three | nonsense |");
    for (kind, score) in &scores {
        println!("| {kind} | {} | {} | {} | {} |", score.queries, score.first, score.among_three, score.nonsense);
    }
    scores
}

/// What must come of the queries of some kinds at least: the share of right answers first, and among three.
struct Aim {
    kinds: fn(&str) -> bool,
    first: f64,
    among_three: f64,
}

/// Of names, however they are typed, and subjects.
const NAMED: Aim = Aim { kinds: |kind| !matches!(kind, "described" | "meant"), first: 0.95, among_three: 0.98 };
/// Of descriptions in the book's own words.
const DESCRIBED: Aim = Aim { kinds: |kind| kind == "described", first: 0.9, among_three: 0.95 };
/// The same where ten thousand books share those words.
const DESCRIBED_AMONG_MANY: Aim = Aim { first: 0.85, among_three: 0.93, ..DESCRIBED };
/// Of descriptions in other words, where only luck or a model helps.
const MEANT: Aim = Aim { kinds: |kind| kind == "meant", first: 0.0, among_three: 0.0 };
/// The same with a model.
const MEANT_WITH_MODEL: Aim = Aim { first: 0.45, among_three: 0.6, ..MEANT };

#[expect(clippy::cast_precision_loss, reason = "queries are few")]
fn check(scores: &BTreeMap<String, Score>, aims: &[Aim]) {
    let mut failed = Vec::new();
    for aim in aims {
        let of = |part: fn(&Score) -> usize| -> f64 {
            scores.iter().filter(|(kind, _)| (aim.kinds)(kind)).map(|(_, score)| part(score)).sum::<usize>() as f64
        };
        let queries = of(|score| score.queries);
        let (p1, p3) = (of(|score| score.first) / queries, of(|score| score.among_three) / queries);
        let line = format!("{queries} queries: {p1:.3} first, {p3:.3} among three");
        println!("{line} (at least {} and {})", aim.first, aim.among_three);
        if p1 < aim.first || p3 < aim.among_three {
            failed.push(line);
        }
    }
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(scores.values().map(|score| score.nonsense).sum::<usize>(), 0, "proposals where nothing is wrong");
}

/// Asks the suite's queries, and checks what comes of them; those of `SEARCH_QUERIES` are only asked.
async fn ask(shop: &Shop, queries: &str, aims: &[Aim]) {
    match std::env::var_os("SEARCH_QUERIES") {
        Some(own) => drop(score(shop, &std::fs::read_to_string(own).unwrap()).await),
        None => check(&score(shop, queries).await, aims),
    }
}

async fn ask_the_demonstration_catalogue(ai: Option<AiService>) {
    let shop = Shop::open(ai, "demo").await;
    if shop.is_empty().await {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/demo-catalogue.jsonl");
        for line in std::fs::read_to_string(demo).unwrap().lines() {
            shop.add(&serde_json::from_str(line).unwrap()).await;
        }
        for title in OTHERS {
            shop.add(&json!({"title": title, "language": "en"})).await;
        }
    }
    shop.ready().await;
    let meant = if shop.has_model { MEANT_WITH_MODEL } else { MEANT };
    ask(&shop, include_str!("demo.tsv"), &[NAMED, DESCRIBED, meant]).await;
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_find_what_they_mean_and_are_told_what_is_not_there() {
    ask_the_demonstration_catalogue(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_they_do_with_the_model() {
    if let Some(ai) = model() {
        ask_the_demonstration_catalogue(Some(ai)).await;
    }
}

/// Asks the first 10,000 books of `SEARCH_BOOKS`.
async fn ask_real_books(ai: Option<AiService>) {
    const BOOKS: usize = 10_000;
    let shop = Shop::open(ai, "real").await;
    if shop.is_empty().await {
        let file = std::fs::File::open(std::env::var("SEARCH_BOOKS").expect("SEARCH_BOOKS names a file")).unwrap();
        let plain: Box<dyn Read> = Box::new(flate2::read::MultiGzDecoder::new(file));
        shop.import(BufReader::new(plain).lines().take(BOOKS).map(Result::unwrap)).await;
    }
    shop.ready().await;
    ask(&shop, include_str!("real.tsv"), &[NAMED, DESCRIBED_AMONG_MANY, MEANT]).await;
    shop.end().await;
}

/// `make search-regression DATA=folder` runs it over the first 10,000 books of `books.jsonl.gz`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a file of real books, named by SEARCH_BOOKS"]
async fn readers_find_real_books() {
    ask_real_books(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a file of real books, named by SEARCH_BOOKS"]
async fn so_they_do_real_books_with_the_model() {
    ask_real_books(Some(model().expect("scripts/model fetches the model"))).await;
}
