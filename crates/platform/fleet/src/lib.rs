//! How the processes of one shop reach each other. Knows roles by their names alone.
//!
//! | to change | open |
//! |---|---|
//! | how a request proves that it comes from the same fleet | `token.rs`, `replay.rs` |
//! | what the internal listener does with one that does not | `gate.rs` |
//! | where the instances of a role are, and the ways there | `peers.rs` |
//! | how HTTP requests are passed on to another process | `upstream.rs`, `tunnel.rs`, `lent.rs`, `headers.rs` |
//! | how an operator has a process left alone | `drain.rs` |
//! | where the keys for access tokens come from | `keys.rs` |

#![warn(missing_docs)]

mod drain;
mod gate;
mod headers;
mod keys;
mod lent;
mod peers;
mod replay;
mod token;
mod tunnel;
mod upstream;

pub use crate::{
    drain::{DRAIN, Drain},
    gate::{Gate, gate},
    keys::FetchedKeys,
    peers::{NotDone, Peers, tag_of},
    token::{FleetToken, HEADER, Refusal, VALIDITY},
    upstream::{Pick, Upstream},
};
