//! The mailbox: what the shop wrote to whom.

use askama::Template;
use axum::extract::{Path, State};
use bookworm_contracts::rest::operations::Mail;
use http::{HeaderValue, header};

use super::{PAGE, Staff, next_href};
use crate::{
    Web,
    error::PageResult,
    form::Query,
    layout::{Shell, never_stored, page},
};

/// As on every page, but styles inside the letter count: mails have no other. The frame that shows it runs no script.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'",
);

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
    let mut response =
        page(&MailPage { shell: staff.office(format!("Mail: {}", mail.subject)), mail }).map(never_stored)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}
