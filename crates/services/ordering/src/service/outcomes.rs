//! Waiting for what becomes of an order.
//!
//! A checkout's answer waits for the saga. The reaction that brings the news runs in this process, mostly, and tells the
//! waiting request right after its commit. Where it runs in another process, the request finds out by looking: so the
//! watch makes waiting fast, and the database makes it right. No transaction is open while somebody waits.

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

/// How often to look without having been told.
const POLL: Duration = Duration::from_millis(500);

type Latest = Option<Arc<Document>>;

/// The orders that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<HashMap<OrderId, watch::Sender<Latest>>>);

impl Outcomes {
    fn watched(&self) -> std::sync::MutexGuard<'_, HashMap<OrderId, watch::Sender<Latest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait what an order has become.
    pub fn tell(&self, order: Document) {
        if let Some(sender) = self.watched().get(&order.id) {
            sender.send_replace(Some(Arc::new(order)));
        }
    }
}

/// Somebody's wait for one order. Begin it before the order can change.
pub(crate) struct Wait {
    service: Arc<Ordering>,
    id: OrderId,
    news: watch::Receiver<Latest>,
}

impl Wait {
    /// Begins to listen.
    pub fn begin(service: &Arc<Ordering>, id: OrderId) -> Self {
        let mut watched = service.outcomes.watched();
        let news = watched.entry(id).or_insert_with(|| watch::channel(None).0).subscribe();
        Self { service: service.clone(), id, news }
    }

    /// Returns when there is news, or when `limit` is over.
    pub async fn news(&mut self, limit: Duration) {
        tokio::select! {
            _ = self.news.changed() => {}
            () = tokio::time::sleep(limit) => {}
        }
    }

    /// The order once it is [`settled`], or as it is when `limit` is over. `None` when there is no such order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle(mut self, limit: Duration) -> Result<Option<Document>, DbError> {
        let until = Instant::now() + limit;
        let mut told = true;
        loop {
            let latest = if told { self.news.borrow_and_update().clone() } else { None };
            let order = match latest {
                Some(order) => Some(Document::clone(&order)),
                None => store::orders::document(self.service.db.read(), self.id).await?,
            };
            let now = Instant::now();
            if order.as_ref().is_none_or(settled) || now >= until {
                return Ok(order);
            }
            told = tokio::select! {
                changed = self.news.changed() => changed.is_ok(),
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
