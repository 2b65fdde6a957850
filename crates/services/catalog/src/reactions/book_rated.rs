use std::sync::Arc;

use bookworm_contracts::events::rating::BookRated;
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{domain::Reviews, service::Catalog, store::books};

/// Readers rated a book: lists, searches and everything that is cached follow. What is known already, and what is older
/// than that, changes nothing.
pub(crate) async fn react(catalog: Arc<Catalog>, message: Received<BookRated>) -> Reaction {
    let (service, cause, rated) = (catalog.clone(), message.cause, message.body.clone());
    let done = message.once::<_, ReactionError, _>(&catalog.db, move |tx| {
        Box::pin(async move {
            let (id, reviews) = (rated.book_id, Reviews { half_stars: rated.half_stars, count: rated.count });
            if let Some(version) = books::rate(tx, id, rated.version, reviews).await? {
                service.publish_changed(tx, &cause, id, version, false).await?;
                service.changed_with(tx, vec![id]);
                service.search_changed(tx, &[id]).await?;
            }
            Ok(())
        })
    });
    done.await.map(drop)
}
