use bookworm_db::{DbError, Tx};
use bookworm_kernel::{CustomerId, Timestamp};

use super::TRIES;
use crate::{
    domain::{Basket, GuestToken, TokenHash},
    service::Baskets,
    store::{self, Owner},
};

impl Baskets {
    /// Moves a guest's lines into the customer's basket; returns how many. The guest's secret opens nothing
    /// afterwards, so a repeat moves nothing.
    pub(crate) async fn merge_guest(&self, customer: CustomerId, guest: &GuestToken) -> Result<usize, DbError> {
        let guest = Owner::Guest(guest.hash());
        // A browser sends its old cookie for a while: that costs a read and no write.
        if store::find(self.db.read(), &guest).await?.is_none() {
            return Ok(0);
        }
        let Owner::Guest(hash) = guest else { return Ok(0) };
        let now = self.now();
        let merged = self.db.transact(move |tx| Box::pin(async move { merge(tx, customer, hash, now).await })).await?;
        metrics::counter!("basket_lines_merged_total").increment(merged as u64);
        Ok(merged)
    }
}

/// Locks the customer's basket before the guest's, always, so that two merges cannot wait for each other.
async fn merge(tx: &Tx, customer: CustomerId, guest: TokenHash, now: Timestamp) -> Result<usize, DbError> {
    let (owner, guest) = (Owner::Customer(customer), Owner::Guest(guest));
    for _ in 0..TRIES {
        let theirs = store::lock(tx, &owner).await?;
        let Some(from) = store::lock(tx, &guest).await? else { return Ok(0) };
        let is_new = theirs.is_none();
        let mut basket = theirs.map_or_else(Basket::new, |stored| stored.basket);
        let merged = basket.merge(&from.basket);
        if is_new {
            if !store::insert(tx, &owner, &basket, now).await? {
                continue;
            }
        } else {
            store::update(tx, &basket, now).await?;
        }
        store::retire(tx, from.basket.id, basket.id, now).await?;
        return Ok(merged);
    }
    Err(DbError::Busy)
}
