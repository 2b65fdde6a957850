//! The traces of a process's last hour, in memory within a bound.
//!
//! A step that has ended is pushed onto one of a few short lists, each thread mostly onto its own; every now and then
//! such a list is sorted into traces. What goes first is the oldest trace of the kind that takes up most: a flood of one
//! sort of request does not displace the few of another. Traces with a failure and slow ones go last.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::{BTreeMap, HashMap, VecDeque},
    mem::size_of,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{KeyValue, StringValue, Value, trace::SpanKind};
use serde::{Deserialize, Serialize};

/// Lists of steps that are not sorted into traces yet, and how many steps are on each at most.
const LISTS: usize = 8;
const LONGEST: usize = 256;
/// The steps of one trace that are stored; of an import with a million there is nothing to be seen.
const STEPS: usize = 2_000;
/// Places in the order of a group that may be left behind by traces that are gone, beside as many as there are traces.
const LEFT_BEHIND: usize = 16;
/// A trace is slow when a request, a call or a reaction of it takes longer than this.
pub const SLOW: Duration = Duration::from_secs(1);
/// How much longer traces with a failure and slow ones are kept.
const LONGER: u32 = 4;
/// The attribute that says what a step is about, so that everything about it is found together: the id of an order, of a
/// conversation.
pub const SUBJECT: &str = "bookworm.subject.id";

static RECENT: OnceLock<Recent> = OnceLock::new();

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// How much memory the traces take at most, in bytes.
    pub bytes: usize,
    /// How long a trace is kept after its last step. With a failure, or slow, four times as long.
    pub age: Duration,
}

/// Keeps the traces of this process from now on. The first call's bound stays.
pub fn remember(bound: Bound) {
    let _ = RECENT.set(Recent::new(bound));
}

/// The recent traces of this process; `None` when none are kept.
#[must_use]
pub fn recent() -> Option<&'static Recent> {
    RECENT.get()
}

/// A step that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub trace: u128,
    pub span: u64,
    pub parent: Option<u64>,
    pub kind: SpanKind,
    pub name: Cow<'static, str>,
    /// Microseconds since 1970.
    pub started: i64,
    /// Microseconds.
    pub took: u64,
    pub failed: bool,
    pub attributes: Vec<KeyValue>,
}

impl Ended {
    /// What it takes beside itself, roughly.
    fn heap(&self) -> usize {
        let text = |value: &Value| match value {
            Value::String(text) => text.as_str().len(),
            _ => 0,
        };
        let attributes = self.attributes.capacity() * size_of::<KeyValue>()
            + self.attributes.iter().map(|attribute| text(&attribute.value)).sum::<usize>();
        self.name.len() + attributes
    }

    fn is_slow(&self) -> bool {
        let answers = matches!(self.kind, SpanKind::Server | SpanKind::Consumer);
        // A long poll of a hub is meant to take long.
        answers && u128::from(self.took) > SLOW.as_micros() && !self.name.contains(" /hubs/")
    }

    fn subject(&self) -> Option<&str> {
        match &self.attributes.iter().find(|attribute| attribute.key.as_str() == SUBJECT)?.value {
            Value::String(id) => Some(id.as_str()),
            _ => None,
        }
    }
}

/// A step of a trace, as processes and programs tell each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The trace, 32 hexadecimal digits.
    pub trace: String,
    /// The span, 16 hexadecimal digits.
    pub span: String,
    /// The span before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// When it began, in microseconds since 1970, by the clock of its process.
    pub started: i64,
    /// How long it took, in microseconds.
    pub took: u64,
    /// Whether it failed.
    pub failed: bool,
    /// What is said of it.
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// A trace in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// 32 hexadecimal digits.
    pub trace: String,
    /// The name of the step that everything follows from, or of the first that is known.
    pub name: String,
    /// Whether that step is known.
    pub rooted: bool,
    /// When its first step began, in microseconds since 1970.
    pub started: i64,
    /// From there to the end of its last step, in microseconds.
    pub took: u64,
    /// How many steps are known.
    pub steps: usize,
    /// Whether a step failed.
    pub failed: bool,
    /// Whether a request, a call or a reaction took long.
    pub slow: bool,
    /// What it is about: the first id that a step names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// The recent traces of a process.
