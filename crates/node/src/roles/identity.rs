use std::sync::Arc;

use bookworm_http::auth::TokenVerifier;
use bookworm_identity::IdentityService;
use tokio_util::sync::CancellationToken;

use crate::{
    FirstAdmin,
    foundation::Foundation,
    part::Part,
    roles::{basket, notification},
};

pub async fn build(
    foundation: &Foundation,
    basket: basket::Client,
    mail: notification::Client,
) -> anyhow::Result<(Option<FirstAdmin>, Part)> {
    let settings = &foundation.settings;
    let service = IdentityService::open(
        foundation.inventory.database(IdentityService::NAME).await?,
        &settings.identity,
        &foundation.origin,
        foundation.clock.clone(),
        basket,
        mail,
    )
    .await?;
    let admin = service.ensure_admin(settings.admin.email.as_deref(), settings.admin.password.as_ref()).await?;
    let mut workers = service.workers(foundation.stop_work.clone());
    foundation.verifier.set_keys(service.public_keys());
    workers.push(Box::pin(follow_keys(service.clone(), foundation.verifier.clone(), foundation.stop_work.clone())));
    let part = Part {
        api: service.api(),
        others: service.well_known(),
        dbs: vec![service.db().clone()],
        outboxes: vec![(service.db().clone(), service.outbox().clone())],
        consumers: service.consumers(),
        workers,
        ..Part::default()
    };
    let admin = admin.map(|admin| FirstAdmin { email: admin.email, password: admin.password });
    Ok((admin, part))
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
