//! The reader of a conversation over HTTP.

use axum::extract::FromRequestParts;
use bookworm_http::{
    Problem, Result,
    auth::{AccountClaims, Caller, Role},
};
use bookworm_kernel::ConversationId;
use http::request::Parts;

use crate::{
    domain::{conversation::Conversation, message::Side},
    service::{
        Chat,
        conversations::{is_customer, no_such_conversation},
    },
};

/// The header that carries a guest's secret.
const SECRET: &str = "conversation-secret";

/// Whether the account answers customers: agent or admin.
pub(super) fn is_agent(account: &AccountClaims) -> bool {
    account.has(Role::Agent) || account.has(Role::Admin)
}

/// The reader of a conversation: its customer, a guest with its secret, or an agent.
pub(crate) struct Visitor {
    caller: Caller,
    secret: Option<String>,
}

impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visitor").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let secret = parts.headers.get(SECRET).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Self { caller, secret })
    }
}

impl Visitor {
    /// The conversation, and the side from which the visitor sees it.
    ///
    /// # Errors
    /// 404 when there is none, or the visitor may not see it.
    pub async fn find(&self, chat: &Chat, id: ConversationId) -> Result<(Conversation, Side)> {
        let conversation = chat.find(id).await?;
        if is_customer(&conversation, self.caller.account(), self.secret.as_deref()) {
            Ok((conversation, Side::Customer))
        } else if self.caller.account().is_some_and(is_agent) {
            Ok((conversation, Side::Agent))
        } else {
            Err(no_such_conversation())
        }
    }
}
