//! How the messages are written: MessagePack with names, so that a release may add fields and kinds.

use bookworm_signalr::{
    GroupError, InvokeError,
    backplane::{self, Address, BackplaneError},
    protocol::{self, Protocol},
};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

/// What processes send to each other.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// Send to those of the audience who are yours.
    Deliver {
        hub: String,
        from: String,
        to: Audience,
        call: Call,
    },
    /// To be answered by whoever listens to the connection's channel.
    Question {
        hub: String,
        from: String,
        connection_id: String,
        /// The channel for the answer.
        answer_to: String,
        /// The answer's number.
        number: u64,
        question: Question,
    },
    Answer {
        number: u64,
        answer: Answer,
    },
    /// Some message did not arrive.
    Resynchronise,
}

/// One address, and who is left out there.
#[derive(Debug, Serialize, Deserialize)]
pub enum Audience {
    All { except: Vec<String> },
    Connection(String),
    Group { name: String, except: Vec<String> },
    User(String),
}

/// About a connection.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    Group { group: String, join: bool },
    Invoke { call: Call },
    Disconnect,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The connection is not here.
    Absent,
    Group(Result<(), Refusal>),
    Result(Outcome),
    Done,
}

/// Why a group was not changed.
#[derive(Debug, Serialize, Deserialize)]
pub enum Refusal {
    Empty,
    TooMany(usize),
    Other(String),
}

/// What a client answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Outcome {
    Json(Binary),
    MessagePack(Binary),
    Failed(String),
    Disconnected,
    TimedOut,
    TooMany(usize),
    Other(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    target: String,
    json: Binary,
    messagepack: Binary,
}

/// Bytes that are written as such.
#[derive(Debug)]
pub struct Binary(Bytes);

/// Writes a message.
///
/// # Errors
/// When a length exceeds what the format has.
pub fn write(message: &Message) -> Result<Vec<u8>, BackplaneError> {
    rmp_serde::to_vec_named(message).map_err(|error| BackplaneError(error.to_string()))
}

/// Reads a message.
///
/// # Errors
/// When it is none, or one of a later release.
pub fn read(message: &[u8]) -> Result<Message, rmp_serde::decode::Error> {
    rmp_serde::from_slice(message)
}

impl Audience {
    /// The channels of an audience, and what is sent to each.
    pub fn each_of(audience: &backplane::Audience) -> Vec<(Option<Address<'_>>, Self)> {
        match audience {
            backplane::Audience::All { except } => vec![(None, Self::All { except: except.clone() })],
            backplane::Audience::Connections(ids) => {
                ids.iter().map(|id| (Some(Address::Connection(id)), Self::Connection(id.clone()))).collect()
            }
            backplane::Audience::Groups { names, except } => {
                let group = |name: &String| Self::Group { name: name.clone(), except: except.clone() };
                names.iter().map(|name| (Some(Address::Group(name)), group(name))).collect()
            }
            backplane::Audience::Users(ids) => {
                ids.iter().map(|id| (Some(Address::User(id)), Self::User(id.clone()))).collect()
            }
        }
    }
}

impl From<Audience> for backplane::Audience {
    fn from(audience: Audience) -> Self {
        match audience {
            Audience::All { except } => Self::All { except },
            Audience::Connection(id) => Self::Connections(vec![id]),
            Audience::Group { name, except } => Self::Groups { names: vec![name], except },
            Audience::User(id) => Self::Users(vec![id]),
        }
    }
}

impl From<backplane::RemoteCall> for Call {
    fn from(call: backplane::RemoteCall) -> Self {
        Self { target: call.target, json: Binary(call.json), messagepack: Binary(call.messagepack) }
    }
}

impl From<Call> for backplane::RemoteCall {
    fn from(call: Call) -> Self {
        Self { target: call.target, json: call.json.0, messagepack: call.messagepack.0 }
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Empty => Self::Empty,
            GroupError::TooMany(limit) => Self::TooMany(limit),
            GroupError::Backplane(BackplaneError(text)) => Self::Other(text),
        }
    }
}

impl From<Refusal> for GroupError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Empty => Self::Empty,
            Refusal::TooMany(limit) => Self::TooMany(limit),
            Refusal::Other(text) => Self::Backplane(BackplaneError(text)),
        }
    }
}

impl From<Result<protocol::Payload, InvokeError>> for Outcome {
    fn from(result: Result<protocol::Payload, InvokeError>) -> Self {
        match result {
            Ok(protocol::Payload { protocol: Protocol::Json, bytes }) => Self::Json(Binary(bytes)),
            Ok(protocol::Payload { protocol: Protocol::MessagePack, bytes }) => Self::MessagePack(Binary(bytes)),
            Err(InvokeError::Client(text)) => Self::Failed(text),
            Err(InvokeError::Disconnected(_)) => Self::Disconnected,
            Err(InvokeError::TimedOut) => Self::TimedOut,
            Err(InvokeError::TooMany(limit)) => Self::TooMany(limit),
            Err(error) => Self::Other(error.to_string()),
        }
    }
}

impl Outcome {
    /// What the client of that connection answered.
    ///
    /// # Errors
    /// When it gave no result.
    pub fn into_result(self, connection_id: &str) -> Result<protocol::Payload, InvokeError> {
        match self {
            Self::Json(Binary(bytes)) => Ok(protocol::Payload { protocol: Protocol::Json, bytes }),
            Self::MessagePack(Binary(bytes)) => Ok(protocol::Payload { protocol: Protocol::MessagePack, bytes }),
            Self::Failed(text) => Err(InvokeError::Client(text)),
            Self::Disconnected => Err(InvokeError::Disconnected(connection_id.to_owned())),
            Self::TimedOut => Err(InvokeError::TimedOut),
            Self::TooMany(limit) => Err(InvokeError::TooMany(limit)),
            Self::Other(text) => Err(BackplaneError(text).into()),
        }
    }
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bin;
        impl Visitor<'_> for Bin {
            type Value = Binary;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Binary, E> {
                Ok(Binary(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Binary, E> {
                Ok(Binary(bytes.into()))
            }
        }
        deserializer.deserialize_byte_buf(Bin)
    }
}
