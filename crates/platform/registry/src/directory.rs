use std::sync::Arc;

use futures::StreamExt;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ASK_AGAIN_AFTER, Instance, LIST_EACH, Registry, RegistryError, View, ask,
    known::{Known, Member},
    pause,
};

/// A copy of a registry, to look things up in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory(watch::Receiver<Arc<View>>);

impl Directory {
    /// A directory that follows a registry, once its [`Follower`] runs.
    #[must_use]
    pub fn following(registry: Arc<dyn Registry>) -> (Self, Follower) {
        let (publish, views) = watch::channel(Arc::default());
        (Self(views), Follower { registry, publish: Arc::new(publish) })
    }

    /// A directory of instances that were configured: it never changes.
    #[must_use]
    pub fn fixed(instances: impl IntoIterator<Item = Instance>) -> Self {
        let member = |instance| Member { instance, verdict: None };
        let members = instances.into_iter().map(member).collect();
        Self(watch::channel(Arc::new(View { members, current: true })).1)
    }

    /// What is known now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.0.borrow().clone()
    }

    /// Waits until more is known than at the last call, or since this clone was made. For ever where nothing can change.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until what is known meets a condition, and returns it. For ever where it never does: set a time limit.
    pub async fn wait_until(&self, mut met: impl FnMut(&View) -> bool) -> Arc<View> {
        let mut views = self.clone();
        loop {
            let view = views.0.borrow_and_update().clone();
            if met(&view) {
                return view;
            }
            views.changed().await;
        }
    }
}

/// Brings a [`Directory`] what is new. Cheap to clone, so that it can be begun again.
#[derive(Clone)]
pub struct Follower {
    registry: Arc<dyn Registry>,
    publish: Arc<watch::Sender<Arc<View>>>,
}

impl Follower {
    /// Follows the registry until `stop`. What is known stays in the directory after it.
    pub async fn run(&self, stop: CancellationToken) {
        let before = self.publish.borrow().clone();
        let mut known = Known::from_view(&before, Instant::now());
        while !stop.is_cancelled() {
            let outcome = tokio::select! {
                outcome = self.follow(&mut known) => outcome,
                () = stop.cancelled() => return,
            };
            // A watch that ended may have missed changes: it is begun anew at once.
            let Err(error) = outcome else { continue };
            if self.publish.borrow().current {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the registry is away: its last list stays in use");
            }
            known.expire_verdicts(Instant::now());
            self.show(&known, false);
            pause(ASK_AGAIN_AFTER, &stop).await;
        }
    }

    /// Follows until the registry does not answer (an error), or a watch ends.
    async fn follow(&self, known: &mut Known) -> Result<(), RegistryError> {
        let mut changes = ask(self.registry.watch()).await?;
        // After the watch has begun, so that nothing falls between them.
        self.list(known).await?;
        let mut next_list = Instant::now() + LIST_EACH;
        loop {
            let list_at = known.instance_expires().map_or(next_list, |expires| expires.min(next_list));
            let verdict_ends = known.verdict_expires().unwrap_or(list_at);
            tokio::select! {
                change = changes.next() => match change {
                    Some(change) => known.change(change, Instant::now()),
                    None => return Ok(()),
                },
                () = sleep_until(list_at) => {
                    self.list(known).await?;
                    next_list = Instant::now() + LIST_EACH;
                }
                () = sleep_until(verdict_ends) => {}
            }
            known.expire_verdicts(Instant::now());
            self.show(known, true);
        }
    }

    /// Lists everything, and drops what expired.
    async fn list(&self, known: &mut Known) -> Result<(), RegistryError> {
        let listing = ask(self.registry.list()).await?;
        let now = Instant::now();
        if !self.publish.borrow().current {
            tracing::info!("the registry answers");
            known.allow_time(now);
        }
        known.listing(listing, now);
        known.expire_instances(now);
        known.expire_verdicts(now);
        self.show(known, true);
        Ok(())
    }

    fn show(&self, known: &Known, current: bool) {
        let view = known.view(current);
        self.publish.send_if_modified(|shown| {
            let changed = **shown != view;
            if changed {
                *shown = Arc::new(view);
            }
            changed
        });
    }
}
