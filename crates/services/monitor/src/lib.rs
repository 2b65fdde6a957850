//! The Health Monitor: asks every instance of the fleet each two seconds whether it answers (`grpc.health.v1`), and tells
//! the registry which ones nobody should ask. Of several monitors one judges, under a lease. Each of them asks every process
//! each fifteen seconds how it is, and keeps two hours of what it heard for the page of staff.
//!
//! | to change | open |
//! |---|---|
//! | who is judged out, and who is back | `domain/judgment.rs` |
//! | what is asked, and what counts as an answer | `clients.rs` |
//! | the rounds, what is written to the registry, metrics | `features/judge.rs` |
//! | what a process says of itself | `vitals.rs`; who asks: `features/gather.rs` |
//! | what is made of it, and who counts as away | `watch.rs` |
//! | which figures are drawn | `domain/charts.rs` |
//! | what staff are shown | `features/shop_health.rs` |
//! | how the history outlives a process | `features/history.rs` |

mod clients;
mod domain;
mod features;
mod service;
mod vitals;
mod watch;

use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use bookworm_fleet::Peers;
use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_registry::{Directory, Registry};
use bookworm_series::QueryError;
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{clients::GrpcProbe, service::Monitor, watch::Watch};
pub use crate::{features::gather::of_process, service::Own, vitals::Vitals};

/// What the role needs.
pub struct Dependencies {
    /// Where verdicts are written.
    pub registry: Arc<dyn Registry>,
    /// Who is there.
    pub directory: Directory,
    /// The other processes.
    pub peers: Peers,
    /// Whether there may be others to judge.
    pub judges: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The id of this process in the registry.
    pub process: String,
    /// How much memory the history takes at most, in bytes.
    pub history_bytes: usize,
}

/// The monitor role. Cheap to clone.
#[derive(Clone)]
pub struct MonitorService {
    monitor: Arc<Monitor>,
    judges: bool,
}

impl MonitorService {
    /// The role's name.
    pub const NAME: &str = "monitor";

    /// Wires it up.
    ///
    /// # Errors
    /// When a query of ours cannot be read, which is a fault of ours.
    pub fn new(dependencies: Dependencies) -> Result<Self, QueryError> {
        let Dependencies { registry, directory, peers, judges, clock, process, history_bytes } = dependencies;
        let probe = Box::new(GrpcProbe::new(peers.sign(), peers.connector()));
        let watch = Mutex::new(Watch::new(history_bytes)?);
        let (own, shown, stopping) = (OnceLock::new(), Sender::new(None), CancellationToken::new());
        let others = Box::new(peers);
        let monitor = Monitor { registry, directory, probe, others, clock, process, own, watch, shown, stopping };
        Ok(Self { monitor: Arc::new(monitor), judges })
    }

    /// The document of [`api`](Self::api): which operations it has, for a gateway in another process.
    #[must_use]
    pub fn document() -> OpenApi {
        features::routes().into_openapi()
    }

    /// The routes, without the prefix `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.monitor.clone())
    }

    /// What other monitors ask of it.
    pub fn internal(&self) -> Router {
        features::history::routes(self.monitor.clone())
    }

    /// Begins to watch this process, which can say now how it is.
    pub fn watch(&self, own: Own) {
        let _ = self.monitor.own.set(own);
    }

    /// Ends the streams of those who watch.
    pub fn stop(&self) {
        self.monitor.stopping.cancel();
    }

    /// Its loops: watches, in every monitor; asks and judges, in one at a time.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let judge = self.judges.then(|| features::judge::each_round(self.monitor.clone()));
        std::iter::once(features::gather::each_round(self.monitor.clone())).chain(judge).collect()
    }
}
