//! The crash harness: people buy, the program is killed at random moments and started again, and in the end everything
//! must add up. Buyers behave as a good client does: one idempotency key for each purchase, repeated until there is a
//! definite answer.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bookworm_contracts::rest::{
    Page,
    basket::Basket,
    catalog::Stock,
    coupons::Coupon,
    ordering::{CheckoutRequest, Order},
};
use bookworm_kernel::{BookId, OrderId, Quantity};
use clap::Args;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use uuid::Uuid;

use crate::{
    books,
    checks::{self, Evidence},
    client::{Answer, Tally},
    fleet::{Fleet, Member, Plan, ROLES, Trial},
    say,
    server::{ADMIN, OwnDatabase, Program},
    shop::{Failure, Range, Visitor, checkout_request},
};

/// How to crash.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/bookworm")]
    bin: PathBuf,
    /// How often to kill it
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// How many people buy at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    buyers: u32,
    /// A PostgreSQL server to run on, in a database of its own; SQLite when missing
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// A fleet instead of one process: every role apart, on engines of its own; kills a process of each role in turn.
    /// Run it with scripts/with-postgres scripts/with-nats scripts/with-redis
    #[arg(long, conflicts_with = "database_url")]
    fleet: bool,
    /// With --fleet: processes of each role
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    instances: u8,
    /// Decides the moments and the purchases; printed at the start
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the data and the log in this folder, which must be empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Books in the shop, most with plenty of copies and a few with hardly any.
pub const BOOKS: u32 = 40;
const SCARCE: usize = 3;
pub const PLENTY: i64 = 100_000;
const FEW: i64 = 40;
/// Orders that may use the coupon.
const COUPON_USES: u32 = 25;
/// How long a buyer tries one thing once the killing has ended before it counts as a violation: before, bad luck may
/// hit the same request again and again.
const SUCCESS_TIMEOUT: Duration = Duration::from_secs(120);
/// How long all buyers together may take to finish once the killing has ended.
const LAST_PURCHASES: Duration = Duration::from_secs(240);

/// How often parcels are brought to the post.
const PARCELS_EACH: Duration = Duration::from_millis(150);

/// How a purchase ended for its buyer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// 201.
    Confirmed,
    /// 402 or 409, with this code.
    Refused(String),
    /// No definite answer in all that time.
    Open,
}

/// A book put into the basket after checkout had begun.
#[derive(Debug, Clone)]
pub struct Extra {
    pub book: BookId,
    /// Whether the shop answered that it is in the basket.
    pub acknowledged: bool,
}

/// What a buyer did, and was answered.
#[derive(Debug, Clone)]
pub struct Purchase {
    /// Written into the order's address, so that its order can be found.
    pub mark: String,
    /// What the shop showed in the basket when checkout began.
    pub lines: BTreeMap<BookId, i64>,
    pub extra: Option<Extra>,
    pub ended: Ended,
    /// Orders that the shop reported: never more than one, or one for each key.
    pub acknowledged: Vec<OrderId>,
    /// Whether the basket was checked out twice at once, with a key each.
    pub doubled: bool,
    /// The guest's basket. A customer's basket was looked at right after the purchase.
    pub guest_basket: Option<String>,
    /// How often checkout was sent.
    pub attempts: u32,
    /// What should not have happened.
    pub violations: Vec<String>,
}

