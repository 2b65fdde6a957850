use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{
    Page,
    chat::{Conversation, ConversationStatus},
};
use bookworm_http::{
    ApiJson, ApiQuery, PageParams, Problem, Result, Validator, auth::Signed, cursor, openapi::ProblemResponses,
};
use bookworm_kernel::{ConversationId, CustomerId, ErrorCode};
use serde::{Deserialize, de::IntoDeserializer};

use super::visitor::is_agent;
use crate::{domain::conversation::ConversationStatus as Status, service::Chat, store::Filter};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Params {
    /// Only conversations with this status: `bot`, `queued`, `with_agent`, `resolved`, `closed`.
    #[serde(default)]
    #[param(value_type = Option<ConversationStatus>)]
    status: Option<String>,
    /// Only conversations with this agent; for agents.
    #[serde(default)]
    #[param(value_type = Option<CustomerId>)]
    agent_id: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageParams,
}

/// Conversations, latest started first
///
/// One's own; agents see all.
#[utoipa::path(
    get, path = "/conversations", tag = "chat", params(Params, PageParams),
    responses((status = 200, description = "A page of conversations", body = Page<Conversation>), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn list_conversations(
    State(chat): State<Arc<Chat>>,
    Signed(account): Signed,
    ApiQuery(params): ApiQuery<Params>,
) -> Result<ApiJson<Page<Conversation>>> {
    let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut valid = Validator::new();
    let status = given(params.status).and_then(|name| valid.take("/status", status(&name))).map(Status::from);
    let agent = given(params.agent_id).and_then(|id| {
        valid.take("/agent_id", id.parse::<CustomerId>().map_err(|_| "must be an account's id, a UUID"))
    });
    valid.finish()?;
    let customer = if is_agent(&account) { None } else { Some(account.id) };
    if agent.is_some() && customer.is_some() {
        return Err(Problem::new(ErrorCode::Forbidden));
    }
    let (limit, after) = (params.page.limit()?, params.page.after::<ConversationId>()?);
    let filter = Filter { customer, status, agent };
    let conversations = chat.store.list(&filter, after, limit + 1).await?;
    let (conversations, next) = cursor::page(conversations, limit, |conversation| conversation.id);
    Ok(ApiJson(Page { items: chat.views(&conversations).await?, next }))
}

fn status(name: &str) -> Result<ConversationStatus, &'static str> {
    let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
    ConversationStatus::deserialize(name).map_err(|_| "must be bot, queued, with_agent, resolved or closed")
}
