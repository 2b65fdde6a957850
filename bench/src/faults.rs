//! The fault matrix: a fleet under load, one thing that goes wrong, and what must hold then. `docs/faults.md` is for people.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bookworm_contracts::rest::basket::AddItem;
use bookworm_kernel::Quantity;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures::future::join_all;
use http::Method;
use rand::Rng;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    chat::talk::Talk,
    client::Tally,
    crash,
    fleet::{Fleet, Member, Plan, ROLES, Trial, Verdict, Way, clock_ahead},
    load::Outcome,
    say,
    server::ADMIN,
    shop::{Range, Visitor},
};

/// What to try.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/bookworm")]
    bin: PathBuf,
    /// Only these, with commas [default: all but core, and upgrade without --previous-bin]
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    only: Vec<Case>,
    /// Say what is tried, and do nothing
    #[arg(long)]
    list: bool,
    /// How long a fault lasts, instead of what --list says
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Processes of each role
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    instances: u8,
    /// How many people buy at once
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=256))]
    buyers: u32,
    /// How many processes `kills` kills
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// Requests a second in `rolling` and `upgrade`
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// The program of the release before, for `upgrade` (scripts/previous-release builds it)
    #[arg(long, value_name = "FILE")]
    previous_bin: Option<PathBuf>,
    /// Decides the moments and the purchases; printed at the start
    #[arg(long)]
    seed: Option<u64>,
    /// Keep data and logs in this folder, a folder in it for each case
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    Core,
    Kills,
    Stopped,
    NatsKilled,
    NatsAway,
    PostgresRestarted,
    PostgresIdle,
    RedisAway,
    RedisPaused,
    ChatStoreAway,
    SlowOne,
    SlowAll,
    MonitorCut,
    WithoutNats,
    WithoutPostgres,
    Lost,
    Clocks,
    Rolling,
    Upgrade,
}

impl Case {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What happens, what must hold, and for how many seconds it lasts; 0 where that is not for us to say.
    const fn about(self) -> (&'static str, u64) {
        match self {
            Self::Core => ("a short core of it all: a kill of each role, NATS killed, a process stopped", 20),
            Self::Kills => ("SIGKILL of a process of each role in turn, started again at once", 0),
            Self::Stopped => ("SIGSTOP of a third of the roles' first processes at a time, and back: zombies", 40),
            Self::NatsKilled => ("NATS killed and started again three seconds later, three times", 10),
            Self::NatsAway => {
                ("NATS away: nothing is refused but checkouts that wait, and what waits is done later", 300)
            }
            Self::PostgresRestarted => ("PostgreSQL ends and starts again two seconds later, three times", 10),
            Self::PostgresIdle => {
                ("PostgreSQL restarts while nobody is there: the first request to each role works", 0)
            }
            Self::RedisAway => ("Redis killed, and started again empty: nobody notices", 30),
            Self::RedisPaused => ("Redis takes connections and answers nothing: nobody notices", 30),
            Self::ChatStoreAway => ("the chat's store killed: the chat says so, and nothing acknowledged is lost", 20),
            Self::SlowOne => ("one of two catalogues and baskets takes 2 s longer: the others are asked", 30),
            Self::SlowAll => ("every catalogue takes 20 s longer: no storm of repeated calls", 30),
            Self::MonitorCut => ("the monitors reach neither NATS nor PostgreSQL: nobody falls", 60),
            Self::WithoutNats => ("catalog-1, ordering-1 and finance-1 do not reach NATS: nobody notices", 60),
            Self::WithoutPostgres => ("catalog-1, basket-1 and ordering-1 do not reach PostgreSQL", 60),
            Self::Lost => {
                ("catalog-1, basket-1 and ordering-1 lose their connections to NATS and PostgreSQL silently", 90)
            }
            Self::Clocks => ("the first processes of all roles are 90 s ahead of the others: nobody notices", 30),
            Self::Rolling => ("every process restarted in good order, one after the other: nothing is refused", 0),
            Self::Upgrade => {
                ("from the release before to this one, process by process, and back: nothing is refused", 0)
            }
        }
    }
}

/// What one case came to.
struct Row {
    case: Case,
    verdict: Verdict,
    took: Duration,
}