/// Runs the harness. The exit code is 1 when anything does not add up.
///
/// # Errors
/// When the harness itself cannot do its work.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let temporary = tempfile::tempdir()?;
    let folder = arguments.keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder)?;
    if arguments.fleet {
        return fleet_run(&arguments, folder, seed).await;
    }
    let database = match &arguments.database_url {
        Some(url) => Some(OwnDatabase::create(url).await?),
        None => None,
    };
    let url = database.as_ref().map(OwnDatabase::url);
    let engine = if url.is_some() { "PostgreSQL" } else { "SQLite" };
    say(&format!("crash: {} kills, {} buyers, {engine}, seed {seed}", arguments.kills, arguments.buyers));
    // Short leases and time-outs, so that a crash in the middle of a step is followed by its recovery within the run.
    let program = Program::new(&arguments.bin, folder, url.as_deref())
        .with("BOOKWORM_MESSAGING__LEASE_SECONDS", 5)
        .with("BOOKWORM_ORDERING__RESERVE_TIMEOUT_SECONDS", 12)
        .with("BOOKWORM_ORDERING__PAYMENT_TIMEOUT_SECONDS", 12)
        .with("BOOKWORM_PAYMENT__TIMEOUT_SECONDS", 2)
        // Who has the books is asked for a review at once.
        .with("BOOKWORM_RATING__INVITE_AFTER_DAYS", 0);
    let result = harness(&arguments, &program, folder, seed).await;
    if let Some(database) = database {
        database.remove().await?;
    }
    let violations = result?;
    if violations.is_empty() {
        say("violations 0");
        return Ok(ExitCode::SUCCESS);
    }
    for violation in &violations {
        say(&format!("VIOLATION {violation}"));
    }
    say(&format!("violations {}, seed {seed}; the end of the log:\n{}", violations.len(), program.log_tail()));
    Ok(ExitCode::FAILURE)
}

async fn harness(arguments: &Arguments, program: &Program, folder: &std::path::Path, seed: u64) -> Result<Vec<String>> {
    let file = folder.join("books.jsonl");
    books::write(&file, BOOKS, PLENTY)?;
    program.run(&["import", &file.to_string_lossy()]).await?;
    let mut server = program.start().await?;
    let mut range = Range::of(server.address).await?;
    let stock_before = prepare_stock(server.address, &range.books).await?;
    range.coupon = Some(prepare_coupon(server.address).await?);

    let crowd = Crowd::begin(&range, server.address, arguments.buyers, seed);
    let parcels = Parcels::begin(&crowd, server.address);
    let mut random = StdRng::seed_from_u64(seed);
    let (mut restarts, mut starts_killed, began) = (Vec::new(), 0, Instant::now());
    for _ in 0..arguments.kills {
        sleep(Duration::from_millis(random.random_range(50..=1500))).await;
        server.kill().await?;
        crowd.shop_is_at(None);
        // Recovery must survive being killed as well.
        if random.random_bool(0.125) {
            let mut child = program.spawn()?;
            sleep(Duration::from_millis(random.random_range(5..=300))).await;
            child.kill().await?;
            starts_killed += 1;
        }
        server = program.start().await.context("it does not start again after it was killed")?;
        restarts.push(server.took);
        crowd.shop_is_at(Some(server.address));
    }
    let killing = began.elapsed();
    let purchases = crowd.finish().await?;
    parcels.await.context("the parcels broke down")??;
    let evidence = Evidence { purchases, stock_before };
    let report = checks::settle(server.address, &evidence).await?;
    let mut violations = report.violations;
    match server.stop().await {
        Ok(took) => say(&format!("stopped within {took:.0?}")),
        Err(error) => violations.push(format!("it does not stop when it is asked to: {error:#}")),
    }
    for command in [&["reconcile"][..], &["replay", "orders"]] {
        if let Err(error) = program.run(command).await {
            violations.push(format!("{error:#}"));
        }
    }

    restarts.sort_unstable();
    say(&format!(
        "kills {} (and {starts_killed} while starting) in {killing:.0?}; restart p50 {:.0?}, max {:.0?}",
        arguments.kills,
        restarts[restarts.len() / 2],
        restarts[restarts.len() - 1]
    ));
    say(&summary(&evidence.purchases));
    say(&report.figures);
    Ok(violations)
}

