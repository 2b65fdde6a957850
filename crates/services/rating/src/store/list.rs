//! Lists of reviews.

use bookworm_db::{DbError, FromRow, Sql, Value, values};
use bookworm_kernel::{BookId, CustomerId};
use uuid::Uuid;

use super::reviews::{COLUMNS, Row};
use crate::domain::Status;

/// What lists are sorted by; then by when the review was begun, latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Helpful,
    Newest,
    Highest,
    Lowest,
}

/// Which of a book's published reviews.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// Halves of stars.
    pub stars: Option<std::ops::RangeInclusive<i64>>,
    pub verified: Option<bool>,
    pub language: Option<String>,
}

/// A place in a list: the sort key, and the review.
pub(crate) type Place = (i64, Uuid);

impl Order {
    /// Where a review stands in the list.
    pub fn place(self, row: &Row) -> Place {
        let (helpful, stars) = row.sort_keys();
        match self {
            Self::Helpful => (helpful, row.id),
            Self::Newest => (0, row.id),
            Self::Highest | Self::Lowest => (stars, row.id),
        }
    }
}

/// At most `limit` published reviews of a book, after a place.
pub(crate) async fn of_book(
    sql: &impl Sql,
    book: BookId,
    filter: Filter,
    order: Order,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Row>, DbError> {
    let mut query = format!("SELECT {COLUMNS} FROM reviews WHERE book_id = $1 AND status = $2");
    let mut values: Vec<Value> = values![book.uuid(), Status::Published.name()].into();
    let mut bind = |value: Value| {
        values.push(value);
        values.len()
    };
    if let Some(stars) = filter.stars {
        let (low, high) = (bind((*stars.start()).into()), bind((*stars.end()).into()));
        query += &format!(" AND stars BETWEEN ${low} AND ${high}");
    }
    if let Some(verified) = filter.verified {
        query += &format!(" AND verified = ${}", bind(verified.into()));
    }
    if let Some(language) = filter.language {
        query += &format!(" AND language = ${}", bind(language.into()));
    }
    let (column, beyond, direction) = match order {
        Order::Helpful => (Some("helpful"), "<", "DESC"),
        Order::Newest => (None, "<", "DESC"),
        Order::Highest => (Some("stars"), "<", "DESC"),
        Order::Lowest => (Some("stars"), ">", "ASC"),
    };
    match (column, after) {
        (Some(column), Some((key, id))) => {
            let (key, id) = (bind(key.into()), bind(id.into()));
            query += &format!(" AND ({column} {beyond} ${key} OR ({column} = ${key} AND id < ${id}))");
        }
        (None, Some((_, id))) => query += &format!(" AND id < ${}", bind(id.into())),
        (_, None) => {}
    }
    let limit = bind(i64::try_from(limit).unwrap_or(i64::MAX).into());
    match column {
        Some(column) => query += &format!(" ORDER BY {column} {direction}, id DESC LIMIT ${limit}"),
        None => query += &format!(" ORDER BY id DESC LIMIT ${limit}"),
    }
    sql.all(&query, values).await
}

/// How many of a book's published reviews are in a language.
#[derive(Debug, FromRow)]
pub(crate) struct InLanguage {
    pub language: String,
    pub count: i64,
}

/// The languages of a book's published reviews, most first.
pub(crate) async fn languages(sql: &impl Sql, book: BookId) -> Result<Vec<InLanguage>, DbError> {
    let query = "SELECT language, COUNT(*) AS count FROM reviews \
                 WHERE book_id = $1 AND status = $2 AND language IS NOT NULL \
                 GROUP BY language ORDER BY count DESC, language";
    sql.all(query, values![book.uuid(), Status::Published.name()]).await
}

/// At most `limit` of an account's own reviews, of one book or all, latest first, before a review.
pub(crate) async fn of_author(
    sql: &impl Sql,
    author: CustomerId,
    book: Option<BookId>,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Row>, DbError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let before = before.unwrap_or(Uuid::max());
    let mut values: Vec<Value> = values![author.uuid(), Status::Deleted.name(), before, limit].into();
    let mut only = "";
    if let Some(book) = book {
        values.push(book.uuid().into());
        only = " AND book_id = $5";
    }
    let query = format!(
        "SELECT {COLUMNS} FROM reviews WHERE author = $1 AND status <> $2 AND id < $3{only} ORDER BY id DESC LIMIT $4"
    );
    sql.all(&query, values).await
}

/// At most `limit` reviews that stand here, or that staff have to decide on; the oldest first, after a review.
pub(crate) async fn for_staff(
    sql: &impl Sql,
    status: Option<Status>,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Row>, DbError> {
    let (limit, after) = (i64::try_from(limit).unwrap_or(i64::MAX), after.unwrap_or(Uuid::nil()));
    match status {
        Some(status) => {
            let query = format!("SELECT {COLUMNS} FROM reviews WHERE status = $1 AND id > $2 ORDER BY id LIMIT $3");
            sql.all(&query, values![status.name(), after, limit]).await
        }
        None => {
            let query = format!("SELECT {COLUMNS} FROM reviews WHERE open = TRUE AND id > $1 ORDER BY id LIMIT $2");
            sql.all(&query, values![after, limit]).await
        }
    }
}
