use axum::extract::State;
use bookworm_contracts::rest::chat::{ClassifyRequest, ClassifyResponse, MAX_MESSAGE_CHARS};
use bookworm_http::{ApiJson, Origin, Result, Validator, openapi::ProblemResponses};

use super::canned_replies::Crew;
use crate::bot::Bot;

/// What a message is about
///
/// For staff and agents: what the chat would take a text for, how surely, and who would answer it.
#[utoipa::path(
    post, path = "/chat/classify", tag = "chat", request_body = ClassifyRequest,
    responses((status = 200, description = "What it is taken for", body = ClassifyResponse), ProblemResponses),
    security(("bearer" = ["agent"]), ("bearer" = ["staff"]))
)]
pub(crate) async fn classify(
    State(bot): State<Bot>,
    _: Crew,
    Origin(cause): Origin,
    ApiJson(request): ApiJson<ClassifyRequest>,
) -> Result<ApiJson<ClassifyResponse>> {
    let mut valid = Validator::new();
    let text = valid.multiline("/text", &request.text, 1..=MAX_MESSAGE_CHARS);
    valid.finish()?;
    let classification = bot.triage().classify(&text, &cause).await;
    Ok(ApiJson(ClassifyResponse {
        intent: classification.intent.name().to_owned(),
        confidence: classification.confidence,
        route: classification.route(),
    }))
}
