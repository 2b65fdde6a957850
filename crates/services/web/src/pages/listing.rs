//! Browsing and searching: a filtered list whose address can be shared.

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::catalog::{Book, Facets};
use bookworm_kernel::{Currency, Money};

use crate::{
    Web,
    error::PageResult,
    form::Query,
    layout::{Shell, page},
    names,
    session::Visitor,
};

/// Books on one page: whole rows at 2, 3, 4 and 6 columns.
const PAGE: &str = "24";
/// Values shown of one facet.
const LINKS: usize = 10;

const SORTS: &[(&str, &str)] = &[
    ("", "Most fitting"),
    ("rating", "Best rated"),
    ("newest", "Newest first"),
    ("price", "Cheapest first"),
    ("-price", "Dearest first"),
    ("title", "By title"),
];

/// Ranges of price in minor units, as the API's facets name them.
const PRICES: &[&str] = &["0-999", "1000-1999", "2000-2999", "3000-"];

/// Languages to choose from before anything was searched: those that books are most printed in.
const LANGUAGES: &[&str] = &[
    "ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "hu", "it", "ja", "la", "nl", "no", "pl", "pt", "ru", "sv",
    "tr", "zh",
];

struct Chip {
    label: String,
    href: String,
}

struct Select {
    name: &'static str,
    label: &'static str,
    options: Vec<Choice>,
}

struct Choice {
    value: String,
    label: String,
    chosen: bool,
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

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    shell: Shell,
    heading: String,
    lead: String,
    degraded: bool,
    searching: bool,
    action: &'static str,
    chips: Vec<Chip>,
    clear_href: String,
    selects: Vec<Select>,
    author: String,
    in_stock: bool,
    facets: Vec<Facet>,
    books: Vec<Book>,
    paged: bool,
    first_href: Option<String>,
    next_href: Option<String>,
}

/// `GET /books`
pub(crate) async fn browse(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    let filters = Filters::read(&query);
    let sent = filters.to_api();
    let (list, subjects) =
        tokio::try_join!(web.api.books(visitor.caller(), &sent), web.shelf.subjects(&web.api, visitor.caller()),)?;
    let currency = currency_of(&list.items);
    let (heading, lead) = browse_words(&query);
    let section = match (query.get("sort"), filters.is_empty()) {
        ("newest", true) => "newest",
        ("rating", true) => "rating",
        (_, true) => "books",
        _ => "",
    };
    let mut shell = visitor.shell(heading.clone()).section(section);
    if query.get("cursor").is_empty() {
        shell = shell.indexed(format!("{heading} at {}.", web.settings.shop_name));
    }
    page(&ListPage {
        heading,
        lead,
        degraded: false,
        searching: false,
        action: "/books",
        chips: chips("/books", &query, currency),
        clear_href: "/books".to_owned(),
        selects: selects(&query, subjects.iter().map(|subject| subject.name.as_str()), currency, false),
        author: query.get("author").to_owned(),
        in_stock: filters.in_stock,
        facets: Vec::new(),
        books: list.items,
        paged: list.next.is_some() || !query.get("cursor").is_empty(),
        first_href: first_href("/books", &query),
        next_href: list.next.map(|cursor| next_href("/books", &query, &cursor)),
        shell,
    })
}

/// `GET /search?q=`
pub(crate) async fn search(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    let words: String = query.get("q").chars().take(200).collect();
    if words.is_empty() {
        return browse(State(web), visitor, query).await;
    }
    let filters = Filters::read(&query);
    let mut sent = vec![("q", words.as_str())];
    sent.extend(filters.to_api());
    let (found, subjects) =
        tokio::try_join!(web.api.search(visitor.caller(), &sent), web.shelf.subjects(&web.api, visitor.caller()),)?;
    let books: Vec<Book> = found.items.into_iter().map(|hit| hit.book).collect();
    let currency = currency_of(&books);
    let heading = format!("“{words}”");
    let lead = match found.total {
        0 => "No books found".to_owned(),
        1 => "One book found".to_owned(),
        total => format!("{} books found", crate::view::number(&total)),
    };
    let mut shell = visitor.shell(format!("{heading}: {lead}"));
    shell.query.clone_from(&words);
    page(&ListPage {
        shell,
        lead,
        heading,
        degraded: found.degraded,
        searching: true,
        action: "/search",
        chips: chips("/search", &query, currency),
        clear_href: format!("/search?q={}", crate::view::encoded(&words)),
        selects: selects(&query, subjects.iter().map(|subject| subject.name.as_str()), currency, true),
        author: query.get("author").to_owned(),
        in_stock: filters.in_stock,
        facets: facets(&query, &found.facets, currency),
        books,
        paged: found.next.is_some() || !query.get("cursor").is_empty(),
        first_href: first_href("/search", &query),
        next_href: found.next.map(|cursor| next_href("/search", &query, &cursor)),
    })
}

