//! Two authors who are one person, and one who is two: staff merge and split them.

use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::{
    events::catalog::{AuthorSplit, AuthorsMerged},
    rest::catalog::{Author, AuthorDoubles, AuthorGroup, AuthorLikeness, MergeAuthor, SplitAuthor},
};
use bookworm_db::Tx;
use bookworm_http::{ApiJson, ApiPath, Origin, Problem, ProblemBody, Result, Validator, auth::StaffOnly};
use bookworm_kernel::{AuthorId, BookId, Cause, ErrorCode, FieldError};
use uuid::Uuid;

use super::manage_names::named;
use crate::{
    domain::draft,
    service::Catalog,
    store::{
        authors::{self, Credited},
        names::{self, Kind, NameRow},
    },
};

/// The most books of one split.
const SPLIT: usize = 500;
/// The most books that one merge moves: all of them move in one transaction.
const MERGED: i64 = 2_000;

/// Authors who may be one person: candidates to merge. At most 100 groups of each reason.
#[utoipa::path(get, path = "/admin/authors/doubles", tag = "catalog",
    responses(
        (status = 200, body = AuthorDoubles, description = "Spellings of one name, then names that may be short for another"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn author_doubles(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
) -> Result<ApiJson<AuthorDoubles>> {
    let db = catalog.db.read();
    let (spellings, shortened) = (authors::spellings(db).await?, authors::shortened(db).await?);
    let group = |reason: AuthorLikeness| {
        move |rows: Vec<NameRow>| AuthorGroup {
            reason,
            authors: rows.into_iter().map(|row| named(row, AuthorId::from_uuid)).collect(),
        }
    };
    let groups = spellings
        .into_iter()
        .map(group(AuthorLikeness::Spelling))
        .chain(shortened.into_iter().map(group(AuthorLikeness::Initials)));
    Ok(ApiJson(AuthorDoubles { groups: groups.collect() }))
}

/// Merges two authors.
///
/// The books of the one in the path become those of `into`; its address leads there from now on, and imports that bring
/// its spelling find the other. Merging them again changes nothing.
#[utoipa::path(post, path = "/authors/{id}/merge", tag = "catalog", request_body = MergeAuthor,
    params(("id" = AuthorId, Path, description = "The author that goes")),
    responses(
        (status = 200, body = Author, description = "The author that stays"),
        (status = 400, body = ProblemBody, description = "`validation_failed`: both are the same, `into` is unknown, or more than 2,000 books"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`concurrent_change`: somebody edited a book at the same moment"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn merge_author(
    State(catalog): State<Arc<Catalog>>,
    StaffOnly(staff): StaffOnly,
    Origin(cause): Origin,
    ApiPath(from): ApiPath<AuthorId>,
    ApiJson(input): ApiJson<MergeAuthor>,
) -> Result<ApiJson<Author>> {
    let into = input.into;
    if into == from {
        return Err(invalid("/into", "must be another author"));
    }
    let service = catalog.clone();
    let merged = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            let locked = authors::locked(tx, &[from.uuid(), into.uuid()]).await?;
            let find = |id: AuthorId| locked.iter().find(|row| row.id == id.uuid());
            let Some(old) = find(from) else {
                // A repeat of a request whose answer was lost.
                let before = names::merged_into(tx, Kind::Author, from.uuid()).await?;
                return find(into)
                    .filter(|row| before == Some(row.id))
                    .cloned()
                    .ok_or_else(|| Problem::not_found("author"));
            };
            let stays = find(into).ok_or_else(|| invalid("/into", "is no author"))?;
            if old.book_count > MERGED {
                let message = format!(
                    "must be the author with more books: at most {MERGED} books are moved at once, and {} has {}",
                    old.name, old.book_count
                );
                return Err(invalid("/into", message));
            }
            let now = service.clock.now();
            let books = authors::merge(tx, old, stays, staff.id.uuid(), now).await?.ok_or_else(busy)?;
            publish(&service, tx, &cause, &books).await?;
            let event = AuthorsMerged {
                author_id: from,
                name: old.name.clone(),
                into,
                into_name: stays.name.clone(),
                books: i64::try_from(books.len()).unwrap_or(i64::MAX),
                by: staff.id,
                at: now,
            };
            service.outbox.put(tx, &cause, &event).await?;
            author(tx, into.uuid()).await
        })
    });
    Ok(ApiJson(named(merged.await?, AuthorId::from_uuid)))
}

