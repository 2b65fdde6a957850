use std::{collections::BTreeMap, sync::Arc};

use bookworm_contracts::events::ordering::OrderConfirmed;
use bookworm_kernel::BookId;
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{service::Catalog, store::shoppers};

/// Counts what sells, and remembers what an account bought: recommendations are made from it.
pub(crate) async fn react(catalog: Arc<Catalog>, message: Received<OrderConfirmed>) -> Reaction {
    let (service, order) = (catalog.clone(), message.body.order.clone());
    let done = message.once(&catalog.db, move |tx| {
        Box::pin(async move {
            let mut lines: BTreeMap<BookId, i64> = BTreeMap::new();
            for line in &order.lines {
                *lines.entry(line.book_id).or_default() += i64::from(line.quantity.get());
            }
            shoppers::bought(tx, order.customer_id, &lines, service.clock.now()).await?;
            Ok::<_, ReactionError>(())
        })
    });
    done.await.map(|_| ())
}
