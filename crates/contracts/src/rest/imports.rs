//! Books from a file, uploaded by staff.

use std::collections::BTreeMap;

use bookworm_kernel::{Money, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A file of books: uploaded, checked by a dry run, then imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// The import.
    pub id: Uuid,
    /// The file's name.
    pub filename: String,
    /// Its size in bytes.
    pub size: i64,
    /// How far it is.
    pub status: ImportStatus,
    /// Who uploaded it: a name.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// What was written so far. Exact: it is stored in the same transaction as the books.
    pub progress: ImportProgress,
    /// Columns that staff named: field to column.
    pub mapping: BTreeMap<String, String>,
    /// What an import would do (`ready`), or what it did (`done`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<ImportSummary>,
    /// Why the file cannot be read, or why the import stopped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// A dry run is under way, or about to start.
    Checking,
    /// It cannot be read, or no column is the title; naming columns may help.
    Unreadable,
    /// It was checked, and waits for somebody to start it.
    Ready,
    /// It will start as soon as the import before it is finished.
    Queued,
    /// Its books are being written.
    Running,
    /// All its books are written.
    Done,
    /// It stopped. What was written before stays, and starting it again goes on from there.
    Failed,
    /// Staff cancelled it. What was written before stays, and starting it again goes on from there.
    Cancelled,
}

/// What an import has written so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ImportProgress {
    /// Records dealt with.
    pub records: u64,
    /// Books that are new.
    pub added: u64,
    /// Books that changed.
    pub changed: u64,
    /// Books that stayed as they were.
    pub unchanged: u64,
    /// Records that could not be used.
    pub rejected: u64,
    /// How much of the file was read, in percent.
    pub percent: u64,
}

/// What an import does, or did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportSummary {
    /// `CSV, separated by semicolons`.
    pub format: String,
    /// How its letters are encoded.
    pub encoding: String,
    /// The program that wrote it, when it is known by its columns.
    #[serde(default)]
    pub program: Option<String>,
    /// What each column was understood as.
    pub columns: Vec<ImportColumn>,
    /// Records of the file.
    pub records: u64,
    /// Books that are new.
    pub added: u64,
    /// Books that change.
    pub changed: u64,
    /// Books that stay as they are.
    pub unchanged: u64,
    /// Records that cannot be used.
    pub rejected: u64,
    /// Details that were left out or taken otherwise.
    pub adjusted: u64,
    /// New books without a price: not for sale.
    pub not_for_sale: u64,
    /// New books of which the file does not say how many there are: no copies.
    pub without_stock: u64,
    /// Whether any column says what books cost.
    pub has_prices: bool,
    /// Whether any column says how many copies there are.
    pub has_stock: bool,
    /// The first rejected records, at most 50.
    pub rejects: Vec<ImportNote>,
    /// The first adjustments, at most 50.
    pub notes: Vec<ImportNote>,
    /// The first books, as they were understood.
    pub samples: Vec<ImportSample>,
}

/// A column of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportColumn {
    /// As the file names it.
    pub name: String,
    /// What it says of a book; null when it is ignored.
    #[serde(default)]
    pub field: Option<String>,
    /// A value of it.
    #[serde(default)]
    pub example: Option<String>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportNote {
    /// The line where the record begins.
    pub line: u64,
    /// The column, as the file names it.
    #[serde(default)]
    pub column: Option<String>,
    /// What stands there.
    pub value: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// A book as it was understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportSample {
    /// The line where its record begins.
    pub line: u64,
    /// Its title.
    pub title: String,
    /// Its authors.
    pub authors: Vec<String>,
    /// Its ISBN.
    #[serde(default)]
    pub isbn13: Option<String>,
    /// Its price; null when it is not for sale.
    #[serde(default)]
    pub price: Option<Money>,
    /// Copies, where the file says.
    #[serde(default)]
    pub stock: Option<i64>,
    /// Its language.
    #[serde(default)]
    pub language: Option<String>,
}

/// `GET /admin/imports`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Imports {
    /// Latest first, at most 20.
    pub items: Vec<Import>,
}

/// `PUT /admin/imports/{id}/mapping`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportMapping {
    /// Field to column, such as `{"price": "Regular price"}`; an empty column switches the field off. Fields that are not
    /// named are recognised by the columns' names. At most 40.
    pub mapping: BTreeMap<String, String>,
}
