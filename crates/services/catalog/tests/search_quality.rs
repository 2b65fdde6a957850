//! What readers type, and what must come of it: by words alone, over the demonstration catalogue, and over real books
//! where there are some.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use bookworm_catalog::{CatalogService, SearchOptions};
use bookworm_config::Search;
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

/// A catalogue with an index and no model.
struct Shop {
    router: Router,
    stop: CancellationToken,
    workers: Vec<tokio::task::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
        let db = Databases::Sqlite(folder.path().to_owned()).open(CatalogService::NAME).await.unwrap();
        let search = SearchOptions { folder: folder.path().join("search"), ai: None, settings: Search::default() };
        let catalog = CatalogService::open_with_search(db, Currency::USD, clock, search).await.unwrap();
        let (router, _) = catalog.api().split_for_parts();
        let stop = CancellationToken::new();
        let workers = catalog.workers(stop.clone()).into_iter().map(tokio::spawn).collect();
        Self { router, stop, workers, _folder: folder }
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
        // Of real books some say what no shop takes, such as an ISBN that another one has.
        assert!(status.is_success() || status.is_client_error(), "{status}: {answer}");
    }

    /// Waits until every book is found.
    async fn ready(&self) {
        for _ in 0..3_000 {
            let (_, status) = self.call(Request::get("/admin/search").body(Body::empty()).unwrap()).await;
            if status["indexed"] == status["books"] && status["books"].as_i64() > Some(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the books are not indexed");
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
    expected.split('|').any(|wanted| match wanted.strip_prefix("by:") {
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
        let body = shop.search(query).await;
        let hits = body["items"].as_array().unwrap();
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
        let proposed = body["corrected_to"].as_str().or(body["did_you_mean"].as_str());
        let nonsense = proposed.is_some() && (kind != "misspelt" || !among_three);
        let score = scores.entry(kind.to_owned()).or_default();
        score.queries += 1;
        score.first += usize::from(first);
        score.among_three += usize::from(among_three);
        score.nonsense += usize::from(nonsense);
        if !first || nonsense {
            let titles: Vec<&str> = hits.iter().take(3).filter_map(|hit| hit["book"]["title"].as_str()).collect();
            println!(
                "{kind}: {query:?} wants {expected:?}: {titles:?}, total {}, proposed {proposed:?}",
                body["total"]
            );
        }
    }
    println!("| kind | queries | first | among three | nonsense |");
    for (kind, score) in &scores {
        println!("| {kind} | {} | {} | {} | {} |", score.queries, score.first, score.among_three, score.nonsense);
    }
    scores
}

#[expect(clippy::cast_precision_loss, reason = "queries are few")]
fn check(scores: &BTreeMap<String, Score>, kinds: &[&str], first: f64, among_three: f64) {
    let of = |part: fn(&Score) -> usize| {
        scores.iter().filter(|(kind, _)| kinds.contains(&kind.as_str())).map(|(_, score)| part(score)).sum::<usize>()
    };
    let queries = of(|score| score.queries) as f64;
    let (p1, p3) = (of(|score| score.first) as f64 / queries, of(|score| score.among_three) as f64 / queries);
    println!("{kinds:?}: precision at 1 {p1:.3}, at 3 {p3:.3}");
    assert!(p1 >= first, "{kinds:?}: precision at 1 is {p1:.3}");
    assert!(p3 >= among_three, "{kinds:?}: precision at 3 is {p3:.3}");
}

/// Everything but descriptions, which words alone cannot answer as well.
const BY_WORDS: [&str; 10] =
    ["title", "author", "misspelt", "question", "absent", "symbols", "forms", "joined", "scripts", "isbn"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_find_what_they_mean_and_are_told_what_is_not_there() {
    let shop = Shop::open().await;
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../data/demo-catalogue.jsonl");
    for line in std::fs::read_to_string(demo).unwrap().lines() {
        shop.add(&serde_json::from_str(line).unwrap()).await;
    }
    for title in OTHERS {
        shop.add(&json!({"title": title, "language": "en"})).await;
    }
    shop.ready().await;
    let scores = score(&shop, include_str!("queries/demo.tsv")).await;
    assert!(scores.values().map(|score| score.queries).sum::<usize>() >= 300);
    assert_eq!(scores.values().map(|score| score.nonsense).sum::<usize>(), 0, "proposals where nothing is wrong");
    check(&scores, &BY_WORDS, 0.95, 0.98);
    check(&scores, &["described"], 0.8, 0.9);
    shop.end().await;
}

/// `make search-regression DATA=folder` runs it over the first 10,000 books of `books.jsonl.gz`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a file of real books, named by SEARCH_BOOKS"]
async fn readers_find_real_books() {
    const BOOKS: usize = 10_000;
    let file = std::fs::File::open(std::env::var("SEARCH_BOOKS").expect("SEARCH_BOOKS names a file")).unwrap();
    let plain: Box<dyn Read> = Box::new(flate2::read::MultiGzDecoder::new(file));
    let shop = Shop::open().await;
    for line in BufReader::new(plain).lines().take(BOOKS) {
        shop.add(&serde_json::from_str(&line.unwrap()).unwrap()).await;
    }
    shop.ready().await;
    let scores = score(&shop, include_str!("queries/real.tsv")).await;
    assert_eq!(scores.values().map(|score| score.nonsense).sum::<usize>(), 0, "proposals where nothing is wrong");
    check(&scores, &BY_WORDS, 0.95, 0.98);
    shop.end().await;
}
