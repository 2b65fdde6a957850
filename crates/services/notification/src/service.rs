//! What every use case of notification needs.

use std::sync::Arc;

use bookworm_config::{MailLimits, MailQuota};
use bookworm_db::Db;
use bookworm_kernel::{Clock, Timestamp};
use bookworm_messaging::Outbox;
use tokio::sync::Notify;

use crate::{
    Dependencies,
    domain::{
        Letterhead,
        limits::{Limits, Quota},
    },
    transport::Transport,
};

pub(crate) struct Notification {
    pub db: Db,
    pub outbox: Outbox,
    pub clock: Arc<dyn Clock>,
    pub transport: Arc<dyn Transport>,
    pub letterhead: Letterhead,
    /// How often a mail is handed to the transport before it is given up.
    pub max_attempts: u32,
    pub limits: Limits,
    /// Wakes the loop that hands mails to the transport.
    pub wake: Notify,
}

impl Notification {
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { db, clock, settings, transport, shop_name, origin, time_zone } = dependencies;
        Self {
            db,
            outbox: Outbox::new(clock.clone()),
            clock,
            transport,
            letterhead: Letterhead { shop: shop_name, origin, zone: time_zone },
            max_attempts: settings.max_attempts,
            limits: limits(&settings.limits),
            wake: Notify::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn limits(settings: &MailLimits) -> Limits {
    let quota = |of: MailQuota| {
        let MailQuota { sender_hour, sender_day, recipient_hour, recipient_day, all_hour, all_day } = of;
        Quota { sender_hour, sender_day, recipient_hour, recipient_day, all_hour, all_day }
    };
    Limits {
        account: quota(settings.account),
        chat: quota(settings.chat),
        contact: quota(settings.contact),
        order: quota(settings.order),
    }
}
