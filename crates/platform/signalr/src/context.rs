//! What a hub method knows of its caller, and can do.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use crate::clients::{Client, Clients, Recipients};
use crate::connection::{Connection, Signal, TransportKind, lock};
use crate::error::GroupError;
use crate::hub::HubCore;
use crate::protocol::Protocol;
use crate::request::{HttpRequest, Principal};

/// One call of a hub's method: who, and whether it is still wanted.
#[derive(Clone)]
pub struct Call {
    pub(crate) hub: Arc<HubCore>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) cancellation: CancellationToken,
    slot: Arc<Slot>,
}

/// The turn that a call has; others wait for it.
struct Slot {
    occupied: AtomicBool,
    connecting: bool,
}

impl Call {
    /// `turn`: whether it occupies one of the connection's slots.
    pub(crate) fn new(
        hub: Arc<HubCore>,
        connection: Arc<Connection>,
        cancellation: CancellationToken,
        turn: bool,
        connecting: bool,
    ) -> Self {
        let slot = Arc::new(Slot { occupied: AtomicBool::new(turn), connecting });
        Self { hub, connection, cancellation, slot }
    }

    pub(crate) fn release_slot(&self) {
        if self.slot.occupied.swap(false, Ordering::AcqRel) {
            self.connection.release_slot();
        }
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.slot.connecting
    }
}

/// What a hub method knows of its caller, and can do. Cheap to clone; it dereferences to the hub's state.
pub struct Context<S> {
    call: Call,
    state: Arc<S>,
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self { call: self.call.clone(), state: Arc::clone(&self.state) }
    }
}

impl<S> Deref for Context<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.state
    }
}

impl<S> Context<S> {
    pub(crate) fn new(call: Call, state: Arc<S>) -> Self {
        Self { call, state }
    }

    /// The hub's state.
    pub fn state(&self) -> &Arc<S> {
        &self.state
    }

    /// The caller's connection id; it is no secret.
    pub fn connection_id(&self) -> &str {
        &self.call.connection.id
    }

    /// Who the caller is.
    pub fn principal(&self) -> Principal {
        self.call.connection.principal.get().cloned().unwrap_or_default()
    }

    /// The caller's user id, unless anonymous.
    pub fn user_id(&self) -> Option<&str> {
        self.call.connection.user_id()
    }

    /// The request that started the transport (long polling: the first poll).
    pub fn request(&self) -> Option<&HttpRequest> {
        self.call.connection.request.get()
    }

    /// The request that negotiated, unless the client skipped that.
    pub fn negotiate_request(&self) -> Option<&HttpRequest> {
        self.call.connection.negotiated_with.get()
    }

    /// How the caller's bytes travel.
    pub fn transport(&self) -> TransportKind {
        self.call.connection.transport_kind()
    }

    /// How the caller's messages are written.
    pub fn protocol(&self) -> Protocol {
        self.call.connection.protocol.get().copied().unwrap_or(Protocol::Json)
    }

    /// Cancelled when the caller cancels this invocation, and when the connection is over.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.call.cancellation
    }

    /// Cancelled when the connection is over.
    pub fn connection_over(&self) -> &CancellationToken {
        &self.call.connection.over
    }

    /// All clients of the hub.
    pub fn clients(&self) -> Clients {
        Clients { hub: Arc::clone(&self.call.hub), from: Some(self.call.clone()) }
    }

    /// The caller.
    pub fn caller(&self) -> Client {
        self.clients().client(self.connection_id())
    }

    /// Everybody but the caller.
    pub fn others(&self) -> Recipients {
        self.clients().all_except([self.connection_id()])
    }

    /// Everybody in a group but the caller.
    pub fn others_in_group(&self, name: impl Into<String>) -> Recipients {
        self.clients().group_except(name, [self.connection_id()])
    }

    /// Adds the caller to a group; again changes nothing. Groups end with the connection.
    ///
    /// # Errors
    /// [`GroupError`] for an empty name, or too many groups.
    pub async fn join(&self, group: &str) -> Result<(), GroupError> {
        self.call.hub.change_group(self.connection_id(), group, true).await
    }

    /// Takes the caller out of a group.
    ///
    /// # Errors
    /// [`GroupError`] for an empty name.
    pub async fn leave(&self, group: &str) -> Result<(), GroupError> {
        self.call.hub.change_group(self.connection_id(), group, false).await
    }

    /// Ends the connection, without an error and without a chance to resume it.
    pub fn abort(&self) {
        self.call.connection.stateful.store(false, Ordering::Release);
        self.call.connection.signal(Signal::Abort);
    }

    /// Stores a value for as long as the connection lives, in place of one of the same type.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        lock(&self.call.connection.items).insert(value)
    }

    /// The connection's value of that type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        lock(&self.call.connection.items).get::<T>().cloned()
    }
}
