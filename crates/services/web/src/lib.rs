//! The storefront and the back office as pages.
//!
//! A customer of the public REST API like any other: it is handed a service that answers `/api/v1` ([`ApiClient`]) and
//! knows nothing else of the shop. Every page works without JavaScript; the islands of `web/` only save reloads.
//!
//! | part | what it does |
//! |---|---|
//! | [`api`] | the typed client |
//! | `session` | who is asking: cookies, refreshing tokens, CSRF check, error pages |
//! | `pages` | one file for each page: handler and view |
//! | `words` | what the API says of fields, as a shop says it |
//! | `cover` | draws covers |
//! | `assets` | scripts, styles and icons, embedded |

pub mod api;
mod assets;
mod cover;
mod csrf;
mod error;
mod flash;
mod form;
mod layout;
mod names;
mod pages;
mod session;
mod shelf;
mod view;
mod words;

use std::sync::Arc;

pub use api::ApiClient;
use axum::Router;
use bookworm_kernel::{Clock, TimeZone};

use crate::{session::Refreshes, shelf::Shelf};

/// How the pages present the shop.
#[derive(Clone)]
pub struct WebSettings {
    /// The name over the door.
    pub shop_name: String,
    /// Where people write to: an e-mail address.
    pub email: String,
    /// When people answer, such as `mon-fri 09:00-18:00`; nothing when they always do.
    pub hours: Vec<String>,
    /// The shop's offset from UTC in minutes, for `hours`.
    pub utc_offset_minutes: i32,
    /// Whether browsers reach the shop through TLS only: cookies are `Secure` and `__Host-` then.
    pub secure_cookies: bool,
    /// Whether mail goes out to people; if not, it is only kept for staff to read, and no page says that it was sent.
    pub sends_mail: bool,
    /// Dates and times are shown in it.
    pub time_zone: TimeZone,
    /// Tells what "today" is.
    pub clock: Arc<dyn Clock>,
    /// Signs forms and messages. The same in every process that serves pages.
    pub secret: [u8; 32],
}

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) api: ApiClient,
    pub(crate) settings: Arc<WebSettings>,
    pub(crate) refreshes: Refreshes,
    pub(crate) shelf: Shelf,
    pub(crate) covers: cover::Covers,
    pub(crate) views: pages::book::Views,
}

/// All pages, over this API.
pub fn router(api: ApiClient, settings: WebSettings) -> Router {
    let web = Web {
        api,
        settings: Arc::new(settings),
        refreshes: Refreshes::new(),
        shelf: Shelf::new(),
        covers: cover::Covers::new(),
        views: pages::book::Views::new(),
    };
    pages::router()
        .layer(axum::middleware::from_fn_with_state(web.clone(), session::visit))
        .merge(assets::router())
        .with_state(web)
}
