//! Books, their authors, publishers, subjects, and stock.
//!
//! | to change | open |
//! |---|---|
//! | what an endpoint does | `features/<use case>.rs` |
//! | how stock is reserved, released, sold | `store/stock.rs` |
//! | how lists and searches are read | `store/find.rs` |
//! | what follows from other services' messages | `reactions/` |
//! | how files are imported | `import/` |
//! | what a search finds, and in which order | `search/`, `domain/understand.rs` |
//! | what is cached | `cache.rs` |
//! | what every use case needs | `service.rs` |
//! | what other services may ask | `grpc.rs` |

mod cache;
mod domain;
mod features;
mod grpc;
pub mod import;
mod reactions;
mod search;
mod service;
mod store;

use std::sync::Arc;

use bookworm_contracts::grpc::catalog::catalog_server::CatalogServer;
use bookworm_db::{Db, DbError};
use bookworm_kernel::{Clock, Currency};
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, Outbox};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    cache::Cache,
    import::{ImportError, Mode, Options, Papers, Progress, Report, Source},
    search::Search,
    service::Catalog,
    store::imports::Work,
};
pub use crate::{
    grpc::Offers,
    search::{Models, SearchOptions},
};

/// The catalogue. Cheap to clone.
#[derive(Clone)]
pub struct CatalogService(Arc<Catalog>);

/// What the catalogue needs.
pub struct Dependencies {
    /// Its database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Of every price.
    pub currency: Currency,
    /// An index of its own, which its loops open, make and keep up to date; until then, and without one, searches are
    /// answered by the database's simple match.
    pub search: Option<SearchOptions>,
}

impl CatalogService {
    /// The role's name, also of its database.
    pub const NAME: &'static str = "catalog";
    /// The paths of [`api`](Self::api) that are answered from the index, where there is one.
    pub const SEARCHES: [&'static str; 4] = ["/search", "/search/suggest", "/books/{id}/similar", "/recommendations"];

    /// Brings the database up to date and starts with empty caches.
    ///
    /// # Errors
    /// When a migration fails.
    pub async fn open(dependencies: Dependencies) -> Result<Self, DbError> {
        let Dependencies { db, clock, currency, search } = dependencies;
        store::migrate(&db, clock.now()).await?;
        let (outbox, search) = (Outbox::new(clock.clone()), search.map_or_else(Search::off, Search::new));
        Ok(Self(Arc::new(Catalog { db, outbox, clock, currency, cache: Cache::new(), search })))
    }

    /// The document of [`api`](Self::api): which operations it has, for a gateway in another process.
    #[must_use]
    pub fn document() -> OpenApi {
        features::routes().into_openapi()
    }

    /// The routes, without `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.0.clone())
    }

    /// What the catalogue reacts to.
    pub fn consumers(&self) -> Vec<Consumer> {
        reactions::consumers(&self.0)
    }

    /// Its background loops.
    pub fn loops(&self) -> Vec<Loop> {
        let mut loops = vec![features::adjust_stock::forget_keys(self.0.clone())];
        for (name, work) in [("catalog.import_checks", Work::Check), ("catalog.imports", Work::Import)] {
            let catalog = self.0.clone();
            loops.push(Loop::new(name, move |stop| features::import_file::work(catalog.clone(), work, stop)));
        }
        let catalog = self.0.clone();
        if self.0.search.folder().is_some() {
            loops.push(Loop::new("catalog.index", move |stop| search::follow::run(catalog.clone(), stop)));
            let catalog = self.0.clone();
            loops.push(Loop::new("catalog.vectors", move |stop| search::take::run(catalog.clone(), stop)));
        }
        let catalog = self.0.clone();
        if self.0.search.embedder().is_some() {
            let embed = Loop::new("catalog.embedding", move |stop| search::meaning::run(catalog.clone(), stop));
            loops.push(embed.leader_only());
        }
        loops
    }

    /// How this instance stands to searching: `ok`, or what is missing. Until then [`SEARCHES`](Self::SEARCHES) are better
    /// asked of another one.
    #[must_use]
    pub fn search_standing(&self) -> &'static str {
        self.0.search.standing()
    }

    /// Queries of other services. They read the database and never a cached answer, since checkout relies on them.
    pub fn grpc(&self) -> CatalogServer<Offers> {
        CatalogServer::new(Offers(self.0.clone()))
    }

    /// Imports a file, or finds out what an import would do when `dry_run`. Every rejected record and every adjustment
    /// goes to `papers`. `progress` is called after each batch.
    ///
    /// # Errors
    /// [`ImportError`] when the import as a whole cannot go on; never for a single record.
    pub async fn import(
        &self,
        source: &Source,
        options: &Options,
        dry_run: bool,
        papers: &mut Papers,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<Report, ImportError> {
        let mode = if dry_run { Mode::Dry } else { Mode::Write };
        import::run(&self.0, source, options, mode, papers, progress).await
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
        store::books::none(self.0.db.read()).await
    }
}
