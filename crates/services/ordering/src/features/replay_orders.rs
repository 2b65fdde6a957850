use std::sync::Arc;

use bookworm_db::{DbError, Sql};
use bookworm_eventstore::Loaded;
use bookworm_kernel::OrderId;
use uuid::Uuid;

use crate::{
    domain::order::Order,
    service::Ordering,
    store::{
        document::Document,
        orders::{self, Row},
    },
};

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Orders folded.
    pub orders: u64,
    /// Events folded.
    pub events: u64,
    /// Orders whose row was not what their events say; a sentence each. Empty when the projection was right. Each was
    /// put right.
    pub differing: Vec<String>,
}

/// Folds every order again, compares it with its row, and puts right what differs. Orders may be placed and change
/// meanwhile: a row that looks wrong is looked at again in a unit of work before it is called so.
pub(crate) async fn replay(service: &Arc<Ordering>) -> Result<ReplayReport, DbError> {
    let mut report = ReplayReport::default();
    let db = &service.db;
    report.orders = bookworm_eventstore::replay::<Order, _>(db, async |id, order| {
        report.events += order.version;
        if orders::row(db.read(), id).await? != Some(row(&order)?) {
            report.differing.extend(repair(service, id).await?);
        }
        Ok(())
    })
    .await?;
    loop {
        let orphans = orders::orphans(db.read()).await?;
        if orphans.is_empty() {
            return Ok(report);
        }
        for id in orphans {
            db.transact::<_, DbError, _>(move |tx| Box::pin(async move { orders::remove(tx, id).await })).await?;
            report.differing.push(format!("order {id}: had a row but no events"));
        }
    }
}

/// Puts a row right; says what was wrong when it really was.
async fn repair(service: &Arc<Ordering>, id: Uuid) -> Result<Option<String>, DbError> {
    service
        .db
        .transact(move |tx| {
            Box::pin(async move {
                let Some(order) = load(tx, id).await? else { return Ok(None) };
                let (is, should_be) = (orders::row(tx, id).await?, row(&order)?);
                let what = match is {
                    Some(is) if is == should_be => return Ok(None),
                    Some(is) if is.version != should_be.version => {
                        format!("was at version {} and not {}", is.version, should_be.version)
                    }
                    Some(_) => "was not what its events say".to_owned(),
                    None => "had no row".to_owned(),
                };
                orders::replace(tx, should_be).await?;
                Ok(Some(format!("order {}: {what}", OrderId::from_uuid(id))))
            })
        })
        .await
}

async fn load(conn: &impl Sql, id: Uuid) -> Result<Option<Loaded<Order>>, DbError> {
    bookworm_eventstore::load(conn, id).await
}

fn row(order: &Loaded<Order>) -> Result<Row, DbError> {
    let document = Document::of(&order.state, order.version)
        .ok_or_else(|| DbError::Corrupt("an order whose first event is not OrderCreated".to_owned()))?;
    Row::of(order, &document)
}
