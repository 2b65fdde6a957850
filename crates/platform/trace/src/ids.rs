use std::cell::Cell;

thread_local! {
    static TRACE: Cell<Option<u128>> = const { Cell::new(None) };
}

/// The trace that the next root span of this thread belongs to, for the id generator of a tracer provider. Work that
/// starts by itself has a trace before it has a span; without this its spans would be in traces of their own.
#[must_use]
pub fn next_trace_id() -> Option<u128> {
    TRACE.get()
}

/// Runs `make` so that it finds `trace`.
pub(crate) fn within<T>(trace: Option<u128>, make: impl FnOnce() -> T) -> T {
    TRACE.set(trace);
    let made = make();
    TRACE.set(None);
    made
}
