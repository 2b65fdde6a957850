use std::net::IpAddr;

use bookworm_db::DbError;
use bookworm_http::{Problem, Result};
use bookworm_kernel::{Email, ErrorCode};

use crate::{
    IdentityService,
    domain::{Failures, fingerprint, network},
    store,
};

/// An attempt to prove a password, which counts as failed until it succeeds.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// Fingerprint of the address at sign-in, whether or not it has an account.
    pub account: String,
    /// Fingerprint of the client's network.
    pub client: String,
    address: IpAddr,
}

enum Outcome {
    Go,
    Wait(std::time::Duration),
}

impl IdentityService {
    /// Begins an attempt for the account that somebody claims to have.
    ///
    /// # Errors
    /// 429 `too_many_attempts` with `Retry-After` when this client has failed too often lately.
    pub(crate) async fn begin_attempt(&self, claimed: &str, address: IpAddr) -> Result<Attempt> {
        let now = self.now();
        let limited = self.addresses().attempt(address, now);
        if let Err(wait) = limited {
            return Err(too_many(wait));
        }
        let key = Email::parse(claimed).map_or_else(|_| claimed.trim().to_lowercase(), |email| email.key());
        let attempt = Attempt {
            account: fingerprint(key.as_bytes()),
            client: fingerprint(network(address).to_string().as_bytes()),
            address,
        };
        let (counted, patience) = (attempt.clone(), self.0.patience);
        let outcome = self
            .db()
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    let before = store::lock_failures(tx, &counted.account, &counted.client).await?;
                    if let Some(wait) = before.and_then(|failures| failures.wait(now, patience)) {
                        return Ok(Outcome::Wait(wait));
                    }
                    let failures = Failures::after_attempt(before, now);
                    store::store_failures(tx, &counted.account, &counted.client, failures).await?;
                    Ok(Outcome::Go)
                })
            })
            .await?;
        match outcome {
            Outcome::Go => Ok(attempt),
            Outcome::Wait(wait) => Err(too_many(wait)),
        }
    }

    /// The attempt was the owner's. The unit of work that follows from it forgets the stored failures.
    pub(crate) fn attempt_succeeded(&self, attempt: &Attempt) {
        self.addresses().succeeded(attempt.address);
    }
}

/// 429 `too_many_attempts`, with the time to wait.
pub(super) fn too_many(wait: std::time::Duration) -> Problem {
    metrics::counter!("identity_refused_attempts_total").increment(1);
    Problem::new(ErrorCode::TooManyAttempts).detail("Wait a little before you try again.").retry_after(wait)
}
