//! Imports of files that staff upload: checked by a dry run, then written, both beside the requests.
//!
//! A file goes through `checking` to `ready` (or `unreadable`), and once staff start it through `queued` and `running` to
//! `done`. Work on a file is leased, so that it goes on in another process when one dies. Each batch of books is written
//! together with how far the import is, and only with the lease: nothing is written twice, and what is reported is what
//! is in the catalogue.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bookworm_contracts::rest::imports::{
    Import, ImportColumn, ImportMapping, ImportNote, ImportProgress, ImportSample, ImportStatus, ImportSummary, Imports,
};
use bookworm_db::DbError;
use bookworm_http::{
    ApiJson, ApiPath, ApiQuery, IdempotencyKey, Problem, ProblemBody, Result, Validator,
    auth::StaffOnly,
    idempotency::{self, Claim, Fingerprint},
};
use bookworm_kernel::{ErrorCode, FieldError, Timestamp};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::import_step::{Next, Step},
    import::{self, ImportError, Job, Mapping, Mode, Note, Options, Papers, Report, Source, Totals},
    service::Catalog,
    store::{
        imports::{self, ImportRow, Outcome, Work},
        stored,
    },
};

/// The most bytes of a file.
pub(crate) const LARGEST: usize = 16 << 20;
/// The most bytes of a compressed file once it is unpacked.
const UNPACKED: u64 = 128 << 20;
/// The most columns that a mapping names.
const MAPPED: usize = 40;
/// The most characters of a column's name in a mapping.
const COLUMN: usize = 1_000;
/// The most characters of a file's name.
const NAME: usize = 200;
/// The most columns that are shown.
const SHOWN: usize = 200;
/// How often the queue is read when nobody wakes the worker: another process may have filled it.
const POLL: Duration = Duration::from_secs(2);
/// How long work on a file belongs to one process.
const LEASE: Duration = Duration::from_secs(30);
/// How often a lease is renewed while there is nothing to write.
const RENEW: Duration = Duration::from_secs(5);

/// Wakes the workers of this process.
static WAKE: LazyLock<Notify> = LazyLock::new(Notify::new);

/// The file's name.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadParams {
    /// What the file is called where it comes from: 1 to 200 characters. Its ending helps to recognise what it is.
    #[param(required = true, min_length = 1, max_length = 200)]
    filename: Option<String>,
}

