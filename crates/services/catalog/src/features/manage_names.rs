//! Authors, publishers and subjects: listed, added, renamed and removed alike.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bookworm_contracts::rest::{
    Page,
    catalog::{NameInput, Named},
};
use bookworm_db::{DbError, Tx};
use bookworm_http::{
    ApiJson, IfMatch, PageParams, Problem, Result, Validator, cursor, etag, if_none_match, not_modified,
};
use bookworm_kernel::{BookId, Cause, ErrorCode, FieldError};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{answer, send};
use crate::{
    domain::draft,
    service::Catalog,
    store::{
        books,
        names::{self, After, Kind, NameRow},
    },
};

/// What a list of names is narrowed and sorted by.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NameParams {
    /// Only names that begin so; case and diacritics do not matter.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only the one that this name means, in any spelling, or this id: at most one. Of an author who was merged into
    /// another, that other one.
    #[param(max_length = 200)]
    name: Option<String>,
    /// `-books` (most books first, when left out) or `name`.
    #[param(pattern = "^(-?books|name)$")]
    sort: Option<String>,
    /// How many: 1 to 100; 20 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `next` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

pub(super) fn named<Id>(row: NameRow, id: fn(Uuid) -> Id) -> Named<Id> {
    Named { id: id(row.id), name: row.name, books: row.book_count, version: row.version }
}

async fn list<Id: Serialize>(
    catalog: &Arc<Catalog>,
    kind: Kind,
    id: fn(Uuid) -> Id,
    params: NameParams,
) -> Result<Response> {
    let mut valid = Validator::new();
    let prefix = valid.optional_text("/q", params.q.as_deref(), 1..=draft::NAME).unwrap_or_default();
    let by_name = match params.sort.as_deref().map(str::trim) {
        None | Some("" | "-books" | "books") => false,
        Some("name") => true,
        Some(_) => {
            valid.error("/sort", "must be -books or name");
            false
        }
    };
    let name = valid.optional_text("/name", params.name.as_deref(), 1..=draft::NAME);
    valid.finish()?;
    // Also where only one can come: what is not valid is refused whatever else was asked.
    let page = PageParams { limit: params.limit.filter(|limit| !limit.is_empty()), cursor: params.cursor };
    let limit = page.limit()?;
    let after = if by_name { After::Name(page.after()?) } else { After::Books(page.after()?) };
    if let Some(name) = name {
        let row = names::by_id_or_name(catalog.db.read(), kind, &name).await?;
        let items: Vec<Named<Id>> = row.into_iter().map(|row| named(row, id)).collect();
        return Ok(ApiJson(Page { items, next: None }).into_response());
    }
    let key = format!("{} {prefix:?} {after:?} {limit}", kind.table());
    let found = catalog.cache.list(key, async {
        let rows = names::list(catalog.db.read(), kind, &prefix, &after, limit as i64 + 1).await?;
        let (rows, next) = if by_name {
            cursor::page(rows, limit, |last| String::from_utf8_lossy(&last.name_key).into_owned())
        } else {
            cursor::page(rows, limit, |last| (last.book_count, last.id))
        };
        answer(0, &Page { items: rows.into_iter().map(|row| named(row, id)).collect(), next })
    });
    Ok(send(found.await?))
}

async fn get<Id: Serialize>(
    catalog: &Arc<Catalog>,
    kind: Kind,
    id: fn(Uuid) -> Id,
    of: Uuid,
    headers: &HeaderMap,
) -> Result<Response> {
    let db = catalog.db.read();
    let Some(row) = names::by_id(db, kind, of).await? else {
        let into = names::merged_into(db, kind, of).await?.ok_or_else(|| Problem::not_found(kind.noun()))?;
        let location = [(header::LOCATION, format!("/api/v1/{}/{into}", kind.table()))];
        return Ok((StatusCode::PERMANENT_REDIRECT, location).into_response());
    };
    if if_none_match(headers, row.version) {
        return Ok(not_modified(row.version));
    }
    Ok(([(header::ETAG, etag(row.version))], ApiJson(named(row, id))).into_response())
}

fn check(kind: Kind, input: &NameInput) -> Result<String> {
    let mut valid = Validator::new();
    let most = if kind == Kind::Subject { draft::SUBJECT } else { draft::NAME };
    let name = valid.text("/name", &input.name, 1..=most);
    valid.finish()?;
    Ok(name)
}