/// Runs the matrix. The exit code is 1 when anything did not hold.
///
/// # Errors
/// When the harness itself cannot do its work.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    if arguments.list {
        for case in Case::value_variants() {
            let (what, seconds) = case.about();
            let lasts = if seconds == 0 { String::new() } else { format!(" ({seconds} s)") };
            say(&format!("{:<19} {what}{lasts}", case.name()));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let cases = match &arguments.only[..] {
        [] => {
            let wanted = |case: &Case| match case {
                Case::Core => false,
                Case::Upgrade => arguments.previous_bin.is_some(),
                _ => true,
            };
            Case::value_variants().iter().copied().filter(wanted).collect()
        }
        only => only.to_vec(),
    };
    say(&format!(
        "faults: {} cases, {} of each role, {} buyers, seed {seed}",
        cases.len(),
        arguments.instances,
        arguments.buyers
    ));
    let mut rows = Vec::new();
    for case in cases {
        let (what, _) = case.about();
        say(&format!("\n{}: {what}", case.name()));
        let began = Instant::now();
        let temporary = tempfile::tempdir()?;
        let folder = arguments.keep.as_ref().map_or(temporary.path().to_owned(), |keep| keep.join(case.name()));
        std::fs::create_dir_all(&folder)?;
        // One that breaks down does not keep the others from being tried.
        let verdict = try_case(&arguments, case, &folder, seed).await.unwrap_or_else(|error| Verdict {
            violations: vec![format!("it broke down: {error:#}")],
            ..Verdict::default()
        });
        say(&verdict.figures);
        verdict.violations.iter().for_each(|violation| say(&format!("VIOLATION {violation}")));
        if !verdict.violations.is_empty() && !verdict.logs.is_empty() {
            say(&format!("the ends of the logs:\n{}", verdict.logs));
        }
        rows.push(Row { case, verdict, took: began.elapsed() });
    }
    say(&format!("\n{:<19} {:>6} {:>9}  {:<9} refused or failed", "case", "took", "requests", "verdict"));
    for Row { case, verdict, took } in &rows {
        let all: u64 = verdict.answers.values().sum();
        let failures = verdict.answers.iter().filter(|(what, _)| *what != "ok");
        let failures: Vec<String> = failures.map(|(what, count)| format!("{count} {what}")).collect();
        let held = if verdict.violations.is_empty() {
            "held".to_owned()
        } else {
            format!("{} broken", verdict.violations.len())
        };
        let seconds = format!("{} s", took.as_secs());
        say(&format!("{:<19} {seconds:>6} {all:>9}  {held:<9} {}", case.name(), failures.join(", ")));
    }
    say(
        "checked after each: every order decided as its buyer was told, stock, money, mails, baskets; no dead letter; reconcile and replay without a difference",
    );
    let held = rows.iter().all(|row| row.verdict.violations.is_empty());
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn try_case(arguments: &Arguments, case: Case, folder: &Path, seed: u64) -> Result<Verdict> {
    let mut plan = Plan::new(&arguments.bin, folder, arguments.instances);
    let mut buyers = arguments.buyers;
    match case {
        Case::ChatStoreAway => plan.with_ferretdb = true,
        Case::SlowOne => plan.behind_proxies = vec!["catalog", "basket"],
        Case::SlowAll => {
            plan.behind_proxies = vec!["catalog"];
            buyers = buyers.min(2);
        }
        Case::MonitorCut => plan.engines_behind_proxies = vec!["monitor"],
        Case::WithoutNats => plan.engines_behind_proxies = vec!["catalog", "ordering", "finance"],
        Case::WithoutPostgres | Case::Lost => plan.engines_behind_proxies = vec!["catalog", "basket", "ordering"],
        Case::PostgresIdle => buyers = 0,
        Case::Clocks => plan.of_first = clock_ahead(folder, 90).await?,
        Case::Rolling | Case::Upgrade => buyers = buyers.min(2),
        _ => {}
    }
    if case == Case::Upgrade {
        plan.bin.clone_from(arguments.previous_bin.as_ref().context("upgrade needs --previous-bin")?);
    }
    let mut trial = Trial::begin(&plan, buyers, seed).await?;
    // People have found their way in before anything goes wrong.
    trial.fleet.pass(Duration::from_secs(3)).await?;
    let lasts = Duration::from_secs(arguments.seconds.unwrap_or(case.about().1));
    let mut found = Found::default();
    match case {
        Case::Core => core(&mut trial.fleet, lasts, seed).await?,
        Case::Kills => {
            found.note(format!("killed {:?}", crash::fleet_kills(&mut trial.fleet, arguments.kills, seed).await?))
        }
        Case::Stopped => stopped(&mut trial.fleet, lasts).await?,
        Case::NatsKilled => nats_killed(&mut trial.fleet, lasts, 3).await?,
        Case::NatsAway => {
            trial.fleet.nats.kill().await?;
            trial.fleet.pass(lasts).await?;
            trial.fleet.nats.start().await?;
        }
        Case::PostgresRestarted => {
            for _ in 0..3 {
                trial.fleet.postgres.kill().await?;
                trial.fleet.pass(Duration::from_secs(2)).await?;
                trial.fleet.postgres.start().await?;
                trial.fleet.pass(lasts).await?;
            }
        }
        Case::PostgresIdle => postgres_idle(&mut trial, &mut found).await?,
        Case::RedisAway => {
            let before = trial.tally().counts();
            trial.fleet.redis.kill().await?;
            trial.fleet.pass(lasts).await?;
            trial.fleet.redis.start().await?;
            trial.fleet.pass(Duration::from_secs(5)).await?;
            found.unnoticed(&before, &trial.tally());
        }
        Case::RedisPaused => {
            let before = trial.tally().counts();
            trial.fleet.redis.pause().await?;
            trial.fleet.pass(lasts).await?;
            trial.fleet.redis.resume().await?;
            trial.fleet.pass(Duration::from_secs(5)).await?;
            found.unnoticed(&before, &trial.tally());
        }
        Case::ChatStoreAway => chat_store_away(&mut trial, lasts, &mut found).await?,
        Case::SlowOne => slow_one(&mut trial, lasts, &mut found).await?,
        Case::SlowAll => slow_all(&mut trial, lasts, &mut found).await?,
        Case::MonitorCut => {
            let cut =
                |fleet: &mut Fleet, way| fleet.of("monitor").for_each(|monitor| monitor.reaches_engines(way, way));
            let before = trial.tally().counts();
            cut(&mut trial.fleet, Way::Silent);
            trial.fleet.pass(lasts / 2).await?;
            cut(&mut trial.fleet, Way::Cut);
            trial.fleet.pass(lasts / 2).await?;
            cut(&mut trial.fleet, Way::Open);
            trial.fleet.pass(Duration::from_secs(5)).await?;
            found.unnoticed(&before, &trial.tally());
        }
        Case::WithoutNats => {
            let cut = |fleet: &mut Fleet, way| {
                fleet.first_of(&["catalog", "ordering", "finance"]).for_each(|m| m.reaches_engines(way, Way::Open));
            };
            let before = trial.tally().counts();
            cut(&mut trial.fleet, Way::Cut);
            trial.fleet.pass(lasts / 2).await?;
            cut(&mut trial.fleet, Way::Silent);
            trial.fleet.pass(lasts / 2).await?;
            cut(&mut trial.fleet, Way::Open);
            trial.fleet.pass(Duration::from_secs(5)).await?;
            found.unnoticed(&before, &trial.tally());
        }
        Case::WithoutPostgres => {
            let cut = |fleet: &mut Fleet, way| {
                fleet.first_of(&["catalog", "basket", "ordering"]).for_each(|m| m.reaches_engines(Way::Open, way));
            };
            for way in [Way::Cut, Way::Silent] {
                cut(&mut trial.fleet, way);
                trial.fleet.pass(lasts / 4).await?;
                // By now the others know: what is still refused is refused for good.
                let before = trial.tally().counts();
                trial.fleet.pass(lasts / 4).await?;
                found.mostly_unnoticed(&format!("{way:?}"), &before, &trial.tally());
                if way == Way::Silent {
                    // Who is told to stop now ends within its time all the same.
                    for member in trial.fleet.first_of(&["catalog", "basket", "ordering"]) {
                        let ended = member.stop().await;
                        found.check(ended.is_ok(), || format!("{ended:?}"));
                        member.reaches_engines(Way::Open, Way::Open);
                        member.start()?;
                    }
                }
                cut(&mut trial.fleet, Way::Open);
                trial.fleet.pass(Duration::from_secs(15)).await?;
            }
        }
        Case::Lost => {
            trial.fleet.first_of(&["catalog", "basket", "ordering"]).for_each(Member::loses_engines);
            trial.fleet.pass(lasts / 3).await?;
            let before = trial.tally().counts();
            trial.fleet.pass(lasts * 2 / 3).await?;
            found.mostly_unnoticed("lost", &before, &trial.tally());
        }
        Case::Clocks => {
            let before = trial.tally().counts();
            trial.fleet.pass(lasts).await?;
            found.unnoticed(&before, &trial.tally());
        }
        Case::Rolling => {
            let load = Steady::begin(&trial, arguments.rate);
            let before = trial.tally().counts();
            roll(&mut trial.fleet).await?;
            // Buyers keep their connections.
            found.unnoticed(&before, &trial.tally());
            load.end(&mut found).await?;
        }
        Case::Upgrade => {
            let load = Steady::begin(&trial, arguments.rate);
            let previous = plan.bin.clone();
            for bin in [&arguments.bin, &previous] {
                trial.fleet.members.iter_mut().for_each(|member| member.becomes(bin));
                roll(&mut trial.fleet).await?;
            }
            load.end(&mut found).await?;
        }
    }
    let mut verdict = trial.end().await?;
    verdict.violations.append(&mut found.violations);
    for (what, count) in found.answers {
        *verdict.answers.entry(what).or_default() += count;
    }
    let notes = found.notes.iter().map(|note| format!("\n{note}"));
    verdict.figures.extend(notes);
    Ok(verdict)
}

/// What a case sees beside the buyers.
#[derive(Default)]
struct Found {
    violations: Vec<String>,
    notes: Vec<String>,
    answers: BTreeMap<String, u64>,
}

/// Answers that say that something was not there. Everything else is an answer.
fn is_failure(answer: &str) -> bool {
    answer.starts_with('5') || answer == "no answer" || answer.starts_with("429") || answer.starts_with("401")
}

/// What was answered between `before` and now: how much of it, and which failures.
fn since(before: &BTreeMap<String, u64>, tally: &Tally) -> (u64, BTreeMap<String, u64>) {
    let counts = tally.counts().into_iter();
    let counts = counts.map(|(what, count)| (what.clone(), count - before.get(&what).copied().unwrap_or(0)));
    let counts: BTreeMap<String, u64> = counts.filter(|(_, count)| *count > 0).collect();
    let all = counts.values().sum();
    (all, counts.into_iter().filter(|(what, _)| is_failure(what)).collect())
}

impl Found {
    fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(otherwise());
        }
    }

    /// Nothing failed since `before`, and people were answered.
    fn unnoticed(&mut self, before: &BTreeMap<String, u64>, tally: &Tally) {
        let (all, failures) = since(before, tally);
        self.check(failures.is_empty(), || format!("people noticed: {failures:?} of {all}"));
        self.check(all > 0, || "nobody was answered".to_owned());
    }

    /// At most one in a hundred failed since `before`.
    fn mostly_unnoticed(&mut self, when: &str, before: &BTreeMap<String, u64>, tally: &Tally) {
        let (all, failures) = since(before, tally);
        let failed: u64 = failures.values().sum();
        self.note(format!("{when}: of {all} requests {failed} failed once the others knew"));
        self.check(failed * 100 <= all && all > 0, || format!("{when}: people noticed: {failures:?} of {all}"));
    }
}

