use std::{collections::HashMap, sync::Arc, time::Instant};

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::catalog::{
    AuthorCard, BookSort, Explanation, FacetValue, Facets, Highlight, Matched, Piece, Reading, ReadingKind,
    SearchResponse, WrongIsbn,
};
use bookworm_http::{ApiQuery, Problem, ProblemBody, Result, Validator, auth::Caller, cursor};
use bookworm_kernel::{AuthorId, BookId, ErrorCode, Isbn13};
use bookworm_search::{Hit, Side, Sort, limits};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    fresh,
    list_books::{BookParams, Listing, present},
};
use crate::{
    domain::{
        text::fold,
        understand::{MAX_CHARS, Understood, understand, understand_whole},
    },
    search::{
        NoMeaning, like,
        meant::{self, Better},
        plan::{self, Mode, Verdict, Wanted},
        reading::{self, Freedom, Read},
    },
    service::Catalog,
    store::{
        find,
        names::{self, Kind},
    },
};

/// How many results have page numbers.
const NUMBERED: usize = 1_000;
/// The most words that the database looks for when there is no index.
const SIMPLE_WORDS: usize = 32;
/// The most characters of `ignore`: all kinds fit.
const IGNORE: usize = 100;

#[derive(Debug, Deserialize)]
pub(crate) struct SearchParams {
    q: Option<String>,
    page: Option<String>,
    explain: Option<String>,
    mode: Option<String>,
    exact: Option<String>,
    ignore: Option<String>,
    #[serde(flatten)]
    books: BookParams,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    sort: BookSort,
    from: usize,
}

/// A search, checked.
struct Search {
    query: String,
    listing: Listing,
    from: usize,
    mode: Mode,
    explain: bool,
    exact: bool,
    /// Kinds of readings that are taken away.
    ignored: Vec<String>,
}

#[derive(Serialize)]
struct Item {
    book: Arc<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    score: f64,
    matched: Matched,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    related: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    highlights: Vec<Highlight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

/// [`SearchResponse`] whose books are JSON already.
#[derive(Serialize)]
struct Answer {
    items: Vec<Item>,
    next: Option<String>,
    facets: Facets,
    total: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    did_you_mean: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected_to: Option<String>,
    nearest: bool,
    missing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong_isbn: Option<WrongIsbn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_isbn: Option<Isbn13>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    readings: Vec<Reading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<AuthorCard>,
    degraded: bool,
    took_ms: u64,
}

impl SearchParams {
    fn check(&self, caller: &Caller) -> Result<Search> {
        let mut valid = Validator::new();
        let query = self.q.clone().unwrap_or_default();
        valid.check("/q", query.chars().count() <= MAX_CHARS, format!("must be at most {MAX_CHARS} characters"));
        let mut flag = |name: &str, value| match present(value) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                valid.error(name, "must be true or false");
                false
            }
        };
        let (explain, exact) = (flag("/explain", &self.explain), flag("/exact", &self.exact));
        let mode = match present(&self.mode) {
            None | Some("hybrid") => Mode::Hybrid,
            Some("text") => Mode::Text,
            Some("meaning") => Mode::Meaning,
            Some(_) => {
                valid.error("/mode", "must be hybrid, text or meaning");
                Mode::Hybrid
            }
        };
        let ignored: Vec<String> =
            present(&self.ignore).map(|kinds| kinds.split(',').map(str::to_owned).collect()).unwrap_or_default();
        let is_kind = |name: &String| ReadingKind::ALL.iter().any(|kind| kind.name() == name);
        let message = format!("must be some of {}", ReadingKind::ALL.map(ReadingKind::name).join(","));
        valid.check("/ignore", ignored.iter().all(is_kind), message);
        let is_short = self.ignore.as_ref().is_none_or(|kinds| kinds.len() <= IGNORE);
        valid.check("/ignore", is_short, format!("must have at most {IGNORE} characters"));
        let page = present(&self.page).map(|text| {
            let page = text.parse::<usize>().ok().filter(|page| *page > 0);
            valid.check("/page", page.is_some(), "must be a whole number from 1 on");
            page.unwrap_or(1)
        });
        let cursor: Option<From> = match self.books.cursor() {
            Some(_) if page.is_some() => {
                valid.error("/page", "must not be sent together with cursor");
                None
            }
            Some(text) => Some(cursor::decode(text)?),
            None => None,
        };
        let listing = match self.books.check_without_cursor() {
            Ok(listing) => Some(listing),
            Err(problem) => {
                problem.errors().iter().for_each(|error| valid.error(&error.field, &error.message));
                None
            }
        };
        if let (Some(listing), Some(page)) = (&listing, page) {
            let last = NUMBERED / listing.limit;
            let message = format!("must be at most {last}: the first {NUMBERED} results have page numbers");
            valid.check("/page", page <= last.max(1), message);
        }
        valid.finish()?;
        let Some(listing) = listing else { return Err(Problem::new(ErrorCode::ValidationFailed)) };
        if (explain || self.mode.is_some()) && !caller.is_staff() {
            return Err(Problem::new(ErrorCode::Forbidden).detail("`explain` and `mode` are for staff."));
        }
        let from = match (cursor, page) {
            (Some(cursor), _) if cursor.sort != listing.sort || cursor.from > limits::WINDOW - listing.limit => {
                return Err(
                    Problem::new(ErrorCode::InvalidCursor).detail("The cursor belongs to a list of another order.")
                );
            }
            (Some(cursor), _) => cursor.from,
            (None, Some(page)) => (page - 1) * listing.limit,
            (None, None) => 0,
        };
        Ok(Search { query, listing, from, mode, explain, exact, ignored })
    }
}

