//! What operators look at.

use bookworm_kernel::{MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A mail. `GET /admin/mail`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mail {
    /// The mail.
    pub id: Uuid,
    /// What it is about, e.g. `order_confirmed`.
    pub kind: String,
    /// Who gets it.
    pub to: String,
    /// Its subject line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// `queued`; `sent` to a mail server; `kept` here, because no mail server is set; or `failed`; `held`
    /// until its reader has proved the address; `refused` beyond a limit.
    pub status: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Why the last try failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The order it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub order_id: Option<Uuid>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When a mail server took it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sent_at: Option<Timestamp>,
}

/// `POST /mail/confirm`: proves that an address is one's own, so that what was written to it may be sent.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailConfirmation {
    /// From the link in the mail.
    pub token: String,
}

/// Mails that were not written, because a limit was reached. `GET /admin/mail/refusals`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MailRefusals {
    /// What they were about, e.g. `chat_transcript`.
    pub kind: String,
    /// Whose limit: `sender`, `recipient` or `all`.
    pub limit: String,
    /// How many in the last 24 hours.
    pub count: u64,
    /// When the last one was.
    pub last_at: Timestamp,
}

/// A message that no attempt could handle. `GET /admin/dead-letters`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The dead letter; what to send to `retry`.
    pub id: Uuid,
    /// The message.
    pub message_id: MessageId,
    /// Its subject on the bus.
    pub subject: String,
    /// Who could not handle it.
    pub consumer: String,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i32,
    /// The message itself.
    pub message: serde_json::Value,
    /// When it was given up.
    pub at: Timestamp,
}

/// A part of the shop and how it is. `GET /health/ready`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: String,
    /// Each part's own answer: `ok`, or what is wrong.
    pub checks: std::collections::BTreeMap<String, String>,
    /// Parts that the shop can do without: `ok`, or what is missing. They do not change `status`.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty", default)]
    pub notes: std::collections::BTreeMap<String, String>,
}

/// The processes that the shop runs in, as the gateway that answers knows them. `GET /fleet`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fleet {
    /// How the processes know of each other, and so who is listed.
    pub kind: FleetKind,
    /// Whether the registry answered when it was last asked. `false`: this is what it said last.
    pub current: bool,
    /// The process that answers.
    pub answered_by: String,
    /// Each role of each process, ordered by role and process.
    pub instances: Vec<FleetInstance>,
}

/// How the processes of a shop know of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FleetKind {
    /// There is one, which is the whole shop.
    OneProcess,
    /// By their settings, in which others are named. They do not say how they are: only the process that answers is
    /// listed.
    Settings,
    /// By a registry that they share. All are listed.
    Registry,
}

/// One role of one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetInstance {
    /// What it does.
    #[schema(example = "catalog")]
    pub role: String,
    /// The process: the same for each of its roles.
    pub instance: String,
    /// Where other processes reach it. For administrators alone, and absent when none can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// The release it runs.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Where it runs; empty when nobody said.
    pub zone: String,
    /// What it says of itself: `starting`, `ready`, `draining`, or `unknown` to this release.
    pub state: String,
    /// Requests that its process is answering.
    pub requests: u64,
    /// Edges whose circuit breaker is not closed in its process: callees that it does not reach.
    pub open_breakers: Vec<String>,
    /// Instances that its process leaves alone for a while, because its calls to them failed: `<role>.<instance>`.
    #[serde(default)]
    pub ejected: Vec<String>,
    /// Why the monitor says that nobody should ask it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<FleetVerdict>,
}

/// The monitor's verdict on an instance that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetVerdict {
    /// What is wrong.
    #[schema(example = "it does not answer in time")]
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// The recent traces of the shop's processes, latest first. `GET /admin/traces`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Traces {
    /// Whether the process that answers keeps traces.
    pub kept: bool,
    /// Those that were asked for, at most 200.
    pub items: Vec<TraceSummary>,
    /// Processes that were asked and did not answer: their traces are missing.
    pub unreachable: Vec<String>,
}

