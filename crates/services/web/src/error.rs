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
        let (heading, advice) = self.words(status, problem);
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

    fn words(&self, status: StatusCode, problem: Option<&ProblemBody>) -> (&'static str, String) {
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
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) => (
                "We’re having trouble right now",
                "Please try again in a moment. Your last change may not have been saved; nothing will be done twice."
                    .to_owned(),
            ),
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
