//! Emails: what the shop wrote to whom, and whether it was sent.

use askama::Template;
use axum::extract::{Path, State};
use bookworm_contracts::rest::operations::{Mail, MailRefusals};
use http::{HeaderValue, header};

use super::{PAGE, Staff, next_href};
use crate::{
    error::PageResult,
    form::Query,
    layout::{Shell, never_stored, page},
    service::Web,
    view,
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
    refusals: Vec<MailRefusals>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/mail.html")]
struct MailPage {
    shell: Shell,
    mail: Mail,
}

/// The state of an email. `kept` ones were not sent: no mail server is set.
pub(crate) fn status(status: &str) -> String {
    match status {
        "queued" => "Waiting to be sent".to_owned(),
        "sent" => "Sent".to_owned(),
        "kept" => "Kept, not sent".to_owned(),
        "failed" => "Not delivered".to_owned(),
        "held" => "Waiting for the reader to confirm the address".to_owned(),
        "refused" => "Not sent: over a limit".to_owned(),
        other => view::capitalised(&other.replace('_', " ")),
    }
}

/// What an email is about.
pub(crate) fn kind(kind: &str) -> String {
    match kind {
        "order_confirmed" => "Order confirmation".to_owned(),
        "order_rejected" => "Declined order".to_owned(),
        "order_cancelled" => "Cancelled order".to_owned(),
        "order_shipped" => "Shipped order".to_owned(),
        "order_refunded" => "Refund".to_owned(),
        "password_reset" => "Password reset".to_owned(),
        "confirm_email" | "confirm_mail" => "Confirming an address".to_owned(),
        "welcome" => "New account".to_owned(),
        "chat_answer" => "Reply to a chat".to_owned(),
        "chat_transcript" => "Chat transcript".to_owned(),
        other => view::capitalised(&other.replace('_', " ")),
    }
}

/// `GET /admin/mail`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let wanted = [("cursor", query.get("cursor")), ("limit", PAGE)];
    let (found, refusals) =
        tokio::try_join!(web.api.mails(staff.caller(), &wanted), web.api.mail_refusals(staff.caller()))?;
    let next_href = next_href("/admin/mail", &[], found.next.as_deref());
    page(&MailsPage { shell: staff.office("Emails"), mails: found.items, refusals, next_href }).map(never_stored)
}

/// `GET /admin/mail/{id}`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let mail = web.api.mail(staff.caller(), &id).await?;
    let mut response =
        page(&MailPage { shell: staff.office(format!("Email: {}", mail.subject)), mail }).map(never_stored)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}