#[derive(Debug)]
pub struct Recent {
    lists: [Mutex<Vec<Ended>>; LISTS],
    traces: Mutex<Traces>,
}

impl Recent {
    fn new(bound: Bound) -> Self {
        Self { lists: Default::default(), traces: Mutex::new(Traces::new(bound)) }
    }

    pub(crate) fn push(&self, ended: Ended) {
        let mut list = lock(&self.lists[own_list()]);
        list.push(ended);
        if list.len() < LONGEST {
            return;
        }
        let full = std::mem::replace(&mut *list, Vec::with_capacity(LONGEST));
        drop(list);
        // Somebody sorts, or reads, in this moment: a request does not wait for that.
        let Ok(mut traces) = self.traces.try_lock() else {
            metrics::counter!("trace_spans_dropped_total", "to" => "memory").increment(full.len() as u64);
            return;
        };
        full.into_iter().for_each(|ended| traces.take(ended));
        traces.shrink(now());
    }

    /// Forgets what is too old, and says in metrics how much is kept. Call it now and then.
    pub fn tidy(&self) {
        let traces = self.sorted();
        metrics::gauge!("traces_kept").set(traces.by_id.len() as f64);
        metrics::gauge!("traces_kept_bytes").set(traces.bytes() as f64);
    }

    /// The steps of a trace, by its id, or of all traces about a subject, in the order in which they began.
    #[must_use]
    pub fn steps(&self, of: &str) -> Vec<Step> {
        let traces = self.sorted();
        let is_trace = of.len() == 32 && !of.contains('-');
        let found: Vec<&Trace> = match u128::from_str_radix(of, 16) {
            Ok(id) if is_trace => traces.by_id.get(&id).into_iter().collect(),
            _ => traces.by_id.values().filter(|trace| trace.subject.as_deref() == Some(of)).collect(),
        };
        let mut steps: Vec<Step> = found.iter().flat_map(|trace| &trace.steps).map(step).collect();
        drop(traces);
        steps.sort_by_key(|step| step.started);
        steps
    }

    /// Every trace that is kept, latest first.
    #[must_use]
    pub fn list(&self) -> Vec<Summary> {
        let traces = self.sorted();
        let mut list: Vec<Summary> = traces.by_id.iter().map(|(id, trace)| trace.summary(*id)).collect();
        drop(traces);
        list.sort_by_key(|summary| std::cmp::Reverse(summary.started));
        list
    }

    /// The traces, with all that has ended until now.
    fn sorted(&self) -> MutexGuard<'_, Traces> {
        let mut traces = lock(&self.traces);
        for list in &self.lists {
            let ended = std::mem::take(&mut *lock(list));
            ended.into_iter().for_each(|ended| traces.take(ended));
        }
        traces.shrink(now());
        traces
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is locked.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The list of this thread.
fn own_list() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let own = NEXT.fetch_add(1, Ordering::Relaxed) % LISTS;
        OWN.set(Some(own));
        own
    })
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a span says when it was, to people and other programs alone")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[derive(Debug, Default)]
struct Trace {
    steps: Vec<Ended>,
    /// Steps that there was no room for.
    left_out: usize,
    bytes: usize,
    /// The kind of trace it is; `None` for one that is kept longer.
    group: Option<Cow<'static, str>>,
    /// Its place in the order of that group.
    place: u64,
    rooted: bool,
    failed: bool,
    slow: bool,
    subject: Option<String>,
    /// When its last step ended.
    until: i64,
}

impl Trace {
    fn summary(&self, id: u128) -> Summary {
        let first = self.steps.iter().min_by_key(|step| step.started);
        let root = self.steps.iter().find(|step| step.parent.is_none()).or(first);
        let started = first.map_or(0, |step| step.started);
        Summary {
            trace: format!("{id:032x}"),
            name: root.map(|step| step.name.to_string()).unwrap_or_default(),
            rooted: self.rooted,
            started,
            took: u64::try_from(self.until - started).unwrap_or(0),
            steps: self.steps.len() + self.left_out,
            failed: self.failed,
            slow: self.slow,
            subject: self.subject.clone(),
        }
    }
}

