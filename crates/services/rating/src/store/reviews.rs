//! One review.

use bookworm_db::{DbError, FromRow, Sql, Tx, values};
use bookworm_eventstore::Loaded;
use bookworm_kernel::{BookId, CustomerId, Timestamp};
use uuid::Uuid;

use crate::domain::{Reason, Review, Stars, Status};

pub(crate) const COLUMNS: &str = "id, book_id, author, author_name, stars, title, text, language, spoiler, verified, \
    status, reason, explanation, appeal, answer, answered_at, helpful, reports, open, created_at, updated_at, version";

/// A review as it is shown.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Row {
    pub id: Uuid,
    book_id: Uuid,
    author: Uuid,
    pub author_name: String,
    stars: i64,
    pub title: Option<String>,
    pub text: Option<String>,
    pub language: Option<String>,
    pub spoiler: bool,
    pub verified: bool,
    status: String,
    reason: Option<String>,
    pub explanation: Option<String>,
    pub appeal: Option<String>,
    pub answer: Option<String>,
    answered_at: Option<i64>,
    pub helpful: i64,
    pub reports: i64,
    open: bool,
    created_at: i64,
    updated_at: i64,
    pub version: i64,
}

/// What an author wrote.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    pub title: Option<String>,
    pub text: Option<String>,
    pub language: Option<String>,
    pub spoiler: bool,
}

impl Row {
    /// One that is not stored yet.
    pub fn new(book_id: BookId, author: CustomerId, now: Timestamp) -> Self {
        Self {
            id: Uuid::now_v7(),
            book_id: book_id.uuid(),
            author: author.uuid(),
            author_name: String::new(),
            stars: Stars::default().halves(),
            title: None,
            text: None,
            language: None,
            spoiler: false,
            verified: false,
            status: Status::Waiting.name().to_owned(),
            reason: None,
            explanation: None,
            appeal: None,
            answer: None,
            answered_at: None,
            helpful: 0,
            reports: 0,
            open: false,
            created_at: now.micros(),
            updated_at: now.micros(),
            version: 0,
        }
    }

    pub fn book_id(&self) -> BookId {
        BookId::from_uuid(self.book_id)
    }

    pub fn author(&self) -> CustomerId {
        CustomerId::from_uuid(self.author)
    }

    pub fn stars(&self) -> Result<Stars, DbError> {
        Stars::from_halves(self.stars).ok_or_else(|| self.corrupt("stars"))
    }

    pub fn status(&self) -> Result<Status, DbError> {
        Status::parse(&self.status).ok_or_else(|| self.corrupt("status"))
    }

    pub fn reason(&self) -> Result<Option<Reason>, DbError> {
        let known = |name: &String| Reason::parse(name).ok_or_else(|| self.corrupt("reason"));
        self.reason.as_ref().map(known).transpose()
    }

    pub fn answered_at(&self) -> Timestamp {
        Timestamp::from_micros(self.answered_at.unwrap_or(self.updated_at))
    }

    pub fn created_at(&self) -> Timestamp {
        Timestamp::from_micros(self.created_at)
    }

    pub fn updated_at(&self) -> Timestamp {
        Timestamp::from_micros(self.updated_at)
    }

    /// The keys by which lists are sorted: helpful votes, halves of stars.
    pub fn sort_keys(&self) -> (i64, i64) {
        (self.helpful, self.stars)
    }

    pub fn set_words(&mut self, words: Words) {
        (self.title, self.text) = (words.title, words.text);
        (self.language, self.spoiler) = (words.language, words.spoiler);
    }

    /// Forgets what its author wrote, and the answer to it.
    pub fn clear_words(&mut self) {
        self.set_words(Words { title: None, text: None, language: None, spoiler: false });
        (self.author_name, self.appeal) = (String::new(), None);
        self.set_answer(None, self.updated_at());
    }

    /// One that was taken back is written again: nothing of the old one counts any more.
    pub fn begin_again(&mut self, now: Timestamp) {
        (self.created_at, self.helpful) = (now.micros(), 0);
    }

