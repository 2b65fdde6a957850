//! What goes wrong in a hub, and how much of it a client sees.

use std::borrow::Cow;
use std::fmt;

use crate::protocol::EncodeError;

/// An error of a hub method.
///
/// [`HubError::new`] is for the caller: its text is always sent. Every other error, which `?` turns into this type, is
/// internal: its type and text are sent only with [`Options::detailed_errors`](crate::Options::detailed_errors).
pub struct HubError {
    kind: Cow<'static, str>,
    text: String,
    shown: bool,
}

impl HubError {
    /// An error whose text the caller is shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self { kind: Cow::Borrowed("HubException"), text: text.into(), shown: true }
    }

    /// An error that stays inside, with the name of its kind.
    pub fn internal(kind: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { kind: kind.into(), text: text.into(), shown: false }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What may be written down. The text for a caller may repeat what they said.
    pub(crate) fn for_log(&self) -> String {
        if self.shown { self.kind.to_string() } else { self.to_string() }
    }

    /// The text for a client: the general sentence, and the rest when it may know it.
    pub(crate) fn text_for_client(&self, sentence: &str, detailed: bool) -> String {
        if self.shown || detailed { format!("{sentence} {self}") } else { sentence.to_owned() }
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

impl fmt::Debug for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<E: std::error::Error> From<E> for HubError {
    fn from(error: E) -> Self {
        let name = std::any::type_name::<E>();
        let name = name.split('<').next().unwrap_or(name);
        Self::internal(name.rsplit("::").next().unwrap_or(name).to_owned(), error.to_string())
    }
}

/// A message could not be sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The arguments cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The name of a group is empty.
    #[error("a group's name must not be empty")]
    EmptyGroup,
    /// The other nodes could not be reached.
    #[error(transparent)]
    Backplane(#[from] crate::backplane::BackplaneError),
}

/// A client's result did not come.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvokeError {
    /// No such connection, on any node.
    #[error("Connection '{0}' does not exist.")]
    NoConnection(String),
    /// The connection ended before it answered.
    #[error("Connection '{0}' disconnected.")]
    Disconnected(String),
    /// The client answered with an error.
    #[error("{0}")]
    Client(String),
    /// The answer is of another type.
    #[error("The client's result is of another type: {0}")]
    Type(String),
    /// The client did not answer in time.
    #[error("The client gave no result in time.")]
    TimedOut,
    /// The connection was asked for too many results.
    #[error("The connection was already asked for {0} results, which is the limit.")]
    TooMany(usize),
    /// Asked for while the connection was being set up, when nothing is read from it yet.
    #[error("Client results inside OnConnectedAsync Hub methods are not allowed.")]
    Connecting,
    /// The arguments cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The other nodes could not be asked.
    #[error(transparent)]
    Backplane(#[from] crate::backplane::BackplaneError),
}

/// A connection's groups could not be changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GroupError {
    /// The name of the group is empty.
    #[error("a group's name must not be empty")]
    Empty,
    /// The connection is in as many groups as it may be.
    #[error("the connection is in {0} groups, which is the limit")]
    TooMany(usize),
    /// The other nodes could not be reached.
    #[error(transparent)]
    Backplane(#[from] crate::backplane::BackplaneError),
}

/// Why a connection ended; `on_disconnected` gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disconnect {
    /// The client closed it.
    Client,
    /// [`Context::abort`](crate::Context::abort) or [`HubHandle::disconnect`](crate::HubHandle::disconnect).
    Aborted,
    /// The server shuts down.
    Shutdown,
    /// The principal expired.
    Expired,
    /// The transport broke without a close.
    Lost,
    /// The client broke the protocol or a limit, was silent or too slow; the text is for logs.
    Error(String),
}
