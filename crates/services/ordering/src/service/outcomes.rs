//! Waiting for what becomes of an order.
//!
//! A checkout's answer waits for the saga. Where the reaction that decides it runs in this process, it notifies the
//! waiting request right after its commit. Where it runs in another, the order's event does, which each process
//! follows. Notifications make waiting fast, and polling the database makes it right. No transaction is open while
//! somebody waits.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering as Atomic},
    },
    time::Duration,
};

use bookworm_contracts::events::ordering::{OrderActionRequired, OrderCancelled, OrderConfirmed, OrderRejected};
use bookworm_db::DbError;
use bookworm_kernel::OrderId;
use bookworm_messaging::{Consumer, Message};
use tokio::{sync::watch, time::Instant};

use crate::{
    domain::status::{OrderStatus, PaymentStatus},
    service::Ordering,
    store::{self, document::Document},
};

/// How often to read the database without a notification.
const POLL: Duration = Duration::from_millis(500);
/// The same where the events of other processes are followed.
const POLL_FOLLOWED: Duration = Duration::from_secs(5);

type Latest = Option<Arc<Document>>;

/// The orders that requests wait for.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    watched: Mutex<HashMap<OrderId, watch::Sender<Latest>>>,
    followed: AtomicBool,
}

impl Outcomes {
    fn watched(&self) -> std::sync::MutexGuard<'_, HashMap<OrderId, watch::Sender<Latest>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies those who wait of what an order has become.
    pub fn notify(&self, order: Document) {
        if let Some(sender) = self.watched().get(&order.id) {
            sender.send_replace(Some(Arc::new(order)));
        }
    }

    /// Has those who wait for an order read it again: another process changed it.
    fn changed_elsewhere(&self, order: OrderId) {
        if let Some(sender) = self.watched().get(&order) {
            sender.send_replace(None);
        }
    }

    /// The same for all orders: some changes may have been missed.
    fn missed(&self) {
        self.watched().values().for_each(|sender| drop(sender.send_replace(None)));
    }

    fn poll(&self) -> Duration {
        if self.followed.load(Atomic::Relaxed) { POLL_FOLLOWED } else { POLL }
    }
}

/// Follows what other processes decide.
pub(crate) fn follower(service: &Arc<Ordering>) -> Consumer {
    service.outcomes.followed.store(true, Atomic::Relaxed);
    let missed = service.clone();
    let consumer = Consumer::each_instance("ordering.outcomes", move || {
        missed.outcomes.missed();
        async {}
    });
    let consumer = wake_on(consumer, service, |event: &OrderActionRequired| event.order_id);
    let consumer = wake_on(consumer, service, |event: &OrderConfirmed| event.order.order_id);
    let consumer = wake_on(consumer, service, |event: &OrderRejected| event.order.order_id);
    wake_on(consumer, service, |event: &OrderCancelled| event.order.order_id)
}

fn wake_on<M: Message>(consumer: Consumer, service: &Arc<Ordering>, order: fn(&M) -> OrderId) -> Consumer {
    let service = service.clone();
    consumer.on::<M, _, _>(move |message| {
        service.outcomes.changed_elsewhere(order(&message.body));
        async { Ok(()) }
    })
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
        let (until, poll) = (Instant::now() + limit, self.service.outcomes.poll());
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
                () = tokio::time::sleep_until((now + poll).min(until)) => false,
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
