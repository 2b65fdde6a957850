//! An account's own reviews: where they stand, why, and asking staff to decide again.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::rating::{AppealInput, Review, ReviewActor, ReviewEvent, ReviewStanding, ReviewStatus};
use bookworm_kernel::ErrorCode;
use futures::future::join_all;
use http::StatusCode;

use super::{NOT_SOLD, Opinion};
use crate::{
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page, page_with},
    service::Web,
    session::Visitor,
    shelf::MOMENT,
    view::{self, Calendar, encoded, sign_in_url},
};

#[derive(Template)]
#[template(path = "own_reviews.html")]
struct OwnReviews {
    shell: Shell,
    reviews: Vec<Own>,
    next_href: Option<String>,
}

struct Own {
    title: String,
    opinion: Opinion,
}

#[derive(Template)]
#[template(path = "own_review.html")]
struct OwnReview {
    shell: Shell,
    errors: Errors,
    title: String,
    book_id: String,
    csrf: String,
    shop: String,
    calendar: Calendar,
    standing: Option<ReviewStanding>,
    can_appeal: bool,
    opinion: Opinion,
    field: Field,
    history: Vec<Step>,
}

/// Something that happened to a review.
pub(crate) struct Step {
    pub(crate) what: &'static str,
    /// As HTML.
    pub(crate) when: String,
    pub(crate) why: Option<String>,
}

impl Step {
    /// As its author reads it.
    pub(crate) fn new(event: &ReviewEvent, calendar: Calendar) -> Self {
        Self { what: what(event), when: calendar.time(&event.at), why: why(event) }
    }
}

fn what(event: &ReviewEvent) -> &'static str {
    match (event.kind.as_str(), event.by) {
        ("Written", _) => "Written",
        ("Edited", _) => "Edited",
        ("Verified", _) => "Verified: a completed order has this book",
        ("Waiting" | "Held", _) => "Put aside for our staff to read",
        ("Published", ReviewActor::Staff) => "Published by our staff",
        ("Published", _) => "Published",
        ("Hidden", _) => "Taken off the page by our staff",
        ("Appealed", _) => "Asked to look again",
        ("Answered", _) => "Answered by the shop",
        ("AnswerRemoved", _) => "Answer removed",
        ("Deleted", _) => "Deleted",
        _ => "Changed",
    }
}

/// The reason in words: rules have names, staff write sentences.
fn why(event: &ReviewEvent) -> Option<String> {
    let words = match event.reason.as_deref()? {
        "not_verified" => "No completed order with this book on the account",
        "hidden_before" => "An earlier version was taken off the page",
        "link" => "A web address in the text",
        "address" => "An email address in the text",
        "repeated" => "It repeats itself or another review",
        "rate" => "Many reviews in a short time",
        reason => reason,
    };
    Some(words.to_owned())
}

/// The title of a review's book; one that is no longer sold has none here.
async fn title(web: &Web, visitor: &Visitor, review: &Review) -> String {
    let id = review.book_id.to_string();
    match tokio::time::timeout(MOMENT, web.api.book(visitor.caller(), &id)).await {
        Ok(Ok(book)) => book.title,
        Ok(Err(error)) if error.status() == StatusCode::NOT_FOUND => NOT_SOLD.to_owned(),
        // It cannot be asked for just now.
        _ => "a book".to_owned(),
    }
}

/// `GET /account/reviews`
pub(crate) async fn list(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    if visitor.account().is_none() {
        return Ok(Redirect::to(&sign_in_url(visitor.here())).into_response());
    }
    let mine = [("limit", "20"), ("cursor", query.get("cursor"))];
    let list = web.api.own_reviews(visitor.caller(), &mine).await?;
    let titles = join_all(list.items.iter().map(|review| title(&web, &visitor, review))).await;
    let reviews = list
        .items
        .into_iter()
        .zip(titles)
        .map(|(review, title)| Own { title: view::capitalised(&title), opinion: Opinion::new(review, true) });
    let next_href = list.next.map(|cursor| format!("/account/reviews?cursor={}", encoded(&cursor)));
    let shell = visitor.shell("Your reviews").section("account");
    page(&OwnReviews { shell, reviews: reviews.collect(), next_href }).map(never_stored)
}

/// `GET /account/reviews/{id}`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>) -> PageResult {
    if visitor.account().is_none() {
        return Ok(Redirect::to(&sign_in_url(visitor.here())).into_response());
    }
    render(&web, &visitor, &id, StatusCode::OK, &Fields::default(), Errors::default()).await
}

/// `POST /account/reviews/{id}/appeal`: `text`.
pub(crate) async fn appeal(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    fields: Fields,
) -> PageResult {
    let text = fields.get("text").to_owned();
    if text.is_empty() {
        let mut errors = Errors::default();
        errors.add("text", "Tell us why everybody should see it.");
        return render(&web, &visitor, &id, StatusCode::BAD_REQUEST, &fields, errors).await;
    }
    match web.api.appeal(visitor.caller(), &id, &AppealInput { text }).await {
        Ok(()) => visitor.flash(&Flash::success("Thank you. Our staff will read your review again.")),
        Err(error) if error.code() == ErrorCode::InvalidReviewState.as_str() => {
            visitor.flash(&Flash::problem("Our staff have your request already, or have decided meanwhile."));
        }
        Err(error) => match error.problem() {
            Some(problem) if problem.status == 400 => {
                let errors = Errors::from_api(&problem.errors, &["text"]);
                return render(&web, &visitor, &id, StatusCode::BAD_REQUEST, &fields, errors).await;
            }
            _ => return Err(error.into()),
        },
    }
    Ok(Redirect::to(&format!("/account/reviews/{}", encoded(&id))).into_response())
}

async fn render(
    web: &Web,
    visitor: &Visitor,
    id: &str,
    status: StatusCode,
    typed: &Fields,
    errors: Errors,
) -> PageResult {
    let caller = visitor.caller();
    let (review, events) = tokio::try_join!(web.api.review(caller, id), web.api.review_events(caller, id))?;
    let title = title(web, visitor, &review).await;
    let calendar = visitor.calendar();
    let standing = review.standing.clone();
    let field = Field::new("text", "Why should everybody see it?").rows(4).maxlength(1000).fill(typed, &errors);
    let shown = OwnReview {
        shell: visitor.shell(format!("Your review of {title}")).section("account"),
        title,
        book_id: review.book_id.to_string(),
        csrf: visitor.csrf().to_owned(),
        shop: web.settings.shop_name.clone(),
        can_appeal: standing.as_ref().is_some_and(|standing| standing.status != ReviewStatus::Published),
        standing,
        opinion: Opinion::new(review, true),
        history: events.iter().map(|event| Step::new(event, calendar)).collect(),
        calendar,
        field,
        errors,
    };
    page_with(status, &shown).map(never_stored)
}
