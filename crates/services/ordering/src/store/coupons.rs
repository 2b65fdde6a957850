//! Coupons, and who used which for what order. A use is counted by the unit of work that places its order, and given back
//! by the one that rejects or cancels it; so these counters are always what the orders say.

use std::collections::BTreeMap;

use bookworm_db::{DbError, FromRow, Sql, Tx, values};
use bookworm_kernel::{CustomerId, Email, OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{document::Document, orders};
use crate::domain::{
    coupon::{Coupon, CouponCode, Refusal},
    event::Author,
};

/// A coupon, who made it, and how often it is used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub coupon: Coupon,
    /// Orders that use it and stand.
    pub uses: u32,
    pub created_at: Timestamp,
    pub created_by: Author,
    /// When it was stopped, and by whom.
    pub stopped: Option<(Timestamp, Author)>,
}

#[derive(FromRow)]
struct Row {
    coupon: String,
    uses: i64,
    created_at: i64,
    created_by: String,
    stopped_at: Option<i64>,
    stopped_by: Option<String>,
}

const COLUMNS: &str = "coupon, uses, created_at, created_by, stopped_at, stopped_by";

impl Row {
    fn stored(self) -> Result<Stored, DbError> {
        let corrupt = |error: serde_json::Error| DbError::Corrupt(format!("a coupon: {error}"));
        let stopped = match self.stopped_at.zip(self.stopped_by) {
            Some((at, by)) => Some((Timestamp::from_micros(at), serde_json::from_str(&by).map_err(corrupt)?)),
            None => None,
        };
        Ok(Stored {
            coupon: serde_json::from_str(&self.coupon).map_err(corrupt)?,
            uses: u32::try_from(self.uses).map_err(|_| DbError::Corrupt("a coupon's uses".to_owned()))?,
            created_at: Timestamp::from_micros(self.created_at),
            created_by: serde_json::from_str(&self.created_by).map_err(corrupt)?,
            stopped,
        })
    }
}

fn json(value: &impl Serialize) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Corrupt(error.to_string()))
}

/// Adds a coupon; `false` when its code is taken.
pub(crate) async fn insert(tx: &Tx, coupon: &Coupon, by: &Author, now: Timestamp) -> Result<bool, DbError> {
    let written = tx
        .exec(
            "INSERT INTO coupons (code, coupon, max_uses, per_customer, uses, created_at, created_by) \
             VALUES ($1, $2, $3, $4, 0, $5, $6) ON CONFLICT DO NOTHING",
            values![
                coupon.code.as_str(),
                json(coupon)?,
                coupon.max_uses.map(i64::from),
                coupon.per_customer().map(i64::from),
                now.micros(),
                json(by)?
            ],
        )
        .await?;
    Ok(written == 1)
}

/// Stops a coupon; one that is stopped stays as it is.
pub(crate) async fn stop(tx: &Tx, code: &CouponCode, by: &Author, now: Timestamp) -> Result<(), DbError> {
    let stop = "UPDATE coupons SET stopped_at = $2, stopped_by = $3 WHERE code = $1 AND stopped_at IS NULL";
    tx.exec(stop, values![code.as_str(), now.micros(), json(by)?]).await?;
    Ok(())
}

/// Looks a coupon up.
pub(crate) async fn find(conn: &impl Sql, code: &CouponCode) -> Result<Option<Stored>, DbError> {
    let row: Option<Row> =
        conn.one(&format!("SELECT {COLUMNS} FROM coupons WHERE code = $1"), values![code.as_str()]).await?;
    row.map(Row::stored).transpose()
}

/// Where a page of the list begins: after this coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct After {
    pub created_at: i64,
    pub code: String,
}

