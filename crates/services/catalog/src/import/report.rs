//! What an import says of a file and its records.

use serde::{Deserialize, Serialize};

use super::columns::{ColumnUse, Program};

/// How much of a value and of a record is repeated, in characters.
const SHOWN: usize = 200;
const SHOWN_RECORD: usize = 4_000;

/// What was left out or taken otherwise than it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The line where the record begins.
    pub line: u64,
    /// The column, as the file names it.
    pub column: Option<String>,
    /// What stands there.
    pub value: String,
    /// What is wrong with it, what would be right, and what was done.
    pub message: String,
}

impl Note {
    pub(super) fn new(line: u64, column: Option<String>, value: &str, message: impl Into<String>) -> Self {
        Self { line, column, value: shown(value, SHOWN), message: message.into() }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", {column}")?;
        }
        if !self.value.is_empty() {
            write!(f, " `{}`", self.value)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A record that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Where, and why.
    pub note: Note,
    /// The record as it stands in the file; a long one is cut.
    pub text: String,
}

impl Reject {
    pub(super) fn new(line: u64, column: Option<String>, value: &str, message: impl Into<String>, text: &str) -> Self {
        Self { note: Note::new(line, column, value, message), text: shown(text, SHOWN_RECORD) }
    }

    /// The column and what is wrong.
    #[must_use]
    pub fn reason(&self) -> String {
        match (&self.note.column, self.note.value.as_str()) {
            (None, _) => self.note.message.clone(),
            (Some(column), "") => format!("{column}: {}", self.note.message),
            (Some(column), value) => format!("{column}: `{value}` {}", self.note.message),
        }
    }
}

fn shown(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How a file was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// `CSV, separated by semicolons`, `JSON Lines`.
    pub format: String,
    /// How its letters are encoded.
    pub encoding: String,
    /// The program that wrote it, when it is known by its columns.
    pub program: Option<Program>,
    /// What each column was understood as.
    pub columns: Vec<ColumnUse>,
}

impl Plan {
    /// Columns that say nothing that a shop needs, or that were not understood.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|column| column.field.is_none()).map(|column| column.name.as_str())
    }
}
