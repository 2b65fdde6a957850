//! Lists of books: filters, words, order, pages, counts.

use bookworm_contracts::rest::catalog::{BookSort, FacetValue, Facets};
use bookworm_db::{FromRow, Result, Sql, values};
use bookworm_kernel::BookId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Statement,
    books::{BookRow, COLUMNS},
    names::{self, Kind},
};
use crate::domain::{draft::year_key, text::title_key};

/// A subject with at most this many books is read from its own index; one with more is looked for along the order of
/// the list, where its books come soon.
const FEW: i64 = 300;
/// Price ranges of the facet, in minor units: from this on, below the next.
pub(crate) const PRICES: [i64; 5] = [0, 1_000, 2_000, 3_000, 5_000];
/// The most values of one facet.
const FACET_VALUES: i64 = 20;

/// What a list is narrowed by. All conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Id or name.
    pub(crate) subject: Option<String>,
    /// Id or name.
    pub(crate) author: Option<String>,
    /// Id or name.
    pub(crate) publisher: Option<String>,
    /// ISO 639 code.
    pub(crate) language: Option<String>,
    /// Minor units, inclusive.
    pub(crate) min_price: Option<i64>,
    /// Minor units, inclusive.
    pub(crate) max_price: Option<i64>,
    /// Only what can be bought now.
    pub(crate) in_stock: bool,
    /// Every word must begin a word of title, author or ISBN. `None`: any book.
    pub(crate) words: Option<Vec<String>>,
}

/// The last book of a page: where the next begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    sort: BookSort,
    key: Key,
    id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

impl Position {
    /// Whether it was made by a list of this order.
    pub(crate) fn fits(&self, sort: BookSort) -> bool {
        self.sort == sort
            && match self.key {
                Key::Text(_) => sort == BookSort::Title,
                Key::Number(_) => sort != BookSort::Title,
            }
    }
}

/// A book of a list.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) book: BookRow,
    /// 3 the title is the query, 2 it begins with it, 1 it has every word, 0 otherwise.
    pub(crate) rank: i64,
}

impl Listed {
    pub(crate) fn position(&self, sort: BookSort) -> Position {
        let book = &self.book;
        let key = match sort {
            BookSort::Relevance => Key::Number(book.rating_count),
            BookSort::Newest => Key::Number(year_key(book.year)),
            BookSort::Price | BookSort::PriceDescending => Key::Number(book.price),
            BookSort::Rating => Key::Number(book.rating_key),
            BookSort::Title => Key::Text(title_key(&book.title, book.language.as_deref())),
        };
        Position { sort, key, id: book.id }
    }
}

#[derive(FromRow)]
struct Ranked {
    #[row(nested)]
    book: BookRow,
    match_rank: i64,
}

