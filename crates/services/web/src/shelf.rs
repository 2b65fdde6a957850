//! Short-lived copies of what many pages show alike, so that a page asks the API as little as it can.

use std::{sync::Arc, time::Duration};

use bookworm_contracts::rest::catalog::{Book, Subject};

use crate::api::{ApiClient, ApiResult, Caller};

/// How long a copy is shown.
const FRESH_FOR: Duration = Duration::from_secs(20);

/// Subjects and rows of books.
#[derive(Clone)]
pub(crate) struct Shelf {
    subjects: moka::future::Cache<(), Arc<Vec<Subject>>>,
    rows: moka::future::Cache<Row, Arc<Vec<Book>>>,
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
    /// With this subject.
    About(String),
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self {
            subjects: moka::future::Cache::builder().max_capacity(1).time_to_live(FRESH_FOR).build(),
            rows: moka::future::Cache::builder().max_capacity(500).time_to_live(FRESH_FOR).build(),
        }
    }

    /// The subjects with most books.
    pub(crate) async fn subjects(&self, api: &ApiClient, caller: &Caller) -> ApiResult<Arc<Vec<Subject>>> {
        let load = async { api.subjects(caller).await.map(|page| Arc::new(page.items)) };
        self.subjects.try_get_with((), load).await.map_err(|error| (*error).clone())
    }

    /// Up to twelve books.
    pub(crate) async fn row(&self, api: &ApiClient, caller: &Caller, row: Row) -> ApiResult<Arc<Vec<Book>>> {
        let load = async {
            let (sort, name, value) = match &row {
                Row::WellLoved => ("rating", "", ""),
                Row::WellLovedIn(language) => ("rating", "language", language.as_str()),
                Row::New => ("newest", "", ""),
                Row::About(subject) => ("", "subject", subject.as_str()),
            };
            let filters = [("sort", sort), (name, value), ("limit", "12")];
            api.books(caller, &filters).await.map(|page| Arc::new(page.items))
        };
        self.rows.try_get_with(row.clone(), load).await.map_err(|error| (*error).clone())
    }
}
