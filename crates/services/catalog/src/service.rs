//! What every use case of the catalogue needs: its database, its messages, the time, what it caches, its search.

use std::sync::Arc;

use bookworm_contracts::events::catalog::BookChanged;
use bookworm_db::{Db, DbError, Tx};
use bookworm_kernel::{BookId, Cause, Clock, Currency};
use bookworm_messaging::Outbox;

use crate::{cache::Cache, search::Search, store::feed};

/// The shared state of the catalogue.
pub(crate) struct Catalog {
    pub(crate) db: Db,
    pub(crate) outbox: Outbox,
    pub(crate) clock: Arc<dyn Clock>,
    /// Every price is in it.
    pub(crate) currency: Currency,
    pub(crate) cache: Cache,
    pub(crate) search: Search,
}

impl Catalog {
    /// Drops what is cached of these books once the unit of work is durable.
    pub(crate) fn changed_with(&self, tx: &Tx, books: Vec<BookId>) {
        let cache = self.cache.clone();
        tx.after_commit(move || cache.changed(&books));
    }

    /// Notes that searches show these books otherwise now. The last thing that a unit of work does.
    pub(crate) async fn search_changed(&self, tx: &Tx, books: &[BookId]) -> Result<(), DbError> {
        feed::note(tx, books, self.clock.now()).await?;
        let search = self.search.clone();
        tx.after_commit(move || search.wake());
        Ok(())
    }

    /// Publishes with this unit of work that a book was added, edited or taken from sale.
    pub(crate) async fn publish_changed(
        &self,
        tx: &Tx,
        cause: &Cause,
        book_id: BookId,
        version: i64,
        deleted: bool,
    ) -> Result<(), DbError> {
        self.outbox.put(tx, cause, &BookChanged { book_id, version, deleted }).await?;
        Ok(())
    }
}
