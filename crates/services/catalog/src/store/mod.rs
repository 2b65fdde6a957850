//! The catalogue's tables and every statement on them.

pub(crate) mod authors;
pub(crate) mod books;
pub(crate) mod feed;
pub(crate) mod find;
pub(crate) mod imports;
pub(crate) mod mend;
pub(crate) mod names;
pub(crate) mod shoppers;
pub(crate) mod stock;
pub(crate) mod stored;
pub(crate) mod synonyms;
pub(crate) mod vectors;

use bookworm_db::{Db, DbError, Migration, Value};
use bookworm_kernel::Timestamp;

/// Brings a database up to date, and what older versions left in it.
pub(crate) async fn migrate(db: &Db, now: Timestamp) -> Result<(), DbError> {
    let mut migrations: Vec<Migration> = bookworm_messaging::MIGRATIONS.to_vec();
    migrations.push(bookworm_http::idempotency::MIGRATION);
    migrations.extend(MIGRATIONS);
    db.migrate(&migrations, now).await?;
    mend::languages(db, now).await?;
    mend::titles(db).await?;
    mend::authors(db).await?;
    Ok(())
}

/// The catalogue's own tables.
///
/// `*_key` columns hold folded text as bytes, so that both databases order and search it alike. `books.authors` and
/// `books.subjects` repeat the names as JSON: a book is read with one indexed query. The link tables are for filtering
/// and counting. Descriptions are apart, since they are most of the bytes: lists are narrowed without reading them.
const MIGRATIONS: &[Migration] = &[
    Migration::new(
        "catalog/0001_catalog",
        "CREATE TABLE authors (
            id UUID PRIMARY KEY,
            name TEXT NOT NULL,
            name_key BYTEA NOT NULL UNIQUE,
            book_count BIGINT NOT NULL,
            version BIGINT NOT NULL
          );
          CREATE INDEX authors_by_books ON authors (book_count, id);
          CREATE TABLE publishers (
            id UUID PRIMARY KEY,
            name TEXT NOT NULL,
            name_key BYTEA NOT NULL UNIQUE,
            book_count BIGINT NOT NULL,
            version BIGINT NOT NULL
          );
          CREATE INDEX publishers_by_books ON publishers (book_count, id);
          CREATE TABLE subjects (
            id UUID PRIMARY KEY,
            name TEXT NOT NULL,
            name_key BYTEA NOT NULL UNIQUE,
            book_count BIGINT NOT NULL,
            version BIGINT NOT NULL
          );
          CREATE INDEX subjects_by_books ON subjects (book_count, id);
          CREATE TABLE books (
            id UUID PRIMARY KEY,
            source_id TEXT UNIQUE,
            import_hash BYTEA,
            isbn13 TEXT,
            title TEXT NOT NULL,
            title_key BYTEA NOT NULL,
            authors TEXT NOT NULL,
            subjects TEXT NOT NULL,
            publisher_id UUID REFERENCES publishers (id),
            publisher TEXT,
            year BIGINT,
            year_key BIGINT NOT NULL,
            language TEXT,
            pages BIGINT,
            series TEXT,
            price BIGINT NOT NULL CHECK (price >= 0),
            list_price BIGINT,
            currency TEXT NOT NULL,
            rating_hundredths BIGINT NOT NULL,
            rating_count BIGINT NOT NULL,
            rating_key BIGINT NOT NULL,
            deleted BOOLEAN NOT NULL,
            version BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
          );
          CREATE TABLE book_descriptions (
            book_id UUID PRIMARY KEY REFERENCES books (id),
            description TEXT NOT NULL
          );
          CREATE UNIQUE INDEX books_isbn13 ON books (isbn13) WHERE deleted = FALSE;
          CREATE INDEX books_by_readers ON books (rating_count, id) WHERE deleted = FALSE;
          CREATE INDEX books_by_year ON books (year_key, id) WHERE deleted = FALSE;
          CREATE INDEX books_by_price ON books (price, id) WHERE deleted = FALSE;
          CREATE INDEX books_by_rating ON books (rating_key, id) WHERE deleted = FALSE;
          CREATE INDEX books_by_title ON books (title_key, id) WHERE deleted = FALSE;
          CREATE INDEX books_by_language ON books (language, rating_count, id) WHERE deleted = FALSE;
          CREATE INDEX books_by_publisher ON books (publisher_id);
          CREATE TABLE book_authors (
            book_id UUID NOT NULL REFERENCES books (id),
            author_id UUID NOT NULL REFERENCES authors (id),
            PRIMARY KEY (book_id, author_id)
          );
          CREATE INDEX book_authors_by_author ON book_authors (author_id, book_id);
          CREATE TABLE book_subjects (
            book_id UUID NOT NULL REFERENCES books (id),
            subject_id UUID NOT NULL REFERENCES subjects (id),
            PRIMARY KEY (book_id, subject_id)
          );
          CREATE INDEX book_subjects_by_subject ON book_subjects (subject_id, book_id);
          CREATE TABLE book_search (
            book_id UUID PRIMARY KEY REFERENCES books (id),
            title TEXT NOT NULL,
            words TEXT NOT NULL
          );
          CREATE TABLE stock (
            book_id UUID PRIMARY KEY REFERENCES books (id),
            on_hand BIGINT NOT NULL,
            reserved BIGINT NOT NULL,
            CHECK (reserved >= 0 AND on_hand >= reserved)
          );
          CREATE TABLE reservations (
            order_id UUID PRIMARY KEY,
            status TEXT NOT NULL CHECK (status IN ('held', 'released', 'committed')),
            short TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
          );
          CREATE TABLE reservation_lines (
            order_id UUID NOT NULL REFERENCES reservations (order_id),
            book_id UUID NOT NULL REFERENCES books (id),
            quantity BIGINT NOT NULL CHECK (quantity > 0),
            PRIMARY KEY (order_id, book_id)
          );
          CREATE TABLE stock_adjustments (
            id UUID PRIMARY KEY,
            book_id UUID NOT NULL REFERENCES books (id),
            delta BIGINT NOT NULL,
            reason TEXT NOT NULL,
            adjusted_by UUID NOT NULL,
            on_hand BIGINT NOT NULL,
            reserved BIGINT NOT NULL,
            adjusted_at BIGINT NOT NULL
          );
          CREATE INDEX stock_adjustments_by_book ON stock_adjustments (book_id, id);",
    ),
    Migration::new(
        "catalog/0002_search",
        "CREATE TABLE book_changes (
            seq {serial},
            book_id UUID NOT NULL,
            at BIGINT NOT NULL
          );
          CREATE TABLE search_feed (
            place BIGINT PRIMARY KEY CHECK (place = 1),
            id UUID NOT NULL,
            pruned_through BIGINT NOT NULL
          );
          CREATE TABLE search_synonyms (
            place BIGINT PRIMARY KEY CHECK (place = 1),
            words TEXT NOT NULL,
            version BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
          );
          CREATE TABLE book_sales (
            book_id UUID PRIMARY KEY REFERENCES books (id),
            copies BIGINT NOT NULL
          );
          CREATE INDEX book_sales_by_copies ON book_sales (copies);
          CREATE TABLE customer_purchases (
            customer_id UUID NOT NULL,
            book_id UUID NOT NULL REFERENCES books (id),
            at BIGINT NOT NULL,
            PRIMARY KEY (customer_id, book_id)
          );
          CREATE TABLE customer_views (
            customer_id UUID NOT NULL,
            book_id UUID NOT NULL REFERENCES books (id),
            at BIGINT NOT NULL,
            PRIMARY KEY (customer_id, book_id)
          );",
    ),
    Migration::new(
        "catalog/0003_title_order",
        "CREATE TABLE title_order (
            place BIGINT PRIMARY KEY CHECK (place = 1),
            version BIGINT NOT NULL
          );",
    ),
    // `authors.identity_key` is the same for every spelling of a name; `mend` fills it for rows that an older release made.
    // An author that was merged into another is remembered by its id and its spelling.
    Migration::new(
        "catalog/0004_identities",
        "ALTER TABLE books ADD COLUMN for_sale BOOLEAN NOT NULL DEFAULT TRUE;
          ALTER TABLE authors ADD COLUMN identity_key BYTEA;
          CREATE INDEX authors_by_identity ON authors (identity_key);
          CREATE TABLE merged_authors (
            id UUID PRIMARY KEY,
            name TEXT NOT NULL,
            identity_key BYTEA NOT NULL,
            into_id UUID NOT NULL,
            merged_by UUID NOT NULL,
            merged_at BIGINT NOT NULL
          );
          CREATE INDEX merged_authors_by_identity ON merged_authors (identity_key);
          CREATE INDEX merged_authors_by_target ON merged_authors (into_id);",
    ),
    // A file is stored apart from what is known about it, so that lists do not read it.
    Migration::new(
        "catalog/0005_imports",
        "CREATE TABLE imports (
            id UUID PRIMARY KEY,
            filename TEXT NOT NULL,
            size BIGINT NOT NULL,
            status TEXT NOT NULL,
            mapping TEXT NOT NULL,
            summary TEXT,
            problem TEXT,
            report TEXT NOT NULL,
            written TEXT NOT NULL,
            created_by TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            attempts BIGINT NOT NULL,
            lease UUID,
            leased_until BIGINT NOT NULL
          );
          CREATE INDEX imports_by_status ON imports (status, id);
          CREATE TABLE import_files (
            import_id UUID PRIMARY KEY REFERENCES imports (id),
            content BYTEA NOT NULL
          );",
    ),
    // What the reviews of this shop give, apart from `rating_*`, which an import said; `rating_key` is of both.
    Migration::new(
        "catalog/0006_reviews",
        "ALTER TABLE books ADD COLUMN rating_source TEXT;
          ALTER TABLE books ADD COLUMN review_half_stars BIGINT NOT NULL DEFAULT 0;
          ALTER TABLE books ADD COLUMN review_count BIGINT NOT NULL DEFAULT 0;
          ALTER TABLE books ADD COLUMN review_version BIGINT NOT NULL DEFAULT 0;",
    ),
    // The index on marks has all that is compared: without it, whoever compares reads the vectors too.
    Migration::new(
        "catalog/0007_vectors",
        "CREATE TABLE vector_model (
            place BIGINT PRIMARY KEY,
            name TEXT NOT NULL,
            dimensions BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            complete BOOLEAN NOT NULL
          );
          CREATE TABLE book_vectors (
            book_id UUID PRIMARY KEY,
            fingerprint BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            vector BYTEA NOT NULL
          );
          CREATE INDEX book_vectors_by_seq ON book_vectors (seq, book_id, fingerprint);
          CREATE INDEX book_vectors_marks ON book_vectors (book_id, fingerprint);",
    ),
    // In hundredths; none for a book of several volumes.
    Migration::new("catalog/0008_series_position", "ALTER TABLE books ADD COLUMN series_position BIGINT;"),
];

