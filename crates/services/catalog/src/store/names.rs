//! Authors, publishers and subjects: three tables of one shape.

use std::collections::{BTreeMap, HashMap};

use bookworm_db::{DbError, FromRow, Result, Sql, Tx, Value, values};
use uuid::Uuid;

use super::{Statement, insert, pieces, select_in};
use crate::domain::text::{after_prefix, fold};

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Author,
    Publisher,
    Subject,
}

impl Kind {
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Author => "authors",
            Self::Publisher => "publishers",
            Self::Subject => "subjects",
        }
    }

    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Publisher => "publisher",
            Self::Subject => "subject",
        }
    }
}

#[derive(Debug, Clone, FromRow)]
pub(crate) struct NameRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) name_key: Vec<u8>,
    pub(crate) book_count: i64,
    pub(crate) version: i64,
}

const COLUMNS: &str = "id, name, name_key, book_count, version";

/// A name that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: Uuid,
    /// As stored: the first spelling that came.
    pub(crate) name: String,
}

/// Names by what they fold to.
pub(crate) type KnownNames = HashMap<String, Known>;

pub(crate) async fn by_id(db: &impl Sql, kind: Kind, id: Uuid) -> Result<Option<NameRow>> {
    db.one(&format!("SELECT {COLUMNS} FROM {} WHERE id = $1", kind.table()), values![id]).await
}

/// The name that a filter means: an id, or the name itself in any case.
pub(crate) async fn by_id_or_name(db: &impl Sql, kind: Kind, text: &str) -> Result<Option<NameRow>> {
    match text.parse::<Uuid>() {
        Ok(id) => by_id(db, kind, id).await,
        Err(_) => {
            let sql = format!("SELECT {COLUMNS} FROM {} WHERE name_key = $1", kind.table());
            db.one(&sql, values![fold(text).into_bytes()]).await
        }
    }
}

/// How a list of names is sorted, and after which it goes on.
#[derive(Debug, Clone)]
pub(crate) enum After {
    Books(Option<(i64, Uuid)>),
    Name(Option<String>),
}

/// Names that begin with `prefix`, most books first or by name.
pub(crate) async fn list(db: &impl Sql, kind: Kind, prefix: &str, after: &After, limit: i64) -> Result<Vec<NameRow>> {
    let mut sql = Statement::new(&format!("SELECT {COLUMNS} FROM {} WHERE ", kind.table()));
    within(&mut sql, "name_key", &fold(prefix));
    match after {
        After::Books(last) => {
            if let Some((books, id)) = last {
                sql.push(" AND (book_count, id) < (").bind(*books).push(", ").bind(*id).push(")");
            }
            sql.push(" ORDER BY book_count DESC, id DESC LIMIT ");
        }
        After::Name(last) => {
            if let Some(last) = last {
                sql.push(" AND name_key > ").bind(last.clone().into_bytes());
            }
            sql.push(" ORDER BY name_key LIMIT ");
        }
    }
    sql.bind(limit);
    db.all(&sql.text, sql.values).await
}

/// Appends the condition that a key column begins with `prefix`.
pub(crate) fn within(sql: &mut Statement, column: &str, prefix: &str) {
    sql.push(column).push(" >= ").bind(prefix.as_bytes().to_vec());
    if let Some(end) = after_prefix(prefix) {
        sql.push(" AND ").push(column).push(" < ").bind(end);
    }
}

/// The ids of the names with these folded forms.
pub(crate) async fn ids(db: &impl Sql, kind: Kind, keys: &[String]) -> Result<Vec<(String, Uuid)>> {
    let keys: Vec<Value> = keys.iter().map(|key| Value::from(key.clone().into_bytes())).collect();
    let select = format!("SELECT {COLUMNS} FROM {} WHERE name_key IN", kind.table());
    let known = known(select_in(db, &select, &keys, "").await?)?;
    Ok(known.into_iter().map(|(key, name)| (key, name.id)).collect())
}

