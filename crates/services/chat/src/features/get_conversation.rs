use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::chat::Conversation;
use bookworm_http::{ApiJson, ApiPath, Result, openapi::ProblemResponses};
use bookworm_kernel::ConversationId;

use super::visitor::Visitor;
use crate::service::Chat;

/// A conversation
///
/// For its customer, for a guest with its secret, and for agents; to everybody else it does not exist.
#[utoipa::path(
    get, path = "/conversations/{id}", tag = "chat",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("Conversation-Secret" = Option<String>, Header, description = "A guest's secret")
    ),
    responses((status = 200, description = "The conversation", body = Conversation), ProblemResponses)
)]
pub(crate) async fn get_conversation(
    State(chat): State<Arc<Chat>>,
    ApiPath(id): ApiPath<ConversationId>,
    visitor: Visitor,
) -> Result<ApiJson<Conversation>> {
    let (conversation, _) = visitor.find(&chat, id).await?;
    Ok(ApiJson(chat.view(&conversation).await?))
}