/// `<select> FROM ... WHERE ...` of a list; `{rank}` in the selection becomes how well a book matches. `None` when no
/// book can match.
async fn source(db: &impl Sql, filter: &Filter, select: &str) -> Result<Option<Statement>> {
    let mut resolved = Vec::new();
    for (kind, text) in
        [(Kind::Author, &filter.author), (Kind::Subject, &filter.subject), (Kind::Publisher, &filter.publisher)]
    {
        if let Some(text) = text {
            match names::by_id_or_name(db, kind, text).await? {
                Some(row) => resolved.push((kind, row)),
                None => return Ok(None),
            }
        }
    }
    if filter.words.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    // The rank comes first, since it is also part of the selection: its placeholders are the first ones.
    let mut sql = Statement::default();
    let (mut rank, mut conditions) = ("CAST(0 AS BIGINT)".to_owned(), Vec::new());
    if let Some(words) = &filter.words {
        let phrase = words.join(" ");
        let whole = sql.value(format!(" {phrase} "));
        let prefix = sql.value(format!(" {phrase}%"));
        let mut in_title = Vec::new();
        for word in words {
            let pattern = sql.value(format!("% {word}%"));
            in_title.push(format!("t.title LIKE {pattern}"));
            conditions.push(format!("t.words LIKE {pattern}"));
        }
        rank = format!(
            "CAST(CASE WHEN t.title = {whole} THEN 3 WHEN t.title LIKE {prefix} THEN 2 WHEN {} THEN 1 ELSE 0 END AS BIGINT)",
            in_title.join(" AND ")
        );
    }
    // CROSS JOIN: SQLite keeps to this order, PostgreSQL plans for itself.
    let mut from = Vec::new();
    if filter.words.is_some() {
        from.push("book_search t");
        conditions.push("b.id = t.book_id".to_owned());
    }
    for (kind, row) in &resolved {
        let id = sql.value(row.id);
        let first = from.is_empty();
        match kind {
            Kind::Author if first => {
                from.push("book_authors la");
                conditions.push(format!("la.author_id = {id} AND b.id = la.book_id"));
            }
            Kind::Author => conditions.push(format!(
                "EXISTS (SELECT 1 FROM book_authors la WHERE la.book_id = b.id AND la.author_id = {id})"
            )),
            Kind::Subject if first && row.book_count <= FEW => {
                from.push("book_subjects ls");
                conditions.push(format!("ls.subject_id = {id} AND b.id = ls.book_id"));
            }
            Kind::Subject => conditions.push(format!(
                "EXISTS (SELECT 1 FROM book_subjects ls WHERE ls.book_id = b.id AND ls.subject_id = {id})"
            )),
            Kind::Publisher => conditions.push(format!("b.publisher_id = {id}")),
        }
    }
    from.push("books b");
    conditions.push("b.deleted = FALSE".to_owned());
    if filter.in_stock {
        from.push("stock s");
        conditions.push("s.book_id = b.id AND s.on_hand > s.reserved AND b.for_sale = TRUE".to_owned());
    }
    if let Some(language) = &filter.language {
        let language = sql.value(language.as_str());
        conditions.push(format!("b.language = {language}"));
    }
    // What is not for sale has no price.
    if filter.min_price.is_some() || filter.max_price.is_some() {
        conditions.push("b.for_sale = TRUE".to_owned());
    }
    if let Some(price) = filter.min_price {
        let price = sql.value(price);
        conditions.push(format!("b.price >= {price}"));
    }
    if let Some(price) = filter.max_price {
        let price = sql.value(price);
        conditions.push(format!("b.price <= {price}"));
    }
    let select = select.replace("{rank}", &rank);
    sql.text = format!("{select} FROM {} WHERE {}", from.join(" CROSS JOIN "), conditions.join(" AND "));
    Ok(Some(sql))
}

/// One page of books in this order, after `after` (not with words); at most `limit`.
pub(crate) async fn page(
    db: &impl Sql,
    filter: &Filter,
    sort: BookSort,
    after: Option<&Position>,
    limit: i64,
) -> Result<Vec<Listed>> {
    let searching = filter.words.is_some();
    let key = match sort {
        BookSort::Relevance => "b.rating_count",
        BookSort::Newest => "b.year_key",
        BookSort::Price | BookSort::PriceDescending => "b.price",
        BookSort::Rating => "b.rating_key",
        BookSort::Title => "b.title_key",
    };
    let ascending = matches!(sort, BookSort::Price | BookSort::Title);
    let (than, direction) = if ascending { (">", "") } else { ("<", " DESC") };
    let by_rank = searching && sort == BookSort::Relevance;
    let select = format!("WITH page AS (SELECT b.id AS id, {{rank}} AS match_rank, {key} AS sort_key");
    let Some(mut sql) = source(db, filter, &select).await? else { return Ok(Vec::new()) };
    if matches!(sort, BookSort::Price | BookSort::PriceDescending) {
        sql.push(" AND b.for_sale = TRUE");
    }
    if let Some(position) = after {
        let (keys, values) = match &position.key {
            Key::Number(number) => (key.to_owned(), sql.value(*number)),
            Key::Text(text) => (key.to_owned(), sql.value(text.clone().into_bytes())),
        };
        let id = sql.value(position.id);
        sql.push(&format!(" AND ({keys}, b.id) {than} ({values}, {id})"));
    }
    let ranked = if by_rank { "match_rank DESC, " } else { "" };
    sql.push(&format!(" ORDER BY {ranked}{key}{direction}, b.id{direction} LIMIT ")).bind(limit);
    // Only ids are sorted; whole rows are read for the page alone.
    let ranked = if by_rank { "p.match_rank DESC, " } else { "" };
    sql.push(&format!(
        ") SELECT {COLUMNS}, p.match_rank FROM page p CROSS JOIN books b CROSS JOIN stock s \
         LEFT JOIN book_descriptions d ON d.book_id = b.id WHERE b.id = p.id AND s.book_id = p.id ORDER BY {ranked}p.sort_key{direction}, p.id{direction}"
    ));
    let rows: Vec<Ranked> = db.all(&sql.text, sql.values).await?;
    Ok(rows.into_iter().map(|row| Listed { book: row.book, rank: row.match_rank }).collect())
}

