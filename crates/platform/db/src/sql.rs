use std::future::Future;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, Value};

use crate::{
    DbError, Result,
    row::{Column, FromRow, Row},
};

/// Plain SQL on a [`Tx`](crate::Tx) or on [`Db::read`](crate::Db::read). Placeholders are `$1`, `$2`, ... on every
/// database.
pub trait Sql: Sync {
    /// Which database this is. Only texts that cannot be written portably need to ask.
    fn backend(&self) -> DbBackend;

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

impl Sql for DatabaseConnection {
    fn backend(&self) -> DbBackend {
        self.get_database_backend()
    }

    fn exec(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> impl Future<Output = Result<u64>> + Send {
        exec(self, sql, values)
    }

    async fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.execute_unprepared(sql).await.map(drop)?)
    }

    fn rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Row>>> + Send {
        rows(self, sql, values, limit)
    }
}

pub(crate) fn exec<C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> impl Future<Output = Result<u64>> + Send {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    async move { Ok(connection.execute_raw(statement).await.map_err(DbError::from)?.rows_affected()) }
}

pub(crate) fn rows<C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
    limit: usize,
) -> impl Future<Output = Result<Vec<Row>>> + Send {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    async move {
        let rows = if limit == 1 {
            connection.query_one_raw(statement).await?.into_iter().collect()
        } else {
            connection.query_all_raw(statement).await?
        };
        Ok(rows.into_iter().map(Row::pool).collect())
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
