pub mod deliver;
mod list_mails;
mod read_mail;
mod resend_mail;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::NotificationService;

pub fn routes() -> OpenApiRouter<NotificationService> {
    OpenApiRouter::new()
        .routes(routes!(list_mails::list_mails))
        .routes(routes!(read_mail::read_mail))
        .routes(routes!(resend_mail::resend_mail))
}
