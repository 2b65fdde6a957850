//! One file for each use case over HTTP: request, rule, storage call and route together.

pub(crate) mod canned_replies;
pub(crate) mod classify;
pub(crate) mod customer_context;
pub(crate) mod delete_conversation;
pub(crate) mod get_conversation;
pub(crate) mod list_conversations;
pub(crate) mod list_messages;
pub(crate) mod list_notes;
pub(crate) mod policies;
mod visitor;

use std::sync::Arc;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{bot::Bot, service::Chat};

pub(crate) fn routes() -> OpenApiRouter<Arc<Chat>> {
    OpenApiRouter::new()
        .routes(routes!(list_conversations::list_conversations))
        .routes(routes!(get_conversation::get_conversation, delete_conversation::delete_conversation))
        .routes(routes!(list_messages::list_messages))
        .routes(routes!(customer_context::customer_context))
        .routes(routes!(list_notes::list_notes))
        .routes(routes!(canned_replies::get_canned_replies, canned_replies::put_canned_replies))
}

/// Routes that need the bot, and no conversation.
pub(crate) fn bot_routes() -> OpenApiRouter<Bot> {
    OpenApiRouter::new()
        .routes(routes!(classify::classify))
        .routes(routes!(policies::list_policies))
        .routes(routes!(policies::get_policy))
}