/// Books, by words and by meaning.
///
/// Words are looked for in titles, authors, series, subjects and descriptions; case and diacritics do not matter, and a
/// word that no book has finds what is spelt like it. Where a correction is clearly what was meant, it is searched for
/// instead: `corrected_to` says so, and `exact=true` searches as typed. Words that only carry the question ("a book
/// about") do not count. The meaning of the whole query finds books that say it in other words. An
/// ISBN, in any notation, finds its book; one with a wrong digit finds those it may be. `"words in quotes"` must stand so; `author:`, `title:`, `subject:`,
/// `language:` and `year:` (`1984` or `1980-1989`) narrow. Without a query: every book, most read first.
///
/// What parts of the query say beside words to look for is understood (`readings`): the best or cheapest, a price, years, a
/// language, an age, books like another one, a volume of a series. `ignore` takes kinds of it away. Of an author's name
/// their own books come first, and `author` says whose.
///
/// `total` and the facets count the books that are what was asked for; `related` items are only like it. `missing` says
/// that the shop has no book of this name. Pages are reached by `cursor`, or by `page` for the first 1,000
/// results.
#[utoipa::path(get, path = "/search", tag = "catalog",
    params(
        ("q" = Option<String>, Query, max_length = 4_000, description = "What to look for; up to 4,000 characters"),
        ("page" = Option<u32>, Query, minimum = 1, maximum = 1_000, description = "Page number from 1, instead of `cursor`; the first 1,000 results"),
        ("explain" = Option<bool>, Query, description = "Why each hit stands where it does; for staff"),
        ("mode" = inline(Option<Mode>), Query, description = "`hybrid` (when left out), `text` or `meaning`; for staff"),
        ("exact" = Option<bool>, Query, description = "Search for the words as typed, without correcting their spelling"),
        ("ignore" = Option<String>, Query, max_length = 100, description = "Kinds of `readings` to take as words, separated by commas: `best,year`"),
        BookParams),
    responses(
        (status = 200, body = SearchResponse, description = "One page of hits, with the facets of the whole result"),
        (status = 400, body = ProblemBody, description = "`validation_failed` naming the parameter, or `invalid_cursor`"),
        (status = 403, body = ProblemBody, description = "`forbidden`: `explain` and `mode` are for staff"),
    ))]
