//! The instances of a role, and which one is asked:
//!
//! 1. Those that are ready, that no verdict is out on, and that are not ejected are *routable*.
//! 2. When fewer than half of the ready ones are routable, all ready ones count as routable (panic rule): then it is more
//!    likely that judges or network are wrong than that everybody is sick, and the few would be overrun.
//! 3. When none is ready, those that are about to end still answer.
//! 4. Of two chosen at random, the one with less work before it is asked (Mitzenmacher, "The Power of Two Choices", 2001).
//!    A repeated call goes to another instance where there is one; one whose stores do not answer it is asked when there
//!    is no other; and what not every instance can do well is asked of one that announced that it can, where there is one.
//! 5. An instance whose calls fail is ejected for a while, at most half of the ready ones at a time.

use std::sync::Arc;

use bookworm_registry::{Instance, Key, Member, State};
use metrics::Gauge;
use rand::{Rng, seq::index};
use tokio::time::Instant;

use super::{Outcome, Protocol, endpoint::Record};

pub(super) struct Group<C> {
    role: &'static str,
    protocol: Protocol,
    endpoints: Vec<Endpoint<C>>,
    /// How many endpoints there ever were, to tell one from another in its place.
    numbers: u64,
    known: Gauge,
    routable: Gauge,
    panic: Gauge,
}

struct Endpoint<C> {
    number: u64,
    instance: Arc<Instance>,
    judged_out: bool,
    connection: C,
    record: Record,
    gauges: Gauges,
}

struct Gauges {
    pending: Gauge,
    latency: Gauge,
    ejected: Gauge,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Ticket {
    number: u64,
    began: Instant,
}

/// An instance as its callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointStatus {
    /// Who.
    pub key: Key,
    /// What it says of itself.
    pub state: State,
    /// Whether the monitor says that it is out.
    pub judged_out: bool,
    /// Whether its callers left it alone after failures.
    pub ejected: bool,
    /// Calls under way.
    pub pending: u32,
    /// Recent latency in seconds: the peak, decaying to the mean.
    pub latency: f64,
}

impl<C> Endpoint<C> {
    fn is_ready(&self) -> bool {
        self.instance.state == State::Ready
    }

    fn is_ejected(&self) -> bool {
        self.record.ejected_until().is_some()
    }

    fn is_routable(&self) -> bool {
        self.is_ready() && !self.judged_out && !self.is_ejected()
    }

    fn show(&self) {
        self.gauges.pending.set(f64::from(self.record.pending()));
        self.gauges.latency.set(self.record.latency());
        self.gauges.ejected.set(f64::from(u8::from(self.is_ejected())));
    }
}

type Chosen<C> = (Ticket, Arc<Instance>, C);

impl<C: Clone> Group<C> {
    pub(super) fn new(role: &'static str, protocol: Protocol) -> Self {
        let by = protocol.name();
        let count = |state| metrics::gauge!("rpc_endpoints", "callee" => role, "protocol" => by, "state" => state);
        Self {
            role,
            protocol,
            endpoints: Vec::new(),
            numbers: 0,
            known: count("known"),
            routable: count("routable"),
            panic: metrics::gauge!("rpc_panic", "callee" => role, "protocol" => by),
        }
    }

