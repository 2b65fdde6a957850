//! Brings rows that an older release wrote into the form that this one writes. Runs at every start, and finds nothing to
//! do but the first time.

use bookworm_db::{Db, FromRow, Result, Sql, values};
use bookworm_kernel::{BookId, Timestamp};
use uuid::Uuid;

use super::feed;
use crate::domain::draft;

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
                        Ok::<_, bookworm_db::DbError>(ids.len() as u64)
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
