#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod balance;
mod edge;
mod method;
mod remote;
mod server;
mod spans;
mod wire;

use http::{Request, Response};
use tonic::{Status, body::Body};

pub use crate::{
    balance::{Balancer, EndpointStatus, Nobody, Outcome, Picked, Protocol},
    edge::Edge,
    method::Method,
    remote::{Sign, Tried, connect, remote},
    server::{Answering, local},
};

/// The way to a callee: straight into its service when it runs in this process, over a channel when it does not.
pub type Transport = tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, Status>;
