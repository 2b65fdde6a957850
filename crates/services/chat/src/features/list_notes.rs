use axum::extract::State;
use bookworm_contracts::rest::{Page, chat::ChatNote};
use bookworm_http::{ApiJson, ApiPath, Result, auth::AgentOnly, openapi::ProblemResponses};
use bookworm_kernel::ConversationId;

use crate::ChatService;

/// The most notes that are shown.
const MOST: usize = 200;

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
    State(service): State<ChatService>,
    ApiPath(id): ApiPath<ConversationId>,
) -> Result<ApiJson<Page<ChatNote>>> {
    service.chat.find(id).await?;
    Ok(ApiJson(Page { items: service.chat.store.notes(id, MOST).await?, next: None }))
}
