//! Other services' messages.

use std::sync::Arc;

use bookworm_contracts::events::notification::ContactRequested;
use bookworm_http::Problem;
use bookworm_kernel::ErrorCode;
use bookworm_messaging::{Consumer, Reaction, ReactionError, Received};

use crate::{
    domain::{
        conversation::{Conversation, Customer},
        message::{GUEST_NAME, Words},
    },
    service::Chat,
};

pub(crate) fn consumer(chat: &Arc<Chat>) -> Consumer {
    let chat = chat.clone();
    Consumer::new("chat.contact").on::<ContactRequested, _, _>(move |message| contact_requested(chat.clone(), message))
}

/// What somebody wrote with the contact form becomes a conversation. Its id came with the message, so a repeat finds it
/// there: no inbox is needed, which a store without transactions does not have.
async fn contact_requested(chat: Arc<Chat>, message: Received<ContactRequested>) -> Reaction {
    let ContactRequested { conversation_id, account, name, email, text, language, sender } = message.body;
    let words = Words::parse(&text).map_err(|invalid| ReactionError::refuse(format!("the text {invalid}")))?;
    if chat.store.find(conversation_id).await.map_err(|error| failed(&error.into()))?.is_some() {
        return Ok(());
    }
    let customer = Customer {
        id: account.as_ref().map(|account| account.id),
        name: if name.is_empty() { GUEST_NAME.to_owned() } else { name },
        email: Some(email),
        confirmed: account.is_some_and(|account| account.confirmed),
        secret: None,
        address: Some(sender).filter(|sender| !sender.is_empty()),
    };
    let decision = Conversation::from_contact(conversation_id, customer, language, &words, chat.clock.now());
    match chat.begin(decision, message.cause).await {
        Ok(_) => Ok(()),
        // Another delivery of the same message was faster.
        Err(problem) if problem.code() == ErrorCode::ConcurrentChange => Ok(()),
        Err(problem) => Err(failed(&problem)),
    }
}

fn failed(problem: &Problem) -> ReactionError {
    match problem.code() {
        ErrorCode::Unavailable => ReactionError::unavailable("the chat's store does not answer"),
        _ => ReactionError::retry(problem.to_string()),
    }
}
