//! Browsing: a filtered list whose address can be shared. What it has in common with search is here too.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::{Page, catalog::Book};
use bookworm_kernel::{Currency, ErrorCode, FieldError, Money};
use http::StatusCode;

use crate::{
    api::{ApiError, ApiResult, ProblemBody},
    error::PageResult,
    form::Query,
    layout::{Shell, page_with},
    names,
    service::Web,
    session::Visitor,
    view::encoded,
};

/// Books on one page: whole rows at 2, 3, 4 and 6 columns.
const PAGE: &str = "24";

/// How a list can be sorted, with the words for it.
const SORTS: &[(&str, &str)] = &[
    ("", "Best match"),
    (RATING, "Top rated"),
    ("newest", "Publication date: newest first"),
    ("price", "Price: low to high"),
    ("-price", "Price: high to low"),
    ("title", "Title: A to Z"),
];

/// The order that makes no sense before readers rated anything.
const RATING: &str = "rating";

/// Ranges of price in minor units, as the API's facets name them.
const PRICES: &[&str] = &["0-999", "1000-1999", "2000-2999", "3000-"];

/// Languages to choose from before anything was searched: those that books are most printed in.
pub(super) const LANGUAGES: &[&str] = &[
    "ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "hu", "it", "ja", "la", "nl", "no", "pl", "pt", "ru", "sv",
    "tr", "zh",
];

/// A filter in use, and the list without it.
pub(super) struct Chip {
    pub(super) label: String,
    pub(super) href: String,
}

struct Select {
    name: &'static str,
    label: &'static str,
    options: Vec<Choice>,
}

/// One of several values.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) chosen: bool,
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    shell: Shell,
    heading: String,
    notices: Vec<String>,
    refusals: Vec<String>,
    chips: Vec<Chip>,
    clear_href: &'static str,
    nothing: Nothing,
    selects: Vec<Select>,
    author: String,
    in_stock: bool,
    books: Vec<Book>,
    first_href: Option<String>,
    next_href: Option<String>,
}

/// Why a list is empty, and where else to look.
struct Nothing {
    words: String,
    /// A search for the same.
    search: Option<String>,
    /// Whether there is more to see without filters.
    filtered: bool,
}

fn nothing_found(query: &Query, filters: &Filters<'_>) -> Nothing {
    let (author, count) = (query.get("author"), filters.count());
    let (words, search) = match (author, count) {
        ("", 0) => ("There are no books for sale yet. Please come back soon.".to_owned(), None),
        ("", 1) => ("No books match this filter.".to_owned(), None),
        (author, 1) => (
            format!("We have no books by an author called exactly “{}”.", short(author)),
            Some(format!("/search?q={}", encoded(author))),
        ),
        _ => ("No books match these filters. Try removing one.".to_owned(), None),
    };
    Nothing { words, search, filtered: count > 0 || !query.get("cursor").is_empty() }
}

/// `GET /books`
pub(crate) async fn browse(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    let rated = visitor.rated();
    let filters = Filters::read(&query, rated);
    let mut sent = filters.to_api();
    sent.extend([("cursor", query.get("cursor")), ("limit", PAGE)]);
    let caller = visitor.caller();
    let (list, subjects, author) = tokio::join!(
        web.api.books(caller, &sent),
        web.shelf.subjects(&web.api, caller),
        canonical_author(&web, &visitor, query.get("author"))
    );
    if let Some(name) = author {
        // One address for all spellings, and for an author who was merged into another.
        return Ok(Redirect::permanent(&format!("/books?{}", query.with("author", &name))).into_response());
    }
    let subjects = subjects?;
    let (list, refusals) = accept(list)?;
    let Page { items: books, next } = list.unwrap_or(Page { items: Vec::new(), next: None });
    let currency = currency_of(&books);
    let heading = browse_words(&query, filters.sort);
    let section = match (filters.sort, filters.is_empty()) {
        ("newest", true) => "newest",
        ("rating", true) => "rating",
        (_, true) => "books",
        _ => "",
    };
    let mut shell = visitor.shell(heading.clone()).section(section);
    if query.get("cursor").is_empty() {
        shell = shell.indexed(format!("{heading} at {}.", web.settings.shop_name));
    }
    let status = if refusals.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let list = ListPage {
        heading,
        // A single filter that the heading names already is not shown twice.
        chips: if filters.is_named_by_heading() { Vec::new() } else { chips("/books", &query, currency) },
        clear_href: "/books",
        nothing: nothing_found(&query, &filters),
        selects: selects(&query, rated, subjects.iter().map(|subject| subject.name.as_str()), currency),
        author: query.get("author").to_owned(),
        in_stock: filters.in_stock,
        books,
        first_href: (!query.get("cursor").is_empty()).then(|| format!("/books?{}", query.with("cursor", ""))),
        next_href: next.map(|cursor| format!("/books?{}", query.with("cursor", &cursor))),
        notices: filters.notices,
        refusals,
        shell,
    };
    page_with(status, &list)
}

