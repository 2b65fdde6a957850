//! What every use case of the basket shares.

use std::{sync::Arc, time::Duration};

use bookworm_db::Db;
use bookworm_kernel::{Clock, Currency, Timestamp};

use crate::clients::Catalogue;

/// How baskets behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// After this many days untouched a guest's basket is deleted; also the age of its cookie. At least 1.
    pub guest_days: u32,
    /// The most different books that a basket can be filled with. Merging two may exceed it, so that no line is lost.
    pub max_lines: usize,
    /// The shop's currency: that of an empty basket's subtotal.
    pub currency: Currency,
    /// Whether the shop is reached over TLS: the cookie is then never sent without it.
    pub secure_cookies: bool,
}

impl Default for Settings {
    /// 30 days, 100 lines, US dollars, no TLS.
    fn default() -> Self {
        Self { guest_days: 30, max_lines: 100, currency: Currency::USD, secure_cookies: false }
    }
}

impl Settings {
    pub(crate) fn guest_age(&self) -> Duration {
        Duration::from_secs(u64::from(self.guest_days) * 24 * 60 * 60)
    }
}

/// Everything that requests, reactions and loops share.
#[derive(Debug)]
pub(crate) struct Baskets {
    pub db: Db,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub catalogue: Catalogue,
}

impl Baskets {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