/// The latest imports.
#[utoipa::path(get, path = "/admin/imports", tag = "catalog",
    responses(
        (status = 200, body = Imports, description = "At most 20, latest first"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn list_imports(State(catalog): State<Arc<Catalog>>, _: StaffOnly) -> Result<ApiJson<Imports>> {
    let rows = imports::latest(catalog.db.read()).await?;
    Ok(ApiJson(Imports { items: rows.into_iter().map(shown).collect() }))
}

/// Uploads a file of books, which is then checked by a dry run.
///
/// Nothing is in the catalogue before it is started. The same `Idempotency-Key` with the same file is the same import.
#[utoipa::path(post, path = "/admin/imports", tag = "catalog",
    params(UploadParams, ("Idempotency-Key" = String, Header, description = "New for each upload; the same for a repeat")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "The file itself, at most 16 MiB: CSV or JSON, plain or gzip (at most 128 MiB unpacked). What it is \
                       is recognised by its content, whatever the media type says"),
    responses(
        (status = 201, body = Import, description = "Stored; its address is in `Location`. It is `checking` for a moment"),
        (status = 400, body = ProblemBody, description = "`validation_failed`: no name, or an empty file; `idempotency_key_required`"),
        (status = 413, body = ProblemBody, description = "`body_too_large`: more than 16 MiB"),
        (status = 415, body = ProblemBody, description = "`unsupported_media_type`: a form; send the file itself"),
        (status = 422, body = ProblemBody, description = "`idempotency_key_reused`"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn upload_import(
    State(catalog): State<Arc<Catalog>>,
    StaffOnly(staff): StaffOnly,
    ApiQuery(params): ApiQuery<UploadParams>,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let mut valid = Validator::new();
    let filename = valid.text("/filename", params.filename.as_deref().unwrap_or_default(), 1..=NAME);
    valid.finish()?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        return Err(Problem::new(ErrorCode::UnsupportedMediaType)
            .detail("Send the file itself as the body, not a form with the file in it."));
    }
    let content = body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(ErrorCode::BodyTooLarge).detail(format!(
                "A file has at most {} MiB. Compress it with gzip, cut it in parts, or use `bookworm import`.",
                LARGEST >> 20
            ))
        } else {
            Problem::new(ErrorCode::MalformedBody).detail("The body ended too early.")
        }
    })?;
    if content.is_empty() {
        return Err(Problem::validation(vec![FieldError::new("", "must be a file that is not empty")]));
    }
    let fingerprint = Fingerprint::of([filename.as_bytes(), &content]);
    let (service, new) = (catalog.clone(), Uuid::now_v7());
    let stored = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            let now = service.clock.now();
            match idempotency::claim(tx, &format!("import:{}", staff.id), &key, fingerprint, new, now).await? {
                Claim::New => {}
                Claim::Same(earlier) => return imports::by_id(tx, earlier).await?.ok_or_else(missing),
                Claim::Different => return Err(Problem::new(ErrorCode::IdempotencyKeyReused)),
            }
            imports::create(tx, new, &filename, content.to_vec(), &staff.name, now).await?;
            tx.after_commit(wake);
            imports::by_id(tx, new).await?.ok_or_else(missing)
        })
    });
    let row = stored.await?;
    let location = [(header::LOCATION, format!("/api/v1/admin/imports/{}", row.id))];
    Ok((StatusCode::CREATED, location, ApiJson(shown(row))).into_response())
}

