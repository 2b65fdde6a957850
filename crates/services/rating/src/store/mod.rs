//! Reviews as they are shown, and what decisions about them count. What happened to a review is in its events; its
//! words are only here, so that their author can take them back.

pub(crate) mod invitations;
pub(crate) mod list;
pub(crate) mod readers;
pub(crate) mod reports;
pub(crate) mod reviews;
pub(crate) mod summaries;
pub(crate) mod tallies;
pub(crate) mod votes;

use bookworm_db::{Migration, Readers};

/// This role's own tables.
pub(crate) const MIGRATIONS: &[Migration] = &[
    REVIEWS,
    Migration {
        name: "rating/0002_tallies",
        readers: Readers::All,
        sql: "CREATE TABLE book_tallies (
                book_id UUID NOT NULL PRIMARY KEY,
                version BIGINT NOT NULL
              );",
    },
    INVITATIONS,
    SUMMARIES,
];

const REVIEWS: Migration = Migration {
    name: "rating/0001_reviews",
    readers: Readers::All,
    // `open`: staff have something to decide. `readers` has one row for each account that ever wrote, voted, reported
    // or bought; locking it makes what is counted for an account, and what is decided from it, one step.
    sql: "CREATE TABLE reviews (
            id UUID NOT NULL PRIMARY KEY,
            book_id UUID NOT NULL,
            author UUID NOT NULL,
            author_name TEXT NOT NULL,
            stars BIGINT NOT NULL,
            title TEXT,
            text TEXT,
            language TEXT,
            spoiler BOOLEAN NOT NULL,
            verified BOOLEAN NOT NULL,
            status TEXT NOT NULL,
            reason TEXT,
            explanation TEXT,
            appeal TEXT,
            answer TEXT,
            answered_at BIGINT,
            helpful BIGINT NOT NULL DEFAULT 0,
            reports BIGINT NOT NULL DEFAULT 0,
            open BOOLEAN NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            version BIGINT NOT NULL,
            UNIQUE (book_id, author)
          );
          CREATE INDEX reviews_by_helpful ON reviews (book_id, status, helpful, id);
          CREATE INDEX reviews_by_stars ON reviews (book_id, status, stars, id);
          CREATE INDEX reviews_by_author ON reviews (author, id);
          CREATE INDEX reviews_by_status ON reviews (status, id);
          CREATE INDEX reviews_open ON reviews (id) WHERE open = TRUE;
          CREATE TABLE readers (
            id UUID NOT NULL PRIMARY KEY,
            counted_from BIGINT NOT NULL,
            changes BIGINT NOT NULL
          );
          CREATE TABLE purchases (
            customer_id UUID NOT NULL,
            book_id UUID NOT NULL,
            order_id UUID NOT NULL,
            at BIGINT NOT NULL,
            PRIMARY KEY (customer_id, book_id)
          );
          CREATE TABLE review_texts (
            fingerprint TEXT NOT NULL PRIMARY KEY,
            review_id UUID NOT NULL
          );
          CREATE INDEX review_texts_by_review ON review_texts (review_id);
          CREATE TABLE helpful_votes (
            review_id UUID NOT NULL,
            account UUID NOT NULL,
            at BIGINT NOT NULL,
            PRIMARY KEY (review_id, account)
          );
          CREATE TABLE review_reports (
            review_id UUID NOT NULL,
            account UUID NOT NULL,
            reason TEXT NOT NULL,
            text TEXT,
            at BIGINT NOT NULL,
            decided BOOLEAN NOT NULL,
            PRIMARY KEY (review_id, account)
          );",
};

/// One row for each order that is complete, or that came back before. `state`: `waiting`, `sent`, `unwanted` (its mailbox
/// had unsubscribed), `withdrawn`. The address is there only while it is needed.
const INVITATIONS: Migration = Migration {
    name: "rating/0003_invitations",
    readers: Readers::All,
    sql: "CREATE TABLE invitations (
            order_id UUID NOT NULL PRIMARY KEY,
            reader UUID NOT NULL,
            mailbox TEXT NOT NULL,
            email TEXT,
            name TEXT,
            author_name TEXT NOT NULL,
            books TEXT NOT NULL,
            state TEXT NOT NULL,
            due_at BIGINT NOT NULL,
            token_hash TEXT UNIQUE,
            expires_at BIGINT
          );
          CREATE INDEX invitations_due ON invitations (due_at) WHERE state = 'waiting';
          CREATE TABLE unsubscribed (
            mailbox TEXT NOT NULL PRIMARY KEY,
            at BIGINT NOT NULL
          );",
};

/// `changes` counts what happened to the published reviews of a book; `built`: how many of these its summary knows.
const SUMMARIES: Migration = Migration {
    name: "rating/0004_summaries",
    readers: Readers::All,
    sql: "CREATE TABLE book_summaries (
            book_id UUID NOT NULL PRIMARY KEY,
            changes BIGINT NOT NULL,
            built BIGINT NOT NULL,
            summary TEXT,
            at BIGINT
          );
          CREATE INDEX book_summaries_stale ON book_summaries (book_id) WHERE built < changes;
          INSERT INTO book_summaries (book_id, changes, built) SELECT book_id, 1, 0 FROM book_tallies;",
};
