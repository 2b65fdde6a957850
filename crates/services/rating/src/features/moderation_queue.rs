use std::{collections::HashMap, sync::Arc};

use axum::extract::State;
use bookworm_contracts::rest::{
    Page,
    rating::{ModeratedReview, ReviewQueue, ReviewReport},
};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, ApiQuery, PageParams, Result, auth::StaffOnly, cursor, openapi::ProblemResponses};
use bookworm_kernel::{CustomerId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{report_review::reason_named, shown, shown::Viewer};
use crate::{
    domain::Status,
    service::Ratings,
    store::{list, reports},
};

/// Which reviews.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Query {
    /// Which ones; `open` when left out.
    #[serde(default)]
    #[param(inline)]
    queue: Option<ReviewQueue>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageParams,
}

/// Reviews that staff have to decide on, the oldest first. Staff
#[utoipa::path(
    get, path = "/admin/reviews", tag = "rating", params(Query, PageParams),
    responses((status = 200, description = "A page of reviews", body = Page<ModeratedReview>), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn moderation_queue(
    State(service): State<Arc<Ratings>>,
    _staff: StaffOnly,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<ApiJson<Page<ModeratedReview>>> {
    let (limit, after) = (query.page.limit()?, query.page.after::<Uuid>()?);
    let status = match query.queue.unwrap_or_default() {
        ReviewQueue::Open => None,
        ReviewQueue::Waiting => Some(Status::Waiting),
        ReviewQueue::Held => Some(Status::Held),
        ReviewQueue::Published => Some(Status::Published),
        ReviewQueue::Hidden => Some(Status::Hidden),
    };
    let rows = list::for_staff(service.db.read(), status, after, limit + 1).await?;
    let (rows, next) = cursor::page(rows, limit, |row| row.id);
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut reported: HashMap<Uuid, Vec<ReviewReport>> = HashMap::new();
    for report in reports::undecided(service.db.read(), &ids).await? {
        reported.entry(report.review_id).or_default().push(ReviewReport {
            reason: reason_named(&report.reason),
            text: report.text,
            by: CustomerId::from_uuid(report.account),
            at: Timestamp::from_micros(report.at),
        });
    }
    let items = rows.into_iter().map(|row| {
        Ok(ModeratedReview {
            customer_id: row.author(),
            report_count: row.reports,
            reports: reported.remove(&row.id).unwrap_or_default(),
            review: shown::review(row, Viewer::Staff)?,
        })
    });
    Ok(ApiJson(Page { items: items.collect::<Result<_, DbError>>()?, next }))
}