pub(crate) async fn search_books(
    State(catalog): State<Arc<Catalog>>,
    caller: Caller,
    ApiQuery(params): ApiQuery<SearchParams>,
) -> Result<Response> {
    let started = Instant::now();
    let search = params.check(&caller)?;
    let understood = understand(&search.query);
    let answer = match from_index(&catalog, &search, &understood).await? {
        Some(answer) => answer,
        None => from_database(&catalog, &search, &understood).await?,
    };
    let (mut answer, books) = answer;
    answer.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    fresh(&answer, books)
}

/// What the index answered.
struct Indexed {
    response: bookworm_search::Response,
    /// A query with another spelling that finds something better.
    better: Option<Better>,
    nearest: bool,
    /// How many are what was asked for.
    total: usize,
}

/// Asks the index; `None` when it cannot answer.
async fn from_index(
    catalog: &Arc<Catalog>,
    search: &Search,
    understood: &Understood,
) -> Result<Option<(Answer, Vec<BookId>)>> {
    if !catalog.search.is_whole() {
        return Ok(None);
    }
    let Some(filters) = index_filters(catalog, &search.listing.filter).await? else {
        return Ok(Some((Answer::nothing(), Vec::new())));
    };
    if understood.is_empty() && !search.query.trim().is_empty() {
        return Ok(Some((Answer::nothing(), Vec::new())));
    }
    let understood = titled(catalog, understood).await;
    let Some(mut read) = read_query(catalog, search, understood).await else { return Ok(None) };
    let unknown_isbn = match read.understood.isbn {
        Some(isbn) => match is_stocked(catalog, isbn).await {
            Some(true) => None,
            Some(false) => read.understood.isbn.take(),
            None => return Ok(None),
        },
        None => None,
    };
    if unknown_isbn.is_some() && read.understood.is_empty() {
        return Ok(Some((Answer { unknown_isbn, ..Answer::nothing() }, Vec::new())));
    }
    let (mut vector, mut degraded) = query_vector(catalog, search, &read).await;
    let Some(mut indexed) = ask(catalog, search, &read, &filters, vector.clone(), true).await else { return Ok(None) };
    if indexed.total == 0 && !read.filters.is_empty() {
        let Some(wider) = give_way(catalog, search, &mut read, &filters, vector).await else { return Ok(None) };
        indexed = wider;
    }
    let missing = match indexed.response.total {
        0 => missing_phrases(catalog, &read.understood.phrases).await,
        _ => Some(Vec::new()),
    };
    let Some(missing) = missing else { return Ok(None) };
    if !missing.is_empty() {
        read.drop_phrases(missing);
        (vector, degraded) = query_vector(catalog, search, &read).await;
        let Some(wider) = ask(catalog, search, &read, &filters, vector, true).await else { return Ok(None) };
        indexed = wider;
    }
    let did_you_mean = indexed.better.take();
    if let Some(text) = did_you_mean.as_ref().and_then(|better| plan::replacement(better, search.exact)) {
        let text = text.to_owned();
        let Ok(corrected) = catalog.search.ask(move |index| read.respelt(index, text)).await else { return Ok(None) };
        read = corrected;
        (vector, degraded) = query_vector(catalog, search, &read).await;
        let Some(corrected) = ask(catalog, search, &read, &filters, vector, false).await else { return Ok(None) };
        indexed = corrected;
    }
    let Read { understood, readings, corrected_to, author, .. } = read;
    let Indexed { response, nearest, total, .. } = indexed;
    let ids: Vec<BookId> = response.hits.iter().map(|hit| BookId::from_uuid(hit.id)).collect();
    let rows = catalog.cache.shown(catalog.db.read(), &ids).await?;
    let end = search.from + search.listing.limit;
    let more = response.total > end && end + search.listing.limit <= limits::WINDOW;
    let Verdict { missing, nearest } = plan::verdict(&understood, &response, total, nearest);
    let author = match author {
        Some(name) => names::by_id_or_name(catalog.db.read(), Kind::Author, &name).await?,
        None => None,
    };
    let wrong_isbn = wrong_isbn(&understood, &response, &rows);
    let answer = Answer {
        next: more.then(|| cursor::encode(&From { sort: search.listing.sort, from: end })),
        facets: facets(&response),
        total: i64::try_from(total).unwrap_or(i64::MAX),
        did_you_mean: did_you_mean.map(|better| better.text).or_else(|| corrected_to.clone()),
        corrected_to,
        nearest,
        missing,
        wrong_isbn,
        unknown_isbn,
        readings,
        author: author.map(|row| AuthorCard {
            id: AuthorId::from_uuid(row.id),
            name: row.name,
            book_count: row.book_count,
        }),
        degraded,
        took_ms: 0,
        // A book that was taken from sale at this very moment is left out.
        items: response.hits.into_iter().filter_map(|hit| item(hit, &rows, search.explain)).collect(),
    };
    Ok(Some((answer, ids)))
}

