use bookworm_config::MailTransport;
use bookworm_web::{ApiClient, Dependencies, WebService, WebSettings};
use tower::util::BoxCloneSyncService;

use crate::{
    foundation::Foundation,
    part::{Pages, Part},
    secret,
};

/// What the secret of forms is derived for.
const FORMS: &str = "forms of web";

pub fn build(foundation: &Foundation) -> anyhow::Result<Part> {
    // Every process that serves pages must know the forms of the others.
    let secret = match &foundation.fleet.token {
        Some(token) => token.derive(FORMS),
        None => secret::load_or_make(&foundation.settings.data_dir.join("web-secret"))?,
    };
    let settings = WebSettings {
        shop_name: foundation.settings.web.shop_name.clone(),
        email: address(&foundation.settings.mail.from).to_owned(),
        hours: foundation.settings.chat.hours.iter().map(ToString::to_string).collect(),
        utc_offset_minutes: foundation.settings.chat.utc_offset_minutes,
        sends_mail: foundation.settings.mail.transport != MailTransport::Mailbox,
        time_zone: foundation.settings.web.time_zone,
        secure_cookies: foundation.settings.secure_cookies(),
        secret,
    };
    let clock = foundation.clock.clone();
    let pages: Pages = Box::new(move |api| {
        let api = ApiClient::new(BoxCloneSyncService::new(api));
        WebService::new(Dependencies { api, clock, settings }).pages()
    });
    Ok(Part { pages: Some(pages), ..Part::default() })
}

/// The address of a sender that is written `Name <address>`, or as an address alone.
fn address(sender: &str) -> &str {
    let address = sender.rsplit_once('<').map_or(sender, |(_, address)| address);
    address.trim_end_matches('>').trim()
}