/// Coupons, the newest first.
pub(crate) async fn list(conn: &impl Sql, after: Option<After>, limit: usize) -> Result<Vec<Stored>, DbError> {
    let After { created_at, code } = after.unwrap_or(After { created_at: i64::MAX, code: String::new() });
    let sql = format!(
        "SELECT {COLUMNS} FROM coupons WHERE created_at < $1 OR (created_at = $1 AND code > $2) \
         ORDER BY created_at DESC, code LIMIT $3"
    );
    let rows: Vec<Row> = conn.all(&sql, values![created_at, code, i64::try_from(limit).unwrap_or(i64::MAX)]).await?;
    rows.into_iter().map(Row::stored).collect()
}

/// Who uses a coupon: the account, when there is one, and the mailbox, of which a fingerprint is stored. A limit for each
/// customer counts for both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redeemer {
    account: Option<CustomerId>,
    /// As orders are found by it.
    email_key: Option<String>,
    mailbox: Option<String>,
}

impl Redeemer {
    /// Of an order, or of somebody who may not have said yet where to write to.
    pub fn new(account: Option<CustomerId>, email: Option<&Email>) -> Self {
        let mailbox = email.map(|email| {
            let digest = Sha256::digest(format!("coupon {}", email.mailbox()));
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        });
        Self { account, email_key: email.map(Email::key), mailbox }
    }

    /// In the order in which everybody locks them.
    fn keys(&self) -> Vec<String> {
        keys(self.account.map(CustomerId::uuid), self.mailbox.as_deref())
    }
}

fn keys(account: Option<Uuid>, mailbox: Option<&str>) -> Vec<String> {
    let account = account.map(|id| format!("account {id}"));
    account.into_iter().chain(mailbox.map(|mailbox| format!("mailbox {mailbox}"))).collect()
}

/// Whether somebody with this account, or without one, may use a coupon, as far as can be told before the order is placed.
pub(crate) async fn check(
    conn: &impl Sql,
    stored: &Stored,
    account: Option<CustomerId>,
) -> Result<Option<Refusal>, DbError> {
    let redeemer = Redeemer::new(account, None);
    let coupon = &stored.coupon;
    if stored.stopped.is_some() {
        return Ok(Some(Refusal::Stopped));
    }
    if coupon.max_uses.is_some_and(|most| stored.uses >= most) {
        return Ok(Some(Refusal::UsedUp));
    }
    if coupon.first_order && has_ordered(conn, &redeemer).await? {
        return Ok(Some(Refusal::FirstOrderOnly));
    }
    if let Some(most) = coupon.per_customer() {
        for key in redeemer.keys() {
            let uses: Option<i64> = conn
                .scalar(
                    "SELECT uses FROM coupon_redeemers WHERE code = $1 AND redeemer = $2",
                    values![coupon.code.as_str(), key],
                )
                .await?;
            if uses.unwrap_or(0) >= i64::from(most) {
                return Ok(Some(Refusal::UsedBefore));
            }
        }
    }
    Ok(None)
}

/// Whether there is an order of this customer that was neither rejected nor cancelled.
async fn has_ordered(conn: &impl Sql, redeemer: &Redeemer) -> Result<bool, DbError> {
    const STANDS: &str = "status NOT IN ('rejected', 'cancelled') LIMIT 1";
    if let Some(account) = redeemer.account {
        let sql = format!("SELECT id FROM orders WHERE customer_id = $1 AND {STANDS}");
        let found: Option<Uuid> = conn.scalar(&sql, values![account.uuid()]).await?;
        if found.is_some() {
            return Ok(true);
        }
    }
    let Some(email) = &redeemer.email_key else { return Ok(false) };
    let sql = format!("SELECT id FROM orders WHERE email_key = $1 AND {STANDS}");
    let found: Option<Uuid> = conn.scalar(&sql, values![email.as_str()]).await?;
    Ok(found.is_some())
}

/// Under this code, which nobody can type, [`take`] locks customers. Its rows count nothing.
const LOCK: &str = "(lock)";