/// The same on a fleet: a process of each role is killed in turn, and started again at once.
async fn fleet_run(arguments: &Arguments, folder: &std::path::Path, seed: u64) -> Result<ExitCode> {
    let Arguments { kills, buyers, instances, .. } = *arguments;
    say(&format!("crash: a fleet, {instances} of each role, {kills} kills, {buyers} buyers, seed {seed}"));
    let plan = Plan::new(&arguments.bin, folder, instances);
    let mut trial = Trial::begin(&plan, buyers, seed).await?;
    let killed = fleet_kills(&mut trial.fleet, kills, seed).await?;
    let verdict = trial.end().await?;
    say(&format!("killed {killed:?}"));
    say(&verdict.figures);
    if verdict.violations.is_empty() {
        say("violations 0");
        return Ok(ExitCode::SUCCESS);
    }
    verdict.violations.iter().for_each(|violation| say(&format!("VIOLATION {violation}")));
    say(&format!("violations {}, seed {seed}; the ends of the logs:\n{}", verdict.violations.len(), verdict.logs));
    Ok(ExitCode::FAILURE)
}

/// Kills a process of each role in turn, at random moments, so many in all, and starts each again at once. Says how often
/// each role was hit.
///
/// # Errors
/// When one cannot be started again.
pub async fn fleet_kills(fleet: &mut Fleet, kills: u32, seed: u64) -> Result<BTreeMap<&'static str, u32>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut killed = BTreeMap::new();
    for role in ROLES.iter().cycle().take(kills as usize) {
        fleet.pass(Duration::from_millis(random.random_range(200..=2500))).await?;
        let of_role: Vec<&mut Member> = fleet.of(role).collect();
        let chosen = random.random_range(0..of_role.len());
        // One that is just starting may be hit again: recovery must survive being killed as well. But while another of
        // its role does, nobody is left whom an orchestrator would not have waited for.
        for (n, member) in of_role.into_iter().enumerate() {
            if n == chosen {
                member.kill().await?;
                member.start()?;
            } else {
                member.until_ready().await?;
            }
        }
        *killed.entry(*role).or_default() += 1;
    }
    fleet.until_ready().await?;
    Ok(killed)
}

/// How purchases ended, in words.
pub fn summary(purchases: &[Purchase]) -> String {
    let tries: u32 = purchases.iter().map(|purchase| purchase.attempts).sum();
    let count = |test: fn(&Purchase) -> bool| purchases.iter().filter(|purchase| test(purchase)).count();
    format!(
        "purchases {}: answered confirmed {}, refused {}, open {}; checkout sent {tries} times, {} repeats; baskets \
         checked out twice at once: {}",
        purchases.len(),
        count(|purchase| purchase.ended == Ended::Confirmed),
        count(|purchase| matches!(purchase.ended, Ended::Refused(_))),
        count(|purchase| purchase.ended == Ended::Open),
        tries as usize - purchases.len().min(tries as usize),
        count(|purchase| purchase.doubled),
    )
}

/// People who buy until they are told to stop.
pub struct Crowd {
    address: watch::Sender<Option<SocketAddr>>,
    stop: Arc<AtomicBool>,
    steady: Arc<OnceLock<Instant>>,
    buyers: Vec<JoinHandle<Result<Vec<Purchase>>>>,
    tally: Tally,
}