/// Another spelling of an author who is there is no new author.
async fn check_spelling(tx: &Tx, kind: Kind, name: &str, own: Uuid) -> Result<()> {
    if kind == Kind::Author
        && let Some(other) = names::same_author(tx, name, own).await?
    {
        let message = format!("is a spelling of {}, who is there already", other.name);
        return Err(Problem::new(ErrorCode::DuplicateValue).field(FieldError::new("/name", message)));
    }
    Ok(())
}

/// The index refuses a second name that folds to the same.
fn or_taken(kind: Kind) -> impl Fn(DbError) -> Problem {
    move |error| {
        if error.is_unique_violation() {
            let message = format!("belongs to another {}", kind.noun());
            Problem::new(ErrorCode::DuplicateValue).field(FieldError::new("/name", message))
        } else {
            error.into()
        }
    }
}

async fn create<Id: Serialize>(
    catalog: &Arc<Catalog>,
    kind: Kind,
    id: fn(Uuid) -> Id,
    input: NameInput,
) -> Result<Response> {
    let name = check(kind, &input)?;
    let (new, service) = (Uuid::now_v7(), catalog.clone());
    let created = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            check_spelling(tx, kind, &name, new).await?;
            names::create(tx, kind, new, &name).await.map_err(or_taken(kind))?;
            service.changed_with(tx, Vec::new());
            Ok(name)
        })
    });
    let named = Named { id: id(new), name: created.await?, books: 0, version: 1 };
    let headers = [(header::LOCATION, format!("/api/v1/{}/{new}", kind.table())), (header::ETAG, "\"1\"".to_owned())];
    Ok((StatusCode::CREATED, headers, ApiJson(named)).into_response())
}

/// Renames, and writes the new name into every book that repeats it, in one unit of work.
async fn rename<Id: Serialize>(
    catalog: &Arc<Catalog>,
    cause: Cause,
    kind: Kind,
    id: fn(Uuid) -> Id,
    of: Uuid,
    if_match: IfMatch,
    input: NameInput,
) -> Result<Response> {
    let name = check(kind, &input)?;
    let service = catalog.clone();
    let renamed = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            let old = names::by_id(tx, kind, of).await?.ok_or_else(|| Problem::not_found(kind.noun()))?;
            if_match.check(old.version)?;
            if kind.key(&old.name) != kind.key(&name) {
                check_spelling(tx, kind, &name, of).await?;
            }
            if !names::rename(tx, kind, of, old.version, &name).await.map_err(or_taken(kind))? {
                return Err(Problem::new(ErrorCode::EditConflict));
            }
            let books = books::rename(tx, kind, of, &old.name, &name, service.clock.now()).await?;
            for book in &books {
                service.publish_changed(tx, &cause, book.id, book.version, false).await?;
            }
            let ids: Vec<BookId> = books.iter().map(|book| book.id).collect();
            service.changed_with(tx, ids.clone());
            service.search_changed(tx, &ids).await?;
            Ok(NameRow { name, version: old.version + 1, ..old })
        })
    });
    let row = renamed.await?;
    Ok(([(header::ETAG, etag(row.version))], ApiJson(named(row, id))).into_response())
}

