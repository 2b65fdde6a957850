//! Reading one book and writing books.

use std::collections::{BTreeMap, HashMap, HashSet};

use bookworm_contracts::rest::catalog::{AuthorRef, Book, ImportedRating, RatingSource, RatingSummary};
use bookworm_db::{DbError, FromRow, Result, Sql, Tx, Value, values};
use bookworm_kernel::{AuthorId, BookId, Currency, Isbn13, Money, PRIOR_WEIGHT, Timestamp};
use uuid::Uuid;

use super::{
    delete_in, insert,
    names::{self, Kind, KnownNames},
    select_in,
    stored::{self, Author},
    vectors,
};
use crate::domain::{
    Draft, Rating, Reviews, draft,
    text::{indexed_words, title_key},
};

/// What [`BookRow`] needs of `books b`, `stock s` and `book_descriptions d`.
pub(crate) const COLUMNS: &str = "b.id, b.source_id, b.isbn13, b.title, b.authors, b.subjects, b.publisher, b.year, \
     b.language, b.pages, b.series, b.series_position, d.description, b.price, b.list_price, b.currency, b.rating_hundredths, \
     b.rating_count, b.rating_source, b.review_half_stars, b.review_count, b.rating_key, CASE WHEN b.for_sale THEN s.on_hand - s.reserved ELSE 0 END AS available, b.for_sale, b.version, \
     b.updated_at";

#[derive(Debug, Clone, FromRow)]
pub(crate) struct BookRow {
    pub(crate) id: Uuid,
    pub(crate) source_id: Option<String>,
    pub(crate) isbn13: Option<String>,
    pub(crate) title: String,
    pub(crate) authors: String,
    pub(crate) subjects: String,
    pub(crate) publisher: Option<String>,
    pub(crate) year: Option<i64>,
    pub(crate) language: Option<String>,
    pub(crate) pages: Option<i64>,
    pub(crate) series: Option<String>,
    /// Hundredths.
    pub(crate) series_position: Option<i64>,
    pub(crate) description: Option<String>,
    pub(crate) price: i64,
    pub(crate) list_price: Option<i64>,
    pub(crate) currency: String,
    pub(crate) rating_hundredths: i64,
    pub(crate) rating_count: i64,
    pub(crate) rating_source: Option<String>,
    pub(crate) review_half_stars: i64,
    pub(crate) review_count: i64,
    pub(crate) rating_key: i64,
    pub(crate) available: i64,
    pub(crate) for_sale: bool,
    pub(crate) version: i64,
    pub(crate) updated_at: i64,
}

/// Where a book's cover is drawn. The version makes the address change when the book does.
pub(crate) fn cover_url(id: Uuid, version: i64) -> String {
    format!("/covers/{id}.svg?v={version}")
}

impl BookRow {
    /// What an import said.
    pub(crate) fn imported_rating(&self) -> Rating {
        Rating { hundredths: self.rating_hundredths, count: self.rating_count, source: self.rating_source.clone() }
    }

    /// As the shop shows it.
    pub(crate) fn into_book(self) -> Result<Book> {
        let corrupt = |what: &str| DbError::Corrupt(format!("{what} of book {}", self.id));
        let currency = Currency::parse(&self.currency).map_err(|_| corrupt("currency"))?;
        let imported = self.imported_rating();
        let reviews = Reviews { half_stars: self.review_half_stars, count: self.review_count };
        let rating = match (reviews.count, imported.count) {
            (0, 1..) => {
                RatingSummary { average: imported.average(), count: imported.count, source: RatingSource::Imported }
            }
            _ => RatingSummary { average: reviews.average(), count: reviews.count, source: RatingSource::Reviews },
        };
        Ok(Book {
            id: BookId::from_uuid(self.id),
            isbn13: self.isbn13.as_deref().map(Isbn13::parse).transpose().map_err(|_| corrupt("isbn13"))?,
            authors: stored::authors(&self.authors)
                .map_err(|_| corrupt("authors"))?
                .into_iter()
                .map(|author| AuthorRef { id: author.id, name: author.name })
                .collect(),
            subjects: serde_json::from_str(&self.subjects).map_err(|_| corrupt("subjects"))?,
            year: self.year.map(i32::try_from).transpose().map_err(|_| corrupt("year"))?,
            pages: self.pages.map(i32::try_from).transpose().map_err(|_| corrupt("pages"))?,
            price: Money::new(self.price, currency),
            list_price: self.list_price.map(|amount| Money::new(amount, currency)),
            rating,
            imported_rating: (imported.count > 0).then(|| ImportedRating {
                average: imported.average(),
                count: imported.count,
                source: imported.source,
            }),
            available: self.available,
            for_sale: self.for_sale,
            cover_url: cover_url(self.id, self.version),
            version: self.version,
            updated_at: Timestamp::from_micros(self.updated_at),
            source_id: self.source_id,
            title: self.title,
            publisher: self.publisher,
            language: self.language,
            series: self.series,
            series_position: self.series_position.map(|hundredths| hundredths as f64 / 100.0),
            description: self.description,
        })
    }
}

