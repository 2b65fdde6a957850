use axum::extract::State;
use bookworm_contracts::rest::chat::{ClassifyRequest, ClassifyResponse, MAX_MESSAGE_CHARS};
use bookworm_http::{
    ApiJson, Origin, Problem, Result, Validator,
    auth::{Role, Signed},
    openapi::ProblemResponses,
};
use bookworm_kernel::ErrorCode;

use crate::bot::Bot;

/// What a message is about
///
/// For staff and agents: what the chat would take a text for, how surely, and who would answer it.
#[utoipa::path(
    post, path = "/chat/classify", tag = "chat", request_body = ClassifyRequest,
    responses((status = 200, description = "What it is taken for", body = ClassifyResponse), ProblemResponses)
)]
pub(crate) async fn classify(
    State(bot): State<Bot>,
    Signed(account): Signed,
    Origin(cause): Origin,
    ApiJson(request): ApiJson<ClassifyRequest>,
) -> Result<ApiJson<ClassifyResponse>> {
    if !account.is_staff() && !account.has(Role::Agent) {
        return Err(Problem::new(ErrorCode::Forbidden));
    }
    let mut valid = Validator::new();
    let text = valid.multiline("/text", &request.text, 1..=MAX_MESSAGE_CHARS);
    valid.finish()?;
    let found = bot.triage().classify(&text, &cause).await;
    Ok(ApiJson(ClassifyResponse {
        intent: found.intent.name().to_owned(),
        confidence: found.confidence,
        route: found.route(),
    }))
}
