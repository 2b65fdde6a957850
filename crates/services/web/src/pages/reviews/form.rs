//! Writing, editing and deleting a review: signed in, or with the link of a mail that asked for it.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use bookworm_contracts::rest::rating::{HoldReason, Review, ReviewInput, ReviewStatus};
use bookworm_kernel::ErrorCode;
use http::StatusCode;

use super::NOT_SOLD;
use crate::{
    api::ApiError,
    error::{PageError, PageResult},
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page, page_with},
    names,
    pages::listing::LANGUAGES,
    service::Web,
    session::Visitor,
    view::{encoded, sign_in_url},
};

#[derive(Template)]
#[template(path = "review_form.html")]
struct ReviewForm {
    shell: Shell,
    errors: Errors,
    book_id: String,
    title: String,
    language: Option<String>,
    review_id: String,
    version: String,
    invite: String,
    /// Where to sign in again, when the session has ended while somebody wrote.
    sign_in: Option<String>,
    ratings: Vec<Rating>,
    rating_error: String,
    fields: Vec<Field>,
    languages: Vec<(String, String, bool)>,
    language_error: String,
    spoiler: bool,
}

/// One of the ten ratings.
struct Rating {
    id: String,
    value: String,
    label: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "review_delete.html")]
struct DeletePage {
    shell: Shell,
    book_id: String,
    review_id: String,
    invite: String,
}

/// A book that somebody may review, and what they wrote before.
struct Subject {
    title: String,
    language: Option<String>,
    review: Option<Review>,
}

/// What is to be reviewed here, and by whom; or where they are sent first.
async fn subject(
    web: &Web,
    visitor: &Visitor,
    book: &str,
    invite: &str,
) -> Result<Result<Subject, Response>, PageError> {
    let caller = visitor.caller();
    if !invite.is_empty() {
        let found = match web.api.check_invitation(caller, invite).await {
            Ok(invitation) => invitation.books.into_iter().find(|one| one.book_id.to_string() == book),
            Err(error) if error.status() == StatusCode::BAD_REQUEST => {
                visitor.flash(&Flash::problem(
                    "That link has expired. If you have an account, sign in to review the book.",
                ));
                return Ok(Err(Redirect::to(&book_path(book)).into_response()));
            }
            Err(error) => return Err(error.into()),
        };
        let found = found.ok_or(PageError::NotFound)?;
        return Ok(Ok(Subject { title: found.title, language: None, review: found.review }));
    }
    if visitor.account().is_none() {
        return Ok(Err(Redirect::to(&sign_in_url(visitor.here())).into_response()));
    }
    let mine = [("book_id", book), ("limit", "1")];
    let (book, own) = tokio::join!(web.api.book(caller, book), web.api.own_reviews(caller, &mine));
    let review = own?.items.into_iter().next();
    let (title, language) = match book {
        Ok(book) => (book.title, book.language),
        // What was written about it can be changed and deleted all the same.
        Err(error) if error.status() == StatusCode::NOT_FOUND && review.is_some() => (NOT_SOLD.to_owned(), None),
        Err(error) => return Err(error.into()),
    };
    Ok(Ok(Subject { title, language, review }))
}

/// `GET /books/{id}/review?invite=`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, query: Query) -> PageResult {
    let invite = query.get("invite");
    let subject = match subject(&web, &visitor, &id, invite).await? {
        Ok(subject) => subject,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let mut typed = Fields::default();
    typed.put("invite", invite);
    match &subject.review {
        Some(review) => {
            typed.put("review_id", &review.id.to_string());
            typed.put("version", &review.version.to_string());
            typed.put("rating", &review.rating.to_string());
            typed.put("title", review.title.as_deref().unwrap_or_default());
            typed.put("text", review.text.as_deref().unwrap_or_default());
            typed.put("language", review.language.as_deref().unwrap_or_default());
            typed.put("spoiler", if review.spoiler { "true" } else { "" });
        }
        None => typed.put("language", "en"),
    }
    let words = Words { book: &id, title: &subject.title, language: subject.language };
    render(&visitor, StatusCode::OK, words, &typed, Errors::default(), None)
}

