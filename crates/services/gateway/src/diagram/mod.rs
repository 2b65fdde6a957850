//! Sequence diagrams of what happened, drawn from the steps of traces, and of what is meant to happen.
//!
//! A step is somebody's: a request's of the role whose route it is, a reaction's of the consumer. Where it follows from a
//! step of somebody else there is an arrow between them. `key` says what an arrow is, whatever it is labelled; the
//! scenarios name their arrows by the same keys.

mod scenario;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use bookworm_contracts::rest::operations::{ExpectedArrow, TraceArrow, TraceDiagram, TraceScenario};
use bookworm_trace::Step;

pub use self::scenario::{SCENARIOS, Scenario};

/// Who starts what comes from outside.
const CUSTOMER: &str = "Customer";
const WEB: &str = "WebApp";
const GATEWAY: &str = "Gateway";
const BUS: &str = "EventBus";
const CACHE: &str = "Cache";
const HUB: &str = "ChatHub";
const CHAT: &str = "ChatService";
const BOT: &str = "AIBot";
const DATABASE: &str = "Database";
const AGENT: &str = "SupportAgent";

/// Methods of the chat's hub that only agents call.
const OF_AGENTS: [&str; 10] = [
    "SetAvailability",
    "Queue",
    "MyConversations",
    "Accept",
    "Open",
    "AddNote",
    "CannedReplies",
    "Transfer",
    "Close",
    "Reopen",
];

/// Participants from left to right; others follow.
const ORDER: [&str; 22] = [
    CUSTOMER,
    WEB,
    HUB,
    GATEWAY,
    CACHE,
    "Identity",
    CHAT,
    BOT,
    AGENT,
    DATABASE,
    "Basket",
    "Ordering",
    "Finance",
    "PaymentProvider",
    "Catalog",
    "AIService",
    "SearchIndex",
    BUS,
    "Rating",
    "Notification",
    "MailServer",
    "Monitor",
];

/// The participant that a role is.
fn participant(role: &str) -> String {
    match role {
        "web" => WEB.to_owned(),
        "ai" => "AIService".to_owned(),
        "chat" => CHAT.to_owned(),
        "bot" => BOT.to_owned(),
        other => {
            let mut letters = other.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
        }
    }
}

/// An arrow, before a scenario has named it.
#[derive(Debug, Clone, PartialEq)]
struct Drawn {
    key: String,
    arrow: TraceArrow,
}

/// Draws these steps, which may be of several traces, and compares them with the scenario that they are of.
pub fn draw(steps: &[Step]) -> (TraceDiagram, Option<TraceScenario>) {
    let mut drawn = arrows(steps);
    let scenario = SCENARIOS.iter().find(|scenario| scenario.is_of(|key| drawn.iter().any(|arrow| arrow.key == key)));
    let expected = scenario.map(|scenario| {
        let labels: HashMap<&str, &str> = scenario.arrows().map(|arrow| (arrow.key, arrow.label)).collect();
        for Drawn { key, arrow } in &mut drawn {
            for end in [&mut arrow.from, &mut arrow.to] {
                if end == CUSTOMER {
                    scenario.actor().clone_into(end);
                }
            }
            match labels.get(key.as_str()) {
                Some(label) => arrow.label = (*label).to_owned(),
                // An answer that is not worth a line of its own there belongs to its question.
                None => arrow.extra = !key.strip_prefix("reply ").is_some_and(|asked| labels.contains_key(asked)),
            }
        }
        let through_pages = drawn.iter().any(|arrow| arrow.arrow.to == WEB);
        let seen = |key: &str| drawn.iter().any(|arrow| arrow.key == key);
        let arrows = scenario.arrows().map(|arrow| ExpectedArrow {
            from: arrow.from.to_owned(),
            to: arrow.to.to_owned(),
            label: arrow.label.to_owned(),
            reply: arrow.reply,
            seen: seen(arrow.key),
            // A program that calls the API has no page.
            optional: !arrow.always || !through_pages && (arrow.from == WEB || arrow.to == WEB),
        });
        TraceScenario { name: scenario.name.to_owned(), arrows: arrows.collect(), mermaid: scenario.mermaid() }
    });
    let arrows: Vec<TraceArrow> = drawn.into_iter().map(|drawn| drawn.arrow).collect();
    let participants = participants(&arrows);
    let mermaid = mermaid(&participants, &arrows);
    (TraceDiagram { participants, arrows, mermaid }, expected)
}

