//! One line of an import file: what it may say, and what is made of it.

use std::collections::HashMap;

use bookworm_kernel::{Currency, Isbn13, Money};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::domain::{Draft, Rating, draft, estimate};

/// What a line says. Other members are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    source_id: Option<String>,
    isbn13: Option<String>,
    title: Option<String>,
    authors: Option<Vec<String>>,
    subjects: Option<Vec<String>>,
    publisher: Option<String>,
    year: Option<i64>,
    language: Option<String>,
    pages: Option<i64>,
    series: Option<String>,
    description: Option<String>,
    price: Option<Price>,
    list_price: Option<Price>,
    rating_avg: Option<f64>,
    rating_count: Option<i64>,
    stock: Option<i64>,
}

/// A number in whole units of the shop's currency, such as `12.99`, or money in minor units.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "must be a number such as 12.99, or {\"amount\": 1299, \"currency\": \"USD\"}")]
enum Price {
    Units(f64),
    Money(Money),
}

/// A line that can be written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) line: u64,
    pub(super) source_id: String,
    pub(super) draft: Draft,
    pub(super) rating: Rating,
    /// Copies of a new book.
    pub(super) stock: i64,
    /// SHA-256 of what the line says about the book.
    pub(super) hash: Vec<u8>,
    pub(super) warnings: u64,
}

/// Columns of a CSV file, by name.
pub(super) type Columns = HashMap<String, usize>;

impl Record {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// The reason, naming the member where there is one.
    pub(super) fn from_json(line: &[u8]) -> Result<Self, String> {
        if !line.starts_with(b"{") {
            return Err("the line is not a JSON object".to_owned());
        }
        match serde_json::from_slice(line) {
            Ok(record) => Ok(record),
            Err(_) => {
                let mut json = serde_json::Deserializer::from_slice(line);
                let tracked: Result<Self, _> = serde_path_to_error::deserialize(&mut json);
                Err(match tracked {
                    Err(error) if error.inner().is_data() && error.path().iter().next().is_some() => {
                        format!("{}: {}", error.path(), error.inner())
                    }
                    Err(error) => error.inner().to_string(),
                    Ok(_) => "there is more after the end of the object".to_owned(),
                })
            }
        }
    }

