//! Search, measured: how good its answers are on queries that others wrote and judged, and how fast they come.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bookworm_contracts::rest::catalog::{MeaningState, SearchHit, SearchResponse, SearchStatus};
use clap::{Args, ValueEnum};
use futures::{StreamExt, stream};
use url::form_urlencoded::byte_serialize;

use crate::{
    load::Outcome,
    probes::{self, Probe, Right},
    say,
    server::{ADMIN, Program, Server},
    shop::{Failure, Visitor},
};

/// How many results are asked for at once.
const DEPTH: usize = 100;
/// How many pages of results are looked through for books of a judged pool: what it leaves of them is scored.
const PAGES: usize = 10;
/// Results that count.
const TOP: usize = 10;
/// Connections that ask side by side for quality.
const ASKERS: usize = 4;
/// The longest that texts and vectors of a new shop may take: four hours for 67,560 books on a slow machine.
const PREPARE: Duration = Duration::from_secs(4 * 3600);

/// What both commands need.
#[derive(Debug, Args)]
pub struct Data {
    /// The program
    #[arg(long, default_value = "target/release/bookworm")]
    bin: PathBuf,
    /// A folder with books.jsonl.gz, and search-dev/<family>/ with queries.tsv (id, query), qrels.tsv (id, source_id, grade) and perhaps judged_pool.txt
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// The shop that is asked: made when it is not there, and kept, since vectors take long
    #[arg(long, default_value = "target/search-quality")]
    shop: PathBuf,
}

/// What to score.
#[derive(Debug, Args)]
pub struct Quality {
    #[command(flatten)]
    data: Data,
    /// Only these families
    #[arg(long, value_delimiter = ',')]
    families: Vec<String>,
    /// Only the first so many queries of each family
    #[arg(long)]
    sample: Option<usize>,
    /// Only queries that are made from the books, or only judged ones
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// Write each query that went wrong to this file
    #[arg(long)]
    wrong: Option<PathBuf>,
    /// Only these sides
    #[arg(long, value_delimiter = ',', default_values_t = [Mode::Text, Mode::Meaning, Mode::Hybrid])]
    modes: Vec<Mode>,
}

/// What to time.
#[derive(Debug, Args)]
pub struct Speed {
    #[command(flatten)]
    data: Data,
    /// How long to measure each
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// Which queries are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Those that others wrote and judged.
    Judged,
    /// Those that are made from the books.
    Made,
}

/// Which sides of the search take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Text,
    Meaning,
    Hybrid,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Meaning => "meaning",
            Self::Hybrid => "hybrid",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Queries of one kind and what is right for each.
struct Family {
    name: String,
    queries: Vec<(String, String)>,
    /// By query: each right book and its grade, 1 or more.
    right: HashMap<String, HashMap<String, f64>>,
    /// Only these books were judged; others do not count.
    pool: Option<HashSet<String>>,
}

impl Family {
    fn read(folder: &Path) -> Result<Self> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = |file: &str| {
            std::fs::read_to_string(folder.join(file)).with_context(|| format!("cannot read {file} of {name}"))
        };
        let queries = text("queries.tsv")?
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(id, query)| (id.to_owned(), query.trim().to_owned()))
            .collect();
        let mut right: HashMap<String, HashMap<String, f64>> = HashMap::new();
        for line in text("qrels.tsv")?.lines() {
            let mut parts = line.split('\t');
            if let (Some(query), Some(book), Some(grade)) = (parts.next(), parts.next(), parts.next()) {
                let grade: f64 = grade.trim().parse().with_context(|| format!("{name}: {line}"))?;
                if grade > 0.0 {
                    right.entry(query.to_owned()).or_default().insert(book.to_owned(), grade);
                }
            }
        }
        let pool = folder.join("judged_pool.txt");
        let pool = if pool.exists() {
            Some(std::fs::read_to_string(pool)?.lines().map(|line| line.trim().to_owned()).collect())
        } else {
            None
        };
        Ok(Self { name, queries, right, pool })
    }

    fn all(data: &Path) -> Result<Vec<Self>> {
        let folder = data.join("search-dev");
        let mut folders: Vec<PathBuf> = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join("queries.tsv").exists())
            .collect();
        folders.sort();
        folders.iter().map(|folder| Self::read(folder)).collect()
    }
}

