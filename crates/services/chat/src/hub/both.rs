//! What both sides do in a conversation.

use bookworm_contracts::rest::chat::{AuthorKind, MessagePage};
use bookworm_http::{Problem, Result, Validator};
use bookworm_kernel::{ConversationId, CustomerId, ErrorCode};
use uuid::Uuid;

use super::{
    caller::Caller,
    wire::{History, Mark, SendMessage, Sent, Typing},
};
use crate::{
    domain::{
        message::{Message, Side, Words},
        refusal::Refusal,
    },
    service::{
        conversations::{MAX_MESSAGES, NotChanged, Plan, no_such_conversation, problem},
        events::TypingEvent,
    },
};

/// `SendMessage`: stored, then announced, then answered. The same id with the same text again is the same message.
pub async fn send_message(caller: Caller, args: SendMessage) -> Result<Sent> {
    let id = args.conversation_id;
    let side = caller.side(id)?;
    let mut valid = Validator::new();
    let words = valid.take("text", Words::parse(&args.text));
    valid.finish()?;
    let Some(words) = words else { return Err(no_such_conversation()) };
    caller.charge_message()?;
    let now = caller.clock.now();
    let most = caller.settings.max_messages;
    let sent = match side {
        Side::Customer => {
            caller
                .change(id, bookworm_trace::cause(), |conversation| {
                    conversation.customer_says(&words, args.client_message_id, most, now).map(Plan::from)
                })
                .await
        }
        Side::Agent => {
            let agent = caller.agent().await?.id;
            let customer_is_there = caller.presence.customer_is_there(id);
            caller
                .change(id, bookworm_trace::cause(), |conversation| {
                    conversation
                        .agent_says(agent, &words, args.client_message_id, customer_is_there, most, now)
                        .map(Plan::from)
                })
                .await
        }
    };
    let not = match sent {
        Ok(changed) => match changed.messages.first() {
            Some(message) => return Ok(Sent { seq: message.seq, at: message.at }),
            None => return Err(no_such_conversation()),
        },
        Err(not) => not,
    };
    // A resend is answered as the first time, whatever happened to the conversation since.
    let agent = if side == Side::Agent { caller.account().map(|account| account.id) } else { None };
    match (sent_before(&caller, id, side, args.client_message_id, agent).await?, not) {
        (Some(message), _) if message.text == words.as_str() => Ok(Sent { seq: message.seq, at: message.at }),
        (Some(_), _) | (None, NotChanged::Duplicate) => Err(Problem::new(ErrorCode::MessageIdReused)
            .detail("This client_message_id was used for another message. Use a new one for each message.")),
        (None, NotChanged::Problem(problem)) => Err(problem),
    }
}

async fn sent_before(
    caller: &Caller,
    id: ConversationId,
    side: Side,
    client_message_id: Uuid,
    agent: Option<CustomerId>,
) -> Result<Option<Message>> {
    let sent = caller.store.sent(id, side, client_message_id).await?;
    Ok(sent.filter(|message| message.agent_id == agent))
}

/// `Typing`
pub async fn typing(caller: Caller, args: Typing) -> Result<()> {
    let side = caller.side(args.conversation_id)?;
    let conversation = caller.find(args.conversation_id).await?;
    let (author, name) = match side {
        Side::Customer => (AuthorKind::Customer, conversation.customer.name),
        Side::Agent => {
            let agent = caller.agent().await?;
            if conversation.agent.as_ref() != Some(&agent) {
                return Err(problem(Refusal::NotWithYou));
            }
            (AuthorKind::Agent, agent.name)
        }
    };
    let event = TypingEvent { conversation_id: conversation.id, author, name, typing: args.typing };
    caller.typing(side, event, caller.connection()).await;
    Ok(())
}

/// `MarkDelivered`
pub async fn mark_delivered(caller: Caller, args: Mark) -> Result<()> {
    mark(caller, args.conversation_id, args.seq, 0).await
}

/// `MarkRead`
pub async fn mark_read(caller: Caller, args: Mark) -> Result<()> {
    mark(caller, args.conversation_id, args.seq, args.seq).await
}

async fn mark(caller: Caller, id: ConversationId, delivered: u64, read: u64) -> Result<()> {
    let side = caller.side(id)?;
    let agent = if side == Side::Agent { Some(caller.agent().await?.id) } else { None };
    let marked = caller.change(id, bookworm_trace::cause(), |conversation| {
        if agent.is_some() && conversation.agent.as_ref().map(|agent| agent.id) != agent {
            return Err(Refusal::NotWithYou);
        }
        Ok(conversation.mark(side, delivered, read).into())
    });
    marked.await?;
    Ok(())
}

/// `History`
pub async fn history(caller: Caller, args: History) -> Result<MessagePage> {
    let side = caller.side(args.conversation_id)?;
    let mut valid = Validator::new();
    let limit = args.limit.unwrap_or(50);
    valid.check("limit", (1..=MAX_MESSAGES as u64).contains(&limit), "must be 1 to 200");
    valid.finish()?;
    caller.find(args.conversation_id).await?;
    caller.page(side, args.conversation_id, args.after, limit as usize).await
}
