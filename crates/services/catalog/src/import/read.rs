//! Reads a file, record by record.

use std::sync::{Arc, atomic::AtomicU64};

use bookworm_kernel::Currency;
use encoding_rs::{Encoding, WINDOWS_1252};
use serde_json::Value;

use super::{
    ImportError,
    columns::{Columns, Field, Mapping, Program},
    objects::{self, Layout, Objects},
    record::{self, Cell, Entry, Reading, Record},
    report::{Note, Plan, Reject},
    rows::{self, DELIMITERS, Rows},
    source::{Lines, Source, Text, survey},
};

/// How a file is to be read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which column says what, where its name does not tell.
    pub mapping: Mapping,
    /// The file's encoding by a name of the WHATWG's list, where it cannot be guessed: `iso-8859-2`, `windows-1251`.
    pub encoding: Option<String>,
    /// Prices are dollars that only have to look plausible in the shop's currency: the demonstration catalogue.
    pub demonstration: bool,
}

/// A record that was read.
#[derive(Debug)]
pub(super) enum Item {
    Taken(Box<Entry>),
    Rejected(Box<Reject>),
}

enum Records {
    Rows(Rows),
    Objects(Objects),
}

/// A file that is being read.
pub(super) struct Reader {
    records: Records,
    columns: Columns,
    reading: Reading,
    format: String,
    encoding: String,
    /// The record before, while rows that belong to it may follow.
    pending: Option<Record>,
    /// A rejected row that was met while another record was pending.
    waiting: Option<Box<Reject>>,
    opened: bool,
    mapping: Mapping,
}

impl Reader {
    /// Opens a file and finds out what its columns say. `read` counts its bytes while it is read.
    ///
    /// # Errors
    /// When it cannot be read, is of another kind, or no column is the title.
    pub(super) fn open(
        source: &Source,
        options: &Options,
        currency: Currency,
        read: &Arc<AtomicU64>,
    ) -> Result<Self, ImportError> {
        options.mapping.check().map_err(ImportError::Format)?;
        let wanted = match &options.encoding {
            None => None,
            Some(name) => Some(Encoding::for_label(name.trim().as_bytes()).ok_or_else(|| {
                ImportError::Format(format!(
                    "`{name}` is no encoding; names are such as utf-8, windows-1252, iso-8859-2"
                ))
            })?),
        };
        let surveyed = survey(source, wanted)?;
        let name = source.name();
        let start = surveyed.head.trim_start_matches('\u{feff}').trim_start();
        let is_json =
            start.starts_with(['{', '[']) || [".jsonl", ".ndjson", ".json"].iter().any(|ending| name.ends_with(ending));
        let encoding = match (surveyed.encoding, surveyed.marked, wanted) {
            (encoding, true, _) => format!("{} with a byte order mark", encoding.name()),
            (encoding, _, Some(_)) => encoding.name().to_owned(),
            (encoding, ..) if encoding == WINDOWS_1252 => {
                "windows-1252 (Western European), since it is not UTF-8".to_owned()
            }
            (encoding, ..) => encoding.name().to_owned(),
        };
        let lines = Lines::open(source, surveyed.encoding, read).map_err(ImportError::Read)?;
        let reading = Reading { currency, demonstration: options.demonstration };
        let mut reader = Self {
            records: Records::Objects(Objects::new(lines, Layout::Lines)),
            columns: Columns::default(),
            reading,
            format: String::new(),
            encoding,
            pending: None,
            waiting: None,
            opened: false,
            mapping: options.mapping.clone(),
        };
        if is_json {
            reader.open_json(source, &surveyed.head, surveyed.encoding, &name, read)?;
        } else {
            reader.open_rows(source, &surveyed.head, surveyed.encoding, read)?;
        }
        Ok(reader)
    }

    fn open_json(
        &mut self,
        source: &Source,
        head: &str,
        encoding: &'static Encoding,
        name: &str,
        read: &Arc<AtomicU64>,
    ) -> Result<(), ImportError> {
        let layout = objects::layout(head, name);
        self.format = match layout {
            Layout::Lines => "JSON Lines".to_owned(),
            Layout::Depth(_) => "JSON".to_owned(),
        };
        let lines = Lines::open(source, encoding, read).map_err(ImportError::Read)?;
        self.records = Records::Objects(Objects::new(lines, layout));
        self.columns = Columns::open(None, &self.mapping);
        Ok(())
    }

