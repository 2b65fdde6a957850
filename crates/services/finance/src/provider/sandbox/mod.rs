//! A payment provider to try the shop with: it behaves like another company, with durable books of its own, test
//! cards, a 3-D Secure page and webhooks. It takes nobody's money.

mod pages;
mod store;
mod webhooks;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use bookworm_config as settings;
use bookworm_contracts::rest::ordering::PaymentMethod;
use bookworm_db::{Db, DbError, Tx};
use bookworm_kernel::{Clock, Money, PaymentId, Timestamp};
use bookworm_loops::Loop;
use futures::future::BoxFuture;
use rand::Rng;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use self::store::Row;
pub use self::webhooks::{RouterSender, Webhook, WebhookSender};
use super::{
    AuthoriseRequest, PaymentProvider, PaymentRef, ProviderError, ProviderPayment, Subject, WebhookError, WebhookEvent,
    WebhookRequest,
};
use crate::domain::signature::{self, InvalidSignature};

/// Where the sandbox posts its webhooks.
pub const WEBHOOK_PATH: &str = "/api/v1/payments/webhooks/sandbox";

/// Approves at once.
pub const TOK_APPROVE: &str = "tok_approve";
/// Declines at once.
pub const TOK_DECLINE: &str = "tok_decline";
/// Asks the customer to confirm on a page.
pub const TOK_CHALLENGE: &str = "tok_challenge";
/// Authorises the payment and never answers.
pub const TOK_TIMEOUT: &str = "tok_timeout";
/// Approves at once, and sends the webhook twice more, late.
pub const TOK_APPROVE_LATE_WEBHOOK: &str = "tok_approve_late_webhook";

/// When the two webhooks of [`TOK_APPROVE_LATE_WEBHOOK`] are sent.
const LATE: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(6)];
/// Longer than any caller waits.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// The sandbox. Cheap to clone.
#[derive(Clone)]
pub struct SandboxProvider(Arc<Sandbox>);

struct Sandbox {
    db: Db,
    clock: Arc<dyn Clock>,
    settings: settings::Sandbox,
    secret: Vec<u8>,
    sender: OnceLock<Arc<dyn WebhookSender>>,
    wake: Notify,
}

/// What a webhook says. Readers fetch the payment rather than believe it.
#[derive(Debug, Serialize, Deserialize)]
struct WebhookBody {
    /// The event: the same on every delivery of it.
    pub id: Uuid,
    /// `payment.updated`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// What it is about.
    pub data: WebhookData,
}

/// The payment that a webhook is about.
#[derive(Debug, Serialize, Deserialize)]
struct WebhookData {
    /// Our id of it.
    pub payment_id: PaymentId,
    /// Its status when the event was made.
    pub status: String,
}

/// An answer of the sandbox's own transactions.
enum SandboxError {
    Refused(String),
    Db(DbError),
}

impl From<DbError> for SandboxError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl From<SandboxError> for ProviderError {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Refused(why) => Self::Refused(why),
            SandboxError::Db(error) => Self::Unavailable(Some(Box::new(error))),
        }
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, SandboxError> {
    Err(SandboxError::Refused(why.into()))
}

fn secret() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl SandboxProvider {
    /// Where its pages are.
    pub const PAGES: [&str; 2] = [pages::CHALLENGE, pages::STYLE];

    /// The name of its database.
    pub const NAME: &str = "sandbox";

    /// Opens its books. Without a `webhook_secret` in the settings one is drawn at the first start and stored.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open(db: Db, settings: &settings::Payment, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        db.migrate(store::MIGRATIONS, clock.now()).await?;
        let secret = match &settings.webhook_secret {
            Some(secret) => secret.expose().to_owned(),
            None => {
                db.transact::<_, DbError, _>(|tx| {
                    Box::pin(async move { store::setting(tx, "webhook_secret", &secret()).await })
                })
                .await?
            }
        };
        let (sender, wake, settings) = (OnceLock::new(), Notify::new(), settings.sandbox.clone());
        Ok(Self(Arc::new(Sandbox { db, clock, settings, secret: secret.into_bytes(), sender, wake })))
    }

    /// Sets how webhooks reach the shop. Until then they wait; a second call changes nothing.
    pub fn connect(&self, sender: Arc<dyn WebhookSender>) {
        if self.0.sender.set(sender).is_ok() {
            self.0.wake.notify_one();
        }
    }

    /// The pages where customers confirm, under `/sandbox`.
    pub fn pages(&self) -> Router {
        pages::router(self.0.clone())
    }

    /// Delivers webhooks and ends challenges whose time is over.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let sandbox = self.0.clone();
        vec![Loop::new("sandbox.webhooks", move |stop| sandbox.clone().work(stop)).leader_only()]
    }

    /// Does once what the worker does: for tests that own the time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tick(&self) -> Result<(), DbError> {
        self.0.tick().await
    }

    /// Its database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The secret with which it signs its webhooks: for tests that write some themselves.
    #[must_use]
    pub fn webhook_secret(&self) -> &[u8] {
        &self.0.secret
    }
}

