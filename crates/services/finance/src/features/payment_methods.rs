use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, ordering::PaymentMethod};
use bookworm_http::ApiJson;

use crate::service::Finance;

/// Ways to pay that need no card: the sandbox's test cards, when it is on.
#[utoipa::path(
    get,
    path = "/payment-methods",
    tag = "finance",
    responses((status = 200, description = "All of them, in one page.", body = Page<PaymentMethod>))
)]
pub(crate) async fn list_payment_methods(State(finance): State<Arc<Finance>>) -> ApiJson<Page<PaymentMethod>> {
    ApiJson(Page { items: finance.providers.for_new().methods(), next: None })
}