/// Means over the queries of a family, each 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    /// Mean reciprocal rank of the first right book among the best ten.
    mrr: f64,
    /// Share of the right books among the best ten.
    recall: f64,
    /// Normalised discounted cumulative gain of the best ten [Järvelin 2002], the grade as gain.
    ndcg: f64,
}

impl Score {
    fn of(found: &[String], right: &HashMap<String, f64>) -> Self {
        let top = &found[..found.len().min(TOP)];
        let mrr = top.iter().position(|book| right.contains_key(book)).map_or(0.0, |place| 1.0 / (place + 1) as f64);
        let hits = top.iter().filter(|book| right.contains_key(*book)).count();
        let discounted = |grades: &mut dyn Iterator<Item = f64>| {
            grades.take(TOP).enumerate().map(|(place, grade)| grade / ((place + 2) as f64).log2()).sum::<f64>()
        };
        let mut ideal: Vec<f64> = right.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let best = discounted(&mut ideal.into_iter());
        let gained = discounted(&mut top.iter().map(|book| right.get(book).copied().unwrap_or_default()));
        Self { mrr, recall: hits as f64 / right.len() as f64, ndcg: gained / best }
    }

    fn mean(scores: &[Self]) -> Self {
        let mean = |part: fn(&Self) -> f64| scores.iter().map(part).sum::<f64>() / scores.len().max(1) as f64;
        Self { mrr: mean(|score| score.mrr), recall: mean(|score| score.recall), ndcg: mean(|score| score.ndcg) }
    }
}

/// Scores the search and prints a table.
///
/// # Errors
/// When the shop cannot be made, or a search is not answered.
pub async fn quality(arguments: Quality) -> Result<()> {
    let families = Family::all(&arguments.data.data)?;
    if let Some(unknown) = arguments.families.iter().find(|name| families.iter().all(|family| family.name != **name)) {
        bail!("there is no family {unknown}");
    }
    let server = prepare(&arguments.data).await?;
    say("| family | queries | side | MRR@10 | recall@10 | nDCG@10 |");
    say("|---|---|---|---|---|---|");
    let judged = families.iter().filter(|_| arguments.only != Some(Only::Made));
    for family in judged {
        if !arguments.families.is_empty() && !arguments.families.contains(&family.name) {
            continue;
        }
        for mode in &arguments.modes {
            let staff = staff(server.address).await?;
            let scores = score(server.address, &staff, family, *mode, arguments.sample).await?;
            let Score { mrr, recall, ndcg } = Score::mean(&scores);
            say(&format!("| {} | {} | {mode} | {mrr:.3} | {recall:.3} | {ndcg:.3} |", family.name, scores.len()));
        }
    }
    if arguments.only != Some(Only::Judged) && arguments.families.is_empty() {
        made(&arguments, server.address).await?;
    }
    server.stop().await.map(drop)
}

