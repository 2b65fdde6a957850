//! Authors who may be one person; merging them, and splitting one.

use std::collections::HashMap;

use bookworm_db::{DbError, FromRow, Result, Sql, Tx, Value, values};
use bookworm_kernel::{AuthorId, BookId, Timestamp};
use uuid::Uuid;

use super::{
    books, insert,
    names::{self, Kind, NameRow},
    stored::{self, Author},
};
use crate::domain::author;

/// The most groups of doubles that are shown.
const GROUPS: i64 = 100;
/// Authors that are compared to find names that are short for others.
const COMPARED: i64 = 20_000;
/// Of these, the most of one surname.
const NAMESAKES: usize = 300;

/// A book whose authors changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credited {
    pub(crate) id: BookId,
    pub(crate) version: i64,
}

#[derive(FromRow)]
struct BookRow {
    id: Uuid,
    version: i64,
    title: String,
    isbn13: Option<String>,
    authors: String,
}

#[derive(FromRow)]
struct DoubleRow {
    identity_key: Vec<u8>,
    id: Uuid,
    name: String,
    name_key: Vec<u8>,
    book_count: i64,
    version: i64,
}

/// Authors whose names are spellings of one another. In each group, that with most books first.
pub(crate) async fn spellings(db: &impl Sql) -> Result<Vec<Vec<NameRow>>> {
    let rows: Vec<DoubleRow> = db
        .all(
            "SELECT a.identity_key, a.id, a.name, a.name_key, a.book_count, a.version FROM authors a JOIN (\
               SELECT identity_key, SUM(book_count) AS books FROM authors WHERE identity_key IS NOT NULL \
               GROUP BY identity_key HAVING COUNT(*) > 1 ORDER BY 2 DESC, 1 LIMIT $1\
             ) AS d ON d.identity_key = a.identity_key ORDER BY d.books DESC, a.identity_key, a.book_count DESC, a.id",
            values![GROUPS],
        )
        .await?;
    let mut groups: Vec<(Vec<u8>, Vec<NameRow>)> = Vec::new();
    for row in rows {
        let DoubleRow { identity_key, id, name, name_key, book_count, version } = row;
        let author = NameRow { id, name, name_key, book_count, version };
        match groups.last_mut() {
            Some((key, group)) if *key == identity_key => group.push(author),
            _ => groups.push((identity_key, vec![author])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

/// Authors whose names may be short for one another, among those with most books. In each group, that with most books
/// first; the others may be short for it.
pub(crate) async fn shortened(db: &impl Sql) -> Result<Vec<Vec<NameRow>>> {
    let sql = "SELECT id, name, name_key, book_count, version FROM authors WHERE book_count > 0 \
               ORDER BY book_count DESC, id LIMIT $1";
    let rows: Vec<NameRow> = db.all(sql, values![COMPARED]).await?;
    let mut surnames: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        if let Some(surname) = author::surname(&row.name) {
            surnames.entry(surname).or_default().push(place);
        }
    }
    let mut grouped = vec![false; rows.len()];
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for row in &rows {
        let Some(namesakes) = author::surname(&row.name).and_then(|surname| surnames.remove(&surname)) else {
            continue;
        };
        for (at, &first) in namesakes.iter().take(NAMESAKES).enumerate() {
            if grouped[first] {
                continue;
            }
            let alike = namesakes[at + 1..].iter().copied().take(NAMESAKES);
            let others: Vec<usize> = alike
                .filter(|other| !grouped[*other] && author::may_shorten(&rows[first].name, &rows[*other].name))
                .collect();
            if !others.is_empty() {
                others.iter().for_each(|other| grouped[*other] = true);
                groups.push(std::iter::once(first).chain(others).collect());
            }
        }
        if groups.len() >= GROUPS as usize {
            break;
        }
    }
    groups.truncate(GROUPS as usize);
    Ok(groups.into_iter().map(|group| group.into_iter().map(|place| rows[place].clone()).collect()).collect())
}

/// Reads authors that this unit of work is about to change, in the order of their ids. On PostgreSQL nobody gives them a
/// book meanwhile: a link to an author waits for the lock, and finds the author gone.
pub(crate) async fn locked(tx: &Tx, ids: &[Uuid]) -> Result<Vec<NameRow>> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let mut rows = Vec::new();
    for id in ids {
        let sql =
            format!("SELECT id, name, name_key, book_count, version FROM authors WHERE id = $1{}", tx.for_update());
        rows.extend(tx.one::<NameRow>(&sql, values![id]).await?);
    }
    Ok(rows)
}

/// Puts another author in place of one in these books. `None` when one of them was edited at the same moment.
async fn credit(tx: &Tx, rows: Vec<BookRow>, from: Uuid, to: &Author, now: Timestamp) -> Result<Option<Vec<Credited>>> {
    let (mut search, mut credited) = (Vec::new(), Vec::new());
    for row in rows {
        let corrupt = || DbError::Corrupt(format!("authors of book {}", row.id));
        let mut authors: Vec<Author> = stored::authors(&row.authors).map_err(|_| corrupt())?;
        for author in &mut authors {
            if author.id.uuid() == from {
                *author = to.clone();
            }
        }
        let mut seen = std::collections::HashSet::new();
        authors.retain(|author| seen.insert(author.id));
        let text = serde_json::to_string(&authors).map_err(|_| corrupt())?;
        let updated = tx
            .exec(
                "UPDATE books SET authors = $1, version = version + 1, updated_at = $2 WHERE id = $3 AND version = $4",
                values![text, now.micros(), row.id, row.version],
            )
            .await?;
        if updated == 0 {
            return Ok(None);
        }
        search.push(books::search_row(row.id, &row.title, &authors, row.isbn13.as_deref()));
        let link = values![row.id, to.id.uuid()].to_vec();
        insert(tx, "book_authors (book_id, author_id)", " ON CONFLICT DO NOTHING", &[link], Clone::clone).await?;
        tx.exec("DELETE FROM book_authors WHERE book_id = $1 AND author_id = $2", values![row.id, from]).await?;
        credited.push(Credited { id: BookId::from_uuid(row.id), version: row.version + 1 });
    }
    insert(
        tx,
        "book_search (book_id, title, words)",
        " ON CONFLICT (book_id) DO UPDATE SET title = excluded.title, words = excluded.words",
        &search,
        Clone::clone,
    )
    .await?;
    for changed in [from, to.id.uuid()] {
        tx.exec(
            "UPDATE authors SET version = version + 1, \
             book_count = (SELECT COUNT(*) FROM book_authors l WHERE l.author_id = authors.id) WHERE id = $1",
            values![changed],
        )
        .await?;
    }
    Ok(Some(credited))
}

const AUTHORED: &str = "SELECT b.id, b.version, b.title, b.isbn13, b.authors FROM book_authors l \
                        JOIN books b ON b.id = l.book_id WHERE l.author_id = $1 AND b.deleted = FALSE";

/// Gives the books of one author to another, and stores which one the first became. `None` when a book was edited at the
/// same moment.
pub(crate) async fn merge(
    tx: &Tx,
    old: &NameRow,
    into: &NameRow,
    by: Uuid,
    now: Timestamp,
) -> Result<Option<Vec<Credited>>> {
    let rows: Vec<BookRow> = tx.all(&format!("{AUTHORED} ORDER BY b.id"), values![old.id]).await?;
    let to = Author { id: AuthorId::from_uuid(into.id), name: into.name.clone() };
    let Some(credited) = credit(tx, rows, old.id, &to, now).await? else { return Ok(None) };
    tx.exec("DELETE FROM authors WHERE id = $1", values![old.id]).await?;
    tx.exec("UPDATE merged_authors SET into_id = $1 WHERE into_id = $2", values![into.id, old.id]).await?;
    tx.exec(
        "INSERT INTO merged_authors (id, name, identity_key, into_id, merged_by, merged_at) VALUES ($1, $2, $3, $4, $5, $6)",
        values![
            old.id,
            old.name.as_str(),
            Kind::Author.key(&old.name).into_bytes(),
            into.id,
            by,
            now.micros(),
        ],
    )
    .await?;
    Ok(Some(credited))
}

#[derive(FromRow)]
struct IdRow {
    id: Uuid,
}

/// Gives some books of an author to a new one. One of this name that was merged into it before comes back with its old id.
/// Returns the new author's id and the books that were the author's; `None` when one was edited at the same moment.
pub(crate) async fn split(
    tx: &Tx,
    old: &NameRow,
    name: &str,
    wanted: &[Uuid],
    now: Timestamp,
) -> Result<Option<(Uuid, Vec<Credited>)>> {
    let key = Kind::Author.key(name).into_bytes();
    let merged: Option<IdRow> = tx
        .one(
            "SELECT id FROM merged_authors WHERE into_id = $1 AND identity_key = $2 ORDER BY id LIMIT 1",
            values![old.id, key.clone()],
        )
        .await?;
    let id = merged.map_or_else(Uuid::now_v7, |row| row.id);
    tx.exec("DELETE FROM merged_authors WHERE into_id = $1 AND identity_key = $2", values![old.id, key]).await?;
    names::create(tx, Kind::Author, id, name).await?;
    let mut rows = Vec::new();
    for piece in wanted.chunks(64) {
        let places = bookworm_db::in_list(2, piece.len());
        let values = std::iter::once(Value::from(old.id)).chain(piece.iter().map(|id| Value::from(*id)));
        rows.extend(tx.all::<BookRow>(&format!("{AUTHORED} AND b.id IN ({places})"), values).await?);
    }
    let to = Author { id: AuthorId::from_uuid(id), name: name.to_owned() };
    Ok(credit(tx, rows, old.id, &to, now).await?.map(|credited| (id, credited)))
}