/// A trace's place in the order of a group. It is left behind when the trace has another place since, or is gone.
#[derive(Debug, Clone, Copy)]
struct Place {
    trace: u128,
    /// Never given twice.
    number: u64,
    /// When the trace's last step ended, as it was when this place was given.
    until: i64,
}

/// Traces of one name, oldest first.
#[derive(Debug, Default)]
struct Group {
    order: VecDeque<Place>,
    /// How many traces it has.
    traces: usize,
    /// What they take.
    bytes: usize,
}

impl Group {
    /// What it takes with its order.
    fn size(&self) -> usize {
        self.bytes + self.order.capacity() * size_of::<Place>()
    }

    fn enter(&mut self, place: Place, bytes: usize) {
        self.traces += 1;
        self.bytes += bytes;
        self.order.push_back(place);
    }

    /// Notes that a trace is no longer one of it. Most places are of traces that are there: others are cleared away.
    fn leave(&mut self, bytes: usize, by_id: &HashMap<u128, Trace>) {
        self.traces -= 1;
        self.bytes -= bytes;
        if self.order.len() > 2 * self.traces + LEFT_BEHIND {
            self.order.retain(|place| by_id.get(&place.trace).is_some_and(|trace| trace.place == place.number));
        }
        let room = 2 * (self.order.len() + LEFT_BEHIND);
        if self.order.capacity() > 2 * room {
            self.order.shrink_to(room);
        }
    }
}

#[derive(Debug)]
struct Traces {
    bound: Bound,
    by_id: HashMap<u128, Trace>,
    groups: HashMap<Cow<'static, str>, Group>,
    /// Those that are kept longer.
    longer: Group,
    /// How many places were given.
    places: u64,
    /// When the oldest were looked for last.
    looked: i64,
}

impl Traces {
    fn new(bound: Bound) -> Self {
        Self { bound, by_id: HashMap::new(), groups: HashMap::new(), longer: Group::default(), places: 0, looked: 0 }
    }

