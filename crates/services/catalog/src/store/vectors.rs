//! Vectors of books: made once, by whichever instance has the lease, and taken over by all.
//!
//! All are of one model, which the row of `vector_model` names. Whoever writes holds that row until the commit, so `seq`
//! is the order of commits, and no row appears below one that was already visible.

use bookworm_db::{FromRow, Result, Sql, Tx, Value, values};
use uuid::Uuid;

use super::select_in;

/// A model: vectors of different ones are not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// Numbers in each vector.
    pub(crate) dimensions: i64,
}

/// Where the vectors stand.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Standing {
    name: String,
    dimensions: i64,
    /// The last change.
    pub(crate) seq: i64,
    /// Whether every book had its vector when somebody looked last.
    pub(crate) complete: bool,
}

impl Standing {
    pub(crate) fn model(&self) -> Model {
        Model { name: self.name.clone(), dimensions: self.dimensions }
    }
}

/// Where the vectors stand; `None` before the first one.
pub(crate) async fn standing(db: &impl Sql) -> Result<Option<Standing>> {
    db.one("SELECT name, dimensions, seq, complete FROM vector_model", []).await
}

/// Of which text a book's vector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(crate) struct Mark {
    pub(crate) book_id: Uuid,
    pub(crate) fingerprint: i64,
}

/// The marks of all books after this one, in the order of their ids.
pub(crate) async fn marks(db: &impl Sql, after: Uuid, limit: i64) -> Result<Vec<Mark>> {
    let select = "SELECT book_id, fingerprint FROM book_vectors WHERE book_id > $1 ORDER BY book_id LIMIT $2";
    db.all(select, values![after, limit]).await
}

/// The marks of these books, as far as they have a vector.
pub(crate) async fn marks_of(db: &impl Sql, books: &[Uuid]) -> Result<Vec<Mark>> {
    let keys: Vec<Value> = books.iter().copied().map(Value::from).collect();
    select_in(db, "SELECT book_id, fingerprint FROM book_vectors WHERE book_id IN", &keys, "").await
}

/// A vector that was put.
#[derive(Debug, Clone, Copy, FromRow)]
pub(crate) struct Put {
    pub(crate) seq: i64,
    #[row(nested)]
    pub(crate) mark: Mark,
}

/// What was put after `seq`, in that order, as far as nothing newer is there of the same book.
pub(crate) async fn after(db: &impl Sql, seq: i64, limit: i64) -> Result<Vec<Put>> {
    let select = "SELECT seq, book_id, fingerprint FROM book_vectors WHERE seq > $1 ORDER BY seq LIMIT $2";
    db.all(select, values![seq, limit]).await
}

#[derive(FromRow)]
struct Row {
    book_id: Uuid,
    fingerprint: i64,
    vector: Vec<u8>,
}

/// A book's vector, and the mark of its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vector {
    pub(crate) book_id: Uuid,
    pub(crate) fingerprint: u64,
    pub(crate) numbers: Vec<f32>,
}

/// The vectors of these books; none when the model is another one by now.
pub(crate) async fn read(db: &impl Sql, model: &Model, books: &[Uuid]) -> Result<Vec<Vector>> {
    let keys: Vec<Value> = books.iter().copied().map(Value::from).collect();
    let select = "SELECT v.book_id, v.fingerprint, v.vector FROM book_vectors v, vector_model m WHERE v.book_id IN";
    let mut vectors = Vec::with_capacity(books.len());
    for piece in super::pieces(&keys) {
        let (list, n) = (bookworm_db::in_list(1, piece.len()), piece.len());
        let mut bound = piece.to_vec();
        bound.extend(values![model.name.as_str(), model.dimensions]);
        // One statement sees one moment: the vectors are of this model.
        let text = format!("{select} ({list}) AND m.name = ${} AND m.dimensions = ${}", n + 1, n + 2);
        vectors.extend(db.all::<Row>(&text, bound).await?.into_iter().map(|row| Vector {
            book_id: row.book_id,
            fingerprint: row.fingerprint.cast_unsigned(),
            numbers: decode(&row.vector),
        }));
    }
    Ok(vectors)
}

/// What became of vectors that were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The books where somebody else was first, and those that are gone.
    pub(crate) passed_by: Vec<Uuid>,
    /// Whether vectors of another model went.
    pub(crate) replaced: bool,
}

