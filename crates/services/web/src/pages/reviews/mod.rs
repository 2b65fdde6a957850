//! What readers think: the reviews on a book's page, writing one, votes and reports, one's own.

mod form;
pub(crate) mod own;
mod section;
mod unsubscribe;
mod votes;

use axum::{
    Router,
    routing::{get, post},
};
use bookworm_contracts::rest::rating::{HoldReason, ReviewStanding, ReviewStatus};

pub(crate) use self::section::{Opinion, Section};
use crate::service::Web;

/// The title of a book whose page is gone.
const NOT_SOLD: &str = "a book we no longer sell";

/// Every page about reviews but the book's own.
pub(crate) fn router() -> Router<Web> {
    Router::new()
        .route("/books/{id}/review", get(form::show).post(form::save))
        .route("/books/{id}/review/delete", get(form::ask_delete).post(form::delete))
        .route("/reviews/{id}/helpful", post(votes::vote))
        .route("/reviews/{id}/report", get(votes::ask_report).post(votes::report))
        .route("/account/reviews", get(own::list))
        .route("/account/reviews/{id}", get(own::show))
        .route("/account/reviews/{id}/appeal", post(own::appeal))
        .route("/unsubscribe", get(unsubscribe::ask).post(unsubscribe::confirm))
}

/// Stars as they are read out: `4.5 out of 5 stars`.
pub(crate) fn out_of_five(stars: &f64) -> String {
    format!("{stars} out of 5 stars")
}

/// Where a review stands, in a word.
pub(crate) fn status(status: &ReviewStatus) -> &'static str {
    match status {
        ReviewStatus::Published => "Published",
        ReviewStatus::Waiting => "Waiting",
        ReviewStatus::Held => "On hold",
        ReviewStatus::Hidden => "Hidden",
    }
}

/// The class of its badge.
pub(crate) fn badge(status: &ReviewStatus) -> &'static str {
    match status {
        ReviewStatus::Published => "confirmed",
        ReviewStatus::Waiting | ReviewStatus::Held => "pending",
        ReviewStatus::Hidden => "rejected",
    }
}

/// Why a review is not to be seen yet, for its author.
pub(crate) fn why(standing: &ReviewStanding) -> String {
    match (standing.status, standing.reason) {
        (ReviewStatus::Published, _) => "Everybody can read it.".to_owned(),
        (ReviewStatus::Hidden, _) => match &standing.explanation {
            Some(explanation) => format!("Our staff took it off the page: {explanation}"),
            None => "Our staff took it off the page.".to_owned(),
        },
        (_, reason) => match reason {
            Some(HoldReason::NotVerified) => {
                "We can’t see a completed order with this book on your account, so our staff read it before it appears."
            }
            Some(HoldReason::HiddenBefore) => {
                "Our staff took an earlier version off the page, so they read this one before it appears."
            }
            Some(HoldReason::Link) => "There’s a web address in it, so our staff read it before it appears.",
            Some(HoldReason::Address) => "There’s an email address in it, so our staff read it before it appears.",
            Some(HoldReason::Repeated) => {
                "It repeats itself, or what another review says, so our staff read it before it appears."
            }
            Some(HoldReason::Rate) => {
                "You’ve written many reviews in a short time, so our staff read it before it appears."
            }
            None => "Our staff read it before it appears.",
        }
        .to_owned(),
    }
}