    /// Takes over who is there. What is known of an instance stays with it, until another process has its key.
    pub(super) fn update<'a>(
        &mut self,
        members: impl Iterator<Item = &'a Member>,
        connect: &dyn Fn(&Instance) -> Option<C>,
    ) {
        let mut before = std::mem::take(&mut self.endpoints);
        for Member { instance, verdict } in members {
            let same = |endpoint: &Endpoint<C>| {
                let known = &endpoint.instance;
                known.key == instance.key
                    && known.generation == instance.generation
                    && (&known.grpc, &known.http) == (&instance.grpc, &instance.http)
            };
            let endpoint = match before.iter().position(same) {
                Some(at) => before.swap_remove(at),
                None => match connect(instance) {
                    Some(connection) => self.endpoint(instance, connection),
                    None => continue,
                },
            };
            let (instance, judged_out) = (Arc::new(instance.clone()), verdict.is_some());
            self.endpoints.push(Endpoint { instance, judged_out, ..endpoint });
        }
        for gone in before {
            gone.gauges.pending.set(0.0);
            gone.gauges.latency.set(0.0);
            gone.gauges.ejected.set(0.0);
        }
        self.take_back_ejections();
    }

    fn endpoint(&mut self, instance: &Instance, connection: C) -> Endpoint<C> {
        self.numbers += 1;
        let labels = [
            ("callee", self.role.to_owned()),
            ("protocol", self.protocol.name().to_owned()),
            ("instance", instance.id().to_owned()),
        ];
        let gauges = Gauges {
            pending: metrics::gauge!("rpc_endpoint_pending", &labels),
            latency: metrics::gauge!("rpc_endpoint_latency_seconds", &labels),
            ejected: metrics::gauge!("rpc_endpoint_ejected", &labels),
        };
        let (number, instance) = (self.numbers, Arc::new(instance.clone()));
        Endpoint { number, instance, judged_out: false, connection, record: Record::new(), gauges }
    }

    /// Who is asked: where possible somebody who was not tried, and of those somebody with this capability.
    pub(super) fn choose(
        &mut self,
        random: &mut impl Rng,
        tried: &[Key],
        capability: Option<&str>,
    ) -> Option<Chosen<C>> {
        let candidates = self.candidates();
        let untried: Vec<usize> =
            candidates.iter().copied().filter(|at| !tried.contains(&self.endpoints[*at].instance.key)).collect();
        let among = if untried.is_empty() { candidates } else { untried };
        let preferred = |among: Vec<usize>, is_better: &dyn Fn(&Instance) -> bool| {
            let better = among.iter().copied().filter(|at| is_better(&self.endpoints[*at].instance));
            let better: Vec<usize> = better.collect();
            if better.is_empty() { among } else { better }
        };
        let among = preferred(among, &Instance::has_stores);
        let among = match capability {
            Some(wanted) => preferred(among, &|instance| instance.capabilities.iter().any(|has| has == wanted)),
            None => among,
        };
        let at = match among.len() {
            0 => return None,
            1 => among[0],
            len => {
                let two = index::sample(random, len, 2);
                let (one, other) = (among[two.index(0)], among[two.index(1)]);
                if self.endpoints[other].record.load() < self.endpoints[one].record.load() { other } else { one }
            }
        };
        Some(self.begin(at))
    }

    pub(super) fn find(&mut self, wanted: impl Fn(&Instance) -> bool) -> Option<Chosen<C>> {
        let at = self.endpoints.iter().position(|endpoint| wanted(&endpoint.instance))?;
        Some(self.begin(at))
    }

    /// Everybody who may be asked, by the first three rules.
    fn candidates(&self) -> Vec<usize> {
        let which = |met: &dyn Fn(&Endpoint<C>) -> bool| -> Vec<usize> {
            let all = self.endpoints.iter().enumerate();
            all.filter(|(_, endpoint)| met(endpoint)).map(|(at, _)| at).collect()
        };
        let ready = which(&Endpoint::is_ready);
        let routable = which(&Endpoint::is_routable);
        let panic = routable.len() * 2 < ready.len();
        self.known.set(self.endpoints.len() as f64);
        self.routable.set(routable.len() as f64);
        self.panic.set(f64::from(u8::from(panic)));
        match (ready.is_empty(), panic) {
            (true, _) => which(&|endpoint| endpoint.instance.state != State::Starting),
            (false, true) => ready,
            (false, false) => routable,
        }
    }

    fn begin(&mut self, at: usize) -> Chosen<C> {
        let endpoint = &mut self.endpoints[at];
        endpoint.record.begin();
        endpoint.show();
        let ticket = Ticket { number: endpoint.number, began: Instant::now() };
        (ticket, endpoint.instance.clone(), endpoint.connection.clone())
    }

    /// A call ended. `None` when its caller gave up.
    pub(super) fn end(&mut self, ticket: Ticket, outcome: Option<Outcome>) {
        let Some(at) = self.endpoints.iter().position(|endpoint| endpoint.number == ticket.number) else { return };
        let is_failing = self.endpoints[at].record.end(ticket.began.elapsed(), outcome);
        if is_failing && self.may_eject(at) {
            let endpoint = &mut self.endpoints[at];
            endpoint.record.eject();
            let (callee, protocol, instance) = (self.role, self.protocol.name(), endpoint.instance.id());
            let labels = [("callee", callee), ("protocol", protocol)].map(|(key, value)| (key, value.to_owned()));
            let labels = [&labels[..], &[("instance", instance.to_owned())]].concat();
            metrics::counter!("rpc_ejections_total", &labels).increment(1);
            tracing::warn!(callee, protocol, instance, "an instance does not answer and is left alone for a while");
        }
        self.endpoints[at].show();
    }

    fn may_eject(&self, at: usize) -> bool {
        let endpoint = &self.endpoints[at];
        endpoint.is_ready() && !endpoint.is_ejected() && (self.ejected() + 1) * 2 <= self.ready()
    }

    fn ready(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.is_ready()).count()
    }

    fn ejected(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.is_ready() && endpoint.is_ejected()).count()
    }

    /// When others left, those that are ejected may be more than half: who would be back first is back at once.
    fn take_back_ejections(&mut self) {
        while self.ejected() * 2 > self.ready() {
            let ejected = self.endpoints.iter_mut().filter(|endpoint| endpoint.is_ready() && endpoint.is_ejected());
            let Some(first) = ejected.min_by_key(|endpoint| endpoint.record.ejected_until()) else { return };
            first.record.take_back();
        }
    }

    pub(super) fn endpoints(&self) -> Vec<EndpointStatus> {
        let status = |endpoint: &Endpoint<C>| EndpointStatus {
            key: endpoint.instance.key.clone(),
            state: endpoint.instance.state,
            judged_out: endpoint.judged_out,
            ejected: endpoint.is_ejected(),
            pending: endpoint.record.pending(),
            latency: endpoint.record.latency(),
        };
        self.endpoints.iter().map(status).collect()
    }
}
