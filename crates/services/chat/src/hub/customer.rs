//! What customers and guests do.

use bookworm_contracts::{events::chat::TranscriptRequested, rest::chat::Conversation as View};
use bookworm_http::{Problem, Result, Validator, auth::AccountClaims};
use bookworm_kernel::{ConversationId, Email, ErrorCode, has_visible};
use futures::Stream;

use super::{
    caller::Caller,
    wire::{Answer, LeaveAddress, Only, Rate, Resume, Resumed, SendTranscript, StartConversation, Started},
};
use crate::{
    domain::{
        conversation::{Conversation, Customer},
        message::{GUEST_NAME, Side},
        secret::{GuestSecret, address_key},
        transcript,
    },
    service::{
        announce::group,
        conversations::{MAX_MESSAGES, Plan, is_customer, no_such_conversation, problem},
    },
    store::Letter,
};

/// The most messages of a transcript, which is one mail.
const MAX_LINES: usize = 500;

fn of_account(account: &AccountClaims) -> Customer {
    Customer {
        id: Some(account.id),
        name: account.name.clone(),
        email: Email::parse(&account.email).ok(),
        confirmed: account.email_confirmed,
        secret: None,
        address: None,
    }
}

/// `StartConversation`
pub async fn start(caller: Caller, args: StartConversation) -> Result<Started> {
    let mut valid = Validator::new();
    let name = args.name.as_deref().filter(|name| has_visible(name)).map(|name| valid.name("name", name));
    let email = args.email.as_deref().filter(|email| !email.trim().is_empty());
    let email = email.and_then(|email| valid.parse::<Address>("email", email)).map(|Address(email)| email);
    let language = args.language.unwrap_or_else(|| "en".to_owned());
    valid.check("language", is_language(&language), "must be a language of two letters, such as `en` (ISO 639-1)");
    valid.finish()?;

    let (customer, secret) = match caller.account() {
        Some(account) => (of_account(&account), None),
        None => {
            let secret = GuestSecret::draw();
            let customer = Customer {
                id: None,
                name: name.unwrap_or_else(|| GUEST_NAME.to_owned()),
                email,
                confirmed: false,
                secret: Some(secret.hash()),
                address: Some(address_key(&caller.network())),
            };
            (customer, Some(secret))
        }
    };
    let conversation = {
        // Counting and starting are one step: under the lock in this instance, in turn with the others.
        let _lock = caller.locks.lock(&(customer.id, customer.address.clone())).await;
        let whose = customer.id.map(|id| id.to_string()).or_else(|| customer.address.clone()).unwrap_or_default();
        let _turn = caller.turns.take(&whose).await;
        let most = caller.settings.max_open as usize;
        let open = match (customer.id, &customer.address) {
            (Some(id), _) => caller.store.open_of(id, most).await?.len(),
            (None, Some(address)) => usize::try_from(caller.store.open_from(address).await?).unwrap_or(usize::MAX),
            (None, None) => 0,
        };
        if open >= most {
            return Err(Problem::new(ErrorCode::TooManyRequests)
                .detail(format!("At most {most} conversations may be open. Please end one first.")));
        }
        let started = Conversation::start(ConversationId::new(), customer, language, caller.clock.now());
        caller.begin(started, bookworm_trace::cause()).await?
    };
    attach(&caller, &conversation).await?;
    Ok(Started {
        conversation: caller.view(&conversation).await?,
        secret: secret.map(|secret| secret.reveal().to_owned()),
    })
}

/// An e-mail address that can be read with `parse`.
struct Address(Email);

impl std::str::FromStr for Address {
    type Err = bookworm_kernel::InvalidEmail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Email::parse(text).map(Self)
    }
}

