use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, chat::ChatNote};
use bookworm_http::{ApiJson, ApiPath, Result, auth::AgentOnly, openapi::ProblemResponses};
use bookworm_kernel::ConversationId;

use crate::service::Chat;

/// The most notes that are shown.
const MAX_NOTES: usize = 200;

/// Agents' notes on a conversation, in order
///
/// The first 200. Customers never see them.
#[utoipa::path(
    get, path = "/conversations/{id}/notes", tag = "chat",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses((status = 200, description = "The notes", body = Page<ChatNote>), ProblemResponses),
    security(("bearer" = ["agent"]))
)]
pub(crate) async fn list_notes(
    _: AgentOnly,
    State(chat): State<Arc<Chat>>,
    ApiPath(id): ApiPath<ConversationId>,
) -> Result<ApiJson<Page<ChatNote>>> {
    chat.find(id).await?;
    let notes = chat.store.notes(id, MAX_NOTES).await?;
    Ok(ApiJson(Page { items: notes.into_iter().map(Into::into).collect(), next: None }))
}
