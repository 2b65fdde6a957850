//! What can go wrong with a page, and the page that says so.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse, Response};
use bookworm_kernel::ErrorCode;
use http::{HeaderValue, StatusCode, header};

use crate::{
    api::{ApiError, ProblemBody},
    layout::{Shell, html},
    session::Visitor,
};

/// Why a page cannot be shown.
#[derive(Debug, Clone)]
pub(crate) enum PageError {
    /// The API said no, or nothing.
    Api(ApiError),
    NotFound,
    MethodNotAllowed,
    Csrf,
    TooLarge,
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
    code: String,
    explained: bool,
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
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Api(error) => error.code(),
            Self::NotFound => ErrorCode::NotFound.as_str(),
            Self::MethodNotAllowed => ErrorCode::MethodNotAllowed.as_str(),
            Self::Csrf => ErrorCode::CsrfFailed.as_str(),
            Self::TooLarge => ErrorCode::BodyTooLarge.as_str(),
            Self::Internal => ErrorCode::Internal.as_str(),
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
            code: self.code().to_owned(),
            explained: crate::pages::info::has_error_page(self.code()),
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
        let said = problem.map(|problem| match problem.errors.as_slice() {
            [] => problem.message().to_owned(),
            [error, ..] => format!("{}: {}.", error.field.trim_start_matches('/').replace('_', " "), error.message),
        });
        let said = said.filter(|message| !message.is_empty());
        match (self, status) {
            (Self::Csrf, _) => (
                "This form has expired",
                "For your safety we only accept forms from a page that you opened here, with cookies allowed. \
                 Go back, reload the page and send the form again. Nothing was changed."
                    .to_owned(),
            ),
            (_, StatusCode::NOT_FOUND) => (
                "We looked on every shelf",
                "There is no page at this address. It may have moved, or the link may be misspelled.".to_owned(),
            ),
            (_, StatusCode::FORBIDDEN) => {
                ("This door is for staff", said.unwrap_or_else(|| "Your account may not open this page.".to_owned()))
            }
            (_, StatusCode::TOO_MANY_REQUESTS) => (
                "One moment, please",
                said.unwrap_or_else(|| {
                    "There were many requests in a short time. Wait a little and try again.".to_owned()
                }),
            ),
            (Self::TooLarge, _) => ("That was too much at once", "The form is larger than 256 kB.".to_owned()),
            (Self::MethodNotAllowed, _) => {
                ("That does not work here", "This address cannot be used in this way.".to_owned())
            }
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) => (
                "This part of the shop does not answer",
                "It should be back in a moment. What you did on this page may not have been saved; \
                 try again, and nothing will be done twice."
                    .to_owned(),
            ),
            (_, status) if status.is_client_error() => {
                ("That did not work", said.unwrap_or_else(|| "The request could not be understood.".to_owned()))
            }
            _ => (
                "Something went wrong on our side",
                "We have written it down. If you tell us the reference below, we can look up what happened.".to_owned(),
            ),
        }
    }
}