/// What every change is tested with: at most two minutes.
async fn core(fleet: &mut Fleet, lasts: Duration, seed: u64) -> Result<()> {
    crash::fleet_kills(fleet, ROLES.len() as u32, seed).await?;
    nats_killed(fleet, Duration::from_secs(3), 1).await?;
    // Longer than a lease and an entry in the registry last.
    for member in fleet.first_of(&["ordering", "catalog"]) {
        member.pause().await?;
    }
    fleet.pass(lasts).await?;
    for member in fleet.first_of(&["ordering", "catalog"]) {
        member.resume().await?;
    }
    fleet.pass(Duration::from_secs(3)).await
}

async fn nats_killed(fleet: &mut Fleet, lasts: Duration, times: u32) -> Result<()> {
    for _ in 0..times {
        fleet.nats.kill().await?;
        fleet.pass(Duration::from_secs(3)).await?;
        fleet.nats.start().await?;
        fleet.pass(lasts).await?;
    }
    Ok(())
}

async fn stopped(fleet: &mut Fleet, lasts: Duration) -> Result<()> {
    for roles in [
        ["catalog", "finance", "identity", "web"],
        ["ordering", "basket", "monitor", "ai"],
        ["notification", "rating", "chat", "gateway"],
    ] {
        for member in fleet.first_of(&roles) {
            member.pause().await?;
        }
        fleet.pass(lasts).await?;
        for member in fleet.first_of(&roles) {
            member.resume().await?;
        }
        fleet.pass(Duration::from_secs(15)).await?;
    }
    Ok(())
}

