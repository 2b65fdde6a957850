//! One file for each use case: request, rule, storage call and route together.

mod address;
pub(crate) mod cancel;
pub(crate) mod checkout;
mod command;
pub(crate) mod compare_coupons;
pub(crate) mod complete;
pub(crate) mod coupon_uses;
pub(crate) mod create_coupon;
pub(crate) mod forget_keys;
pub(crate) mod get_coupon;
pub(crate) mod get_order;
pub(crate) mod history;
pub(crate) mod key_orders;
pub(crate) mod latest_orders;
pub(crate) mod list_coupons;
pub(crate) mod list_orders;
pub(crate) mod order_facts;
pub(crate) mod quote;
pub(crate) mod refund;
pub(crate) mod replay_orders;
pub(crate) mod return_coupons;
pub(crate) mod ship;
pub(crate) mod shipping_countries;
pub(crate) mod shipping_methods;
mod shown;
pub(crate) mod stop_coupon;
pub(crate) mod under_way;

use std::sync::Arc;

use axum::{
    body::HttpBody,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bookworm_contracts::rest::ordering::Order;
use bookworm_http::{ApiJson, Problem, Result, etag};
use http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::service::Ordering;

pub(crate) fn routes() -> OpenApiRouter<Arc<Ordering>> {
    OpenApiRouter::new()
        .routes(routes!(checkout::checkout))
        .routes(routes!(quote::quote))
        .routes(routes!(list_orders::list_orders))
        .routes(routes!(under_way::order_under_way))
        .routes(routes!(get_order::get_order))
        .routes(routes!(history::order_events))
        .routes(routes!(cancel::cancel_order))
        .routes(routes!(ship::ship_order))
        .routes(routes!(complete::complete_order))
        .routes(routes!(refund::refund_order))
        .routes(routes!(shipping_methods::shipping_methods))
        .routes(routes!(shipping_countries::shipping_countries))
        .routes(routes!(list_coupons::list_coupons, create_coupon::create_coupon))
        .routes(routes!(get_coupon::get_coupon))
        .routes(routes!(stop_coupon::stop_coupon))
        .routes(routes!(coupon_uses::coupon_uses))
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub(crate) struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if !request.headers().contains_key(header::CONTENT_TYPE) && request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        ApiJson::from_request(request, state).await.map(|ApiJson(body)| Self(body))
    }
}

/// An order as an answer: with its version as `ETag`, and cached by nobody but the caller.
fn answer(status: StatusCode, order: impl Into<Order>) -> Response {
    let order: Order = order.into();
    let tag = etag(order.version.cast_signed());
    let mut response = (status, ApiJson(order)).into_response();
    response.headers_mut().insert(header::ETAG, tag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}
