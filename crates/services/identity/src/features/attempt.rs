use std::net::IpAddr;

use bookworm_db::DbError;
use bookworm_http::{ClientAddress, Problem, Result};
use bookworm_kernel::{Email, ErrorCode};
use tokio::sync::OwnedMutexGuard;

use crate::{
    domain::{Failures, fingerprint},
    service::Identity,
    store,
};

/// How long an attempt waits for others of the same pair before it.
const TURN: std::time::Duration = std::time::Duration::from_secs(10);

/// An attempt to prove a password, which counts as failed until it succeeds.
///
/// Attempts of one pair of account and client take turns while one is being checked: so many right ones at once are
/// many right ones, and many guesses at once are refused as if they came one after the other. Another process has turns
/// of its own; there the stored count, which each attempt raises before it is checked, still bounds them.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Fingerprint of the address at sign-in, whether or not it has an account.
    pub account: String,
    /// Fingerprint of the client's network.
    pub client: String,
    address: IpAddr,
    _turn: OwnedMutexGuard<()>,
}

enum Outcome {
    Go,
    Wait(std::time::Duration),
}

impl Identity {
    /// Begins an attempt for the account that somebody claims to have.
    ///
    /// # Errors
    /// 429 `too_many_attempts` with `Retry-After` when this client has failed too often lately.
    pub(crate) async fn begin_attempt(&self, claimed: &str, address: IpAddr) -> Result<Attempt> {
        let key = Email::parse(claimed).map_or_else(|_| claimed.trim().to_lowercase(), |email| email.key());
        let account = fingerprint(key.as_bytes());
        let client = fingerprint(ClientAddress(address).network().to_string().as_bytes());
        let turn = tokio::time::timeout(TURN, self.turns.of(&account, &client).lock_owned());
        let turn = turn.await.map_err(|_| too_many(std::time::Duration::from_secs(1)))?;
        let now = self.now();
        let limited = self.addresses().attempt(address, now);
        if let Err(wait) = limited {
            return Err(too_many(wait));
        }
        if let Some(shared) = &self.shared_addresses
            && let Err(wait) = shared.attempt(&client).await
        {
            // It was no guess: nothing is checked.
            self.addresses().succeeded(address);
            return Err(too_many(wait));
        }
        let (counted, backoff) = ((account.clone(), client.clone()), self.backoff);
        let outcome = self
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    let before = store::lock_failures(tx, &counted.0, &counted.1).await?;
                    if let Some(wait) = before.and_then(|failures| failures.wait(now, backoff)) {
                        return Ok(Outcome::Wait(wait));
                    }
                    let failures = Failures::after_attempt(before, now);
                    store::store_failures(tx, &counted.0, &counted.1, failures).await?;
                    Ok(Outcome::Go)
                })
            })
            .await?;
        match outcome {
            Outcome::Go => Ok(Attempt { account, client, address, _turn: turn }),
            Outcome::Wait(wait) => Err(too_many(wait)),
        }
    }

    /// The attempt was the owner's. The unit of work that follows from it forgets the stored failures.
    pub(crate) async fn attempt_succeeded(&self, attempt: &Attempt) {
        self.addresses().succeeded(attempt.address);
        if let Some(shared) = &self.shared_addresses {
            shared.succeeded(&attempt.client).await;
        }
    }
}

/// 429 `too_many_attempts`, with the time to wait.
pub(super) fn too_many(wait: std::time::Duration) -> Problem {
    metrics::counter!("identity_refused_attempts_total").increment(1);
    Problem::new(ErrorCode::TooManyAttempts).detail("Wait a little before you try again.").retry_after(wait)
}