/// Splits an author.
///
/// These books become those of a new author, or of one who was merged by mistake and comes back with the old address.
#[utoipa::path(post, path = "/authors/{id}/split", tag = "catalog", request_body = SplitAuthor,
    params(("id" = AuthorId, Path, description = "The author that keeps the other books")),
    responses(
        (status = 200, body = Author, description = "The author that has these books now"),
        (status = 400, body = ProblemBody, description = "`validation_failed`: a book that is not the author's"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`duplicate_value`: an author has the name; `concurrent_change`"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn split_author(
    State(catalog): State<Arc<Catalog>>,
    StaffOnly(staff): StaffOnly,
    Origin(cause): Origin,
    ApiPath(from): ApiPath<AuthorId>,
    ApiJson(input): ApiJson<SplitAuthor>,
) -> Result<ApiJson<Author>> {
    let mut valid = Validator::new();
    let name = valid.text("/name", &input.name, 1..=draft::NAME);
    valid.check("/books", (1..=SPLIT).contains(&input.books.len()), format!("must be 1 to {SPLIT} books"));
    valid.finish()?;
    let service = catalog.clone();
    let split = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            let old = authors::locked(tx, &[from.uuid()]).await?.pop().ok_or_else(|| Problem::not_found("author"))?;
            let now = service.clock.now();
            let taken = || {
                let field = FieldError::new("/name", "belongs to an author who is there already");
                Problem::new(ErrorCode::DuplicateValue).field(field)
            };
            if names::by_exact_name(tx, Kind::Author, &name).await?.is_some() {
                return Err(taken());
            }
            let wanted: Vec<Uuid> = input.books.iter().map(|book| book.uuid()).collect();
            let outcome = authors::split(tx, &old, &name, &wanted, now).await;
            let outcome = outcome.map_err(|error| if error.is_unique_violation() { taken() } else { error.into() })?;
            let (id, books) = outcome.ok_or_else(busy)?;
            if books.len() != wanted.len() {
                return Err(invalid("/books", "must be different books that the author has"));
            }
            publish(&service, tx, &cause, &books).await?;
            let event = AuthorSplit {
                author_id: from,
                name: old.name,
                new_id: AuthorId::from_uuid(id),
                new_name: name,
                books: input.books,
                by: staff.id,
                at: now,
            };
            service.outbox.put(tx, &cause, &event).await?;
            author(tx, id).await
        })
    });
    Ok(ApiJson(named(split.await?, AuthorId::from_uuid)))
}

async fn author(tx: &Tx, id: Uuid) -> Result<NameRow> {
    names::by_id(tx, Kind::Author, id).await?.ok_or_else(|| Problem::not_found("author"))
}

fn invalid(field: &str, message: impl std::fmt::Display) -> Problem {
    Problem::validation(vec![FieldError::new(field, message)])
}

fn busy() -> Problem {
    Problem::new(ErrorCode::ConcurrentChange)
}

/// Publishes the books whose authors changed, for caches and the search index.
async fn publish(catalog: &Arc<Catalog>, tx: &Tx, cause: &Cause, books: &[Credited]) -> Result<()> {
    for book in books {
        catalog.publish_changed(tx, cause, book.id, book.version, false).await?;
    }
    let ids: Vec<BookId> = books.iter().map(|book| book.id).collect();
    catalog.changed_with(tx, ids.clone());
    catalog.search_changed(tx, &ids).await?;
    Ok(())
}