/// A statement that grows: text and values together, so that no value is ever written into the text.
#[derive(Debug, Default)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// Appends fixed text.
    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// The placeholder of one more value.
    pub(crate) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Appends the placeholder of one more value.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        let placeholder = self.value(value);
        self.push(&placeholder)
    }

    /// Appends `($n, $n+1, ...)` for one row of an `INSERT`.
    fn row(&mut self, values: Vec<Value>) -> &mut Self {
        self.push("(");
        for (i, value) in values.into_iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(")")
    }
}

/// Rows of one statement. Few sizes make few statements to prepare and to keep, whatever the number of rows.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// Cuts rows into pieces of [`SIZES`].
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

/// Inserts many rows: `INSERT INTO <into> VALUES (...), (...) <conflict>`.
async fn insert<T>(
    db: &impl bookworm_db::Sql,
    into: &str,
    conflict: &str,
    rows: &[T],
    values: impl Fn(&T) -> Vec<Value>,
) -> bookworm_db::Result<()> {
    for piece in pieces(rows) {
        let mut insert = Statement::new(&format!("INSERT INTO {into} VALUES "));
        for (i, row) in piece.iter().enumerate() {
            if i > 0 {
                insert.push(", ");
            }
            insert.row(values(row));
        }
        insert.push(conflict);
        db.exec(&insert.text, insert.values).await?;
    }
    Ok(())
}