async fn delete(catalog: &Arc<Catalog>, kind: Kind, of: Uuid) -> Result<StatusCode> {
    let service = catalog.clone();
    let deleted = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            let old = names::by_id(tx, kind, of).await?.ok_or_else(|| Problem::not_found(kind.noun()))?;
            let in_use = || {
                Problem::new(ErrorCode::StillInUse)
                    .detail(format!("Books have this {}; change them first.", kind.noun()))
                    .with("books", old.book_count)
            };
            // A book may take the name at this very moment: then the foreign key refuses.
            match names::delete(tx, kind, of).await {
                Ok(true) => {}
                Ok(false) => return Err(in_use()),
                Err(error) if error.is_foreign_key_violation() => return Err(in_use()),
                Err(error) => return Err(error.into()),
            }
            service.changed_with(tx, Vec::new());
            Ok(())
        })
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The five routes of one kind.
macro_rules! endpoints {
    ($module:ident, $kind:expr, $id:ty, $named:ty, $all:literal, $one:literal, $ops:literal) => {
        pub(crate) mod $module {
            use axum::{extract::State, response::Response};
            use bookworm_contracts::rest::{Page, catalog::NameInput};
            use bookworm_http::{ApiJson, ApiPath, ApiQuery, IfMatch, Origin, ProblemBody, Result, auth::StaffOnly};
            use http::{HeaderMap, StatusCode};

            use super::NameParams;
            use std::sync::Arc;
            use crate::{service::Catalog, store::names::Kind};

            const KIND: Kind = $kind;

            /// All of them, with how many books each has.
            #[utoipa::path(get, path = $all, tag = "catalog", operation_id = concat!("list_", $ops), params(NameParams),
                responses(
                    (status = 200, body = Page<$named>, description = "One page"),
                    (status = 400, body = ProblemBody, description = "`validation_failed`, `invalid_cursor`"),
                ))]
            pub(crate) async fn list(
                State(catalog): State<Arc<Catalog>>,
                ApiQuery(params): ApiQuery<NameParams>,
            ) -> Result<Response> {
                super::list(&catalog, KIND, <$id>::from_uuid, params).await
            }

            /// One of them.
            #[utoipa::path(get, path = $one, tag = "catalog", operation_id = concat!("get_", $ops),
                params(("id" = $id, Path, description = "Its id")),
                responses(
                    (status = 200, body = $named, description = "With its `ETag`"),
                    (status = 304, description = "Not changed since the version in `If-None-Match`"),
                    (status = 308, description = "It was merged into the one in `Location` (authors)"),
                    (status = 404, body = ProblemBody, description = "`not_found`"),
                ))]
            pub(crate) async fn get(
                State(catalog): State<Arc<Catalog>>,
                ApiPath(id): ApiPath<$id>,
                headers: HeaderMap,
            ) -> Result<Response> {
                super::get(&catalog, KIND, <$id>::from_uuid, id.uuid(), &headers).await
            }

            /// Adds one without books.
            #[utoipa::path(post, path = $all, tag = "catalog", operation_id = concat!("create_", $ops), request_body = NameInput,
                responses(
                    (status = 201, body = $named, description = "Added"),
                    (status = 400, body = ProblemBody, description = "`validation_failed`"),
                    (status = 409, body = ProblemBody, description = "`duplicate_value`: the name is taken"),
                ),
                security(("bearer" = ["staff"]))
)]
            pub(crate) async fn create(
                State(catalog): State<Arc<Catalog>>,
                _: StaffOnly,
                ApiJson(input): ApiJson<NameInput>,
            ) -> Result<Response> {
                super::create(&catalog, KIND, <$id>::from_uuid, input).await
            }

            /// Renames one, in all its books too.
            #[utoipa::path(put, path = $one, tag = "catalog", operation_id = concat!("rename_", $ops), request_body = NameInput,
                params(("id" = $id, Path, description = "Its id"),
                    ("If-Match" = String, Header, description = "The `ETag` of the version that was read, or `*`")),
                responses(
                    (status = 200, body = $named, description = "As it is now"),
                    (status = 400, body = ProblemBody, description = "`validation_failed`"),
                    (status = 404, body = ProblemBody, description = "`not_found`"),
                    (status = 409, body = ProblemBody, description = "`duplicate_value`: the name is taken"),
                ),
                security(("bearer" = ["staff"]))
)]
            pub(crate) async fn rename(
                State(catalog): State<Arc<Catalog>>,
                _: StaffOnly,
                Origin(cause): Origin,
                ApiPath(id): ApiPath<$id>,
                if_match: IfMatch,
                ApiJson(input): ApiJson<NameInput>,
            ) -> Result<Response> {
                super::rename(&catalog, cause, KIND, <$id>::from_uuid, id.uuid(), if_match, input).await
            }

            /// Removes one that has no books.
            #[utoipa::path(delete, path = $one, tag = "catalog", operation_id = concat!("delete_", $ops),
                params(("id" = $id, Path, description = "Its id")),
                responses(
                    (status = 204, description = "Removed"),
                    (status = 404, body = ProblemBody, description = "`not_found`"),
                    (status = 409, body = ProblemBody, description = "`still_in_use`: it has books"),
                ),
                security(("bearer" = ["staff"]))
)]
            pub(crate) async fn delete(
                State(catalog): State<Arc<Catalog>>,
                _: StaffOnly,
                ApiPath(id): ApiPath<$id>,
            ) -> Result<StatusCode> {
                super::delete(&catalog, KIND, id.uuid()).await
            }
        }
    };
}

endpoints!(
    authors,
    Kind::Author,
    bookworm_kernel::AuthorId,
    bookworm_contracts::rest::catalog::Author,
    "/authors",
    "/authors/{id}",
    "authors"
);
endpoints!(
    publishers,
    Kind::Publisher,
    bookworm_kernel::PublisherId,
    bookworm_contracts::rest::catalog::Publisher,
    "/publishers",
    "/publishers/{id}",
    "publishers"
);
endpoints!(
    subjects,
    Kind::Subject,
    bookworm_kernel::SubjectId,
    bookworm_contracts::rest::catalog::Subject,
    "/subjects",
    "/subjects/{id}",
    "subjects"
);
