//! What can go wrong with a page, and the page that says so.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::{
    api::{ApiError, ProblemBody},
    form::LARGEST_FILE,
    layout::{Shell, html},
    session::Visitor,
    words,
};

/// Why a page cannot be shown.
#[derive(Debug, Clone)]
pub(crate) enum PageError {
    /// The API refused, or did not answer.
    Api(ApiError),
    NotFound,
    MethodNotAllowed,
    Csrf,
    TooLarge,
    FileTooLarge,
    Internal,
}

/// What a handler gives: a page, or why not.
pub(crate) type PageResult = Result<Response, PageError>;

/// Marks a response whose body the session's middleware still has to write: only there is known who is looking.
#[derive(Clone)]
pub(crate) struct Failure(pub(crate) Arc<PageError>);

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Failure(Arc::new(self)));
        response
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    status: u16,
    heading: &'static str,
    advice: String,
    trace_id: Option<String>,
    retry: Option<String>,
    sign_in: bool,
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Api(error) => error.status(),
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Csrf => StatusCode::FORBIDDEN,
            Self::TooLarge | Self::FileTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The page, for this visitor.
    pub(crate) fn page(&self, visitor: &Visitor) -> Response {
        let status = self.status();
        let problem = match self {
            Self::Api(error) => error.problem(),
            _ => None,
        };
        let (heading, advice) = self.words(status, problem, visitor.here());
        let page = ErrorPage {
            shell: visitor.shell(heading),
            status: status.as_u16(),
            heading,
            advice,
            trace_id: problem.and_then(|problem| problem.trace_id.clone()),
            retry: (status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS)
                .then(|| visitor.back().to_owned()),
            sign_in: status == StatusCode::FORBIDDEN && !matches!(self, Self::Csrf) && visitor.account().is_none(),
        };
        let mut response = html(status, &page);
        if let Some(seconds) = problem.and_then(|problem| problem.retry_after) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn words(&self, status: StatusCode, problem: Option<&ProblemBody>, here: &str) -> (&'static str, String) {
        let detail = problem.map(|problem| match problem.errors.as_slice() {
            [] => problem.message().to_owned(),
            [error, ..] => words::of_field(error),
        });
        let detail = detail.filter(|message| !message.is_empty());
        match (self, status) {
            (Self::Csrf, _) => (
                "This form has expired",
                "Nothing was changed. Go back, reload the page and try again. Your browser needs to allow cookies."
                    .to_owned(),
            ),
            (_, StatusCode::NOT_FOUND) => (
                "We looked on every shelf",
                "This page doesn’t exist. It may have moved, or the link may be wrong.".to_owned(),
            ),
            (_, StatusCode::FORBIDDEN) => ("Staff only", "Your account doesn’t have access.".to_owned()),
            (_, StatusCode::TOO_MANY_REQUESTS) => (
                "One moment, please",
                "That was a lot of requests in a short time. Wait a little and try again.".to_owned(),
            ),
            (Self::FileTooLarge, _) => (
                "That file is too large",
                format!(
                    "A file can be up to {} MB. Compress it with gzip (.gz), or cut it into several files.",
                    LARGEST_FILE >> 20
                ),
            ),
            (Self::TooLarge, _) | (_, StatusCode::PAYLOAD_TOO_LARGE) => {
                ("That’s too large", "Forms can be up to 256 kB. Shorten it and try again.".to_owned())
            }
            (Self::MethodNotAllowed, _) => {
                ("This page can’t do that", "Go back and try it from the page itself.".to_owned())
            }
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) => {
                (heading_while_away(here), advice_while_away(here).to_owned())
            }
            (_, status) if status.is_client_error() => {
                ("That didn’t work", detail.unwrap_or_else(|| "We couldn’t understand that request.".to_owned()))
            }
            _ => (
                "Something went wrong on our side",
                "We’ve logged the problem. If you contact us, please include the reference below.".to_owned(),
            ),
        }
    }
}

/// What the visitor wanted, by the page's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Checkout,
    Basket,
    Orders,
    Account,
    Books,
    Other,
}

fn wanted(here: &str) -> Wanted {
    let first = here.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
    match first {
        "checkout" => Wanted::Checkout,
        "basket" => Wanted::Basket,
        "orders" => Wanted::Orders,
        "account" | "sign-in" | "sign-up" => Wanted::Account,
        "books" | "search" => Wanted::Books,
        _ => Wanted::Other,
    }
}

/// What is not there, while a part of the shop is away.
fn heading_while_away(here: &str) -> &'static str {
    match wanted(here) {
        Wanted::Checkout => "We can’t take orders right now",
        Wanted::Basket => "We can’t reach your basket right now",
        Wanted::Orders => "We can’t show your orders right now",
        Wanted::Account => "We can’t reach your account right now",
        Wanted::Books => "We can’t reach our shelves right now",
        Wanted::Other => "We’re having trouble right now",
    }
}

/// What is safe, and when to come back.
fn advice_while_away(here: &str) -> &'static str {
    match wanted(here) {
        Wanted::Checkout => {
            "Your basket is kept. Please come back in a few minutes. If you had just placed an order, it won’t be placed \
             or paid twice."
        }
        Wanted::Basket => {
            "Your basket is kept, and you can go on browsing. Please try again in a minute. If you had just changed it, \
             the change may not have been saved."
        }
        Wanted::Orders => "Your orders are safe. Please try again in a minute.",
        Wanted::Account => "You can still browse, and check out as a guest. Please try again in a minute.",
        Wanted::Books => "Please try again in a minute. Your basket and your orders are safe.",
        Wanted::Other => {
            "Please try again in a moment. Your last change may not have been saved; nothing will be done twice."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_meets_a_closed_door_reads_what_is_safe_and_when_to_come_back() {
        for (here, heading, advice) in [
            ("/checkout", "We can’t take orders right now", "come back in a few minutes"),
            ("/checkout/start-again", "We can’t take orders right now", "won’t be placed or paid twice"),
            ("/basket?x=1", "We can’t reach your basket right now", "go on browsing"),
            ("/basket/items", "We can’t reach your basket right now", "may not have been saved"),
            ("/orders/7?key=k", "We can’t show your orders right now", "safe"),
            ("/sign-in?next=/checkout", "We can’t reach your account right now", "as a guest"),
            ("/books?sort=title", "We can’t reach our shelves right now", "in a minute"),
            ("/", "We’re having trouble right now", "nothing will be done twice"),
        ] {
            assert_eq!(heading_while_away(here), heading, "{here}");
            assert!(advice_while_away(here).contains(advice), "{here}: {}", advice_while_away(here));
        }
    }
}
