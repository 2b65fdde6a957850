//! Searching: what was found, with the matching words marked, and ways to narrow it, all in an address to share.

use std::ops::Range;

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::catalog::{
    AuthorCard, Book, Facets, Highlight, Piece, Reading, ReadingKind, SearchHit, SearchResponse,
};
use bookworm_kernel::Currency;
use http::StatusCode;

use super::listing::{self, BEST_MATCH, Chip, Choice, Filters, accept, chips, currency_of, price_label, short, sorts};
use crate::{
    error::PageResult,
    form::Query,
    layout::{Shell, page_with},
    names,
    service::Web,
    session::Visitor,
    view,
};

/// Hits on one page.
const PAGE: u32 = 20;
/// Hits that can be paged through; the API gives no more.
const MOST: u32 = 1_000;
/// Characters of a query; the API takes no more.
const LONGEST: usize = 4_000;
/// Values shown of one facet.
const LINKS: usize = 10;
/// Subjects shown where nothing was found.
const WAYS_ON: usize = 12;
/// Characters of a book's description beside it, when no part of it matches.
const EXCERPT: usize = 180;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    shell: Shell,
    heading: String,
    notices: Vec<String>,
    refusals: Vec<String>,
    did_you_mean: Option<Link>,
    corrected: Option<Corrected>,
    wrong_isbn: Option<WrongNumber>,
    /// What parts of the query were understood as: each can be taken away.
    readings: Vec<Chip>,
    /// What was understood and no book is.
    unmet: Vec<String>,
    author: Option<AuthorCard>,
    nearest: bool,
    missing: bool,
    degraded: bool,
    /// The page that was asked for and is not there.
    beyond: Option<Beyond>,
    chips: Vec<Chip>,
    clear_href: String,
    facets: Vec<Facet>,
    /// What the form that sorts hands on.
    kept: Vec<(&'static str, String)>,
    sorts: Vec<Choice>,
    in_stock: bool,
    hits: Vec<Hit>,
    /// Counts the first hit of the page, from 1.
    start: u32,
    pager: Pager,
    /// More books match than can be paged through.
    capped: bool,
    subjects: Vec<String>,
}

struct Link {
    label: String,
    href: String,
}

/// A search for what was meant instead of what was typed, and the way back.
struct Corrected {
    to: String,
    as_typed: Link,
}

/// An ISBN whose last digit does not fit.
struct WrongNumber {
    typed: String,
    meant: Link,
}

struct Beyond {
    pages: u32,
    last: Link,
    first_href: String,
}

struct Facet {
    name: &'static str,
    label: &'static str,
    links: Vec<FacetLink>,
}

struct FacetLink {
    label: String,
    href: String,
    count: String,
}

struct Hit {
    book: Book,
    title: Vec<Piece>,
    authors: Vec<Vec<Piece>>,
    about: Vec<Piece>,
    /// Why it is shown although it is not what was asked for.
    why: Option<&'static str>,
}

/// Links to the pages of a result.
struct Pager {
    previous: Option<String>,
    pages: Vec<Step>,
    next: Option<String>,
}

/// A page's number and address; nothing where numbers are left out.
type Step = Option<PageLink>;

struct PageLink {
    number: u32,
    href: String,
    current: bool,
}

