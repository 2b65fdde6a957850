use std::borrow::Cow;

use bookworm_kernel::{Cause, CorrelationId, MessageId, Timestamp, TraceParent};
use bookworm_trace::{KeyValue, Kind, Parent, Span};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

/// A message: a plain struct with a subject. Define one with [`message!`](crate::message).
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where it travels: `events.<publisher>.<Name>.v<N>` or `commands.<receiver>.<Name>.v<N>`. Also its CloudEvents
    /// `type`.
    const SUBJECT: &'static str;
}

/// Defines a message: its subject, its name and its fields.
#[macro_export]
macro_rules! message {
    ($(#[$doc:meta])* $subject:literal $name:ident { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        pub struct $name { $($body)* }

        impl $crate::Message for $name {
            const SUBJECT: &'static str = $subject;
        }
    };
}

/// A message on its way: CloudEvents 1.0 in JSON, with the Distributed Tracing extension and two of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    specversion: String,
    /// Unique; the bus and every inbox drop a repeat by it.
    pub id: MessageId,
    source: String,
    /// The subject.
    #[serde(rename = "type")]
    pub subject: String,
    /// When it was put into the outbox.
    pub time: Timestamp,
    datacontenttype: String,
    /// The same for everything that one request set in motion.
    pub correlationid: CorrelationId,
    /// What directly led to it.
    pub causationid: Uuid,
    /// The trace it belongs to.
    pub traceparent: TraceParent,
    /// What other systems of the trace's beginning said of it: the W3C header of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    /// The message itself.
    pub data: Value,
}

impl Envelope {
    /// Wraps a message. That is a step of its trace, the producer's.
    ///
    /// # Errors
    /// When the message cannot be written as JSON, which a struct of plain fields always can.
    pub fn new<M: Message>(message: &M, cause: &Cause, now: Timestamp) -> serde_json::Result<Self> {
        let id = MessageId::new();
        let step = Span::begin(Kind::Producer, Some(cause.trace.into()), || {
            let attributes = vec![
                KeyValue::new("messaging.message.id", id.to_string()),
                KeyValue::new("messaging.message.conversation_id", cause.correlation_id.to_string()),
            ];
            describe("create", M::SUBJECT, attributes)
        });
        Ok(Self {
            specversion: "1.0".to_owned(),
            id,
            source: format!("/{}", M::SUBJECT.split('.').nth(1).unwrap_or("bookworm")),
            subject: M::SUBJECT.to_owned(),
            time: now,
            datacontenttype: "application/json".to_owned(),
            correlationid: cause.correlation_id,
            causationid: cause.causation_id,
            traceparent: step.place(),
            tracestate: bookworm_trace::tracestate(step.place()),
            data: serde_json::to_value(message)?,
        })
    }

    /// Begins a consumer's work on this message: the step, and why whatever follows from the message happens.
    pub(crate) fn process(&self, consumer: &str, attempt: u32) -> (Cause, Span) {
        let parent = Parent { trace: self.traceparent, state: self.tracestate.as_deref() };
        // The producer is the parent, so that an order is one trace; linked too, as the conventions ask.
        let step = Span::linked(Kind::Consumer, Some(parent), [self.traceparent], || {
            let attributes = vec![
                KeyValue::new("messaging.message.id", self.id.to_string()),
                KeyValue::new("messaging.message.conversation_id", self.correlationid.to_string()),
                KeyValue::new("messaging.consumer.group.name", consumer.to_owned()),
                KeyValue::new("bookworm.attempt", i64::from(attempt)),
            ];
            describe("process", &self.subject, attributes)
        });
        let cause =
            Cause { correlation_id: self.correlationid, causation_id: self.causationid, trace: self.traceparent };
        (cause.by(self.id, step.place()), step)
    }
}

/// The name and attributes of a step of messaging (semantic conventions for messaging).
pub(crate) fn describe(
    operation: &'static str,
    subject: &str,
    mut attributes: Vec<KeyValue>,
) -> (Cow<'static, str>, Vec<KeyValue>) {
    attributes.extend([
        KeyValue::new("messaging.system", "bookworm"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.destination.name", subject.to_owned()),
    ]);
    (format!("{operation} {subject}").into(), attributes)
}
