use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::ordering::{CancelRequest, Order};
use bookworm_http::{ApiPath, Origin, Result, Validator, openapi::ProblemResponses};
use bookworm_kernel::{Cause, OrderId};
use http::StatusCode;

use crate::{
    domain::{
        checkout_saga::{CheckoutSaga, Input},
        event::{Actor, Author},
    },
    features::{OptionalJson, command::TRIES},
    service::{
        Ordering,
        work::{Work, WorkError},
    },
    store::document::Document,
    visitor::Visitor,
};

/// Calls an order off
///
/// For its customer, for whoever has its key, and for staff, as long as it was not shipped (`invalid_order_state`). The
/// books go back to the stock, and the payment is voided or refunded; after a partial refund, what is left of it. With
/// `only_unconfirmed` an order that was confirmed meanwhile stays as it is (`invalid_order_state`).
#[utoipa::path(
    post, path = "/orders/{id}/cancel", tag = "ordering", request_body = CancelRequest,
    params(
        ("id" = OrderId, Path, description = "The order"),
        ("key" = Option<String>, Query, description = "The order's key, from the mail"),
    ),
    responses((status = 200, description = "The cancelled order", body = Order), ProblemResponses)
)]
pub(crate) async fn cancel_order(
    State(service): State<Arc<Ordering>>,
    ApiPath(id): ApiPath<OrderId>,
    visitor: Visitor,
    Origin(cause): Origin,
    OptionalJson(request): OptionalJson<CancelRequest>,
) -> Result<Response> {
    let mut valid = Validator::new();
    let reason = valid.optional_multiline("/reason", request.reason.as_deref(), 1..=500).unwrap_or_default();
    valid.finish()?;
    let access = visitor.find(&service, id).await?;
    let wanted = Wanted { reason, by: access.actor(), only_unconfirmed: request.only_unconfirmed };
    let mut tries = 1;
    let order = loop {
        match cancel(&service, cause, id, wanted.clone(), visitor.author()).await {
            Err(WorkError::Conflict) if tries < TRIES => tries += 1,
            other => break other?,
        }
    };
    Ok(super::answer(StatusCode::OK, access.reveal(&service, order)))
}

/// What is to be called off, and how.
#[derive(Clone)]
struct Wanted {
    reason: String,
    by: Actor,
    only_unconfirmed: bool,
}

/// A checkout that still runs calls the order off itself, and makes sure that stock and money are released. After it
/// has ended captured, books and money are simply asked back: finance turns the void of captured money into a refund.
async fn cancel(
    service: &Arc<Ordering>,
    cause: Cause,
    id: OrderId,
    Wanted { reason, by, only_unconfirmed }: Wanted,
    author: Option<Author>,
) -> Result<Document, WorkError> {
    let (service, now) = (service.clone(), service.now());
    let db = service.db.clone();
    db.transact(move |tx| {
        Box::pin(async move {
            let mut work = Work::on(&service, tx, cause, id).by(author);
            if only_unconfirmed {
                work.order().await?.demand_unconfirmed()?;
            }
            let input = Input::CancelRequested { reason: reason.clone(), by };
            let mut actions = bookworm_saga::advance::<CheckoutSaga>(tx, id.uuid(), input, now).await?;
            if actions.is_empty() {
                actions = CheckoutSaga::call_off(reason, by, work.order().await?.is_free());
            }
            work.perform(actions).await?;
            work.finish().await
        })
    })
    .await
}
