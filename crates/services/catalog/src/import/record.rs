//! One record of a file: what it says, and what is made of it.

use bookworm_kernel::{Currency, InvalidAmount, Isbn13, Language, Money};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    columns::{Columns, Field, Program},
    report::{Note, Reject},
    values::{self, line},
};
use crate::domain::{Draft, Rating, author, draft, volume};

/// What stands in one column.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Text(String),
    Json(Value),
}

/// A record as it was read.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The line where it begins.
    pub(super) line: u64,
    /// Values by their columns.
    pub(super) cells: Vec<(usize, Cell)>,
    /// As it stands in the file.
    pub(super) text: String,
    /// What was noticed when it was put together.
    pub(super) notes: Vec<Note>,
}

/// A record that can be written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) line: u64,
    pub(super) source_id: String,
    pub(super) draft: Draft,
    /// The file says what it costs; without, the price of a book that is there stays.
    pub(super) priced: bool,
    pub(super) rating: Rating,
    /// Copies of a new book; `None` when the file does not say.
    pub(super) stock: Option<i64>,
    /// SHA-256 of what the record says about the book.
    pub(super) hash: Vec<u8>,
    pub(super) notes: Vec<Note>,
}

/// How values are to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) currency: Currency,
    /// Prices are dollars that only have to look plausible: the demonstration catalogue in any currency.
    pub(super) demonstration: bool,
}

/// A value of a record with the column it is from.
#[derive(Debug, Clone)]
struct CellValue {
    place: usize,
    text: String,
    /// An element of a JSON array: a whole name.
    element: bool,
}

impl Record {
    fn values(&self, place: usize) -> Vec<CellValue> {
        let Some((_, cell)) = self.cells.iter().find(|(known, _)| *known == place) else { return Vec::new() };
        let mut all = Vec::new();
        match cell {
            Cell::Text(text) => all.push(CellValue { place, text: values::clean(text), element: false }),
            Cell::Json(value) => flatten(value, &mut |text, element| {
                all.push(CellValue { place, text: values::clean(text), element });
            }),
        }
        all.retain(|found| !found.text.is_empty());
        all
    }

    /// Whether a column says nothing.
    pub(super) fn is_blank(&self, place: usize) -> bool {
        self.values(place).is_empty()
    }

    /// The text of a column; empty when it has none.
    pub(super) fn text(&self, place: usize) -> String {
        self.values(place).into_iter().next().map(|found| found.text).unwrap_or_default()
    }

    /// Takes over what another record says where this one says nothing: the rows of one product.
    pub(super) fn fill(&mut self, other: &Self) {
        for (place, cell) in &other.cells {
            if self.is_blank(*place) {
                self.cells.retain(|(known, _)| known != place);
                self.cells.push((*place, cell.clone()));
            }
        }
    }
}

/// The texts in a value of JSON. Of an object with a name, the name; of others, every value.
fn flatten(value: &Value, take: &mut impl FnMut(&str, bool)) {
    fn inner(value: &Value, element: bool, depth: usize, take: &mut impl FnMut(&str, bool)) {
        if depth > 4 {
            return;
        }
        match value {
            Value::Null => {}
            Value::Bool(truth) => take(if *truth { "true" } else { "false" }, element),
            Value::Number(number) => take(&number.to_string(), element),
            Value::String(text) => take(text, element),
            Value::Array(list) => list.iter().for_each(|value| inner(value, true, depth + 1, take)),
            Value::Object(members) => {
                let name = ["fl", "name", "title", "value", "lf"].iter().find_map(|key| members.get(*key)?.as_str());
                match name {
                    Some(name) => take(name, true),
                    None => members.values().for_each(|value| inner(value, true, depth + 1, take)),
                }
            }
        }
    }
    inner(value, false, 0, take);
}

/// A record on its way to becoming a book.
struct Maker<'a> {
    record: &'a Record,
    columns: &'a Columns,
    notes: Vec<Note>,
}

