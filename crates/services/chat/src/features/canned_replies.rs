use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use bookworm_contracts::rest::chat::{CannedReplies, CannedReply};
use bookworm_http::{
    ApiJson, IfMatch, Problem, Result, Validator,
    auth::{AccountClaims, Signed},
    etag,
    openapi::ProblemResponses,
};
use bookworm_kernel::ErrorCode;
use http::{header, request::Parts};

use super::visitor::is_agent;
use crate::{
    domain::message::Words,
    service::Chat,
    store::{self, Result as Stored},
};

/// The most replies.
const MAX_REPLIES: usize = 200;
/// The most characters of a shortcut.
const MAX_SHORTCUT: usize = 30;

/// The prepared answers of a new shop.
const SEED: [(&str, &str); 8] = [
    ("hello", "Hello {name}, thank you for writing to us. I am looking into it now."),
    ("number", "Could you tell me your order number, please? It is in your confirmation email and on your order page."),
    ("moment", "One moment please, {name}, I am checking this for you."),
    ("delay", "I am sorry your parcel is late. I am asking the carrier, and I will reply here as soon as I know more."),
    ("refund", "I have refunded your original payment method. Refunds usually take 3 to 5 business days."),
    ("damaged", "I am sorry that the book arrived damaged. Would you like a new copy, or your money back?"),
    ("anything-else", "Is there anything else I can do for you?"),
    ("bye", "Thank you for writing, {name}. Happy reading!"),
];

/// Gives a new shop its first prepared answers.
pub(crate) async fn seed(chat: &Chat) -> Stored<()> {
    if chat.store.canned_replies().await?.1 == 0 {
        let reply =
            |(shortcut, text): (&str, &str)| store::CannedReply { shortcut: shortcut.into(), text: text.into() };
        let mut replies = SEED.map(reply);
        replies.sort_by(|a, b| a.shortcut.cmp(&b.shortcut));
        // Another process may do the same at the same moment.
        let _ = chat.store.put_canned_replies(&replies, 0).await?;
    }
    Ok(())
}

/// Agents and staff.
#[derive(Debug)]
pub(crate) struct Crew(#[expect(dead_code, reason = "that there is one is what counts")] Arc<AccountClaims>);

impl<S: Send + Sync> FromRequestParts<S> for Crew {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Signed(account) = Signed::from_request_parts(parts, state).await?;
        let allowed = is_agent(&account) || account.is_staff();
        if allowed { Ok(Self(account)) } else { Err(Problem::new(ErrorCode::Forbidden)) }
    }
}

/// Prepared answers
///
/// For agents and staff.
#[utoipa::path(
    get, path = "/chat/canned-replies", tag = "chat",
    responses((status = 200, description = "All of them, with their version as `ETag`", body = CannedReplies), ProblemResponses),
    security(("bearer" = ["agent"]), ("bearer" = ["staff"]))
)]
pub(crate) async fn get_canned_replies(_: Crew, State(chat): State<Arc<Chat>>) -> Result<Response> {
    let (items, version) = chat.store.canned_replies().await?;
    Ok(answer(items, version))
}

/// Replace the prepared answers
///
/// For agents and staff.
#[utoipa::path(
    put, path = "/chat/canned-replies", tag = "chat",
    params(("If-Match" = String, Header, description = "The `ETag` of the version that was read, or `*`")),
    request_body = CannedReplies,
    responses((status = 200, description = "As they are now", body = CannedReplies), ProblemResponses),
    security(("bearer" = ["agent"]), ("bearer" = ["staff"]))
)]
pub(crate) async fn put_canned_replies(
    _: Crew,
    State(chat): State<Arc<Chat>>,
    if_match: IfMatch,
    ApiJson(body): ApiJson<CannedReplies>,
) -> Result<Response> {
    let items = checked(body)?;
    let (_, version) = chat.store.canned_replies().await?;
    if_match.check(version.cast_signed())?;
    let version = chat.store.put_canned_replies(&items, version).await?;
    let version = version.ok_or_else(|| Problem::new(ErrorCode::EditConflict))?;
    Ok(answer(items, version))
}

fn checked(body: CannedReplies) -> Result<Vec<store::CannedReply>> {
    let mut valid = Validator::new();
    valid.check("/items", body.items.len() <= MAX_REPLIES, format!("must be at most {MAX_REPLIES}"));
    let mut items: Vec<store::CannedReply> = Vec::new();
    for (n, reply) in body.items.into_iter().take(MAX_REPLIES).enumerate() {
        let field = format!("/items/{n}/shortcut");
        let letters = reply.shortcut.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let right = (1..=MAX_SHORTCUT).contains(&reply.shortcut.len()) && letters;
        valid.check(&field, right, format!("must be 1 to {MAX_SHORTCUT} letters, digits or `-`"));
        let known = items.iter().any(|other| other.shortcut.eq_ignore_ascii_case(&reply.shortcut));
        valid.check(&field, !known, "must be there once");
        if let Some(words) = valid.take(&format!("/items/{n}/text"), Words::parse(&reply.text)) {
            items.push(store::CannedReply { shortcut: reply.shortcut, text: words.as_str().to_owned() });
        }
    }
    valid.finish()?;
    items.sort_by(|a, b| a.shortcut.cmp(&b.shortcut));
    Ok(items)
}

fn answer(items: Vec<store::CannedReply>, version: u64) -> Response {
    let items = items.into_iter().map(CannedReply::from).collect();
    ([(header::ETAG, etag(version.cast_signed()))], ApiJson(CannedReplies { items })).into_response()
}