/// Whether there never was a book.
pub(crate) async fn none(db: &impl Sql) -> Result<bool> {
    let books: Option<i64> = db.scalar("SELECT COUNT(*) FROM (SELECT 1 FROM books LIMIT 1) AS any_book", []).await?;
    Ok(books == Some(0))
}

/// A book on sale.
pub(crate) async fn by_id(db: &impl Sql, id: BookId) -> Result<Option<BookRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM books b JOIN stock s ON s.book_id = b.id LEFT JOIN book_descriptions d ON d.book_id = b.id \
         WHERE b.id = $1 AND b.deleted = FALSE"
    );
    db.one(&sql, values![id.uuid()]).await
}

/// Rows of one statement of [`by_ids`].
const TOGETHER: usize = 128;

/// The books on sale among these, in no particular order.
pub(crate) async fn by_ids(db: &impl Sql, ids: &[BookId]) -> Result<Vec<BookRow>> {
    let mut found = Vec::with_capacity(ids.len());
    for piece in ids.chunks(TOGETHER) {
        // Repeating the last id gives the statement one of few lengths, so that it stays prepared.
        let length = piece.len().next_power_of_two();
        let last = piece[piece.len() - 1];
        let padded = piece.iter().copied().chain(std::iter::repeat(last)).take(length).map(|id| Value::from(id.uuid()));
        let sql = format!(
            "SELECT {COLUMNS} FROM books b JOIN stock s ON s.book_id = b.id \
             LEFT JOIN book_descriptions d ON d.book_id = b.id WHERE b.id IN ({}) AND b.deleted = FALSE",
            bookworm_db::in_list(1, length)
        );
        found.extend(db.all::<BookRow>(&sql, padded).await?);
    }
    Ok(found)
}

/// The books on sale in the order of their ids, after `after`; at most `limit`.
pub(crate) async fn all(db: &impl Sql, after: Uuid, limit: i64) -> Result<Vec<BookRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM books b JOIN stock s ON s.book_id = b.id \
         LEFT JOIN book_descriptions d ON d.book_id = b.id WHERE b.id > $1 AND b.deleted = FALSE ORDER BY b.id LIMIT $2"
    );
    db.all(&sql, values![after, limit]).await
}

/// How many books are on sale.
pub(crate) async fn count(db: &impl Sql) -> Result<i64> {
    Ok(db.scalar("SELECT COUNT(*) FROM books WHERE deleted = FALSE", []).await?.unwrap_or(0))
}

/// Whether this book is on sale.
pub(crate) async fn is_on_sale(db: &impl Sql, id: BookId) -> Result<bool> {
    let row: Option<IdRow> =
        db.one("SELECT id FROM books WHERE id = $1 AND deleted = FALSE", values![id.uuid()]).await?;
    Ok(row.is_some())
}

#[derive(FromRow)]
struct IdRow {
    id: Uuid,
}

/// The book on sale that has this ISBN.
pub(crate) async fn by_isbn(db: &impl Sql, isbn: Isbn13) -> Result<Option<BookId>> {
    let row: Option<IdRow> =
        db.one("SELECT id FROM books WHERE isbn13 = $1 AND deleted = FALSE", values![isbn.to_string()]).await?;
    Ok(row.map(|row| BookId::from_uuid(row.id)))
}

/// The book, on sale or not, that came from this line of an import file.
pub(crate) async fn by_source(db: &impl Sql, source_id: &str) -> Result<Option<BookId>> {
    let row: Option<IdRow> = db.one("SELECT id FROM books WHERE source_id = $1", values![source_id]).await?;
    Ok(row.map(|row| BookId::from_uuid(row.id)))
}

