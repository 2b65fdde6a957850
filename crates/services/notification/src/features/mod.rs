pub mod deliver;
mod list_mails;
mod read_mail;
mod resend_mail;

use bookworm_contracts::rest::operations::Mail;
use bookworm_http::auth::{AccountClaims, Role};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{NotificationService, domain::PASSWORD_RESET};

pub fn routes() -> OpenApiRouter<NotificationService> {
    OpenApiRouter::new()
        .routes(routes!(list_mails::list_mails))
        .routes(routes!(read_mail::read_mail))
        .routes(routes!(resend_mail::resend_mail))
}

/// A mail as this account may read it. Whoever reads a link that sets a new password can take the account over, so only
/// administrators, who can do that anyway, see its words.
fn shown_to(account: &AccountClaims, mut mail: Mail) -> Mail {
    if mail.kind == PASSWORD_RESET && !account.has(Role::Admin) {
        mail.text = "Only administrators can read this mail: it holds a link that sets a new password.".to_owned();
        mail.html = format!("<p>{}</p>", mail.text);
    }
    mail
}
