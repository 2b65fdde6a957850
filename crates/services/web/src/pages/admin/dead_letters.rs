//! Events that no attempt could process.

use askama::Template;
use axum::extract::{Path, State};

use super::{PAGE, Staff, next_href, settle};
use crate::{
    error::PageResult,
    form::Query,
    layout::{Shell, never_stored, page},
    service::Web,
};

#[derive(Template)]
#[template(path = "admin/dead_letters.html")]
struct DeadLettersPage {
    shell: Shell,
    letters: Vec<Letter>,
    next_href: Option<String>,
}

struct Letter {
    id: String,
    subject: String,
    consumer: String,
    reason: String,
    attempts: i32,
    /// HTML.
    at: String,
    message: String,
}

/// `GET /admin/dead-letters`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let found = web.api.dead_letters(staff.caller(), &[("cursor", query.get("cursor")), ("limit", PAGE)]).await?;
    let next_href = next_href("/admin/dead-letters", &[], found.next.as_deref());
    let letters = found
        .items
        .into_iter()
        .map(|letter| Letter {
            id: letter.id.to_string(),
            subject: letter.subject,
            consumer: letter.consumer,
            reason: letter.reason,
            attempts: letter.attempts,
            at: staff.calendar().time(&letter.at),
            message: serde_json::to_string_pretty(&letter.message).unwrap_or_default(),
        })
        .collect();
    page(&DeadLettersPage { shell: staff.office("Failed events"), letters, next_href }).map(never_stored)
}

/// `POST /admin/dead-letters/{id}/retry`
pub(crate) async fn retry(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let outcome = web.api.retry_dead_letter(staff.caller(), &id).await;
    settle(&staff, outcome, "The event is being processed again.", "/admin/dead-letters")
}
