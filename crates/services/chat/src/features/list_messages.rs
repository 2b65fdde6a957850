use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::chat::MessagePage;
use bookworm_http::{ApiJson, ApiPath, ApiQuery, Result, Validator, openapi::ProblemResponses};
use bookworm_kernel::ConversationId;
use serde::Deserialize;

use super::visitor::Visitor;
use crate::service::{Chat, conversations::MAX_MESSAGES};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Params {
    /// Only messages after this number.
    #[serde(default)]
    #[param(value_type = Option<u64>)]
    after: Option<String>,
    /// How many: 1 to 200; 50 when left out.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<String>,
}

/// Messages of a conversation, in order
///
/// For its customer, for a guest with its secret, and for agents.
#[utoipa::path(
    get, path = "/conversations/{id}/messages", tag = "chat",
    params(
        ("id" = ConversationId, Path, description = "The conversation"),
        ("Conversation-Secret" = Option<String>, Header, description = "A guest's secret"),
        Params
    ),
    responses((status = 200, description = "A page of messages", body = MessagePage), ProblemResponses)
)]
pub(crate) async fn list_messages(
    State(chat): State<Arc<Chat>>,
    ApiPath(id): ApiPath<ConversationId>,
    ApiQuery(params): ApiQuery<Params>,
    visitor: Visitor,
) -> Result<ApiJson<MessagePage>> {
    let mut valid = Validator::new();
    let number = |text: Option<String>, default| text.map_or(Ok(default), |text| text.parse::<u64>());
    let after = valid.take("/after", number(params.after, 0).map_err(|_| "must be a whole number of 0 or more"));
    let limit = number(params.limit, 50).ok().filter(|limit| (1..=MAX_MESSAGES as u64).contains(limit));
    let limit = valid.take("/limit", limit.ok_or("must be a whole number from 1 to 200"));
    valid.finish()?;
    let (conversation, side) = visitor.find(&chat, id).await?;
    let (after, limit) = (after.unwrap_or_default(), limit.unwrap_or_default() as usize);
    Ok(ApiJson(chat.page(side, conversation.id, after, limit).await?))
}
