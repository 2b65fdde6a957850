//! The Health Monitor: asks every instance of the fleet each two seconds whether it answers (`grpc.health.v1`), and tells
//! the registry which ones nobody should ask. Of several monitors one judges, under a lease.
//!
//! | to change | open |
//! |---|---|
//! | who is judged out, and who is back | `domain/judgment.rs` |
//! | what is asked, and what counts as an answer | `clients.rs` |
//! | the rounds, what is written to the registry, metrics | `features/judge.rs` |

mod clients;
mod domain;
mod features;
mod service;

use std::sync::Arc;

use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_registry::{Directory, Registry};
use bookworm_rpc::Sign;

use crate::{clients::GrpcProbe, service::Monitor};

/// What the role needs.
pub struct Dependencies {
    /// Where verdicts are written.
    pub registry: Arc<dyn Registry>,
    /// Who is there.
    pub directory: Directory,
    /// Signs questions to other processes.
    pub sign: Sign,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The id of this process in the registry.
    pub process: String,
}

/// The monitor role. Cheap to clone.
#[derive(Clone)]
pub struct MonitorService(Arc<Monitor>);

impl MonitorService {
    /// The role's name.
    pub const NAME: &str = "monitor";

    /// Wires it up.
    #[must_use]
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { registry, directory, sign, clock, process } = dependencies;
        let probe = Box::new(GrpcProbe::new(sign));
        Self(Arc::new(Monitor { registry, directory, probe, clock, process }))
    }

    /// Its loop: asks and judges, in one of the monitors at a time.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        vec![features::judge::each_round(self.0.clone())]
    }
}