impl Maker<'_> {
    /// Every value of a field, those of the column that counts first before the others.
    fn all(&self, field: Field) -> Vec<CellValue> {
        let mut all: Vec<CellValue> =
            self.columns.of_field(field).into_iter().flat_map(|place| self.record.values(place)).collect();
        all.extend(self.attributes(field));
        all
    }

    fn first(&self, field: Field) -> Option<CellValue> {
        self.all(field).into_iter().next()
    }

    /// WooCommerce keeps authors and publishers in attributes: a column with the name, and one with the value.
    fn attributes(&self, field: Field) -> Vec<CellValue> {
        if self.columns.program != Some(Program::WooCommerce) {
            return Vec::new();
        }
        let names = self.columns.attributes();
        names
            .filter(|(name, _)| Columns::generic(&self.record.text(*name)) == Some(field))
            .flat_map(|(_, value)| self.record.values(value))
            .collect()
    }

    fn name(&self, place: usize) -> String {
        self.columns.names.get(place).cloned().unwrap_or_default()
    }

    fn note(&mut self, found: &CellValue, message: impl Into<String>) {
        let column = Some(self.name(found.place));
        self.notes.push(Note::new(self.record.line, column, &found.text, message));
    }

    fn reject(&self, found: Option<&CellValue>, field: Field, message: impl Into<String>) -> Reject {
        let column = found.map_or_else(|| field.name().to_owned(), |found| self.name(found.place));
        let value = found.map(|found| found.text.as_str()).unwrap_or_default();
        Reject::new(self.record.line, Some(column), value, message, &self.record.text)
    }

    /// A text of one line that has a limit; a longer one is left out.
    fn short(&mut self, field: Field, most: usize) -> Option<String> {
        let found = self.first(field)?;
        let text = line(&found.text);
        let length = text.chars().count();
        if length > most {
            self.note(
                &found,
                format!("has {length} characters; at most {most} are stored for a {}; left out", field.name()),
            );
            return None;
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// The names of a list, each once; those that are too long or too many are left out.
    fn names(&mut self, fields: &[Field], most: usize, split: impl Fn(&CellValue) -> Vec<String>) -> Vec<String> {
        let found: Vec<CellValue> = fields.iter().flat_map(|field| self.all(*field)).collect();
        let mut names = Vec::new();
        for one in &found {
            for name in split(one) {
                let name = line(&name);
                let length = name.chars().count();
                if length > most {
                    self.note(one, format!("has {length} characters; a name has at most {most}; left out"));
                } else if !name.is_empty() {
                    names.push(name);
                }
            }
        }
        let mut names = draft::distinct(names);
        if names.len() > draft::NAMES
            && let Some(one) = found.first()
        {
            self.note(one, format!("{} names; the first {} are kept", names.len(), draft::NAMES));
        }
        names.truncate(draft::NAMES);
        names
    }

    /// A number that says how the book is: outside its range it is left out.
    fn number(
        &mut self,
        field: Field,
        range: std::ops::RangeInclusive<i64>,
        read: fn(&str) -> Option<i64>,
        like: &str,
    ) -> Option<i64> {
        let found = self.first(field)?;
        match read(&found.text) {
            Some(number) if range.contains(&number) => Some(number),
            // Programs write 0 for what they do not know.
            Some(0) => {
                self.note(&found, format!("says nothing; write it like {like}; left out"));
                None
            }
            Some(_) => {
                self.note(&found, format!("must be between {} and {}; left out", range.start(), range.end()));
                None
            }
            None => {
                self.note(&found, format!("is not understood; write it like {like}; left out"));
                None
            }
        }
    }
}

/// Makes a book of a record.
///
/// # Errors
/// Why it cannot be taken.
pub(super) fn check(record: &Record, columns: &Columns, reading: Reading) -> Result<Entry, Box<Reject>> {
    let mut make = Maker { record, columns, notes: record.notes.clone() };
    let program = columns.program;
    let (title, from_title) = title(&make, program)?;
    let (isbn13, uid) = isbn(&make, program)?;
    let source_id = source_id(&make, isbn13, uid, program)?;
    let authors = authors(&mut make, program);
    let subjects = make.names(&[Field::Subjects], draft::SUBJECT, |found| subjects(found, program));
    let publisher = publisher(&mut make, program);
    let year = year(&mut make);
    let language = language(&mut make);
    let pages = make.number(Field::Pages, draft::PAGES, values::pages, "300");
    let series = make.short(Field::Series, draft::SERIES).or(from_title);
    // Of several volumes in one (`1-3`) there is none.
    let position = make.first(Field::SeriesPosition).and_then(|found| volume::position(&found.text));
    let series_position = series.as_deref().and_then(|series| position.or_else(|| volume::position_in_name(series)));
    let description = description(&mut make);
    let (price, list_price) = prices(&mut make, reading)?;
    let hidden = [Field::ForSale]
        .iter()
        .flat_map(|field| make.all(*field))
        .find(|found| values::truth(&found.text) == Some(false));
    if let Some(found) = &hidden {
        make.note(found, "the book is not on sale there: taken as not for sale");
    }
    let stock = stock(&mut make);
    let rating = rating(&mut make);
    let draft = Draft {
        source_id: Some(source_id.clone()),
        isbn13,
        title,
        authors,
        subjects,
        publisher,
        year,
        language,
        pages,
        series,
        series_position,
        description,
        price: price.unwrap_or_default(),
        list_price,
        for_sale: price.is_some() && hidden.is_none(),
    };
    let content = serde_json::to_vec(&(&draft, &rating));
    let content = content.map_err(|error| Box::new(make.reject(None, Field::Title, error.to_string())))?;
    Ok(Entry {
        line: record.line,
        source_id,
        draft,
        priced: price.is_some(),
        rating,
        stock,
        hash: Sha256::digest(content).to_vec(),
        notes: make.notes,
    })
}

/// The title, and the series that Goodreads writes behind it: `Dune (Dune Chronicles, #1)`.
fn title(make: &Maker<'_>, program: Option<Program>) -> Result<(String, Option<String>), Box<Reject>> {
    let found = make.columns.of_field(Field::Title).into_iter().find_map(|place| {
        let (_, cell) = make.record.cells.iter().find(|(known, _)| *known == place)?;
        match cell {
            Cell::Json(Value::Object(_) | Value::Array(_) | Value::Bool(_)) => {
                Some(Err(CellValue { place, text: make.record.text(place), element: false }))
            }
            _ => make.record.values(place).into_iter().next().map(Ok),
        }
    });
    let found = match found {
        Some(Ok(found)) => found,
        Some(Err(found)) => return Err(Box::new(make.reject(Some(&found), Field::Title, "must be a text"))),
        None => return Err(Box::new(make.reject(None, Field::Title, "missing"))),
    };
    let title = line(&found.text);
    let length = title.chars().count();
    if title.is_empty() {
        return Err(Box::new(make.reject(None, Field::Title, "missing")));
    }
    if length > draft::TITLE {
        let message = format!("must be at most {} characters, not {length}", draft::TITLE);
        return Err(Box::new(make.reject(Some(&found), Field::Title, message)));
    }
    if program == Some(Program::Goodreads)
        && let Some((name, series)) = title.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("))
        && series.contains('#')
        && !name.trim().is_empty()
    {
        let series = series.replace(", #", " #").replace(" #", ", ");
        return Ok((name.trim().to_owned(), Some(series)));
    }
    Ok((title, None))
}

/// The ISBN, and what StoryGraph writes where a book has none.
fn isbn(make: &Maker<'_>, program: Option<Program>) -> Result<(Option<Isbn13>, Option<String>), Box<Reject>> {
    let mut wrong = None;
    for found in make.all(Field::Isbn13) {
        match Isbn13::parse(&found.text) {
            Ok(isbn) => return Ok((Some(isbn), None)),
            Err(error) => {
                // Several in one value.
                let parts = values::parts(&found.text, &[',', ';', '|', '/']);
                if let Some(isbn) = parts.iter().find_map(|part| Isbn13::parse(part).ok()) {
                    return Ok((Some(isbn), None));
                }
                wrong.get_or_insert((found, error));
            }
        }
    }
    match wrong {
        None => Ok((None, None)),
        Some((found, _)) if program == Some(Program::StoryGraph) => Ok((None, Some(found.text))),
        // Shops put numbers of all kinds there.
        Some((found, bookworm_kernel::InvalidIsbn::Length | bookworm_kernel::InvalidIsbn::Prefix))
            if matches!(program, Some(Program::Shopify | Program::WooCommerce)) && !found.text.contains(['e', 'E']) =>
        {
            Ok((None, None))
        }
        Some((found, error)) => Err(Box::new(make.reject(Some(&found), Field::Isbn13, error.to_string()))),
    }
}

fn source_id(
    make: &Maker<'_>,
    isbn13: Option<Isbn13>,
    uid: Option<String>,
    program: Option<Program>,
) -> Result<String, Box<Reject>> {
    let found = make.first(Field::SourceId);
    let key = found.as_ref().map(|found| line(&found.text)).or(uid).filter(|key| !key.is_empty());
    let Some(key) = key else {
        let missing = "missing, and there is no isbn13 to make one of";
        return isbn13
            .map(|isbn| format!("isbn:{isbn}"))
            .ok_or_else(|| Box::new(make.reject(None, Field::SourceId, missing)));
    };
    let key = match program {
        Some(program) => format!("{}:{key}", program.name().to_lowercase()),
        None => key,
    };
    let length = key.chars().count();
    if length > draft::SOURCE_ID {
        let message = format!("must be at most {} characters, not {length}", draft::SOURCE_ID);
        return Err(Box::new(make.reject(found.as_ref(), Field::SourceId, message)));
    }
    Ok(key)
}

fn authors(make: &mut Maker<'_>, program: Option<Program>) -> Vec<String> {
    let by_commas = matches!(program, Some(Program::Goodreads | Program::StoryGraph));
    let names = make.names(&[Field::Authors, Field::MoreAuthors], draft::NAME, |found| {
        if found.element {
            vec![found.text.clone()]
        } else if by_commas {
            values::parts(&found.text, &[',', ';'])
        } else {
            values::people(&found.text)
        }
    });
    let mut seen = std::collections::HashSet::new();
    let natural = names.iter().map(|name| author::natural(name));
    natural.filter(|name| seen.insert(author::identity(name))).collect()
}

/// Shelves that say what a reader did with a book, not what it is about.
const SHELVES: [&str; 8] =
    ["read", "to-read", "currently-reading", "owned", "favorites", "favourites", "wishlist", "did-not-finish"];

fn subjects(found: &CellValue, program: Option<Program>) -> Vec<String> {
    match program {
        _ if found.element => vec![found.text.clone()],
        Some(Program::Goodreads) => {
            let all = values::parts(&found.text, &[',']);
            all.into_iter().filter(|shelf| !SHELVES.contains(&shelf.to_lowercase().as_str())).collect()
        }
        Some(Program::StoryGraph | Program::Shopify) => values::parts(&found.text, &[',']),
        Some(Program::LibraryThing) => values::parts(&found.text, &[',', '|', ';']),
        // "Books > Fiction, Books > Crime": the last step of each path.
        Some(Program::WooCommerce) => {
            let all = values::parts(&found.text, &[',']);
            all.iter().map(|path| path.rsplit('>').next().unwrap_or_default().trim().to_owned()).collect()
        }
        None => values::parts(&found.text, &[';', '|']),
    }
}

fn publisher(make: &mut Maker<'_>, program: Option<Program>) -> Option<String> {
    let publisher = make.short(Field::Publisher, draft::NAME)?;
    if program != Some(Program::LibraryThing) {
        return Some(publisher);
    }
    // "Ace (1987), Edition: Reissue, 304 pages"; often the place comes first: "New York : Ace, 1987".
    let name = publisher.split([',', '(']).next().unwrap_or_default();
    let name = name.rsplit(" : ").next().unwrap_or_default().trim();
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// The first year that makes sense, of the columns that have one.
fn year(make: &mut Maker<'_>) -> Option<i64> {
    let all = make.all(Field::Year);
    let found =
        all.iter().find_map(|found| values::year(&found.text).filter(|year| *year != 0 && draft::YEARS.contains(year)));
    if let (None, Some(first)) = (found, all.first()) {
        make.note(first, "is no year between -5000 and 3000; write it like 1999; left out");
    }
    found
}

fn language(make: &mut Maker<'_>) -> Option<String> {
    let found = make.first(Field::Language)?;
    if let Ok(language) = Language::parse(&found.text) {
        return Some(language.tag().to_owned());
    }
    let several = values::parts(&found.text, &[',', ';', '|', '/', '&']);
    let first = several.first().and_then(|first| Language::parse(first).ok());
    match first.filter(|_| several.len() > 1) {
        Some(language) => {
            make.note(&found, format!("a book has one language here; taken as {}", language.name()));
            Some(language.tag().to_owned())
        }
        None => {
            make.note(&found, "is not known as a language; write it like en, eng or English; left out");
            None
        }
    }
}

fn description(make: &mut Maker<'_>) -> Option<String> {
    let found = make.first(Field::Description)?;
    let mut text = values::prose(&found.text);
    if let Some((end, _)) = text.char_indices().nth(draft::DESCRIPTION) {
        text.truncate(end);
        make.note(&found, format!("longer than {} characters; the rest is left out", draft::DESCRIPTION));
    }
    Some(text).filter(|text| !text.is_empty())
}

/// Price and list price in minor units.
fn prices(make: &mut Maker<'_>, reading: Reading) -> Result<(Option<i64>, Option<i64>), Box<Reject>> {
    let currency = reading.currency;
    if let Some(found) = make.first(Field::Currency)
        && !found.text.eq_ignore_ascii_case(currency.code())
        && found.text != currency.symbol()
    {
        let message = format!("must be {currency}, the shop's currency");
        return Err(Box::new(make.reject(Some(&found), Field::Currency, message)));
    }
    let sale = amount(make, Field::SalePrice, reading)
        .map_err(|(found, why)| Box::new(make.reject(Some(&found), Field::SalePrice, why)))?;
    let price = amount(make, Field::Price, reading)
        .map_err(|(found, why)| Box::new(make.reject(Some(&found), Field::Price, why)))?;
    let list = match amount(make, Field::ListPrice, reading) {
        Ok(list) => list,
        Err((found, why)) => {
            make.note(&found, format!("{why}; left out"));
            None
        }
    };
    let (price, before) = match (sale, price) {
        (Some(sale), regular) => (Some(sale), list.or(regular)),
        (None, price) => (price, list),
    };
    let price = price.map(|(amount, _)| amount);
    let before = match (price, before) {
        (Some(price), Some((amount, found))) if amount <= price => {
            // Many programs repeat the price there.
            if amount < price {
                make.note(&found, "is not higher than the price; left out");
            }
            None
        }
        (Some(_), Some((amount, _))) => Some(amount),
        _ => None,
    };
    Ok((price, before))
}

type Amount = Option<(i64, CellValue)>;

fn amount(make: &Maker<'_>, field: Field, reading: Reading) -> Result<Amount, (CellValue, String)> {
    let Some((place, cell)) = make.columns.of_field(field).into_iter().find_map(|place| {
        let (_, cell) = make.record.cells.iter().find(|(known, _)| *known == place)?;
        (!make.record.is_blank(place)).then_some((place, cell))
    }) else {
        return Ok(None);
    };
    let currency = reading.currency;
    let sample = currency.sample();
    let found = |text: String| CellValue { place, text, element: false };
    let amount = match cell {
        Cell::Json(Value::Number(number)) => {
            let found = found(number.to_string());
            let units = number.as_f64().unwrap_or(f64::NAN);
            if reading.demonstration {
                return Ok(Some((currency.about((units * 100.0).round() as i64), found)));
            }
            let minor = units * 10_f64.powi(currency.exponent() as i32);
            if minor < 0.0 || !minor.is_finite() || minor > draft::PRICE as f64 {
                return Err((found, out_of_range(currency)));
            }
            // Numbers of JSON are binary: 12.99 is not exactly that.
            if (minor - minor.round()).abs() > 1e-6 {
                return Err((found, format!("has more decimals than {} has; write it like {sample}", currency.code())));
            }
            (minor.round() as i64, found)
        }
        Cell::Json(value @ Value::Object(members)) => {
            let found = found(value.to_string().chars().take(200).collect());
            let money = serde_json::from_value::<Money>(Value::Object(members.clone()));
            match money {
                Ok(money) if money.currency == currency => (money.amount, found),
                Ok(money) => return Err((found, format!("must be in {currency}, not {}", money.currency))),
                Err(_) => {
                    let message = format!(
                        "must be a number such as {sample}, or {{\"amount\": 1299, \"currency\": \"{}\"}}",
                        currency.code()
                    );
                    return Err((found, message));
                }
            }
        }
        _ => {
            let found = found(make.record.text(place));
            let money = currency.parse_amount(&found.text).map_err(|error| {
                let code = currency.code();
                let why = match error {
                    InvalidAmount::NotAnAmount(_) => format!("is no amount in {code}; write it like {sample}"),
                    InvalidAmount::TooManyDecimals(_) => {
                        format!("has more decimals than {code} has; write it like {sample}")
                    }
                    InvalidAmount::TooLarge => "is too large".to_owned(),
                };
                (found.clone(), why)
            })?;
            (money.amount, found)
        }
    };
    if !(0..=draft::PRICE).contains(&amount.0) {
        return Err((amount.1, out_of_range(currency)));
    }
    Ok(Some(amount))
}

fn out_of_range(currency: Currency) -> String {
    format!("must be between {} and {}", Money::new(0, currency), Money::new(draft::PRICE, currency))
}

/// Copies of a new book.
fn stock(make: &mut Maker<'_>) -> Option<i64> {
    let found = make.first(Field::Stock)?;
    match values::whole(&found.text) {
        Some(copies) if (0..=draft::COPIES).contains(&copies) => Some(copies),
        Some(copies) if copies < 0 => {
            make.note(&found, "fewer than none; taken as 0 copies");
            Some(0)
        }
        Some(_) => {
            make.note(&found, format!("must be between 0 and {}; taken as 0 copies", draft::COPIES));
            None
        }
        None => {
            make.note(&found, "is no number of copies; write it like 12; taken as 0 copies");
            None
        }
    }
}

fn rating(make: &mut Maker<'_>) -> Rating {
    let average = make.first(Field::RatingAvg).and_then(|found| {
        let average = values::decimal(&found.text).filter(|average| (0.0..=5.0).contains(average));
        if average.is_none() {
            make.note(&found, "must be between 0 and 5; left out");
        }
        average
    });
    let count = make.first(Field::RatingCount).and_then(|found| {
        let count = values::whole(&found.text).filter(|count| (0..=i64::from(u32::MAX)).contains(count));
        if count.is_none() {
            make.note(&found, "must be a whole number; left out");
        }
        count
    });
    let source = make.short(Field::RatingSource, draft::RATING_SOURCE);
    Rating::new(average.unwrap_or_default(), count.unwrap_or_default(), source)
}
