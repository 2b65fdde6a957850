use std::{
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
};

use futures::FutureExt;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{ASK_AGAIN_AFTER, Grant, Leases, RENEW_EACH, STEP_DOWN_AFTER, ask, pause};

/// Does `work` while this process holds the lease `name`, again and again, until `stop`.
///
/// `work` gets the fencing number and a token that is cancelled when the process steps down: because of `stop`, because
/// somebody else has the lease, or [`STEP_DOWN_AFTER`] the last good renewal. It must end soon after that, and not
/// before; where it does end before, this returns as well, so that its supervisor sees it. The lease is given back when
/// the work has ended.
pub async fn lead<F, Fut>(leases: &dyn Leases, name: &str, holder: &str, stop: &CancellationToken, work: F)
where
    F: Fn(u64, CancellationToken) -> Fut,
    Fut: Future<Output = ()>,
{
    let led = metrics::gauge!("lease_held", "lease" => name.to_owned());
    led.set(0.0);
    while !stop.is_cancelled() {
        let asked = Instant::now();
        let grant = match ask(leases.acquire(name, holder)).await {
            Ok(Some(grant)) => grant,
            Ok(None) => {
                pause(RENEW_EACH, stop).await;
                continue;
            }
            Err(error) => {
                tracing::debug!(lease = name, %error, "a lease could not be asked for");
                pause(RENEW_EACH, stop).await;
                continue;
            }
        };
        tracing::debug!(lease = name, fence = grant.fence, "a lease was granted");
        led.set(1.0);
        let mut tenure = Tenure { leases, grant, renewed: asked };
        let over = stop.child_token();
        let (outcome, lost) = {
            // A panic is passed on once the lease is given back, so that whoever begins the work again need not wait for it.
            let fence = tenure.grant.fence;
            let guarded = AssertUnwindSafe(async { work(fence, over.clone()).await });
            let mut working = pin!(guarded.catch_unwind());
            tokio::select! {
                outcome = &mut working => (outcome, false),
                () = tenure.until_lost() => {
                    tracing::warn!(lease = name, "a lease is lost: another instance does its work");
                    led.set(0.0);
                    over.cancel();
                    (working.await, true)
                }
            }
        };
        led.set(0.0);
        tenure.end().await;
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(()) if !lost => return,
            Ok(()) => {}
        }
    }
}

/// The time during which a process holds a lease.
struct Tenure<'a> {
    leases: &'a dyn Leases,
    grant: Grant,
    /// When the last good renewal was sent.
    renewed: Instant,
}

impl Tenure<'_> {
    /// Renews until the lease is lost, or may be soon.
    async fn until_lost(&mut self) {
        let mut next = self.renewed + RENEW_EACH;
        loop {
            let step_down = self.renewed + STEP_DOWN_AFTER;
            if timeout_at(step_down, tokio::time::sleep_until(next)).await.is_err() {
                return;
            }
            let asked = Instant::now();
            match timeout_at(step_down, ask(self.leases.renew(&self.grant))).await {
                Ok(Ok(Some(grant))) => {
                    self.grant = grant;
                    self.renewed = asked;
                    next = asked + RENEW_EACH;
                }
                Ok(Ok(None)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::debug!(lease = self.grant.name, %error, "a lease could not be renewed");
                    next = Instant::now() + ASK_AGAIN_AFTER;
                }
            }
        }
    }

    async fn end(&self) {
        if let Err(error) = ask(self.leases.release(&self.grant)).await {
            tracing::debug!(lease = self.grant.name, %error, "a lease could not be given back: it lapses");
        }
    }
}
