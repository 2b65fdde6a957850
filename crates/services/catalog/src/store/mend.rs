//! Brings rows that an older release wrote into the form that this one writes. Runs at every start, and finds nothing to
//! do but the first time.

use bookworm_db::{Db, DbError, FromRow, Result, Sql, values};
use bookworm_kernel::{BookId, Timestamp};
use uuid::Uuid;

use super::{feed, names::Kind};
use crate::domain::{draft, text::title_key};

/// Books of one unit of work.
const TOGETHER: i64 = 500;

#[derive(FromRow)]
struct LanguageRow {
    language: String,
}

#[derive(FromRow)]
struct IdRow {
    id: Uuid,
}

/// Writes one tag for each language, whatever code it was stored by (`eng` and `en_US` become `en`). A code that names
/// no language is removed. Returns how many books were changed.
pub(crate) async fn languages(db: &Db, now: Timestamp) -> Result<u64> {
    let (mut changed, mut last) = (0, String::new());
    // From one value to the next along the index: as many steps as there are languages, not books.
    loop {
        let next: Option<LanguageRow> = db
            .read()
            .one(
                "SELECT language FROM books WHERE deleted = FALSE AND language > $1 ORDER BY language LIMIT 1",
                values![last.as_str()],
            )
            .await?;
        let Some(LanguageRow { language }) = next else { break };
        let tag = draft::language(&language);
        if tag.as_deref() != Some(&language) {
            loop {
                let (from, to) = (language.clone(), tag.clone());
                let n = db.transact(move |tx| {
                    Box::pin(async move {
                        let select =
                            "SELECT id FROM books WHERE language = $1 AND deleted = FALSE ORDER BY id LIMIT $2";
                        let rows: Vec<IdRow> = tx.all(select, values![from, TOGETHER]).await?;
                        for row in &rows {
                            tx.exec(
                                "UPDATE books SET language = $1, version = version + 1, updated_at = $2 WHERE id = $3",
                                values![to.clone(), now.micros(), row.id],
                            )
                            .await?;
                        }
                        let ids: Vec<BookId> = rows.into_iter().map(|row| BookId::from_uuid(row.id)).collect();
                        feed::note(tx, &ids, now).await?;
                        Ok::<_, DbError>(ids.len() as u64)
                    })
                });
                match n.await? {
                    0 => break,
                    n => changed += n,
                }
            }
            tracing::info!(
                from = language,
                to = tag.as_deref().unwrap_or("none"),
                "a language is stored by its tag now"
            );
        }
        last = language;
    }
    Ok(changed)
}

#[derive(FromRow)]
struct Filed {
    id: Uuid,
    title: String,
    title_key: Vec<u8>,
    language: Option<String>,
}

/// Gives titles the places that the present rules give them, once for each version of the rules: a cursor is compared
/// with what is stored.
pub(crate) async fn titles(db: &Db) -> Result<()> {
    let known: Option<i64> = db.read().scalar("SELECT version FROM title_order WHERE place = 1", []).await?;
    if known.unwrap_or(0) >= TITLE_ORDER {
        return Ok(());
    }
    let mut after = Uuid::nil();
    loop {
        let select = "SELECT id, title, title_key, language FROM books WHERE id > $1 ORDER BY id LIMIT $2";
        let rows: Vec<Filed> = db.read().all(select, values![after, TOGETHER]).await?;
        let Some(last) = rows.last().map(|row| row.id) else { break };
        after = last;
        let moved = rows.into_iter().filter_map(|row| {
            let key = title_key(&row.title, row.language.as_deref()).into_bytes();
            (key != row.title_key).then_some((row.id, key))
        });
        let moved: Vec<(Uuid, Vec<u8>)> = moved.collect();
        db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                for (id, key) in moved {
                    tx.exec("UPDATE books SET title_key = $1 WHERE id = $2", values![key, id]).await?;
                }
                Ok(())
            })
        })
        .await?;
    }
    db.transact::<_, DbError, _>(|tx| {
        Box::pin(async move {
            let note = "INSERT INTO title_order (place, version) VALUES (1, $1) \
                        ON CONFLICT (place) DO UPDATE SET version = excluded.version";
            tx.exec(note, values![TITLE_ORDER]).await?;
            Ok(())
        })
    })
    .await
}

/// Raise it whenever titles are ordered in another way.
const TITLE_ORDER: i64 = 1;

#[derive(FromRow)]
struct AuthorRow {
    id: Uuid,
    name: String,
}

/// Notes the identity of authors that an older release made. Those that turn out to be one are left for staff to merge.
/// Returns how many were noted.
pub(crate) async fn authors(db: &Db) -> Result<u64> {
    let mut noted = 0;
    loop {
        let n = db.transact(move |tx| {
            Box::pin(async move {
                let select = "SELECT id, name FROM authors WHERE identity_key IS NULL ORDER BY id LIMIT $1";
                let rows: Vec<AuthorRow> = tx.all(select, values![TOGETHER]).await?;
                for row in &rows {
                    let key = Kind::Author.key(&row.name).into_bytes();
                    tx.exec("UPDATE authors SET identity_key = $1 WHERE id = $2", values![key, row.id]).await?;
                }
                Ok::<_, bookworm_db::DbError>(rows.len() as u64)
            })
        });
        match n.await? {
            0 => return Ok(noted),
            n => noted += n,
        }
    }
}
