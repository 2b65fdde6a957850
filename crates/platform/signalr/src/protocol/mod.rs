//! The two hub protocols: what a message is, how it is framed, parsed and written.
//!
//! Source: the hub protocol's specification (`HubProtocol.md` of ASP.NET Core) and, where they disagree, what the
//! reference server does. Everything here is synchronous and free of I/O, so that a client or a proxy can use it too.

mod framing;
mod handshake;
mod json;
mod message;
mod messagepack;
mod values;

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub use framing::Framing;
pub use handshake::{HandshakeError, HandshakeRequest, write_handshake_error, write_handshake_success};
pub use message::{Arguments, BindingError, Headers, Invocation, Message, Outcome, Payload};
pub use values::{ByteArray, DateTime};

/// A hub protocol: how messages look on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `json`: UTF-8 objects, each ended by the record separator `0x1E`.
    Json,
    /// `messagepack`: arrays, each after its length as a LEB128 number.
    MessagePack,
}

impl Protocol {
    /// Both protocols.
    pub const ALL: [Self; 2] = [Self::Json, Self::MessagePack];

    /// The name a handshake asks for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
        }
    }

    /// The protocol of that name, in any case of letters.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// Whether its bytes need a transport that carries binary.
    pub fn is_binary(self) -> bool {
        self == Self::MessagePack
    }

    /// Parses one frame, as [`Framing::next_frame`] cut it. `None`: a message of an unknown type, which is to be ignored.
    ///
    /// # Errors
    /// [`ProtocolError`] when the message breaks the protocol; the connection must then be closed.
    pub fn parse(self, frame: &Bytes) -> Result<Option<Message>, ProtocolError> {
        match self {
            Self::Json => json::parse(frame),
            Self::MessagePack => messagepack::parse(frame),
        }
    }

    /// Writes one message with its framing.
    pub fn write(self, message: &Message) -> Bytes {
        match self {
            Self::Json => json::write(message),
            Self::MessagePack => messagepack::write(message),
        }
    }

    /// Writes one value as this protocol's payload: an argument, an item, a result.
    ///
    /// # Errors
    /// [`EncodeError`] when the value's `Serialize` fails.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Bytes, EncodeError> {
        values::encoding(self, || match self {
            Self::Json => serde_json::to_vec(value).map(Bytes::from).map_err(|error| EncodeError(error.to_string())),
            Self::MessagePack => messagepack::encode(value),
        })
    }

    /// Reads one payload.
    ///
    /// # Errors
    /// [`BindingError::Type`] when it is not a `T`.
    pub fn decode<T: DeserializeOwned>(self, payload: &[u8]) -> Result<T, BindingError> {
        values::encoding(self, || match self {
            Self::Json => serde_json::from_slice(payload).map_err(|error| BindingError::Type(error.to_string())),
            Self::MessagePack => messagepack::decode(payload),
        })
    }

    /// An invocation whose arguments are written already, as one array in this protocol.
    pub(crate) fn write_invocation(self, invocation_id: Option<&str>, target: &str, arguments: &[u8]) -> Bytes {
        match self {
            Self::Json => json::write_invocation(invocation_id, target, arguments),
            Self::MessagePack => messagepack::write_invocation(invocation_id, target, arguments),
        }
    }

    /// A message that has no arguments.
    pub(crate) fn write_stream_item(self, invocation_id: &str, item: &[u8]) -> Bytes {
        match self {
            Self::Json => json::write_stream_item(invocation_id, item),
            Self::MessagePack => messagepack::write_stream_item(invocation_id, item),
        }
    }

    /// The end of an invocation; the payload of a result is written already.
    pub(crate) fn write_completion(self, invocation_id: &str, outcome: CompletionOf<'_>) -> Bytes {
        match self {
            Self::Json => json::write_completion(invocation_id, outcome),
            Self::MessagePack => messagepack::write_completion(invocation_id, outcome),
        }
    }
}

/// [`Outcome`] without owning it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CompletionOf<'a> {
    Void,
    Result(&'a [u8]),
    Error(&'a str),
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A peer broke the protocol: the connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A message that is not what the protocol allows; the text is the reference server's.
    #[error("{0}")]
    Invalid(String),
    /// A message larger than the limit, its framing included.
    #[error("The maximum message size of {limit}B was exceeded. The message size can be configured in AddHubOptions.")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A length prefix that no message can have.
    #[error("Messages over 2GB in size are not supported.")]
    BadLength,
}

impl ProtocolError {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

/// A value could not be written: its `Serialize` failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the value cannot be written: {0}")]
pub struct EncodeError(pub(crate) String);
