use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::{
    commands::RefundPayment,
    rest::ordering::{CopiesOf, Order, RefundRequest},
};
use bookworm_db::DbError;
use bookworm_http::{
    ApiJson, ApiPath, IdempotencyKey, Origin, Problem, Result, Validator,
    auth::StaffOnly,
    idempotency::{self, Claim, Fingerprint},
    openapi::ProblemResponses,
};
use bookworm_kernel::{Cause, Money, OrderId};
use http::StatusCode;
use uuid::Uuid;

use crate::{
    domain::{
        event::{Author, Copies},
        order::RefundOf,
    },
    features::{checkout::key_reused, command::TRIES},
    service::{
        Ordering,
        work::{Work, WorkError},
    },
    store::{self, document::Document},
    visitor::author,
};

/// The most lines of one request; an order has no more.
const MOST_LINES: usize = 200;

/// Gives money back
///
/// For staff: `amount`, or what was paid for the copies in `lines` (their share of the price less its discount, and of added
/// tax), or all that is left when both are missing. The payment must be captured (`invalid_order_state`), and what was given
/// back or is on its way never exceeds it (`validation_failed`, `/amount`), nor do the copies (`/lines`). Finance does it; the order's `payment` and
/// `timeline` say when. The same `Idempotency-Key` with the same body refunds once; with another body
/// `idempotency_key_reused`.
#[utoipa::path(
    post, path = "/orders/{id}/refund", tag = "ordering", request_body = RefundRequest,
    params(
        ("id" = OrderId, Path, description = "The order"),
        ("Idempotency-Key" = String, Header, description = "1 to 255 visible characters; new for each refund"),
    ),
    responses(
        (status = 202, description = "The order; the refund is on its way", body = Order),
        (status = 422, description = "`idempotency_key_reused`"),
        ProblemResponses
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn refund_order(
    State(service): State<Arc<Ordering>>,
    ApiPath(id): ApiPath<OrderId>,
    StaffOnly(staff): StaffOnly,
    key: IdempotencyKey,
    Origin(cause): Origin,
    ApiJson(request): ApiJson<RefundRequest>,
) -> Result<Response> {
    let mut valid = Validator::new();
    let reason = valid.multiline("/reason", &request.reason, 1..=500);
    if let Some(amount) = request.amount {
        valid.check("/amount/amount", amount.amount > 0, "must be above 0");
        valid.check("/lines", request.lines.is_none(), "must be left out when there is an amount");
    }
    // No copies at all must not mean the whole order.
    if let Some(lines) = &request.lines {
        valid.check("/lines", (1..=MOST_LINES).contains(&lines.len()), format!("must be 1 to {MOST_LINES}"));
    }
    valid.finish()?;
    let body = serde_json::to_vec(&request).map_err(|error| Problem::internal(&error))?;
    let refund = Refund {
        key,
        fingerprint: Fingerprint::of([body.as_slice()]),
        of: match (request.amount, request.lines) {
            (Some(amount), _) => RefundOf::Amount(amount),
            (None, Some(lines)) => RefundOf::Copies(lines.into_iter().map(copies).collect()),
            (None, None) => RefundOf::Everything,
        },
        reason,
        by: author(&staff),
    };
    let mut tries = 1;
    let asked = loop {
        match ask(&service, cause, id, refund.clone()).await {
            Err(WorkError::Conflict) if tries < TRIES => tries += 1,
            other => break other?,
        }
    };
    let order = match asked {
        Asked::Now(order) => *order,
        Asked::Before => {
            store::orders::document(service.db.read(), id).await?.ok_or_else(|| Problem::not_found("order"))?
        }
        Asked::OtherRequest => return Err(key_reused()),
    };
    Ok(super::answer(StatusCode::ACCEPTED, order))
}

#[derive(Clone)]
struct Refund {
    key: IdempotencyKey,
    fingerprint: Fingerprint,
    of: RefundOf,
    reason: String,
    by: Author,
}

fn copies(CopiesOf { book_id, quantity }: CopiesOf) -> Copies {
    Copies { book_id, quantity }
}

enum Asked {
    Now(Box<Document>),
    /// By the same request.
    Before,
    OtherRequest,
}

async fn ask(service: &Arc<Ordering>, cause: Cause, id: OrderId, refund: Refund) -> Result<Asked, WorkError> {
    let (service, now) = (service.clone(), service.now());
    let db = service.db.clone();
    db.transact(move |tx| {
        Box::pin(async move {
            let Refund { key, fingerprint, of, reason, by } = refund;
            let (scope, refund_id) = (format!("refund:{id}"), Uuid::now_v7());
            match idempotency::claim(tx, &scope, &key, fingerprint, refund_id, now).await? {
                Claim::New => {}
                Claim::Same(_) => return Ok(Asked::Before),
                Claim::Different => return Ok(Asked::OtherRequest),
            }
            let mut work = Work::on(&service, tx, cause, id).by(Some(by));
            work.decide(|order| order.request_refund(refund_id, of, &reason)).await?;
            let order = work.order().await?;
            let amount = order
                .refund(refund_id)
                .zip(order.total())
                .map(|(refund, total)| Money::new(refund.amount, total.currency))
                .ok_or_else(|| DbError::Corrupt("a refund that was just asked for".to_owned()))?;
            work.send(&RefundPayment { order_id: id, refund_id, amount, reason }).await?;
            Ok(Asked::Now(Box::new(work.finish().await?)))
        })
    })
    .await
}
