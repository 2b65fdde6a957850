//! Waiting for what becomes of an order.
//!
//! A checkout's answer waits for the saga. The reaction that decides it mostly runs in this process, and notifies the
//! waiting request right after its commit. Where it runs in another process, the request finds out by polling: so the
//! notification makes waiting fast, and the database makes it right. No transaction is open while somebody waits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bookworm_db::DbError;
use bookworm_kernel::OrderId;
use tokio::{sync::watch, time::Instant};

use crate::{
    domain::status::{OrderStatus, PaymentStatus},
    service::Ordering,
    store::{self, document::Document},
};

/// How often to read the database without a notification.
const POLL: Duration = Duration::from_millis(500);

type Latest = Option<Arc<Document>>;

/// The orders that requests wait for.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<HashMap<OrderId, watch::Sender<Latest>>>);

impl Outcomes {
    fn watched(&self) -> std::sync::MutexGuard<'_, HashMap<OrderId, watch::Sender<Latest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies those who wait of what an order has become.
    pub fn notify(&self, order: Document) {
        if let Some(sender) = self.watched().get(&order.id) {
            sender.send_replace(Some(Arc::new(order)));
        }
    }
}

/// Somebody's wait for one order. Begin it before the order can change.
pub(crate) struct Wait {
    service: Arc<Ordering>,
    id: OrderId,
    changes: watch::Receiver<Latest>,
}

impl Wait {
    /// Subscribes.
    pub fn begin(service: &Arc<Ordering>, id: OrderId) -> Self {
        let mut watched = service.outcomes.watched();
        let changes = watched.entry(id).or_insert_with(|| watch::channel(None).0).subscribe();
        Self { service: service.clone(), id, changes }
    }

    /// Returns when the order has changed, or when `limit` is over.
    pub async fn changed(&mut self, limit: Duration) {
        tokio::select! {
            _ = self.changes.changed() => {}
            () = tokio::time::sleep(limit) => {}
        }
    }

    /// The order once it is [`settled`], or as it is when `limit` is over. `None` when there is no such order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle(mut self, limit: Duration) -> Result<Option<Document>, DbError> {
        let until = Instant::now() + limit;
        let mut notified = true;
        loop {
            let latest = if notified { self.changes.borrow_and_update().clone() } else { None };
            let order = match latest {
                Some(order) => Some(Document::clone(&order)),
                None => store::orders::document(self.service.db.read(), self.id).await?,
            };
            let now = Instant::now();
            if order.as_ref().is_none_or(settled) || now >= until {
                return Ok(order);
            }
            notified = tokio::select! {
                changed = self.changes.changed() => changed.is_ok(),
                () = tokio::time::sleep_until((now + POLL).min(until)) => false,
            };
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut watched = self.service.outcomes.watched();
        // The receiver of this very wait still counts.
        if watched.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            watched.remove(&self.id);
        }
    }
}

/// Whether there is an answer for the customer: the order is decided, or it is their turn.
pub(crate) fn settled(order: &Document) -> bool {
    order.status != OrderStatus::Pending || order.payment.status == PaymentStatus::ActionRequired
}
