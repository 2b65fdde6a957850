//! The W3C `tracestate` of spans that are under way. Few requests bring one, and what a request belongs to is handed on
//! as ids that are copied everywhere; so it is looked up by the span's id where it goes out.

use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bookworm_kernel::TraceParent;
use opentelemetry::trace::TraceState;

/// The longest list that the recommendation asks to hand on (section 3.3.1.5).
const LONGEST: usize = 512;

static KEPT: LazyLock<Mutex<HashMap<u64, TraceState>>> = LazyLock::new(Mutex::default);
/// How many there are: mostly none.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn kept() -> MutexGuard<'static, HashMap<u64, TraceState>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The `tracestate` of a span that is under way, as a header's value.
#[must_use]
pub fn tracestate(place: TraceParent) -> Option<String> {
    of(place).map(|state| state.header())
}

pub(crate) fn of(place: TraceParent) -> Option<TraceState> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    kept().get(&place.bits().1).cloned()
}

/// `None` when it is empty, too long or not valid: it is then not handed on.
pub(crate) fn parse(text: &str) -> Option<TraceState> {
    if text.trim().is_empty() || text.len() > LONGEST {
        return None;
    }
    text.parse().ok()
}

/// Keeps a state for as long as its span lives.
pub(crate) struct Kept(u64);

impl Kept {
    pub(crate) fn new(place: TraceParent, state: TraceState) -> Self {
        let span = place.bits().1;
        kept().insert(span, state);
        COUNT.fetch_add(1, Ordering::Relaxed);
        Self(span)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        kept().remove(&self.0);
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}
