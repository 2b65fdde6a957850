//! Sending to clients, from inside a hub and from outside.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::arguments::SendArguments;
use crate::context::Call;
use crate::directory::Audience;
use crate::error::{InvokeError, SendError};
use crate::hub::HubCore;
use crate::protocol::Protocol;

/// The clients of a hub, on every node.
#[derive(Clone)]
pub struct Clients {
    pub(crate) hub: Arc<HubCore>,
    /// The call that sends, when it is a hub method that does.
    pub(crate) from: Option<Call>,
}

impl Clients {
    fn audience(&self, audience: Audience) -> Recipients {
        Recipients { clients: self.clone(), audience }
    }

    /// Everybody.
    pub fn all(&self) -> Recipients {
        self.all_except::<&str>([])
    }

    /// Everybody but these connections.
    pub fn all_except<I: Into<String>>(&self, connections: impl IntoIterator<Item = I>) -> Recipients {
        self.audience(Audience::All { except: owned(connections) })
    }

    /// One connection. Sending to an id that nobody has does nothing.
    pub fn client(&self, connection_id: impl Into<String>) -> Client {
        Client { clients: self.clone(), connection_id: connection_id.into() }
    }

    /// Several connections.
    pub fn clients<I: Into<String>>(&self, connections: impl IntoIterator<Item = I>) -> Recipients {
        self.audience(Audience::Connections(owned(connections)))
    }

    /// Everybody in a group.
    pub fn group(&self, name: impl Into<String>) -> Recipients {
        self.group_except::<&str>(name, [])
    }

    /// Everybody in a group but these connections.
    pub fn group_except<I: Into<String>>(
        &self,
        name: impl Into<String>,
        connections: impl IntoIterator<Item = I>,
    ) -> Recipients {
        self.audience(Audience::Groups { names: vec![name.into()], except: owned(connections) })
    }

    /// Everybody in these groups.
    pub fn groups<I: Into<String>>(&self, names: impl IntoIterator<Item = I>) -> Recipients {
        self.audience(Audience::Groups { names: owned(names), except: Vec::new() })
    }

    /// Every connection of a user.
    pub fn user(&self, id: impl Into<String>) -> Recipients {
        self.users([id.into()])
    }

    /// Every connection of these users.
    pub fn users<I: Into<String>>(&self, ids: impl IntoIterator<Item = I>) -> Recipients {
        self.audience(Audience::Users(owned(ids)))
    }
}

fn owned<I: Into<String>>(names: impl IntoIterator<Item = I>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

/// Some connections to send to.
#[derive(Clone)]
pub struct Recipients {
    clients: Clients,
    audience: Audience,
}

impl Recipients {
    /// Calls `target` on each of them. It returns when the message is queued for those of this node and given to the
    /// backplane for the others; it never waits for a slow reader.
    ///
    /// # Errors
    /// [`SendError`] when the arguments cannot be written, a group has no name, or the backplane fails.
    pub async fn send(&self, target: &str, arguments: impl SendArguments) -> Result<(), SendError> {
        if let Audience::Groups { names, .. } = &self.audience
            && names.iter().any(String::is_empty)
        {
            return Err(SendError::EmptyGroup);
        }
        let hub = &self.clients.hub;
        hub.metrics.broadcasts.increment(1);
        let call = Writing::new(target, &arguments);
        hub.deliver(&self.audience, &call)?;
        if !hub.is_alone() {
            hub.publish(&self.audience, &call.remote()?).await?;
        }
        Ok(())
    }
}

/// One connection to send to, and to ask.
#[derive(Clone)]
pub struct Client {
    clients: Clients,
    connection_id: String,
}

impl Client {
    /// Calls `target` on the client. From a method of the same connection it waits while the client reads slower than the
    /// method writes; from elsewhere it never waits, and a client that lets its queue fill is closed.
    ///
    /// # Errors
    /// [`SendError`] when the arguments cannot be written, or the backplane fails.
    pub async fn send(&self, target: &str, arguments: impl SendArguments) -> Result<(), SendError> {
        let hub = &self.clients.hub;
        let call = Writing::new(target, &arguments);
        if let Some(from) = &self.clients.from
            && *from.connection.id == *self.connection_id
            && let Some(&protocol) = from.connection.protocol.get()
        {
            let message = call.frame(protocol)?;
            from.connection.send_waiting(message, &hub.options).await;
            return Ok(());
        }
        let audience = Audience::Connections(vec![self.connection_id.clone()]);
        let delivered = hub.deliver(&audience, &call)?;
        if delivered == 0 && !hub.is_alone() {
            hub.publish(&audience, &call.remote()?).await?;
        }
        Ok(())
    }

    /// Calls `target` on the client and waits for its result. A method that waits gives its turn to the connection's next
    /// invocation.
    ///
    /// # Errors
    /// [`InvokeError`]: no such connection, it left, it answered with an error or another type, or not in time.
    pub async fn invoke<T: DeserializeOwned>(
        &self,
        target: &str,
        arguments: impl SendArguments,
    ) -> Result<T, InvokeError> {
        if let Some(call) = &self.clients.from {
            if call.is_connecting() {
                return Err(InvokeError::Connecting);
            }
            call.release_slot();
        }
        let hub = &self.clients.hub;
        let call = Writing::new(target, &arguments);
        let payload = match hub.directory.connection(&self.connection_id) {
            Some(connection) => {
                let protocol = connection.protocol.get().copied().unwrap_or(Protocol::Json);
                let arguments = arguments.encode(protocol)?;
                hub.ask(&connection, target, &arguments)?.await?
            }
            None => hub.ask_elsewhere(&self.connection_id, &call.remote()?).await?,
        };
        payload.decode().map_err(|error| InvokeError::Type(error.to_string()))
    }
}

/// A call that is written at most once for each protocol, and only when somebody speaks it.
pub(crate) struct Writing<'a> {
    target: &'a str,
    arguments: &'a dyn SendArguments,
    frames: [std::cell::OnceCell<Bytes>; 2],
}

impl<'a> Writing<'a> {
    pub fn new(target: &'a str, arguments: &'a dyn SendArguments) -> Self {
        Self { target, arguments, frames: Default::default() }
    }

    fn remote(&self) -> Result<crate::backplane::RemoteCall, crate::protocol::EncodeError> {
        Ok(crate::backplane::RemoteCall {
            target: self.target.to_owned(),
            json: self.arguments.encode(Protocol::Json)?,
            messagepack: self.arguments.encode(Protocol::MessagePack)?,
        })
    }
}

/// Something that can be framed for either protocol.
pub(crate) trait Frames {
    fn frame(&self, protocol: Protocol) -> Result<Bytes, crate::protocol::EncodeError>;
}

impl Frames for Writing<'_> {
    fn frame(&self, protocol: Protocol) -> Result<Bytes, crate::protocol::EncodeError> {
        let cell = &self.frames[protocol as usize];
        if let Some(frame) = cell.get() {
            return Ok(frame.clone());
        }
        let frame = protocol.write_invocation(None, self.target, &self.arguments.encode(protocol)?);
        Ok(cell.get_or_init(|| frame).clone())
    }
}

impl Frames for crate::backplane::RemoteCall {
    fn frame(&self, protocol: Protocol) -> Result<Bytes, crate::protocol::EncodeError> {
        Ok(protocol.write_invocation(None, &self.target, self.arguments(protocol)))
    }
}
