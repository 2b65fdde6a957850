//! What the published reviews of a book give together.

use bookworm_db::{DbError, FromRow, Sql, Tx, values};
use bookworm_kernel::BookId;

use crate::domain::{Stars, Status, Tally};

#[derive(FromRow)]
struct Count {
    stars: i64,
    count: i64,
}

/// Counts the published reviews of a book.
pub(crate) async fn of(sql: &impl Sql, book: BookId) -> Result<Tally, DbError> {
    let query = "SELECT stars, COUNT(*) AS count FROM reviews WHERE book_id = $1 AND status = $2 GROUP BY stars";
    let counts: Vec<Count> = sql.all(query, values![book.uuid(), Status::Published.name()]).await?;
    let counts = counts.into_iter().map(|one| {
        let stars = Stars::from_halves(one.stars);
        Ok((stars.ok_or_else(|| DbError::Corrupt(format!("the stars of a review of book {book}")))?, one.count))
    });
    Ok(Tally::new(counts.collect::<Result<Vec<_>, DbError>>()?))
}

/// Gives the numbers of a book their next version, from 1. Until the unit of work ends nobody else counts this book, so
/// that a higher version never knows less.
pub(crate) async fn next_version(tx: &Tx, book: BookId) -> Result<i64, DbError> {
    let sql = "INSERT INTO book_tallies (book_id, version) VALUES ($1, 1) \
               ON CONFLICT (book_id) DO UPDATE SET version = book_tallies.version + 1";
    tx.exec(sql, values![book.uuid()]).await?;
    let version: Option<i64> =
        tx.scalar("SELECT version FROM book_tallies WHERE book_id = $1", values![book.uuid()]).await?;
    version.ok_or_else(|| DbError::Corrupt(format!("the version of book {book} is missing")))
}
