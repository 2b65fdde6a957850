use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bookworm_contracts::rest::operations::ShopHealth;
use bookworm_kernel::Clock;
use bookworm_registry::{Directory, Registry};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clients::{Others, Probe},
    vitals::Vitals,
    watch::Watch,
};

/// Says how this process is.
pub type Own = Arc<dyn Fn() -> BoxFuture<'static, Vitals> + Send + Sync>;

/// What the monitor works with.
pub(crate) struct Monitor {
    /// Where verdicts are written.
    pub registry: Arc<dyn Registry>,
    /// Who is there.
    pub directory: Directory,
    pub probe: Box<dyn Probe>,
    pub others: Box<dyn Others>,
    pub clock: Arc<dyn Clock>,
    /// This process, which does not judge itself.
    pub process: String,
    /// Set once this process can say how it is.
    pub own: OnceLock<Own>,
    /// What is known of the shop.
    pub watch: Mutex<Watch>,
    /// The shop as it was at the last look; `None` before the first.
    pub shown: watch::Sender<Option<Arc<ShopHealth>>>,
    /// Cancelled when streams must end.
    pub stopping: CancellationToken,
}

impl Monitor {
    pub(crate) fn watch(&self) -> MutexGuard<'_, Watch> {
        // What a panic left is a history that lacks something.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