#[derive(FromRow)]
pub(crate) struct Offer {
    pub(crate) id: Uuid,
    pub(crate) title: String,
    pub(crate) authors: String,
    pub(crate) language: Option<String>,
    pub(crate) price: i64,
    pub(crate) currency: String,
    pub(crate) available: i64,
    pub(crate) version: i64,
    pub(crate) subjects: String,
    pub(crate) publisher: Option<String>,
}

/// Price and availability of these books, as far as they are sold: one query.
pub(crate) async fn offers(db: &impl Sql, ids: &[BookId]) -> Result<Vec<Offer>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Repeating the last id gives the statement one of few lengths, so that it stays prepared.
    let length = ids.len().next_power_of_two();
    let last = ids[ids.len() - 1];
    let padded = ids.iter().copied().chain(std::iter::repeat(last)).take(length).map(|id| Value::from(id.uuid()));
    let sql = format!(
        "SELECT b.id, b.title, b.authors, b.language, b.price, b.currency, s.on_hand - s.reserved AS available, b.version, \
         b.subjects, b.publisher \
         FROM books b JOIN stock s ON s.book_id = b.id WHERE b.id IN ({}) AND b.deleted = FALSE AND b.for_sale = TRUE",
        bookworm_db::in_list(1, length)
    );
    db.all(&sql, padded).await
}

/// A book ready to be written: its names are known.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) id: BookId,
    pub(crate) version: i64,
    pub(crate) draft: Draft,
    pub(crate) authors: Vec<Author>,
    pub(crate) subjects: Vec<(Uuid, String)>,
    pub(crate) publisher: Option<(Uuid, String)>,
    pub(crate) rating: Rating,
    /// What the import file said, to notice when it says something else. `None` keeps what is stored.
    pub(crate) import_hash: Option<Vec<u8>>,
}

/// The names of some drafts, as stored.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) authors: KnownNames,
    pub(crate) subjects: KnownNames,
    pub(crate) publishers: KnownNames,
}

impl Names {
    /// Finds or makes the names of these drafts that are not known yet. Returns what was found.
    pub(crate) async fn resolve(&self, tx: &Tx, drafts: impl Iterator<Item = &Draft> + Clone) -> Result<Self> {
        let unknown = |kind: Kind, known: &KnownNames, name: &&String| !known.contains_key(&kind.key(name));
        let authors =
            drafts.clone().flat_map(|d| &d.authors).filter(|n| unknown(Kind::Author, &self.authors, n)).cloned();
        let subjects =
            drafts.clone().flat_map(|d| &d.subjects).filter(|n| unknown(Kind::Subject, &self.subjects, n)).cloned();
        let publishers = drafts
            .filter_map(|d| d.publisher.as_ref())
            .filter(|n| unknown(Kind::Publisher, &self.publishers, n))
            .cloned();
        Ok(Self {
            authors: names::resolve(tx, Kind::Author, authors.collect::<Vec<_>>()).await?,
            subjects: names::resolve(tx, Kind::Subject, subjects.collect::<Vec<_>>()).await?,
            publishers: names::resolve(tx, Kind::Publisher, publishers.collect::<Vec<_>>()).await?,
        })
    }

    /// Takes over what another one knows.
    pub(crate) fn extend(&mut self, other: Self) {
        self.authors.extend(other.authors);
        self.subjects.extend(other.subjects);
        self.publishers.extend(other.publishers);
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.authors.len() + self.subjects.len() + self.publishers.len()
    }
}