fn participants(arrows: &[TraceArrow]) -> Vec<String> {
    let mut names: Vec<&String> = arrows.iter().flat_map(|arrow| [&arrow.from, &arrow.to]).collect();
    names.sort_by_key(|name| (ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()), (*name).clone()));
    names.dedup();
    names.into_iter().cloned().collect()
}

fn mermaid(participants: &[String], arrows: &[TraceArrow]) -> String {
    let mut text = "sequenceDiagram\n".to_owned();
    for name in participants {
        let _ = writeln!(text, "    participant {name}");
    }
    for arrow in arrows {
        let line = match (arrow.reply, arrow.failed) {
            (true, false) => "-->>",
            (true, true) => "--x",
            (false, false) => "->>",
            (false, true) => "-x",
        };
        // A semicolon ends a statement of Mermaid's.
        let label = arrow.label.replace([';', '\n', '#'], " ");
        let _ = writeln!(text, "    {}{line}{}: {label}{}", arrow.from, arrow.to, remark(arrow));
    }
    text
}

/// What is to be said of an arrow beside its label.
fn remark(arrow: &TraceArrow) -> String {
    let mut remarks = Vec::new();
    remarks.extend(arrow.duration_us.map(|took| format!("{:.1} ms", took as f64 / 1000.0)));
    remarks.extend(arrow.attempt.map(|attempt| format!("attempt {attempt}")));
    if arrow.compensation {
        remarks.push("compensation".to_owned());
    }
    if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) }
}

fn text<'a>(step: &'a Step, key: &str) -> Option<&'a str> {
    step.attributes.get(key)?.as_str()
}

/// Whose a step is, when it says so.
fn owner(step: &Step) -> Option<String> {
    if let Some(role) = text(step, "bookworm.role").filter(|_| step.kind == "internal") {
        return Some(participant(role));
    }
    match step.kind.as_str() {
        "server" => match (text(step, "rpc.system"), text(step, "http.route")) {
            (Some("grpc"), _) => {
                text(step, "rpc.service").and_then(|service| service.split('.').nth(1)).map(participant)
            }
            (Some(_), _) => Some(HUB.to_owned()),
            (None, Some(route)) if route.starts_with("/hubs/") => Some(HUB.to_owned()),
            (None, Some(route)) if route.starts_with("/api/") => Some(GATEWAY.to_owned()),
            (None, Some(_)) => Some(WEB.to_owned()),
            (None, None) => Some(GATEWAY.to_owned()),
        },
        "consumer" => {
            text(step, "messaging.consumer.group.name").and_then(|name| name.split('.').next()).map(participant)
        }
        _ => None,
    }
}

/// Who asks for what begins by itself: the conversation has the bot answer it, later and perhaps again after a crash.
fn asks_for(own: &str) -> Option<String> {
    (own == BOT).then(|| CHAT.to_owned())
}

/// `OrderCreated` of `events.ordering.OrderCreated.v1`.
fn message(step: &Step) -> &str {
    text(step, "messaging.destination.name").and_then(|subject| subject.split('.').nth(2)).unwrap_or("message")
}

struct Drawing<'a> {
    begin: i64,
    by_id: HashMap<&'a str, &'a Step>,
    drawn: Vec<Drawn>,
}

