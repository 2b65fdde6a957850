use std::future::Future;

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};

use crate::{DbError, Result};

/// Plain SQL on a [`Tx`](crate::Tx) or on [`Db::read`](crate::Db::read). Placeholders are `$1`, `$2`, ... on every
/// database.
pub trait Sql: ConnectionTrait {
    /// Runs a statement; returns how many rows it changed.
    fn exec(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> impl Future<Output = Result<u64>> + Send {
        let statement = Statement::from_sql_and_values(self.get_database_backend(), sql, values);
        async move { Ok(self.execute_raw(statement).await.map_err(DbError::from)?.rows_affected()) }
    }

    /// The first row, if there is one.
    fn one<T: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> impl Future<Output = Result<Option<T>>> + Send {
        let statement = Statement::from_sql_and_values(self.get_database_backend(), sql, values);
        async move {
            let row = self.query_one_raw(statement).await.map_err(DbError::from)?;
            row.map(|row| T::from_query_result(&row, "")).transpose().map_err(|e| DbError::Corrupt(e.to_string()))
        }
    }

    /// Every row. The statement must bound how many there can be.
    fn all<T: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> impl Future<Output = Result<Vec<T>>> + Send {
        let statement = Statement::from_sql_and_values(self.get_database_backend(), sql, values);
        async move {
            let rows = self.query_all_raw(statement).await.map_err(DbError::from)?;
            rows.iter().map(|row| T::from_query_result(row, "").map_err(|e| DbError::Corrupt(e.to_string()))).collect()
        }
    }

    /// The first column, named `value`, of the first row: for counts and sums.
    fn scalar<T: sea_orm::TryGetable>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> impl Future<Output = Result<Option<T>>> + Send {
        let statement = Statement::from_sql_and_values(self.get_database_backend(), sql, values);
        async move {
            let row = self.query_one_raw(statement).await.map_err(DbError::from)?;
            row.map(|row| row.try_get_by_index::<T>(0)).transpose().map_err(|e| DbError::Corrupt(e.to_string()))
        }
    }
}

impl<C: ConnectionTrait + ?Sized> Sql for C {}

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