impl Placed {
    /// Puts ids to the names of a draft. `names` are looked at in turn; together they must know every name.
    pub(crate) fn new(id: BookId, version: i64, draft: Draft, rating: Rating, names: &[&Names]) -> Result<Self> {
        let find = |kind: Kind, of: fn(&Names) -> &KnownNames, name: &String| {
            let key = kind.key(name);
            let known = names.iter().find_map(|names| of(names).get(&key));
            known.cloned().ok_or_else(|| DbError::Corrupt(format!("a name of book {id} was not stored")))
        };
        let author = |name| {
            find(Kind::Author, |n| &n.authors, name).map(|k| Author { id: AuthorId::from_uuid(k.id), name: k.name })
        };
        let mut authors = draft.authors.iter().map(author).collect::<Result<Vec<_>>>()?;
        // Two names may have been merged into one author.
        let mut seen = HashSet::new();
        authors.retain(|author| seen.insert(author.id));
        let subjects =
            draft.subjects.iter().map(|name| find(Kind::Subject, |n| &n.subjects, name).map(|k| (k.id, k.name)));
        let publisher =
            draft.publisher.iter().map(|name| find(Kind::Publisher, |n| &n.publishers, name).map(|k| (k.id, k.name)));
        Ok(Self {
            id,
            version,
            authors,
            subjects: subjects.collect::<Result<_>>()?,
            publisher: publisher.collect::<Result<Vec<_>>>()?.pop(),
            draft,
            rating,
            import_hash: None,
        })
    }

    fn authors_json(&self) -> Value {
        json(&self.authors)
    }

    fn subjects_json(&self) -> Value {
        json(&self.subjects.iter().map(|(_, name)| name).collect::<Vec<_>>())
    }

