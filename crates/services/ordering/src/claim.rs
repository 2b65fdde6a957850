//! The claim of a checkout on its basket: what stands against it, getting it, and giving it up. The rules are in
//! `domain/claim.rs`.

use std::{sync::Arc, time::Duration};

use bookworm_contracts::grpc::basket::GetBasketResponse;
use bookworm_db::DbError;
use bookworm_http::{IdempotencyKey, Problem, Result};
use bookworm_kernel::{Cause, CustomerId, ErrorCode, OrderId};
use http::header;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::{
    domain::{
        claim::{ClaimingOrder, Verdict, judge},
        status::{OrderStatus, PaymentStatus},
    },
    purchase::contradiction,
    service::{Ordering, outcomes::Wait},
    shopper::Shopper,
    store::{document::Document, order_ids, orders},
};

/// How long a checkout waits for another's order to be placed, so that the refusal can name it.
const PLACED_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it looks, beside being notified: the order may be placed by another process.
const POLL: Duration = Duration::from_millis(250);

/// Names a request towards the basket: the same for each repeat of it. Reveals neither its key nor its shopper.
pub(crate) fn claimant(scope: &str, key: &IdempotencyKey) -> String {
    let mut hash = Sha256::new();
    hash.update(scope);
    hash.update([0]);
    hash.update(&key.0);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An order, and what its shopper needs to look at it.
pub(crate) struct UnderWay {
    /// The order.
    pub order: Document,
    /// Its access key, where the shopper needs it.
    pub access_key: Option<String>,
    /// Its address in the API.
    pub location: String,
}

impl UnderWay {
    /// The order of a basket, for whoever has the basket. Somebody who signed in after ordering as a guest needs the
    /// key.
    fn of(service: &Arc<Ordering>, shopper: &Shopper, customer_id: Option<CustomerId>, order: Document) -> Self {
        let id = order.id;
        let own = customer_id.is_some() && shopper.customer_id() == customer_id;
        let access_key = (!own).then(|| service.keys.key(id));
        let location = match &access_key {
            Some(key) => format!("/api/v1/orders/{id}?key={key}"),
            None => format!("/api/v1/orders/{id}"),
        };
        Self { order, access_key, location }
    }
}

impl UnderWay {
    fn state(&self) -> ClaimingOrder {
        ClaimingOrder::placed(self.order.status, self.order.was_confirmed())
    }
}

impl From<UnderWay> for Problem {
    /// 409: the basket has become that order.
    fn from(UnderWay { order, access_key, location }: UnderWay) -> Self {
        let number = &order.number;
        let awaits_customer = order.payment.status == PaymentStatus::ActionRequired;
        let detail = match order.status {
            OrderStatus::Pending if awaits_customer => format!(
                "Order {number} of this basket waits for you to confirm its payment with your bank. Confirm it, or \
                 cancel that order and check out again."
            ),
            OrderStatus::Pending => format!("Order {number} of this basket is being worked on."),
            _ => format!("This basket was bought with order {number}."),
        };
        let mut problem = Self::new(ErrorCode::OrderInProgress)
            .detail(detail)
            .with("order_id", order.id.to_string())
            .with("order_number", order.number)
            .with("order_status", order.status.as_str())
            .header(header::LOCATION, location);
        if let Some(key) = access_key {
            problem = problem.with("access_key", key);
        }
        match order.payment.action_url.filter(|_| order.status == OrderStatus::Pending) {
            Some(url) => problem.with("action_url", json!(url)),
            None => problem,
        }
    }
}

impl Ordering {
    /// Ends claims of others than `claimant` on the basket: those of orders that are off, and, once a tombstone is
    /// written, those of orders that were never placed. Returns whether any was ended: then the basket must be read
    /// again.
    ///
    /// # Errors
    /// 409 `order_in_progress` with the order that has the basket; 409 `request_in_progress` while that order is about
    /// to be placed; 503 `unavailable`.
    pub(crate) async fn clear_claims(
        self: &Arc<Self>,
        cause: &Cause,
        shopper: &Shopper,
        basket: &GetBasketResponse,
        claimant: &str,
    ) -> Result<bool> {
        let mut ended = false;
        for claim in basket.claims.iter().filter(|claim| claim.claimant != claimant) {
            let id = claim.order_id.parse().map_err(|error| contradiction("a claim of no order", &error))?;
            self.end_claim(id, Duration::from_millis(claim.age_ms), shopper).await?;
            self.clients.release(cause, &basket.basket_id, id).await?;
            ended = true;
        }
        Ok(ended)
    }

    /// Returns once the order is known to be off for good.
    async fn end_claim(self: &Arc<Self>, id: OrderId, age: Duration, shopper: &Shopper) -> Result<()> {
        let began = Instant::now();
        // Subscribes before the first look, so that no change is missed.
        let mut wait = Wait::begin(self, id);
        loop {
            let found = self.placed(shopper, id).await?;
            let state = match &found {
                Some(found) => found.state(),
                None if order_ids::has_tombstone(self.db.read(), id).await? => ClaimingOrder::Tombstone,
                None => ClaimingOrder::Unknown { age: age + began.elapsed() },
            };
            match judge(state) {
                Verdict::Release => return Ok(()),
                Verdict::Refuse => {
                    let found = found.ok_or_else(|| Problem::not_found("order"))?;
                    metrics::counter!("ordering_second_checkouts_total").increment(1);
                    return Err(found.into());
                }
                Verdict::WriteTombstone => {
                    if self.write_tombstone(id).await? {
                        tracing::info!(order_id = %id, "an order that had claimed its basket was never placed");
                        return Ok(());
                    }
                }
                Verdict::Wait => {}
            }
            if began.elapsed() > PLACED_TIMEOUT {
                return Err(Problem::new(ErrorCode::RequestInProgress)
                    .detail("Another checkout of this basket has just begun. Ask again in a moment.")
                    .retry_after(Duration::from_secs(2)));
            }
            wait.changed(POLL).await;
        }
    }

    /// Gives up a claim whose order was not placed, as far as that is possible now; what is left of it ends when
    /// somebody checks the basket out again.
    pub(crate) async fn give_up_claim(self: &Arc<Self>, cause: &Cause, basket_id: &str, id: OrderId) {
        let given_up = async {
            if self.write_tombstone(id).await? {
                self.clients.release(cause, basket_id, id).await?;
            }
            Ok::<_, Problem>(())
        };
        if let Err(problem) = given_up.await {
            tracing::warn!(order_id = %id, code = %problem.code(), "a claim could not be given up");
        }
    }

    /// The order that is being made of the shopper's basket, while it is not decided.
    pub(crate) async fn under_way(self: &Arc<Self>, cause: &Cause, shopper: &Shopper) -> Result<Option<UnderWay>> {
        let basket = self.clients.basket(cause, shopper).await?;
        for claim in &basket.claims {
            let id = claim.order_id.parse().map_err(|error| contradiction("a claim of no order", &error))?;
            let found = self.placed(shopper, id).await?;
            if let Some(found) = found.filter(|found| found.state() == ClaimingOrder::Undecided) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn placed(self: &Arc<Self>, shopper: &Shopper, id: OrderId) -> Result<Option<UnderWay>> {
        let Some(found) = orders::find(self.db.read(), id).await? else { return Ok(None) };
        let customer_id = found.customer_id.map(CustomerId::from_uuid);
        Ok(Some(UnderWay::of(self, shopper, customer_id, found.document()?)))
    }

    /// Makes sure that an order is never placed; `false` when it was.
    async fn write_tombstone(self: &Arc<Self>, id: OrderId) -> Result<bool, DbError> {
        let now = self.now();
        self.db.transact(move |tx| Box::pin(async move { order_ids::write_tombstone(tx, id, now).await })).await
    }
}
