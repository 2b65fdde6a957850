use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::rating::{DecisionInput, Review, Verdict};
use bookworm_http::{ApiJson, ApiPath, IfMatch, Origin, Result, Validator, auth::StaffOnly, openapi::ProblemResponses};
use uuid::Uuid;

use super::{shown, shown::Viewer};
use crate::{
    service::{Actor, Change, Ratings, Work, WorkError},
    store::reports,
};

/// Publishes or hides a review. Staff
///
/// Its author reads the reason, which is needed to hide it. The decision settles what was reported, and an appeal. It
/// is about the version that was read: what its author changed meanwhile is `edit_conflict`.
#[utoipa::path(
    post, path = "/admin/reviews/{id}/decision", tag = "rating", request_body = DecisionInput,
    params(("id" = Uuid, Path, description = "The review"),
        ("If-Match" = String, Header, description = "The `ETag` of the version that was read, or `*`")),
    responses((status = 200, description = "The review as it is now", body = Review,
        headers(("ETag" = String, description = "Its version"))), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn decide_review(
    State(service): State<Arc<Ratings>>,
    StaffOnly(account): StaffOnly,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
    ApiJson(decision): ApiJson<DecisionInput>,
) -> Result<Response> {
    let mut valid = Validator::new();
    let reason = valid.optional_multiline("/reason", decision.reason.as_deref(), 1..=500);
    valid.check("/reason", reason.is_some() || decision.verdict != Verdict::Hide, "must say why it is hidden");
    valid.finish()?;
    let (reason, now, outbox) = (reason.unwrap_or_default(), service.now(), service.outbox.clone());
    let change = Change { id, by: Actor::Staff(account.id), cause, if_match: Some(if_match) };
    let decided = service.db.transact::<_, WorkError, _>(move |tx| {
        Box::pin(async move {
            let mut work = Work::begin(tx, change, now).await?;
            reports::decide(tx, id).await?;
            work.row.settle_reports();
            let events = match decision.verdict {
                Verdict::Publish => work.review.state.publish(reason),
                Verdict::Hide => work.review.state.hide(reason),
            };
            work.record(tx, &outbox, &events).await?;
            Ok(work.row)
        })
    });
    Ok(shown::answer(decided.await?, Viewer::Staff)?)
}