    fn search_row(&self) -> Vec<Value> {
        search_row(
            self.id.uuid(),
            &self.draft.title,
            &self.authors,
            self.draft.isbn13.map(|i| i.to_string()).as_deref(),
        )
    }
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    // Names and ids are plain data, which JSON always can hold.
    Value::from(serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn search_row(id: Uuid, title: &str, authors: &[Author], isbn13: Option<&str>) -> Vec<Value> {
    let names = authors.iter().map(|author| author.name.as_str());
    let words = indexed_words([title].into_iter().chain(names).chain(isbn13));
    values![id, indexed_words([title]), words].to_vec()
}

/// Adds books with their links, search words and stock, and counts them.
pub(crate) async fn create(tx: &Tx, books: &[(Placed, i64)], currency: Currency, now: Timestamp) -> Result<()> {
    insert(
        tx,
        "books (id, source_id, import_hash, isbn13, title, title_key, authors, subjects, publisher_id, publisher, year, \
         year_key, language, pages, series, series_position, price, list_price, currency, rating_hundredths, rating_count, rating_key, \
         rating_source, for_sale, deleted, version, created_at, updated_at)",
        "",
        books,
        |(book, _)| {
            let d = &book.draft;
            values![
                book.id.uuid(),
                d.source_id.clone(),
                book.import_hash.clone(),
                d.isbn13.map(|isbn| isbn.to_string()),
                d.title.clone(),
                title_key(&d.title, d.language.as_deref()).into_bytes(),
                book.authors_json(),
                book.subjects_json(),
                book.publisher.as_ref().map(|(id, _)| *id),
                book.publisher.as_ref().map(|(_, name)| name.clone()),
                d.year,
                draft::year_key(d.year),
                d.language.clone(),
                d.pages,
                d.series.clone(),
                d.series_position,
                d.price,
                d.list_price,
                currency.code(),
                book.rating.hundredths,
                book.rating.count,
                book.rating.key(),
                book.rating.source.clone(),
                d.for_sale,
                false,
                book.version,
                now.micros(),
                now.micros(),
            ]
            .to_vec()
        },
    )
    .await?;
    insert(tx, "stock (book_id, on_hand, reserved)", "", books, |(book, copies)| {
        values![book.id.uuid(), *copies, 0_i64].to_vec()
    })
    .await?;
    let books: Vec<&Placed> = books.iter().map(|(book, _)| book).collect();
    insert(tx, "book_search (book_id, title, words)", "", &books, |book| book.search_row()).await?;
    describe(tx, &books).await?;
    link(tx, &books, Links::default()).await
}

/// The place of a book among the best rated: [`bookworm_kernel::bayesian_mean`] of its reviews, where `imported`, what
/// [`Rating::key`] says, is what is expected of it. A half star is 5,000 ten-thousandths.
fn rating_key(imported: &str, half_stars: &str, count: &str) -> String {
    format!("({imported} * {PRIOR_WEIGHT} + {half_stars} * 5000) / ({count} + {PRIOR_WEIGHT})")
}

#[derive(FromRow)]
struct Rated {
    rating_hundredths: i64,
    rating_count: i64,
    review_version: i64,
    version: i64,
}

/// Takes over what the reviews of a book on sale give, unless that is known already. The book's version if it changed.
pub(crate) async fn rate(tx: &Tx, id: BookId, version: i64, reviews: Reviews) -> Result<Option<i64>> {
    let sql = format!(
        "SELECT rating_hundredths, rating_count, review_version, version FROM books WHERE id = $1 AND deleted = FALSE{}",
        tx.for_update()
    );
    let book: Option<Rated> = tx.one(&sql, values![id.uuid()]).await?;
    let Some(book) = book.filter(|book| book.review_version < version) else { return Ok(None) };
    let imported = Rating { hundredths: book.rating_hundredths, count: book.rating_count, source: None };
    let sql = format!(
        "UPDATE books SET review_half_stars = $1, review_count = $2, review_version = $3, rating_key = {} WHERE id = $5",
        rating_key("$4", "$1", "$2")
    );
    tx.exec(&sql, values![reviews.half_stars, reviews.count, version, imported.key(), id.uuid()]).await?;
    Ok(Some(book.version))
}

/// Replaces what is known of books on sale that are at `version - 1`. `false` when one is not: then the caller must
/// give the unit of work up.
pub(crate) async fn update(tx: &Tx, books: &[&Placed], now: Timestamp) -> Result<bool> {
    let ids: Vec<BookId> = books.iter().map(|book| book.id).collect();
    let publishers = publishers(tx, &ids).await?;
    for book in books {
        let d = &book.draft;
        let updated = tx
            .exec(
                &format!(
                    "UPDATE books SET source_id = $1, import_hash = COALESCE($2, import_hash), isbn13 = $3, title = $4, \
                     title_key = $5, authors = $6, subjects = $7, publisher_id = $8, publisher = $9, year = $10, \
                     year_key = $11, language = $12, pages = $13, series = $14, price = $15, list_price = $16, \
                     rating_hundredths = $17, rating_count = $18, rating_source = $19, rating_key = {}, version = $21, \
                     updated_at = $22, for_sale = $23, series_position = $24 WHERE id = $25 AND version = $26 AND deleted = FALSE",
                    rating_key("$20", "review_half_stars", "review_count")
                ),
                values![
                    d.source_id.clone(),
                    book.import_hash.clone(),
                    d.isbn13.map(|isbn| isbn.to_string()),
                    d.title.clone(),
                    title_key(&d.title, d.language.as_deref()).into_bytes(),
                    book.authors_json(),
                    book.subjects_json(),
                    book.publisher.as_ref().map(|(id, _)| *id),
                    book.publisher.as_ref().map(|(_, name)| name.clone()),
                    d.year,
                    draft::year_key(d.year),
                    d.language.clone(),
                    d.pages,
                    d.series.clone(),
                    d.price,
                    d.list_price,
                    book.rating.hundredths,
                    book.rating.count,
                    book.rating.source.clone(),
                    book.rating.key(),
                    book.version,
                    now.micros(),
                    d.for_sale,
                    d.series_position,
                    book.id.uuid(),
                    book.version - 1,
                ],
            )
            .await?;
        if updated == 0 {
            return Ok(false);
        }
    }
    insert(
        tx,
        "book_search (book_id, title, words)",
        " ON CONFLICT (book_id) DO UPDATE SET title = excluded.title, words = excluded.words",
        books,
        |book| book.search_row(),
    )
    .await?;
    let keys: Vec<Value> = ids.iter().map(|id| Value::from(id.uuid())).collect();
    delete_in(tx, "DELETE FROM book_descriptions WHERE book_id IN", &keys).await?;
    describe(tx, books).await?;
    let old = Links { publishers, ..unlink(tx, &ids).await? };
    link(tx, books, old).await?;
    Ok(true)
}

async fn describe(tx: &Tx, books: &[&Placed]) -> Result<()> {
    let described: Vec<(BookId, &String)> =
        books.iter().filter_map(|book| Some((book.id, book.draft.description.as_ref()?))).collect();
    insert(tx, "book_descriptions (book_id, description)", "", &described, |(id, description)| {
        values![id.uuid(), description.as_str()].to_vec()
    })
    .await
}

#[derive(FromRow)]
struct PublisherRow {
    publisher_id: Option<Uuid>,
}

/// Takes a book from sale, if it is at `version`. Its row stays, so that everything that names it can still be read;
/// its links go, so that an author without books can be deleted.
pub(crate) async fn delete(tx: &Tx, id: BookId, version: i64, now: Timestamp) -> Result<bool> {
    let publishers = publishers(tx, &[id]).await?;
    let deleted = tx
        .exec(
            "UPDATE books SET deleted = TRUE, publisher_id = NULL, version = version + 1, updated_at = $1 \
             WHERE id = $2 AND version = $3 AND deleted = FALSE",
            values![now.micros(), id.uuid(), version],
        )
        .await?;
    if deleted == 0 {
        return Ok(false);
    }
    let old = Links { publishers, ..unlink(tx, &[id]).await? };
    tx.exec("DELETE FROM book_search WHERE book_id = $1", values![id.uuid()]).await?;
    vectors::remove(tx, id.uuid()).await?;
    link(tx, &[], old).await?;
    Ok(true)
}

/// How counts of books change.
#[derive(Debug, Default)]
struct Links {
    authors: BTreeMap<Uuid, i64>,
    subjects: BTreeMap<Uuid, i64>,
    publishers: BTreeMap<Uuid, i64>,
}

#[derive(FromRow)]
struct LinkRow {
    other: Uuid,
}

async fn unlink(tx: &Tx, books: &[BookId]) -> Result<Links> {
    let ids: Vec<Value> = books.iter().map(|id| Value::from(id.uuid())).collect();
    let mut links = Links::default();
    for (table, column, counts) in
        [("book_authors", "author_id", &mut links.authors), ("book_subjects", "subject_id", &mut links.subjects)]
    {
        let select = format!("SELECT {column} AS other FROM {table} WHERE book_id IN");
        for row in select_in::<LinkRow>(tx, &select, &ids, "").await? {
            *counts.entry(row.other).or_default() -= 1;
        }
        delete_in(tx, &format!("DELETE FROM {table} WHERE book_id IN"), &ids).await?;
    }
    Ok(links)
}

/// The publishers of these books, counted down.
async fn publishers(tx: &Tx, books: &[BookId]) -> Result<BTreeMap<Uuid, i64>> {
    let ids: Vec<Value> = books.iter().map(|id| Value::from(id.uuid())).collect();
    let mut counts = BTreeMap::new();
    for row in select_in::<PublisherRow>(tx, "SELECT publisher_id FROM books WHERE id IN", &ids, "").await? {
        if let Some(publisher) = row.publisher_id {
            *counts.entry(publisher).or_default() -= 1;
        }
    }
    Ok(counts)
}

async fn link(tx: &Tx, books: &[&Placed], mut counts: Links) -> Result<()> {
    let authors: Vec<(Uuid, Uuid)> =
        books.iter().flat_map(|book| book.authors.iter().map(|author| (book.id.uuid(), author.id.uuid()))).collect();
    let subjects: Vec<(Uuid, Uuid)> =
        books.iter().flat_map(|book| book.subjects.iter().map(|(subject, _)| (book.id.uuid(), *subject))).collect();
    let pair = |(book, other): &(Uuid, Uuid)| values![*book, *other].to_vec();
    insert(tx, "book_authors (book_id, author_id)", " ON CONFLICT DO NOTHING", &authors, pair).await?;
    insert(tx, "book_subjects (book_id, subject_id)", " ON CONFLICT DO NOTHING", &subjects, pair).await?;
    authors.iter().for_each(|(_, author)| *counts.authors.entry(*author).or_default() += 1);
    subjects.iter().for_each(|(_, subject)| *counts.subjects.entry(*subject).or_default() += 1);
    for (publisher, _) in books.iter().filter_map(|book| book.publisher.as_ref()) {
        *counts.publishers.entry(*publisher).or_default() += 1;
    }
    names::count(tx, Kind::Author, &counts.authors).await?;
    names::count(tx, Kind::Subject, &counts.subjects).await?;
    names::count(tx, Kind::Publisher, &counts.publishers).await
}

/// What the importer must know of a book that is there.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Imported {
    pub(crate) id: Uuid,
    pub(crate) source_id: String,
    pub(crate) import_hash: Option<Vec<u8>>,
    pub(crate) version: i64,
    pub(crate) deleted: bool,
    pub(crate) price: i64,
    pub(crate) list_price: Option<i64>,
    pub(crate) for_sale: bool,
}

/// The books that came from these lines.
pub(crate) async fn imported(db: &impl Sql, source_ids: &[&str]) -> Result<HashMap<String, Imported>> {
    let keys: Vec<Value> = source_ids.iter().map(|id| Value::from(*id)).collect();
    let select = "SELECT id, source_id, import_hash, version, deleted, price, list_price, for_sale FROM books \
                  WHERE source_id IN";
    let rows = select_in::<Imported>(db, select, &keys, "").await?;
    Ok(rows.into_iter().map(|row| (row.source_id.clone(), row)).collect())
}

#[derive(FromRow)]
struct IsbnRow {
    id: Uuid,
    isbn13: String,
}

/// Which books on sale have these ISBNs.
pub(crate) async fn with_isbns(db: &impl Sql, isbns: &[Isbn13]) -> Result<HashMap<Isbn13, BookId>> {
    let keys: Vec<Value> = isbns.iter().map(|isbn| Value::from(isbn.to_string())).collect();
    let select = "SELECT id, isbn13 FROM books WHERE isbn13 IN";
    let rows = select_in::<IsbnRow>(db, select, &keys, " AND deleted = FALSE").await?;
    rows.into_iter()
        .map(|row| {
            let isbn =
                Isbn13::parse(&row.isbn13).map_err(|_| DbError::Corrupt(format!("isbn13 of book {}", row.id)))?;
            Ok((isbn, BookId::from_uuid(row.id)))
        })
        .collect()
}

/// A book whose author, publisher or subject was renamed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renamed {
    pub(crate) id: BookId,
    pub(crate) version: i64,
}

