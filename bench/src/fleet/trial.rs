//! A fleet with people who buy in it, and what must be true of it in the end whatever was done to it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use bookworm_contracts::rest::catalog::Stock;
use bookworm_kernel::BookId;
use tokio::time::sleep;

use super::{Fleet, Plan};
use crate::{
    checks::{self, Evidence},
    client::Tally,
    crash::{self, Crowd},
    shop::Range,
};

/// How long the shop may take to be looked at for the first time.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A fleet under load.
pub struct Trial {
    pub fleet: Fleet,
    pub range: Range,
    stock_before: BTreeMap<BookId, Stock>,
    crowd: Crowd,
    began: Instant,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How often each answer was given.
    pub answers: BTreeMap<String, u64>,
    /// For people.
    pub figures: String,
    /// Empty when all is well.
    pub violations: Vec<String>,
    /// The ends of the processes' logs.
    pub logs: String,
}

impl Trial {
    /// Starts a fleet, and so many buyers.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn begin(plan: &Plan, buyers: u32, seed: u64) -> Result<Self> {
        let mut plan = plan.clone();
        // Short leases and time-outs, so that a crash in the middle of a step is followed by its recovery within the run.
        plan.settings.extend([
            ("BOOKWORM_MESSAGING__LEASE_SECONDS", "5".to_owned()),
            ("BOOKWORM_ORDERING__RESERVE_TIMEOUT_SECONDS", "12".to_owned()),
            ("BOOKWORM_ORDERING__PAYMENT_TIMEOUT_SECONDS", "12".to_owned()),
            ("BOOKWORM_PAYMENT__TIMEOUT_SECONDS", "2".to_owned()),
        ]);
        let fleet = Fleet::start(&plan).await?;
        let address = fleet.address();
        let range = retried(async || Range::of(address).await).await?;
        let stock_before = retried(async || crash::prepare_stock(address, &range.books).await).await?;
        let crowd = Crowd::begin(&range, fleet.address(), buyers, seed);
        Ok(Self { fleet, range, stock_before, crowd, began: Instant::now() })
    }

    /// What the shop answered the buyers so far.
    pub fn tally(&self) -> Tally {
        self.crowd.tally()
    }

    /// Waits until every process is well and every purchase decided, checks all that must add up, and stops the fleet.
    ///
    /// # Errors
    /// When the shop does not answer.
    pub async fn end(self) -> Result<Verdict> {
        let Self { mut fleet, stock_before, crowd, began, .. } = self;
        fleet.until_ready().await?;
        let tally = crowd.tally();
        let purchases = crowd.finish().await?;
        let took = began.elapsed();
        let evidence = Evidence { purchases, stock_before };
        let report = checks::settle(fleet.address(), &evidence).await?;
        let mut violations = report.violations;
        for command in [&["reconcile"][..], &["replay", "orders"]] {
            if let Err(error) = fleet.operate(command).await {
                violations.push(format!("{error:#}"));
            }
        }
        fleet.pass(Duration::ZERO).await?;
        let logs = fleet.logs();
        fleet.stop().await?;
        violations.append(&mut fleet.violations);
        let figures = format!("{} within {took:.0?}\n{}", crash::summary(&evidence.purchases), report.figures);
        Ok(Verdict { answers: tally.counts(), figures, violations, logs })
    }
}

/// Tries again what a busy machine did not do in time.
async fn retried<T>(mut work: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        match work().await {
            Err(error) if checks::is_passing(&error) && began.elapsed() < START_TIMEOUT => {
                sleep(Duration::from_secs(1)).await
            }
            done => return done,
        }
    }
}
