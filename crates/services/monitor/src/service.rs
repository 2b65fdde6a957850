use std::sync::Arc;

use bookworm_kernel::Clock;
use bookworm_registry::{Directory, Registry};

use crate::clients::Probe;

/// What the monitor works with.
pub(crate) struct Monitor {
    /// Where verdicts are written.
    pub registry: Arc<dyn Registry>,
    /// Who is there.
    pub directory: Directory,
    pub probe: Box<dyn Probe>,
    pub clock: Arc<dyn Clock>,
    /// This process, which does not judge itself.
    pub process: String,
}
