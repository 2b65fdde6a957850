//! A unit of work on one order: events, projection and messages are written together or not at all.

use std::{error::Error, sync::Arc};

use bookworm_contracts::{
    commands::{AuthorisePayment, CapturePayment, ReleaseStock, ReserveStock, StockLine, VoidPayment},
    events::ordering as published,
};
use bookworm_db::{DbError, Tx};
use bookworm_eventstore::{Aggregate, AppendError, Loaded};
use bookworm_http::Problem;
use bookworm_kernel::{Cause, ErrorCode, FieldError, OrderId, Timestamp};
use bookworm_messaging::{Message, ReactionError};

use crate::{
    domain::{
        checkout_saga::Action,
        coupon::Refusal,
        event::{Actor, Address, Author, OrderEvent, OrderLine, Placement},
        order::{Decided, Order, OrderError},
    },
    service::Ordering,
    store::{
        self,
        coupons::{self, Redeemer},
        document::Document,
    },
};

/// Why a unit of work on an order was given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    /// The rules do not permit it.
    #[error(transparent)]
    Refused(#[from] OrderError),
    /// Somebody else changed the order at the same moment: load it and decide again.
    #[error("somebody changed the order at the same moment")]
    Conflict,
    /// There is no such order.
    #[error("there is no order {0}")]
    NoSuchOrder(OrderId),
    /// The number was given to another order: draw again.
    #[error("the order number is taken")]
    NumberTaken,
    /// A tombstone says that this order is never placed: place another.
    #[error("the order can never be placed any more")]
    Tombstone,
    /// The coupon may not be used for this order.
    #[error("the coupon is refused: {0}")]
    Coupon(Refusal),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<AppendError> for WorkError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict { .. } => Self::Conflict,
            AppendError::Db(error) => Self::Db(error),
        }
    }
}

impl From<WorkError> for Problem {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Refused(error @ OrderError::NotPermitted { status, .. }) => {
                Self::new(ErrorCode::InvalidOrderState).detail(error.to_string()).with("status", status.as_str())
            }
            WorkError::Refused(error @ (OrderError::NotPaid | OrderError::Free)) => {
                Self::new(ErrorCode::InvalidOrderState).detail(error.to_string())
            }
            WorkError::Refused(error @ OrderError::RefundAmount { .. }) => {
                Self::validation(vec![FieldError::new("/amount", error)])
            }
            WorkError::Refused(error @ (OrderError::Inconsistent(_) | OrderError::Money(_))) => Self::internal(&error),
            WorkError::Conflict | WorkError::NumberTaken | WorkError::Tombstone => {
                Self::new(ErrorCode::ConcurrentChange)
            }
            WorkError::Refused(OrderError::RefundCopies { at, most }) => {
                let message = format!("must be a book of the order, once, and at most {most} copies of it");
                Self::validation(vec![FieldError::new(format!("/lines/{at}"), message)])
            }
            WorkError::Coupon(refusal) => coupon_refused(&refusal),
            WorkError::NoSuchOrder(_) => Self::not_found("order"),
            WorkError::Db(error) => error.into(),
        }
    }
}

/// 422: the code takes nothing off, and which rule says so.
pub(crate) fn coupon_refused(refusal: &Refusal) -> Problem {
    metrics::counter!("ordering_coupons_refused_total", "rule" => refusal.rule()).increment(1);
    let mut problem = Problem::new(ErrorCode::CouponRefused).detail(refusal.to_string()).with("rule", refusal.rule());
    if let Refusal::Minimum(minimum) = refusal {
        problem = problem.with("minimum", serde_json::json!(minimum));
    }
    problem.field(FieldError::new("/coupon", refusal.to_string()))
}

impl From<WorkError> for ReactionError {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Refused(_) | WorkError::NoSuchOrder(_) | WorkError::Coupon(_) => Self::refuse(error.to_string()),
            WorkError::Conflict | WorkError::NumberTaken | WorkError::Tombstone => Self::retry(error.to_string()),
            WorkError::Db(error) => error.into(),
        }
    }
}

