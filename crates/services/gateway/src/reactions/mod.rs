//! Messages of the catalogue, and which answers they invalidate.

use std::sync::Arc;

use bookworm_contracts::events::catalog::{BookChanged, InventoryUpdated, SearchIndexUpdated};
use bookworm_messaging::Consumer;

use crate::features::cache::{AnswerCache, tags::Tag};

/// Invalidates answers in `cache`. Each instance has a consumer of its own, since each has a first level of its own.
/// After messages that it may have missed, all answers are invalidated.
pub fn consumer(cache: &Arc<AnswerCache>) -> Consumer {
    let on_inventory = cache.clone();
    let on_book = cache.clone();
    let on_index = cache.clone();
    let on_missed = cache.clone();
    let on_gap = move || {
        let cache = on_missed.clone();
        async move { cache.invalidate("missed", &[Tag::Everything]).await }
    };
    Consumer::each_instance("gateway.cache", on_gap)
        .on::<InventoryUpdated, _, _>(move |received| {
            let cache = on_inventory.clone();
            async move {
                cache
                    .invalidate("inventory_updated", &[Tag::Book(received.body.book_id), Tag::Stock, Tag::AnyBook])
                    .await;
                Ok(())
            }
        })
        .on::<BookChanged, _, _>(move |received| {
            let cache = on_book.clone();
            async move {
                // Listings too: without an index, searches read the database, and that has the change already.
                cache
                    .invalidate("book_changed", &[Tag::Book(received.body.book_id), Tag::Listings, Tag::AnyBook])
                    .await;
                Ok(())
            }
        })
        .on::<SearchIndexUpdated, _, _>(move |received| {
            let cache = on_index.clone();
            async move {
                let books = received.body.book_ids;
                if books.is_empty() {
                    cache.invalidate("search_index_updated", &[Tag::Everything]).await;
                } else {
                    let mut tags = vec![Tag::Listings, Tag::AnyBook];
                    tags.extend(books.into_iter().map(Tag::Book));
                    cache.invalidate("search_index_updated", &tags).await;
                }
                Ok(())
            }
        })
}