    /// Reads a line of CSV. Lists are separated by `;` or `|`.
    ///
    /// # Errors
    /// The reason, naming the column.
    pub(super) fn from_csv(columns: &Columns, row: &csv::StringRecord) -> Result<Self, String> {
        let text = |name: &str| {
            let value = columns.get(name).and_then(|i| row.get(*i)).map(str::trim);
            value.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let list = |name: &str| {
            text(name).map(|value| value.split([';', '|']).map(|part| part.trim().to_owned()).collect::<Vec<_>>())
        };
        fn number<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<Option<T>, String> {
            value.map(|value| value.parse().map_err(|_| format!("{name}: `{value}` is not a number"))).transpose()
        }
        let whole = |name: &str| number::<i64>(name, text(name));
        let price = |name: &str| number::<f64>(name, text(name)).map(|price| price.map(Price::Units));
        Ok(Self {
            source_id: text("source_id"),
            isbn13: text("isbn13").or_else(|| text("isbn")),
            title: text("title"),
            authors: list("authors"),
            subjects: list("subjects"),
            publisher: text("publisher"),
            year: whole("year")?,
            language: text("language"),
            pages: whole("pages")?,
            series: text("series"),
            description: text("description"),
            price: price("price")?,
            list_price: price("list_price")?,
            rating_avg: number("rating_avg", text("rating_avg"))?,
            rating_count: whole("rating_count")?,
            stock: whole("stock")?,
        })
    }

    /// Checks what the line says, and fills in what it leaves open.
    ///
    /// # Errors
    /// The reason why it cannot be taken, naming the member.
    pub(super) fn check(self, line: u64, currency: Currency) -> Result<Entry, String> {
        let mut warnings = 0;
        let title = required("title", self.title, draft::TITLE)?;
        let isbn13 = optional("isbn13", self.isbn13, 40)?
            .map(|text| Isbn13::parse(&text).map_err(|error| format!("isbn13: {error}")))
            .transpose()?;
        let source_id = match optional("source_id", self.source_id, draft::SOURCE_ID)? {
            Some(source_id) => source_id,
            None => isbn13
                .map(|isbn| format!("isbn:{isbn}"))
                .ok_or("source_id: missing, and there is no isbn13 to make one of")?,
        };
        let authors = names("authors", self.authors, draft::NAME, &mut warnings)?;
        let subjects = names("subjects", self.subjects, draft::SUBJECT, &mut warnings)?;
        within("year", self.year, draft::YEARS)?;
        within("pages", self.pages, draft::PAGES)?;
        within("stock", self.stock, 0..=draft::COPIES)?;
        within("rating_count", self.rating_count, 0..=i64::from(u32::MAX))?;
        if self.rating_avg.is_some_and(|average| !(0.0..=5.0).contains(&average)) {
            return Err("rating_avg: must be between 0 and 5".to_owned());
        }
        let language = self.language.filter(|text| !text.trim().is_empty()).and_then(|text| {
            let code = draft::language(&text);
            warnings += u64::from(code.is_none());
            code
        });
        let mut description = self.description.map(|text| multiline(&text)).filter(|text| !text.is_empty());
        if let Some(text) = &mut description
            && let Some((end, _)) = text.char_indices().nth(draft::DESCRIPTION)
        {
            text.truncate(end);
            warnings += 1;
        }
        let price =
            amount("price", self.price, currency)?.unwrap_or_else(|| estimate::price(&source_id, self.pages, currency));
        let list_price = amount("list_price", self.list_price, currency)?;
        if list_price.is_some_and(|list_price| list_price <= price) {
            warnings += 1;
        }
        let draft = Draft {
            source_id: Some(source_id.clone()),
            isbn13,
            title,
            authors,
            subjects,
            publisher: optional("publisher", self.publisher, draft::NAME)?,
            year: self.year,
            language,
            pages: self.pages,
            series: optional("series", self.series, draft::SERIES)?,
            description,
            price,
            list_price: list_price.filter(|list_price| *list_price > price),
        };
        let rating = Rating::new(self.rating_avg.unwrap_or_default(), self.rating_count.unwrap_or_default());
        let stock = self.stock.unwrap_or_else(|| estimate::stock(&source_id));
        let said = serde_json::to_vec(&(&draft, rating)).map_err(|error| error.to_string())?;
        Ok(Entry { line, source_id, draft, rating, stock, hash: Sha256::digest(said).to_vec(), warnings })
    }
}

/// One line without control characters.
fn line(text: &str) -> String {
    let cleaned: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cleaned.trim().to_owned()
}

fn multiline(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let cleaned: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    cleaned.trim().to_owned()
}

fn optional(field: &str, text: Option<String>, most: usize) -> Result<Option<String>, String> {
    let Some(text) = text.map(|text| line(&text)).filter(|text| !text.is_empty()) else { return Ok(None) };
    let length = text.chars().count();
    if length > most {
        return Err(format!("{field}: must be at most {most} characters, not {length}"));
    }
    Ok(Some(text))
}

fn required(field: &str, text: Option<String>, most: usize) -> Result<String, String> {
    optional(field, text, most)?.ok_or_else(|| format!("{field}: missing"))
}

/// The names of a list, each once. Names beyond the limit are left out with a warning: an anthology of a hundred
/// authors is still a book.
fn names(field: &str, list: Option<Vec<String>>, most: usize, warnings: &mut u64) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for name in list.unwrap_or_default() {
        names.extend(optional(field, Some(name), most)?);
    }
    let mut names = draft::distinct(names);
    *warnings += u64::from(names.len() > draft::NAMES);
    names.truncate(draft::NAMES);
    Ok(names)
}

fn within(field: &str, number: Option<i64>, range: std::ops::RangeInclusive<i64>) -> Result<(), String> {
    match number {
        Some(number) if !range.contains(&number) => {
            Err(format!("{field}: must be between {} and {}, not {number}", range.start(), range.end()))
        }
        _ => Ok(()),
    }
}

