use std::sync::Arc;

use bookworm_db::DbError;
use bookworm_kernel::{Cause, OrderId};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::checkout_saga::CheckoutSaga,
    service::{
        Ordering,
        work::{Work, WorkError},
    },
};

/// Advances checkouts whose deadline has passed, until `shutdown`. After a start it finds those whose time ran out
/// while the program was down: recovery needs nothing else.
pub(crate) async fn run(service: Arc<Ordering>, shutdown: CancellationToken) {
    let (db, clock) = (service.db.clone(), service.clock.clone());
    let on_due = move |id| {
        let service = service.clone();
        async move { time_out(&service, OrderId::from_uuid(id)).await }
    };
    bookworm_saga::run_deadlines::<CheckoutSaga, _, _>(db, clock, on_due, shutdown).await;
}

async fn time_out(service: &Arc<Ordering>, id: OrderId) -> Result<(), DbError> {
    let (service, now) = (service.clone(), service.now());
    let (db, cause) = (service.db.clone(), Cause::start());
    let done = db.transact::<_, WorkError, _>(move |tx| {
        Box::pin(async move {
            let actions = bookworm_saga::advance_if_due::<CheckoutSaga>(tx, id.uuid(), now).await?;
            let mut work = Work::on(&service, tx, cause, id);
            work.perform(actions).await?;
            work.finish_if_decided().await
        })
    });
    // What a deadline sets in motion is one trace.
    let done = bookworm_trace::scope(cause.trace, done).await;
    done.map_err(|error| match error {
        WorkError::Db(error) => error,
        WorkError::Conflict | WorkError::NumberTaken | WorkError::Tombstone => DbError::Busy,
        error @ (WorkError::Refused(_) | WorkError::NoSuchOrder(_) | WorkError::Coupon(_)) => {
            DbError::Corrupt(error.to_string())
        }
    })
}
