pub mod admit;
mod confirm_mail;
mod contact;
pub mod deliver;
mod list_mails;
mod list_refusals;
mod read_mail;
mod resend_mail;
pub mod tidy;

use std::sync::Arc;

use bookworm_contracts::rest::operations::Mail;
use bookworm_http::auth::{AccountClaims, Role};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{CONFIRM_EMAIL, CONFIRM_MAIL, PASSWORD_RESET, REVIEW_INVITATION},
    service::Notification,
};

pub fn routes() -> OpenApiRouter<Arc<Notification>> {
    OpenApiRouter::new()
        .routes(routes!(list_mails::list_mails))
        .routes(routes!(list_refusals::list_refusals))
        .routes(routes!(confirm_mail::confirm_mail))
        .routes(routes!(contact::contact))
        .routes(routes!(read_mail::read_mail))
        .routes(routes!(resend_mail::resend_mail))
}

/// A mail as this account may read it. Whoever reads a link that sets a new password can take the account over, and
/// whoever reads one that proves an address can prove what is not theirs, and one that asks for a review can write it for
/// its buyer: so only administrators see those words.
fn shown_to(account: &AccountClaims, mut mail: Mail) -> Mail {
    let holds_a_link = [PASSWORD_RESET, CONFIRM_EMAIL, CONFIRM_MAIL, REVIEW_INVITATION].contains(&mail.kind.as_str());
    if holds_a_link && !account.has(Role::Admin) {
        mail.text = "Only administrators can read this mail: its link is for the person it was sent to.".to_owned();
        mail.html = format!("<p>{}</p>", mail.text);
    }
    mail
}
