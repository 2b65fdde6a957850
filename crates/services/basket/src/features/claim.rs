use bookworm_db::{DbError, Tx};
use bookworm_kernel::{OrderId, Timestamp};
use uuid::Uuid;

use crate::{domain::Claim, service::Baskets, store};

impl Baskets {
    /// Claims a basket, as it was at `version`, for one order: one basket never becomes two orders. Returns the order
    /// to place, see [`Basket::claim`](crate::domain::Basket::claim). Claiming extends the life of a guest's basket.
    pub(crate) async fn claim(&self, basket: Uuid, version: u64, wanted: Claim) -> Result<Option<OrderId>, DbError> {
        let now = wanted.at;
        let granted =
            self.db.transact(move |tx| Box::pin(async move { claim(tx, basket, version, wanted, now).await })).await?;
        let outcome = if granted.is_some() { "granted" } else { "refused" };
        metrics::counter!("basket_claims_total", "outcome" => outcome).increment(1);
        Ok(granted)
    }

    /// Ends the claim of an order; returns whether there was one. The order must be off for good: nothing else is
    /// asked.
    pub(crate) async fn release(&self, basket: Uuid, order: OrderId) -> Result<bool, DbError> {
        let now = self.now();
        self.db.transact(move |tx| Box::pin(async move { release(tx, basket, order, now).await })).await
    }
}

async fn claim(tx: &Tx, basket: Uuid, version: u64, wanted: Claim, now: Timestamp) -> Result<Option<OrderId>, DbError> {
    let Some(mut stored) = store::lock_successor(tx, basket).await?.filter(|stored| stored.basket.id == basket) else {
        // Gone, or merged since it was read: whoever asks must read again.
        return Ok(None);
    };
    let granted = stored.basket.claim(wanted, version);
    if granted.is_some() {
        store::update(tx, &stored.basket, now).await?;
    }
    Ok(granted)
}

/// As [`Baskets::release`], in a unit of work of the caller's.
pub(crate) async fn release(tx: &Tx, basket: Uuid, order: OrderId, now: Timestamp) -> Result<bool, DbError> {
    let Some(mut stored) = store::lock_successor(tx, basket).await? else { return Ok(false) };
    let released = stored.basket.release(order);
    if released {
        store::update(tx, &stored.basket, now).await?;
    }
    Ok(released)
}