impl Sandbox {
    /// Takes the time that another company takes.
    async fn delay(&self) {
        if self.settings.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.settings.latency_ms)).await;
        }
    }

    /// Changes a payment that is there, under an idempotency key.
    async fn change<F>(
        &self,
        key: &str,
        request: String,
        payment: PaymentId,
        change: F,
    ) -> Result<ProviderPayment, ProviderError>
    where
        F: for<'t> FnOnce(&'t Tx, Option<Row>, Timestamp) -> BoxFuture<'t, Result<Row, SandboxError>> + Send + 'static,
    {
        self.delay().await;
        let (key, now) = (key.to_owned(), self.clock.now());
        let done = self.db.transact::<_, SandboxError, _>(move |tx| {
            Box::pin(async move {
                if !store::claim_key(tx, &key, &request, now).await? {
                    return refused("this idempotency key was used for another request");
                }
                let row = store::lock(tx, payment).await?;
                let row = change(tx, row, now).await?;
                Ok(store::snapshot(tx, &row).await?)
            })
        });
        Ok(done.await?)
    }

    /// Ends a challenge whose time is over.
    async fn expire(&self, payment: PaymentId) -> Result<(), DbError> {
        let now = self.clock.now();
        self.db
            .transact(move |tx| {
                Box::pin(async move {
                    if let Some(mut row) = store::lock(tx, payment).await?.filter(|row| row.is_expired(now)) {
                        row.status = "declined".to_owned();
                        row.reason = Some("The payment was not confirmed in time.".to_owned());
                        store::set_status(tx, &row).await?;
                        announce(tx, &row, now, &[Duration::ZERO]).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Queues one event, to be delivered after each of these delays.
async fn announce(tx: &Tx, row: &Row, now: Timestamp, delays: &[Duration]) -> Result<(), DbError> {
    let body = WebhookBody {
        id: Uuid::now_v7(),
        kind: "payment.updated".to_owned(),
        created: now.seconds(),
        data: WebhookData { payment_id: PaymentId::from_uuid(row.payment_id), status: row.status.clone() },
    };
    let text = serde_json::to_string(&body).map_err(|error| DbError::Corrupt(error.to_string()))?;
    for delay in delays {
        store::insert_webhook(tx, body.id, row.payment_id, &text, now.plus(*delay)).await?;
    }
    Ok(())
}

fn new_row(payment: PaymentId, status: &str) -> Row {
    Row {
        payment_id: payment.uuid(),
        reference: format!("sbx_{}", Uuid::now_v7().simple()),
        order_number: String::new(),
        token: String::new(),
        amount: 0,
        currency: "XXX".to_owned(),
        status: status.to_owned(),
        reason: None,
        captured: 0,
        challenge_id: None,
        challenge_secret: None,
        challenge_expires_at: None,
        return_path: String::new(),
    }
}

/// Decides on a card.
fn judge(request: &AuthoriseRequest, now: Timestamp, settings: &settings::Sandbox) -> Row {
    let mut row = Row {
        order_number: request.order_number.clone(),
        token: request.token.clone(),
        amount: request.amount.amount,
        currency: request.amount.currency.code().to_owned(),
        return_path: request.return_path.clone(),
        ..new_row(request.payment_id, "declined")
    };
    match request.token.as_str() {
        _ if !settings.enabled => row.reason = Some("Test cards are not accepted.".to_owned()),
        _ if request.amount.amount <= 0 => row.reason = Some("The amount must be above zero.".to_owned()),
        TOK_APPROVE | TOK_TIMEOUT | TOK_APPROVE_LATE_WEBHOOK => row.status = "authorised".to_owned(),
        TOK_CHALLENGE => {
            row.status = "action_required".to_owned();
            row.challenge_id = Some(Uuid::new_v4());
            row.challenge_secret = Some(secret());
            row.challenge_expires_at =
                Some(now.plus(Duration::from_secs(60 * u64::from(settings.challenge_minutes))).micros());
        }
        TOK_DECLINE => row.reason = Some("The card was declined.".to_owned()),
        _ => row.reason = Some("The card is not known.".to_owned()),
    }
    row
}

/// Whether the sandbox does not answer about this payment: it was paid with [`TOK_TIMEOUT`] and is still authorised.
fn is_silent(token: &str, status: &str) -> bool {
    token == TOK_TIMEOUT && status == "authorised"
}

#[async_trait]
impl PaymentProvider for SandboxProvider {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn open_webhook(&self, request: WebhookRequest<'_>) -> Result<WebhookEvent, WebhookError> {
        let header = request.headers.get(signature::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        signature::verify(&self.0.secret, header, request.body, request.now).map_err(|error| {
            let why = format!("{}: {error}.", signature::HEADER);
            match error {
                InvalidSignature::Malformed => WebhookError::Malformed(why),
                InvalidSignature::Stale | InvalidSignature::Mismatch => WebhookError::Untrusted(why),
            }
        })?;
        let body: WebhookBody = serde_json::from_slice(request.body).map_err(|_| WebhookError::NotAnEvent)?;
        Ok(WebhookEvent { id: body.id.to_string(), subject: Subject::Payment(body.data.payment_id) })
    }

    fn methods(&self) -> Vec<PaymentMethod> {
        if !self.0.settings.enabled {
            return Vec::new();
        }
        [
            (TOK_APPROVE, "Test card: approved", "The payment goes through at once."),
            (TOK_DECLINE, "Test card: declined", "The bank says no, and the order is rejected."),
            (
                TOK_CHALLENGE,
                "Test card: confirm with your bank",
                "A page asks you to confirm the payment (3-D Secure).",
            ),
            (
                TOK_TIMEOUT,
                "Test card: no answer",
                "The bank never answers; the order is rejected after a while, and nothing is charged.",
            ),
            (
                TOK_APPROVE_LATE_WEBHOOK,
                "Test card: approved, with duplicate webhooks",
                "Approved at once; the provider sends the same news twice more, late. You pay once.",
            ),
        ]
        .map(|(token, name, description)| PaymentMethod {
            token: token.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
        })
        .into()
    }

    async fn authorise(&self, key: &str, request: &AuthoriseRequest) -> Result<ProviderPayment, ProviderError> {
        let asked = format!("authorise {} {:?} {}", request.payment_id, request.amount, request.token);
        let (request, settings) = (request.clone(), self.0.settings.clone());
        let silent = request.token == TOK_TIMEOUT;
        let answer = self
            .0
            .change(key, asked, request.payment_id, move |tx, known, now| {
                Box::pin(async move {
                    if let Some(known) = known {
                        return Ok(known);
                    }
                    let row = judge(&request, now, &settings);
                    if !store::insert(tx, &row, now).await? {
                        // Another request made it this very moment; the caller tries again and finds it.
                        return Err(SandboxError::Db(DbError::Busy));
                    }
                    if row.token == TOK_APPROVE_LATE_WEBHOOK {
                        announce(tx, &row, now, &LATE).await?;
                    }
                    Ok(row)
                })
            })
            .await?;
        if silent && answer.state == super::ProviderState::Authorised {
            tokio::time::sleep(NEVER).await;
        }
        Ok(answer)
    }

    async fn capture(&self, key: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        let payment = payment.id;
        self.0
            .change(key, format!("capture {payment}"), payment, |tx, known, _| {
                Box::pin(async move {
                    let Some(mut row) = known else { return refused("no such payment") };
                    match row.status.as_str() {
                        "captured" => {}
                        "authorised" => {
                            row.status = "captured".to_owned();
                            row.captured = row.amount;
                            store::set_status(tx, &row).await?;
                        }
                        status => return refused(format!("the payment is {status}")),
                    }
                    Ok(row)
                })
            })
            .await
    }

    async fn void(&self, key: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        let payment = payment.id;
        self.0
            .change(key, format!("void {payment}"), payment, move |tx, known, now| {
                Box::pin(async move {
                    let Some(mut row) = known else {
                        let row = Row {
                            reason: Some(crate::domain::payment::CANCELLED.to_owned()),
                            ..new_row(payment, "voided")
                        };
                        if !store::insert(tx, &row, now).await? {
                            return Err(SandboxError::Db(DbError::Busy));
                        }
                        return Ok(row);
                    };
                    match row.status.as_str() {
                        "voided" | "declined" => {}
                        "authorised" | "action_required" => {
                            row.status = "voided".to_owned();
                            store::set_status(tx, &row).await?;
                        }
                        status => return refused(format!("the payment is {status}")),
                    }
                    Ok(row)
                })
            })
            .await
    }

    async fn refund(
        &self,
        key: &str,
        payment: PaymentRef<'_>,
        refund: Uuid,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        let payment = payment.id;
        self.0
            .change(key, format!("refund {payment} {refund} {amount:?}"), payment, move |tx, known, now| {
                Box::pin(async move {
                    let Some(row) = known else { return refused("no such payment") };
                    if let Some(made) = store::find_refund(tx, refund).await? {
                        return if made == (payment.uuid(), amount.amount) {
                            Ok(row)
                        } else {
                            refused("this refund was made with another amount")
                        };
                    }
                    if row.status != "captured" {
                        return refused(format!("the payment is {}", row.status));
                    }
                    let left = row.captured - store::refunded(tx, row.payment_id).await?;
                    if amount.currency.code() != row.currency || amount.amount <= 0 || amount.amount > left {
                        return refused("more than is left of the payment");
                    }
                    store::insert_refund(tx, refund, row.payment_id, amount.amount, now).await?;
                    Ok(row)
                })
            })
            .await
    }

    async fn fetch(&self, payment: PaymentRef<'_>) -> Result<Option<ProviderPayment>, ProviderError> {
        let payment = payment.id;
        self.0.delay().await;
        let unavailable = |error: DbError| ProviderError::Unavailable(Some(Box::new(error)));
        let sql = self.0.db.read();
        let Some(row) = store::find(sql, payment).await.map_err(unavailable)? else { return Ok(None) };
        if is_silent(&row.token, &row.status) {
            tokio::time::sleep(NEVER).await;
        }
        Ok(Some(store::snapshot(sql, &row).await.map_err(unavailable)?))
    }
}