/// Asks the queries that are made from the books, as a visitor does.
async fn made(arguments: &Quality, address: SocketAddr) -> Result<()> {
    let probes = probes::probes(&probes::books(&arguments.data.data.join("books.jsonl.gz"))?);
    let mut kinds: Vec<&str> = Vec::new();
    for probe in &probes {
        if !kinds.contains(&probe.kind) {
            kinds.push(probe.kind);
        }
    }
    say("| kind of query, made from the books | queries | MRR@10 | first |");
    say("|---|---|---|---|");
    let mut wrong = String::new();
    for kind in kinds {
        let of_kind: Vec<&Probe> =
            probes.iter().filter(|probe| probe.kind == kind).take(arguments.sample.unwrap_or(usize::MAX)).collect();
        let share = of_kind.len().div_ceil(ASKERS).max(1);
        let askers = of_kind.chunks(share).map(|part| async move {
            let mut visitor = Visitor::new(address);
            let mut scores = Vec::new();
            for probe in part {
                let answer: SearchResponse = visitor.get(&address_of(&probe.query, None, TOP)).await?;
                scores.push(judged(&probe.right, &answer));
            }
            Ok::<_, anyhow::Error>(scores)
        });
        // In order, so that each score is its query's.
        let parts: Vec<Result<Vec<f64>>> = stream::iter(askers).buffered(ASKERS).collect().await;
        let scores = parts.into_iter().collect::<Result<Vec<_>>>()?.concat();
        for (probe, score) in of_kind.iter().zip(&scores).filter(|(_, score)| **score < 1.0) {
            wrong.push_str(&format!("{kind}\t{}\t{score:.3}\n", probe.query));
        }
        let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        let first = scores.iter().filter(|score| **score >= 1.0).count() as f64 / scores.len().max(1) as f64;
        say(&format!("| {kind} | {} | {mean:.3} | {first:.3} |", scores.len()));
    }
    if let Some(file) = &arguments.wrong {
        std::fs::write(file, wrong).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The reciprocal rank of the first right book among the best ten; or 1 where the shop says what is right, else 0.
fn judged(right: &Right, answer: &SearchResponse) -> f64 {
    let is = |truth: bool| f64::from(u8::from(truth));
    match right {
        Right::Books(books) => {
            let of_right = |hit: &SearchHit| hit.book.source_id.as_ref().is_some_and(|id| books.contains(id));
            answer.items.iter().position(of_right).map_or(0.0, |place| 1.0 / (place + 1) as f64)
        }
        Right::UnknownIsbn => is(answer.unknown_isbn.is_some() && answer.total == 0),
        Right::NoProposal => is(answer.did_you_mean.is_none() && answer.corrected_to.is_none()),
    }
}

async fn score(
    address: SocketAddr,
    staff: &Visitor,
    family: &Family,
    mode: Mode,
    sample: Option<usize>,
) -> Result<Vec<Score>> {
    let judged: Vec<_> = family
        .queries
        .iter()
        .take(sample.unwrap_or(usize::MAX))
        .filter_map(|(id, query)| Some((query, family.right.get(id)?)))
        .collect();
    let share = judged.len().div_ceil(ASKERS).max(1);
    let askers = judged.chunks(share).map(|part| async move {
        let mut visitor = staff.second_connection(address);
        let mut scores = Vec::new();
        for (query, right) in part {
            let mut books: Vec<String> = Vec::new();
            for page in 1..=PAGES {
                let found = search(&mut visitor, query, mode, page).await.with_context(|| format!("{query:.60}"))?;
                let last = found.items.len() < DEPTH;
                let judged = found.items.into_iter().filter_map(|hit| hit.book.source_id);
                books.extend(judged.filter(|book| family.pool.as_ref().is_none_or(|pool| pool.contains(book))));
                if last || books.len() >= TOP {
                    break;
                }
            }
            scores.push(Score::of(&books, right));
        }
        Ok::<_, anyhow::Error>(scores)
    });
    let parts: Vec<Result<Vec<Score>>> = stream::iter(askers).buffer_unordered(ASKERS).collect().await;
    Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

async fn search(visitor: &mut Visitor, query: &str, mode: Mode, page: usize) -> Result<SearchResponse> {
    let address = format!("{}&page={page}", address_of(query, Some(mode), DEPTH));
    let answer: SearchResponse = visitor.get(&address).await?;
    ensure!(mode == Mode::Text || !answer.degraded, "the search did without meaning");
    Ok(answer)
}

fn address_of(query: &str, mode: Option<Mode>, limit: usize) -> String {
    let query: String = byte_serialize(query.as_bytes()).collect();
    let mode = mode.map(|mode| format!("&mode={mode}")).unwrap_or_default();
    format!("/api/v1/search?q={query}&limit={limit}{mode}")
}

async fn staff(address: SocketAddr) -> Result<Visitor> {
    let mut staff = Visitor::new(address);
    staff.sign_in(ADMIN.0, ADMIN.1).await.context("cannot sign in as the administrator")?;
    Ok(staff)
}

/// Starts the shop with all books, and waits until every one is found by its words and by its meaning.
async fn prepare(data: &Data) -> Result<Server> {
    std::fs::create_dir_all(&data.shop)?;
    let program = Program::new(&data.bin, &data.shop, None);
    if !data.shop.join("catalog.db").exists() {
        let books = data.data.join("books.jsonl.gz");
        say(&format!("importing {}", books.display()));
        program.run(&["import", &books.to_string_lossy()]).await?;
    }
    let server = program.start().await?;
    let mut visitor = staff(server.address).await?;
    let (began, mut reported_at) = (Instant::now(), Instant::now());
    let (mut texts, mut before): (Option<Duration>, Option<SearchStatus>) = (None, None);
    loop {
        let status: SearchStatus = match visitor.get("/api/v1/admin/search").await {
            // Vectors take longer than a token lives.
            Err(Failure::Refused(answer)) if answer.status == http::StatusCode::UNAUTHORIZED => {
                visitor = staff(server.address).await?;
                continue;
            }
            answer => answer?,
        };
        if texts.is_none() && status.indexed >= status.books {
            texts = Some(began.elapsed());
            say(&format!("{} books found by their words after {:.1?}", status.indexed, began.elapsed()));
        }
        if status.meaning == MeaningState::Ready && texts.is_some() {
            say(&format!("{} books found by their meaning after {:.1?}", status.with_meaning, began.elapsed()));
            return Ok(server);
        }
        ensure!(status.meaning != MeaningState::Off, "the shop has no model: {:?}", status.last_error);
        ensure!(began.elapsed() < PREPARE, "the books are not ready after {PREPARE:?}: {status:?}");
        if reported_at.elapsed() > Duration::from_secs(60) {
            if let Some(before) = before.replace(status.clone()) {
                let rate = (status.with_meaning - before.with_meaning) as f64 / reported_at.elapsed().as_secs_f64();
                say(&format!("{} of {} books have their vectors, {rate:.0}/s", status.with_meaning, status.books));
            }
            reported_at = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Times the search and prints a table.
///
/// # Errors
/// When the shop cannot be made, or a search is not answered.
pub async fn speed(arguments: Speed) -> Result<()> {
    let mut queries: Vec<String> = Vec::new();
    for family in Family::all(&arguments.data.data)? {
        queries.extend(family.queries.into_iter().map(|(_, query)| query).filter(|query| query.len() < 200));
    }
    // Families one after the other would measure one kind at a time.
    queries.sort_by_key(|query| query.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte)));
    ensure!(!queries.is_empty(), "there are no queries");
    let server = prepare(&arguments.data).await?;
    let visitor = staff(server.address).await?;
    let time = Duration::from_secs(arguments.seconds);
    let hybrid: Vec<String> = queries.iter().map(|query| address_of(query, Some(Mode::Hybrid), 20)).collect();
    // The shop keeps the vectors of queries: a full stop more makes it embed the same words anew.
    let dotted = (1..=3).flat_map(|dots| queries.iter().map(move |query| format!("{query}{}", ".".repeat(dots))));
    let hybrid_anew: Vec<String> = dotted.map(|query| address_of(&query, Some(Mode::Hybrid), 20)).collect();
    let text: Vec<String> = queries.iter().map(|query| address_of(query, Some(Mode::Text), 20)).collect();
    let cached: Vec<String> = queries.iter().take(100).map(|query| address_of(query, None, 20)).collect();
    let typed: Vec<String> = queries
        .iter()
        .flat_map(|query| (1..=query.chars().count().min(12)).map(|n| query.chars().take(n).collect::<String>()))
        .map(|typed| format!("/api/v1/search/suggest?q={}", byte_serialize(typed.as_bytes()).collect::<String>()))
        .collect();
    say("| what | target | measured | p50 | p99 |");
    say("|---|---|---|---|---|");
    let address = server.address;
    let (staff, stranger) = (Some(&visitor), None);
    let (plain, browser) = (&[][..], &[("accept-encoding", "gzip, deflate, br")][..]);
    let table = [
        ("hybrid, not cached, one client", "p50 15 ms, p99 40 ms", &hybrid, 1, staff, plain),
        ("hybrid, not cached, 16 clients", "120/s", &hybrid_anew, 16, staff, plain),
        ("text only, not cached, 16 clients", "1,500/s", &text, 16, staff, plain),
        ("cached, as browsers take it, 16 clients", "10,000/s", &cached, 16, stranger, browser),
        ("cached, not compressed, 16 clients", "10,000/s", &cached, 16, stranger, plain),
        ("suggestions, one client", "p99 5 ms", &typed, 1, stranger, plain),
    ];
    for (what, target, paths, clients, who, headers) in table {
        if who.is_none() {
            // Once round, so that what is measured is kept already.
            ask(address, who, headers, &paths[..paths.len().min(100)], 1, Duration::from_secs(1)).await?;
        }
        let outcome = ask(address, who, headers, paths, clients, time).await.context(what)?;
        let (p50, p99) = (outcome.percentile(0.5), outcome.percentile(0.99));
        say(&format!("| {what} | {target} | {:.0}/s | {p50:.2} ms | {p99:.2} ms |", outcome.rate()));
    }
    say(&format!("| memory with model and index | 700 MB | {:.0} MB | | |", server.memory()?));
    server.stop().await?;
    let server = Program::new(&arguments.data.bin, &arguments.data.shop, None).start().await?;
    say(&format!("| start to first answer | | {:.2} s | | |", server.took.as_secs_f64()));
    server.stop().await.map(drop)
}

/// Asks for these addresses one after the other, from each client at another place, for some time.
async fn ask(
    address: SocketAddr,
    who: Option<&Visitor>,
    headers: &[(&str, &str)],
    paths: &[String],
    clients: usize,
    time: Duration,
) -> Result<Outcome> {
    let began = Instant::now();
    let askers = (0..clients).map(|client| async move {
        let mut visitor = who.map_or_else(|| Visitor::new(address), |who| who.second_connection(address));
        let mut latencies = Vec::new();
        for path in paths.iter().cycle().skip(client * paths.len() / clients) {
            let started = Instant::now();
            if started - began >= time {
                break;
            }
            let answer = visitor.send(http::Method::GET, path, headers, bytes::Bytes::new()).await?;
            ensure!(answer.status.is_success(), "{path}: {}", answer.excerpt());
            latencies.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        Ok::<_, anyhow::Error>(latencies)
    });
    let parts = futures::future::try_join_all(askers).await?;
    Ok(Outcome::new(parts.concat(), began.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_books() {
        let right = HashMap::from([("a".to_owned(), 2.0), ("b".to_owned(), 1.0)]);
        let found = ["x", "b", "a"].map(str::to_owned);
        let score = Score::of(&found, &right);
        assert_eq!((score.mrr, score.recall), (0.5, 1.0));
        let ideal = 2.0 / 2_f64.log2() + 1.0 / 3_f64.log2();
        let gained = 1.0 / 3_f64.log2() + 2.0 / 4_f64.log2();
        assert!((score.ndcg - gained / ideal).abs() < 1e-12);
        assert_eq!(Score::of(&[], &right).mrr, 0.0);
    }

    #[test]
    fn only_the_best_ten_count() {
        let right = HashMap::from([("a".to_owned(), 1.0)]);
        let mut found: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        found.push("a".to_owned());
        assert_eq!(Score::of(&found, &right).mrr, 0.0);
    }
}