/// A query that begins like a question is a title after all when a book is called so: "Looking for Alaska".
async fn titled(catalog: &Arc<Catalog>, understood: &Understood) -> Understood {
    let has_number = understood.isbn.is_some() || understood.misprint.is_some();
    let Some(whole) = understood.whole.clone().filter(|_| !has_number) else { return understood.clone() };
    let request = plan::titled(&whole);
    match catalog.search.ask(move |index| Ok(index.search(&request)?.total)).await {
        Ok(1..) => {
            Understood { language: understood.language.clone(), years: understood.years, ..understand_whole(&whole) }
        }
        _ => understood.clone(),
    }
}

/// Reads the query; `None` when the index cannot answer.
async fn read_query(catalog: &Arc<Catalog>, search: &Search, understood: Understood) -> Option<Read> {
    let (query, exact, ignored, currency) =
        (search.query.clone(), search.exact, search.ignored.clone(), catalog.currency);
    let read = catalog
        .search
        .ask(move |index| reading::read(index, &query, understood, Freedom { exact, ignored: &ignored, currency }));
    read.await.ok()
}

/// Whether a book on sale has this ISBN; `None` when the index cannot answer.
async fn is_stocked(catalog: &Arc<Catalog>, isbn: Isbn13) -> Option<bool> {
    catalog.search.ask(move |index| Ok(index.search(&plan::numbered(isbn))?.total > 0)).await.ok()
}

/// Takes wishes away that no book meets, and asks again: first those that none meets alone, then all.
async fn give_way(
    catalog: &Arc<Catalog>,
    search: &Search,
    read: &mut Read,
    filters: &[bookworm_search::Filter],
    vector: Option<Vec<f32>>,
) -> Option<Indexed> {
    let kinds = read.filtering();
    if let [_, _, ..] = kinds.as_slice() {
        let mut unmet = Vec::new();
        for kind in &kinds {
            if ask(catalog, search, &read.with_only(*kind), filters, vector.clone(), false).await?.total == 0 {
                unmet.push(*kind);
            }
        }
        if !unmet.is_empty() && unmet.len() < kinds.len() {
            read.give_way(&unmet);
            let indexed = ask(catalog, search, read, filters, vector.clone(), true).await?;
            if indexed.total > 0 {
                return Some(indexed);
            }
        }
    }
    read.give_way(&kinds);
    ask(catalog, search, read, filters, vector, true).await
}

/// Those of these phrases that no book has, whatever else is asked of it; `None` when the index cannot answer.
async fn missing_phrases(catalog: &Arc<Catalog>, phrases: &[String]) -> Option<Vec<String>> {
    let phrases = phrases.to_vec();
    let missing = catalog.search.ask(move |index| {
        let mut missing = Vec::new();
        for phrase in phrases {
            if index.search(&plan::said(&phrase))?.total == 0 {
                missing.push(phrase);
            }
        }
        Ok(missing)
    });
    missing.await.ok()
}

