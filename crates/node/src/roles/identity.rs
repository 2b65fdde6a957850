use std::sync::Arc;

use bookworm_http::auth::TokenVerifier;
use bookworm_identity::{Dependencies, IdentityService};
use bookworm_loops::Loop;
use tokio_util::sync::CancellationToken;

use crate::{
    FirstAdmin,
    clients::Clients,
    foundation::Foundation,
    part::{Part, Store},
    redis,
};

pub async fn build(foundation: &Foundation, clients: &Clients<'_>) -> anyhow::Result<Part> {
    let settings = &foundation.settings;
    let service = IdentityService::open(Dependencies {
        db: foundation.inventory.database(IdentityService::NAME).await?,
        clock: foundation.clock.clone(),
        settings: settings.identity.clone(),
        public_url: foundation.origin.clone(),
        basket: clients.basket("identity.basket")?,
        mail: clients.mailroom("identity.notification")?,
        shared_limits: foundation.redis.as_ref().map(redis::Shared::limits),
    })
    .await?;
    let had_admin = service.has_admin().await?;
    let admin = service.ensure_admin(settings.admin.email.as_deref(), settings.admin.password.as_ref()).await?;
    foundation.verifier.set_keys(service.public_keys());
    let mut loops = service.loops();
    let (identity, verifier) = (service.clone(), foundation.verifier.clone());
    loops.push(Loop::new("identity.verifier", move |stop| follow_keys(identity.clone(), verifier.clone(), stop)));
    Ok(Part {
        api: service.api(),
        others: service.well_known(),
        stores: vec![Store::with_inbox(service.db()).and_outbox(service.outbox().source(service.db()))],
        consumers: service.consumers(),
        loops,
        made_admin: !had_admin,
        first_admin: admin.map(|admin| FirstAdmin { email: admin.email, password: admin.password }),
        ..Part::default()
    })
}

/// Trusts each set of keys that identity publishes, until `stop`.
async fn follow_keys(identity: IdentityService, verifier: Arc<TokenVerifier>, stop: CancellationToken) {
    let mut keys = identity.watch_keys();
    loop {
        tokio::select! {
            changed = keys.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        verifier.set_keys(keys.borrow_and_update().clone());
    }
}