/// Counts a use for the order that is placed in this unit of work, which must be given up when it is refused. The customer's
/// and the coupon's rows are locked until then, so that of many at once no more are counted than may be, and of one
/// customer's orders with codes only one at a time can be the first.
pub(crate) async fn take(
    tx: &Tx,
    code: &CouponCode,
    order: OrderId,
    redeemer: &Redeemer,
    now: Timestamp,
) -> Result<Option<Refusal>, DbError> {
    for key in redeemer.keys() {
        tx.exec(
            "INSERT INTO coupon_redeemers (code, redeemer, uses) VALUES ($1, $2, 0) \
             ON CONFLICT (code, redeemer) DO UPDATE SET uses = 0",
            values![LOCK, key],
        )
        .await?;
    }
    let counted = tx
        .exec(
            "UPDATE coupons SET uses = uses + 1 \
             WHERE code = $1 AND stopped_at IS NULL AND (max_uses IS NULL OR uses < max_uses)",
            values![code.as_str()],
        )
        .await?;
    let Some(stored) = find(tx, code).await? else { return Ok(Some(Refusal::Unknown)) };
    if counted == 0 {
        return Ok(Some(if stored.stopped.is_some() { Refusal::Stopped } else { Refusal::UsedUp }));
    }
    if stored.coupon.first_order && has_ordered(tx, redeemer).await? {
        return Ok(Some(Refusal::FirstOrderOnly));
    }
    let most = stored.coupon.per_customer().map_or(i64::MAX, i64::from);
    for key in redeemer.keys() {
        let counted = tx
            .exec(
                "INSERT INTO coupon_redeemers (code, redeemer, uses) VALUES ($1, $2, 1) \
                 ON CONFLICT (code, redeemer) DO UPDATE SET uses = coupon_redeemers.uses + 1 \
                 WHERE coupon_redeemers.uses < $3",
                values![code.as_str(), key, most],
            )
            .await?;
        if counted == 0 {
            return Ok(Some(Refusal::UsedBefore));
        }
    }
    tx.exec(
        "INSERT INTO coupon_uses (order_id, code, account, mailbox, at) VALUES ($1, $2, $3, $4, $5)",
        values![
            order.uuid(),
            code.as_str(),
            redeemer.account.map(CustomerId::uuid),
            redeemer.mailbox.clone(),
            now.micros()
        ],
    )
    .await?;
    Ok(None)
}

/// Gives the use back that an order has, once.
pub(crate) async fn give_back(tx: &Tx, order: OrderId, now: Timestamp) -> Result<(), DbError> {
    #[derive(FromRow)]
    struct Use {
        code: String,
        account: Option<Uuid>,
        mailbox: Option<String>,
    }
    let returned = "UPDATE coupon_uses SET returned_at = $2 WHERE order_id = $1 AND returned_at IS NULL";
    if tx.exec(returned, values![order.uuid(), now.micros()]).await? == 0 {
        return Ok(());
    }
    let found: Option<Use> =
        tx.one("SELECT code, account, mailbox FROM coupon_uses WHERE order_id = $1", values![order.uuid()]).await?;
    let Some(Use { code, account, mailbox }) = found else { return Ok(()) };
    tx.exec("UPDATE coupons SET uses = uses - 1 WHERE code = $1", values![code.as_str()]).await?;
    for key in keys(account, mailbox.as_deref()) {
        tx.exec(
            "UPDATE coupon_redeemers SET uses = uses - 1 WHERE code = $1 AND redeemer = $2",
            values![code.as_str(), key],
        )
        .await?;
    }
    Ok(())
}

/// What the counters say of a coupon.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Count {
    pub code: String,
    pub uses: i64,
    pub max_uses: Option<i64>,
}

/// The counters of every coupon.
pub(crate) async fn counts(conn: &impl Sql) -> Result<Vec<Count>, DbError> {
    conn.all("SELECT code, uses, max_uses FROM coupons ORDER BY code", []).await
}

/// Of whom uses of a coupon are counted, and of which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Counted {
    pub code: String,
    /// An account or a mailbox.
    pub redeemer: String,
}

