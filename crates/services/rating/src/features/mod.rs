//! One use case, one file.

mod answer_review;
mod appeal;
mod author;
mod decide;
mod delete_review;
mod edit_review;
mod input;
pub(crate) mod invite;
mod invited;
mod list_reviews;
mod moderation_queue;
mod own_reviews;
mod read_review;
mod report_review;
mod review_events;
mod shown;
pub(crate) mod summarize;
mod vote;
mod write_review;

use std::sync::Arc;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::service::Ratings;

pub(crate) fn routes() -> OpenApiRouter<Arc<Ratings>> {
    OpenApiRouter::new()
        .routes(routes!(list_reviews::list_reviews, write_review::write_review))
        .routes(routes!(own_reviews::own_reviews))
        .routes(routes!(invited::check_invitation))
        .routes(routes!(invited::ask_unsubscribe, invited::unsubscribe))
        .routes(routes!(read_review::read_review, edit_review::edit_review, delete_review::delete_review))
        .routes(routes!(review_events::review_events))
        .routes(routes!(vote::vote_helpful, vote::withdraw_vote))
        .routes(routes!(report_review::report_review))
        .routes(routes!(appeal::appeal_review))
        .routes(routes!(answer_review::answer_review, answer_review::remove_answer))
        .routes(routes!(moderation_queue::moderation_queue))
        .routes(routes!(decide::decide_review))
}
