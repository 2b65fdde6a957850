//! Which figures of the shop are drawn, and from what.

use bookworm_series::{Fold, Query, QueryError, Recording};

/// A figure of the whole shop.
#[derive(Debug, Clone, Copy)]
pub struct Chart {
    /// Its name to whoever draws it.
    pub id: &'static str,
    /// `per_second`, `per_minute`, `share`, `seconds` or `count`.
    pub unit: &'static str,
    query: &'static str,
}

/// In the order in which they are shown. Requests are those that gateways answered: what these pass on to other processes
/// counts once.
pub const CHARTS: [Chart; 10] = [
    Chart { id: "requests", unit: "per_second", query: "sum(rate(folded_requests{public=\"yes\"}[2m]))" },
    Chart {
        id: "failed",
        unit: "share",
        query: "(sum(rate(folded_requests{public=\"yes\",status=~\"5..\"}[2m])) \
                or 0 * sum(rate(folded_requests{public=\"yes\"}[2m]))) \
                / sum(rate(folded_requests{public=\"yes\"}[2m]))",
    },
    Chart {
        id: "latency",
        unit: "seconds",
        query: "histogram_quantile(0.95, sum by (le) (rate(folded_duration{public=\"yes\"}[2m])))",
    },
    Chart { id: "orders", unit: "per_minute", query: "60 * sum(rate(orders_total{event=\"placed\"}[10m]))" },
    Chart { id: "outbox", unit: "seconds", query: "max(outbox_oldest_seconds)" },
    Chart { id: "backlog", unit: "count", query: "max(bus_backlog)" },
    Chart {
        id: "message_wait",
        unit: "seconds",
        query: "histogram_quantile(0.9, sum by (le) (rate(folded_message_wait[10m])))",
    },
    Chart { id: "checkouts", unit: "count", query: "sum(max by (kind) (sagas_open))" },
    Chart { id: "chat_waiting", unit: "count", query: "max(chat_conversations{status=\"queued\"})" },
    Chart { id: "model", unit: "seconds", query: "histogram_quantile(0.95, sum by (le) (rate(folded_model[10m])))" },
];

/// Each process by itself: the id, and what is drawn or said.
pub const OF_PROCESSES: [(&str, &str); 3] = [
    (REQUESTS, "sum by (instance) (rate(folded_requests[2m]))"),
    (
        FAILED,
        "(sum by (instance) (rate(folded_requests{status=~\"5..\"}[2m])) \
         or 0 * sum by (instance) (rate(folded_requests[2m]))) / sum by (instance) (rate(folded_requests[2m]))",
    ),
    (LATENCY, "histogram_quantile(0.95, sum by (instance, le) (rate(folded_duration[2m])))"),
];
/// Requests a second.
pub const REQUESTS: &str = "process:requests";
/// Their share that failed.
pub const FAILED: &str = "process:failed";
/// How long most took.
pub const LATENCY: &str = "process:latency";

/// What waits: its name, a query, the label that tells several apart, and its unit.
pub const QUEUES: [(&str, &str, &str, &str); 7] = [
    ("bus", "max(bus_backlog)", "", "count"),
    ("failed events", "max(dead_letters)", "", "count"),
    ("outbox", "max by (service) (outbox_oldest_seconds)", "service", "seconds"),
    ("open", "max by (kind) (sagas_open)", "kind", "count"),
    ("oldest", "max by (kind) (saga_oldest_seconds)", "kind", "seconds"),
    ("model", "sum by (purpose) (ai_waiting_texts)", "purpose", "count"),
    ("paused", "max by (consumer) (bus_consumer_paused) > 0", "consumer", "count"),
];
/// Circuit breakers that are not closed: 1 half open, 2 open.
pub const BREAKERS: &str = "circuit_breaker_state > 0";
/// Who has which lease.
pub const LEASES: &str = "lease_held";

/// The name under which a chart is recorded.
pub fn recorded(id: &str) -> String {
    format!("chart:{id}")
}

/// What a monitor records in each round.
pub fn recordings() -> Result<Vec<Recording>, QueryError> {
    let charts = CHARTS.iter().map(|chart| (recorded(chart.id), chart.query));
    let processes = OF_PROCESSES.iter().map(|(name, query)| ((*name).to_owned(), *query));
    let all = charts.chain(processes);
    all.map(|(name, query)| Ok(Recording { name, query: Query::parse(query)? })).collect()
}

/// Requests for people: what asks whether a process is well, and what stays open, is none.
const NOT_FOR_PEOPLE: &str = "/health/.*|/metrics|/fleet/.*|/hubs/.*|.*/events|/assets/.*";

/// What is added up before it is kept: routes and consumers are many.
pub fn folds() -> Result<Vec<Fold>, QueryError> {
    let people = format!("{{route!~\"{NOT_FOR_PEOPLE}\"}}");
    Ok(vec![
        Fold::new(&format!("http_requests_total{people}"), &["status"], "folded_requests")?,
        Fold::new(&format!("http_request_duration_seconds_bucket{people}"), &["le"], "folded_duration")?,
        Fold::new("message_wait_seconds_bucket", &["le"], "folded_message_wait")?,
        Fold::new("ai_batch_seconds_bucket", &["le"], "folded_model")?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_can_be_evaluated() {
        assert_eq!(recordings().unwrap().len(), CHARTS.len() + OF_PROCESSES.len());
        assert_eq!(folds().unwrap().len(), 4);
        for query in QUEUES.iter().map(|(_, query, ..)| *query).chain([BREAKERS, LEASES]) {
            assert!(Query::parse(query).is_ok(), "{query}");
        }
    }
}
