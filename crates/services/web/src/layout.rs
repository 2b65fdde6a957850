//! The frame around every page.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::{
    api::Seen,
    assets,
    error::{PageError, PageResult},
    flash::Flash,
    session::{Glimpse, Theme},
    view::Calendar,
};

/// What the frame shows: see `templates/layout.html`.
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) shop: String,
    /// Where people write to.
    pub(crate) email: String,
    pub(crate) theme: Theme,
    pub(crate) account: Option<Glimpse>,
    pub(crate) basket_count: u32,
    pub(crate) csrf: String,
    pub(crate) flash: Option<Flash>,
    /// Which link of the navigation is the present page.
    pub(crate) section: &'static str,
    /// The text of the search box.
    pub(crate) query: String,
    pub(crate) here: String,
    /// Whether search engines may list the page.
    pub(crate) indexed: bool,
    /// Where there is no script, the page reloads itself after this many seconds.
    pub(crate) refresh_after: Option<u32>,
    /// Whether the header leads nowhere but back: while somebody pays.
    pub(crate) quiet: bool,
    /// Whether it came over TLS.
    pub(crate) secure: bool,
    /// Whether the page offers the support chat.
    pub(crate) chat: bool,
    /// Whether readers have rated any book: nothing is called "top rated" before.
    pub(crate) rated: bool,
    /// How dates and times are shown.
    pub(crate) calendar: Calendar,
    /// The parts of the shop that cannot work now, each with what is wrong: shown in the back office.
    pub(crate) troubles: Vec<(String, String)>,
    /// What the answers were like that the page is made of.
    pub(crate) seen: Seen,
}

impl Shell {
    /// How old the page's contents are, in words, when they are from before the catalogue went away.
    pub(crate) fn stale(&self) -> Option<String> {
        Some(match self.seen.stale_seconds()? {
            ..60 => "less than a minute".to_owned(),
            60..120 => "a minute".to_owned(),
            seconds => format!("{} minutes", seconds / 60),
        })
    }

    pub(crate) fn section(mut self, section: &'static str) -> Self {
        self.section = section;
        self
    }

    /// Listed by search engines, with this description.
    pub(crate) fn indexed(mut self, description: impl Into<String>) -> Self {
        self.indexed = true;
        self.description = description.into();
        self
    }

    pub(crate) fn is_staff(&self) -> bool {
        self.account.as_ref().is_some_and(Glimpse::is_staff)
    }

    pub(crate) fn is_agent(&self) -> bool {
        self.account.as_ref().is_some_and(Glimpse::is_agent)
    }

    /// For those who answer the chat.
    pub(crate) fn without_chat(mut self) -> Self {
        self.chat = false;
        self
    }

    /// Where a file of the bundle is, e.g. `app.js`.
    pub(crate) fn asset(&self, file: &str) -> &'static str {
        assets::path(file)
    }
}

/// An answer of HTML.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
            (status, kind, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page.
pub(crate) fn page(page: &impl Template) -> PageResult {
    page_with(StatusCode::OK, page)
}

/// A page that is not a plain success, e.g. a form with errors.
pub(crate) fn page_with(status: StatusCode, page: &impl Template) -> PageResult {
    let response = html(status, page);
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR { Err(PageError::Internal) } else { Ok(response) }
}

/// No cache may store a page with personal data.
pub(crate) fn never_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
