//! Authors under several spellings that are one person, and one name that is two.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::catalog::{Author, AuthorGroup, AuthorLikeness, Book, MergeAuthor, SplitAuthor};
use bookworm_kernel::ErrorCode;
use http::StatusCode;
use uuid::Uuid;

use super::{PAGE, Staff, next_href, why_not};
use crate::{
    api::ApiError,
    error::{PageError, PageResult},
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page, page_with},
    service::Web,
    view,
};

#[derive(Template)]
#[template(path = "admin/authors.html")]
struct AuthorsPage {
    shell: Shell,
    words: String,
    spellings: Vec<AuthorGroup>,
    initials: Vec<AuthorGroup>,
    found: Vec<Author>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/author.html")]
struct AuthorPage {
    shell: Shell,
    errors: Errors,
    author: Author,
    books: Vec<Choice>,
    next_href: Option<String>,
    /// The name of the author that these books are by.
    name: Field,
}

struct Choice {
    book: Book,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "admin/author_merge.html")]
struct MergePage {
    shell: Shell,
    goes: Author,
    stays: Author,
}

fn address(id: &str) -> String {
    let id = id.parse::<Uuid>().map_or_else(|_| view::encoded(id), |id| id.to_string());
    format!("/admin/books/authors/{id}")
}

/// How many books somebody wrote, in words.
pub(crate) fn books(author: &Author) -> String {
    match author.books {
        0 => "no books".to_owned(),
        1 => "1 book".to_owned(),
        books => format!("{} books", view::number(&books)),
    }
}

/// `GET /admin/books/authors?q=`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let (spellings, initials) = web
        .api
        .author_doubles(staff.caller())
        .await?
        .groups
        .into_iter()
        .partition(|group| group.reason == AuthorLikeness::Spelling);
    let words = query.get("q").to_owned();
    let (mut found, mut next) = (Vec::new(), None);
    if !words.is_empty() {
        let filters = [("q", words.as_str()), ("cursor", query.get("cursor")), ("limit", PAGE)];
        let list = web.api.authors(staff.caller(), &filters).await?;
        (found, next) = (list.items, next_href("/admin/books/authors", &[("q", &words)], list.next.as_deref()));
    }
    let shell = staff.office("Authors");
    page(&AuthorsPage { shell, words, spellings, initials, found, next_href: next }).map(never_stored)
}

/// The author, or the page of the one that it was merged into.
async fn find(web: &Web, staff: &Staff, id: &str) -> Result<Author, PageError> {
    web.api.author_named(staff.caller(), id).await?.ok_or(PageError::NotFound)
}

/// `GET /admin/books/authors/{id}`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>, query: Query) -> PageResult {
    let author = find(&web, &staff, &id).await?;
    if author.id.to_string() != id {
        return Ok(Redirect::permanent(&address(&author.id.to_string())).into_response());
    }
    author_page(&web, &staff, StatusCode::OK, author, query.get("cursor"), &Fields::default(), Errors::default()).await
}

async fn author_page(
    web: &Web,
    staff: &Staff,
    status: StatusCode,
    author: Author,
    cursor: &str,
    typed: &Fields,
    errors: Errors,
) -> PageResult {
    let id = author.id.to_string();
    let filters = [("author", id.as_str()), ("sort", "title"), ("cursor", cursor), ("limit", PAGE)];
    let list = web.api.books(staff.caller(), &filters).await?;
    let chosen: Vec<&str> = typed.all("book").collect();
    let choice = |book: Book| Choice { chosen: chosen.contains(&book.id.to_string().as_str()), book };
    let name = Field::new("name", "Name of the other author")
        .hint("Write it so that the two can be told apart, such as with a middle initial or a year of birth.")
        .value(typed.get("name"))
        .error(errors.of("name"));
    let author_page = AuthorPage {
        shell: staff.office(author.name.clone()),
        next_href: next_href(&address(&id), &[], list.next.as_deref()),
        books: list.items.into_iter().map(choice).collect(),
        errors,
        author,
        name,
    };
    page_with(status, &author_page).map(never_stored)
}