/// The filters of a page's address, as the API takes them. What makes no sense is left out rather than refused: an old
/// or mistyped link still shows books.
struct Filters<'a> {
    plain: Vec<(&'static str, &'a str)>,
    prices: Option<(&'a str, &'a str)>,
    in_stock: bool,
    sort: &'a str,
    cursor: &'a str,
}

impl<'a> Filters<'a> {
    fn read(query: &'a Query) -> Self {
        let plain = ["subject", "author", "language"]
            .into_iter()
            .map(|name| (name, query.get(name)))
            .filter(|(_, value)| !value.is_empty() && value.chars().count() <= 200)
            .collect();
        let sort = query.get("sort");
        Self {
            plain,
            prices: price_range(query.get("price")),
            in_stock: query.get("in_stock") == "true",
            sort: if SORTS.iter().any(|(known, _)| *known == sort) { sort } else { "" },
            cursor: query.get("cursor"),
        }
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.prices.is_none() && !self.in_stock
    }

    fn to_api(&self) -> Vec<(&'static str, &'a str)> {
        let mut all = self.plain.clone();
        if let Some((from, to)) = self.prices {
            all.extend([("min_price", from), ("max_price", to)]);
        }
        if self.in_stock {
            all.push(("in_stock", "true"));
        }
        all.extend([("sort", self.sort), ("cursor", self.cursor), ("limit", PAGE)]);
        all
    }
}

/// `1000-1999` or `3000-`, in minor units.
fn price_range(text: &str) -> Option<(&str, &str)> {
    let (from, to) = text.split_once('-')?;
    let is_number = |text: &str| text.len() <= 9 && text.chars().all(|c| c.is_ascii_digit());
    (is_number(from) && is_number(to) && !(from.is_empty() && to.is_empty())).then_some((from, to))
}

fn price_label(range: &str, currency: Currency) -> Option<String> {
    let (from, to) = price_range(range)?;
    let money = |text: &str, add: i64| text.parse::<i64>().ok().map(|amount| Money::new(amount + add, currency));
    Some(match (money(from, 0).filter(|from| from.amount > 0), money(to, 1)) {
        (None, Some(to)) => format!("Under {to}"),
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("{from} and more"),
        (None, None) => "Any price".to_owned(),
    })
}

/// The shop has one currency; any book shows which.
fn currency_of(books: &[Book]) -> Currency {
    books.first().map_or(Currency::USD, |book| book.price.currency)
}

fn browse_words(query: &Query) -> (String, String) {
    let (subject, author, language) = (query.get("subject"), query.get("author"), query.get("language"));
    let heading = match (subject, author, language) {
        ("", "", "") => match query.get("sort") {
            "newest" => "Newest books",
            "rating" => "Best rated books",
            _ => "All books",
        }
        .to_owned(),
        ("", "", language) => format!("Books in {}", names::language(language)),
        ("", author, _) => format!("Books by {author}"),
        (subject, "", _) => subject.to_owned(),
        (subject, author, _) => format!("{subject} by {author}"),
    };
    (heading, String::new())
}

fn chips(action: &str, query: &Query, currency: Currency) -> Vec<Chip> {
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

fn selects<'a>(
    query: &Query,
    subjects: impl Iterator<Item = &'a str>,
    currency: Currency,
    searching: bool,
) -> Vec<Select> {
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
    let sorts = SORTS
        .iter()
        .map(|(value, label)| {
            let label = if value.is_empty() && !searching { "Our order" } else { label };
            choice("sort", value, label.to_owned())
        })
        .collect();
    vec![
        Select { name: "sort", label: "Sort", options: sorts },
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
                .filter(|value| value.value != query.get(name))
                .take(LINKS)
                .filter_map(|value| {
                    Some(FacetLink {
                        label: match name {
                            "language" => names::language(&value.value).to_owned(),
                            "price" => price_label(&value.value, currency)?,
                            _ => value.value.clone(),
                        },
                        href: format!("/search?{}", query.with(name, &value.value)),
                        count: crate::view::number(&value.count),
                    })
                })
                .collect(),
        })
        .filter(|facet| !facet.links.is_empty())
        .collect()
}

fn first_href(action: &str, query: &Query) -> Option<String> {
    (!query.get("cursor").is_empty()).then(|| format!("{action}?{}", query.with("cursor", "")))
}

fn next_href(action: &str, query: &Query, cursor: &str) -> String {
    format!("{action}?{}", query.with("cursor", cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_ranges_read_well() {
        assert_eq!(price_label("0-999", Currency::USD).unwrap(), "Under $10.00");
        assert_eq!(price_label("1000-1999", Currency::USD).unwrap(), "$10.00 to $20.00");
        assert_eq!(price_label("3000-", Currency::EUR).unwrap(), "€30.00 and more");
        for bad in ["", "-", "a-b", "1", "-5-10", "99999999999-"] {
            assert_eq!(price_label(bad, Currency::USD), None, "{bad}");
        }
    }
}