/// The rows for many keys: `<select> (...)<rest>`, in as many statements as it takes.
async fn select_in<R: bookworm_db::FromRow>(
    db: &impl bookworm_db::Sql,
    select: &str,
    keys: &[Value],
    rest: &str,
) -> bookworm_db::Result<Vec<R>> {
    let mut found = Vec::new();
    for piece in pieces(keys) {
        let list = bookworm_db::in_list(1, piece.len());
        found.extend(db.all::<R>(&format!("{select} ({list}){rest}"), piece.to_vec()).await?);
    }
    Ok(found)
}

/// Deletes the rows of many keys: `<delete> (...)`.
async fn delete_in(db: &impl bookworm_db::Sql, delete: &str, keys: &[Value]) -> bookworm_db::Result<()> {
    for piece in pieces(keys) {
        let list = bookworm_db::in_list(1, piece.len());
        db.exec(&format!("{delete} ({list})"), piece.to_vec()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_and_few() {
        for n in [0, 1, 63, 64, 65, 500] {
            let rows: Vec<usize> = (0..n).collect();
            assert_eq!(pieces(&rows).flatten().copied().collect::<Vec<_>>(), rows);
            assert!(pieces(&rows).all(|piece| SIZES.contains(&piece.len())));
        }
    }

    #[test]
    fn values_are_never_written_into_the_text() {
        let mut statement = Statement::new("SELECT 1 WHERE a = ");
        statement.bind("'; DROP TABLE books").push(" AND b = ").bind(7_i64);
        assert_eq!(statement.text, "SELECT 1 WHERE a = $1 AND b = $2");
        assert_eq!(statement.values.len(), 2);
    }
}