/// One order within one unit of work. Loads it when it is first needed, applies and publishes what is decided, and
/// [`Work::finish`] appends the events and brings the projection up to date.
///
/// [`Work::by`] says for whom; the name is stored beside the events, for staff who read the order's history.
pub(crate) struct Work<'t> {
    service: &'t Arc<Ordering>,
    tx: &'t Tx,
    cause: Cause,
    author: Option<Author>,
    now: Timestamp,
    id: OrderId,
    order: Option<Loaded<Order>>,
    decided: Vec<OrderEvent>,
}

impl<'t> Work<'t> {
    /// Work on an order that exists.
    pub fn on(service: &'t Arc<Ordering>, tx: &'t Tx, cause: Cause, id: OrderId) -> Self {
        Self { service, tx, cause, author: None, now: service.now(), id, order: None, decided: Vec::new() }
    }

    /// On behalf of somebody with an account.
    #[must_use]
    pub fn by(mut self, author: Option<Author>) -> Self {
        self.author = author;
        self
    }

    /// Places a new order.
    pub async fn place(
        service: &'t Arc<Ordering>,
        tx: &'t Tx,
        cause: Cause,
        placement: Placement,
    ) -> Result<Self, WorkError> {
        let mut work = Self::on(service, tx, cause, placement.order_id);
        if let Some(coupon) = &placement.coupon {
            let redeemer = Redeemer::new(placement.customer_id, Some(&placement.email));
            let refusal = coupons::take(tx, &coupon.code, placement.order_id, &redeemer, work.now).await?;
            if let Some(refusal) = refusal {
                return Err(WorkError::Coupon(refusal));
            }
        }
        work.order = Some(Loaded { state: Order::default(), version: 0 });
        work.decide(|_| Order::place(placement)).await?;
        Ok(work)
    }