/// What the counters say of each customer who uses a coupon.
pub(crate) async fn counted(conn: &impl Sql) -> Result<BTreeMap<Counted, i64>, DbError> {
    #[derive(FromRow)]
    struct Row {
        code: String,
        redeemer: String,
        uses: i64,
    }
    let rows: Vec<Row> = conn.all("SELECT code, redeemer, uses FROM coupon_redeemers WHERE uses <> 0", []).await?;
    Ok(rows.into_iter().map(|Row { code, redeemer, uses }| (Counted { code, redeemer }, uses)).collect())
}

/// What [`counted`] should say: how many orders of each customer use a coupon and have not given it back.
pub(crate) async fn used(conn: &impl Sql) -> Result<BTreeMap<Counted, i64>, DbError> {
    #[derive(FromRow)]
    struct Row {
        code: String,
        account: Option<Uuid>,
        mailbox: Option<String>,
        orders: i64,
    }
    let rows: Vec<Row> = conn
        .all(
            "SELECT code, account, mailbox, COUNT(*) AS orders FROM coupon_uses WHERE returned_at IS NULL \
             GROUP BY code, account, mailbox",
            [],
        )
        .await?;
    let mut used = BTreeMap::new();
    for Row { code, account, mailbox, orders } in rows {
        for redeemer in keys(account, mailbox.as_deref()) {
            *used.entry(Counted { code: code.clone(), redeemer }).or_default() += orders;
        }
    }
    Ok(used)
}

/// Orders, no older than `since`, that were rejected or cancelled and have not given their use back.
pub(crate) async fn kept_by_orders_that_do_not_stand(
    conn: &impl Sql,
    since: Timestamp,
    limit: usize,
) -> Result<Vec<OrderId>, DbError> {
    #[derive(FromRow)]
    struct Row {
        order_id: Uuid,
    }
    // The ids of orders are in the order of their times, so this reads the end of the table by its key.
    let oldest = Uuid::new_v7(uuid::Timestamp::from_unix(
        uuid::NoContext,
        u64::try_from(since.micros() / 1_000_000).unwrap_or(0),
        0,
    ));
    let rows: Vec<Row> = conn
        .all(
            "SELECT u.order_id FROM coupon_uses u JOIN orders o ON o.id = u.order_id \
             WHERE u.order_id >= $1 AND u.returned_at IS NULL AND o.status IN ('rejected', 'cancelled') \
             ORDER BY u.order_id LIMIT $2",
            values![oldest, i64::try_from(limit).unwrap_or(i64::MAX)],
        )
        .await?;
    Ok(rows.into_iter().map(|row| OrderId::from_uuid(row.order_id)).collect())
}

/// An order that used a coupon.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Use {
    pub order_id: Uuid,
    pub at: i64,
    pub returned_at: Option<i64>,
    pub number: String,
    document: String,
}

impl Use {
    /// The order, without what may be done with it.
    pub fn order(&self) -> Result<Document, DbError> {
        orders::parse(&self.document)
    }
}

/// Where a page of uses begins: after this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AfterUse {
    pub at: i64,
    pub order_id: Uuid,
}

/// The orders that used a coupon, the latest first.
pub(crate) async fn uses(
    conn: &impl Sql,
    code: &CouponCode,
    after: Option<AfterUse>,
    limit: usize,
) -> Result<Vec<Use>, DbError> {
    let AfterUse { at, order_id } = after.unwrap_or(AfterUse { at: i64::MAX, order_id: Uuid::max() });
    conn.all(
        "SELECT u.order_id, u.at, u.returned_at, o.number, o.document FROM coupon_uses u \
         JOIN orders o ON o.id = u.order_id WHERE u.code = $1 AND (u.at < $2 OR (u.at = $2 AND u.order_id < $3)) \
         ORDER BY u.at DESC, u.order_id DESC LIMIT $4",
        values![code.as_str(), at, order_id, i64::try_from(limit).unwrap_or(i64::MAX)],
    )
    .await
}
