//! Somebody writes to the shop with a form.

use std::sync::Arc;

use axum::{Json, extract::State};
use bookworm_contracts::{
    events::notification::{ContactAccount, ContactRequested},
    rest::chat::{ContactReceived, ContactRequest, MAX_MESSAGE_CHARS},
};
use bookworm_db::{DbError, Tx};
use bookworm_http::{
    ApiJson, ClientAddress, IdempotencyKey, Origin, Problem, Result, Validator,
    auth::Caller,
    idempotency::{self, Claim, Fingerprint},
    openapi::ProblemResponses,
};
use bookworm_kernel::{ConversationId, Email, ErrorCode, InvalidEmail, Timestamp, has_visible};
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
/// person, whose answer goes to the e-mail address. Who heard no answer sends it again with the same `Idempotency-Key`: it
/// stays one message, and the answer names the same conversation.
#[utoipa::path(
    post,
    path = "/contact",
    tag = "chat",
    params(("Idempotency-Key" = Option<String>, Header, description = "A new random value for each message")),
    request_body = ContactRequest,
    responses((status = 202, description = "It is stored", body = ContactReceived), ProblemResponses)
)]
pub async fn contact(
    State(service): State<Arc<Notification>>,
    caller: Caller,
    client: ClientAddress,
    Origin(cause): Origin,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<ContactRequest>,
) -> Result<(StatusCode, Json<ContactReceived>)> {
    let event = read(&caller, client, &request)?;
    let repeat = key.map(|key| Repeat::of(key, &event));
    let (this, now) = (service.clone(), service.now());
    let taken = service.db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            // A repeat counts against no limit.
            if let Some(repeat) = &repeat
                && let Some(before) = repeat.claim(tx, event.conversation_id, now).await?
            {
                return Ok(before);
            }
            let proven = event.account.as_ref().is_some_and(|account| account.confirmed);
            let wish = Wish { group: Group::Contact, sender: &event.sender, recipient: &event.email, proven };
            if let Err(too_many) = this.admit(tx, wish, KIND, now).await? {
                if let Some(repeat) = &repeat {
                    repeat.release(tx).await?;
                }
                return Ok(Taken::TooMany(too_many));
            }
            this.outbox.put(tx, &cause, &event).await?;
            Ok(Taken::As(event.conversation_id))
        })
    });
    match taken.await? {
        Taken::As(conversation_id) => Ok((StatusCode::ACCEPTED, Json(ContactReceived { conversation_id }))),
        Taken::Reused => Err(Problem::new(ErrorCode::IdempotencyKeyReused)),
        Taken::TooMany(TooMany { wait, .. }) => Err(Problem::new(ErrorCode::TooManyRequests)
            .detail("We’ve had too many messages from you or to this address. Please try again later.")
            .retry_after(wait)),
    }
}

/// What became of a message.
enum Taken {
    /// It is this conversation, now or since it was sent before.
    As(ConversationId),
    /// Its key stands for another message.
    Reused,
    TooMany(TooMany),
}

/// By what a message is known when it comes again.
struct Repeat {
    scope: String,
    key: IdempotencyKey,
    fingerprint: Fingerprint,
}

impl Repeat {
    /// The key is that of whoever is to be answered: two people may choose the same.
    fn of(key: IdempotencyKey, event: &ContactRequested) -> Self {
        let scope = match &event.account {
            Some(account) => format!("contact:account:{}", account.id),
            None => format!("contact:{}", event.email.as_str()),
        };
        let parts = [event.name.as_bytes(), event.email.as_str().as_bytes(), event.text.as_bytes()];
        Self { scope, key, fingerprint: Fingerprint::of(parts) }
    }

    async fn claim(&self, tx: &Tx, id: ConversationId, now: Timestamp) -> Result<Option<Taken>, DbError> {
        let claim = idempotency::claim(tx, &self.scope, &self.key, self.fingerprint, id.uuid(), now).await?;
        Ok(Taken::before(claim))
    }

    /// It was not taken: later it may be.
    async fn release(&self, tx: &Tx) -> Result<(), DbError> {
        idempotency::release(tx, &self.scope, &self.key).await
    }
}

impl Taken {
    fn before(claim: Claim) -> Option<Self> {
        match claim {
            Claim::New => None,
            Claim::Same(id) => Some(Self::As(ConversationId::from_uuid(id))),
            Claim::Different => Some(Self::Reused),
        }
    }
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
