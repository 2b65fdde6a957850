//! Puts the services together. The only crate that names concrete services.
//!
//! | to change | open |
//! |---|---|
//! | which roles there are, and whom each asks | `role.rs` |
//! | how one role is built and what it is handed | `roles/<role>.rs` |
//! | where the shop's other processes are | `fleet.rs` |
//! | what this process announces of itself in the registry | `membership.rs` |
//! | whether a role is called here or in another process | `clients.rs` |
//! | what each listener answers | `listeners.rs` |
//! | what every role stands on: databases, bus, clock, token keys | `foundation.rs` |
//! | which bus: the embedded one or NATS, and how to sign in there | `bus.rs` |
//! | where the chat's conversations are, and how to sign in to MongoDB | `conversations.rs` |
//! | what processes share in Redis, and how to sign in there | `redis.rs` |
//! | the data folder: who may read it, who runs on it | `folder.rs` |
//! | which databases a shop has, and what happens when one is missing | `inventory.rs` |
//! | how the process starts, serves and ends | `process.rs` |
//! | what `bookworm import`, `replay`, `reconcile` and `fleet` do | `commands/` |

mod bus;
mod clients;
pub mod commands;
mod conversations;
mod descriptors;
mod farewell;
mod fleet;
mod folder;
mod foundation;
mod inventory;
mod listeners;
mod membership;
mod part;
mod process;
mod redis;
mod role;
mod roles;
mod secret;
mod vitals;

pub use crate::{
    fleet::make_instance,
    process::{FirstAdmin, Shop, StartStopped},
    role::{Role, Roles, UnknownRole},
    secret::secret_file,
};