    fn open_rows(
        &mut self,
        source: &Source,
        head: &str,
        encoding: &'static Encoding,
        read: &Arc<AtomicU64>,
    ) -> Result<(), ImportError> {
        let head = head.trim_start_matches('\u{feff}');
        let mut filled = head.split(['\n', '\r']).filter(|line| !line.trim().is_empty());
        let first = filled.next().unwrap_or_default();
        let named = rows::named_delimiter(first);
        let header = if named.is_some() { filled.next().unwrap_or_default() } else { first };
        // The delimiter that makes most sense of the header.
        let delimiter = named.unwrap_or_else(|| {
            let score = |delimiter: &char| {
                let names = rows::split(header, *delimiter);
                (Columns::of(&names, &self.mapping).understood(), names.len())
            };
            DELIMITERS.into_iter().rev().max_by_key(score).unwrap_or(',')
        });
        let lines = Lines::open(source, encoding, read).map_err(ImportError::Read)?;
        let mut rows = Rows::new(lines, delimiter);
        if named.is_some() {
            self.skip_named(&mut rows)?;
        }
        self.format = match delimiter {
            ',' => "CSV, separated by commas".to_owned(),
            ';' => "CSV, separated by semicolons".to_owned(),
            '\t' => "CSV, separated by tabs".to_owned(),
            '|' => "CSV, separated by vertical bars".to_owned(),
            other => format!("CSV, separated by `{other}`"),
        };
        rows.expect(rows::split(header, delimiter).len());
        let names = match rows.next().map_err(ImportError::Read)? {
            // An empty file has no records, and nothing is wrong with them.
            None => {
                self.records = Records::Rows(rows);
                return Ok(());
            }
            Some(row) => row.values.unwrap_or_else(|_| rows::split(&row.text, delimiter)),
        };
        let mut names: Vec<String> =
            names.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        // Excel leaves empty columns at the end.
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        rows.expect(names.len());
        self.columns = Columns::of(&names, &self.mapping);
        if let Some((field, column)) = self.columns.missing() {
            return Err(ImportError::Column {
                field: field.name(),
                column: column.to_owned(),
                columns: named_columns(&names),
            });
        }
        if !self.columns.has(Field::Title) {
            return Err(ImportError::Header { columns: named_columns(&names), names });
        }
        self.records = Records::Rows(rows);
        self.opened = true;
        Ok(())
    }

    fn skip_named(&self, rows: &mut Rows) -> Result<(), ImportError> {
        while let Some(line) = rows.line().map_err(ImportError::Read)? {
            if matches!(line.text, Text::Good(text) if !text.trim().is_empty()) {
                break;
            }
        }
        Ok(())
    }

