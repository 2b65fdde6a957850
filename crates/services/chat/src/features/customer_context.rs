use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::chat::CustomerContext;
use bookworm_http::{ApiJson, ApiPath, Origin, Result, auth::AgentOnly, openapi::ProblemResponses};
use bookworm_kernel::ConversationId;

use crate::service::Chat;

/// The customer's basket and orders
///
/// What an agent sees beside a conversation. What cannot be asked just now is named in `unavailable`. A guest has none.
#[utoipa::path(
    get, path = "/conversations/{id}/context", tag = "chat",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "What helps an agent", body = CustomerContext), ProblemResponses),
    security(("bearer" = ["agent"]))
)]
pub(crate) async fn customer_context(
    _: AgentOnly,
    State(chat): State<Arc<Chat>>,
    ApiPath(id): ApiPath<ConversationId>,
    Origin(cause): Origin,
) -> Result<ApiJson<CustomerContext>> {
    let conversation = chat.find(id).await?;
    Ok(ApiJson(chat.context_of(&conversation, &cause).await))
}