/// A trace: everything that one request, or one thing that began by itself, set in motion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceSummary {
    /// 32 hexadecimal digits.
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub id: String,
    /// The name of its first step.
    #[schema(example = "POST /api/v1/orders/checkout")]
    pub name: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Until its last step ended, in microseconds.
    pub duration_us: u64,
    /// How many steps are known.
    pub steps: u64,
    /// Whether a step failed.
    pub failed: bool,
    /// Whether a request, a call or a reaction took longer than a second.
    pub slow: bool,
    /// What it is about: the id of an order or of a conversation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
}

/// What is known of a trace, or of everything that is about one order or conversation. `GET /admin/traces/{id}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// What was asked for.
    pub id: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Its steps, each after the one that it follows from, siblings in the order in which they began.
    pub steps: Vec<TraceStep>,
    /// The sequence diagram of what happened.
    pub diagram: TraceDiagram,
    /// The scenario that it is an instance of, as it is written down; absent when it is of none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<TraceScenario>,
    /// Processes that were asked and did not answer: their steps are missing.
    pub unreachable: Vec<String>,
}

/// A step of a trace: a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceStep {
    /// Its trace.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    #[schema(example = "00f067aa0ba902b7")]
    pub span_id: String,
    /// The step that it follows from, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent_id: Option<String>,
    /// How many known steps it follows from.
    pub depth: u32,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// What it is.
    pub name: String,
    /// The process that took it.
    pub process: String,
    /// When it began, in microseconds from the beginning of the whole.
    pub offset_us: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Whether it failed.
    pub failed: bool,
    /// What is said of it, by the names of OpenTelemetry's semantic conventions.
    #[schema(value_type = Object)]
    pub attributes: std::collections::BTreeMap<String, serde_json::Value>,
}

/// A sequence diagram of what happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceDiagram {
    /// Who takes part, from left to right.
    pub participants: Vec<String>,
    /// What went from whom to whom, in the order of time.
    pub arrows: Vec<TraceArrow>,
    /// The same as a Mermaid `sequenceDiagram`.
    pub mermaid: String,
}

/// An arrow of a sequence diagram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceArrow {
    /// Who.
    pub from: String,
    /// To whom: the same for what somebody does by itself.
    pub to: String,
    /// What.
    pub label: String,
    /// The step that it is drawn from.
    pub span_id: String,
    /// When, in microseconds from the beginning of the whole.
    pub offset_us: u64,
    /// How long it took, in microseconds; absent for an answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_us: Option<u64>,
    /// Whether it is the answer to another.
    pub reply: bool,
    /// Whether it failed.
    pub failed: bool,
    /// Which attempt it is, from 2 on; absent for the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attempt: Option<u32>,
    /// Whether it takes back what was done before.
    pub compensation: bool,
    /// Whether the scenario has no such arrow.
    pub extra: bool,
}

/// How a scenario is written down, and what of it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceScenario {
    /// Its name.
    #[schema(example = "Book purchase")]
    pub name: String,
    /// Its arrows.
    pub arrows: Vec<ExpectedArrow>,
    /// The whole of it as a Mermaid `sequenceDiagram`.
    pub mermaid: String,
}

/// An arrow of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExpectedArrow {
    /// Who.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What.
    pub label: String,
    /// Whether it is the answer to another.
    pub reply: bool,
    /// Whether it was seen.
    pub seen: bool,
    /// Whether it need not be part of each instance: of one branch of several, or of an earlier request.
    pub optional: bool,
}