/// The name of the author that is meant, when it is another one than the address says.
async fn canonical_author(web: &Web, visitor: &Visitor, typed: &str) -> Option<String> {
    if typed.is_empty() {
        return None;
    }
    let author = web.api.author_named(visitor.caller(), typed).await.ok()??;
    (author.name != typed).then_some(author.name)
}

/// The answer to a list; or none, and why not, when the API refuses what the page's address asks for.
pub(super) fn accept<T>(answer: ApiResult<T>) -> Result<(Option<T>, Vec<String>), ApiError> {
    match answer {
        Ok(list) => Ok((Some(list), Vec::new())),
        Err(ApiError::Problem(problem)) if problem.status == 400 => Ok((None, refusals(&problem))),
        Err(error) => Err(error),
    }
}

fn refusals(problem: &ProblemBody) -> Vec<String> {
    if problem.code == ErrorCode::InvalidCursor.as_str() {
        return vec!["The list has changed since this link was made.".to_owned()];
    }
    if problem.errors.is_empty() {
        return vec![problem.message().to_owned()];
    }
    let sentence = |error: &FieldError| match error.field.trim_start_matches('/') {
        "q" => "Your search is too long.".to_owned(),
        "language" => "We don’t know this language.".to_owned(),
        "subject" => "We don’t have this subject.".to_owned(),
        "author" => "This author’s name is too long.".to_owned(),
        "limit" | "page" | "cursor" => "This page of the list doesn’t exist.".to_owned(),
        "min_price" | "max_price" => "We don’t understand this price.".to_owned(),
        other => format!("We don’t understand the {} in this link.", other.replace('_', " ")),
    };
    problem.errors.iter().map(sentence).collect()
}

/// What the order of an unsorted list is called: of the shelves, and of the results of a search.
const FEATURED: &str = "Featured";
pub(super) const BEST_MATCH: &str = SORTS[0].1;

/// The filters of a page's address, as the API takes them. What makes no sense is left out rather than refused, and
/// said: an old or mistyped link still shows books.
pub(super) struct Filters<'a> {
    plain: Vec<(&'static str, &'a str)>,
    prices: Option<(&'a str, &'a str)>,
    /// Whether only books in stock are wanted.
    pub(super) in_stock: bool,
    sort: &'a str,
    /// What was left out.
    pub(super) notices: Vec<String>,
}