impl Crowd {
    /// So many, half of them with an account, begin to buy at the shop at this address.
    pub fn begin(range: &Range, shop: SocketAddr, buyers: u32, seed: u64) -> Self {
        let (address, watched) = watch::channel(Some(shop));
        let (stop, steady) = (Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::new()));
        let tally = Tally::default();
        let buyers = (0..buyers).map(|n| {
            let buyer = Buyer {
                n,
                range: range.clone(),
                address: watched.clone(),
                current: shop,
                stop: stop.clone(),
                steady: steady.clone(),
                random: StdRng::seed_from_u64(seed.wrapping_add(u64::from(n) + 1)),
                visitor: Visitor::counted(shop, tally.clone()),
                account: (n % 2 == 1).then(|| (format!("buyer-{n}@bench.example"), format!("password of buyer {n}"))),
                done: Vec::new(),
            };
            tokio::spawn(buyer.run())
        });
        let buyers = buyers.collect();
        Self { address, stop, steady, buyers, tally }
    }

    /// Says where the shop is now; `None` while it is closed.
    pub fn shop_is_at(&self, address: Option<SocketAddr>) {
        self.address.send_replace(address);
    }

    /// What the shop answered them so far.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// From now on nothing goes wrong any more: lets them buy a little more and finish what they began.
    ///
    /// # Errors
    /// When somebody has no success in all that time, or is answered what no shop should answer.
    pub async fn finish(self) -> Result<Vec<Purchase>> {
        self.steady.get_or_init(Instant::now);
        sleep(Duration::from_secs(2)).await;
        self.stop.store(true, Ordering::SeqCst);
        let mut purchases = Vec::new();
        let until = tokio::time::Instant::now() + LAST_PURCHASES;
        for buyer in self.buyers {
            let done = tokio::time::timeout_at(until, buyer).await.context("the buyers do not come to an end")?;
            purchases.extend(done.context("a buyer broke down")??);
        }
        Ok(purchases)
    }
}

/// Somebody on the staff who sends off what is paid, and notes that it has arrived, until the buyers stop.
struct Parcels {
    address: watch::Receiver<Option<SocketAddr>>,
    current: SocketAddr,
    stop: Arc<AtomicBool>,
    visitor: Visitor,
    signed_in: bool,
}

impl Parcels {
    fn begin(crowd: &Crowd, shop: SocketAddr) -> JoinHandle<Result<()>> {
        let (address, stop) = (crowd.address.subscribe(), crowd.stop.clone());
        let visitor = Visitor::new(shop);
        tokio::spawn(Self { address, current: shop, stop, visitor, signed_in: false }.run())
    }

    async fn run(mut self) -> Result<()> {
        while !self.stop.load(Ordering::SeqCst) {
            let open = tokio::time::timeout(SUCCESS_TIMEOUT, self.address.wait_for(Option::is_some)).await;
            let address = (*open.context("the shop does not open again")??).context("it is open")?;
            if address != self.current {
                self.current = address;
                self.visitor.moves_to(address);
            }
            match self.round().await {
                Ok(()) => {}
                Err(Failure::Refused(answer)) if answer.status.as_u16() == 401 => self.signed_in = false,
                Err(failure) if failure.is_passing() => {}
                Err(failure) => bail!("a parcel: {failure}"),
            }
            sleep(PARCELS_EACH).await;
        }
        Ok(())
    }