#[derive(FromRow)]
struct RenamedRow {
    id: Uuid,
    version: i64,
    title: String,
    isbn13: Option<String>,
    authors: String,
}

/// Writes a new name into the books that repeat it. Returns these books.
pub(crate) async fn rename(
    tx: &Tx,
    kind: Kind,
    id: Uuid,
    old: &str,
    new: &str,
    now: Timestamp,
) -> Result<Vec<Renamed>> {
    let quoted = |name: &str| serde_json::to_string(name).map_err(|e| DbError::Corrupt(e.to_string()));
    let (assignment, of, from, to) = match kind {
        Kind::Author => {
            let entry = |name: &str| quoted(name).map(|name| format!("{{\"id\":\"{id}\",\"name\":{name}}}"));
            ("authors = REPLACE(authors, $1, $2)", AUTHORED, entry(old)?, entry(new)?)
        }
        // Within the list every name stands between quotes, and quotes inside a name are escaped, so that this finds
        // whole names only.
        Kind::Subject => ("subjects = REPLACE(subjects, $1, $2)", ON_SUBJECT, quoted(old)?, quoted(new)?),
        Kind::Publisher => ("publisher = REPLACE(publisher, $1, $2)", PUBLISHED, old.to_owned(), new.to_owned()),
    };
    let sql = format!("UPDATE books SET {assignment}, version = version + 1, updated_at = $3 WHERE {of}");
    tx.exec(&sql, values![from, to, now.micros(), id]).await?;
    let select = format!("SELECT id, version, title, isbn13, authors FROM books WHERE {}", of.replace("$4", "$1"));
    let rows: Vec<RenamedRow> = tx.all(&select, values![id]).await?;
    if kind == Kind::Author {
        let mut search = Vec::with_capacity(rows.len());
        for row in &rows {
            let authors =
                stored::authors(&row.authors).map_err(|_| DbError::Corrupt(format!("authors of book {}", row.id)))?;
            search.push(search_row(row.id, &row.title, &authors, row.isbn13.as_deref()));
        }
        insert(
            tx,
            "book_search (book_id, title, words)",
            " ON CONFLICT (book_id) DO UPDATE SET title = excluded.title, words = excluded.words",
            &search,
            Clone::clone,
        )
        .await?;
    }
    Ok(rows.iter().map(|row| Renamed { id: BookId::from_uuid(row.id), version: row.version }).collect())
}

const AUTHORED: &str = "id IN (SELECT book_id FROM book_authors WHERE author_id = $4)";
const ON_SUBJECT: &str = "id IN (SELECT book_id FROM book_subjects WHERE subject_id = $4)";
const PUBLISHED: &str = "publisher_id = $4";
