//! The page behind "Don't ask me again" of a mail that asks for reviews.

use askama::Template;
use axum::extract::State;

use crate::{
    error::PageResult,
    form::{Fields, Query},
    layout::{Shell, never_stored, page_with},
    service::Web,
    session::Visitor,
};

#[derive(Template)]
#[template(path = "unsubscribe.html")]
struct UnsubscribePage {
    shell: Shell,
    step: Step,
}

enum Step {
    /// With the token of the mail.
    Ask(String),
    Done,
    Bad,
}

/// `GET /unsubscribe?token=`: opening a link changes nothing, as programs open them, too.
pub(crate) async fn ask(visitor: Visitor, query: Query) -> PageResult {
    match query.get("token") {
        "" => render(&visitor, Step::Bad),
        token => render(&visitor, Step::Ask(token.to_owned())),
    }
}

/// `POST /unsubscribe`: `token`.
pub(crate) async fn confirm(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    match web.api.unsubscribe(visitor.caller(), fields.get("token")).await {
        Ok(()) => render(&visitor, Step::Done),
        Err(error) if error.status() == http::StatusCode::BAD_REQUEST => render(&visitor, Step::Bad),
        Err(error) => Err(error.into()),
    }
}

fn render(visitor: &Visitor, step: Step) -> PageResult {
    let status = if matches!(step, Step::Bad) { http::StatusCode::BAD_REQUEST } else { http::StatusCode::OK };
    page_with(status, &UnsubscribePage { shell: visitor.shell("Review requests"), step }).map(never_stored)
}