/// Asks the index once, with a better spelling where one is wanted. `None` when it cannot answer.
async fn ask(
    catalog: &Arc<Catalog>,
    search: &Search,
    read: &Read,
    filters: &[bookworm_search::Filter],
    vector: Option<Vec<f32>>,
    spell: bool,
) -> Option<Indexed> {
    let (engine, listing) = (&catalog.search, &search.listing);
    let understood = &read.understood;
    let filters: Vec<_> = filters.iter().chain(read.filters.iter().map(|(_, filter)| filter)).cloned().collect();
    let wanted = Wanted {
        mode: search.mode,
        filters: filters.clone(),
        sort: sort(read.sort_of(listing.sort), !understood.is_empty()),
        offset: search.from,
        limit: listing.limit,
        explain: search.explain,
        vector: vector.clone(),
        synonyms: engine.synonyms(&understood.all),
        exact: search.exact,
        preferences: read.preferences.iter().chain(&read.suited).cloned().collect(),
    };
    let floor = f32::from(engine.settings().nearest_percent) / 100.0;
    let (hybrid, offset, limit) = (search.mode == Mode::Hybrid, search.from, listing.limit);
    let by_relevance = wanted.sort == Sort::Relevance;
    let (understood, liked) = (understood.clone(), read.liked.clone());
    let indexed = engine.ask(move |index| {
        if let Some(liked) = liked {
            let request = like::request(index, &liked, &filters, wanted.sort, (offset, limit))?;
            let response = request.map_or_else(|| Ok(Default::default()), |request| index.search(&request))?;
            let total = response.total;
            return Ok(Indexed { response, better: None, nearest: false, total });
        }
        let mut response = index.search(&plan::request(&understood, wanted.clone()))?;
        let better = if spell && plan::may_be_misspelt(&response) {
            meant::better_spelling(index, &understood, &filters)?
        } else {
            None
        };
        let mut total = response.sure.unwrap_or(response.total);
        if response.sure == Some(0) && plan::is_name(&understood) {
            total = if offset == 0 || !by_relevance {
                meant::name_the_best(&understood, &mut response)
            } else {
                let first = Wanted { offset: 0, ..wanted };
                meant::name_the_best(&understood, &mut index.search(&plan::request(&understood, first))?)
            };
        }
        if total == 0 {
            meant::drop_namesakes(&understood, &mut response);
        }
        match vector {
            Some(vector) if hybrid && plan::has_no_words(&response) => {
                let mut response = index.search(&plan::nearest(vector, filters, floor, offset, limit))?;
                meant::drop_namesakes(&understood, &mut response);
                let nearest = !response.hits.is_empty();
                response.sure = Some(0);
                response.facets.clear();
                response.hits.iter_mut().for_each(|hit| hit.sure = false);
                Ok(Indexed { response, better, nearest, total: 0 })
            }
            _ => Ok(Indexed { response, better, nearest: false, total }),
        }
    });
    indexed.await.ok()
}

/// What to say of a number whose check digit is wrong.
fn wrong_isbn(
    understood: &Understood,
    response: &bookworm_search::Response,
    rows: &HashMap<BookId, Arc<RawValue>>,
) -> Option<WrongIsbn> {
    #[derive(Deserialize)]
    struct Numbered {
        isbn13: Option<Isbn13>,
    }
    let misprint = understood.misprint.as_ref()?;
    let isbn = |hit: &Hit| {
        let row = rows.get(&BookId::from_uuid(hit.id))?;
        serde_json::from_str::<Numbered>(row.get()).ok()?.isbn13.filter(|isbn| misprint.near.contains(isbn))
    };
    let meant = response.hits.iter().find_map(isbn).unwrap_or(misprint.meant);
    Some(WrongIsbn { typed: misprint.typed.clone(), expected: misprint.expected.to_string(), meant })
}

/// The query's vector when meaning takes part, and whether it should have but could not.
async fn query_vector(catalog: &Arc<Catalog>, search: &Search, read: &Read) -> (Option<Vec<f32>>, bool) {
    let (engine, understood) = (&catalog.search, &read.understood);
    let by_relevance = read.sort_of(search.listing.sort) == BookSort::Relevance && read.liked.is_none();
    let wanted = search.mode != Mode::Text && by_relevance && plan::has_meaning(understood);
    let Some(embedder) = engine.embedder().filter(|_| wanted) else { return (None, false) };
    match embedder.query(&understood.told()).await {
        Ok(embedded) => {
            // Vectors of different models cannot be compared: until the books have theirs, words alone count.
            let model = engine.index().and_then(|index| index.model());
            let same =
                model.is_some_and(|model| model.name == embedded.model && model.dimensions == embedded.vector.len());
            (same.then(|| embedded.vector.clone()), false)
        }
        Err(NoMeaning::Off | NoMeaning::Refused) => (None, false),
        Err(NoMeaning::Failing) => (None, true),
    }
}

