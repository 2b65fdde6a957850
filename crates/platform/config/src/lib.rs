//! One typed, validated configuration: file, environment, flags.
//!
//! Later sources win: the defaults, the TOML file, environment variables, then what the caller overrides (flags). A
//! variable's name is `BOOKWORM_` and the key in capitals, with `__` between levels:
//! `BOOKWORM_GATEWAY__RATE_LIMIT__ENABLED=false` sets `gateway.rate_limit.enabled`. Lists are written as TOML arrays,
//! or, for lists of words, with commas. A key that was renamed is still read under its earlier name.

#![warn(missing_docs)]

mod load;
mod secret;
mod sections;
mod settings;
mod validate;

pub use crate::{
    load::{ConfigError, Sources},
    secret::Secret,
    sections::{
        admin::Admin,
        ai::{Ai, AiProvider},
        basket::Basket,
        chat::{Chat, InvalidHours, OpeningHours},
        chat_bot::ChatBot,
        database::Database,
        fleet::{Endpoints, Fleet},
        gateway::{Cache, Connections, Cors, Gateway, RateLimit},
        identity::{Argon2, Identity, Lockout},
        mail::{Mail, MailLimits, MailQuota, MailTransport, Smtp, SmtpTls},
        messaging::Messaging,
        mongodb::Mongodb,
        monitor::Monitor,
        nats::Nats,
        ordering::{Ordering, ShippingMethod, TaxRule},
        payment::{Payment, PaymentProvider, Sandbox},
        rating::Rating,
        redis::Redis,
        search::Search,
        shop::Shop,
        telemetry::{LogFormat, Telemetry},
        up::Up,
        web::Web,
    },
    settings::Settings,
    validate::Invalid,
};
