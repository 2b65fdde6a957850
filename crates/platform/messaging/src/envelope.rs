use bookworm_kernel::{Cause, CorrelationId, MessageId, Timestamp, TraceParent};
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
    /// The message itself.
    pub data: Value,
}

impl Envelope {
    /// Wraps a message.
    ///
    /// # Errors
    /// When the message cannot be written as JSON, which a struct of plain fields always can.
    pub fn new<M: Message>(message: &M, cause: &Cause, now: Timestamp) -> serde_json::Result<Self> {
        Ok(Self {
            specversion: "1.0".to_owned(),
            id: MessageId::new(),
            source: format!("/{}", M::SUBJECT.split('.').nth(1).unwrap_or("bookworm")),
            subject: M::SUBJECT.to_owned(),
            time: now,
            datacontenttype: "application/json".to_owned(),
            correlationid: cause.correlation_id,
            causationid: cause.causation_id,
            traceparent: cause.trace,
            data: serde_json::to_value(message)?,
        })
    }

    /// Why whatever follows from this message happens.
    #[must_use]
    pub fn as_cause(&self) -> Cause {
        Cause { correlation_id: self.correlationid, causation_id: self.causationid, trace: self.traceparent }
            .by(self.id)
    }
}
