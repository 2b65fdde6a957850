//! What a hub counts, through the `metrics` crate. Handles are made once, so counting is an addition.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::connection::TransportKind;

pub(crate) struct HubMetrics {
    connections: [Gauge; 3],
    opened: [Counter; 3],
    pub messages_in: Counter,
    pub messages_out: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub broadcasts: Counter,
    pub slow_closed: Counter,
    pub protocol_errors: Counter,
    pub timed_out: Counter,
    pub resumed: Counter,
    pub rejected: Counter,
}

impl HubMetrics {
    pub fn new(hub: &str) -> Self {
        let name = || hub.to_owned();
        let kinds = [TransportKind::WebSockets, TransportKind::ServerSentEvents, TransportKind::LongPolling];
        Self {
            connections: kinds.map(|kind| gauge!("signalr_connections", "hub" => name(), "transport" => kind.name())),
            opened: kinds
                .map(|kind| counter!("signalr_connections_opened_total", "hub" => name(), "transport" => kind.name())),
            messages_in: counter!("signalr_messages_total", "hub" => name(), "direction" => "in"),
            messages_out: counter!("signalr_messages_total", "hub" => name(), "direction" => "out"),
            bytes_in: counter!("signalr_bytes_total", "hub" => name(), "direction" => "in"),
            bytes_out: counter!("signalr_bytes_total", "hub" => name(), "direction" => "out"),
            broadcasts: counter!("signalr_broadcasts_total", "hub" => name()),
            slow_closed: counter!("signalr_slow_readers_closed_total", "hub" => name()),
            protocol_errors: counter!("signalr_protocol_errors_total", "hub" => name()),
            timed_out: counter!("signalr_timeouts_total", "hub" => name()),
            resumed: counter!("signalr_connections_resumed_total", "hub" => name()),
            rejected: counter!("signalr_connections_rejected_total", "hub" => name()),
        }
    }

    pub fn opened(&self, kind: TransportKind) {
        self.connections[kind as usize].increment(1.0);
        self.opened[kind as usize].increment(1);
    }

    pub fn closed(&self, kind: TransportKind) {
        self.connections[kind as usize].decrement(1.0);
    }
}

/// Invocations of one method by outcome, and how long they took.
pub(crate) struct MethodMetrics {
    pub ok: Counter,
    pub failed: Counter,
    pub refused: Counter,
    pub seconds: Histogram,
}

impl MethodMetrics {
    pub fn new(hub: &str, method: &str) -> Self {
        let count = |outcome: &'static str| {
            counter!(
                "signalr_invocations_total",
                "hub" => hub.to_owned(), "method" => method.to_owned(), "outcome" => outcome
            )
        };
        Self {
            ok: count("ok"),
            failed: count("error"),
            refused: count("refused"),
            seconds: histogram!(
                "signalr_invocation_seconds",
                "hub" => hub.to_owned(), "method" => method.to_owned()
            ),
        }
    }
}