fn amount(field: &str, price: Option<Price>, currency: Currency) -> Result<Option<i64>, String> {
    let amount = match price {
        None => return Ok(None),
        Some(Price::Units(units)) => {
            let minor = (units * 10_f64.powi(currency.exponent() as i32)).round();
            if !minor.is_finite() || minor < 0.0 || minor > draft::PRICE as f64 {
                return Err(format!("{field}: must be between 0 and {} minor units", draft::PRICE));
            }
            minor as i64
        }
        Some(Price::Money(money)) if money.currency != currency => {
            return Err(format!("{field}: must be in {currency}, not {}", money.currency));
        }
        Some(Price::Money(money)) => money.amount,
    };
    within(field, Some(amount), 0..=draft::PRICE)?;
    Ok(Some(amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Entry, String> {
        Record::from_json(json.as_bytes())?.check(1, Currency::USD)
    }

    #[test]
    fn a_reason_names_the_member() {
        for (json, reason) in [
            (r#"{"source_id":"a"}"#, "title: missing"),
            (r#"{"source_id":"a","title":"  "}"#, "title: missing"),
            (r#"{"title":"A"}"#, "source_id: missing, and there is no isbn13 to make one of"),
            (
                r#"{"source_id":"a","title":"A","isbn13":"9780441478126"}"#,
                "isbn13: the check digit is wrong: expected 5",
            ),
            (r#"{"source_id":"a","title":"A","pages":0}"#, "pages: must be between 1 and 100000, not 0"),
            (r#"{"source_id":"a","title":"A","year":9999}"#, "year: must be between -5000 and 3000, not 9999"),
            (r#"{"source_id":"a","title":"A","price":-1}"#, "price: must be between 0 and 100000000 minor units"),
            (
                r#"{"source_id":"a","title":"A","price":{"amount":1,"currency":"EUR"}}"#,
                "price: must be in USD, not EUR",
            ),
            (r#"{"source_id":"a","title":"A","stock":-1}"#, "stock: must be between 0 and 1000000000, not -1"),
            (r#"{"source_id":"a","title":"A","rating_avg":7}"#, "rating_avg: must be between 0 and 5"),
        ] {
            assert_eq!(check(json).unwrap_err(), reason, "{json}");
        }
        for (json, start) in [
            (r#"{"source_id":"a","title":7}"#, "title: invalid type: integer"),
            (r#"{"source_id":"a","title":"A","pages":"many"}"#, "pages: invalid type: string"),
            (r#"{"source_id":"a","title":"A","authors":["x",1]}"#, "authors[1]: invalid type: integer"),
            (r#"{"source_id":"a","title":"A","price":"cheap"}"#, "price: must be a number"),
            ("{\"title\":", "EOF"),
            ("[]", "the line is not a JSON object"),
            ("{\"title\":\"A\"} {}", "there is more after the end"),
        ] {
            let reason = check(json).unwrap_err();
            assert!(reason.starts_with(start), "{json}: {reason}");
        }
        let long = "x".repeat(501);
        let reason = check(&format!(r#"{{"source_id":"a","title":"{long}"}}"#)).unwrap_err();
        assert_eq!(reason, "title: must be at most 500 characters, not 501");
    }

    #[test]
    fn what_is_left_open_is_filled_in_the_same_way_each_time() {
        let (one, two) =
            (check(r#"{"source_id":"a","title":"A"}"#).unwrap(), check(r#"{"source_id":"a","title":"A"}"#).unwrap());
        assert!(one.draft.price > 0 && (5..=50).contains(&one.stock));
        assert_eq!((one.draft.price, one.stock, &one.hash), (two.draft.price, two.stock, &two.hash));
        let from_isbn = check(r#"{"title":"A","isbn13":"0-441-47812-3"}"#).unwrap();
        assert_eq!(from_isbn.source_id, "isbn:9780441478125");
        let priced =
            check(r#"{"source_id":"a","title":"A","price":5.09,"list_price":{"amount":1299,"currency":"USD"}}"#);
        let priced = priced.unwrap().draft;
        assert_eq!((priced.price, priced.list_price), (509, Some(1299)));
    }

    #[test]
    fn the_hash_changes_with_what_is_said_and_not_with_the_stock() {
        let hash = |json| check(json).unwrap().hash;
        let base = hash(r#"{"source_id":"a","title":"A","stock":3}"#);
        assert_eq!(base, hash(r#"{"title":"A","source_id":"a","stock":4,"format":"Hardcover"}"#));
        assert_ne!(base, hash(r#"{"source_id":"a","title":"A.","stock":3}"#));
        assert_ne!(base, hash(r#"{"source_id":"a","title":"A","rating_avg":4.0,"rating_count":2}"#));
    }

    #[test]
    fn details_that_do_not_fit_are_left_out_with_a_warning() {
        let many: Vec<String> = (0..60).map(|i| format!("\"Author {i}\"")).collect();
        let entry = check(&format!(
            r#"{{"source_id":"a","title":"A\u0000 B","language":"Undetermined","authors":[{}],"description":"{}"}}"#,
            many.join(","),
            "d".repeat(20_001)
        ));
        let entry = entry.unwrap();
        assert_eq!((entry.warnings, entry.draft.authors.len(), entry.draft.language.as_deref()), (3, 50, None));
        assert_eq!(entry.draft.title, "A  B");
        assert_eq!(entry.draft.description.unwrap().len(), 20_000);
    }
}
