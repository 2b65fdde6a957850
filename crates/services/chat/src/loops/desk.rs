//! The desk: requeues conversations of agents who lost their connection, assigns queued ones, and announces places in the
//! queue.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bookworm_http::{Problem, Result};
use bookworm_kernel::{Cause, ConversationId, ErrorCode};
use bookworm_resilience::{Note, Outage};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        agent::{AgentStatus, ChatAgent},
        conversation::Conversation,
        message::Side,
        routing::{Candidate, Need, route},
    },
    service::{
        Chat,
        announce::{DESK, group},
        conversations::Plan,
        events::{PositionEvent, QueueState},
    },
    store::Agent,
};

/// How often to look without being woken: for grace periods that end.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait for further changes after the first.
const DEBOUNCE: Duration = Duration::from_millis(10);
/// How long to wait at most for what other instances say, and how often to look.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);
/// The most queued conversations that a round reads.
const MAX_QUEUED: usize = 1000;

/// What was announced last.
#[derive(Default)]
struct Announced {
    queue: Option<QueueState>,
    positions: HashMap<ConversationId, PositionEvent>,
}

/// Runs the desk until `shutdown`.
pub(super) async fn run(chat: Arc<Chat>, shutdown: CancellationToken) {
    let mut announced = Announced::default();
    tokio::select! {
        () = others_are_known(&chat) => {}
        () = shutdown.cancelled() => return,
    }
    let outage = Outage::default();
    loop {
        match round(&chat, &mut announced).await {
            Ok(()) => {
                if let Some(Note::Ended { failed, .. }) = outage.answered() {
                    tracing::info!(failed, "the support desk is brought up to date again");
                }
            }
            Err(problem) => {
                if outage.failed().is_some() {
                    tracing::warn!(%problem, "the support desk cannot be brought up to date");
                }
            }
        }
        tokio::select! {
            () = chat.desk.notified() => tokio::time::sleep(DEBOUNCE).await,
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Waits until it is known who is connected to other instances, but not for ever.
async fn others_are_known(chat: &Chat) {
    let known = async {
        while !chat.presence.is_known() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(KNOWN_TIMEOUT, known).await;
}

async fn round(chat: &Chat, announced: &mut Announced) -> Result<()> {
    // Agents who were connected before a start, or to an instance that crashed, get the grace period of a lost connection.
    let agents = chat.record_connections().await?;
    requeue_lost(chat, &agents).await?;
    let waiting = chat.store.waiting(MAX_QUEUED).await?;
    if !waiting.is_empty() && assign(chat, &waiting).await? {
        // What was assigned is no longer queued.
        chat.desk.notify_one();
        return Ok(());
    }
    announce(chat, &waiting, announced).await
}

/// Requeues the conversations of agents whose grace period is over.
async fn requeue_lost(chat: &Chat, agents: &[Agent]) -> Result<()> {
    let grace = Duration::from_secs(chat.settings.agent_grace_seconds);
    let now = chat.clock.now();
    for agent in agents {
        let over = agent.gone_since.is_some_and(|since| now.since(since) >= grace);
        if !over || chat.presence.agent_is_there(agent.agent.id) {
            continue;
        }
        let lost = chat.conversations_with(agent.agent.id).await?;
        // The earliest first, so that they are queued in the order in which they were started.
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

/// Assigns queued conversations to agents with room. Whether any was assigned.
async fn assign(chat: &Chat, waiting: &[Conversation]) -> Result<bool> {
    let (people, mut candidates): (Vec<ChatAgent>, Vec<Candidate>) = chat.candidates().await?.into_iter().unzip();
    let someone_is_there = chat.is_open() && candidates.iter().any(Candidate::is_there);
    let mut assigned = false;
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
                let changed = chat.change(conversation.id, Cause::start(), |conversation| {
                    Ok(conversation.nobody_is_there(now).into())
                });
                changed.await?;
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
                assigned = true;
                for candidate in candidates.iter_mut().filter(|candidate| candidate.id == agent.id) {
                    candidate.open += 1;
                    candidate.idle_since = now;
                }
                chat.was_given(agent).await?;
                chat.notify_assigned(agent, &changed.conversation).await;
            }
            // Somebody accepted it, or the agent got another one: the next round sees that.
            Err(problem) if problem.code() == ErrorCode::InvalidConversationState => {}
            Err(problem) if problem.code() == ErrorCode::NotFound => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(assigned)
}

/// Announces places in the queue to customers, and the queue to agents, where they changed.
async fn announce(chat: &Chat, waiting: &[Conversation], announced: &mut Announced) -> Result<()> {
    let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
    let mut positions = HashMap::with_capacity(waiting.len());
    for (conversation, position) in waiting.iter().zip(1..) {
        let answer_by_mail = conversation.mail_promised;
        let event = PositionEvent { conversation_id: conversation.id, position, waiting: count, answer_by_mail };
        if announced.positions.get(&conversation.id) != Some(&event) {
            chat.send(group(Side::Customer, conversation.id), "queue_position", event).await;
        }
        positions.insert(conversation.id, event);
    }
    announced.positions = positions;
    let queue = chat.queue_state().await?;
    if announced.queue.as_ref() != Some(&queue) {
        chat.send(DESK.to_owned(), "queue", &queue).await;
        announced.queue = Some(queue);
    }
    Ok(())
}
