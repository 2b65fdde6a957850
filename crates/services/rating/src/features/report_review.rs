use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::rating::{ReportInput, ReportReason};
use bookworm_http::{ApiJson, ApiPath, Result, Validator, auth::Signed, openapi::ProblemResponses};
use http::StatusCode;
use uuid::Uuid;

use super::vote::foreign;
use crate::{
    service::{Ratings, WorkError},
    store::reports,
};

/// Tells staff that something is wrong with a review
///
/// The review stays as it is until they decide. One report for each account; a repeat changes nothing. Nobody reports
/// their own (`forbidden`). `other` needs a text.
#[utoipa::path(
    post, path = "/reviews/{id}/reports", tag = "rating", request_body = ReportInput,
    params(("id" = Uuid, Path, description = "The review")),
    responses((status = 204, description = "Staff will see it"), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn report_review(
    State(service): State<Arc<Ratings>>,
    Signed(account): Signed,
    ApiPath(id): ApiPath<Uuid>,
    ApiJson(report): ApiJson<ReportInput>,
) -> Result<StatusCode> {
    let mut valid = Validator::new();
    let text = valid.optional_multiline("/text", report.text.as_deref(), 1..=500);
    valid.check("/text", text.is_some() || report.reason != ReportReason::Other, "must say what is wrong");
    valid.finish()?;
    let (reader, now) = (account.id, service.now());
    let reason = reason_name(report.reason);
    let reported = service.db.transact::<_, WorkError, _>(move |tx| {
        Box::pin(async move {
            foreign(tx, id, reader, now).await?;
            Ok(reports::add(tx, id, reader, reason, text, now).await?)
        })
    });
    reported.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// As it is stored.
fn reason_name(reason: ReportReason) -> String {
    let name = match reason {
        ReportReason::Spam => "spam",
        ReportReason::Offensive => "offensive",
        ReportReason::OffTopic => "off_topic",
        ReportReason::Spoiler => "spoiler",
        ReportReason::NotGenuine => "not_genuine",
        ReportReason::Illegal => "illegal",
        ReportReason::Other => "other",
    };
    name.to_owned()
}

/// From what is stored.
pub(super) fn reason_named(name: &str) -> ReportReason {
    use ReportReason::{Illegal, NotGenuine, OffTopic, Offensive, Other, Spam, Spoiler};
    let all = [Spam, Offensive, OffTopic, Spoiler, NotGenuine, Illegal, Other];
    all.into_iter().find(|reason| reason_name(*reason) == name).unwrap_or(Other)
}