/// How the whole shop is, as a monitor sees it. `GET /admin/health/shop`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShopHealth {
    /// When the monitor looked.
    pub at: Timestamp,
    /// The process that looked.
    pub answered_by: String,
    /// From when on the charts have points.
    pub history_from: Timestamp,
    /// Series that there was no room for, so that charts lack them; 0 when none.
    pub series_left_out: u64,
    /// Every process, those in trouble first.
    pub processes: Vec<ProcessHealth>,
    /// The shop in figures, as time went on.
    pub charts: Vec<HealthChart>,
    /// Circuit breakers that are not closed.
    pub breakers: Vec<HealthBreaker>,
    /// Who does what one process does for all.
    pub leases: Vec<HealthLease>,
    /// What waits, and for how long.
    pub queues: Vec<HealthQueue>,
    /// The latest lines that were logged as errors, latest first; the same one counts once. At most 50.
    pub errors: Vec<HealthError>,
    /// The latest starts of processes, latest first, at most 20.
    pub starts: Vec<HealthStart>,
}

/// A process of the shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessHealth {
    /// Its name.
    pub process: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// The release it runs; empty when it has not answered yet.
    pub version: String,
    /// Where it runs; empty when nobody said.
    pub zone: String,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<Timestamp>,
    /// `ready`; `not_ready` for requests; or `away`: it does not answer.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// What it depends on and what it says of itself, those in trouble first.
    pub checks: Vec<HealthCheck>,
    /// Requests a second, over two minutes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub requests_per_second: Option<f64>,
    /// Which share of them failed (5xx): 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<f64>,
    /// How long 95 of 100 took at most, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_p95: Option<f64>,
    /// Requests a second as time went on.
    pub requests: HealthChart,
}

/// One thing that a process was asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// What.
    pub name: String,
    /// `ok`, `slow`, `down`; or `note` for what the shop can do without.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong, for staff; empty when nothing is.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
}

/// A figure as time went on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthChart {
    /// Which figure, e.g. `requests`.
    pub id: String,
    /// `per_second`, `per_minute`, `share`, `seconds` or `count`.
    pub unit: String,
    /// When the first point was.
    pub from: Timestamp,
    /// Seconds from one point to the next.
    pub step_seconds: u32,
    /// The points; `null` where nothing is known.
    pub points: Vec<Option<f64>>,
}

/// A circuit breaker that is not closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthBreaker {
    /// The process that does not ask.
    pub process: String,
    /// Who asks and who is asked, e.g. `ordering.catalog`.
    pub name: String,
    /// `open` or `half_open`.
    pub state: String,
}

/// Work that one process does for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthLease {
    /// What.
    pub name: String,
    /// Who does it: one process, but for a moment.
    pub holders: Vec<String>,
}

/// Something that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthQueue {
    /// What, e.g. `outbox ordering`.
    pub name: String,
    /// `count`, or `seconds`: how long the oldest has waited.
    pub unit: String,
    /// How much, or how long.
    pub value: f64,
}

/// A line of the log at the level `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthError {
    /// The process that wrote it.
    pub process: String,
    /// When it was written last.
    pub at: Timestamp,
    /// Which part of the program, e.g. `bookworm_ordering::service`.
    pub target: String,
    /// What was said, with the fields of the line behind it.
    pub message: String,
    /// How often it was written.
    pub count: u64,
    /// The trace that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace_id: Option<String>,
}

/// The start of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthStart {
    /// The process.
    pub process: String,
    /// Its roles, with commas between them.
    pub roles: String,
    /// The release.
    pub version: String,
    /// When.
    pub at: Timestamp,
}

/// What of the shop works, for customers. `GET /status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShopStatus {
    /// When it was looked at.
    pub at: Timestamp,
    /// Each part of the shop.
    pub parts: Vec<StatusPart>,
}

/// A part of the shop as customers know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusPart {
    /// `books`, `search`, `basket`, `checkout`, `accounts`, `reviews`, `chat` or `emails`.
    pub part: String,
    /// `works`, `degraded`, or `unavailable`.
    pub state: String,
    /// Since when; missing while it has worked ever since the process that answers started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
}
