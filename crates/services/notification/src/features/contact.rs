//! Somebody writes to the shop with a form.

use std::sync::Arc;

use axum::{Json, extract::State};
use bookworm_contracts::{
    events::notification::{ContactAccount, ContactRequested},
    rest::chat::{ContactReceived, ContactRequest, MAX_MESSAGE_CHARS},
};
use bookworm_db::DbError;
use bookworm_http::{
    ApiJson, ClientAddress, Origin, Problem, Result, Validator, auth::Caller, openapi::ProblemResponses,
};
use bookworm_kernel::{ConversationId, Email, ErrorCode, InvalidEmail, has_visible};
use http::StatusCode;

use crate::{
    domain::limits::{Group, Wish},
    service::Notification,
    store::ledger::TooMany,
};

/// What the limits' refusals call it.
const KIND: &str = "contact";

/// Writes to the shop without the chat
///
/// The message is stored before this answers, also while the chat is away. It becomes a conversation that waits for a
/// person, whose answer goes to the e-mail address.
#[utoipa::path(
    post,
    path = "/contact",
    tag = "chat",
    request_body = ContactRequest,
    responses((status = 202, description = "It is stored", body = ContactReceived), ProblemResponses)
)]
pub async fn contact(
    State(service): State<Arc<Notification>>,
    caller: Caller,
    client: ClientAddress,
    Origin(cause): Origin,
    ApiJson(request): ApiJson<ContactRequest>,
) -> Result<(StatusCode, Json<ContactReceived>)> {
    let event = read(&caller, client, &request)?;
    let received = ContactReceived { conversation_id: event.conversation_id };
    let (this, now) = (service.clone(), service.now());
    let taken = service.db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            let proven = event.account.as_ref().is_some_and(|account| account.confirmed);
            let wish = Wish { group: Group::Contact, sender: &event.sender, recipient: &event.email, proven };
            if let Err(too_many) = this.admit(tx, wish, KIND, now).await? {
                return Ok(Err(too_many));
            }
            this.outbox.put(tx, &cause, &event).await?;
            Ok(Ok(()))
        })
    });
    taken.await?.map_err(|TooMany { wait, .. }| {
        Problem::new(ErrorCode::TooManyRequests)
            .detail("We’ve had too many messages from you or to this address. Please try again later.")
            .retry_after(wait)
    })?;
    Ok((StatusCode::ACCEPTED, Json(received)))
}

fn read(caller: &Caller, client: ClientAddress, request: &ContactRequest) -> Result<ContactRequested> {
    let mut valid = Validator::new();
    let text = valid.multiline("/text", &request.text, 1..=MAX_MESSAGE_CHARS);
    let (account, name, email) = match caller.account() {
        Some(account) => {
            let email = valid.take("/email", Email::parse(&account.email));
            let confirmed = account.email_confirmed;
            (Some(ContactAccount { id: account.id, confirmed }), account.name.clone(), email)
        }
        None => {
            let name = request.name.as_deref().filter(|name| has_visible(name));
            let name = name.map_or_else(String::new, |name| valid.name("/name", name));
            let email = request.email.as_deref().unwrap_or_default();
            (None, name, valid.take::<Email, InvalidEmail>("/email", Email::parse(email)))
        }
    };
    valid.finish()?;
    Ok(ContactRequested {
        conversation_id: ConversationId::new(),
        account,
        name,
        // Without one the check above has failed.
        email: email.ok_or_else(|| Problem::new(ErrorCode::ValidationFailed))?,
        text,
        language: "en".to_owned(),
        sender: client.fingerprint(),
    })
}