/// `GET /search?q=`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    let words = clean(query.get("q"));
    if words.is_empty() {
        return listing::browse(State(web), visitor, query).await;
    }
    let mut filters = Filters::read(&query, visitor.rated());
    if query.get("q").chars().count() > LONGEST {
        filters.notices.push(format!(
            "That was long: the first {} characters were searched for.",
            view::number(&(LONGEST as i64))
        ));
    }
    let wanted = wanted_page(&query, &mut filters.notices);
    // A page that cannot be there is not asked for; the first one says how many there are.
    let asked = if wanted > MOST / PAGE { 1 } else { wanted };
    let (limit, number) = (PAGE.to_string(), asked.to_string());
    let mut sent = vec![("q", words.as_str())];
    sent.extend(filters.to_api());
    if query.get("exact") == "true" {
        sent.push(("exact", "true"));
    }
    if !query.get("ignore").is_empty() {
        sent.push(("ignore", query.get("ignore")));
    }
    sent.extend([("limit", limit.as_str()), ("page", number.as_str())]);
    let caller = visitor.caller();
    let (found, subjects) = tokio::join!(web.api.search(caller, &sent), web.shelf.subjects(&web.api, caller));
    let (found, refusals) = accept(found)?;
    let found = found.unwrap_or_else(nothing);
    let currency = currency_of(found.items.iter().map(|hit| &hit.book));
    // Behind the last book that was asked for there may be some that are like it.
    let last = last_page(found.total);
    let goes_on = found.next.is_some() && found.total > 0 && (last..MOST / PAGE).contains(&asked);
    let last = if goes_on { asked + 1 } else { last };
    let is_beyond = wanted > 1 && refusals.is_empty() && (asked != wanted || found.items.is_empty());
    let href = |page: u32| page_href(&query, page);
    let shown = short(found.corrected_to.as_deref().unwrap_or(&words));
    let heading = if refusals.is_empty() { heading(&found, &shown) } else { format!("Searching for “{shown}”") };
    let mut shell = visitor.shell(if wanted > 1 { format!("{heading}, page {wanted}") } else { heading.clone() });
    shell.query.clone_from(&words);
    let status = match (refusals.is_empty(), is_beyond) {
        (false, _) => StatusCode::BAD_REQUEST,
        (_, true) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    };
    let results = SearchPage {
        shell,
        heading,
        notices: filters.notices,
        refusals,
        did_you_mean: found
            .did_you_mean
            .filter(|_| found.corrected_to.is_none())
            .map(|meant| Link { href: searched(&query, &meant, false), label: meant }),
        corrected: found
            .corrected_to
            .map(|to| Corrected { to, as_typed: Link { href: searched(&query, &words, true), label: short(&words) } }),
        wrong_isbn: found.wrong_isbn.map(|wrong| WrongNumber {
            typed: wrong.typed,
            meant: Link { href: searched(&query, &wrong.meant.to_string(), false), label: wrong.meant.to_string() },
        }),
        readings: readings(&query, &found.readings),
        unmet: unmet(&found.readings),
        author: found.author,
        nearest: found.nearest,
        missing: found.missing,
        degraded: found.degraded,
        beyond: is_beyond.then(|| Beyond {
            pages: last,
            last: Link { label: "Go to the last page".to_owned(), href: href(last) },
            first_href: href(1),
        }),
        chips: chips("/search", &query, currency),
        clear_href: format!("/search?q={}", view::encoded(&words)),
        facets: facets(&query, &found.facets, currency),
        kept: ["subject", "author", "language", "price", "exact", "ignore"]
            .into_iter()
            .map(|name| (name, query.get(name).to_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        sorts: sorts(&query, BEST_MATCH, visitor.rated()),
        in_stock: filters.in_stock,
        hits: if is_beyond {
            Vec::new()
        } else {
            // Where nothing is what was asked for, one sentence above says so.
            found.items.into_iter().map(|hit| Hit::new(hit, found.nearest || found.missing)).collect()
        },
        start: (wanted - 1).saturating_mul(PAGE).saturating_add(1),
        pager: Pager::new(if is_beyond { 0 } else { wanted }, last, href),
        capped: found.total > i64::from(MOST),
        // Ways on from a dead end are a bonus.
        subjects: subjects
            .map(|all| all.iter().take(WAYS_ON).map(|subject| subject.name.clone()).collect())
            .unwrap_or_default(),
    };
    page_with(status, &results)
}

/// What to search for: one line, of a length that the API takes.
fn clean(typed: &str) -> String {
    let line: String = typed.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().to_owned()
}

/// The page's number, from 1; what is no number is the first page, with a note.
fn wanted_page(query: &Query, notices: &mut Vec<String>) -> u32 {
    let text = query.get("page");
    if !query.get("cursor").is_empty() {
        notices.push("This link is an old one: its place in the list is not known any more.".to_owned());
    }
    if text.is_empty() {
        return 1;
    }
    let digits = text.chars().all(|c| c.is_ascii_digit());
    match (digits, text.parse::<u32>()) {
        (true, Ok(0)) | (false, _) => {
            notices.push(format!("There is no page “{}”; this is the first.", short(text)));
            1
        }
        (true, number) => number.unwrap_or(u32::MAX),
    }
}

/// What a refused search found.
fn nothing() -> SearchResponse {
    SearchResponse {
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

fn last_page(total: i64) -> u32 {
    u32::try_from(total.clamp(0, i64::from(MOST))).unwrap_or(MOST).div_ceil(PAGE).max(1)
}

fn page_href(query: &Query, page: u32) -> String {
    let number = if page > 1 { page.to_string() } else { String::new() };
    format!("/search?{}", query.with("page", &number))
}

/// What was understood, each with the address of the same search without it.
fn readings(query: &Query, readings: &[Reading]) -> Vec<Chip> {
    let met = readings.iter().filter(|reading| reading.is_met);
    met.map(|reading| {
        let before = query.get("ignore");
        let kind = reading.kind.name();
        let ignored = if before.is_empty() { kind.to_owned() } else { format!("{before},{kind}") };
        Chip { label: reading.text.clone(), href: format!("/search?{}", query.with("ignore", &ignored)) }
    })
    .collect()
}

/// What to say of what no book is. Of several wishes only that none meets them all: each may be met alone.
fn unmet(readings: &[Reading]) -> Vec<String> {
    let unmet = readings.iter().filter(|reading| !reading.is_met);
    let (phrases, wishes): (Vec<&Reading>, Vec<&Reading>) =
        unmet.partition(|reading| reading.kind == ReadingKind::Phrase);
    let mut said: Vec<String> = phrases
        .iter()
        .map(|phrase| format!("No book has {} word for word, so these are books with some of the words.", phrase.text))
        .collect();
    match wishes.as_slice() {
        [] => {}
        [wish] => said.push(format!("We have none {}, so these are others.", lower_first(&wish.text))),
        several => {
            let all: Vec<String> = several.iter().map(|wish| lower_first(&wish.text)).collect();
            said.push(format!("No book is all of this: {}. So these are others.", all.join(", ")));
        }
    }
    said
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The address of the same search for other words, as typed or with corrections.
fn searched(query: &Query, words: &str, exact: bool) -> String {
    let others = query.with("exact", "");
    let pairs = url::form_urlencoded::parse(others.as_bytes()).filter(|(name, _)| name != "q");
    let mut address = url::form_urlencoded::Serializer::new(String::new());
    address.extend_pairs(pairs).append_pair("q", words);
    if exact {
        address.append_pair("exact", "true");
    }
    format!("/search?{}", address.finish())
}

fn heading(found: &SearchResponse, words: &str) -> String {
    if let Some(wrong) = &found.wrong_isbn {
        return format!("No book has the ISBN {}", wrong.typed);
    }
    if let Some(isbn) = &found.unknown_isbn {
        return format!("We don’t have a book with ISBN {isbn}");
    }
    match found.total {
        _ if found.missing => format!("We don’t have “{words}”"),
        _ if found.nearest => format!("Nearest to “{words}”"),
        total if total <= 0 => format!("No books for “{words}”"),
        1 => format!("One book for “{words}”"),
        total @ 2..100 => format!("{total} books for “{words}”"),
        // The nearest in meaning are counted with those that have the words: the border between them is soft.
        total => format!("About {} books for “{words}”", view::number(&total)),
    }
}

fn facets(query: &Query, facets: &Facets, currency: Currency) -> Vec<Facet> {
    let all = [
        ("subject", "Subject", &facets.subject),
        ("author", "Author", &facets.author),
        ("language", "Language", &facets.language),
        ("price", "Price", &facets.price),
    ];
    all.into_iter()
        .map(|(name, label, values)| Facet {
            name,
            label,
            links: values
                .iter()
                .filter(|value| value.count > 0 && value.value != query.get(name))
                .take(LINKS)
                .filter_map(|value| {
                    Some(FacetLink {
                        label: match name {
                            "language" => names::language(&value.value).to_owned(),
                            "price" => price_label(&value.value, currency)?,
                            _ => value.value.clone(),
                        },
                        href: format!("/search?{}", query.with(name, &value.value)),
                        count: view::number(&value.count),
                    })
                })
                .collect(),
        })
        .filter(|facet| !facet.links.is_empty())
        .collect()
}

impl Hit {
    fn new(hit: SearchHit, is_said: bool) -> Self {
        let parts = |field| hit.highlights.iter().filter(move |part| part.field == field);
        Self {
            title: marked(&hit.book.title, parts("title")),
            authors: hit.book.authors.iter().map(|author| marked(&author.name, parts("authors"))).collect(),
            about: about(&hit.book, parts("description").next()),
            why: match hit.matched.text {
                _ if is_said => None,
                false if hit.matched.meaning => Some("Similar in theme"),
                true if hit.related => Some("Related"),
                _ => None,
            },
            book: hit.book,
        }
    }
}

/// A text with the matches in it that any of these parts of the book has: a part may contain the text among others.
fn marked<'a>(text: &str, parts: impl Iterator<Item = &'a Highlight>) -> Vec<Piece> {
    for part in parts {
        let whole: String = part.pieces.iter().map(|piece| piece.text.as_str()).collect();
        if let Some(at) = whole.find(text)
            && !text.is_empty()
        {
            return cut(&part.pieces, at..at + text.len());
        }
    }
    vec![Piece { text: text.to_owned(), hit: false }]
}

/// The pieces within a range of bytes of what they are joined.
fn cut(pieces: &[Piece], range: Range<usize>) -> Vec<Piece> {
    let mut begin = 0;
    let mut inside = Vec::new();
    for piece in pieces {
        let end = begin + piece.text.len();
        let (from, to) = (range.start.max(begin), range.end.min(end));
        if from < to {
            inside.push(Piece { text: piece.text[from - begin..to - begin].to_owned(), hit: piece.hit });
        }
        begin = end;
    }
    inside
}

/// The part of a description that matches, or its beginning; dots stand where it goes on.
fn about(book: &Book, part: Option<&Highlight>) -> Vec<Piece> {
    let Some(description) = book.description.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
        return Vec::new();
    };
    let plain = |text: &str| Piece { text: text.to_owned(), hit: false };
    let Some(part) = part.filter(|part| !part.pieces.is_empty()) else {
        let line = description.split_whitespace().collect::<Vec<_>>().join(" ");
        return match line.char_indices().nth(EXCERPT) {
            Some((end, _)) => {
                let end = line[..end].rfind(' ').unwrap_or(end);
                vec![plain(&line[..end]), plain(" …")]
            }
            None => vec![plain(&line)],
        };
    };
    let whole: String = part.pieces.iter().map(|piece| piece.text.as_str()).collect();
    // A part may bring its own dots.
    let words = whole.trim_matches(|c: char| c == '…' || c.is_whitespace());
    let mut pieces = Vec::with_capacity(part.pieces.len() + 2);
    if !whole.trim_start().starts_with('…') && !description.starts_with(words) {
        pieces.push(plain("… "));
    }
    pieces.extend(part.pieces.iter().cloned());
    if !whole.trim_end().ends_with('…') && !description.ends_with(words) {
        pieces.push(plain(" …"));
    }
    pieces
}

impl Pager {
    /// Links to the first page, the last, and those around the present one; `current` 0 is none of them.
    fn new(current: u32, last: u32, href: impl Fn(u32) -> String) -> Self {
        if last <= 1 {
            return Self { previous: None, pages: Vec::new(), next: None };
        }
        let around = current.saturating_sub(1)..=current + 1;
        let shown: Vec<u32> = (1..=last).filter(|page| *page == 1 || *page == last || around.contains(page)).collect();
        let mut pages = Vec::new();
        let mut before = 0;
        for number in shown {
            // Where one number alone would be left out, it takes no more room than the gap.
            match number - before {
                0 | 1 => {}
                2 => pages.push(Some(before + 1)),
                _ => pages.push(None),
            }
            pages.push(Some(number));
            before = number;
        }
        let link = |number: u32| PageLink { number, href: href(number), current: number == current };
        Self {
            previous: (current > 1).then(|| href(current - 1)),
            next: (1..last).contains(&current).then(|| href(current + 1)),
            pages: pages.into_iter().map(|number| number.map(link)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, hit: bool) -> Piece {
        Piece { text: text.to_owned(), hit }
    }

    fn numbers(current: u32, last: u32) -> String {
        let pager = Pager::new(current, last, |page| format!("/{page}"));
        let pages = pager.pages.iter().map(|step| match step {
            Some(page) if page.current => format!("[{}]", page.number),
            Some(page) => page.number.to_string(),
            None => "…".to_owned(),
        });
        let pages: Vec<String> = pages.collect();
        format!("{}{}{}", pager.previous.unwrap_or_default(), pages.join(" "), pager.next.unwrap_or_default())
    }

    #[test]
    fn the_pager_shows_first_last_and_neighbours() {
        assert_eq!(numbers(1, 1), "");
        assert_eq!(numbers(1, 3), "[1] 2 3/2");
        assert_eq!(numbers(1, 50), "[1] 2 … 50/2");
        assert_eq!(numbers(4, 50), "/31 2 3 [4] 5 … 50/5");
        assert_eq!(numbers(25, 50), "/241 … 24 [25] 26 … 50/26");
        assert_eq!(numbers(50, 50), "/491 … 49 [50]");
        assert_eq!(numbers(0, 4), "1 … 4", "none of them is shown");
    }

    #[test]
    fn pages_end_where_the_api_ends() {
        let pages: Vec<u32> = [-1, 0, 1, 20, 21, 999, 1_000, 67_560].map(last_page).to_vec();
        assert_eq!(pages, [1, 1, 1, 1, 2, 50, 50, 50]);
    }

    #[test]
    fn a_name_among_others_keeps_its_matches() {
        let part = Highlight {
            field: "authors".to_owned(),
            pieces: vec![piece("Jane ", false), piece("Austen", true), piece(", Émile Zola", false)],
        };
        assert_eq!(marked("Jane Austen", [&part].into_iter()), [piece("Jane ", false), piece("Austen", true)]);
        assert_eq!(marked("Émile Zola", [&part].into_iter()), [piece("Émile Zola", false)]);
        assert_eq!(marked("Somebody Else", [&part].into_iter()), [piece("Somebody Else", false)]);
        assert_eq!(marked("", [&part].into_iter()), [piece("", false)]);
    }
}
