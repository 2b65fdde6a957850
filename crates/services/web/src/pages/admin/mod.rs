//! The back office. The API decides what somebody may do; these pages only spare others the sight.

pub(crate) mod authors;
mod books;
mod chat;
mod coupons;
mod dead_letters;
mod fleet;
mod health;
mod history;
mod imports;
pub(crate) mod mail;
pub(crate) mod orders;
mod overview;
pub(crate) mod payments;
mod reviews;
mod search;
mod stock;
mod traces;

use axum::{
    Router,
    extract::FromRequestParts,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use bookworm_kernel::ErrorCode;
use http::request::Parts;

use crate::{
    api::{ApiError, ProblemBody},
    error::{PageError, PageResult},
    flash::Flash,
    layout::Shell,
    service::Web,
    session::{Glimpse, Visitor},
    view::{encoded, sign_in_url},
};

/// Entries on one page of a table.
pub(crate) const PAGE: &str = "50";

/// Every page under `/admin`.
pub(crate) fn router() -> Router<Web> {
    Router::new()
        .route("/", get(overview::show))
        .route("/orders", get(orders::list))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/ship", post(orders::ship))
        .route("/orders/{id}/complete", post(orders::complete))
        .route("/orders/{id}/cancel", get(orders::ask_cancel).post(orders::cancel))
        .route("/orders/{id}/refund", get(orders::ask_refund).post(orders::refund))
        .route("/stock", get(stock::list))
        .route("/stock/{id}", get(stock::show).post(stock::adjust))
        .route("/books", get(books::list))
        .route("/books/new", get(books::blank).post(books::create))
        .route("/books/import", get(imports::blank).post(imports::upload))
        .route("/books/import/{id}", get(imports::show))
        .route("/books/import/{id}/status", get(imports::status))
        .route("/books/import/{id}/columns", post(imports::map))
        .route("/books/import/{id}/start", post(imports::start))
        .route("/books/import/{id}/cancel", get(imports::ask_cancel).post(imports::cancel))
        .route("/books/import/{id}/discard", get(imports::ask_discard).post(imports::discard))
        .route("/books/import/{id}/report", get(imports::report))
        .route("/books/authors", get(authors::list))
        .route("/books/authors/{id}", get(authors::show))
        .route("/books/authors/{id}/merge", get(authors::ask_merge).post(authors::merge))
        .route("/books/authors/{id}/split", post(authors::split))
        .route("/books/{id}", get(books::edit).post(books::save))
        .route("/books/{id}/delete", get(books::ask_delete).post(books::delete))
        .route("/reviews", get(reviews::list))
        .route("/reviews/{id}", get(reviews::show))
        .route("/reviews/{id}/decision", post(reviews::decide))
        .route("/reviews/{id}/answer", post(reviews::answer))
        .route("/coupons", get(coupons::list))
        .route("/coupons/new", get(coupons::blank).post(coupons::create))
        .route("/coupons/{code}", get(coupons::show))
        .route("/coupons/{code}/stop", get(coupons::ask_stop).post(coupons::stop))
        .route("/mail", get(mail::list))
        .route("/mail/{id}", get(mail::show))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/{id}/retry", post(dead_letters::retry))
        .route("/fleet", get(fleet::show))
        .route("/fleet/status", get(fleet::status))
        .route("/health", get(health::show))
        .route("/health/part", get(health::part))
        .route("/health/events", get(health::events))
        .route("/traces", get(traces::list))
        .route("/traces/{id}", get(traces::show))
        .route("/search", get(search::show).post(search::save))
        .route("/search/status", get(search::status))
        .route("/chat", get(chat::desk))
        .route("/chat/replies", get(chat::replies).post(chat::save))
        .route("/payments", get(payments::list))
        .route("/payments/reconciliation", get(payments::reconciliation))
}

/// Somebody whose token says staff.
pub(crate) struct Staff {
    visitor: Visitor,
    /// The parts of the shop that cannot work now, each with what is wrong.
    troubles: Vec<(String, String)>,
}

impl std::ops::Deref for Staff {
    type Target = Visitor;
    fn deref(&self) -> &Visitor {
        &self.visitor
    }
}

impl Staff {
    fn office(&self, title: impl Into<String>) -> Shell {
        let mut shell = self.shell(title).section("admin").without_chat();
        shell.troubles.clone_from(&self.troubles);
        shell
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Staff {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let refusal = "Your account doesn’t have access to the back office.";
        let visitor = admit(parts, state, Glimpse::is_staff, refusal).await?;
        // A shop that does not even say how it is shows it on the page itself.
        let troubles = visitor.health().await.unwrap_or_default();
        Ok(Self { visitor, troubles })
    }
}

/// Lets in those whose token says that they may; others sign in, or see why not.
async fn admit<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    may: impl Fn(&Glimpse) -> bool,
    refusal: &str,
) -> Result<Visitor, Response> {
    let visitor = Visitor::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
    match visitor.account() {
        None => Err(Redirect::to(&sign_in_url(visitor.here())).into_response()),
        Some(account) if may(account) => Ok(visitor),
        Some(_) => Err(PageError::Api(ApiError::Problem(Box::new(ProblemBody {
            status: 403,
            code: ErrorCode::Forbidden.as_str().to_owned(),
            detail: Some(refusal.to_owned()),
            ..ProblemBody::default()
        })))
        .into_response()),
    }
}

/// Goes back and says that it is done, or why not.
fn settle(staff: &Staff, outcome: Result<(), ApiError>, done: &str, back: &str) -> PageResult {
    match outcome {
        Ok(()) => staff.flash(&Flash::success(done)),
        Err(error) if error.status().is_client_error() && error.status() != http::StatusCode::UNAUTHORIZED => {
            staff.flash(&Flash::problem(why_not(&error)));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to(back).into_response())
}

/// Why something was not done, in the words of the page: the API's are for programs.
fn why_not(error: &ApiError) -> &'static str {
    match ErrorCode::parse(error.code()) {
        Some(ErrorCode::InvalidOrderState) => {
            "That isn’t possible at the moment: the order has changed, or its payment hasn’t arrived yet. Check it below."
        }
        Some(ErrorCode::InvalidReviewState) => "That isn’t possible where the review stands now.",
        Some(ErrorCode::ConcurrentChange | ErrorCode::EditConflict | ErrorCode::PreconditionRequired) => {
            "Somebody else changed this at the same moment. Check it and try again."
        }
        Some(ErrorCode::NotFound) => "It’s no longer there.",
        Some(ErrorCode::IdempotencyKeyReused) => "This form was sent before. Check what happened, then start again.",
        Some(ErrorCode::Forbidden) => "Your account isn’t allowed to do that.",
        Some(ErrorCode::TooManyRequests) => "That was a lot at once. Wait a moment, then try again.",
        _ => "That didn’t work, and nothing was changed. Reload the page and try again.",
    }
}

/// The address of the next page of a table.
fn next_href(base: &str, filters: &[(&str, &str)], cursor: Option<&str>) -> Option<String> {
    let cursor = cursor?;
    let mut href = format!("{base}?cursor={}", encoded(cursor));
    for (name, value) in filters.iter().filter(|(_, value)| !value.is_empty()) {
        href.push_str(&format!("&{name}={}", encoded(value)));
    }
    Some(href)
}
