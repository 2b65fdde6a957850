use std::future::Future;

use bookworm_kernel::{Cause, CorrelationId, TraceParent};

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// The step that the task is at: the parent of what is begun in it without being told why, such as a statement to a
/// database. `None` in tasks that were spawned on the way, and in work that starts by itself.
#[must_use]
pub fn current() -> Option<TraceParent> {
    CURRENT.try_with(|place| *place).ok()
}

/// Why something happens that was not told why: the step that the task is at, or a beginning of its own.
#[must_use]
pub fn cause() -> Cause {
    current().map_or_else(Cause::start, |place| Cause::request(CorrelationId::new(), place))
}

/// Runs a future so that [`current`] returns this place in it.
pub fn scope<F: Future>(place: TraceParent, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(place, future)
}
