use axum::Router;
use bookworm_config::MailTransport;
use bookworm_web::{ApiClient, Dependencies, WebService, WebSettings};
use tower::util::BoxCloneSyncService;

use crate::{foundation::Foundation, secret};

/// Makes the pages, once the API that they call is there.
pub fn build(foundation: &Foundation) -> anyhow::Result<Box<dyn FnOnce(Router) -> Router + Send>> {
    let settings = WebSettings {
        shop_name: foundation.settings.web.shop_name.clone(),
        email: address(&foundation.settings.mail.from).to_owned(),
        hours: foundation.settings.chat.hours.iter().map(ToString::to_string).collect(),
        utc_offset_minutes: foundation.settings.chat.utc_offset_minutes,
        sends_mail: foundation.settings.mail.transport != MailTransport::Mailbox,
        time_zone: foundation.settings.web.time_zone,
        secure_cookies: foundation.settings.secure_cookies(),
        secret: secret::load_or_make(&foundation.settings.data_dir.join("web-secret"))?,
    };
    let clock = foundation.clock.clone();
    Ok(Box::new(move |api| {
        let api = ApiClient::new(BoxCloneSyncService::new(api));
        WebService::new(Dependencies { api, clock, settings }).pages()
    }))
}

/// The address of a sender that is written `Name <address>`, or as an address alone.
fn address(sender: &str) -> &str {
    let address = sender.rsplit_once('<').map_or(sender, |(_, address)| address);
    address.trim_end_matches('>').trim()
}
