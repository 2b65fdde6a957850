use std::sync::Arc;

use axum::extract::State;
use bookworm_http::{ApiPath, Result, openapi::ProblemResponses};
use bookworm_kernel::ConversationId;
use http::StatusCode;

use super::visitor::Visitor;
use crate::{
    domain::message::Side,
    service::{Chat, conversations::no_such_conversation},
};

/// Delete a conversation
///
/// Everything said in it is gone for good, for everybody. For its customer, and for a guest with its secret.
#[utoipa::path(
    delete, path = "/conversations/{id}", tag = "chat",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("Conversation-Secret" = Option<String>, Header, description = "A guest's secret")
    ),
    responses((status = 204, description = "It is gone"), ProblemResponses)
)]
pub(crate) async fn delete_conversation(
    State(chat): State<Arc<Chat>>,
    ApiPath(id): ApiPath<ConversationId>,
    visitor: Visitor,
) -> Result<StatusCode> {
    let (conversation, side) = visitor.find(&chat, id).await?;
    if side != Side::Customer {
        return Err(no_such_conversation());
    }
    chat.delete(conversation.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
