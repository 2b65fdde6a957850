//! Dead letters: staff list them, and have them delivered again.

use axum::{Json, extract::State};
use bookworm_contracts::rest::{Page, operations::DeadLetter};
use bookworm_http::{
    ApiPath, ApiQuery, PageParams, Problem, Result, auth::StaffOnly, cursor, openapi::ProblemResponses,
};
use bookworm_kernel::ErrorCode;
use bookworm_messaging::{BusError, SharedBus, revive};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn api(bus: SharedBus) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry)).with_state(bus)
}

fn unavailable(error: BusError) -> Problem {
    tracing::warn!(error = &error as &dyn std::error::Error, "the bus does not answer");
    Problem::new(ErrorCode::Unavailable)
}

/// Messages that no attempt could handle, latest first. Staff.
#[utoipa::path(
    get,
    path = "/admin/dead-letters",
    tag = "operations",
    params(PageParams),
    responses((status = 200, description = "A page of messages", body = Page<DeadLetter>), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
async fn list(
    _: StaffOnly,
    State(bus): State<SharedBus>,
    ApiQuery(page): ApiQuery<PageParams>,
) -> Result<Json<Page<DeadLetter>>> {
    let limit = page.limit()?;
    let letters = bus.dead_letters().list(page.after()?, limit as u64 + 1).await.map_err(unavailable)?;
    let (letters, next) = cursor::page(letters, limit, |letter| letter.id);
    let items = letters
        .into_iter()
        .map(|letter| DeadLetter {
            id: letter.id,
            message_id: letter.message_id,
            subject: letter.envelope.subject.clone(),
            consumer: letter.consumer,
            reason: letter.reason,
            attempts: i32::try_from(letter.attempts).unwrap_or(i32::MAX),
            message: without_tokens(serde_json::to_value(&letter.envelope).unwrap_or_default()),
            at: letter.at,
        })
        .collect();
    Ok(Json(Page { items, next }))
}

/// Without what opens the links of mails: that is for whom they are sent to. A retry hands on what is stored.
fn without_tokens(mut message: serde_json::Value) -> serde_json::Value {
    if let Some(token) = message.pointer_mut("/data/token") {
        *token = "***".into();
    }
    message
}

/// Hands a message to its consumer again, as if for the first time. Staff.
#[utoipa::path(
    post,
    path = "/admin/dead-letters/{id}/retry",
    tag = "operations",
    params(("id" = Uuid, Path, description = "The dead letter")),
    responses((status = 204, description = "It is on its way"), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
async fn retry(_: StaffOnly, State(bus): State<SharedBus>, ApiPath(id): ApiPath<Uuid>) -> Result<StatusCode> {
    if revive(&*bus, id).await.map_err(unavailable)? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("dead letter"))
    }
}
