//! The words that staff declared to mean the same: one document with a version.

use bookworm_db::{DbError, FromRow, Result, Sql, Tx, values};
use bookworm_kernel::Timestamp;

/// Groups of words that mean the same.
pub(crate) type Groups = Vec<Vec<String>>;

#[derive(FromRow)]
struct Row {
    words: String,
    version: i64,
}

/// The groups with their version; nothing and 0 before the first edit.
pub(crate) async fn read(db: &impl Sql) -> Result<(Groups, i64)> {
    let row: Option<Row> = db.one("SELECT words, version FROM search_synonyms WHERE place = 1", []).await?;
    let Some(row) = row else { return Ok((Groups::new(), 0)) };
    let groups = serde_json::from_str(&row.words).map_err(|_| DbError::Corrupt("the synonyms".to_owned()))?;
    Ok((groups, row.version))
}

/// Replaces the groups that are at `version`; `false` when they no longer are.
pub(crate) async fn replace(tx: &Tx, groups: &Groups, version: i64, now: Timestamp) -> Result<bool> {
    let words = serde_json::to_string(groups).map_err(|error| DbError::Corrupt(error.to_string()))?;
    let changed = tx
        .exec(
            "INSERT INTO search_synonyms (place, words, version, updated_at) VALUES (1, $1, $2, $3) \
             ON CONFLICT (place) DO UPDATE SET words = excluded.words, version = excluded.version, \
             updated_at = excluded.updated_at WHERE search_synonyms.version = $4",
            values![words, version + 1, now.micros(), version],
        )
        .await?;
    Ok(changed == 1)
}