/// Something of every role that asks its database, one request for each.
async fn ask_every_role(trial: &Trial, admin: &mut Visitor) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    let book = trial.range.books[0];
    let unique: u32 = rand::rng().random_range(2..1_000_000);
    let paths = [
        // A price that nobody asked for yet is in no cache.
        format!("/api/v1/books?limit=2&max_price={unique}"),
        "/api/v1/orders?limit=1".to_owned(),
        "/api/v1/admin/payments?limit=1".to_owned(),
        "/api/v1/admin/mail?limit=1".to_owned(),
        "/api/v1/identity/accounts?limit=1".to_owned(),
        "/api/v1/admin/reviews?limit=1".to_owned(),
        "/api/v1/conversations?limit=1".to_owned(),
        format!("/api/v1/books/{book}/stock"),
        "/books".to_owned(),
    ];
    for path in paths {
        let answer = admin.send(Method::GET, &path, &[], Bytes::new()).await;
        let answer =
            answer.map_or_else(|failure| Some(failure.to_string()), |a| (!a.status.is_success()).then(|| a.excerpt()));
        refused.extend(answer.map(|answer| format!("GET {path}: {answer}")));
    }
    let mut guest = Visitor::new(trial.fleet.address());
    if let Err(failure) = guest.add(book, Quantity::ONE).await {
        refused.push(format!("a basket: {failure}"));
    }
    Ok(refused)
}

