use std::sync::Arc;

use bookworm_kernel::OrderId;
use bookworm_messaging::{Message, Reaction, ReactionError, Received};

use crate::{service::Ratings, store::invitations};

/// Money went back, or the order was cancelled: nobody is asked how the books were. It may come before the order's
/// completion does.
pub(crate) async fn react<M: Message>(service: Arc<Ratings>, message: Received<M>, order: OrderId) -> Reaction {
    let now = service.now();
    let done = message.once::<_, ReactionError, _>(&service.db, move |tx| {
        Box::pin(async move { Ok(invitations::withdraw(tx, order, now).await?) })
    });
    done.await.map(drop)
}
