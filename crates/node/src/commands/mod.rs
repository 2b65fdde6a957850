//! What the program does beside serving. One file for each command.

mod books;
mod drain;
mod fleet;
mod import;
mod init;
mod reconcile;
mod replay_orders;
mod trace;

pub use self::{
    drain::{DrainedProcess, drain},
    fleet::{Fleet, fleet},
    import::{Import, ImportMapping, ImportOptions, ImportProgress, ImportReport, import},
    init::{Done, Initialised, Step, init},
    reconcile::{Reconciled, reconcile},
    replay_orders::{Replayed, replay_orders},
    trace::{ShownTrace, trace},
};
