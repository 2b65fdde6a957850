//! What the program does beside serving. One file for each command.

mod books;
mod drain;
mod import;
mod reconcile;
mod replay_orders;

pub use self::{
    drain::{DrainedProcess, drain},
    import::{Import, ImportMapping, ImportOptions, ImportProgress, ImportReport, import},
    reconcile::{Reconciled, reconcile},
    replay_orders::{Replayed, replay_orders},
};
