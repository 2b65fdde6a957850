//! What goes on beside the calls. Every loop finds its work in the store, so that a restart changes nothing.

pub(crate) mod answers;
mod census;
mod desk;
mod due;
mod tidy;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::Chat;

/// The loops, each of which runs until `shutdown`.
pub(crate) fn all(chat: &Arc<Chat>, shutdown: &CancellationToken) -> Vec<BoxFuture<'static, ()>> {
    vec![
        Box::pin(desk::run(Arc::clone(chat), shutdown.clone())),
        Box::pin(due::run(Arc::clone(chat), shutdown.clone())),
        Box::pin(tidy::run(Arc::clone(chat), shutdown.clone())),
        Box::pin(census::run(Arc::clone(chat), shutdown.clone())),
    ]
}

pub(crate) use self::tidy::tidy;
