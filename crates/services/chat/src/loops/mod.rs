//! Background loops. Each finds its work in the store, so that nothing is lost with a restart.

mod census;
mod desk;
mod due;
mod presence;
mod tidy;

use std::sync::Arc;

use bookworm_loops::Loop;

use crate::service::Chat;

/// The loops.
pub(crate) fn all(chat: &Arc<Chat>) -> Vec<Loop> {
    let (at_desk, due, old, counted, here) = (chat.clone(), chat.clone(), chat.clone(), chat.clone(), chat.clone());
    vec![
        Loop::new("chat.desk", move |stop| desk::run(at_desk.clone(), stop)).leader_only(),
        Loop::new("chat.due", move |stop| due::run(due.clone(), stop)),
        Loop::new("chat.tidy", move |stop| tidy::run(old.clone(), stop)).leader_only(),
        Loop::every("chat.presence", presence::INTERVAL, move || presence::record(here.clone())),
        Loop::new("chat.census", move |stop| census::run(counted.clone(), stop)),
    ]
}

pub(crate) use self::tidy::tidy;
