//! The storefront and the back office as pages.
//!
//! A client of the public REST API like any other: it is given a service that answers `/api/v1` ([`ApiClient`]) and
//! knows nothing else of the shop. Every page works without JavaScript; the scripts of `web/` only save reloads.
//!
//! | part | what it does |
//! |---|---|
//! | [`api`] | the typed client |
//! | `service` | what every handler shares |
//! | `session` | who is asking: cookies, refreshing tokens, CSRF check, error pages |
//! | `pages` | one file for each page: handler and view |
//! | `words` | the API's messages about fields, in the words of a shop |
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
mod service;
mod session;
mod shelf;
mod view;
mod words;

use std::sync::Arc;

pub use api::ApiClient;
use axum::Router;
use bookworm_kernel::{Clock, TimeZone};

use crate::service::Web;

/// How the pages present the shop.
#[derive(Clone)]
pub struct WebSettings {
    /// The shop's name, at the top of each page.
    pub shop_name: String,
    /// Where customers write to: an e-mail address.
    pub email: String,
    /// When people answer, such as `mon-fri 09:00-18:00`; empty when they always do.
    pub hours: Vec<String>,
    /// The shop's offset from UTC in minutes, for `hours`.
    pub utc_offset_minutes: i32,
    /// Whether browsers reach the shop through TLS only: cookies are `Secure` and `__Host-` then.
    pub secure_cookies: bool,
    /// Whether mail goes out to people; if not, it is only stored for staff to read, and no page says that it was sent.
    pub sends_mail: bool,
    /// Dates and times are shown in it.
    pub time_zone: TimeZone,
    /// Signs forms and messages. The same in every process that serves pages.
    pub secret: [u8; 32],
}

/// What the role needs.
pub struct Dependencies {
    /// The public API.
    pub api: ApiClient,
    /// The time: pages say "today".
    pub clock: Arc<dyn Clock>,
    /// How the pages present the shop.
    pub settings: WebSettings,
}

/// The web role. Cheap to clone.
#[derive(Clone)]
pub struct WebService(Web);

impl WebService {
    /// The role's name.
    pub const NAME: &str = "web";
    /// The addresses of scripts and styles, which name what is in them: each release has its own.
    pub const ASSETS: &str = "/assets/{name}";

    /// Nothing is read before the first request.
    #[must_use]
    pub fn new(dependencies: Dependencies) -> Self {
        Self(Web::new(dependencies))
    }

    /// All pages, and the files that they load.
    pub fn pages(&self) -> Router {
        pages::router()
            .layer(bookworm_http::Stack::new().with_state(self.0.clone(), session::visit))
            .merge(assets::router())
            .with_state(self.0.clone())
    }
}