    /// Brings the latest orders one step on.
    async fn round(&mut self) -> Result<(), Failure> {
        if !self.signed_in {
            self.visitor.sign_in(ADMIN.0, ADMIN.1).await?;
            self.signed_in = true;
        }
        for (status, step) in [("shipped", "complete"), ("confirmed", "ship")] {
            let orders: Page<Order> = self.visitor.get(&format!("/api/v1/orders?status={status}&limit=10")).await?;
            for order in orders.items {
                let done: Result<Order, Failure> =
                    self.visitor.post(&format!("/api/v1/orders/{}/{step}", order.id), &serde_json::json!({})).await;
                match done {
                    Ok(_) => {}
                    // Not paid yet, or done before the answer was lost.
                    Err(Failure::Refused(answer)) if answer.code() == "invalid_order_state" => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        Ok(())
    }
}

/// Leaves few copies of some books, and notes what there is of each.
pub async fn prepare_stock(address: SocketAddr, books: &[BookId]) -> Result<BTreeMap<BookId, Stock>> {
    let mut admin = Visitor::new(address);
    admin.sign_in(ADMIN.0, ADMIN.1).await?;
    let mut stock_before = BTreeMap::new();
    for (n, book) in books.iter().enumerate() {
        let stock: Stock = admin.get(&format!("/api/v1/books/{book}/stock")).await?;
        let wanted = if n < SCARCE { FEW } else { PLENTY };
        if stock.on_hand != wanted {
            let adjustment = serde_json::json!({"delta": wanted - stock.on_hand, "reason": "stocktaking"});
            admin.post_once(&format!("/api/v1/books/{book}/stock/adjustments"), &adjustment).await?;
        }
        stock_before.insert(*book, admin.get(&format!("/api/v1/books/{book}/stock")).await?);
    }
    Ok(stock_before)
}

/// Makes a coupon that is soon used up, so that many want the last of it; reconciliation counts its uses in the end.
async fn prepare_coupon(address: SocketAddr) -> Result<String> {
    let mut admin = Visitor::new(address);
    admin.sign_in(ADMIN.0, ADMIN.1).await?;
    let coupon = serde_json::json!({
        "code": "LASTFEW", "name": "7 % off", "benefit": {"kind": "percent", "percent": 7}, "max_uses": COUPON_USES
    });
    let made: Coupon = admin.post("/api/v1/admin/coupons", &coupon).await?;
    Ok(made.code)
}

/// Somebody who buys until stopped.
struct Buyer {
    n: u32,
    range: Range,
    address: watch::Receiver<Option<SocketAddr>>,
    /// Where the visitor is connected to.
    current: SocketAddr,
    stop: Arc<AtomicBool>,
    /// When the killing ended.
    steady: Arc<OnceLock<Instant>>,
    random: StdRng,
    visitor: Visitor,
    /// E-mail and password; `None` for a guest.
    account: Option<(String, String)>,
    done: Vec<Purchase>,
}

impl Buyer {
    async fn run(mut self) -> Result<Vec<Purchase>> {
        if let Some((email, password)) = self.account.clone() {
            let began = Instant::now();
            loop {
                self.ready().await?;
                match self.visitor.register(&email, &password).await {
                    Ok(()) => break,
                    Err(failure) => self.again(failure, began).await?,
                }
            }
            self.sign_in().await?;
        }
        while !self.stop.load(Ordering::SeqCst) {
            let purchase = self.purchase().await?;
            self.done.push(purchase);
        }
        Ok(self.done)
    }

    /// Waits until the shop is open, and goes where it is now.
    async fn ready(&mut self) -> Result<()> {
        let open = tokio::time::timeout(SUCCESS_TIMEOUT, self.address.wait_for(Option::is_some)).await;
        let address = (*open.context("the shop does not open again")??).context("it is open")?;
        if address != self.current {
            self.current = address;
            self.visitor.moves_to(address);
        }
        Ok(())
    }

    /// Whether something that began then should have succeeded by now.
    fn expired(&self, began: Instant) -> bool {
        self.steady.get().is_some_and(|since| began.max(*since) + SUCCESS_TIMEOUT < Instant::now())
    }

    /// After a failure: pauses, signs in again if need be, or gives up.
    async fn again(&mut self, failure: Failure, began: Instant) -> Result<()> {
        if self.expired(began) {
            bail!("no success within {SUCCESS_TIMEOUT:?}: {failure}");
        }
        match &failure {
            Failure::Refused(answer) if answer.status.as_u16() == 401 && self.account.is_some() => {
                Box::pin(self.sign_in()).await
            }
            failure if failure.is_passing() => {
                sleep(Duration::from_millis(self.random.random_range(10..=100))).await;
                Ok(())
            }
            failure => bail!("{failure}"),
        }
    }

    async fn sign_in(&mut self) -> Result<()> {
        let Some((email, password)) = self.account.clone() else { return Ok(()) };
        let began = Instant::now();
        loop {
            self.ready().await?;
            match self.visitor.sign_in(&email, &password).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.is_passing() && !self.expired(began) => {
                    sleep(Duration::from_millis(self.random.random_range(10..=100))).await;
                }
                Err(failure) => bail!("cannot sign in: {failure}"),
            }
        }
    }

    async fn basket(&mut self) -> Result<Basket> {
        let began = Instant::now();
        loop {
            self.ready().await?;
            match self.visitor.basket().await {
                Ok(basket) => return Ok(basket),
                Err(failure) => self.again(failure, began).await?,
            }
        }
    }

    /// One purchase from the empty basket to its end.
    async fn purchase(&mut self) -> Result<Purchase> {
        if self.account.is_none() {
            self.visitor.basket_token = None;
        }
        let mut purchase = Purchase {
            mark: format!("buyer {} purchase {}", self.n, self.done.len()),
            lines: BTreeMap::new(),
            extra: None,
            ended: Ended::Open,
            acknowledged: Vec::new(),
            doubled: false,
            guest_basket: None,
            attempts: 0,
            violations: Vec::new(),
        };
        let picks = self.random.random_range(1..=2);
        let picked: Vec<BookId> = self.range.books.choose_multiple(&mut self.random, picks + 1).copied().collect();
        let (wanted, extra) = picked.split_at(picks);
        for book in wanted {
            let quantity = self.random.random_range(1..=3);
            purchase.lines.insert(*book, quantity);
        }
        // A book that is nearly gone may be gone when it is wanted: then the basket cannot be filled.
        if !self.fill(&mut purchase).await? {
            self.forget(&mut purchase).await?;
            return Ok(purchase);
        }
        let email = self.account.is_none().then(|| format!("guest-{}@bench.example", self.n));
        let token = match self.random.random_range(0..100) {
            0..82 => "tok_approve",
            82..95 => "tok_decline",
            _ => "tok_timeout",
        };
        let mut request = checkout_request(email.as_deref(), &self.range.shipping_method, token, &purchase.mark);
        request.coupon = self.range.coupon.clone().filter(|_| self.random.random_bool(0.3));
        purchase.doubled = self.random.random_bool(0.3);
        if purchase.doubled {
            self.checkout_twice(&mut purchase, &request).await?;
        } else {
            let extra = self.random.random_bool(0.4).then(|| extra[0]);
            self.checkout(&mut purchase, &request, extra).await?;
        }
        purchase.guest_basket = self.visitor.basket_token.clone().filter(|_| self.account.is_none());
        if self.account.is_some() {
            self.forget(&mut purchase).await?;
        }
        Ok(purchase)
    }

    /// Puts the lines into the basket; `false` when a book is sold out. An addition whose answer was lost is looked up
    /// before it is repeated, since adding twice would add twice.
    async fn fill(&mut self, purchase: &mut Purchase) -> Result<bool> {
        let began = Instant::now();
        let mut filled = false;
        while !filled {
            let lines = purchase.lines.clone();
            filled = true;
            for (book, quantity) in lines {
                self.ready().await?;
                match self.visitor.add(book, Quantity::new(quantity)?).await {
                    Ok(_) => continue,
                    Err(Failure::Refused(answer)) if answer.status.as_u16() == 409 && !is_passing(&answer) => {
                        return Ok(false);
                    }
                    Err(failure) => self.again(failure, began).await?,
                }
                if self.account.is_none() && self.visitor.basket_token.is_none() {
                    // The secret was lost with the answer; a basket that nobody knows harms nobody.
                    filled = false;
                    break;
                }
                let there = quantity_of(&self.basket().await?, book);
                if there == 0 {
                    // Not done: the round is repeated for what is missing.
                    let added = self.add_missing(book, quantity, began).await?;
                    if !added {
                        return Ok(false);
                    }
                }
            }
        }
        let basket = self.basket().await?;
        for (book, quantity) in &purchase.lines {
            let there = quantity_of(&basket, *book);
            if there != *quantity {
                purchase.violations.push(format!("{there} of {quantity} copies of {book} are in the basket"));
            }
        }
        Ok(true)
    }

    async fn add_missing(&mut self, book: BookId, quantity: i64, began: Instant) -> Result<bool> {
        loop {
            self.ready().await?;
            match self.visitor.add(book, Quantity::new(quantity)?).await {
                Ok(_) => return Ok(true),
                Err(Failure::Refused(answer)) if answer.status.as_u16() == 409 && !is_passing(&answer) => {
                    return Ok(false);
                }
                Err(failure) => self.again(failure, began).await?,
            }
            if quantity_of(&self.basket().await?, book) > 0 {
                return Ok(true);
            }
        }
    }

    /// Sends the checkout until there is a definite answer.
    async fn checkout(
        &mut self,
        purchase: &mut Purchase,
        request: &CheckoutRequest,
        extra: Option<BookId>,
    ) -> Result<()> {
        let (key, began) = (Uuid::new_v4().to_string(), Instant::now());
        while !self.expired(began) {
            self.ready().await?;
            purchase.attempts += 1;
            let answer = match extra.filter(|_| purchase.extra.is_none()) {
                Some(book) => {
                    let pause = Duration::from_millis(self.random.random_range(0..=30));
                    let mut second = self.visitor.second_connection(self.current);
                    let adding = async {
                        sleep(pause).await;
                        second.add(book, Quantity::ONE).await
                    };
                    let (answer, added) = futures::join!(self.visitor.checkout(&key, request), adding);
                    purchase.extra = Some(Extra { book, acknowledged: added.is_ok() });
                    answer
                }
                None => self.visitor.checkout(&key, request).await,
            };
            match answer {
                Ok(answer) => {
                    self.note(purchase, &answer);
                    match answer.status.as_u16() {
                        201 => purchase.ended = Ended::Confirmed,
                        402 | 409 if !is_passing(&answer) => purchase.ended = Ended::Refused(answer.code()),
                        422 if answer.code() == "coupon_refused" => purchase.ended = Ended::Refused(answer.code()),
                        401 if self.account.is_some() => self.sign_in().await?,
                        202 | 409 | 429 | 500.. => {}
                        _ => {
                            purchase.violations.push(format!("checkout was answered with {}", answer.excerpt()));
                            return Ok(());
                        }
                    }
                }
                Err(Failure::Lost(_)) => {}
                Err(failure) => bail!("{failure}"),
            }
            if purchase.ended != Ended::Open {
                // Some clients repeat what was answered already.
                if self.random.random_bool(0.2)
                    && let Ok(again) = self.visitor.checkout(&key, request).await
                    && !again.status.is_server_error()
                {
                    self.note(purchase, &again);
                    let same = match &purchase.ended {
                        Ended::Confirmed => again.status.as_u16() == 201,
                        Ended::Refused(code) => again.code() == *code,
                        Ended::Open => false,
                    };
                    if !same {
                        let (ended, other) = (&purchase.ended, again.excerpt());
                        purchase.violations.push(format!("the same request was answered {ended:?} and then {other}"));
                    }
                }
                return Ok(());
            }
            sleep(Duration::from_millis(self.random.random_range(10..=150))).await;
        }
        Ok(())
    }

    /// Sends the checkout with two keys at once, as two windows do, and each of them until it has a definite answer. An
    /// order under the other key is none: it is confirmed, and then the basket is empty, or it gives the basket back.
    async fn checkout_twice(&mut self, purchase: &mut Purchase, request: &CheckoutRequest) -> Result<()> {
        let mut open: Vec<String> = (0..2).map(|_| Uuid::new_v4().to_string()).collect();
        let (began, mut ends) = (Instant::now(), Vec::new());
        while !open.is_empty() && !self.expired(began) {
            self.ready().await?;
            let mut second = self.visitor.second_connection(self.current);
            let pause = Duration::from_millis(self.random.random_range(0..=20));
            let other = open.get(1).cloned();
            let later = async {
                sleep(pause).await;
                match &other {
                    Some(key) => Some(second.checkout(key, request).await),
                    None => None,
                }
            };
            let (one, two) = futures::join!(self.visitor.checkout(&open[0], request), later);
            let mut still_open = Vec::new();
            for (key, answer) in open.into_iter().zip([Some(one), two].into_iter().flatten()) {
                purchase.attempts += 1;
                let answer = match answer {
                    Ok(answer) => answer,
                    Err(Failure::Lost(_)) => {
                        still_open.push(key);
                        continue;
                    }
                    Err(failure) => bail!("{failure}"),
                };
                self.note(purchase, &answer);
                match answer.status.as_u16() {
                    201 => ends.push(Ended::Confirmed),
                    402 | 409 if !is_passing(&answer) && answer.code() != "order_in_progress" => {
                        ends.push(Ended::Refused(answer.code()));
                    }
                    422 if answer.code() == "coupon_refused" => ends.push(Ended::Refused(answer.code())),
                    401 if self.account.is_some() => {
                        self.sign_in().await?;
                        still_open.push(key);
                    }
                    202 | 409 | 429 | 500.. => still_open.push(key),
                    _ => purchase.violations.push(format!("checkout was answered with {}", answer.excerpt())),
                }
            }
            open = still_open;
            sleep(Duration::from_millis(self.random.random_range(10..=150))).await;
        }
        let confirmed = ends.iter().filter(|end| **end == Ended::Confirmed).count();
        if confirmed > 1 {
            purchase.violations.push("both keys were answered that their order is confirmed".to_owned());
        }
        if open.is_empty() {
            ends.sort_by_key(|end| *end != Ended::Confirmed);
            purchase.ended = ends.into_iter().next().unwrap_or(Ended::Open);
        }
        Ok(())
    }

    /// Remembers the order that an answer speaks of.
    fn note(&self, purchase: &mut Purchase, answer: &Answer) {
        let order = match answer.status.as_u16() {
            201 | 202 => answer
                .json::<Order>()
                .ok()
                .map(|order| order.id)
                .or_else(|| answer.header("location")?.rsplit('/').next()?.split('?').next()?.parse().ok()),
            _ => answer.refused_order(),
        };
        if let Some(order) = order
            && !purchase.acknowledged.contains(&order)
        {
            purchase.acknowledged.push(order);
        }
    }

    /// A customer's basket lives on: looks whether it is as it should be, and empties it for the next purchase.
    async fn forget(&mut self, purchase: &mut Purchase) -> Result<()> {
        if self.account.is_none() {
            return Ok(());
        }
        if purchase.attempts > 0 {
            let began = Instant::now();
            // Clearing follows the confirmation, so it may take a moment.
            let problem = loop {
                let mut sold = BTreeMap::new();
                for id in purchase.acknowledged.clone() {
                    sold.extend(checks::sold(&self.order(id).await?));
                }
                let basket = self.basket().await?;
                match checks::basket_problem(purchase, &sold, &basket) {
                    Some(problem) if self.expired(began) => break Some(problem),
                    Some(_) => sleep(Duration::from_millis(50)).await,
                    None => break None,
                }
            };
            purchase.violations.extend(problem);
        }
        let began = Instant::now();
        loop {
            self.ready().await?;
            match self.visitor.empty_basket().await {
                Ok(()) => return Ok(()),
                Err(failure) => self.again(failure, began).await?,
            }
        }
    }

    /// An order as the customer sees it.
    async fn order(&mut self, id: OrderId) -> Result<Order> {
        let began = Instant::now();
        loop {
            self.ready().await?;
            match self.visitor.get::<Order>(&format!("/api/v1/orders/{id}")).await {
                Ok(order) => return Ok(order),
                Err(failure) => self.again(failure, began).await?,
            }
        }
    }
}

fn is_passing(answer: &Answer) -> bool {
    matches!(answer.code().as_str(), "request_in_progress" | "concurrent_change")
}

fn quantity_of(basket: &Basket, book: BookId) -> i64 {
    basket.items.iter().find(|line| line.book_id == book).map_or(0, |line| i64::from(line.quantity.get()))
}