    /// Lets the order decide.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn decide(&mut self, decide: impl FnOnce(&Order) -> Decided) -> Result<(), WorkError> {
        let events = decide(self.order().await?)?;
        for event in events {
            let now = self.now;
            let Some(order) = &mut self.order else { return Err(WorkError::NoSuchOrder(self.id)) };
            order.state.apply(&event, now);
            self.publish(&event).await?;
            self.decided.push(event);
        }
        Ok(())
    }

    /// Lets the order note a fact that another service reported. One that contradicts what the order knows is logged
    /// and not noted: refusing it would not undo it, and reconciliation shows it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note(&mut self, note: impl FnOnce(&Order) -> Decided) -> Result<(), WorkError> {
        match self.decide(note).await {
            Err(WorkError::Refused(error)) => {
                metrics::counter!("ordering_contradictions_total").increment(1);
                tracing::error!(order_id = %self.id, error = &error as &dyn Error, "a fact contradicts the order");
                Ok(())
            }
            other => other,
        }
    }

    /// Does what the checkout saga wants done.
    pub async fn perform(&mut self, actions: Vec<Action>) -> Result<(), WorkError> {
        let order_id = self.id;
        for action in actions {
            match action {
                Action::SendReserve => {
                    let lines = self.order().await?.placement().map_or_else(Vec::new, |placement| {
                        let line = |line: &OrderLine| StockLine { book_id: line.book_id, quantity: line.quantity };
                        placement.lines.iter().map(line).collect()
                    });
                    self.send(&ReserveStock { order_id, lines }).await?;
                }
                Action::SendAuthorise(charge) => {
                    let command = AuthorisePayment {
                        order_id,
                        order_number: charge.order_number,
                        customer_id: charge.customer_id,
                        amount: charge.amount,
                        token: charge.token,
                        return_path: self.service.keys.link(order_id),
                    };
                    self.send(&command).await?;
                }
                Action::SendCapture => self.send(&CapturePayment { order_id }).await?,
                Action::SendRelease => self.send(&ReleaseStock { order_id }).await?,
                Action::SendVoid => self.send(&VoidPayment { order_id }).await?,
                Action::ConfirmOrder => self.decide(Order::confirm).await?,
                Action::RejectOrder { code, reason, short } => {
                    self.decide(|order| order.reject(code.as_str(), &reason, &short)).await?;
                }
                Action::CancelOrder { reason, by } => self.decide(|order| order.cancel(&reason, by)).await?,
                Action::FailCapture { reason } => self.decide(|order| order.fail_capture(&reason)).await?,
                Action::NoteActionRequired { action_url } => {
                    self.decide(|order| order.note_action_required(&action_url)).await?;
                }
                Action::NoteCaptured { amount } => self.note(|order| order.note_captured(amount)).await?,
                Action::NoteVoided => self.note(Order::note_voided).await?,
            }
        }
        Ok(())
    }

    /// Leaves a message in the outbox.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn send(&self, message: &impl Message) -> Result<(), WorkError> {
        self.service.outbox.put(self.tx, &self.cause, message).await?;
        Ok(())
    }

    /// Appends what was decided, brings the projection up to date, and notifies those who wait for the order once all
    /// of it is durable. Returns the order, with what may be done with it now.
    ///
    /// # Errors
    /// [`WorkError::Conflict`] and [`WorkError::NumberTaken`], upon which the unit of work must be tried again.
    pub async fn finish(mut self) -> Result<Document, WorkError> {
        self.order().await?;
        let Some(Loaded { state, version: before }) = self.order else { return Err(WorkError::NoSuchOrder(self.id)) };
        let stream = self.id.uuid();
        let metadata = self.author.as_ref().map(|author| serde_json::json!({ "by": author }));
        let (cause, metadata) = (&self.cause, metadata.as_ref());
        let version =
            bookworm_eventstore::append::<Order>(self.tx, stream, before, &self.decided, cause, metadata, self.now)
                .await?;
        let order = Loaded { state, version };
        let document =
            Document::of(&order.state, version).ok_or_else(|| DbError::Corrupt(format!("order {}", self.id)))?;
        if version == before {
            return Ok(document);
        }
        let row = store::orders::Row::of(&order, &document)?;
        if before == 0 {
            if !store::orders::insert(self.tx, row).await? {
                return Err(WorkError::NumberTaken);
            }
        } else {
            store::orders::update(self.tx, row).await?;
        }
        let (service, changed) = (self.service.clone(), document.clone());
        self.tx.after_commit(move || service.outcomes.notify(changed));
        Ok(document)
    }

    /// As [`Work::finish`]; an order about which nothing was decided is not even loaded.
    ///
    /// # Errors
    /// As [`Work::finish`].
    pub async fn finish_if_decided(self) -> Result<(), WorkError> {
        if !self.decided.is_empty() {
            self.finish().await?;
        }
        Ok(())
    }

    /// The order, with what was decided so far.
    ///
    /// # Errors
    /// When there is none, or the database fails.
    pub async fn order(&mut self) -> Result<&Order, WorkError> {
        if self.order.is_none() {
            let found: Option<Loaded<Order>> = bookworm_eventstore::load(self.tx, self.id.uuid()).await?;
            let found = found.ok_or(WorkError::NoSuchOrder(self.id))?;
            // An order's events are in the order of their times, even where the clocks of two machines disagree.
            self.now = self.now.max(found.state.updated_at());
            self.order = Some(found);
        }
        self.order.as_ref().map(|order| &order.state).ok_or(WorkError::NoSuchOrder(self.id))
    }

    /// Publishes what other services need to know, and gives back the coupon of an order that does not stand. What happens inside a payment is published by finance.
    async fn publish(&mut self, event: &OrderEvent) -> Result<(), WorkError> {
        let link = self.service.keys.link(self.id);
        let state = self.order().await?;
        let summary =
            || summary(state, link).ok_or_else(|| DbError::Corrupt("an order that was never placed".to_owned()));
        let name = match event {
            OrderEvent::OrderCreated(_) => {
                let order = summary()?;
                self.send(&published::OrderCreated { order }).await?;
                "created"
            }
            OrderEvent::OrderConfirmed => {
                let order = summary()?;
                self.send(&published::OrderConfirmed { order }).await?;
                "confirmed"
            }
            OrderEvent::OrderRejected { code, reason, .. } => {
                let order = summary()?;
                coupons::give_back(self.tx, self.id, self.now).await?;
                self.send(&published::OrderRejected { order, code: code.clone(), reason: reason.clone() }).await?;
                "rejected"
            }
            OrderEvent::OrderCancelled { reason, by } => {
                let (order, confirmed) = (summary()?, state.was_confirmed());
                coupons::give_back(self.tx, self.id, self.now).await?;
                // A buyer's own words are stored with the order; they do not go into a mail.
                let reason = if *by == Actor::Customer { String::new() } else { reason.clone() };
                self.send(&published::OrderCancelled { order, reason, confirmed }).await?;
                "cancelled"
            }
            OrderEvent::OrderShipped { tracking } => {
                let order = summary()?;
                self.send(&published::OrderShipped { order, tracking: tracking.clone() }).await?;
                "shipped"
            }
            OrderEvent::OrderCompleted => {
                let order = summary()?;
                self.send(&published::OrderCompleted { order }).await?;
                "completed"
            }
            OrderEvent::OrderRefunded { refund_id, amount } => {
                let reason = state.refund(*refund_id).map_or_else(String::new, |refund| refund.reason.clone());
                let order = summary()?;
                self.send(&published::OrderRefunded { order, amount: *amount, reason }).await?;
                "refunded"
            }
            OrderEvent::PaymentActionRequired { .. } => {
                self.send(&published::OrderActionRequired { order_id: self.id }).await?;
                return Ok(());
            }
            OrderEvent::PaymentAuthorised
            | OrderEvent::PaymentCaptured { .. }
            | OrderEvent::CaptureFailed { .. }
            | OrderEvent::PaymentVoided
            | OrderEvent::RefundRequested { .. }
            | OrderEvent::RefundFailed { .. } => return Ok(()),
        };
        self.tx.after_commit(move || metrics::counter!("orders_total", "event" => name).increment(1));
        Ok(())
    }
}

