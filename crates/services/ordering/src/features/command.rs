use std::sync::Arc;

use bookworm_kernel::{Cause, OrderId};

use crate::{
    domain::{
        event::Author,
        order::{Decided, Order},
    },
    service::{
        Ordering,
        work::{Work, WorkError},
    },
    store::document::Document,
};

/// How often a change is tried when others change the same order at the same moment.
pub(crate) const TRIES: usize = 5;

/// A decision that can be taken again on a newer state.
pub(crate) type Decide = Arc<dyn Fn(&Order) -> Decided + Send + Sync>;

impl Ordering {
    /// Changes one order by one decision of somebody on the staff. When somebody else appends first, the decision is taken again on what the
    /// order has become.
    pub(crate) async fn command(
        self: &Arc<Self>,
        cause: Cause,
        by: Author,
        id: OrderId,
        decide: Decide,
    ) -> Result<Document, WorkError> {
        let mut tries = 1;
        loop {
            let (service, by, decide) = (self.clone(), by.clone(), decide.clone());
            let changed = self
                .db
                .transact::<_, WorkError, _>(move |tx| {
                    Box::pin(async move {
                        let mut work = Work::on(&service, tx, cause, id).by(Some(by));
                        work.decide(|order| decide(order)).await?;
                        work.finish().await
                    })
                })
                .await;
            match changed {
                Err(WorkError::Conflict) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }
}