    /// How the file was understood, as far as it has been read.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            format: self.format.clone(),
            encoding: self.encoding.clone(),
            program: self.columns.program,
            columns: self.columns.uses(),
        }
    }

    /// Whether any column says what a book costs.
    pub(super) fn has_prices(&self) -> bool {
        self.columns.has(Field::Price) || self.columns.has(Field::SalePrice)
    }

    /// Whether any column says how many copies there are.
    pub(super) fn has_stock(&self) -> bool {
        self.columns.has(Field::Stock)
    }

    /// The next record.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub(super) fn next(&mut self) -> Result<Option<Item>, ImportError> {
        loop {
            if let Some(reject) = self.waiting.take() {
                return Ok(Some(Item::Rejected(reject)));
            }
            let record = match self.read()? {
                None => return Ok(self.pending.take().map(|record| self.finish(&record))),
                Some(Err(reject)) => {
                    let Some(pending) = self.pending.take() else { return Ok(Some(Item::Rejected(reject))) };
                    self.waiting = Some(reject);
                    return Ok(Some(self.finish(&pending)));
                }
                Some(Ok(record)) => record,
            };
            if !self.may_continue() {
                return Ok(Some(self.finish(&record)));
            }
            let Some(mut pending) = self.pending.take() else {
                self.pending = Some(record);
                continue;
            };
            if self.continues(&pending, &record) {
                self.join(&mut pending, &record);
                self.pending = Some(pending);
                continue;
            }
            self.pending = Some(record);
            return Ok(Some(self.finish(&pending)));
        }
    }

    /// Programs that write one product in several rows.
    fn may_continue(&self) -> bool {
        matches!(self.columns.program, Some(Program::Shopify | Program::WooCommerce))
    }

    /// Whether a row belongs to the record before it.
    fn continues(&self, pending: &Record, record: &Record) -> bool {
        let blank = |place: Option<usize>| place.is_none_or(|place| record.is_blank(place));
        match self.columns.program {
            Some(Program::Shopify) => {
                let handle = self.columns.of_field(Field::SourceId).first().copied();
                let same = handle.is_some_and(|place| record.text(place) == pending.text(place));
                same && blank(self.columns.of_field(Field::Title).first().copied())
            }
            Some(Program::WooCommerce) => {
                let kind = self.columns.by_key("type").map(|place| record.text(place).to_lowercase());
                kind.is_some_and(|kind| kind == "variation")
            }
            _ => false,
        }
    }

    /// Another picture or variant of the product in `pending`.
    fn join(&self, pending: &mut Record, record: &Record) {
        let price = self.columns.of_field(Field::Price).into_iter().find(|place| !record.is_blank(*place));
        if let Some(place) = price {
            let value = record.text(place);
            let first = pending.text(place);
            if !first.is_empty() && first != value && pending.notes.len() < 100 {
                let column = self.columns.names.get(place).cloned();
                let message =
                    "another variant of the book above; a book has one price here, so the variant is left out";
                pending.notes.push(Note::new(record.line, column, &value, message));
            }
        }
        pending.fill(record);
    }

    fn finish(&mut self, record: &Record) -> Item {
        for (place, _) in &record.cells {
            let example = record.text(*place);
            self.columns.show(*place, &example);
        }
        match record::check(record, &self.columns, self.reading) {
            Ok(entry) => Item::Taken(Box::new(entry)),
            Err(reject) => Item::Rejected(reject),
        }
    }

    /// The next record as it stands in the file, or why it cannot be read.
    fn read(&mut self) -> Result<Option<Result<Record, Box<Reject>>>, ImportError> {
        match &mut self.records {
            Records::Rows(rows) => loop {
                let Some(row) = rows.next().map_err(ImportError::Read)? else { return Ok(None) };
                let values = match row.values {
                    Ok(values) => values,
                    Err(reason) => return Ok(Some(Err(Box::new(Reject::new(row.line, None, "", reason, &row.text))))),
                };
                let cells = values.into_iter().enumerate().map(|(place, value)| (place, Cell::Text(value)));
                let record = Record { line: row.line, cells: cells.collect(), text: row.text, notes: Vec::new() };
                // A row of delimiters alone is a blank line: Excel writes many.
                if !record.cells.iter().all(|(_, cell)| matches!(cell, Cell::Text(text) if text.trim().is_empty())) {
                    return Ok(Some(Ok(record)));
                }
            },
            Records::Objects(objects) => {
                let Some(object) = objects.next().map_err(ImportError::Read)? else { return Ok(None) };
                let reject = |reason: String, text: &str| {
                    Ok(Some(Err(Box::new(Reject::new(object.line, None, "", reason, text)))))
                };
                let text = match &object.text {
                    Ok(text) => text,
                    Err((reason, text)) => return reject(reason.clone(), text),
                };
                match serde_json::from_str::<Value>(text) {
                    Ok(Value::Object(members)) => {
                        if !self.opened {
                            self.opened = true;
                            let program = Columns::recognise(members.keys().map(String::as_str));
                            self.columns = Columns::open(program, &self.mapping);
                        }
                        let columns = &mut self.columns;
                        let cells = members
                            .into_iter()
                            .filter_map(|(name, value)| Some((columns.place(&name)?, Cell::Json(value))))
                            .collect();
                        let record = Record { line: object.line, cells, text: text.clone(), notes: Vec::new() };
                        Ok(Some(Ok(record)))
                    }
                    Ok(_) => reject("must be a JSON object".to_owned(), text),
                    Err(error) => {
                        // Its own line is counted from the record's beginning.
                        let (line, column) = (object.line + error.line().max(1) as u64 - 1, error.column());
                        let message = error.to_string();
                        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
                        let what = if text.starts_with('{') { "is no valid JSON" } else { "must be a JSON object" };
                        reject(format!("{what}: {message} (line {line}, character {column})"), text)
                    }
                }
            }
        }
    }
}

/// Names of columns as a list for a message.
fn named_columns(names: &[String]) -> String {
    let mut list: Vec<String> =
        names.iter().take(30).map(|name| format!("`{}`", name.chars().take(40).collect::<String>())).collect();
    if names.len() > 30 {
        list.push(format!("{} more", names.len() - 30));
    }
    list.join(", ")
}
