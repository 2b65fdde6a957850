use std::{fmt, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{ASK_AGAIN_AFTER, Instance, Load, RENEW_EACH, Registry, ask, pause};

type Measure = Arc<dyn Fn() -> Load + Send + Sync>;

/// Announces one instance. Cheap to clone; clones are the same announcement.
#[derive(Clone)]
pub struct Announcer {
    registry: Arc<dyn Registry>,
    instance: Arc<watch::Sender<Instance>>,
    measure: Measure,
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Announcer({})", self.instance.borrow().key)
    }
}

impl Announcer {
    /// Announces this instance once it runs. `measure` says at each announcement how busy it is.
    pub fn new(
        registry: Arc<dyn Registry>,
        instance: Instance,
        measure: impl Fn() -> Load + Send + Sync + 'static,
    ) -> Self {
        Self { registry, instance: Arc::new(watch::Sender::new(instance)), measure: Arc::new(measure) }
    }

    /// Changes what is announced, at once.
    pub fn change(&self, change: impl FnOnce(&mut Instance)) {
        self.instance.send_modify(change);
    }

    /// What is announced, with the load of now.
    #[must_use]
    pub fn instance(&self) -> Instance {
        Instance { load: (self.measure)(), ..self.instance.borrow().clone() }
    }

    /// Announces until `stop`, then withdraws.
    pub async fn run(&self, stop: CancellationToken) {
        let mut changes = self.instance.subscribe();
        let mut answered = true;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            let outcome = ask(self.registry.announce(&self.instance())).await;
            if let Err(error) = &outcome
                && answered
            {
                let error: &dyn std::error::Error = error;
                tracing::warn!(error, "cannot announce this instance: others will not find it");
            }
            answered = outcome.is_ok();
            let until_next = if answered { RENEW_EACH } else { ASK_AGAIN_AFTER };
            tokio::select! {
                () = pause(until_next, &stop) => {}
                // While the registry does not answer, changes wait for the next attempt.
                _ = changes.changed(), if answered => {}
            }
        }
        let key = self.instance.borrow().key.clone();
        // When this fails the entry expires.
        let _ = ask(self.registry.withdraw(&key)).await;
    }
}