    pub fn set_answer(&mut self, text: Option<String>, at: Timestamp) {
        self.answered_at = text.as_ref().map(|_| at.micros());
        self.answer = text;
    }

    /// Staff decided: what was reported is settled.
    pub fn settle_reports(&mut self) {
        self.reports = 0;
    }

    /// Takes over what the events say.
    pub fn follow(&mut self, review: &Loaded<Review>, now: Timestamp) {
        let state = &review.state;
        self.stars = state.stars().halves();
        self.verified = state.is_verified();
        self.status = state.status().name().to_owned();
        self.reason = state.reason().map(|reason| reason.name().to_owned());
        self.explanation = state.explanation().map(str::to_owned);
        if !state.is_appealed() {
            self.appeal = None;
        }
        self.open = state.is_open() || self.reports > 0 && state.status() == Status::Published;
        self.updated_at = now.micros();
        self.version = review.version.cast_signed();
    }

    fn corrupt(&self, what: &str) -> DbError {
        DbError::Corrupt(format!("the {what} of review {}", self.id))
    }
}

/// Reads a review to show it.
pub(crate) async fn find(sql: &impl Sql, id: Uuid) -> Result<Option<Row>, DbError> {
    sql.one(&format!("SELECT {COLUMNS} FROM reviews WHERE id = $1"), values![id]).await
}

/// Reads an account's review of a book to show it.
pub(crate) async fn find_of(sql: &impl Sql, book: BookId, author: CustomerId) -> Result<Option<Row>, DbError> {
    let query = format!("SELECT {COLUMNS} FROM reviews WHERE book_id = $1 AND author = $2");
    sql.one(&query, values![book.uuid(), author.uuid()]).await
}

/// Reads a review to change it.
pub(crate) async fn lock(tx: &Tx, id: Uuid) -> Result<Option<Row>, DbError> {
    tx.one(&format!("SELECT {COLUMNS} FROM reviews WHERE id = $1{}", tx.for_update()), values![id]).await
}

/// Reads an account's review of a book to change it.
pub(crate) async fn lock_of(tx: &Tx, book: BookId, author: CustomerId) -> Result<Option<Row>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM reviews WHERE book_id = $1 AND author = $2{}", tx.for_update());
    tx.one(&sql, values![book.uuid(), author.uuid()]).await
}

/// Stores a new review, or one that was read with a lock.
pub(crate) async fn put(tx: &Tx, row: &Row) -> Result<(), DbError> {
    let sql = format!(
        "INSERT INTO reviews ({COLUMNS}) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
         ON CONFLICT (id) DO UPDATE SET author_name = $4, stars = $5, title = $6, text = $7, language = $8, \
         spoiler = $9, verified = $10, status = $11, reason = $12, explanation = $13, appeal = $14, answer = $15, \
         answered_at = $16, helpful = $17, reports = $18, open = $19, created_at = $20, updated_at = $21, version = $22"
    );
    let row = row.clone();
    tx.exec(
        &sql,
        values![
            row.id,
            row.book_id,
            row.author,
            row.author_name,
            row.stars,
            row.title,
            row.text,
            row.language,
            row.spoiler,
            row.verified,
            row.status,
            row.reason,
            row.explanation,
            row.appeal,
            row.answer,
            row.answered_at,
            row.helpful,
            row.reports,
            row.open,
            row.created_at,
            row.updated_at,
            row.version
        ],
    )
    .await?;
    Ok(())
}

/// Claims a text for a review, in place of the one that it had; `false` when another review has it.
pub(crate) async fn claim_text(tx: &Tx, review: Uuid, fingerprint: Option<String>) -> Result<bool, DbError> {
    tx.exec("DELETE FROM review_texts WHERE review_id = $1", values![review]).await?;
    let Some(fingerprint) = fingerprint else { return Ok(true) };
    let sql = "INSERT INTO review_texts (fingerprint, review_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    Ok(tx.exec(sql, values![fingerprint, review]).await? == 1)
}