impl Drawing<'_> {
    /// Whose a step is: its own, or that of the nearest step before it that says so.
    fn owner(&self, step: &Step) -> Option<String> {
        let mut at = step;
        // A trace from outside could go in circles.
        for _ in 0..self.by_id.len() {
            match owner(at) {
                Some(owner) => return Some(owner),
                None => at = self.by_id.get(at.parent.as_deref()?)?,
            }
        }
        None
    }

    fn draw(&mut self, step: &Step, from: &str, to: &str, key: String, label: String) -> &mut TraceArrow {
        let arrow = TraceArrow {
            from: from.to_owned(),
            to: to.to_owned(),
            label,
            span_id: step.span.clone(),
            offset_us: u64::try_from(step.started - self.begin).unwrap_or(0),
            duration_us: Some(step.took),
            reply: false,
            failed: step.failed,
            attempt: None,
            compensation: false,
            extra: false,
        };
        let at = self.drawn.len();
        self.drawn.push(Drawn { key, arrow });
        &mut self.drawn[at].arrow
    }

    /// A question and its answer.
    fn ask(&mut self, step: &Step, from: &str, to: &str, key: &str, label: String, answer: String) {
        self.draw(step, from, to, key.to_owned(), label);
        let reply = self.draw(step, to, from, format!("reply {key}"), answer);
        reply.offset_us += step.took;
        reply.duration_us = None;
        reply.reply = true;
    }

    fn step(&mut self, step: &Step) {
        let parent = step.parent.as_deref().and_then(|parent| self.by_id.get(parent).copied());
        let before = parent.and_then(|parent| self.owner(parent));
        let own = owner(step);
        match (step.kind.as_str(), own) {
            ("server", Some(own)) => {
                let is_agents =
                    text(step, "rpc.method").is_some_and(|method| own == HUB && OF_AGENTS.contains(&method));
                let starts = if is_agents { AGENT } else { CUSTOMER };
                let before = before.unwrap_or_else(|| starts.to_owned());
                if before != own {
                    self.server(step, &before, &own);
                }
                self.cache(step);
            }
            ("consumer", Some(own)) => {
                let group = text(step, "messaging.consumer.group.name").and_then(|name| name.split('.').next());
                let subject = text(step, "messaging.destination.name").unwrap_or_default();
                let key = format!("process {} {subject}", group.unwrap_or_default());
                let attempt = step.attributes.get("bookworm.attempt").and_then(serde_json::Value::as_u64);
                let label = message(step).to_owned();
                let compensation = is_compensation(&label);
                let arrow = self.draw(step, BUS, &own, key, label);
                arrow.attempt = attempt.filter(|attempt| *attempt > 1).and_then(|attempt| u32::try_from(attempt).ok());
                arrow.compensation = compensation;
            }
            ("producer", _) => {
                let Some(from) = before else { return };
                let subject = text(step, "messaging.destination.name").unwrap_or_default();
                let name = message(step);
                let label = if subject.starts_with("events.") { format!("Publish {name}") } else { name.to_owned() };
                let compensation = is_compensation(name);
                self.draw(step, &from, BUS, format!("create {subject}"), label).compensation = compensation;
            }
            ("internal", Some(own)) => {
                let key = match text(step, "http.route") {
                    Some(route) => {
                        let method = text(step, "http.request.method").unwrap_or_default();
                        format!("role {} {method} {route}", own.to_lowercase())
                    }
                    None => step.name.clone(),
                };
                if own == CHAT && before.as_deref() == Some(BOT) {
                    self.draw(step, BOT, CHAT, "bot says".to_owned(), "answer".to_owned()).reply = true;
                } else if let Some(before) = before.or_else(|| asks_for(&own)).filter(|before| *before != own) {
                    let label = step.name.split_once(' ').map_or("", |(_, label)| label).to_owned();
                    self.ask(step, &before, &own, &key, label, answer(step));
                } else if parent.is_none() {
                    self.draw(step, &own, &own, key, step.name.clone());
                }
                if own == CHAT && text(step, "bookworm.chat.status") == Some("with_agent") {
                    self.draw(step, CHAT, AGENT, "chat with agent".to_owned(), "A person has it".to_owned());
                }
            }
            ("internal", None) => {
                let (Some(to), Some(own)) = (text(step, "bookworm.saga.to"), before) else { return };
                let from = text(step, "bookworm.saga.from").unwrap_or_default();
                let label = if to == "ignored" {
                    format!("saga: {from}, nothing to do")
                } else {
                    format!("saga: {from} → {to}")
                };
                let compensation = to == "compensating";
                self.draw(step, &own, &own, format!("saga {to}"), label).compensation = compensation;
            }
            ("client", _) => {
                let Some(from) = before else { return };
                let (to, key, label) = match step.name.as_str() {
                    "send mail" => ("MailServer", "send mail".to_owned(), "mail".to_owned()),
                    "search index" => ("SearchIndex", "search index".to_owned(), "search".to_owned()),
                    name if name.starts_with("payment ") => {
                        ("PaymentProvider", name.to_owned(), name.replace("payment ", ""))
                    }
                    // Every service has a database; it is a participant where the conversation itself is what is done.
                    name if from == CHAT && name.starts_with("TRANSACTION") => {
                        (DATABASE, "chat transaction".to_owned(), "commit".to_owned())
                    }
                    _ => return,
                };
                let compensation = key == "payment void";
                self.draw(step, &from, to, key, label).compensation = compensation;
            }
            _ => {}
        }
    }

    fn server(&mut self, step: &Step, before: &str, own: &str) {
        let (key, label) = match text(step, "rpc.system") {
            Some("grpc") => (format!("rpc {}", step.name), text(step, "rpc.method").unwrap_or_default().to_owned()),
            Some(_) => (format!("hub {}", step.name), text(step, "rpc.method").unwrap_or_default().to_owned()),
            None => (format!("server {}", step.name), step.name.replace("/api/v1", "")),
        };
        self.ask(step, before, own, &key, label, answer(step));
    }

    /// `bookworm; hit; ttl=30` and the like.
    fn cache(&mut self, step: &Step) {
        let Some(status) = text(step, "bookworm.cache_status").map(str::to_owned) else { return };
        // What is not for the cache does not come to it.
        if owner(step).as_deref() != Some(GATEWAY) || status.contains("fwd=bypass") {
            return;
        }
        let is_hit = status.split(';').any(|part| part.trim() == "hit");
        self.draw(step, GATEWAY, CACHE, "cache check".to_owned(), "look up".to_owned()).duration_us = None;
        let (from, to, key) = match is_hit {
            true => (CACHE, GATEWAY, "cache hit"),
            false => (GATEWAY, CACHE, "cache store"),
        };
        let stored = status.split(';').any(|part| part.trim() == "stored");
        if is_hit || stored {
            let arrow = self.draw(step, from, to, key.to_owned(), if is_hit { "hit" } else { "store" }.to_owned());
            (arrow.reply, arrow.duration_us) = (is_hit, None);
            arrow.offset_us += step.took;
        }
    }
}