/// Puts vectors of a model; those of another model go. `before` is the mark of the vector that each book had when its
/// text was read: a vector that somebody else put since then stays, for its text may be the newer one. A book that is
/// gone gets none.
pub(crate) async fn put(tx: &Tx, model: &Model, vectors: &[(Vector, Option<u64>)]) -> Result<Outcome> {
    let (name, dimensions) = (model.name.as_str(), model.dimensions);
    tx.exec(
        "INSERT INTO vector_model (place, name, dimensions, seq, complete) VALUES (1, $1, $2, 0, FALSE) ON CONFLICT DO NOTHING",
        values![name, dimensions],
    )
    .await?;
    let count = i64::try_from(vectors.len()).unwrap_or(i64::MAX);
    tx.exec("UPDATE vector_model SET seq = seq + $1, complete = FALSE WHERE place = 1", values![count]).await?;
    let standing = standing(tx).await?;
    let is_new = standing.as_ref().is_none_or(|standing| standing.model() != *model);
    let mut seq = standing.map_or(0, |standing| standing.seq) - count;
    if is_new {
        tx.exec("DELETE FROM book_vectors", []).await?;
        tx.exec("UPDATE vector_model SET name = $1, dimensions = $2", values![name, dimensions]).await?;
    }
    let mut passed_by = Vec::new();
    for (vector, before) in vectors {
        seq += 1;
        let (id, fingerprint) = (vector.book_id, vector.fingerprint.cast_signed());
        let numbers = encode(&vector.numbers);
        let put = match before.filter(|_| !is_new) {
            None => {
                let insert = "INSERT INTO book_vectors (book_id, fingerprint, seq, vector) \
                              SELECT id, $2, $3, $4 FROM books WHERE id = $1 AND deleted = FALSE \
                              ON CONFLICT DO NOTHING";
                tx.exec(insert, values![id, fingerprint, seq, numbers]).await?
            }
            Some(before) => {
                let update = "UPDATE book_vectors SET fingerprint = $1, seq = $2, vector = $3 \
                              WHERE book_id = $4 AND fingerprint = $5";
                tx.exec(update, values![fingerprint, seq, numbers, id, before.cast_signed()]).await?
            }
        };
        if put == 0 {
            passed_by.push(id);
        }
    }
    Ok(Outcome { passed_by, replaced: is_new })
}

/// Notes that a book has no vector yet.
pub(crate) async fn set_incomplete(tx: &Tx) -> Result<()> {
    tx.exec("UPDATE vector_model SET complete = FALSE WHERE complete", []).await.map(drop)
}

/// Notes that every book has its vector, unless anything was put since they stood so.
pub(crate) async fn set_complete(tx: &Tx, since: &Standing) -> Result<()> {
    let update = "UPDATE vector_model SET complete = TRUE WHERE name = $1 AND dimensions = $2 AND seq = $3";
    tx.exec(update, values![since.name.as_str(), since.dimensions, since.seq]).await.map(drop)
}

/// Removes a book's vector.
pub(crate) async fn remove(tx: &Tx, book: Uuid) -> Result<()> {
    // Whoever puts one at this moment has put it, or finds the book gone.
    tx.exec("UPDATE vector_model SET seq = seq", []).await?;
    tx.exec("DELETE FROM book_vectors WHERE book_id = $1", values![book]).await.map(drop)
}

