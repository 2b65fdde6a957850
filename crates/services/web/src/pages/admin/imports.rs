//! Books from a file: uploaded, checked, started, followed.

use std::collections::{BTreeMap, HashSet};

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use bookworm_contracts::rest::imports::{
    Import, ImportMapping, ImportNote, ImportProgress, ImportStatus, ImportSummary,
};
use bookworm_kernel::{ErrorCode, Timestamp};
use http::{HeaderValue, StatusCode, header};
use uuid::Uuid;

use super::{Staff, settle};
use crate::{
    api::ApiError,
    error::PageResult,
    flash::Flash,
    form::{Errors, Fields, LARGEST_FILE, Upload},
    layout::{Shell, never_stored, page, page_with},
    service::Web,
    view,
};

/// What a column can be: its name in the API, and its label.
const FIELDS: &[(&str, &str)] = &[
    ("title", "Title"),
    ("authors", "Authors"),
    ("more_authors", "More authors"),
    ("isbn13", "ISBN"),
    ("source_id", "Key of the book (SKU)"),
    ("price", "Price"),
    ("sale_price", "Sale price"),
    ("list_price", "List price"),
    ("currency", "Currency"),
    ("stock", "Copies in stock"),
    ("publisher", "Publisher"),
    ("year", "Year"),
    ("language", "Language"),
    ("pages", "Pages"),
    ("subjects", "Subjects"),
    ("series", "Series"),
    ("series_position", "Volume in the series"),
    ("description", "Description"),
    ("rating_avg", "Average rating"),
    ("rating_count", "Number of ratings"),
    ("rating_source", "Where they rated"),
    ("for_sale", "For sale or not"),
];

/// Fields of the API that the page has no choice for are shown by their name.
fn label_of(field: &str) -> &str {
    FIELDS.iter().find(|(known, _)| *known == field).map_or(field, |(_, label)| label)
}

#[derive(Template)]
#[template(path = "admin/import_new.html")]
struct UploadPage {
    shell: Shell,
    errors: Errors,
    key: String,
    most: usize,
    imports: Vec<Row>,
}

/// An import of the list.
struct Row {
    id: String,
    filename: String,
    status: &'static str,
    badge: &'static str,
    by: String,
    at: Timestamp,
}

#[derive(Template)]
#[template(path = "admin/import.html")]
struct ImportPage {
    shell: Shell,
    filename: String,
    size: String,
    by: String,
    at: Timestamp,
    state: StatePart,
}

/// What changes while an import goes on.
#[derive(Template)]
#[template(path = "admin/import_state.html")]
struct StatePart {
    id: String,
    csrf: String,
    status: &'static str,
    badge: &'static str,
    /// What is going on, as a sentence.
    status_text: String,
    /// Whether it changes by itself.
    moves: bool,
    /// Milliseconds until it is worth looking again.
    every: u32,
    runs: bool,
    can_start: bool,
    start_label: String,
    can_cancel: bool,
    progress: ImportProgress,
    problem: Option<String>,
    read_as: String,
    sums: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    columns: Vec<Column>,
    summary: Option<ImportSummary>,
    tables: Vec<Notes>,
    has_report: bool,
    is_done: bool,
}

/// Records that were rejected, or adjusted.
struct Notes {
    id: &'static str,
    title: &'static str,
    what: &'static str,
    notes: Vec<ImportNote>,
    more: u64,
}

/// A column with what it may be.
struct Column {
    /// Name of its field in the form.
    input: String,
    name: String,
    example: String,
    choices: Vec<Choice>,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "admin/import_sure.html")]
struct SurePage {
    shell: Shell,
    id: String,
    filename: String,
    /// Whether it is about cancelling a running import, or discarding one that does not run.
    cancels: bool,
}

fn address(id: &str) -> String {
    let id = id.parse::<Uuid>().map_or_else(|_| view::encoded(id), |id| id.to_string());
    format!("/admin/books/import/{id}")
}