/// One import.
#[utoipa::path(get, path = "/admin/imports/{id}", tag = "catalog", params(("id" = Uuid, Path, description = "The import")),
    responses(
        (status = 200, body = Import, description = "How far it is, and what it does"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn get_import(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<ApiJson<Import>> {
    let row = imports::by_id(catalog.db.read(), id).await?.ok_or_else(missing)?;
    Ok(ApiJson(shown(row)))
}

/// Names columns; the file is checked again.
#[utoipa::path(put, path = "/admin/imports/{id}/mapping", tag = "catalog", request_body = ImportMapping,
    params(("id" = Uuid, Path, description = "The import")),
    responses(
        (status = 202, body = Import, description = "It is checked again"),
        (status = 400, body = ProblemBody, description = "`validation_failed`: not the name of a field"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`concurrent_change`: it was started already"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn map_import(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    ApiPath(id): ApiPath<Uuid>,
    ApiJson(input): ApiJson<ImportMapping>,
) -> Result<Response> {
    let mapping = Mapping(input.mapping);
    let mut valid = Validator::new();
    valid.check("/mapping", mapping.0.len() <= MAPPED, format!("must be at most {MAPPED} fields"));
    let long = mapping.0.values().any(|column| column.chars().count() > COLUMN);
    valid.check("/mapping", !long, format!("must name columns by at most {COLUMN} characters"));
    if let Err(wrong) = mapping.check() {
        valid.error("/mapping", wrong);
    }
    valid.finish()?;
    let text = serde_json::to_string(&mapping).map_err(|error| Problem::internal(&error))?;
    take(&catalog, id, Step::Map, Some(text)).await
}

/// Starts an import, or goes on with one that was cancelled or failed.
///
/// It runs beside the requests, after the one before it, and goes on after a restart. Starting one that runs already
/// changes nothing.
#[utoipa::path(post, path = "/admin/imports/{id}/start", tag = "catalog", params(("id" = Uuid, Path, description = "The import")),
    responses(
        (status = 202, body = Import, description = "It starts in a moment"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`concurrent_change`: it is still being checked, cannot be read, or is done"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn start_import(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Response> {
    take(&catalog, id, Step::Start, None).await
}

/// Cancels an import.
///
/// The books that were written stay; the batch that is being written is finished or not begun. Cancelling one that was
/// cancelled changes nothing.
#[utoipa::path(post, path = "/admin/imports/{id}/cancel", tag = "catalog", params(("id" = Uuid, Path, description = "The import")),
    responses(
        (status = 202, body = Import, description = "Nothing more is written"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`concurrent_change`: it does not run"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn cancel_import(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Response> {
    take(&catalog, id, Step::Cancel, None).await
}

/// Everything that was, or would be, rejected or adjusted, line by line: CSV.
#[utoipa::path(get, path = "/admin/imports/{id}/report", tag = "catalog", params(("id" = Uuid, Path, description = "The import")),
    responses(
        (status = 200, body = String, content_type = "text/csv", description = "Columns: line, what, column, value, message"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn import_report(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Response> {
    let report = imports::report(catalog.db.read(), id).await?.ok_or_else(missing)?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"import-report.csv\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, report).into_response())
}

/// Discards an import that does not run, with its file and report. Books stay.
#[utoipa::path(delete, path = "/admin/imports/{id}", tag = "catalog", params(("id" = Uuid, Path, description = "The import")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`concurrent_change`: it runs"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn delete_import(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode> {
    change(&catalog, id, Step::Discard, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn missing() -> Problem {
    Problem::not_found("import")
}

/// Takes a step and answers with what became of the import.
async fn take(catalog: &Arc<Catalog>, id: Uuid, step: Step, mapping: Option<String>) -> Result<Response> {
    let row = change(catalog, id, step, mapping).await?.ok_or_else(missing)?;
    Ok((StatusCode::ACCEPTED, ApiJson(shown(row))).into_response())
}

/// Takes a step with an import that nobody else changes meanwhile; `None` when it is gone then. `mapping` is what
/// [`Step::Map`] stores.
async fn change(catalog: &Arc<Catalog>, id: Uuid, step: Step, mapping: Option<String>) -> Result<Option<ImportRow>> {
    let changed = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            let row = imports::locked(tx, id).await?.ok_or_else(missing)?;
            let next = step.of(&row.status, totals(&row).records);
            match next.map_err(|why| Problem::new(ErrorCode::ConcurrentChange).detail(why))? {
                Next::Stays => {}
                Next::Becomes(status) => match &mapping {
                    Some(mapping) => imports::set_mapping(tx, id, mapping, status).await?,
                    None => imports::set_status(tx, id, status).await?,
                },
                Next::Gone => imports::delete(tx, id).await?,
            }
            tx.after_commit(wake);
            Ok(imports::by_id(tx, id).await?)
        })
    });
    changed.await
}

fn wake() {
    WAKE.notify_waiters();
}

fn totals(row: &ImportRow) -> Totals {
    serde_json::from_str(&row.written).unwrap_or_default()
}

/// An error for people, with its cause when that is the file's.
fn words(error: &ImportError) -> String {
    match error {
        ImportError::Read(cause) => format!("The file cannot be read: {cause}."),
        ImportError::Database(_) => "The catalogue could not be written. Try again in a moment.".to_owned(),
        error => error.to_string(),
    }
}

fn summary(report: &Report) -> String {
    let note = |note: &Note| stored::Note {
        line: note.line,
        column: note.column.clone(),
        value: note.value.clone(),
        message: note.message.clone(),
    };
    let plan = &report.plan;
    let summary = stored::Summary {
        format: plan.format.clone(),
        encoding: plan.encoding.clone(),
        program: plan.program.map(|program| program.name().to_owned()),
        columns: plan
            .columns
            .iter()
            .take(SHOWN)
            .map(|column| stored::Column {
                name: column.name.clone(),
                field: column.field.map(|field| field.name().to_owned()),
                example: column.example.clone(),
            })
            .collect(),
        records: report.records,
        added: report.added,
        changed: report.changed,
        unchanged: report.unchanged,
        rejected: report.rejected,
        adjusted: report.adjusted,
        not_for_sale: report.not_for_sale,
        without_stock: report.without_stock,
        has_prices: report.has_prices,
        has_stock: report.has_stock,
        rejects: report.rejects.iter().map(|reject| note(&reject.note)).collect(),
        notes: report.notes.iter().map(note).collect(),
        samples: report
            .samples
            .iter()
            .map(|sample| stored::Sample {
                line: sample.line,
                title: sample.title.clone(),
                authors: sample.authors.clone(),
                isbn13: sample.isbn13.clone(),
                price: sample.price,
                stock: sample.stock,
                language: sample.language.clone(),
            })
            .collect(),
    };
    serde_json::to_string(&summary).unwrap_or_default()
}

fn shown_summary(summary: stored::Summary) -> ImportSummary {
    let notes = |notes: Vec<stored::Note>| {
        let shown = |note: stored::Note| ImportNote {
            line: note.line,
            column: note.column,
            value: note.value,
            message: note.message,
        };
        notes.into_iter().map(shown).collect()
    };
    let column =
        |column: stored::Column| ImportColumn { name: column.name, field: column.field, example: column.example };
    let sample = |sample: stored::Sample| ImportSample {
        line: sample.line,
        title: sample.title,
        authors: sample.authors,
        isbn13: sample.isbn13,
        price: sample.price,
        stock: sample.stock,
        language: sample.language,
    };
    ImportSummary {
        format: summary.format,
        encoding: summary.encoding,
        program: summary.program,
        columns: summary.columns.into_iter().map(column).collect(),
        records: summary.records,
        added: summary.added,
        changed: summary.changed,
        unchanged: summary.unchanged,
        rejected: summary.rejected,
        adjusted: summary.adjusted,
        not_for_sale: summary.not_for_sale,
        without_stock: summary.without_stock,
        has_prices: summary.has_prices,
        has_stock: summary.has_stock,
        rejects: notes(summary.rejects),
        notes: notes(summary.notes),
        samples: summary.samples.into_iter().map(sample).collect(),
    }
}

fn shown(row: ImportRow) -> Import {
    let totals = totals(&row);
    Import {
        id: row.id,
        status: match row.status.as_str() {
            "checking" => ImportStatus::Checking,
            "ready" => ImportStatus::Ready,
            "queued" => ImportStatus::Queued,
            "running" => ImportStatus::Running,
            "done" => ImportStatus::Done,
            "failed" => ImportStatus::Failed,
            "cancelled" => ImportStatus::Cancelled,
            _ => ImportStatus::Unreadable,
        },
        filename: row.filename,
        size: row.size,
        created_by: row.created_by,
        created_at: Timestamp::from_micros(row.created_at),
        progress: ImportProgress {
            records: totals.records,
            added: totals.added,
            changed: totals.changed,
            unchanged: totals.unchanged,
            rejected: totals.rejected,
            percent: totals.percent,
        },
        mapping: serde_json::from_str::<Mapping>(&row.mapping).unwrap_or_default().0,
        summary: row.summary.as_deref().and_then(|text| serde_json::from_str(text).ok()).map(shown_summary),
        problem: row.problem,
    }
}

/// Does one kind of work, a file after the other.
pub(crate) async fn work(catalog: Arc<Catalog>, work: Work, shutdown: CancellationToken) {
    loop {
        let woken = WAKE.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        match next(&catalog, work, &shutdown).await {
            Ok(true) if !shutdown.is_cancelled() => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "uploaded files wait"),
        }
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Works on the next file; `false` when there is none.
async fn next(catalog: &Arc<Catalog>, work: Work, shutdown: &CancellationToken) -> Result<bool, DbError> {
    // Read without a lock first: there is nothing to do nearly always.
    if !imports::is_waiting(catalog.db.read(), work, catalog.clock.now()).await? {
        return Ok(false);
    }
    let (now, lease) = (catalog.clock.now(), Uuid::now_v7());
    let claimed = catalog.db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move { imports::claim(tx, work, lease, now, now.plus(LEASE)).await })
    });
    let Some(row) = claimed.await? else { return Ok(false) };
    let id = row.id;
    let outcome = if row.attempts > imports::ATTEMPTS {
        let problem = format!(
            "Work on this file ended with its process {} times. Cut the file in parts to find the record that does it.",
            imports::ATTEMPTS
        );
        let status = if work == Work::Check { "unreadable" } else { "failed" };
        Some(Outcome { status, problem: Some(problem), ..Outcome::default() })
    } else {
        match imports::content(catalog.db.read(), id).await? {
            Some(content) => {
                let running = run(catalog, work, &row, content, lease);
                tokio::select! {
                    outcome = running => outcome,
                    () = lost(catalog, id, lease) => None,
                    () = shutdown.cancelled() => {
                        let released = catalog.db
                            .transact::<_, DbError, _>(move |tx| Box::pin(async move { imports::release(tx, id, lease).await }));
                        released.await?;
                        return Ok(false);
                    }
                }
            }
            None => {
                Some(Outcome { status: "failed", problem: Some("Its file is gone.".to_owned()), ..Outcome::default() })
            }
        }
    };
    if let Some(outcome) = outcome {
        let finished = catalog.db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move { imports::finish(tx, id, lease, &outcome).await })
        });
        finished.await?;
        wake();
    }
    Ok(true)
}

/// Renews the lease; ends when it is lost.
async fn lost(catalog: &Arc<Catalog>, id: Uuid, lease: Uuid) {
    loop {
        tokio::time::sleep(RENEW).await;
        let until = catalog.clock.now().plus(LEASE);
        let renewed = catalog
            .db
            .transact::<_, DbError, _>(move |tx| Box::pin(async move { imports::renew(tx, id, lease, until).await }));
        match renewed.await {
            Ok(true) => {}
            Ok(false) => return,
            // Each batch renews the lease itself, or is not written.
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a lease cannot be renewed"),
        }
    }
}

/// The dry run or the import itself. `None` when it was stopped by somebody who knows.
async fn run(catalog: &Arc<Catalog>, work: Work, row: &ImportRow, content: Vec<u8>, lease: Uuid) -> Option<Outcome> {
    let source = Source::Upload { name: row.filename.clone(), bytes: content.into(), unpacked: UNPACKED };
    let options = Options { mapping: serde_json::from_str(&row.mapping).unwrap_or_default(), ..Options::default() };
    let mode = match work {
        Work::Check => Mode::Dry,
        Work::Import => Mode::Resumable(Job { id: row.id, lease, renewal: LEASE, totals: totals(row) }),
    };
    let mut papers = Papers::memory();
    let ran = import::run(catalog, &source, &options, mode, &mut papers, |_| {}).await;
    let is_dry = work == Work::Check;
    let outcome = match ran {
        Err(ImportError::Stopped) => return None,
        Ok(report) if is_dry && report.records == 0 => Outcome {
            status: "unreadable",
            problem: Some("There is no book in this file.".to_owned()),
            ..Outcome::default()
        },
        Ok(report) => Outcome {
            status: if is_dry { "ready" } else { "done" },
            summary: Some(summary(&report)),
            report: papers.into_report(),
            written: (!is_dry).then(|| Totals {
                records: report.records,
                added: report.added,
                changed: report.changed,
                unchanged: report.unchanged,
                rejected: report.rejected,
                percent: 100,
                ..Totals::default()
            }),
            problem: None,
        },
        Err(ImportError::Header { names, .. }) => Outcome {
            status: if is_dry { "unreadable" } else { "failed" },
            problem: Some(
                "No column was recognised as the title. The first line of the file must name the columns. Say which one \
                 is the title."
                    .to_owned(),
            ),
            summary: serde_json::to_string(&stored::Summary {
                columns: names
                    .into_iter()
                    .take(SHOWN)
                    .map(|name| stored::Column { name, field: None, example: None })
                    .collect(),
                ..stored::Summary::default()
            })
            .ok(),
            ..Outcome::default()
        },
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, import = %row.id, "an uploaded file cannot be imported");
            Outcome {
                status: if is_dry { "unreadable" } else { "failed" },
                problem: Some(words(&error)),
                report: papers.into_report(),
                ..Outcome::default()
            }
        }
    };
    Some(outcome)
}
