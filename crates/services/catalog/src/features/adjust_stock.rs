use std::{sync::Arc, time::Duration};

use axum::extract::State;
use bookworm_contracts::{
    events::catalog::InventoryUpdated,
    rest::catalog::{Stock, StockAdjustment},
};
use bookworm_db::DbError;
use bookworm_http::{
    ApiJson, ApiPath, IdempotencyKey, Origin, Problem, ProblemBody, Result, Validator,
    auth::StaffOnly,
    idempotency::{self, Claim, Fingerprint},
};
use bookworm_kernel::{BookId, ErrorCode};
use bookworm_loops::Loop;
use uuid::Uuid;

use crate::{
    domain::draft::COPIES,
    service::Catalog,
    store::stock::{self, Adjustment},
};

/// The most copies of one adjustment.
const MOST: i64 = 1_000_000;
/// How long a repeat of an adjustment is recognised.
const REMEMBER: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many copies there are, at this moment.
#[utoipa::path(get, path = "/books/{id}/stock", tag = "catalog",
    params(("id" = BookId, Path, description = "The book")),
    responses(
        (status = 200, body = Stock, description = "The stock"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
    ))]
pub(crate) async fn get_stock(
    State(catalog): State<Arc<Catalog>>,
    ApiPath(id): ApiPath<BookId>,
) -> Result<ApiJson<Stock>> {
    let stock = stock::of(catalog.db.read(), id).await?.ok_or_else(|| Problem::not_found("book"))?;
    Ok(ApiJson(stock.into()))
}

/// Adds copies that came, or takes copies that went.
///
/// The same `Idempotency-Key` with the same body changes nothing again and gives the same answer.
#[utoipa::path(post, path = "/books/{id}/stock/adjustments", tag = "catalog", request_body = StockAdjustment,
    params(("id" = BookId, Path, description = "The book"),
        ("Idempotency-Key" = String, Header, description = "New for each adjustment; the same for a repeat")),
    responses(
        (status = 200, body = Stock, description = "The stock after the adjustment"),
        (status = 400, body = ProblemBody, description = "`validation_failed`, `idempotency_key_required`"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`insufficient_stock`: more than can be taken, the rest is held for orders"),
        (status = 422, body = ProblemBody, description = "`idempotency_key_reused`"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn adjust_stock(
    State(catalog): State<Arc<Catalog>>,
    StaffOnly(staff): StaffOnly,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<BookId>,
    key: IdempotencyKey,
    ApiJson(input): ApiJson<StockAdjustment>,
) -> Result<ApiJson<Stock>> {
    let mut valid = Validator::new();
    let delta = input.delta;
    valid.check("/delta", delta != 0, "must not be 0");
    valid.check("/delta", (-MOST..=MOST).contains(&delta), format!("must be at most {MOST} in either direction"));
    let reason = valid.text("/reason", &input.reason, 1..=200);
    valid.finish()?;
    let (service, by) = (catalog.clone(), staff.id);
    let stock = catalog.db.transact(move |tx| {
        Box::pin(async move {
            let (now, adjustment) = (service.clock.now(), Uuid::now_v7());
            let fingerprint =
                Fingerprint::of([id.uuid().as_bytes().as_slice(), &delta.to_be_bytes(), reason.as_bytes()]);
            let scope = format!("stock:{by}");
            match idempotency::claim(tx, &scope, &key, fingerprint, adjustment, now).await? {
                Claim::New => {}
                Claim::Same(earlier) => {
                    let recorded = stock::recorded(tx, earlier).await?;
                    return recorded.ok_or_else(|| Problem::not_found("adjustment"));
                }
                Claim::Different => return Err(Problem::new(ErrorCode::IdempotencyKeyReused)),
            }
            let before = stock::of(tx, id).await?.ok_or_else(|| Problem::not_found("book"))?;
            let Some(after) = stock::adjust(tx, id, delta).await? else {
                if delta > 0 {
                    let message =
                        format!("must leave at most {COPIES} copies in the house; there are {}", before.on_hand);
                    let mut valid = Validator::new();
                    valid.error("/delta", message);
                    return valid.finish().and(Err(Problem::new(ErrorCode::ValidationFailed)));
                }
                return Err(Problem::new(ErrorCode::InsufficientStock)
                    .detail(format!(
                        "{} copies can be taken; {} are held for orders.",
                        before.on_hand - before.reserved,
                        before.reserved
                    ))
                    .with("available", before.on_hand - before.reserved));
            };
            stock::record(tx, &Adjustment { id: adjustment, book: id, delta, reason, by, after, at: now }).await?;
            let updated =
                InventoryUpdated { book_id: id, on_hand: after.on_hand, reserved: after.reserved, order_id: None };
            service.outbox.put(tx, &cause, &updated).await?;
            service.changed_with(tx, vec![id]);
            let free = after.on_hand - after.reserved;
            if (free > 0) != (free - delta > 0) {
                service.search_changed(tx, &[id]).await?;
            }
            Ok(after)
        })
    });
    Ok(ApiJson(stock.await?.into()))
}

/// Forgets keys of adjustments, once an hour, when they are so old that nobody repeats them any more.
pub(crate) fn forget_keys(catalog: Arc<Catalog>) -> Loop {
    Loop::every("catalog.keys", Duration::from_secs(3600), move || {
        let (db, before) = (catalog.db.clone(), catalog.clock.now().minus(REMEMBER));
        async move {
            let pruned =
                db.transact::<_, DbError, _>(move |tx| Box::pin(async move { idempotency::prune(tx, before).await }));
            if let Err(error) = pruned.await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old idempotency keys cannot be removed");
            }
        }
    })
    .leader_only()
}
