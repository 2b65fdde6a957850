//! The desk: takes conversations back from agents who vanished, gives those who wait to whoever has room, and shows
//! everybody their place.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bookworm_contracts::rest::chat::ChatAgent;
use bookworm_http::{Problem, Result};
use bookworm_kernel::{Cause, ConversationId, ErrorCode};
use tokio_util::sync::CancellationToken;

use crate::{
    Chat,
    conversations::Plan,
    domain::{
        conversation::Conversation,
        message::Side,
        routing::{AgentStatus, Candidate, Need, route},
    },
    hub::{
        DESK, group,
        wire::{PositionEvent, QueueState},
    },
};

/// How often to look without having been woken: for graces that end.
const POLL: Duration = Duration::from_secs(1);
/// How long to gather what changes together.
const GATHER: Duration = Duration::from_millis(10);
/// How many who wait are looked at.
const LOOKED_AT: usize = 1000;

/// What everybody was shown last.
#[derive(Default)]
struct Shown {
    queue: Option<QueueState>,
    positions: HashMap<ConversationId, PositionEvent>,
}

/// Keeps the desk until `shutdown`.
pub(super) async fn run(chat: Arc<Chat>, shutdown: CancellationToken) {
    let mut shown = Shown::default();
    let mut started = false;
    loop {
        let round = async {
            if !started {
                nobody_is_here_yet(&chat).await?;
                started = true;
            }
            round(&chat, &mut shown).await
        };
        if let Err(problem) = round.await {
            tracing::warn!(%problem, "the support desk could not be brought up to date");
        }
        tokio::select! {
            () = chat.desk.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// After a start nobody is connected: whoever was has the same grace as somebody whose connection was lost.
async fn nobody_is_here_yet(chat: &Chat) -> Result<()> {
    for agent in chat.store.agents().await? {
        chat.change_agent(&agent.agent, |_, _| {}).await?;
    }
    Ok(())
}

async fn round(chat: &Chat, shown: &mut Shown) -> Result<()> {
    take_back(chat).await?;
    let waiting = chat.store.waiting(LOOKED_AT).await?;
    if !waiting.is_empty() && assign(chat, &waiting).await? {
        // What was given away does not wait any more.
        chat.desk.notify_one();
        return Ok(());
    }
    show(chat, &waiting, shown).await
}

/// Conversations of agents whose grace is over wait again.
async fn take_back(chat: &Chat) -> Result<()> {
    let grace = Duration::from_secs(chat.settings.agent_grace_seconds);
    let now = chat.clock.now();
    for agent in chat.store.agents().await? {
        let over = agent.gone_since.is_some_and(|since| now.since(since) >= grace);
        if !over || chat.presence.agent_is_here(agent.agent.id) {
            continue;
        }
        let lost = chat.conversations_with(agent.agent.id).await?;
        // The earliest first, so that they wait in the order in which they were begun.
        for conversation in lost.iter().rev() {
            let taken = chat.change(conversation.id, Cause::start(), |conversation| {
                Ok(conversation.agent_is_lost(agent.agent.id, now).into())
            });
            taken.await?;
        }
        if agent.status != AgentStatus::Offline {
            chat.change_agent(&agent.agent, |agent, _| agent.status = AgentStatus::Offline).await?;
        }
    }
    Ok(())
}

/// Gives those who wait to whoever has room. Whether any was given.
async fn assign(chat: &Chat, waiting: &[Conversation]) -> Result<bool> {
    let (people, mut candidates): (Vec<ChatAgent>, Vec<Candidate>) = chat.candidates().await?.into_iter().unzip();
    let someone_is_there = chat.is_open() && candidates.iter().any(Candidate::is_there);
    let mut given = false;
    for conversation in waiting {
        let need = Need {
            skill: conversation.skill,
            language: &conversation.language,
            but: conversation.waiting.and_then(|waiting| waiting.but),
        };
        let chosen = route(need, &candidates).and_then(|id| people.iter().find(|agent| agent.id == id));
        let now = chat.clock.now();
        let Some(agent) = chosen else {
            if !someone_is_there {
                let told = chat.change(conversation.id, Cause::start(), |conversation| {
                    Ok(conversation.nobody_is_there(now).into())
                });
                told.await?;
            }
            continue;
        };
        let accepted = chat
            .change(conversation.id, Cause::start(), |conversation| {
                conversation.accept(agent, now).map(|decision| Plan::from(decision).taken_by(agent.id))
            })
            .await
            .map_err(Problem::from);
        match accepted {
            Ok(changed) => {
                given = true;
                for candidate in candidates.iter_mut().filter(|candidate| candidate.id == agent.id) {
                    candidate.open += 1;
                    candidate.idle_since = now;
                }
                chat.was_given(agent).await?;
                chat.tell_assigned(agent, &changed.conversation).await;
            }
            // Somebody took it, or gave the agent another one: the next round sees that.
            Err(problem) if problem.code() == ErrorCode::InvalidConversationState => {}
            Err(problem) if problem.code() == ErrorCode::NotFound => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(given)
}

/// Shows those who wait their place, and agents the queue, where either changed.
async fn show(chat: &Chat, waiting: &[Conversation], shown: &mut Shown) -> Result<()> {
    let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
    let mut positions = HashMap::with_capacity(waiting.len());
    for (conversation, position) in waiting.iter().zip(1..) {
        let answer_by_mail = conversation.mail_promised;
        let event = PositionEvent { conversation_id: conversation.id, position, waiting: count, answer_by_mail };
        if shown.positions.get(&conversation.id) != Some(&event) {
            chat.tell(group(Side::Customer, conversation.id), "queue_position", event).await;
        }
        positions.insert(conversation.id, event);
    }
    shown.positions = positions;
    let queue = chat.queue_state().await?;
    if shown.queue.as_ref() != Some(&queue) {
        chat.tell(DESK.to_owned(), "queue", &queue).await;
        shown.queue = Some(queue);
    }
    Ok(())
}