/// `POST /books/{id}/review`: `rating`, `title`, `text`, `language`, `spoiler`, `review_id`, `version`, `invite`.
/// Whatever goes wrong, the form comes back with what was typed.
pub(crate) async fn save(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    fields: Fields,
) -> PageResult {
    let rating = fields.get("rating").parse::<f64>().ok();
    let again = |status: StatusCode, errors: Errors, sign_in: Option<String>| {
        let words = Words { book: &id, title: "this book", language: None };
        render(&visitor, status, words, &fields, errors, sign_in)
    };
    let Some(rating) = rating else {
        let mut errors = Errors::default();
        errors.add("rating", "Choose a rating.");
        return again(StatusCode::BAD_REQUEST, errors, None);
    };
    let input = ReviewInput {
        rating,
        title: fields.optional("title"),
        text: fields.optional("text"),
        language: fields.optional("language"),
        spoiler: fields.get("spoiler") == "true",
    };
    let (caller, invite, review) = (visitor.caller(), fields.get("invite"), fields.get("review_id"));
    let by_mail = !invite.is_empty();
    let saved = match review {
        "" => web.api.write_review(caller, &id, invite, &input).await,
        review => web.api.edit_review(caller, review, fields.get("version"), invite, &input).await,
    };
    let error = match saved {
        Ok(review) => {
            visitor.flash(&Flash::success(thanks(&review, by_mail)));
            return Ok(afterwards(&web, &visitor, &id).await);
        }
        Err(error) => error,
    };
    let ended = error.status() == StatusCode::UNAUTHORIZED;
    if ended {
        // Else the page for signing in takes its visitor for signed in.
        visitor.drop_access();
    }
    let sign_in = ended.then(|| sign_in_url(&book_path(&id)));
    again(error.status(), why_not(&error, by_mail), sign_in)
}

/// What the author reads after it is saved.
fn thanks(review: &Review, by_mail: bool) -> &'static str {
    match review.standing.as_ref().map(|standing| (standing.status, standing.reason)) {
        Some((ReviewStatus::Waiting | ReviewStatus::Held, _)) if by_mail => {
            "Thank you! Our staff read your review before it appears."
        }
        Some((ReviewStatus::Waiting, Some(HoldReason::NotVerified))) => {
            "Thank you! Our staff read your review before it appears, because we can’t see a completed order with this book on your account."
        }
        Some((ReviewStatus::Waiting | ReviewStatus::Held, _)) => {
            "Thank you! Our staff read your review before it appears. “Your reviews” in your account says why."
        }
        _ => "Thank you! Your review is on the page.",
    }
}

fn why_not(error: &ApiError, by_mail: bool) -> Errors {
    let general = match ErrorCode::parse(error.code()) {
        Some(ErrorCode::NotFound) => {
            "This review, or the book, is no longer there. Copy what you wrote here, then open the book’s page again."
        }
        Some(ErrorCode::DuplicateValue) if by_mail => {
            "You’ve reviewed this book already. Open the link in our email again to change it."
        }
        Some(ErrorCode::DuplicateValue) => {
            "You’ve reviewed this book already. Open it under “Your reviews” in your account to change it."
        }
        Some(ErrorCode::EditConflict | ErrorCode::PreconditionRequired) => {
            "Your review was changed in another window. Copy what you wrote here, reload the page and try again."
        }
        Some(ErrorCode::TooManyRequests) => "That was a lot at once. Wait a while, then send it again.",
        _ => match error.problem() {
            Some(problem) if problem.status == 401 => "You’re signed out.",
            Some(problem) if problem.errors.iter().any(|wrong| wrong.field == "/token") => {
                "The link from your email has expired. If you have an account, sign in to post this review."
            }
            Some(problem) if problem.status == 400 => {
                return Errors::from_api(&problem.errors, &["rating", "title", "text", "language"]);
            }
            _ => {
                "We’re having trouble right now and can’t tell whether your review was saved. What you wrote is still here: send it again in a moment."
            }
        },
    };
    Errors::general(general)
}