/// The stored names for these, making those that are new. `names` may repeat.
pub(crate) async fn resolve(tx: &Tx, kind: Kind, names: impl IntoIterator<Item = String>) -> Result<KnownNames> {
    let wanted: BTreeMap<String, String> = names.into_iter().map(|name| (fold(&name), name)).collect();
    let keys: Vec<Value> = wanted.keys().map(|key| Value::from(key.clone().into_bytes())).collect();
    let select = format!("SELECT {COLUMNS} FROM {} WHERE name_key IN", kind.table());
    let mut known = known(select_in(tx, &select, &keys, "").await?)?;
    let new: Vec<(&String, &String)> = wanted.iter().filter(|(key, _)| !known.contains_key(*key)).collect();
    if new.is_empty() {
        return Ok(known);
    }
    insert(tx, &format!("{} ({COLUMNS})", kind.table()), " ON CONFLICT (name_key) DO NOTHING", &new, |(key, name)| {
        values![Uuid::now_v7(), name.as_str(), key.as_bytes().to_vec(), 0_i64, 1_i64].to_vec()
    })
    .await?;
    // Read back: on PostgreSQL another transaction may have made one of them meanwhile.
    let keys: Vec<Value> = new.iter().map(|(key, _)| Value::from(key.as_bytes().to_vec())).collect();
    known.extend(self::known(select_in(tx, &select, &keys, "").await?)?);
    Ok(known)
}

fn known(rows: Vec<NameRow>) -> Result<KnownNames> {
    rows.into_iter()
        .map(|row| {
            let key =
                String::from_utf8(row.name_key).map_err(|_| DbError::Corrupt(format!("name key of {}", row.id)))?;
            Ok((key, Known { id: row.id, name: row.name }))
        })
        .collect()
}

/// Counts books on sale up or down.
pub(crate) async fn count(tx: &Tx, kind: Kind, changes: &BTreeMap<Uuid, i64>) -> Result<()> {
    let changes: Vec<(Uuid, i64)> = changes.iter().filter(|(_, n)| **n != 0).map(|(id, n)| (*id, *n)).collect();
    let table = kind.table();
    for piece in pieces(&changes) {
        let mut sql = Statement::new("WITH change (changed_id, n) AS (VALUES ");
        for (i, (id, n)) in piece.iter().enumerate() {
            if i > 0 {
                sql.push(", ");
            }
            sql.row(values![*id, *n].to_vec());
        }
        sql.push(&format!(
            ") UPDATE {table} SET book_count = book_count + change.n FROM change WHERE {table}.id = change.changed_id"
        ));
        tx.exec(&sql.text, sql.values).await?;
    }
    Ok(())
}

/// Adds one. The error is a unique violation when the name is taken.
pub(crate) async fn create(tx: &Tx, kind: Kind, id: Uuid, name: &str) -> Result<()> {
    let sql = format!("INSERT INTO {} ({COLUMNS}) VALUES ($1, $2, $3, 0, 1)", kind.table());
    tx.exec(&sql, values![id, name, fold(name).into_bytes()]).await?;
    Ok(())
}

/// Renames one that is at `version`; `false` when it no longer is.
pub(crate) async fn rename(tx: &Tx, kind: Kind, id: Uuid, version: i64, name: &str) -> Result<bool> {
    let sql = format!(
        "UPDATE {} SET name = $1, name_key = $2, version = version + 1 WHERE id = $3 AND version = $4",
        kind.table()
    );
    Ok(tx.exec(&sql, values![name, fold(name).into_bytes(), id, version]).await? == 1)
}

/// Removes one that has no book; `false` when it has.
pub(crate) async fn delete(tx: &Tx, kind: Kind, id: Uuid) -> Result<bool> {
    let sql = format!("DELETE FROM {} WHERE id = $1 AND book_count = 0", kind.table());
    Ok(tx.exec(&sql, values![id]).await? == 1)
}
