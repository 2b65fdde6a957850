use std::future::Future;

use crate::{
    Backend, Result, Value,
    row::{Column, FromRow, Row},
};

/// Plain SQL on a [`Tx`](crate::Tx) or on [`Db::read`](crate::Db::read). Placeholders are `$1`, `$2`, ... on every
/// database.
pub trait Sql: Sync {
    /// Which database this is. Only texts that cannot be written portably need to ask.
    fn backend(&self) -> Backend;

    /// Runs a statement; returns how many rows it changed.
    fn exec(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> impl Future<Output = Result<u64>> + Send;

    /// Runs statements without values, each ended by a semicolon.
    fn batch(&self, sql: &str) -> impl Future<Output = Result<()>> + Send;

    /// Up to `limit` rows.
    #[doc(hidden)]
    fn rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// The first row, if there is one.
    fn one<T: FromRow>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> impl Future<Output = Result<Option<T>>> + Send {
        let rows = self.rows(sql, values, 1);
        async move { rows.await?.first().map(T::from_row).transpose() }
    }

    /// Every row. The statement must bound how many there can be.
    fn all<T: FromRow>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> impl Future<Output = Result<Vec<T>>> + Send {
        let rows = self.rows(sql, values, usize::MAX);
        async move { rows.await?.iter().map(T::from_row).collect() }
    }

    /// The first column of the first row: for counts and sums.
    fn scalar<T: Column>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> impl Future<Output = Result<Option<T>>> + Send {
        let rows = self.rows(sql, values, 1);
        async move { rows.await?.first().map(Row::first).transpose() }
    }
}

/// The values of a statement: `values![id.uuid(), title, price.amount]`.
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::Value::from($value)),*] };
}

/// Placeholders `$first, ..., $(first + count - 1)` for an `IN (...)` list.
#[must_use]
pub fn in_list(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}
