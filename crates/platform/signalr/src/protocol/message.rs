//! What peers say to each other, in either protocol.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Protocol;

/// Headers of a message, in order. This crate carries them and gives them no meaning.
pub type Headers = Vec<(String, String)>;

/// One message of the hub protocol.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Type 1 and 4: call a method, for one result or for a stream of items.
    Invocation(Invocation),
    /// Type 2: an item of a stream, either way.
    StreamItem {
        /// Headers.
        headers: Headers,
        /// The invocation, or the upload stream, that it belongs to.
        invocation_id: String,
        /// The item.
        item: Payload,
    },
    /// Type 3: the end of an invocation or of a stream.
    Completion {
        /// Headers.
        headers: Headers,
        /// What ends.
        invocation_id: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// Type 5: the client wants no more of it.
    CancelInvocation {
        /// Headers.
        headers: Headers,
        /// What to cancel.
        invocation_id: String,
    },
    /// Type 6: still here.
    Ping,
    /// Type 7: the connection ends.
    Close {
        /// Why, when it is an error. An empty text is an error too.
        error: Option<String>,
        /// Whether an automatic reconnect makes sense.
        allow_reconnect: bool,
    },
    /// Type 8: everything up to this message was received (stateful reconnect).
    Ack {
        /// The highest message received.
        sequence_id: i64,
    },
    /// Type 9: the number of the message that follows (stateful reconnect).
    Sequence {
        /// That number.
        sequence_id: i64,
    },
}

impl Message {
    /// Whether stateful reconnect counts and repeats it: types 1 to 5.
    pub fn is_counted(&self) -> bool {
        matches!(
            self,
            Self::Invocation(_) | Self::StreamItem { .. } | Self::Completion { .. } | Self::CancelInvocation { .. }
        )
    }
}

/// A call of a method by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Headers.
    pub headers: Headers,
    /// Present when an answer is wanted; always present on a streaming one.
    pub invocation_id: Option<String>,
    /// Whether a stream is wanted (type 4) and not one result (type 1).
    pub streaming: bool,
    /// The method.
    pub target: String,
    /// Its arguments, unread.
    pub arguments: Arguments,
    /// The streams that the caller uploads, in the order of the method's stream parameters.
    pub stream_ids: Vec<String>,
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Without a result: a void call, or the end of a stream.
    Void,
    /// With a result, which may be null.
    Result(Payload),
    /// With an error's text.
    Error(String),
}

/// A value as it came, to be read when its type is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// How it is written.
    pub protocol: Protocol,
    /// The value's bytes: JSON text or one MessagePack value.
    pub bytes: Bytes,
}

impl Payload {
    /// Reads the value.
    ///
    /// # Errors
    /// [`BindingError::Type`] when it is not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, BindingError> {
        self.protocol.decode(&self.bytes)
    }
}

/// The arguments of an invocation, each as it came. An argument list that is broken fails its invocation, not the
/// connection: it is stored, and reported when the arguments are bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    pub(crate) protocol: Protocol,
    pub(crate) values: Result<Vec<Bytes>, BindingError>,
}

impl Arguments {
    /// Arguments out of payloads that are written already.
    pub fn new(protocol: Protocol, values: Vec<Bytes>) -> Self {
        Self { protocol, values: Ok(values) }
    }

    /// The arguments one by one, when there are `expected` of them.
    ///
    /// # Errors
    /// [`BindingError`] when the list is broken or has another length.
    pub fn values(&self, expected: usize) -> Result<&[Bytes], BindingError> {
        match &self.values {
            Ok(values) if values.len() == expected => Ok(values),
            Ok(values) => Err(BindingError::Count { given: values.len(), expected }),
            Err(error) => Err(error.clone()),
        }
    }
}

/// The arguments of a call do not fit its method, or a value its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// Another number of arguments.
    #[error("Invocation provides {given} argument(s) but target expects {expected}.")]
    Count {
        /// How many came.
        given: usize,
        /// How many the method takes.
        expected: usize,
    },
    /// A value of another type. The detail is for logs; clients get the text that they know.
    #[error(
        "Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."
    )]
    Type(String),
    /// The list of arguments is missing or no list.
    #[error("{0}")]
    List(&'static str),
    /// Another number of upload streams.
    #[error("Client sent {given} stream(s), Hub method expects {expected}.")]
    Streams {
        /// How many came.
        given: usize,
        /// How many the method takes.
        expected: usize,
    },
}