/// The conditions as the index knows them; `None` when no book can meet them.
async fn index_filters(catalog: &Arc<Catalog>, filter: &find::Filter) -> Result<Option<Vec<bookworm_search::Filter>>> {
    use bookworm_search::Filter;

    let db = catalog.db.read();
    let mut filters = Vec::new();
    for (field, kind, wanted) in [
        ("author_key", Kind::Author, &filter.author),
        ("subject_key", Kind::Subject, &filter.subject),
        ("publisher_key", Kind::Publisher, &filter.publisher),
    ] {
        let Some(wanted) = wanted else { continue };
        let known = names::by_id_or_name(db, kind, wanted).await?.map(|row| row.name);
        let name = known.or_else(|| wanted.parse::<uuid::Uuid>().is_err().then(|| wanted.clone()));
        let Some(name) = name else { return Ok(None) };
        filters.push(Filter::keyword(field, [fold(&name)]));
    }
    if let Some(language) = &filter.language {
        filters.push(Filter::keyword("language", [language.as_str()]));
    }
    if filter.min_price.is_some() || filter.max_price.is_some() {
        filters.push(Filter::number("price", filter.min_price, filter.max_price));
    }
    if filter.in_stock {
        filters.push(Filter::number("in_stock", Some(1), None));
    }
    Ok(Some(filters))
}

fn sort(sort: BookSort, searching: bool) -> Sort {
    let number = |field: &str, descending| Sort::Number { field: field.to_owned(), descending };
    match sort {
        BookSort::Relevance if searching => Sort::Relevance,
        BookSort::Relevance => number("readers", true),
        BookSort::Newest => number("year", true),
        BookSort::Price => number("price", false),
        BookSort::PriceDescending => number("price", true),
        BookSort::Rating => number("rating_key", true),
        BookSort::Title => Sort::Keyword { field: "title_key".to_owned(), descending: false },
    }
}

fn facets(response: &bookworm_search::Response) -> Facets {
    let mut facets = Facets::default();
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    for counted in &response.facets {
        let values =
            || counted.values.iter().map(|(value, n)| FacetValue { value: value.clone(), count: count(*n) }).collect();
        match counted.field.as_str() {
            "subject" => facets.subject = values(),
            "language" => facets.language = values(),
            "author" => facets.author = values(),
            _ => {
                let ranges = counted.ranges.iter().enumerate().filter(|(_, n)| **n > 0);
                facets.price = ranges
                    .map(|(i, n)| FacetValue { value: find::price_range(&find::PRICES, i), count: count(*n) })
                    .collect();
            }
        }
    }
    facets
}

/// The language of a book that is JSON already.
fn lang(book: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Tagged {
        language: Option<String>,
    }
    serde_json::from_str::<Tagged>(book.get()).ok()?.language
}

