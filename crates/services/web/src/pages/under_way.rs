//! The order that is being made of the basket: one basket becomes one order, so while it waits for the bank, there is
//! nothing to check out, but a way on and a way back.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use bookworm_contracts::rest::{
    basket::Basket,
    ordering::{CancelRequest, Order},
};
use bookworm_kernel::Money;
use http::StatusCode;

use crate::{
    api::{ApiError, ProblemBody},
    error::PageResult,
    flash::Flash,
    form::Fields,
    layout::{Shell, never_stored, page},
    pages::{checkout::payment_page, order::order_path},
    service::Web,
    session::Visitor,
};

/// Says which order it is, and what can be done: in the basket, and in place of the checkout's form.
#[derive(Template)]
#[template(path = "parts/under_way.html")]
pub(crate) struct UnderWay {
    csrf: String,
    id: String,
    key: String,
    number: String,
    total: Money,
    /// The order's page.
    link: String,
    /// Where the bank asks; `None` while the order is only being checked.
    bank: Option<String>,
}

#[derive(Template)]
#[template(path = "checkout_under_way.html")]
struct UnderWayPage {
    shell: Shell,
    under_way: UnderWay,
}

impl UnderWay {
    /// Of this basket, when there is one that is not decided.
    pub(crate) async fn of(web: &Web, visitor: &Visitor, basket: &Basket) -> Result<Option<Self>, ApiError> {
        if basket.order_under_way.is_none() {
            return Ok(None);
        }
        Ok(web.api.order_under_way(visitor.caller()).await?.map(|order| Self::new(visitor, order)))
    }

    fn new(visitor: &Visitor, order: Order) -> Self {
        let key = order.access_key.unwrap_or_default();
        Self {
            csrf: visitor.csrf().to_owned(),
            link: order_path(&order.id.to_string(), &key),
            id: order.id.to_string(),
            key,
            number: order.number,
            total: order.total,
            bank: order.payment.action_url.as_deref().and_then(payment_page),
        }
    }

    /// The page that stands in for the checkout's form.
    pub(crate) fn page(self, visitor: &Visitor, basket_count: u32) -> PageResult {
        let mut shell = visitor.shell("Your order is not finished yet");
        shell.basket_count = basket_count;
        page(&UnderWayPage { shell, under_way: self }).map(never_stored)
    }
}

/// `POST /checkout/start-again`: `order`, `key`. Calls the order off, unless it was confirmed a moment before; then the
/// basket can be checked out anew.
pub(crate) async fn start_again(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let (id, key) = (fields.get("order"), fields.get("key"));
    let request = CancelRequest { reason: Some("The customer started again".to_owned()), only_unconfirmed: true };
    match web.api.cancel_order(visitor.caller(), id, key, &request).await {
        Ok(()) => {
            visitor.flash(&Flash::success(
                "That order is cancelled and nothing was charged for it. You can check out again.",
            ));
            Ok(Redirect::to("/checkout").into_response())
        }
        // It was decided in the meantime: its page says how.
        Err(error) if error.status() == StatusCode::CONFLICT => Ok(Redirect::to(&order_path(id, key)).into_response()),
        Err(error) => Err(error.into()),
    }
}

/// The checkout was refused, because the basket has become an order: to that order.
pub(crate) fn refused(visitor: &Visitor, problem: &ProblemBody) -> Response {
    // Where the bank waits, the checkout's own page offers both ways.
    if problem.action_url.is_some() {
        return Redirect::to("/checkout").into_response();
    }
    visitor.flash(&Flash::problem(
        "You placed this order already, perhaps in another window. It was not placed a second time.",
    ));
    let id = problem.order_id.as_deref().unwrap_or_default();
    Redirect::to(&order_path(id, problem.access_key.as_deref().unwrap_or_default())).into_response()
}
