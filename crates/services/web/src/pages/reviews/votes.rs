//! What readers do with reviews of others: say that one helped, or that something is wrong with it.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::rating::{ReportInput, ReportReason, Review};
use http::StatusCode;

use crate::{
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields},
    layout::{Shell, never_stored, page_with},
    service::Web,
    session::Visitor,
    view::{encoded, sign_in_url},
};

/// What can be wrong, with the words for it.
const REASONS: [(&str, ReportReason, &str); 7] = [
    ("spam", ReportReason::Spam, "It’s advertising"),
    ("offensive", ReportReason::Offensive, "It insults or threatens somebody"),
    ("off_topic", ReportReason::OffTopic, "It isn’t about the book"),
    ("spoiler", ReportReason::Spoiler, "It gives away the ending without saying so"),
    ("not_genuine", ReportReason::NotGenuine, "It isn’t genuine"),
    ("illegal", ReportReason::Illegal, "It’s against the law"),
    ("other", ReportReason::Other, "Something else"),
];

#[derive(Template)]
#[template(path = "review_report.html")]
struct ReportPage {
    shell: Shell,
    errors: Errors,
    review: Review,
    /// Id, value, words, whether it is chosen.
    reasons: Vec<(String, &'static str, &'static str, bool)>,
    field: Field,
}

/// The review on the page of its book.
fn place(book: &str, review: &str) -> String {
    let plain = |id: &str| encoded(id).replace("%2D", "-");
    format!("/books/{}#review-{}", plain(book), plain(review))
}

/// `POST /reviews/{id}/helpful`: `helpful`, `book_id`.
pub(crate) async fn vote(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    fields: Fields,
) -> PageResult {
    let back = place(fields.get("book_id"), &id);
    if visitor.account().is_none() {
        return Ok(Redirect::to(&sign_in_url(&back)).into_response());
    }
    let helpful = fields.get("helpful") != "false";
    match web.api.vote(visitor.caller(), &id, helpful).await {
        Ok(()) if helpful => visitor.flash(&Flash::success("Thanks for telling us that it helped.")),
        Ok(()) => visitor.flash(&Flash::success("Your vote is removed.")),
        Err(error) => match error.status() {
            StatusCode::NOT_FOUND => visitor.flash(&Flash::problem("That review is no longer there.")),
            StatusCode::FORBIDDEN => visitor.flash(&Flash::problem("You can’t vote for your own review.")),
            _ => return Err(error.into()),
        },
    }
    Ok(Redirect::to(&back).into_response())
}

/// `GET /reviews/{id}/report`
pub(crate) async fn ask_report(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>) -> PageResult {
    if visitor.account().is_none() {
        return Ok(Redirect::to(&sign_in_url(visitor.here())).into_response());
    }
    render(&web, &visitor, &id, StatusCode::OK, &Fields::default(), Errors::default()).await
}

/// `POST /reviews/{id}/report`: `reason`, `text`.
pub(crate) async fn report(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    fields: Fields,
) -> PageResult {
    let mut errors = Errors::default();
    let reason = REASONS.iter().find(|(name, ..)| *name == fields.get("reason")).map(|(_, reason, _)| *reason);
    let text = fields.optional("text");
    match reason {
        None => errors.add("reason", "Choose what’s wrong."),
        Some(ReportReason::Other) if text.is_none() => errors.add("text", "Tell us what’s wrong."),
        Some(_) => {}
    }
    let (Some(reason), true) = (reason, errors.is_empty()) else {
        return render(&web, &visitor, &id, StatusCode::BAD_REQUEST, &fields, errors).await;
    };
    match web.api.report_review(visitor.caller(), &id, &ReportInput { reason, text }).await {
        Ok(()) => visitor.flash(&Flash::success("Thank you. Our staff will look at it.")),
        Err(error) => match error.problem() {
            Some(problem) if problem.status == 400 => {
                let errors = Errors::from_api(&problem.errors, &["reason", "text"]);
                return render(&web, &visitor, &id, StatusCode::BAD_REQUEST, &fields, errors).await;
            }
            Some(problem) if problem.status == 403 => {
                visitor.flash(&Flash::problem("You can’t report your own review."));
            }
            _ => return Err(error.into()),
        },
    }
    Ok(Redirect::to(&place(fields.get("book_id"), &id)).into_response())
}

async fn render(
    web: &Web,
    visitor: &Visitor,
    id: &str,
    status: StatusCode,
    typed: &Fields,
    errors: Errors,
) -> PageResult {
    let review = web.api.review(visitor.caller(), id).await?;
    let reasons = REASONS.iter().enumerate().map(|(place, (name, _, words))| {
        // The summary of errors leads to the first of them.
        let id = if place == 0 { "f-reason".to_owned() } else { format!("f-reason-{name}") };
        (id, *name, *words, typed.get("reason") == *name)
    });
    let field = Field::new("text", "What exactly?").rows(4).maxlength(500).optional().fill(typed, &errors);
    let shell = visitor.shell("Report a review");
    let report = ReportPage { shell, reasons: reasons.collect(), field, review, errors };
    page_with(status, &report).map(never_stored)
}