/// `GET /admin/books/authors/{id}/merge?into=`: shows what would happen. `into` is an id, or a name in any spelling.
pub(crate) async fn ask_merge(
    State(web): State<Web>,
    staff: Staff,
    Path(id): Path<String>,
    query: Query,
) -> PageResult {
    let goes = find(&web, &staff, &id).await?;
    let typed = query.get("into");
    let wrong = |message: String| {
        staff.flash(&Flash::problem(message));
        Ok(Redirect::to(&address(&goes.id.to_string())).into_response())
    };
    if typed.is_empty() {
        return wrong("Write the name of the other author.".to_owned());
    }
    let found = match web.api.author_named(staff.caller(), typed).await {
        Err(ApiError::Problem(problem)) if problem.status == 400 => None,
        found => found?,
    };
    match found {
        None => wrong(format!("There’s no author called “{}”.", typed.chars().take(100).collect::<String>())),
        Some(stays) if stays.id == goes.id => wrong(format!("“{}” is this author already.", stays.name)),
        Some(stays) => {
            let shell = staff.office(format!("Merge {}", goes.name));
            page(&MergePage { shell, goes, stays }).map(never_stored)
        }
    }
}

/// `POST /admin/books/authors/{id}/merge`: `into`.
pub(crate) async fn merge(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let Ok(into) = fields.get("into").parse() else {
        return Ok(Redirect::to(&address(&id)).into_response());
    };
    match web.api.merge_author(staff.caller(), &id, &MergeAuthor { into }).await {
        Ok(author) => {
            staff.flash(&Flash::success(format!("Merged. {} has {} now.", author.name, books(&author))));
            Ok(Redirect::to(&address(&author.id.to_string())).into_response())
        }
        Err(error) if is_about_the_form(&error) => {
            let many = error.status() == StatusCode::BAD_REQUEST;
            staff.flash(&Flash::problem(if many {
                "They weren’t merged: too many books would have to move. Merge the one with fewer books into the other."
            } else {
                why_not(&error)
            }));
            Ok(Redirect::to(&address(&id)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /admin/books/authors/{id}/split`: `name`, `book` for each.
pub(crate) async fn split(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let author = find(&web, &staff, &id).await?;
    let mut errors = Errors::default();
    let chosen: Vec<_> = fields.all("book").filter_map(|book| book.parse().ok()).collect();
    if chosen.is_empty() {
        errors.add("books", "Choose the books that are by the other author.");
    }
    if fields.get("name").is_empty() {
        errors.add("name", "Write the name of the other author.");
    }
    if errors.is_empty() {
        let split = SplitAuthor { name: fields.get("name").to_owned(), books: chosen };
        match web.api.split_author(staff.caller(), &id, &split).await {
            Ok(author) => {
                staff.flash(&Flash::success(format!("Split. {} has {} now.", author.name, books(&author))));
                return Ok(Redirect::to(&address(&author.id.to_string())).into_response());
            }
            Err(error) if is_about_the_form(&error) => match ErrorCode::parse(error.code()) {
                Some(ErrorCode::DuplicateValue) => {
                    errors.add(
                        "name",
                        "There’s an author of this name already. Write it so that the two can be told apart.",
                    );
                }
                Some(ErrorCode::ValidationFailed) => {
                    let fields = error.problem().map(|problem| problem.errors.clone()).unwrap_or_default();
                    errors = Errors::from_api(&fields, &["name", "books"]);
                }
                _ => errors = Errors::general(why_not(&error)),
            },
            Err(error) => return Err(error.into()),
        }
    }
    author_page(&web, &staff, StatusCode::BAD_REQUEST, author, "", &fields, errors).await
}

fn is_about_the_form(error: &ApiError) -> bool {
    error.status().is_client_error() && error.status() != StatusCode::UNAUTHORIZED
}