/// `GET /books/{id}/review/delete?invite=`
pub(crate) async fn ask_delete(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    query: Query,
) -> PageResult {
    let invite = query.get("invite");
    let review = match subject(&web, &visitor, &id, invite).await? {
        Ok(subject) => subject.review.ok_or(PageError::NotFound)?,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let shell = visitor.shell("Delete your review?");
    let (review_id, invite) = (review.id.to_string(), invite.to_owned());
    page(&DeletePage { shell, book_id: id, review_id, invite }).map(never_stored)
}

/// `POST /books/{id}/review/delete`: `review_id`, `invite`.
pub(crate) async fn delete(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    fields: Fields,
) -> PageResult {
    match web.api.delete_review(visitor.caller(), fields.get("review_id"), fields.get("invite")).await {
        Ok(()) => visitor.flash(&Flash::success("Your review is deleted.")),
        Err(error) if error.status() == StatusCode::NOT_FOUND => {
            visitor.flash(&Flash::problem("That review is no longer there."));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(afterwards(&web, &visitor, &id).await)
}

/// Where the author of a review goes next: to the book's page, or to their reviews where the book is no longer sold.
async fn afterwards(web: &Web, visitor: &Visitor, book: &str) -> Response {
    let sold = web.api.book(visitor.caller(), book).await;
    let gone = matches!(&sold, Err(error) if error.status() == StatusCode::NOT_FOUND);
    let path = match (gone, visitor.account().is_some()) {
        (true, true) => "/account/reviews".to_owned(),
        (true, false) => "/".to_owned(),
        (false, _) => format!("{}#reviews", book_path(book)),
    };
    Redirect::to(&path).into_response()
}

fn book_path(id: &str) -> String {
    format!("/books/{}", encoded(id).replace("%2D", "-"))
}

/// What the form is about.
struct Words<'a> {
    book: &'a str,
    title: &'a str,
    language: Option<String>,
}

fn render(
    visitor: &Visitor,
    status: StatusCode,
    about: Words<'_>,
    typed: &Fields,
    errors: Errors,
    sign_in: Option<String>,
) -> PageResult {
    let fields = vec![
        Field::new("title", "Title").maxlength(120).optional().fill(typed, &errors),
        Field::new("text", "Your review").rows(8).maxlength(5000).optional().fill(typed, &errors),
    ];
    let chosen = typed.get("rating").parse::<f64>().ok();
    let ratings = (1..=10).map(|halves: u8| {
        let stars = f64::from(halves) / 2.0;
        Rating {
            // The summary of errors leads to the first of them.
            id: if halves == 1 { "f-rating".to_owned() } else { format!("f-rating-{halves}") },
            value: stars.to_string(),
            label: match halves {
                1 => "Half a star".to_owned(),
                2 => "1 star".to_owned(),
                _ => format!("{stars} stars"),
            },
            chosen: chosen == Some(stars),
        }
    });
    let language = typed.get("language");
    let mut languages: Vec<(String, String, bool)> = vec![(String::new(), "Not given".to_owned(), language.is_empty())];
    let mut known: Vec<&str> = LANGUAGES.to_vec();
    if !language.is_empty() && !known.contains(&language) {
        known.push(language);
    }
    languages
        .extend(known.iter().map(|code| ((*code).to_owned(), names::language(code).to_owned(), *code == language)));
    let title = match (errors.is_empty(), typed.get("review_id")) {
        (false, _) => format!("Error: review {}", about.title),
        (true, "") => format!("Review {}", about.title),
        (true, _) => format!("Edit your review of {}", about.title),
    };
    let form = ReviewForm {
        shell: visitor.shell(title),
        book_id: about.book.to_owned(),
        title: about.title.to_owned(),
        language: about.language,
        review_id: typed.get("review_id").to_owned(),
        version: typed.get("version").to_owned(),
        invite: typed.get("invite").to_owned(),
        sign_in,
        ratings: ratings.collect(),
        rating_error: errors.of("rating").to_owned(),
        fields,
        languages,
        language_error: errors.of("language").to_owned(),
        spoiler: typed.get("spoiler") == "true",
        errors,
    };
    page_with(status, &form).map(never_stored)
}