impl<'a> Filters<'a> {
    pub(super) fn read(query: &'a Query, rated: bool) -> Self {
        let plain = ["subject", "author", "language"]
            .into_iter()
            .map(|name| (name, query.get(name)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let mut notices = Vec::new();
        let (sort, price) = (query.get("sort"), query.get("price"));
        let known = matches!(sort, "" | "relevance") || SORTS.iter().any(|(known, _)| *known == sort);
        if !known {
            notices.push("We ignored an unknown sort option.".to_owned());
        }
        let early = sort == RATING && !rated;
        if early {
            notices.push("Nobody has rated our books yet, so they can’t be sorted by rating.".to_owned());
        }
        let prices = price_range(price);
        if prices.is_none() && !price.is_empty() {
            notices.push("We ignored a price range that we don’t understand.".to_owned());
        }
        let in_stock = query.get("in_stock") == "true";
        Self { plain, prices, in_stock, sort: if known && !early { sort } else { "" }, notices }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.prices.is_none() && !self.in_stock
    }

    fn count(&self) -> usize {
        self.plain.len() + usize::from(self.prices.is_some()) + usize::from(self.in_stock)
    }

    /// Whether the list's heading says all that it is filtered by.
    fn is_named_by_heading(&self) -> bool {
        self.plain.len() == 1 && self.count() == 1
    }

    /// Filters and order.
    pub(super) fn to_api(&self) -> Vec<(&'static str, &'a str)> {
        let mut all = self.plain.clone();
        if let Some((from, to)) = self.prices {
            all.extend([("min_price", from), ("max_price", to)]);
        }
        if self.in_stock {
            all.push(("in_stock", "true"));
        }
        all.push(("sort", self.sort));
        all
    }
}

/// The beginning of something that was typed, to be repeated in a sentence.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `1000-1999` or `3000-`, in minor units.
fn price_range(text: &str) -> Option<(&str, &str)> {
    let (from, to) = text.split_once('-')?;
    let number = |text: &str| (text.len() <= 9).then(|| text.parse::<u32>().ok()).flatten();
    let is_number = |text: &str| text.is_empty() || number(text).is_some();
    let is_upside_down = number(from).zip(number(to)).is_some_and(|(from, to)| from > to);
    (is_number(from) && is_number(to) && !is_upside_down && text.len() > 1).then_some((from, to))
}

/// A range of prices in words; nothing when it is none.
pub(super) fn price_label(range: &str, currency: Currency) -> Option<String> {
    let (from, to) = price_range(range)?;
    let money = |text: &str, add: i64| text.parse::<i64>().ok().map(|amount| Money::new(amount + add, currency));
    Some(match (money(from, 0).filter(|from| from.amount > 0), money(to, 1)) {
        (None, Some(to)) => format!("Under {to}"),
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("{from} and up"),
        (None, None) => "Any price".to_owned(),
    })
}

/// The shop has one currency; any book shows which.
pub(super) fn currency_of<'a>(books: impl IntoIterator<Item = &'a Book>) -> Currency {
    books.into_iter().next().map_or(Currency::USD, |book| book.price.currency)
}

fn browse_words(query: &Query, sort: &str) -> String {
    let (subject, author, language) = (query.get("subject"), query.get("author"), query.get("language"));
    match (subject, author, language) {
        ("", "", "") => match sort {
            "newest" => "Latest publications",
            RATING => "Top rated books",
            _ => "All books",
        }
        .to_owned(),
        ("", "", language) => format!("Books in {}", names::language(language)),
        ("", author, _) => format!("Books by {author}"),
        (subject, "", _) => subject.to_owned(),
        (subject, author, _) => format!("{subject} by {author}"),
    }
}

/// The filters in use, each with the address of the list without it.
pub(super) fn chips(action: &str, query: &Query, currency: Currency) -> Vec<Chip> {
    let label = |name: &str, value: &str| match name {
        "language" => Some(names::language(value).to_owned()),
        "price" => price_label(value, currency),
        "in_stock" => (value == "true").then(|| "In stock".to_owned()),
        "author" => Some(format!("by {value}")),
        _ => Some(value.to_owned()),
    };
    ["subject", "author", "language", "price", "in_stock"]
        .into_iter()
        .filter(|name| !query.get(name).is_empty())
        .filter_map(|name| {
            Some(Chip { label: label(name, query.get(name))?, href: format!("{action}?{}", query.with(name, "")) })
        })
        .collect()
}

/// Ways to sort, of which one is chosen.
pub(super) fn sorts(query: &Query, unsorted: &'static str, rated: bool) -> Vec<Choice> {
    let choice = |(value, label): &(&str, &str)| Choice {
        value: (*value).to_owned(),
        label: if value.is_empty() { unsorted } else { label }.to_owned(),
        chosen: query.get("sort") == *value,
    };
    SORTS.iter().filter(|(value, _)| rated || *value != RATING).map(choice).collect()
}

fn selects<'a>(query: &Query, rated: bool, subjects: impl Iterator<Item = &'a str>, currency: Currency) -> Vec<Select> {
    let choice = |name: &str, value: &str, label: String| Choice {
        value: value.to_owned(),
        label,
        chosen: query.get(name) == value,
    };
    let mut subjects: Vec<Choice> = subjects.map(|name| choice("subject", name, name.to_owned())).collect();
    subjects.sort_by_key(|choice| choice.label.to_lowercase());
    keep_chosen(&mut subjects, query.get("subject"), str::to_owned);
    subjects.insert(0, choice("subject", "", "Any subject".to_owned()));
    let mut languages: Vec<Choice> =
        LANGUAGES.iter().map(|code| choice("language", code, names::language(code).to_owned())).collect();
    languages.sort_by(|a, b| a.label.cmp(&b.label));
    keep_chosen(&mut languages, query.get("language"), |code| names::language(code).to_owned());
    languages.insert(0, choice("language", "", "Any language".to_owned()));
    let mut prices: Vec<Choice> =
        PRICES.iter().filter_map(|range| Some(choice("price", range, price_label(range, currency)?))).collect();
    if price_range(query.get("price")).is_some() {
        keep_chosen(&mut prices, query.get("price"), |range| price_label(range, currency).unwrap_or_default());
    }
    prices.insert(0, choice("price", "", "Any price".to_owned()));
    vec![
        Select { name: "sort", label: "Sort by", options: sorts(query, FEATURED, rated) },
        Select { name: "subject", label: "Subject", options: subjects },
        Select { name: "language", label: "Language", options: languages },
        Select { name: "price", label: "Price", options: prices },
    ]
}

/// A filter that came by a link stays chosen, also when it is not among the usual ones.
fn keep_chosen(choices: &mut Vec<Choice>, value: &str, label: impl Fn(&str) -> String) {
    if !value.is_empty() && !choices.iter().any(|choice| choice.chosen) {
        choices.push(Choice { value: value.to_owned(), label: label(value), chosen: true });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_ranges_read_well() {
        assert_eq!(price_label("0-999", Currency::USD).unwrap(), "Under $10.00");
        assert_eq!(price_label("1000-1999", Currency::USD).unwrap(), "$10.00 to $20.00");
        assert_eq!(price_label("3000-", Currency::EUR).unwrap(), "€30.00 and up");
        for bad in ["", "-", "a-b", "1", "-5-10", "99999999999-", "900-100"] {
            assert_eq!(price_label(bad, Currency::USD), None, "{bad}");
        }
    }
}