    fn bytes(&self) -> usize {
        let group = |(name, group): (&Cow<'static, str>, &Group)| {
            size_of::<(Cow<'static, str>, Group)>() + name.len() + group.size()
        };
        self.longer.size() + self.groups.iter().map(group).sum::<usize>()
    }

    fn group(&mut self, name: Option<&Cow<'static, str>>) -> Option<&mut Group> {
        match name {
            Some(name) => self.groups.get_mut(name),
            None => Some(&mut self.longer),
        }
    }

    fn enter(&mut self, name: Option<&Cow<'static, str>>, place: Place, bytes: usize) {
        match name {
            Some(name) => self.groups.entry(name.clone()).or_default(),
            None => &mut self.longer,
        }
        .enter(place, bytes);
    }

    fn leave(&mut self, name: Option<&Cow<'static, str>>, bytes: usize) {
        let Some(name) = name else { return self.longer.leave(bytes, &self.by_id) };
        let Some(group) = self.groups.get_mut(name) else { return };
        group.leave(bytes, &self.by_id);
        if group.traces == 0 {
            self.groups.remove(name);
        }
    }

    fn take(&mut self, ended: Ended) {
        const TRACE: usize = size_of::<(u128, Trace)>();
        let id = ended.trace;
        let mut trace = self.by_id.remove(&id).unwrap_or_default();
        let is_new = trace.bytes == 0;
        let (before, was) = (trace.bytes, trace.group.take());
        trace.failed |= ended.failed;
        trace.slow |= ended.is_slow();
        trace.until = trace.until.max(ended.started.saturating_add_unsigned(ended.took));
        if trace.subject.is_none() {
            trace.subject = ended.subject().map(str::to_owned);
            trace.bytes += trace.subject.as_ref().map_or(0, String::len);
        }
        // A program of somebody else may send many requests as one trace: the first that everything follows from counts.
        let is_first_root = ended.parent.is_none() && !trace.rooted;
        trace.rooted |= is_first_root;
        let group = match (trace.failed || trace.slow, is_new || is_first_root) {
            (true, _) => None,
            (false, true) => Some(ended.name.clone()),
            (false, false) => was.clone(),
        };
        if is_new {
            trace.bytes += TRACE;
        }
        if trace.steps.len() < STEPS {
            let room = trace.steps.capacity();
            if room == 0 {
                // Most traces have one step.
                trace.steps.reserve_exact(1);
            }
            trace.bytes += ended.heap();
            trace.steps.push(ended);
            trace.bytes += (trace.steps.capacity() - room) * size_of::<Ended>();
        } else {
            trace.left_out += 1;
        }
        let bytes = trace.bytes;
        if is_new || was != group {
            if !is_new {
                self.leave(was.as_ref(), before);
            }
            self.places += 1;
            trace.place = self.places;
            self.enter(group.as_ref(), Place { trace: id, number: self.places, until: trace.until }, bytes);
        } else if let Some(group) = self.group(group.as_ref()) {
            group.bytes += bytes - before;
        }
        trace.group = group;
        self.by_id.insert(id, trace);
    }

    /// Forgets what is too old or too much.
    fn shrink(&mut self, now: i64) {
        while self.bytes() > self.bound.bytes {
            let largest = self.groups.iter().max_by_key(|(_, group)| group.size());
            let name = match largest {
                // Half of it is for ordinary ones, so that what works can be seen when much does not.
                Some((name, _)) if self.longer.size() <= self.bound.bytes / 2 => Some(name.clone()),
                _ => None,
            };
            if !self.forget(name.as_ref()) {
                break;
            }
        }
        let second = 1_000_000;
        if now.saturating_sub(self.looked) < second {
            return;
        }
        self.looked = now;
        let age = i64::try_from(self.bound.age.as_micros()).unwrap_or(i64::MAX);
        let names: Vec<Option<Cow<'static, str>>> = self.groups.keys().cloned().map(Some).chain([None]).collect();
        for name in names {
            let age = if name.is_some() { age } else { age.saturating_mul(i64::from(LONGER)) };
            self.forget_old(name.as_ref(), now.saturating_sub(age));
        }
    }

    /// Forgets the traces of a group whose last step ended before this.
    fn forget_old(&mut self, name: Option<&Cow<'static, str>>, before: i64) {
        while let Some(oldest) = self.oldest(name) {
            let until = self.by_id.get(&oldest.trace).map_or(oldest.until, |trace| trace.until);
            if until < before {
                self.forget(name);
            } else if oldest.until < before {
                // It went on since: those behind it need not wait for it.
                let Some(group) = self.group(name) else { return };
                group.order.pop_front();
                group.order.push_back(Place { until, ..oldest });
            } else {
                return;
            }
        }
    }

    /// The place of a group's oldest trace; those before it that were left behind go.
    fn oldest(&mut self, name: Option<&Cow<'static, str>>) -> Option<Place> {
        loop {
            let oldest = *self.group(name)?.order.front()?;
            if self.by_id.get(&oldest.trace).is_some_and(|trace| trace.place == oldest.number) {
                return Some(oldest);
            }
            self.group(name)?.order.pop_front();
        }
    }

    /// Forgets the oldest trace of a group. Whether there was one.
    fn forget(&mut self, name: Option<&Cow<'static, str>>) -> bool {
        let Some(oldest) = self.oldest(name) else { return false };
        let Some(trace) = self.by_id.remove(&oldest.trace) else { return false };
        if let Some(group) = self.group(name) {
            group.order.pop_front();
        }
        self.leave(name, trace.bytes);
        true
    }
}

fn step(ended: &Ended) -> Step {
    let kind = match ended.kind {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
    };
    let attributes = ended.attributes.iter().map(|attribute| (attribute.key.to_string(), json(&attribute.value)));
    Step {
        trace: format!("{:032x}", ended.trace),
        span: format!("{:016x}", ended.span),
        parent: ended.parent.map(|parent| format!("{parent:016x}")),
        kind: kind.to_owned(),
        name: ended.name.to_string(),
        started: ended.started,
        took: ended.took,
        failed: ended.failed,
        attributes: attributes.collect(),
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        Value::String(text) => StringValue::as_str(text).into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn ended(trace: u128, span: u64, parent: Option<u64>, name: &'static str) -> Ended {
        Ended {
            trace,
            span,
            parent,
            kind: SpanKind::Server,
            name: name.into(),
            started: i64::try_from(trace).unwrap(),
            took: 10,
            failed: false,
            attributes: vec![KeyValue::new("a", "some text of a middling length")],
        }
    }

    fn traces(bytes: usize) -> Traces {
        Traces::new(Bound { bytes, age: Duration::from_secs(60) })
    }

    /// What the traces that are there add up to, which must be what was counted on the way.
    fn counted(traces: &Traces) -> usize {
        let sum = traces.by_id.values().map(|trace| trace.bytes).sum::<usize>();
        let groups = || traces.groups.values().chain([&traces.longer]);
        assert_eq!(groups().map(|group| group.bytes).sum::<usize>(), sum, "each byte is counted once");
        assert_eq!(groups().map(|group| group.traces).sum::<usize>(), traces.by_id.len());
        for group in groups() {
            assert!(group.order.len() <= 2 * group.traces + LEFT_BEHIND, "{} {}", group.order.len(), group.traces);
        }
        traces.bytes()
    }

    #[test]
    fn a_flood_of_one_kind_displaces_neither_the_others_nor_failures() {
        let mut traces = traces(100_000);
        traces.take(ended(1, 1, None, "POST /checkout"));
        traces.take(Ended { failed: true, ..ended(2, 1, None, "GET /books") });
        traces.take(Ended { took: 2_000_000, ..ended(3, 1, None, "GET /books") });
        for id in 10..5_000 {
            traces.take(ended(id, 2, Some(1), "a step within"));
            traces.take(ended(id, 1, None, "GET /books"));
            traces.shrink(0);
            assert!(counted(&traces) <= 100_000);
        }
        let left = |id: u128| traces.by_id.contains_key(&id);
        assert!(left(1) && left(2) && left(3) && left(4_999) && !left(10));
        assert!(traces.by_id.len() > 50, "the bound is made use of: {}", traces.by_id.len());
    }

    #[test]
    fn a_flood_of_failures_leaves_half_to_the_rest() {
        let mut traces = traces(100_000);
        for id in 1..1_000 {
            traces.take(Ended { failed: true, ..ended(2 * id, 1, None, "GET /books") });
            traces.take(ended(2 * id + 1, 1, None, "GET /books"));
            traces.shrink(0);
        }
        assert!(counted(&traces) <= 100_000);
        let failed = traces.by_id.values().filter(|trace| trace.failed).count();
        let (failed, fine) = (failed, traces.by_id.len() - failed);
        assert!(failed > 50 && fine > 50, "{failed} {fine}");
    }

    #[test]
    fn a_trace_is_too_old_a_while_after_its_last_step_and_later_when_it_failed() {
        let mut traces = traces(usize::MAX);
        traces.take(ended(1, 1, None, "GET /books"));
        traces.take(Ended { failed: true, ..ended(2, 1, None, "GET /books") });
        traces.take(ended(3, 1, None, "POST /checkout"));
        traces.take(Ended { started: MINUTE, ..ended(3, 2, Some(1), "process") });
        traces.shrink(MINUTE + MINUTE / 2);
        let left = |traces: &Traces| [1, 2, 3].map(|id| traces.by_id.contains_key(&id));
        assert_eq!(left(&traces), [false, true, true]);
        traces.shrink(3 * MINUTE);
        assert_eq!(left(&traces), [false, true, false]);
        traces.shrink(5 * MINUTE);
        counted(&traces);
        assert_eq!((left(&traces), traces.longer.bytes, traces.groups.len()), ([false; 3], 0, 0));
    }

    #[test]
    fn one_trace_does_not_take_all_the_room() {
        let mut traces = traces(usize::MAX);
        for span in 1..10_000 {
            traces.take(ended(1, span, Some(1), "a row"));
        }
        let trace = &traces.by_id[&1];
        assert_eq!((trace.steps.len(), trace.summary(1).steps), (STEPS, 9_999));
        counted(&traces);
    }

    /// A trace of somebody else's program goes on and on, in front of a flood of others.
    #[test]
    fn what_others_name_their_traces_does_not_break_the_bound() {
        let mut traces = traces(200_000);
        let names = ["GET /books", "GET /authors", "GET /subjects"];
        for at in 0..20_000_u128 {
            let name = names[(at % 3) as usize];
            // Each step is said to be the first of the same trace.
            traces.take(Ended { trace: 1, ..ended(at + 1, 1, None, name) });
            // This one changes its group, and that one fails later.
            traces.take(ended(10 + 2 * at, 2, Some(1), "a step within"));
            traces.take(ended(10 + 2 * at, 1, None, name));
            traces.take(ended(11 + 2 * at, 3, Some(2), name));
            traces.take(Ended { failed: at % 5 == 0, ..ended(11 + 2 * at, 2, Some(1), name) });
            traces.shrink(0);
            assert!(counted(&traces) <= 200_000);
        }
        assert!(traces.by_id.len() > 100, "the bound is made use of: {}", traces.by_id.len());
    }

    #[test]
    fn groups_remember_few_places_of_traces_that_left_them() {
        let mut traces = traces(usize::MAX);
        traces.take(ended(1, 1, Some(9), "a step within"));
        for id in 10..5_000 {
            traces.take(ended(id, 2, Some(1), "a step within"));
            traces.take(ended(id, 1, None, "GET /books"));
            counted(&traces);
        }
        assert_eq!(traces.groups["a step within"].traces, 1);
    }

    #[test]
    fn a_trace_that_goes_on_does_not_keep_those_behind_it() {
        let mut traces = traces(usize::MAX);
        for id in 1..100 {
            traces.take(ended(id, 1, None, "GET /books"));
        }
        traces.take(Ended { started: 2 * MINUTE, ..ended(1, 2, Some(1), "process") });
        traces.shrink(2 * MINUTE);
        assert_eq!(traces.by_id.keys().collect::<Vec<_>>(), [&1]);
        traces.shrink(4 * MINUTE);
        counted(&traces);
        assert_eq!((traces.by_id.len(), traces.groups.len()), (0, 0));
    }

    #[test]
    fn what_has_ended_is_seen_at_once_and_by_its_order() {
        let recent = Recent::new(Bound { bytes: 1 << 20, age: Duration::from_secs(60) });
        let at = now();
        let one = |span, parent, name| Ended { started: at + i64::from(span as u32), ..ended(7, span, parent, name) };
        recent.push(one(2, Some(1), "process"));
        let with_order = vec![KeyValue::new(SUBJECT, "order-1")];
        recent.push(Ended { attributes: with_order, ..one(1, None, "POST /checkout") });
        let list = recent.list();
        assert_eq!(list.len(), 1);
        let Summary { name, rooted, steps, subject, .. } = &list[0];
        assert_eq!((&**name, *rooted, *steps, subject.as_deref()), ("POST /checkout", true, 2, Some("order-1")));
        let steps = recent.steps(&format!("{:032x}", 7));
        assert_eq!(steps.iter().map(|step| &*step.name).collect::<Vec<_>>(), ["POST /checkout", "process"]);
        assert_eq!((steps[0].parent.as_deref(), steps[1].parent.as_deref()), (None, Some("0000000000000001")));
        assert_eq!((recent.steps("order-1").len(), recent.steps("no trace").len()), (2, 0));
    }

    #[test]
    fn threads_that_push_at_once_lose_nothing_while_nobody_reads() {
        let recent = Recent::new(Bound { bytes: 8 << 20, age: Duration::from_secs(60) });
        let at = now();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let recent = &recent;
                scope.spawn(move || {
                    for span in 0..100 {
                        let id = u128::from(thread) + 1;
                        recent.push(Ended { started: at, ..ended(id, span + 1, None, "x") });
                    }
                });
            }
        });
        assert_eq!(recent.list().iter().map(|summary| summary.steps).sum::<usize>(), 400);
    }
}