fn item(hit: Hit, rows: &HashMap<BookId, Arc<RawValue>>, explain: bool) -> Option<Item> {
    let book = rows.get(&BookId::from_uuid(hit.id))?.clone();
    let marked = hit.highlights.into_iter().filter(|text| text.pieces.iter().any(|piece| piece.hit));
    let highlights = marked
        .map(|text| {
            let mut pieces: Vec<Piece> =
                text.pieces.into_iter().map(|piece| Piece { text: piece.text, hit: piece.hit }).collect();
            if text.cut_before {
                pieces.insert(0, Piece { text: "… ".to_owned(), hit: false });
            }
            if text.cut_after {
                pieces.push(Piece { text: " …".to_owned(), hit: false });
            }
            Highlight { field: text.field, pieces }
        })
        .collect();
    let rank = |side: Option<Side>| side.map(|side| side.rank).filter(|rank| *rank > 0);
    let score = |side: Option<Side>| side.map(|side| f64::from(side.score));
    let explanation = explain.then(|| Explanation {
        text_rank: rank(hit.text),
        text_score: score(hit.text),
        meaning_rank: rank(hit.meaning),
        meaning_score: score(hit.meaning),
        reasons: hit.reasons.iter().map(|reason| format!("{}: {:.3}", reason.what, reason.score)).collect(),
    });
    let matched = Matched { text: hit.text.is_some(), meaning: hit.meaning.is_some() };
    Some(Item {
        lang: lang(&book),
        book,
        score: f64::from(hit.score),
        matched,
        related: !hit.sure,
        highlights,
        explanation,
    })
}

impl Answer {
    fn nothing() -> Self {
        Self {
            items: Vec::new(),
            next: None,
            facets: Facets::default(),
            total: 0,
            did_you_mean: None,
            corrected_to: None,
            nearest: false,
            missing: false,
            wrong_isbn: None,
            unknown_isbn: None,
            readings: Vec::new(),
            author: None,
            degraded: false,
            took_ms: 0,
        }
    }
}

/// The database's simple match: every word must begin a word of title, author or ISBN. Titles that begin with the query
/// come first, then titles that have every word.
async fn from_database(
    catalog: &Arc<Catalog>,
    search: &Search,
    understood: &Understood,
) -> Result<(Answer, Vec<BookId>)> {
    let listing = &search.listing;
    let mut filter = listing.filter.clone();
    if let Some(language) = &understood.language {
        filter.language.get_or_insert_with(|| language.clone());
    }
    filter.words = (!search.query.trim().is_empty()).then(|| match (understood.isbn, &understood.misprint) {
        (Some(isbn), _) => vec![isbn.to_string()],
        (None, Some(misprint)) => vec![misprint.meant.to_string()],
        (None, None) => {
            let named = understood.title.iter().chain(&understood.author);
            let mut words = if understood.is_description() { understood.words.clone() } else { understood.all.clone() };
            words.extend(named.flat_map(|value| value.split(' ')).map(str::to_owned));
            words.truncate(SIMPLE_WORDS);
            words
        }
    });
    // A query of conditions alone, such as `language:fr`, asks for every book that meets them.
    if filter.words.as_ref().is_some_and(|words| words.is_empty() && !understood.is_empty()) {
        filter.words = None;
    }
    let searching = filter.words.is_some();
    let db = catalog.db.read();
    let through = search.from + listing.limit;
    let (rows, (total, facets)) = if search.from >= NUMBERED {
        (Vec::new(), (0, Facets::default()))
    } else {
        futures::try_join!(find::page(db, &filter, listing.sort, None, through as i64 + 1), find::facets(db, &filter))?
    };
    let more = rows.len() > through && through < NUMBERED;
    let mut items = Vec::new();
    let mut books = Vec::new();
    for row in rows.into_iter().skip(search.from).take(listing.limit) {
        let readers = row.book.rating_count as f64;
        // As the list is ordered: how well it matches, then how many rated it.
        let score = row.rank as f64 + readers / (readers + 1_000.0);
        books.push(BookId::from_uuid(row.book.id));
        let book =
            serde_json::value::to_raw_value(&row.book.into_book()?).map_err(|error| Problem::internal(&error))?;
        items.push(Item {
            lang: lang(&book),
            book: Arc::from(book),
            score,
            matched: Matched { text: searching, meaning: false },
            related: false,
            highlights: Vec::new(),
            explanation: None,
        });
    }
    let next = more.then(|| cursor::encode(&From { sort: listing.sort, from: through }));
    let wrong_isbn = understood.misprint.as_ref().map(|misprint| WrongIsbn {
        typed: misprint.typed.clone(),
        expected: misprint.expected.to_string(),
        meant: misprint.meant,
    });
    Ok((Answer { items, next, facets, total, wrong_isbn, degraded: true, ..Answer::nothing() }, books))
}