/// `GET /admin/books/import`
pub(crate) async fn blank(State(web): State<Web>, staff: Staff) -> PageResult {
    upload_page(&web, &staff, StatusCode::OK, Errors::default()).await
}

async fn upload_page(web: &Web, staff: &Staff, status: StatusCode, errors: Errors) -> PageResult {
    let imports = web.api.imports(staff.caller()).await?;
    let row = |import: Import| Row {
        id: import.id.to_string(),
        status: label(import.status),
        badge: badge(import.status),
        at: import.created_at,
        filename: import.filename,
        by: import.created_by,
    };
    let imports = imports.items.into_iter().map(row).collect();
    let key = Uuid::new_v4().to_string();
    let shell = staff.office("Import books");
    page_with(status, &UploadPage { shell, errors, key, most: LARGEST_FILE >> 20, imports }).map(never_stored)
}

/// The file's name without the folders that some browsers send, and without what cannot be shown.
fn file_name(sent: &str) -> String {
    let name = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = name.trim();
    if name.chars().any(char::is_alphanumeric) { name.to_owned() } else { "books".to_owned() }
}

/// `POST /admin/books/import`: `file`, `idempotency_key`.
pub(crate) async fn upload(State(web): State<Web>, staff: Staff, fields: Fields) -> PageResult {
    let wrong = |message: &str| {
        let mut errors = Errors::default();
        errors.add("file", message);
        errors
    };
    let Some(Upload { filename, content }) = fields.upload() else {
        return upload_page(&web, &staff, StatusCode::BAD_REQUEST, wrong("Choose a file.")).await;
    };
    if content.is_empty() {
        let errors = if filename.is_empty() {
            wrong("Choose a file.")
        } else {
            wrong("This file is empty. Choose one with books in it.")
        };
        return upload_page(&web, &staff, StatusCode::BAD_REQUEST, errors).await;
    }
    let key = fields.get("idempotency_key").parse::<Uuid>().unwrap_or_else(|_| Uuid::new_v4()).to_string();
    match web.api.upload_import(staff.caller(), &key, &file_name(filename), content.clone()).await {
        Ok(import) => Ok(Redirect::to(&address(&import.id.to_string())).into_response()),
        Err(error) if matches!(error.status().as_u16(), 400 | 409 | 413 | 422) => {
            let message = match ErrorCode::parse(error.code()) {
                Some(ErrorCode::BodyTooLarge) => too_large(),
                Some(ErrorCode::IdempotencyKeyReused) => {
                    "This form was sent before with another file. Choose the file again.".to_owned()
                }
                _ => "This file can’t be uploaded. Check its name and try again.".to_owned(),
            };
            upload_page(&web, &staff, error.status(), wrong(&message)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What to say of a file that is too large.
fn too_large() -> String {
    format!(
        "This file is larger than {} MB. Compress it with gzip (.gz), or cut it into several files.",
        LARGEST_FILE >> 20
    )
}

/// `GET /admin/books/import/{id}`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let import = web.api.import(staff.caller(), &id).await?;
    let mut shell = staff.office(format!("Import {}", import.filename));
    let (filename, size, by, at) =
        (import.filename.clone(), size(import.size), import.created_by.clone(), import.created_at);
    let state = StatePart::new(import, &shell.csrf);
    shell.refresh_after = state.moves.then_some(2);
    page(&ImportPage { shell, filename, size, by, at, state }).map(never_stored)
}

/// `GET /admin/books/import/{id}/status`: the part that changes.
pub(crate) async fn status(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let import = web.api.import(staff.caller(), &id).await?;
    page(&StatePart::new(import, staff.csrf())).map(never_stored)
}

impl StatePart {
    fn new(import: Import, csrf: &str) -> Self {
        use ImportStatus as S;
        let status = import.status;
        let moves = matches!(status, S::Checking | S::Queued | S::Running);
        let progress = import.progress;
        let was_started = matches!(status, S::Running | S::Failed | S::Cancelled | S::Done);
        let count = |n: u64| view::number(&i64::try_from(n).unwrap_or(i64::MAX));
        let status_text = match status {
            S::Checking => "Checking the file. Nothing is changed by this.".to_owned(),
            S::Unreadable => "This file can’t be imported as it is.".to_owned(),
            S::Ready => "The file is checked. Nothing has been changed yet.".to_owned(),
            S::Queued => "The import starts as soon as the one before it has finished.".to_owned(),
            S::Running => "The import is running. You can leave this page; it goes on.".to_owned(),
            S::Done => "The import is done.".to_owned(),
            S::Failed => "The import has stopped. The books written so far are in the shop.".to_owned(),
            S::Cancelled => "The import was cancelled. The books written so far are in the shop.".to_owned(),
        };
        // Until an import is done, its summary is what the check expected.
        let summary = import.summary.filter(|_| !matches!(status, S::Checking | S::Queued));
        let expected = matches!(status, S::Ready);
        let sums = match (&summary, status) {
            _ if was_started => {
                let labels = ["Added", "Changed", "Unchanged", "Rejected"];
                let counts = [progress.added, progress.changed, progress.unchanged, progress.rejected];
                labels.into_iter().zip(counts.map(count)).collect()
            }
            (Some(summary), S::Ready) => {
                let labels = ["To add", "To change", "Unchanged", "Rejected"];
                let counts = [summary.added, summary.changed, summary.unchanged, summary.rejected];
                labels.into_iter().zip(counts.map(count)).collect()
            }
            _ => Vec::new(),
        };
        let finished = expected || status == S::Done;
        let can_map = matches!(status, S::Ready | S::Unreadable);
        let usable = summary.as_ref().is_some_and(|summary| summary.rejected < summary.records);
        let can_start = matches!(status, S::Failed | S::Cancelled) || (expected && usable);
        let start_label = match (&summary, status) {
            (Some(summary), S::Ready) => match summary.records - summary.rejected {
                1 => "Import 1 book".to_owned(),
                books => format!("Import {} books", count(books)),
            },
            _ => "Go on with the import".to_owned(),
        };
        let shown = summary.as_ref().filter(|_| finished);
        Self {
            id: import.id.to_string(),
            csrf: csrf.to_owned(),
            status: label(status),
            badge: badge(status),
            status_text,
            moves,
            every: if moves { 1_000 } else { 3_600_000 },
            runs: status == S::Running,
            can_start,
            start_label,
            can_cancel: matches!(status, S::Queued | S::Running),
            progress,
            problem: import.problem,
            read_as: shown.map(read_as).unwrap_or_default(),
            sums,
            warnings: shown.map(|summary| warnings(summary, status == S::Done)).unwrap_or_default(),
            columns: summary.as_ref().filter(|_| can_map).map(columns).unwrap_or_default(),
            tables: shown.map(|summary| tables(summary, status == S::Done)).unwrap_or_default(),
            has_report: shown.is_some_and(|summary| summary.rejected + summary.adjusted > 0),
            is_done: status == S::Done,
            summary: summary.filter(|_| expected),
        }
    }
}

/// `POST /admin/books/import/{id}/columns`
pub(crate) async fn map(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let back = address(&id);
    let import = web.api.import(staff.caller(), &id).await?;
    let columns: Vec<_> = import.summary.iter().flat_map(|summary| &summary.columns).collect();
    let mut mapping = BTreeMap::new();
    // A field that was recognised and is no longer chosen is switched off.
    for field in columns.iter().filter_map(|column| column.field.as_ref()).chain(import.mapping.keys()) {
        mapping.insert(field.clone(), String::new());
    }
    let mut taken = BTreeMap::new();
    for (place, column) in columns.iter().enumerate() {
        let field = fields.get(&format!("column-{place}")).to_owned();
        if field.is_empty() {
            continue;
        }
        if let Some(other) = taken.insert(field.clone(), &column.name) {
            let message =
                format!("Both “{other}” and “{}” are set to {}. Choose one of them.", column.name, label_of(&field));
            staff.flash(&Flash::problem(message));
            return Ok(Redirect::to(&back).into_response());
        }
        mapping.insert(field, column.name.clone());
    }
    let outcome = web.api.map_import(staff.caller(), &id, &ImportMapping { mapping }).await;
    match outcome {
        Err(error) if error.status() == StatusCode::BAD_REQUEST => {
            staff.flash(&Flash::problem("The columns weren’t saved: the file doesn’t have one of them."));
            Ok(Redirect::to(&back).into_response())
        }
        outcome => settle(&staff, outcome, "Columns saved. The file is checked again.", &back),
    }
}

/// `POST /admin/books/import/{id}/start`
pub(crate) async fn start(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let outcome = web.api.start_import(staff.caller(), &id).await;
    settle(&staff, outcome, "Import started.", &address(&id))
}

/// `GET /admin/books/import/{id}/cancel`: asks whether it is meant.
pub(crate) async fn ask_cancel(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    sure(&web, &staff, &id, true).await
}

/// `POST /admin/books/import/{id}/cancel`
pub(crate) async fn cancel(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let outcome = web.api.cancel_import(staff.caller(), &id).await;
    if matches!(&outcome, Err(error) if error.status() == StatusCode::CONFLICT) {
        staff.flash(&Flash::problem("The import had ended already. See below what it did."));
        return Ok(Redirect::to(&address(&id)).into_response());
    }
    settle(&staff, outcome, "Import cancelled.", &address(&id))
}

/// `GET /admin/books/import/{id}/discard`: asks whether it is meant.
pub(crate) async fn ask_discard(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    sure(&web, &staff, &id, false).await
}

/// `POST /admin/books/import/{id}/discard`
pub(crate) async fn discard(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let outcome: Result<(), ApiError> = web.api.discard_import(staff.caller(), &id).await;
    let back = if outcome.is_ok() { "/admin/books/import".to_owned() } else { address(&id) };
    settle(&staff, outcome, "The file and its report are deleted. No book was changed.", &back)
}

async fn sure(web: &Web, staff: &Staff, id: &str, cancels: bool) -> PageResult {
    let import = web.api.import(staff.caller(), id).await?;
    let what = if cancels { "Cancel import" } else { "Delete file" };
    let shell = staff.office(format!("{what}: {}", import.filename));
    page(&SurePage { shell, id: import.id.to_string(), filename: import.filename, cancels }).map(never_stored)
}

/// `GET /admin/books/import/{id}/report`
pub(crate) async fn report(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let report = web.api.import_report(staff.caller(), &id).await?;
    let mut response = Response::new(axum::body::Body::from(report));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    let name = HeaderValue::from_static("attachment; filename=\"import-report.csv\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    Ok(never_stored(response))
}

fn label(status: ImportStatus) -> &'static str {
    match status {
        ImportStatus::Checking => "Checking",
        ImportStatus::Unreadable => "Not readable",
        ImportStatus::Ready => "Ready to import",
        ImportStatus::Queued => "Waiting",
        ImportStatus::Running => "Running",
        ImportStatus::Done => "Done",
        ImportStatus::Failed => "Stopped",
        ImportStatus::Cancelled => "Cancelled",
    }
}

fn badge(status: ImportStatus) -> &'static str {
    match status {
        ImportStatus::Checking | ImportStatus::Queued | ImportStatus::Running | ImportStatus::Ready => "pending",
        ImportStatus::Done => "sent",
        ImportStatus::Unreadable | ImportStatus::Failed => "failed",
        ImportStatus::Cancelled => "off",
    }
}

fn size(bytes: i64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        ..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KB", bytes / 1024),
        _ => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
    }
}

fn read_as(summary: &ImportSummary) -> String {
    let program = summary.program.as_ref().map(|program| format!("An export from {program}. ")).unwrap_or_default();
    format!("{program}Read as {}, encoded as {}.", summary.format, summary.encoding)
}

/// What somebody should know before customers see the books.
fn warnings(summary: &ImportSummary, done: bool) -> Vec<String> {
    let books = |n: u64| match n {
        1 => "1 new book".to_owned(),
        n => format!("{} new books", view::number(&i64::try_from(n).unwrap_or(i64::MAX))),
    };
    let below = if done { "" } else { " If the file has one, choose it below." };
    let mut warnings = Vec::new();
    if summary.added > 0 && !summary.has_prices {
        warnings.push(format!("No column was recognised as the price, so new books aren’t for sale.{below}"));
    } else if summary.not_for_sale > 0 {
        let verb = if summary.not_for_sale == 1 { "isn’t" } else { "aren’t" };
        warnings
            .push(format!("{} without a price, or marked as not sold, {verb} for sale.", books(summary.not_for_sale)));
    }
    if summary.added > 0 && !summary.has_stock {
        warnings
            .push(format!("No column was recognised as the number of copies, so new books are out of stock.{below}"));
    } else if summary.without_stock > 0 {
        let verb = if summary.without_stock == 1 { "is" } else { "are" };
        warnings.push(format!("{} without a number of copies {verb} out of stock.", books(summary.without_stock)));
    }
    warnings
}

fn tables(summary: &ImportSummary, done: bool) -> Vec<Notes> {
    let table = |id, title, what, notes: &[ImportNote], all: u64| Notes {
        id,
        title,
        what,
        notes: notes.to_vec(),
        more: all.saturating_sub(notes.len() as u64),
    };
    let (rejected, adjusted) = if done {
        ("Records that weren’t imported", "Details that were left out or changed")
    } else {
        ("Records that won’t be imported", "Details that will be left out or changed")
    };
    [
        table("rejected", rejected, "What’s wrong", &summary.rejects, summary.rejected),
        table("adjusted", adjusted, "What happens", &summary.notes, summary.adjusted),
    ]
    .into_iter()
    .filter(|table| !table.notes.is_empty())
    .collect()
}

fn columns(summary: &ImportSummary) -> Vec<Column> {
    let choices = |field: Option<&str>| {
        let none = Choice { value: "", label: "Ignored", chosen: field.is_none() };
        let fields = FIELDS.iter().map(|(value, label)| Choice { value, label, chosen: field == Some(*value) });
        std::iter::once(none).chain(fields).collect()
    };
    let mut seen = HashSet::new();
    summary
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| Column {
            input: format!("column-{place}"),
            name: column.name.clone(),
            example: column.example.clone().unwrap_or_default(),
            // Of several columns that are one field, the first is.
            choices: choices(column.field.as_deref().filter(|field| seen.insert((*field).to_owned()))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_shown_without_folders_and_what_cannot_be_seen() {
        for (sent, name) in [
            ("books.csv", "books.csv"),
            ("C:\\Users\\ada\\Bücher.csv", "Bücher.csv"),
            ("/home/ada/図書.csv", "図書.csv"),
            ("a\r\nb\0.csv", "ab.csv"),
            ("\u{200b}", "books"),
            ("..", "books"),
            ("", "books"),
        ] {
            assert_eq!(file_name(sent), name, "{sent:?}");
        }
        assert_eq!(file_name(&"x".repeat(500)).len(), 200);
    }

    #[test]
    fn sizes_are_in_words() {
        for (bytes, words) in [(1, "1 byte"), (900, "900 bytes"), (2048, "2 KB"), (3_145_728, "3.0 MB")] {
            assert_eq!(size(bytes), words);
        }
    }
}
