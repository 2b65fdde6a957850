//! What the support chat's script needs from the session.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use bookworm_kernel::{Clock as _, SystemClock};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::{csrf, layout::never_stored, session::Visitor};

/// Who is asking, for the hub.
#[derive(Serialize)]
struct ChatSession<'a> {
    /// Nothing for guests.
    access_token: Option<&'a str>,
    /// Seconds.
    expires_in: i64,
    account: Option<&'a str>,
    name: Option<&'a str>,
    agent: bool,
}

/// `GET /chat/session`: the access token for pages of this shop alone. The hub takes no cookies, so that no other site can
/// open a connection in somebody's name.
pub(crate) async fn session(visitor: Visitor, headers: HeaderMap) -> Response {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if csrf::is_cross_site(&headers) || site.is_some_and(|site| site != b"same-origin") {
        return never_stored(StatusCode::FORBIDDEN.into_response());
    }
    let account = visitor.account();
    let lifetime =
        account.map_or(0, |account| account.exp.saturating_sub(SystemClock.now().to_datetime().unix_timestamp()));
    never_stored(
        Json(ChatSession {
            access_token: account.and(visitor.caller().access_token.as_deref()),
            expires_in: lifetime.max(0),
            account: account.map(|account| account.sub.as_str()),
            name: account.map(|account| account.name.as_str()),
            agent: account.is_some_and(|account| account.is_agent()),
        })
        .into_response(),
    )
}
