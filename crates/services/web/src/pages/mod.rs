//! One file for each page: its handler and what it shows.

pub(crate) mod account;
mod address_form;
pub(crate) mod admin;
pub(crate) mod basket;
pub(crate) mod book;
pub(crate) mod chat;
pub(crate) mod checkout;
mod confirm;
mod contact;
pub(crate) mod home;
pub(crate) mod info;
pub(crate) mod listing;
pub(crate) mod order;
pub(crate) mod password;
pub(crate) mod policies;
pub(crate) mod reviews;
pub(crate) mod search;
pub(crate) mod sign_in;
pub(crate) mod sign_up;
mod status;
pub(crate) mod under_way;

use axum::{
    Router,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::Uri;

use crate::{error::PageError, service::Web};

/// Every page.
pub(crate) fn router() -> Router<Web> {
    Router::new()
        .route("/", get(home::show))
        .route("/books", get(listing::browse))
        .route("/search", get(search::show))
        .route("/books/{id}", get(book::show))
        .route("/basket", get(basket::show))
        .route("/basket/items", post(basket::add))
        .route("/basket/items/{book_id}", post(basket::set))
        .route("/checkout", get(checkout::show).post(checkout::place))
        .route("/checkout/summary", get(checkout::summary))
        .route("/checkout/start-again", post(under_way::start_again))
        .route("/orders", get(account::orders))
        .route("/orders/{id}", get(order::show))
        .route("/orders/{id}/timeline", get(order::timeline))
        .route("/orders/{id}/cancel", get(order::ask_cancel).post(order::cancel))
        .route("/account", get(account::show))
        .route("/sign-in", get(sign_in::show).post(sign_in::submit))
        .route("/sign-up", get(sign_up::show).post(sign_up::submit))
        .route("/forgot-password", get(password::forgot).post(password::ask))
        .route("/reset-password", get(password::choose).post(password::set))
        .route("/confirm-email", get(confirm::account).post(confirm::confirm_account))
        .route("/confirm-address", get(confirm::chat).post(confirm::confirm_chat))
        .route("/account/confirm-email", post(confirm::send_again))
        .route("/sign-out", post(account::sign_out))
        .route("/theme", post(info::theme))
        .route("/about", get(info::about))
        .route("/shipping-and-returns", get(info::shipping))
        .route("/privacy", get(info::privacy))
        .route("/status", get(status::show))
        .route("/contact", get(contact::show).post(contact::send))
        .route("/policies", get(policies::list))
        .route("/policies/{slug}", get(policies::show))
        .route("/chat/session", get(chat::session))
        .route("/errors/{code}", get(info::error_code))
        .merge(reviews::router())
        .nest("/admin", admin::router())
        .fallback(no_such_page)
        .method_not_allowed_fallback(async || PageError::MethodNotAllowed)
}

/// Nothing is here; with a slash at its end the address may have meant the page without.
async fn no_such_page(uri: Uri) -> Result<Response, PageError> {
    let path = uri.path().trim_end_matches('/');
    // Two slashes at the beginning would name another host.
    if path.len() == uri.path().len() || path.is_empty() || path.starts_with("//") {
        return Err(PageError::NotFound);
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Redirect::permanent(&format!("{path}{query}")).into_response())
}
