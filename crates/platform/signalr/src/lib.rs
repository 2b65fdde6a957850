#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod arguments;
pub mod backplane;
mod clients;
mod connection;
mod context;
mod directory;
mod endpoint;
mod error;
mod handler;
mod heartbeat;
mod hub;
mod message_buffer;
mod metrics;
mod options;
mod outbox;
pub mod protocol;
mod raw;
mod request;
mod session;
mod transport;

pub use arguments::{Parameter, SendArguments, UploadStream};
pub use clients::{Client, Clients, Recipients};
pub use connection::TransportKind;
pub use context::Context;
pub use error::{Disconnect, GroupError, HubError, InvokeError, SendError};
pub use handler::{Handler, StreamHandler};
pub use hub::{Hub, HubBuilder, HubHandle};
pub use options::{Options, Transports};
pub use protocol::{ByteArray, DateTime};
pub use raw::RawConnection;
pub use request::{Credentials, HttpRequest, Principal, Rejection};
pub use tokio_util::sync::CancellationToken;
