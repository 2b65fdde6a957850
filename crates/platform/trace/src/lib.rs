//! Steps of work as spans of a distributed trace.
//!
//! A span is where the ids of a step come from: the ones in logs, in `traceparent` and in what is exported are the same.
//! Nothing here knows where spans are sent. Once somebody installs a tracer provider and calls [`enable`] they go to it,
//! and once somebody calls [`remember`] the recent ones are kept in this process. Without either a step gets ids of its own,
//! and nothing else is done. Names and attributes follow OpenTelemetry's semantic conventions.

#![warn(missing_docs)]

mod current;
mod ids;
mod recent;
mod state;

use std::{borrow::Cow, sync::OnceLock, time::Instant};

use bookworm_kernel::TraceParent;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    global::{BoxedSpan, BoxedTracer},
    trace::{Link, Span as _, SpanBuilder, SpanContext, Status, TraceContextExt, TraceState, Tracer},
};
pub use opentelemetry::{KeyValue, trace::SpanKind as Kind};

use crate::recent::Ended;
pub use crate::{
    current::{cause, current, scope},
    ids::next_trace_id,
    recent::{Bound, Recent, SLOW, SUBJECT, Step, Summary, recent, remember},
    state::tracestate,
};

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// Makes spans with the tracer provider that OpenTelemetry's `global` has from now on. It is the process's for good.
pub fn enable() {
    let _ = TRACER.set(opentelemetry::global::tracer("bookworm"));
}

/// What a step follows from.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    /// The span before it.
    pub trace: TraceParent,
    /// The W3C `tracestate` that came with it.
    pub state: Option<&'a str>,
}

impl From<TraceParent> for Parent<'_> {
    fn from(trace: TraceParent) -> Self {
        Self { trace, state: None }
    }
}

/// A step of work: begun when it is made, ended when it is dropped.
pub struct Span {
    place: TraceParent,
    span: Option<BoxedSpan>,
    kept: Option<Box<Kept>>,
    _state: Option<state::Kept>,
}

/// A step under way that this process keeps.
struct Kept {
    ended: Ended,
    began: Instant,
}

impl Drop for Span {
    fn drop(&mut self) {
        if let (Some(kept), Some(recent)) = (self.kept.take(), recent()) {
            let took = u64::try_from(kept.began.elapsed().as_micros()).unwrap_or(u64::MAX);
            recent.push(Ended { took, ..kept.ended });
        }
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Span").field(&self.place).finish()
    }
}

impl Span {
    /// Begins a step of this kind. `describe` gives its name and attributes; it runs only when they are recorded.
    #[must_use]
    pub fn begin<'a>(
        kind: Kind,
        parent: Option<Parent<'a>>,
        describe: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>),
    ) -> Self {
        Self::linked(kind, parent, [], describe)
    }

    /// The same for a step that belongs to others than its parent, too.
    #[must_use]
    pub fn linked<'a>(
        kind: Kind,
        parent: Option<Parent<'a>>,
        links: impl IntoIterator<Item = TraceParent>,
        describe: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>),
    ) -> Self {
        let before = parent.map(|parent| parent.trace);
        let state = parent.and_then(|parent| match parent.state {
            Some(text) => state::parse(text),
            None => state::of(parent.trace),
        });
        let begun = TRACER.get().and_then(|tracer| begin(tracer, &kind, before, state.as_ref(), links));
        let is_kept = recent().is_some();
        let (place, mut span) = match begun {
            Some((place, span)) => (place, Some(span)),
            None if is_kept => (before.unwrap_or_else(TraceParent::start).child(), None),
            None => (unrecorded(&kind, before), None),
        };
        let exported = span.as_mut().filter(|span| span.is_recording());
        let described = (is_kept || exported.is_some()).then(describe);
        let kept = match (described, exported) {
            (Some((name, attributes)), Some(span)) if is_kept => {
                span.update_name(name.clone());
                span.set_attributes(attributes.iter().cloned());
                Some((name, attributes))
            }
            (Some((name, attributes)), Some(span)) => {
                span.update_name(name);
                span.set_attributes(attributes);
                None
            }
            (described, None) => described,
            (None, Some(_)) => None,
        };
        let parent = before.filter(|before| before.is_span()).map(|before| before.bits().1);
        let kept = kept.map(|(name, attributes)| {
            let (trace, span, _) = place.bits();
            let started = recent::now();
            let ended = Ended { trace, span, parent, kind, name, started, took: 0, failed: false, attributes };
            Box::new(Kept { ended, began: Instant::now() })
        });
        // Whoever only passes on has the place of the step before it, and so its state.
        let state = state.filter(|_| before != Some(place)).map(|state| state::Kept::new(place, state));
        Self { place, span, kept, _state: state }
    }

    /// Begins a step within the one that this task is at ([`current`]); `None` outside of one, and where no spans are made.
    #[must_use]
    pub fn within(kind: Kind, describe: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>)) -> Option<Self> {
        if recent().is_none() && TRACER.get().is_none() {
            return None;
        }
        current().map(|place| Self::begin(kind, Some(place.into()), describe))
    }

    /// Where in its trace the step is: what follows from it has this as its parent.
    #[must_use]
    pub fn place(&self) -> TraceParent {
        self.place
    }

    /// Says something of the step.
    pub fn set(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        if self.span.is_none() && self.kept.is_none() {
            return;
        }
        let attribute = KeyValue::new(key, value);
        if let Some(kept) = &mut self.kept {
            kept.ended.attributes.push(attribute.clone());
        }
        if let Some(span) = &mut self.span {
            span.set_attribute(attribute);
        }
    }

    /// The step failed; `kind` is a word for how, of a small set (attribute `error.type`).
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>) {
        self.set("error.type", kind.into());
        if let Some(kept) = &mut self.kept {
            kept.ended.failed = true;
        }
        if let Some(span) = &mut self.span {
            span.set_status(Status::error(""));
        }
    }
}

