//! Books, their authors, publishers, subjects, and stock.
//!
//! | to change | open |
//! |---|---|
//! | what an endpoint does | `features/<use case>.rs` |
//! | how stock is held, given back, sold | `store/stock.rs` |
//! | how lists and searches are read | `store/find.rs` |
//! | what follows from other services' messages | `reactions/` |
//! | how files are imported | `import/` |
//! | what a search finds, and in which order | `search/`, `domain/understand.rs` |
//! | what is kept in memory, and for how long | `cache.rs` |

mod cache;
mod domain;
mod features;
pub mod import;
mod reactions;
mod search;
mod store;

use std::sync::Arc;

use bookworm_contracts::{events::catalog::BookChanged, grpc::catalog::catalog_server::CatalogServer};
use bookworm_db::{Db, DbError, Migration, Sql, Tx};
use bookworm_kernel::{BookId, Cause, Clock, Currency};
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, Outbox};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    cache::Cache,
    search::Search,
    store::{feed, imports::Work},
};
pub use crate::{
    features::get_offers::Offers,
    search::{Models, SearchOptions},
};

/// The catalogue. Cheap to clone.
#[derive(Clone)]
pub struct CatalogService(Arc<Inner>);

struct Inner {
    db: Db,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    currency: Currency,
    cache: Cache,
    search: Search,
}

impl CatalogService {
    /// The role's name, also of its database.
    pub const NAME: &'static str = "catalog";

    /// Brings the database up to date and starts with empty caches. Every price is in `currency`. It opens no index:
    /// searches are answered by the database's simple match.
    ///
    /// # Errors
    /// When a migration fails.
    pub async fn open(db: Db, currency: Currency, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        Self::with(db, currency, clock, Search::off()).await
    }

    /// As [`CatalogService::open`], with an index of its own. The index is opened, made and kept up to date by
    /// [`CatalogService::workers`]; until then the database answers.
    ///
    /// # Errors
    /// When a migration fails.
    pub async fn open_with_search(
        db: Db,
        currency: Currency,
        clock: Arc<dyn Clock>,
        search: SearchOptions,
    ) -> Result<Self, DbError> {
        Self::with(db, currency, clock, Search::new(search)).await
    }

    async fn with(db: Db, currency: Currency, clock: Arc<dyn Clock>, search: Search) -> Result<Self, DbError> {
        let mut migrations: Vec<Migration> = bookworm_messaging::MIGRATIONS.to_vec();
        migrations.push(bookworm_http::idempotency::MIGRATION);
        migrations.extend(store::MIGRATIONS);
        db.migrate(&migrations, clock.now()).await?;
        store::mend::languages(&db, clock.now()).await?;
        store::mend::titles(&db).await?;
        store::mend::authors(&db).await?;
        let outbox = Outbox::new(clock.clone());
        Ok(Self(Arc::new(Inner { db, outbox, clock, currency, cache: Cache::new(), search })))
    }

    /// The routes, without `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.clone())
    }

    /// What the catalogue reacts to.
    pub fn consumers(&self) -> Vec<Consumer> {
        reactions::consumers(self)
    }

    /// Its background loops.
    pub fn loops(&self) -> Vec<Loop> {
        let mut loops = vec![features::adjust_stock::forget_keys(self.clone())];
        for (name, work) in [("catalog.import_checks", Work::Check), ("catalog.imports", Work::Import)] {
            let catalog = self.clone();
            loops.push(Loop::new(name, move |stop| features::import_file::work(catalog.clone(), work, stop)));
        }
        let catalog = self.clone();
        if self.0.search.folder().is_some() {
            loops.push(Loop::new("catalog.index", move |stop| search::follow::run(catalog.clone(), stop)));
        }
        let catalog = self.clone();
        if self.0.search.embedder().is_some() {
            loops.push(Loop::new("catalog.vectors", move |stop| search::meaning::run(catalog.clone(), stop)));
        }
        loops
    }

    /// Queries of other services. They read the database and never an answer kept in memory, since checkout relies on
    /// them.
    pub fn grpc(&self) -> CatalogServer<Offers> {
        CatalogServer::new(Offers::new(self))
    }

    /// The service's database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Where its messages wait for the relay.
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// Whether no book was ever put into the catalogue.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_empty(&self) -> Result<bool, DbError> {
        let books: Option<i64> =
            self.0.db.read().scalar("SELECT COUNT(*) FROM (SELECT 1 FROM books LIMIT 1) AS any_book", []).await?;
        Ok(books == Some(0))
    }

    /// Drops what is kept of these books once the unit of work is durable.
    fn changed_with(&self, tx: &Tx, books: Vec<BookId>) {
        let cache = self.0.cache.clone();
        tx.after_commit(move || cache.changed(&books));
    }

    /// Notes that searches show these books otherwise now. The last thing that a unit of work does.
    async fn search_changed(&self, tx: &Tx, books: &[BookId]) -> Result<(), DbError> {
        feed::note(tx, books, self.0.clock.now()).await?;
        let search = self.0.search.clone();
        tx.after_commit(move || search.wake());
        Ok(())
    }

    /// Tells everybody that a book was added, edited or taken from sale, with this unit of work.
    async fn tell_changed(
        &self,
        tx: &Tx,
        cause: &Cause,
        book_id: BookId,
        version: i64,
        deleted: bool,
    ) -> Result<(), DbError> {
        self.0.outbox.put(tx, cause, &BookChanged { book_id, version, deleted }).await?;
        Ok(())
    }
}