async fn postgres_idle(trial: &mut Trial, found: &mut Found) -> Result<()> {
    let mut admin = Visitor::new(trial.fleet.address());
    admin.sign_in(ADMIN.0, ADMIN.1).await?;
    for _ in 0..3 {
        // Everybody has connections; each process is asked, as they are asked in turn or at random.
        for _ in 0..4 {
            let refused = ask_every_role(trial, &mut admin).await?;
            ensure!(refused.is_empty(), "before anything went wrong: {refused:?}");
        }
        trial.fleet.postgres.kill().await?;
        trial.fleet.postgres.start().await?;
        for _ in 0..4 {
            let refused = ask_every_role(trial, &mut admin).await?;
            found.check(refused.is_empty(), || format!("after PostgreSQL was back: {refused:?}"));
        }
        trial.fleet.pass(Duration::from_secs(1)).await?;
    }
    Ok(())
}

async fn chat_store_away(trial: &mut Trial, lasts: Duration, found: &mut Found) -> Result<()> {
    let address = trial.fleet.address();
    let mut talk = Talk::begin(address).await?;
    for n in 0..5 {
        talk.say(&format!("message {n} before")).await.map_err(|code| anyhow::anyhow!("before: {code}"))?;
    }
    let before = trial.tally().counts();
    let ferretdb = trial.fleet.ferretdb.as_mut().context("there is a FerretDB")?;
    ferretdb.kill().await?;
    let until = Instant::now() + lasts;
    let mut refused = BTreeMap::<String, u32>::new();
    while Instant::now() < until {
        match talk.say("message while it is away").await {
            Ok(()) => found.violations.push("a message was acknowledged that nobody stored".to_owned()),
            Err(code) => *refused.entry(code).or_default() += 1,
        }
        trial.fleet.pass(Duration::from_secs(1)).await?;
    }
    found.check(!refused.is_empty(), || "the chat does not say that its store is away".to_owned());
    found.note(format!("the chat answered {refused:?} meanwhile"));
    found.unnoticed(&before, &trial.tally());
    trial.fleet.ferretdb.as_mut().context("there is a FerretDB")?.start().await?;
    let back = Instant::now();
    while let Err(code) = talk.say("message after").await {
        ensure!(back.elapsed() < Duration::from_secs(60), "the chat does not come back: {code}");
        trial.fleet.pass(Duration::from_millis(500)).await?;
    }
    found.note(format!("the chat was back {:.1?} after its store", back.elapsed()));
    found.violations.extend(talk.missing().await?);
    Ok(())
}