/// Numbers of four bytes each, the lowest first.
fn encode(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use bookworm_db::{Db, DbError};
    use bookworm_kernel::{Clock, SystemClock};
    use bookworm_testing::on_every_database;

    use super::*;

    fn model(name: &str) -> Model {
        Model { name: name.to_owned(), dimensions: 2 }
    }

    async fn put_in(db: &Db, model: &Model, vectors: &[(Vector, Option<u64>)]) -> Outcome {
        let (model, vectors) = (model.clone(), vectors.to_vec());
        let put = db.transact::<_, DbError, _>(move |tx| Box::pin(async move { put(tx, &model, &vectors).await }));
        put.await.unwrap()
    }

    async fn put_book(db: &Db) -> Uuid {
        let id = Uuid::now_v7();
        let insert = "INSERT INTO books (id, title, title_key, authors, subjects, year_key, price, currency, \
                      rating_hundredths, rating_count, rating_key, deleted, version, created_at, updated_at) \
                      VALUES ($1, 'A book', $2, '[]', '[]', 0, 1, 'USD', 0, 0, 0, FALSE, 1, 0, 0)";
        let put = db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move { tx.exec(insert, values![id, vec![1_u8]]).await.map(drop) })
        });
        put.await.unwrap();
        id
    }

    fn done(passed_by: &[Uuid], replaced: bool) -> Outcome {
        Outcome { passed_by: passed_by.to_vec(), replaced }
    }

    #[tokio::test]
    async fn a_book_that_is_gone_gets_no_vector() {
        on_every_database(async |home| {
            let db = home.databases.open("catalog").await.unwrap();
            crate::store::migrate(&db, SystemClock.now()).await.unwrap();
            let (book, small) = (put_book(&db).await, model("small"));
            let late = Vector { book_id: book, fingerprint: 1, numbers: vec![1.0, 0.5] };
            let gone = db.transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    crate::store::books::delete(tx, bookworm_kernel::BookId::from_uuid(book), 1, SystemClock.now())
                        .await
                })
            });
            assert!(gone.await.unwrap());
            let nowhere = Vector { book_id: Uuid::now_v7(), ..late.clone() };
            let both = [(late, None), (nowhere.clone(), None)];
            assert_eq!(put_in(&db, &small, &both).await, done(&[book, nowhere.book_id], false));
            assert_eq!(marks(db.read(), Uuid::nil(), 10).await.unwrap().len(), 0);
            db.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn vectors_are_not_all_there_when_something_was_put_since_somebody_looked() {
        on_every_database(async |home| {
            let db = home.databases.open("catalog").await.unwrap();
            crate::store::migrate(&db, SystemClock.now()).await.unwrap();
            let (book, small) = (put_book(&db).await, model("small"));
            let vector = Vector { book_id: book, fingerprint: 1, numbers: vec![1.0, 0.5] };
            put_in(&db, &small, &[(vector.clone(), None)]).await;
            let looked = standing(db.read()).await.unwrap().unwrap();
            let complete = async |since: Standing| {
                let set =
                    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { set_complete(tx, &since).await }));
                set.await.unwrap();
                standing(db.read()).await.unwrap().unwrap().complete
            };
            assert_eq!(put_in(&db, &model("large"), &[(vector, None)]).await, done(&[], true));
            assert!(!complete(looked).await);
            assert!(complete(standing(db.read()).await.unwrap().unwrap()).await);
            db.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn a_vector_never_takes_the_place_of_one_that_its_maker_did_not_see() {
        on_every_database(async |home| {
            let db = home.databases.open("catalog").await.unwrap();
            crate::store::migrate(&db, SystemClock.now()).await.unwrap();
            let (book, other, small) = (put_book(&db).await, put_book(&db).await, model("small"));
            let vector = |book_id, fingerprint, first| Vector { book_id, fingerprint, numbers: vec![first, 0.5] };
            assert_eq!(standing(db.read()).await.unwrap(), None);

            let largest = u64::MAX;
            let two = [(vector(book, 1, 1.0), None), (vector(other, largest, 2.0), None)];
            assert_eq!(put_in(&db, &small, &two).await, done(&[], false));
            assert_eq!(
                put_in(&db, &small, &[(vector(book, 9, 9.0), None)]).await,
                done(&[book], false),
                "who saw none"
            );
            assert_eq!(
                put_in(&db, &small, &[(vector(book, 9, 9.0), Some(8))]).await,
                done(&[book], false),
                "who saw another one"
            );
            assert_eq!(put_in(&db, &small, &[(vector(book, 2, 3.0), Some(1))]).await, done(&[], false));
            let kept = read(db.read(), &small, &[book, other]).await.unwrap();
            assert!(kept.contains(&vector(book, 2, 3.0)) && kept.contains(&vector(other, largest, 2.0)), "{kept:?}");

            // Every change has a number of its own, above those before.
            let put = after(db.read(), 0, 10).await.unwrap();
            let last = standing(db.read()).await.unwrap().unwrap().seq;
            assert_eq!(put.iter().map(|put| put.mark.book_id).collect::<Vec<_>>(), [other, book]);
            assert_eq!((put[0].seq, put[1].seq), (2, last));
            assert_eq!(marks(db.read(), Uuid::nil(), 10).await.unwrap().len(), 2);
            assert_eq!(marks_of(db.read(), &[other]).await.unwrap().len(), 1);

            // Vectors of a new model never stand beside those of the old one.
            let large = model("large");
            assert_eq!(put_in(&db, &large, &[(vector(book, 2, 4.0), Some(2))]).await, done(&[], true));
            assert_eq!(read(db.read(), &small, &[book, other]).await.unwrap(), Vec::<Vector>::new());
            assert_eq!(read(db.read(), &large, &[book, other]).await.unwrap(), [vector(book, 2, 4.0)]);
            let now = standing(db.read()).await.unwrap().unwrap();
            assert!(now.seq > last && now.model() == large && !now.complete, "{now:?}");
            db.close().await;
        })
        .await;
    }
}
