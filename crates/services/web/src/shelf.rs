//! Short-lived copies of what many pages show alike, so that a page asks the API as little as it can.

use std::{sync::Arc, time::Duration};

use bookworm_contracts::rest::catalog::{Book, RecommendationBasis, Subject};

use crate::api::{ApiClient, ApiResult, Caller};

/// How long a copy is shown.
const FRESH_FOR: Duration = Duration::from_secs(20);
/// How long a page waits for a row that it can do without.
pub(crate) const MOMENT: Duration = Duration::from_millis(800);
/// Books of a row: enough that those which another row of the page shows can be left out.
pub(crate) const ROW: &str = "24";
/// Books like another: as many as its page shows. Every book has a row of its own, so more would only crowd caches.
const ALIKE: &str = "6";

/// Subjects and rows of books.
#[derive(Clone)]
pub(crate) struct Shelf {
    subjects: moka::future::Cache<(), Arc<Vec<Subject>>>,
    rows: moka::future::Cache<Row, Arc<Vec<Book>>>,
    rated: moka::future::Cache<(), bool>,
}

/// A row of books that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Row {
    /// What readers rate best.
    WellLoved,
    /// What readers rate best of the books in this language.
    WellLovedIn(String),
    /// The latest.
    New,
    /// What sells.
    Popular,
    /// Like the book with this id.
    Similar(String),
}

impl Row {
    async fn load(&self, api: &ApiClient, caller: &Caller) -> ApiResult<Arc<Vec<Book>>> {
        let (sort, language) = match self {
            Self::WellLoved => ("rating", ""),
            Self::WellLovedIn(language) => ("rating", language.as_str()),
            Self::New => ("newest", ""),
            Self::Popular => {
                let found = api.recommendations(&caller.anonymous(), ROW).await?;
                // Before the first sale the catalogue offers other books: none of them sells.
                let sell = found.basis == RecommendationBasis::Popular;
                return Ok(Arc::new(if sell { found.items } else { Vec::new() }));
            }
            Self::Similar(id) => return api.similar(caller, id, ALIKE).await.map(|page| Arc::new(page.items)),
        };
        let filters = [("sort", sort), ("language", language), ("limit", ROW)];
        api.books(caller, &filters).await.map(|page| Arc::new(page.items))
    }
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self {
            subjects: moka::future::Cache::builder().max_capacity(1).time_to_live(FRESH_FOR).build(),
            rows: moka::future::Cache::builder().max_capacity(500).time_to_live(FRESH_FOR).build(),
            rated: moka::future::Cache::builder().max_capacity(1).time_to_live(FRESH_FOR).build(),
        }
    }

    /// The subjects with most books.
    pub(crate) async fn subjects(&self, api: &ApiClient, caller: &Caller) -> ApiResult<Arc<Vec<Subject>>> {
        let load = async { api.subjects(caller).await.map(|page| Arc::new(page.items)) };
        self.subjects.try_get_with((), load).await.map_err(|error| (*error).clone())
    }

    /// Whether readers have rated any book. No, as long as that is not known.
    pub(crate) async fn is_rated(&self, api: &ApiClient, caller: &Caller) -> bool {
        let best = [("sort", "rating"), ("limit", "1")];
        let load = async {
            let found = within_a_moment(api.books(caller, &best)).await;
            found.is_some_and(|page| page.items.iter().any(|book| book.rating.count > 0))
        };
        self.rated.get_with((), load).await
    }

    /// Books of a row.
    pub(crate) async fn row(&self, api: &ApiClient, caller: &Caller, row: Row) -> ApiResult<Arc<Vec<Book>>> {
        let load = row.load(api, caller);
        self.rows.try_get_with(row.clone(), load).await.map_err(|error| (*error).clone())
    }

    /// Books of a row that a page can do without: none when they are not to be had within a moment, and
    /// then for a while, so that nobody else waits for them either.
    pub(crate) async fn bonus(&self, api: &ApiClient, caller: &Caller, row: Row) -> Arc<Vec<Book>> {
        let load = async { within_a_moment(row.load(api, caller)).await.unwrap_or_default() };
        self.rows.get_with(row.clone(), load).await
    }
}

/// What the API answers, unless it fails or takes its time.
pub(crate) async fn within_a_moment<T>(asked: impl Future<Output = ApiResult<T>>) -> Option<T> {
    tokio::time::timeout(MOMENT, asked).await.ok()?.ok()
}
