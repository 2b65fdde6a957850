//! The mailbox: what the shop wrote to whom.

use askama::Template;
use axum::extract::{Path, State};
use bookworm_contracts::rest::operations::Mail;

use super::{PAGE, Staff, next_href};
use crate::{
    Web,
    error::PageResult,
    form::Query,
    layout::{Shell, never_stored, page},
};

#[derive(Template)]
#[template(path = "admin/mails.html")]
struct MailsPage {
    shell: Shell,
    mails: Vec<Mail>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/mail.html")]
struct MailPage {
    shell: Shell,
    mail: Mail,
}

/// `GET /admin/mail`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let found = web.api.mails(staff.caller(), &[("cursor", query.get("cursor")), ("limit", PAGE)]).await?;
    let next_href = next_href("/admin/mail", &[], found.next.as_deref());
    page(&MailsPage { shell: staff.office("Mail"), mails: found.items, next_href }).map(never_stored)
}

/// `GET /admin/mail/{id}`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let mail = web.api.mail(staff.caller(), &id).await?;
    page(&MailPage { shell: staff.office(format!("Mail: {}", mail.subject)), mail }).map(never_stored)
}