/// What takes back what was done: the saga's compensations, by the names of their messages.
fn is_compensation(name: &str) -> bool {
    ["ReleaseStock", "VoidPayment", "StockReleased", "PaymentVoided"].contains(&name)
}

/// What an answer says: a status.
fn answer(step: &Step) -> String {
    let status = step.attributes.get("http.response.status_code").map(ToString::to_string);
    let outcome = || text(step, "bookworm.outcome").map(str::to_owned);
    let error = || text(step, "error.type").map(str::to_owned);
    status.or_else(error).or_else(outcome).unwrap_or_else(|| "ok".to_owned())
}

fn arrows(steps: &[Step]) -> Vec<Drawn> {
    let begin = steps.iter().map(|step| step.started).min().unwrap_or(0);
    let by_id: HashMap<&str, &Step> = steps.iter().map(|step| (step.span.as_str(), step)).collect();
    let mut drawing = Drawing { begin, by_id, drawn: Vec::new() };
    let mut in_order: Vec<&Step> = steps.iter().collect();
    in_order.sort_by_key(|step| step.started);
    for step in in_order {
        drawing.step(step);
    }
    let mut drawn = drawing.drawn;
    drawn.sort_by_key(|drawn| drawn.arrow.offset_us);
    drawn
}

/// The steps so that each comes after the one that it follows from, with how many those are. Siblings are in the order in
/// which they began; what follows from nothing known begins anew.
pub fn as_tree(mut steps: Vec<Step>) -> Vec<(u32, Step)> {
    steps.sort_by_key(|step| (step.started, std::cmp::Reverse(step.took)));
    let known: BTreeMap<String, usize> = steps.iter().enumerate().map(|(at, step)| (step.span.clone(), at)).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
    let mut open: Vec<(u32, usize)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match step.parent.as_ref().and_then(|parent| known.get(parent)).filter(|parent| **parent != at) {
            Some(parent) => children[*parent].push(at),
            None => open.push((0, at)),
        }
    }
    open.reverse();
    let mut left: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    let mut tree = Vec::with_capacity(left.len());
    while let Some((depth, at)) = open.pop() {
        let Some(step) = left[at].take() else { continue };
        tree.push((depth, step));
        open.extend(children[at].iter().rev().map(|child| (depth + 1, *child)));
    }
    // What goes in circles has no beginning.
    tree.extend(left.into_iter().flatten().map(|step| (0, step)));
    tree
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(span: &str, parent: &str, kind: &str, name: &str, attributes: serde_json::Value) -> Step {
        let started = 1_000 + i64::from_str_radix(span, 16).unwrap() * 100;
        Step {
            trace: "1".repeat(32),
            span: span.to_owned(),
            parent: (!parent.is_empty()).then(|| parent.to_owned()),
            kind: kind.to_owned(),
            name: name.to_owned(),
            started,
            took: 50,
            failed: false,
            attributes: serde_json::from_value(attributes).unwrap(),
        }
    }

    /// A program checks out by the API, finance is asked twice, and the payment is voided.
    fn purchase() -> Vec<Step> {
        let checkout = json!({"http.route": "/api/v1/orders/checkout", "http.request.method": "POST"});
        let ordering = json!({"http.route": "/api/v1/orders/checkout", "http.request.method": "POST", "bookworm.role": "ordering"});
        let void = json!({"messaging.destination.name": "commands.finance.VoidPayment.v1"});
        let mut voided = void.clone();
        voided["messaging.consumer.group.name"] = json!("finance.settle");
        voided["bookworm.attempt"] = json!(2);
        vec![
            step("1", "", "server", "POST /api/v1/orders/checkout", checkout),
            step("2", "1", "internal", "ordering POST /api/v1/orders/checkout", ordering),
            step("3", "2", "client", "bookworm.basket.v1.Basket/GetBasket", json!({})),
            step(
                "4",
                "3",
                "server",
                "bookworm.basket.v1.Basket/GetBasket",
                json!({
                    "rpc.system": "grpc", "rpc.service": "bookworm.basket.v1.Basket", "rpc.method": "GetBasket",
                }),
            ),
            step("5", "4", "client", "SELECT baskets", json!({"db.system.name": "sqlite"})),
            step("6", "2", "producer", "create commands.finance.VoidPayment.v1", void),
            step("7", "6", "consumer", "process commands.finance.VoidPayment.v1", voided),
            Step { failed: true, ..step("8", "7", "client", "payment void", json!({"error.type": "timeout"})) },
        ]
    }

    fn lines(diagram: &TraceDiagram) -> Vec<&str> {
        diagram.mermaid.lines().map(str::trim).collect()
    }

    #[test]
    fn what_happened_is_drawn_with_retries_compensations_and_failures_marked() {
        let (diagram, expected) = draw(&purchase());
        assert_eq!(
            diagram.participants,
            ["Customer", "Gateway", "Basket", "Ordering", "Finance", "PaymentProvider", "EventBus"]
        );
        let drawn = lines(&diagram);
        assert!(drawn.contains(&"Ordering->>Basket: Get basket items (0.1 ms)"), "{drawn:#?}");
        assert!(drawn.contains(&"EventBus->>Finance: VoidPayment (0.1 ms, attempt 2, compensation)"), "{drawn:#?}");
        assert!(drawn.contains(&"Finance-xPaymentProvider: void (0.1 ms, compensation)"), "{drawn:#?}");
        assert!(!diagram.mermaid.contains("SELECT"), "statements are in the steps");
        let extra = diagram.arrows.iter().filter(|arrow| arrow.extra).map(|arrow| &*arrow.label);
        assert_eq!(extra.collect::<Vec<_>>(), ["VoidPayment", "VoidPayment", "void"]);
        let expected = expected.unwrap();
        let of = |label: &str| {
            expected.arrows.iter().find(|arrow| arrow.label == label).map(|arrow| (arrow.seen, arrow.optional))
        };
        assert_eq!(of("Get basket items"), Some((true, false)));
        assert_eq!(of("Process financial transaction"), Some((false, false)), "it is missing");
        assert_eq!(of("Proceed to checkout"), Some((false, true)), "a program has no page");
        assert_eq!(of("Add book to cart"), Some((false, true)), "that was another request");
    }

    #[test]
    fn what_is_no_scenario_is_drawn_too_and_what_goes_in_circles_ends() {
        let list = json!({"http.route": "/api/v1/books", "http.request.method": "GET"});
        let (diagram, expected) = draw(&[step("1", "", "server", "GET /api/v1/books", list)]);
        assert!(expected.is_none());
        assert_eq!(lines(&diagram)[3..], ["Customer->>Gateway: GET /books (0.1 ms)", "Gateway-->>Customer: ok"]);
        let circle = vec![step("1", "2", "client", "a", json!({})), step("2", "1", "client", "b", json!({}))];
        assert!(draw(&circle).0.arrows.is_empty());
        assert_eq!(as_tree(circle).len(), 2);
        assert_eq!(draw(&[]).0.mermaid, "sequenceDiagram\n");
    }

    #[test]
    fn steps_stand_below_what_they_follow_from() {
        let mut steps = purchase();
        steps.reverse();
        let tree: Vec<(u32, String)> = as_tree(steps).into_iter().map(|(depth, step)| (depth, step.span)).collect();
        let expected = [(0, "1"), (1, "2"), (2, "3"), (3, "4"), (4, "5"), (2, "6"), (3, "7"), (4, "8")];
        assert_eq!(tree, expected.map(|(depth, span)| (depth, span.to_owned())));
    }

    #[test]
    fn each_scenario_is_well_formed() {
        for scenario in &SCENARIOS {
            let text = scenario.mermaid();
            for arrow in scenario.arrows() {
                for name in [arrow.from, arrow.to] {
                    assert!(text.contains(&format!("participant {name}\n")), "{}: {name}", scenario.name);
                }
            }
            let count = |word: &str| text.lines().filter(|line| line.trim().split(' ').next() == Some(word)).count();
            assert_eq!(count("alt") + count("par"), count("end"), "{text}");
        }
    }
}
