//! Whose turn it is to start a conversation: counting a customer's open ones and starting another is one step, whatever
//! instances of the role their connections are at.

use std::{sync::Arc, time::Duration};

use bookworm_registry::{Grant, Leases};
use tokio::time::Instant;

/// How long somebody waits for their turn, and how often they look.
const WAITS: Duration = Duration::from_secs(2);
const LOOKS_EACH: Duration = Duration::from_millis(20);

/// The turns of this instance. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Turns {
    leases: Arc<dyn Leases>,
    holder: String,
}

/// A turn; it ends when it is dropped.
pub(crate) struct Turn {
    turns: Turns,
    grant: Option<Grant>,
}

impl Turns {
    pub(crate) fn new(leases: Arc<dyn Leases>, instance: Option<&str>) -> Self {
        Self { leases, holder: instance.unwrap_or("chat").to_owned() }
    }

    /// Waits until no other instance starts a conversation for this customer. Where leases cannot be asked, and when a turn
    /// does not end, as that of a process that died, this instance goes on by itself: a customer may then have a few more
    /// open than they should, which is better than none.
    pub(crate) async fn take(&self, customer: &str) -> Turn {
        let (name, until) = (format!("chat.start.{customer}"), Instant::now() + WAITS);
        loop {
            match self.leases.acquire(&name, &self.holder).await {
                Ok(Some(grant)) => return Turn { turns: self.clone(), grant: Some(grant) },
                Ok(None) if Instant::now() < until => tokio::time::sleep(LOOKS_EACH).await,
                Ok(None) => {
                    tracing::info!("a turn to start a conversation did not end: this instance goes on without it");
                    return Turn { turns: self.clone(), grant: None };
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::debug!(error, "conversations are counted by this instance alone");
                    return Turn { turns: self.clone(), grant: None };
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(grant) = self.grant.take() else { return };
        let leases = self.turns.leases.clone();
        // Nobody waits for it: when it fails the lease lapses.
        tokio::spawn(async move { leases.release(&grant).await });
    }
}

#[cfg(test)]
mod tests {
    use bookworm_registry::MemoryLeases;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_and_not_for_ever() {
        let leases: Arc<dyn Leases> = Arc::new(MemoryLeases::new());
        let (one, two) = (Turns::new(leases.clone(), Some("one")), Turns::new(leases, Some("two")));
        let turn = one.take("ann").await;
        drop(two.take("bo").await);
        let began = Instant::now();
        assert!(two.take("ann").await.grant.is_none(), "it goes on without");
        assert!((WAITS..WAITS * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
        let waiting = tokio::spawn(async move { two.take("ann").await.grant.is_some() });
        tokio::time::sleep(WAITS / 4).await;
        drop(turn);
        assert!(waiting.await.unwrap());
    }
}