/// People who read what no cache has, as fast as they are answered, for so long.
async fn readers(trial: &mut Trial, time: Duration, tally: &Tally) -> Result<Outcome> {
    const READERS: u64 = 8;
    let (address, until) = (trial.fleet.address(), Instant::now() + time);
    let book = trial.range.books[trial.range.books.len() - 1];
    let reading = (0..READERS).map(|_| {
        let tally = tally.clone();
        async move {
            let mut reader = Visitor::counted(address, tally);
            let (mut latencies, mut turn) = (Vec::new(), 0_u32);
            let body: Bytes = serde_json::to_vec(&AddItem { book_id: book, quantity: Quantity::ONE })?.into();
            while Instant::now() < until {
                let began = Instant::now();
                turn += 1;
                let _ = if turn.is_multiple_of(2) {
                    let unique: u32 = rand::rng().random_range(2..100_000_000);
                    reader
                        .send(Method::GET, &format!("/api/v1/books?limit=5&max_price={unique}"), &[], Bytes::new())
                        .await
                } else {
                    reader.basket_token = None;
                    reader.send(Method::POST, "/api/v1/basket/items", &[], body.clone()).await
                };
                latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
                // One of two cores is for the shop.
                sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, anyhow::Error>(latencies)
        }
    });
    let (latencies, passed) = tokio::join!(join_all(reading), trial.fleet.pass(time));
    passed?;
    let latencies: Vec<Vec<u32>> = latencies.into_iter().collect::<Result<_>>()?;
    Ok(Outcome::new(latencies.concat(), time))
}

async fn slow_one(trial: &mut Trial, lasts: Duration, found: &mut Found) -> Result<()> {
    const SLOWER: Duration = Duration::from_secs(2);
    /// What a busy machine may add to any answer, in milliseconds.
    const NOISE: f64 = 400.0;
    let tally = Tally::default();
    let healthy = readers(trial, lasts, &tally).await?;
    let before = tally.counts();
    trial.fleet.first_of(&["catalog", "basket"]).for_each(|member| member.is_reached(Way::Slow(SLOWER)));
    // One answer of each caller is needed to know.
    let _ = readers(trial, Duration::from_secs(8), &tally).await?;
    let slow = readers(trial, lasts, &tally).await?;
    trial.fleet.first_of(&["catalog", "basket"]).for_each(|member| member.is_reached(Way::Open));
    let (was, is) = (healthy.percentile(0.99), slow.percentile(0.99));
    found.note(format!("healthy: {healthy}\nwith a slow one: {slow}"));
    found.check(is <= 2.0 * was + NOISE, || format!("p99 went from {was:.0} ms to {is:.0} ms"));
    found.unnoticed(&before, &tally);
    found.answers = tally.counts();
    Ok(())
}

/// Calls that others asked of catalog, and calls that came there.
async fn calls(fleet: &Fleet) -> Result<(u64, u64)> {
    let (mut asked, mut came) = (0, 0);
    for member in &fleet.members {
        asked += member.counted("guarded_calls_total", |labels| labels.contains(".catalog\"")).await?;
        if member.role == "catalog" {
            came += member.counted("rpc_requests_total", |labels| labels.contains("atalog")).await?;
        }
    }
    Ok((asked, came))
}

async fn slow_all(trial: &mut Trial, lasts: Duration, found: &mut Found) -> Result<()> {
    const SLOWER: Duration = Duration::from_secs(20);
    let tally = Tally::default();
    let _ = readers(trial, lasts / 3, &tally).await?;
    let (asked, came) = calls(&trial.fleet).await?;
    ensure!(asked > 0 && came > 0, "calls to catalog are not counted: {asked} asked, {came} came");
    trial.fleet.of("catalog").for_each(|member| member.is_reached(Way::Slow(SLOWER)));
    let _ = readers(trial, lasts, &tally).await?;
    // What is under way arrives late.
    trial.fleet.pass(SLOWER + Duration::from_secs(5)).await?;
    trial.fleet.of("catalog").for_each(|member| member.is_reached(Way::Open));
    let (asked_now, came_now) = calls(&trial.fleet).await?;
    let (asked, came) = (asked_now - asked, came_now - came);
    found.note(format!("while all were slow: {asked} calls asked, {came} came to a catalogue"));
    found.check(came * 10 <= asked * 13, || format!("{asked} calls were asked, and {came} came"));
    found.answers = tally.counts();
    Ok(())
}

/// Every process ends in good order and starts again, one after the other.
async fn roll(fleet: &mut Fleet) -> Result<()> {
    for at in 0..fleet.members.len() {
        fleet.members[at].stop().await?;
        fleet.members[at].start()?;
        fleet.members[at].until_ready().await?;
        // Nobody else has ended meanwhile, and the balancer has seen it.
        fleet.pass(Duration::from_secs(1)).await?;
    }
    Ok(())
}

/// Requests at a steady rate, each on a connection of its own, as through a balancer; every answer counts.
struct Steady {
    stop: Arc<AtomicBool>,
    tally: Tally,
    /// What was not as it should be, in words; the first few.
    running: tokio::task::JoinHandle<Vec<String>>,
}

/// How many failures are told.
const TOLD: usize = 20;

impl Steady {
    fn begin(trial: &Trial, rate: u32) -> Self {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Tally::default());
        let running =
            tokio::spawn(Self::run(trial.fleet.address(), trial.range.clone(), rate, stop.clone(), tally.clone()));
        Self { stop, tally, running }
    }

    async fn run(
        address: std::net::SocketAddr,
        range: Range,
        rate: u32,
        stop: Arc<AtomicBool>,
        tally: Tally,
    ) -> Vec<String> {
        let mut tick = interval(Duration::from_secs(1) / rate);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (began, mut requests) = (Instant::now(), tokio::task::JoinSet::new());
        let mut told = Vec::new();
        let mut tell = |refused: Option<String>| {
            if told.len() < TOLD {
                told.extend(refused);
            }
        };
        while !stop.load(Ordering::SeqCst) {
            let _ = tick.tick().await;
            while let Some(done) = requests.try_join_next() {
                tell(done.ok().flatten());
            }
            let (book, turn) = {
                let mut random = rand::rng();
                (range.books[random.random_range(0..range.books.len())], random.random_range(0..10))
            };
            let tally = tally.clone();
            requests.spawn(async move {
                let mut visitor = Visitor::counted(address, tally);
                let (method, path, body) = match turn {
                    0..3 => (Method::GET, format!("/api/v1/books/{book}"), Bytes::new()),
                    3..6 => (Method::GET, "/api/v1/books?limit=5".to_owned(), Bytes::new()),
                    6 => (Method::GET, format!("/api/v1/books/{book}/stock"), Bytes::new()),
                    7 => (Method::GET, format!("/books/{book}"), Bytes::new()),
                    8 => (Method::GET, "/api/v1/payment-methods".to_owned(), Bytes::new()),
                    _ => {
                        let add = AddItem { book_id: book, quantity: Quantity::ONE };
                        let body = serde_json::to_vec(&add).unwrap_or_default();
                        (Method::POST, "/api/v1/basket/items".to_owned(), body.into())
                    }
                };
                let sent = began.elapsed();
                match visitor.send(method.clone(), &path, &[], body).await {
                    Ok(answer) if answer.status.is_success() => None,
                    // The few copies of some books are sold in the meantime.
                    Ok(answer) if answer.status.as_u16() == 409 => None,
                    Ok(answer) => Some(format!("at {sent:.1?} {method} {path}: {}", answer.excerpt())),
                    Err(failure) => Some(format!("at {sent:.1?} {method} {path}: {failure}")),
                }
            });
        }
        while let Some(done) = requests.join_next().await {
            tell(done.ok().flatten());
        }
        told
    }

    async fn end(self, found: &mut Found) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        found.violations.extend(self.running.await?);
        found.unnoticed(&BTreeMap::new(), &self.tally);
        found.answers = self.tally.counts();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_what_people_notice() {
        for answer in ["500 internal", "503 unavailable", "no answer", "429 rate_limited", "401 unauthenticated"] {
            assert!(is_failure(answer), "{answer}");
        }
        for answer in ["ok", "402 payment_declined", "409 insufficient_stock"] {
            assert!(!is_failure(answer), "{answer}");
        }
        let tally = Tally::default();
        tally.add("ok".to_owned());
        let before = tally.counts();
        tally.add("503 unavailable".to_owned());
        tally.add("ok".to_owned());
        assert_eq!(since(&before, &tally), (2, BTreeMap::from([("503 unavailable".to_owned(), 1)])));
        let mut found = Found::default();
        found.unnoticed(&before, &tally);
        assert_eq!(found.violations.len(), 1);
    }
}