#[derive(FromRow)]
struct FacetRow {
    facet: String,
    value: String,
    n: i64,
}

/// How many books match, and what they can be narrowed by: one scan of the words.
pub(crate) async fn facets(db: &impl Sql, filter: &Filter) -> Result<(i64, Facets)> {
    let select = "WITH hits AS MATERIALIZED (SELECT b.id AS id, b.language AS language, b.price AS price, b.for_sale AS for_sale";
    let Some(mut sql) = source(db, filter, select).await? else { return Ok((0, Facets::default())) };
    let most = sql.value(FACET_VALUES);
    let mut range = String::from("CASE");
    for (i, from) in PRICES.iter().enumerate().skip(1).rev() {
        range.push_str(&format!(" WHEN price >= {from} THEN {i}"));
    }
    range.push_str(" ELSE 0 END");
    // Counted by id; names are looked up for the few that are shown. Over the whole shop the counts are known.
    let named = |facet: &str, table: &str, links: &str, column: &str| {
        let counts = if *filter == Filter::default() {
            format!(
                "SELECT id, book_count AS n FROM {table} WHERE book_count > 0 ORDER BY book_count DESC, id DESC LIMIT {most}"
            )
        } else {
            format!(
                "SELECT l.{column} AS id, COUNT(*) AS n FROM hits h CROSS JOIN {links} l WHERE l.book_id = h.id \
                 GROUP BY l.{column} ORDER BY 2 DESC, 1 DESC LIMIT {most}"
            )
        };
        format!(
            "SELECT '{facet}' AS facet, x.name AS value, c.n AS n FROM ({counts}) AS c CROSS JOIN {table} x WHERE x.id = c.id"
        )
    };
    let (subjects, authors) = (
        named("subject", "subjects", "book_subjects", "subject_id"),
        named("author", "authors", "book_authors", "author_id"),
    );
    sql.push(&format!(
        ") SELECT 'total' AS facet, '' AS value, COUNT(*) AS n FROM hits \
         UNION ALL SELECT * FROM (SELECT 'language' AS facet, language AS value, COUNT(*) AS n FROM hits \
           WHERE language IS NOT NULL GROUP BY language ORDER BY n DESC, value LIMIT {most}) AS languages \
         UNION ALL {subjects} UNION ALL {authors} \
         UNION ALL SELECT * FROM (SELECT 'price' AS facet, CAST(price_range AS TEXT) AS value, COUNT(*) AS n \
           FROM (SELECT {range} AS price_range FROM hits WHERE for_sale = TRUE) AS ranges GROUP BY price_range) AS prices"
    ));
    let rows: Vec<FacetRow> = db.all(&sql.text, sql.values).await?;
    let (mut total, mut facets, mut prices) = (0, Facets::default(), Vec::new());
    for FacetRow { facet, value, n } in rows {
        let entry = FacetValue { value, count: n };
        match facet.as_str() {
            "total" => total = n,
            "language" => facets.language.push(entry),
            "subject" => facets.subject.push(entry),
            "author" => facets.author.push(entry),
            _ => prices.push((entry.value.parse::<usize>().unwrap_or(0), n)),
        }
    }
    for facet in [&mut facets.language, &mut facets.subject, &mut facets.author] {
        facet.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    }
    prices.sort_unstable();
    facets.price = prices.into_iter().map(|(i, count)| FacetValue { value: price_range(&PRICES, i), count }).collect();
    Ok((total, facets))
}