/// `None` when the provider makes no spans any more: it has been shut down.
fn begin(
    tracer: &BoxedTracer,
    kind: &Kind,
    parent: Option<TraceParent>,
    state: Option<&TraceState>,
    links: impl IntoIterator<Item = TraceParent>,
) -> Option<(TraceParent, BoxedSpan)> {
    let links: Vec<Link> =
        links.into_iter().map(|linked| Link::new(context_of(linked, true, None), Vec::new(), 0)).collect();
    let mut builder = SpanBuilder::from_name("").with_kind(kind.clone());
    if !links.is_empty() {
        builder = builder.with_links(links);
    }
    let span = match parent {
        Some(parent) if parent.is_span() => {
            let is_remote = matches!(kind, Kind::Server | Kind::Consumer);
            let context = Context::new().with_remote_span_context(context_of(parent, is_remote, state));
            tracer.build_with_context(builder, &context)
        }
        root => ids::within(root.map(|root| root.bits().0), || tracer.build_with_context(builder, &Context::new())),
    };
    let made = span.span_context();
    let place = TraceParent::of(
        u128::from_be_bytes(made.trace_id().to_bytes()),
        u64::from_be_bytes(made.span_id().to_bytes()),
        made.trace_flags().to_u8(),
    )?;
    Some((place, span))
}

fn context_of(place: TraceParent, is_remote: bool, state: Option<&TraceState>) -> SpanContext {
    let (trace, span, flags) = place.bits();
    let state = state.cloned().unwrap_or_default();
    SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::new(flags), is_remote, state)
}

/// Ids where no spans are made: whoever answers has its own, whoever asks passes on what it has.
fn unrecorded(kind: &Kind, parent: Option<TraceParent>) -> TraceParent {
    match (kind, parent) {
        (Kind::Client | Kind::Producer, Some(parent)) => parent,
        (_, Some(parent)) => parent.child(),
        (_, None) => TraceParent::start(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};

    use super::*;

    fn begin(kind: Kind, parent: Option<TraceParent>) -> Span {
        Span::begin(kind, parent.map(Parent::from), || ("step".into(), Vec::new()))
    }

    /// One test, in this order: a process has no provider at first, and then one for good.
    #[test]
    fn ids_are_a_steps_own_and_those_of_its_span_once_there_are_spans() {
        let caller = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let answering = begin(Kind::Server, Some(caller)).place();
        assert_eq!(answering.trace_id(), caller.trace_id());
        assert_ne!(answering, caller);
        assert_eq!(begin(Kind::Client, Some(caller)).place(), caller, "whoever asks passes on what it has");
        assert_eq!(begin(Kind::Producer, Some(caller)).place(), caller);

        let parent = Parent { trace: caller, state: Some("vendor=1") };
        let outer = Span::begin(Kind::Server, Some(parent), || unreachable!("nobody wants to know"));
        let inner = begin(Kind::Client, Some(outer.place()));
        assert_eq!(tracestate(inner.place()).as_deref(), Some("vendor=1"));
        drop(inner);
        assert_eq!(tracestate(outer.place()).as_deref(), Some("vendor=1"), "the outer step is still under way");
        let place = outer.place();
        drop(outer);
        assert_eq!(tracestate(place), None);

        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .build();
        opentelemetry::global::set_tracer_provider(provider.clone());
        enable();

        let outer = Span::begin(Kind::Server, Some(parent), || ("outer".into(), vec![KeyValue::new("a", 1)]));
        let mut inner = begin(Kind::Client, Some(outer.place()));
        assert_eq!(tracestate(inner.place()).as_deref(), Some("vendor=1"));
        inner.fail("timeout");
        let places = [inner.place(), outer.place()];
        drop((inner, outer));
        let spans = exporter.get_finished_spans().unwrap();
        let of =
            |place: TraceParent| spans.iter().find(|span| SpanId::from(place.bits().1) == span.span_context.span_id());
        let [inner, outer] = places.map(|place| of(place).unwrap());
        assert_eq!(outer.parent_span_id, SpanId::from(caller.bits().1));
        assert_eq!(inner.parent_span_id, outer.span_context.span_id());
        assert_eq!((outer.parent_span_is_remote, inner.parent_span_is_remote), (true, false));
        assert_eq!((&*outer.name, outer.attributes[0].key.as_str()), ("outer", "a"));
        assert_eq!(inner.status, Status::error(""));

        let unsampled = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        let quiet = Span::begin(Kind::Server, Some(unsampled.into()), || unreachable!("it is not recorded"));
        assert_eq!((quiet.place().trace_id(), quiet.place().bits().2), (unsampled.trace_id(), 0));
        assert_ne!(quiet.place(), unsampled);

        exporter.reset();
        let root = begin(Kind::Producer, Some(TraceParent::start())).place();
        assert!(root.is_span());
        assert_eq!(
            exporter.get_finished_spans().unwrap()[0].parent_span_id,
            SpanId::INVALID,
            "nothing comes before it"
        );

        let _ = provider.shutdown();
        assert_eq!(begin(Kind::Server, Some(caller)).place().trace_id(), caller.trace_id(), "at the end, as without");
    }
}