/// The part that every integration event repeats. `link` is the path of the order's page with its key. `None` before
/// the first event.
fn summary(order: &Order, link: String) -> Option<published::OrderSummary> {
    let placed = order.placement()?;
    Some(published::OrderSummary {
        order_id: placed.order_id,
        number: placed.number.to_string(),
        customer_id: placed.customer_id,
        email: placed.email.clone(),
        name: placed.shipping_address.name.clone(),
        shipping_address: Some(published_address(placed.shipping_address.clone())),
        basket_id: placed.basket_id,
        lines: placed.lines.iter().cloned().map(published_line).collect(),
        subtotal: placed.subtotal,
        shipping: placed.shipping,
        tax: placed.tax,
        tax_included: placed.tax_included,
        discount: Some(placed.discount).filter(|discount| discount.amount > 0),
        coupon: placed.coupon.as_ref().map(|coupon| coupon.code.to_string()),
        total: placed.total,
        link,
        placed_at: placed.placed_at,
        placed_from: placed.placed_from.clone(),
    })
}

fn published_line(line: OrderLine) -> published::OrderedLine {
    let OrderLine { book_id, title, language, quantity, unit_price, line_total, discount: _ } = line;
    published::OrderedLine { book_id, title, language, quantity, unit_price, line_total }
}

fn published_address(address: Address) -> published::Address {
    let Address { name, line1, line2, city, region, postal_code, country } = address;
    published::Address { name, line1, line2, city, region, postal_code, country }
}
