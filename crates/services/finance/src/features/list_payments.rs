use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, finance::Payment, ordering::PaymentStatus};
use bookworm_http::{ApiJson, ApiQuery, PageParams, Result, auth::StaffOnly, cursor};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    domain::payment::Status,
    service::Finance,
    store::payments::{self, Stored},
};

/// Which payments.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only those that stand here.
    status: Option<PaymentStatus>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageParams,
}

/// A payment as staff see it.
pub(crate) fn shown(stored: Stored) -> Payment {
    let Stored { payment, provider, updated_at, .. } = stored;
    Payment {
        id: payment.id,
        order_id: payment.order_id,
        status: public(payment.status),
        amount: payment.amount,
        captured: payment.captured,
        refunded: payment.refunded,
        provider,
        provider_reference: payment.reference.filter(|reference| !reference.is_empty()),
        created_at: payment.created_at,
        updated_at,
    }
}

/// As the public API names it.
fn public(status: Status) -> PaymentStatus {
    match status {
        Status::Authorising => PaymentStatus::Pending,
        Status::ActionRequired => PaymentStatus::ActionRequired,
        Status::Authorised => PaymentStatus::Authorised,
        Status::Captured => PaymentStatus::Captured,
        Status::PartiallyRefunded => PaymentStatus::PartiallyRefunded,
        Status::Refunded => PaymentStatus::Refunded,
        Status::Declined => PaymentStatus::Declined,
        Status::Voided => PaymentStatus::Voided,
        Status::Failed => PaymentStatus::Failed,
    }
}

/// From the public API's name; one that no payment has finds nothing but those that wait for an answer.
fn from_public(status: PaymentStatus) -> Status {
    Status::ALL.iter().copied().find(|known| public(*known) == status).unwrap_or(Status::Authorising)
}

/// Payments, latest first. Staff.
#[utoipa::path(
    get,
    path = "/admin/payments",
    tag = "finance",
    params(Filter, PageParams),
    responses(
        (status = 200, description = "A page of payments.", body = Page<Payment>),
        (status = 400, description = "`validation_failed`, `invalid_cursor`", body = bookworm_http::ProblemBody),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn list_payments(
    State(finance): State<Arc<Finance>>,
    _staff: StaffOnly,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<ApiJson<Page<Payment>>> {
    let (limit, after) = (filter.page.limit()?, filter.page.after::<Uuid>()?);
    let status = filter.status.map(from_public);
    let rows = payments::list(finance.db.read(), status, after, limit + 1).await?;
    let (rows, next) = cursor::page(rows, limit, |row| row.payment.id.uuid());
    Ok(ApiJson(Page { items: rows.into_iter().map(shown).collect(), next }))
}