pub(super) fn is_language(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// `Conversations`
pub async fn conversations(caller: Caller) -> Result<Vec<View>> {
    let account = caller.signed_in()?;
    let open = caller.store.open_of(account.id, 50).await?;
    caller.views(&open).await
}

/// Attaches the connection to the customer's side.
async fn attach(caller: &Caller, conversation: &Conversation) -> Result<()> {
    caller.join(&group(Side::Customer, conversation.id)).await?;
    let came = caller.presence.attach(caller.connection(), conversation.id, Side::Customer);
    if came == Some(true) {
        caller.presence.settled().await;
        caller.show_presence(conversation).await;
    } else {
        caller.send_to_caller("presence", caller.presence_of(conversation)).await;
    }
    if caller.takes_the_turn(conversation) {
        caller.answer_what_is_due(conversation.id);
    }
    Ok(())
}

/// `Resume`
pub async fn resume(caller: Caller, args: Resume) -> Result<Resumed> {
    let mut conversation = caller.find(args.conversation_id).await?;
    let account = caller.account();
    if !is_customer(&conversation, account.as_deref(), args.secret.as_deref()) {
        return Err(no_such_conversation());
    }
    if let Some(account) = account.filter(|_| conversation.customer.id.is_none()) {
        let now = caller.clock.now();
        let taken =
            caller.change(conversation.id, bookworm_trace::cause(), |conversation| match conversation.customer.id {
                None => Ok(conversation.taken_over_by(of_account(&account), now).into()),
                Some(_) => Ok(conversation.as_it_is().into()),
            });
        conversation = taken.await?.conversation;
        if conversation.customer.id != Some(account.id) {
            return Err(no_such_conversation());
        }
    }
    // Attached before it is read: what is stored from now on comes as an event.
    attach(&caller, &conversation).await?;
    let page = caller.page(Side::Customer, conversation.id, args.after.unwrap_or(0), MAX_MESSAGES).await?;
    let conversation = caller.find(conversation.id).await?;
    Ok(Resumed { conversation: caller.view(&conversation).await?, more: page.next.is_some(), messages: page.items })
}

/// `AskForPerson`
pub async fn ask_for_person(caller: Caller, args: Only) -> Result<View> {
    caller.customer_of(args.conversation_id)?;
    let (there, now) = (caller.someone_is_there().await?, caller.clock.now());
    let asked = caller.change(args.conversation_id, bookworm_trace::cause(), |conversation| {
        conversation.ask_for_person(there, now).map(Plan::from)
    });
    let conversation = asked.await?.conversation;
    caller.view(&conversation).await
}

/// `LeaveAddress`: a guest's address for answers. That of an account stays as it is.
pub async fn leave_address(caller: Caller, args: LeaveAddress) -> Result<View> {
    let id = args.conversation_id;
    caller.customer_of(id)?;
    let mut valid = Validator::new();
    let email = valid.parse::<Address>("email", &args.email);
    valid.finish()?;
    let (there, now) = (caller.someone_is_there().await?, caller.clock.now());
    let left = caller.change(id, bookworm_trace::cause(), |conversation| match &email {
        Some(Address(email)) if conversation.customer.id.is_none() => {
            conversation.leave_address(email.clone(), there, now).map(Plan::from)
        }
        _ => Ok(conversation.as_it_is().into()),
    });
    let conversation = left.await?.conversation;
    caller.view(&conversation).await
}

/// `Rate`
pub async fn rate(caller: Caller, args: Rate) -> Result<()> {
    caller.customer_of(args.conversation_id)?;
    let mut valid = Validator::new();
    let score = u8::try_from(args.score).ok().filter(|score| (1..=5).contains(score));
    valid.check("score", score.is_some(), "must be 1 to 5");
    let comment = valid.optional_multiline("comment", args.comment.as_deref(), 1..=2000);
    valid.finish()?;
    let now = caller.clock.now();
    let rated = caller.change(args.conversation_id, bookworm_trace::cause(), |conversation| {
        conversation.rate(score.unwrap_or(1), comment.clone(), now).map(Plan::from)
    });
    rated.await?;
    Ok(())
}

/// `EndConversation`
pub async fn end(caller: Caller, args: Only) -> Result<View> {
    caller.customer_of(args.conversation_id)?;
    let now = caller.clock.now();
    let ended = caller.change(args.conversation_id, bookworm_trace::cause(), |conversation| {
        conversation.customer_ends(now).map(Plan::from)
    });
    let conversation = ended.await?.conversation;
    caller.view(&conversation).await
}

/// `SendTranscript`
pub async fn send_transcript(caller: Caller, args: SendTranscript) -> Result<()> {
    let id = args.conversation_id;
    caller.customer_of(id)?;
    let mut valid = Validator::new();
    let to = args.email.as_deref().filter(|email| !email.trim().is_empty());
    let to = to.and_then(|email| valid.parse::<Address>("email", email)).map(|Address(email)| email);
    valid.finish()?;
    let conversation = caller.find(id).await?;
    // An account's transcript goes to the account's present address: a stolen session must not send it elsewhere.
    let account = caller.account().filter(|account| conversation.customer.id == Some(account.id));
    let proven = account.as_ref().is_some_and(|account| account.email_confirmed);
    let to = match account {
        Some(account) => Email::parse(&account.email).ok(),
        None => to.filter(|_| conversation.customer.id.is_none()),
    };
    let (_, recipient) = conversation.send_transcript(to.clone(), caller.clock.now()).map_err(problem)?;
    caller.clients.admit_mail("chat_transcript", &caller.fingerprint(), &recipient, proven).await?;
    let last = conversation.last_seq.saturating_add(1);
    let lines = transcript::lines(caller.store.messages_before(id, last, MAX_LINES).await?);
    let now = caller.clock.now();
    let sent = caller.change(id, bookworm_trace::cause(), |conversation| {
        let (decision, email) = conversation.send_transcript(to.clone(), now)?;
        let transcript = TranscriptRequested {
            conversation_id: id,
            email,
            customer_name: conversation.customer.name.clone(),
            started_at: conversation.started_at,
            lines: lines.clone(),
            proven,
        };
        Ok(Plan { letters: vec![Letter::Transcript(transcript)], ..decision.into() })
    });
    sent.await?;
    Ok(())
}

/// `DeleteConversation`
pub async fn delete(caller: Caller, args: Only) -> Result<()> {
    caller.customer_of(args.conversation_id)?;
    caller.delete(args.conversation_id).await
}

/// `Answer`: the bot's answer, streamed while it is written.
pub async fn answer(caller: Caller, args: Answer) -> Result<impl Stream<Item = String> + Send + 'static + use<>> {
    caller.customer_of(args.conversation_id)?;
    caller.drafts.watch(args.conversation_id, args.answer_id).ok_or_else(|| Problem::not_found("answer being written"))
}