/// How a price range is written: `0-999`, and `5000-` for the last.
pub(crate) fn price_range(bounds: &[i64], i: usize) -> String {
    let from = bounds.get(i).copied().unwrap_or(0);
    bounds.get(i + 1).map_or_else(|| format!("{from}-"), |next| format!("{from}-{}", next - 1))
}

/// A completion of what is being typed.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Completion {
    pub(crate) id: Uuid,
    pub(crate) text: String,
}

/// Titles that begin with `prefix`, those that most rated first.
pub(crate) async fn titles(db: &impl Sql, prefix: &str, limit: i64) -> Result<Vec<Completion>> {
    let mut sql = Statement::new("SELECT b.id, b.title AS text FROM books b WHERE b.deleted = FALSE AND ");
    names::within(&mut sql, "b.title_key", prefix);
    sql.push(" ORDER BY b.rating_count DESC, b.id DESC LIMIT ").bind(limit);
    db.all(&sql.text, sql.values).await
}

#[derive(FromRow)]
struct Shared {
    id: Uuid,
    book_count: i64,
}

/// Books that share authors and subjects with this one: an author weighs most, a rare subject more than a common one.
pub(crate) async fn similar(db: &impl Sql, id: Uuid, limit: i64) -> Result<Vec<BookId>> {
    const AUTHOR: i64 = 400;
    // A subject of half the shop says little and costs much.
    const COMMON: i64 = 5_000;
    let authors: Vec<Shared> = db
        .all(
            "SELECT x.id, x.book_count FROM book_authors l JOIN authors x ON x.id = l.author_id WHERE l.book_id = $1 \
             AND x.book_count > 1 ORDER BY x.book_count LIMIT 5",
            values![id],
        )
        .await?;
    let subjects: Vec<Shared> = db
        .all(
            "SELECT x.id, x.book_count FROM book_subjects l JOIN subjects x ON x.id = l.subject_id WHERE l.book_id = $1 \
             AND x.book_count > 1 ORDER BY x.book_count LIMIT 8",
            values![id],
        )
        .await?;
    let mut sql = Statement::default();
    let mut sides = Vec::new();
    for author in &authors {
        let author = sql.value(author.id);
        sides.push(format!("SELECT book_id, {AUTHOR} AS weight FROM book_authors WHERE author_id = {author}"));
    }
    for (i, subject) in subjects.iter().enumerate() {
        if i > 0 && subject.book_count > COMMON {
            break;
        }
        let weight = (300.0 / (1.0 + (subject.book_count as f64).ln())).round() as i64;
        let subject = sql.value(subject.id);
        sides.push(format!("SELECT book_id, {weight} AS weight FROM book_subjects WHERE subject_id = {subject}"));
    }
    if sides.is_empty() {
        return Ok(Vec::new());
    }
    let (id, limit) = (sql.value(id), sql.value(limit));
    let text = format!(
        "WITH page AS (SELECT m.book_id AS id, CAST(SUM(m.weight) AS BIGINT) AS match_rank FROM ({}) AS m \
         WHERE m.book_id <> {id} GROUP BY m.book_id ORDER BY 2 DESC, 1 DESC LIMIT {limit}) \
         SELECT b.id FROM page p JOIN books b ON b.id = p.id WHERE b.deleted = FALSE ORDER BY p.match_rank DESC, p.id DESC",
        sides.join(" UNION ALL ")
    );
    let rows: Vec<IdRow> = db.all(&text, sql.values).await?;
    Ok(rows.into_iter().map(|row| BookId::from_uuid(row.id)).collect())
}

#[derive(FromRow)]
struct IdRow {
    id: Uuid,
}
