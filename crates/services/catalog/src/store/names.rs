//! Authors, publishers and subjects: three tables of one shape.

use std::collections::{BTreeMap, HashMap};

use bookworm_db::{DbError, FromRow, Result, Sql, Tx, Value, values};
use uuid::Uuid;

use super::{Statement, insert, pieces, select_in};
use crate::domain::{
    author,
    text::{after_prefix, fold},
};

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

    /// What is the same for every spelling of a name.
    pub(crate) fn key(self, name: &str) -> String {
        match self {
            Self::Author => author::identity(name),
            Self::Publisher | Self::Subject => fold(name),
        }
    }

    /// The column that holds [`Kind::key`].
    const fn key_column(self) -> &'static str {
        match self {
            Self::Author => "identity_key",
            Self::Publisher | Self::Subject => "name_key",
        }
    }

    /// Its columns, with the key in place of the folded name.
    const fn keyed_columns(self) -> &'static str {
        match self {
            Self::Author => "id, name, identity_key AS name_key, book_count, version",
            Self::Publisher | Self::Subject => COLUMNS,
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

/// Names by their [`Kind::key`].
pub(crate) type KnownNames = HashMap<String, Known>;

pub(crate) async fn by_id(db: &impl Sql, kind: Kind, id: Uuid) -> Result<Option<NameRow>> {
    db.one(&format!("SELECT {COLUMNS} FROM {} WHERE id = $1", kind.table()), values![id]).await
}

/// The name that a filter means: an id, or the name itself in any spelling. Of an author that was merged into another,
/// that other one.
pub(crate) async fn by_id_or_name(db: &impl Sql, kind: Kind, text: &str) -> Result<Option<NameRow>> {
    match text.parse::<Uuid>() {
        Ok(id) => match by_id(db, kind, id).await? {
            Some(row) => Ok(Some(row)),
            None => match merged_into(db, kind, id).await? {
                Some(into) => by_id(db, kind, into).await,
                None => Ok(None),
            },
        },
        Err(_) => {
            let exact = by_exact_name(db, kind, text).await?;
            if exact.is_some() || kind != Kind::Author {
                return Ok(exact);
            }
            let known = by_keys(db, kind, &[kind.key(text)]).await?;
            match known.into_values().next() {
                Some(known) => by_id(db, kind, known.id).await,
                None => Ok(None),
            }
        }
    }
}

#[derive(FromRow)]
struct IntoRow {
    into_id: Uuid,
}

/// The author that this one was merged into.
pub(crate) async fn merged_into(db: &impl Sql, kind: Kind, id: Uuid) -> Result<Option<Uuid>> {
    if kind != Kind::Author {
        return Ok(None);
    }
    let row: Option<IntoRow> = db.one("SELECT into_id FROM merged_authors WHERE id = $1", values![id]).await?;
    Ok(row.map(|row| row.into_id))
}

/// The stored names with these keys. Where several authors share one, that with most books; an author of a merged
/// spelling where none has it any more.
async fn by_keys(db: &impl Sql, kind: Kind, keys: &[String]) -> Result<KnownNames> {
    let column = kind.key_column();
    let bytes = |keys: &[String]| keys.iter().map(|key| Value::from(key.clone().into_bytes())).collect::<Vec<_>>();
    let select = format!("SELECT {} FROM {} WHERE {column} IN", kind.keyed_columns(), kind.table());
    let mut rows: Vec<NameRow> = select_in(db, &select, &bytes(keys), "").await?;
    rows.sort_by_key(|row| (row.book_count, std::cmp::Reverse(row.id)));
    let mut names = known(rows)?;
    if kind == Kind::Author {
        let missing: Vec<String> = keys.iter().filter(|key| !names.contains_key(*key)).cloned().collect();
        let select = "SELECT a.id, a.name, m.identity_key AS name_key, a.book_count, a.version FROM merged_authors m \
                      JOIN authors a ON a.id = m.into_id WHERE m.identity_key IN";
        names.extend(known(select_in(db, select, &bytes(&missing), "").await?)?);
    }
    Ok(names)
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

/// The stored names for these, making those that are new. `names` may repeat, and be several spellings of one: of these
/// the first stays, unless another one has capitals where they belong.
pub(crate) async fn resolve(tx: &Tx, kind: Kind, names: impl IntoIterator<Item = String>) -> Result<KnownNames> {
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for name in names {
        let known = wanted.entry(kind.key(&name)).or_insert_with(|| name.clone());
        if author::is_better(&name, known) {
            *known = name;
        }
    }
    let keys: Vec<String> = wanted.keys().cloned().collect();
    let mut known = by_keys(tx, kind, &keys).await?;
    let new: Vec<(&String, &String)> = wanted.iter().filter(|(key, _)| !known.contains_key(*key)).collect();
    if new.is_empty() {
        return Ok(known);
    }
    let columns = if kind == Kind::Author { "id, name, name_key, book_count, version, identity_key" } else { COLUMNS };
    insert(tx, &format!("{} ({columns})", kind.table()), " ON CONFLICT (name_key) DO NOTHING", &new, |(key, name)| {
        let mut row = values![Uuid::now_v7(), name.as_str(), fold(name).into_bytes(), 0_i64, 1_i64].to_vec();
        if kind == Kind::Author {
            row.push(Value::from(key.as_bytes().to_vec()));
        }
        row
    })
    .await?;
    // Read back: on PostgreSQL another transaction may have made one of them meanwhile.
    let keys: Vec<String> = new.iter().map(|(key, _)| (*key).clone()).collect();
    known.extend(by_keys(tx, kind, &keys).await?);
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
    identify(tx, kind, id, name).await
}

/// Renames one that is at `version`; `false` when it no longer is.
pub(crate) async fn rename(tx: &Tx, kind: Kind, id: Uuid, version: i64, name: &str) -> Result<bool> {
    let sql = format!(
        "UPDATE {} SET name = $1, name_key = $2, version = version + 1 WHERE id = $3 AND version = $4",
        kind.table()
    );
    let renamed = tx.exec(&sql, values![name, fold(name).into_bytes(), id, version]).await? == 1;
    if renamed {
        identify(tx, kind, id, name).await?;
    }
    Ok(renamed)
}

/// Notes what all spellings of an author's name have in common.
async fn identify(tx: &Tx, kind: Kind, id: Uuid, name: &str) -> Result<()> {
    if kind == Kind::Author {
        let sql = "UPDATE authors SET identity_key = $1 WHERE id = $2";
        tx.exec(sql, values![kind.key(name).into_bytes(), id]).await?;
    }
    Ok(())
}

/// The one with this very name, in any case.
pub(crate) async fn by_exact_name(db: &impl Sql, kind: Kind, name: &str) -> Result<Option<NameRow>> {
    let sql = format!("SELECT {COLUMNS} FROM {} WHERE name_key = $1", kind.table());
    db.one(&sql, values![fold(name).into_bytes()]).await
}

/// Another author whose name is a spelling of this one.
pub(crate) async fn same_author(db: &impl Sql, name: &str, but: Uuid) -> Result<Option<NameRow>> {
    let sql = format!("SELECT {COLUMNS} FROM authors WHERE identity_key = $1 AND id <> $2 LIMIT 1");
    db.one(&sql, values![Kind::Author.key(name).into_bytes(), but]).await
}

/// Removes one that has no book; `false` when it has.
pub(crate) async fn delete(tx: &Tx, kind: Kind, id: Uuid) -> Result<bool> {
    let sql = format!("DELETE FROM {} WHERE id = $1 AND book_count = 0", kind.table());
    let deleted = tx.exec(&sql, values![id]).await? == 1;
    if deleted && kind == Kind::Author {
        // What was merged into it leads nowhere any more.
        tx.exec("DELETE FROM merged_authors WHERE into_id = $1", values![id]).await?;
    }
    Ok(deleted)
}
