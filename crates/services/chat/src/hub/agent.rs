//! What agents do.

use bookworm_contracts::rest::chat::{ChatNote, Conversation as View};
use bookworm_http::{Problem, Result, Validator};
use bookworm_kernel::ConversationId;

use super::{
    caller::Caller,
    customer::is_language,
    wire::{AddNote, AgentState, Canned, Close, Only, Open, Opened, SetAvailability, Skill, Transfer},
};
use crate::{
    domain::{
        agent::{AgentStatus, ChatAgent},
        conversation::Conversation,
        message::{Note, Side, Words},
        refusal::Refusal,
    },
    service::{
        announce::{DESK, group},
        conversations::{MAX_MESSAGES, Plan, no_such_conversation, problem},
        events::QueueState,
    },
    store::Filter,
};

/// The skills of an agent who names none.
const ALL_SKILLS: [Skill; 5] = [Skill::Orders, Skill::Payment, Skill::Books, Skill::Account, Skill::General];
/// The capacity of an agent who names none, and the largest, in conversations at once.
const CAPACITY: i64 = 3;
const MAX_CAPACITY: i64 = 20;
const MAX_LANGUAGES: usize = 20;
/// The most conversations and notes in one answer.
const MAX_ITEMS: usize = 200;

/// `SetAvailability`
pub async fn set_availability(caller: Caller, args: SetAvailability) -> Result<AgentState> {
    let agent = caller.agent().await?;
    let mut valid = Validator::new();
    let capacity = args.capacity.unwrap_or(CAPACITY);
    valid.check("capacity", (1..=MAX_CAPACITY).contains(&capacity), format!("must be 1 to {MAX_CAPACITY}"));
    let mut skills = args.skills.unwrap_or_else(|| ALL_SKILLS.to_vec());
    skills.sort_unstable();
    skills.dedup();
    let mut languages = args.languages.unwrap_or_else(|| vec!["en".to_owned()]);
    languages.sort_unstable();
    languages.dedup();
    let languages_are = languages.iter().all(|language| is_language(language));
    valid.check("languages", languages_are, "must be languages of two letters, such as `en` (ISO 639-1)");
    valid.check("languages", (1..=MAX_LANGUAGES).contains(&languages.len()), "must be 1 to 20");
    valid.finish()?;

    let capacity = u32::try_from(capacity).unwrap_or(1);
    let (agent_id, status) = (agent.id, AgentStatus::from(args.status));
    let stored = caller
        .change_agent(&agent, |agent, now| {
            agent.status = status;
            agent.capacity = capacity;
            agent.skills = skills.iter().copied().map(Into::into).collect();
            agent.languages.clone_from(&languages);
            agent.idle_since = now;
        })
        .await?;
    if status == AgentStatus::Offline {
        caller.leave(DESK).await?;
    } else {
        caller.join(DESK).await?;
    }
    caller.desk.notify_one();
    Ok(AgentState {
        status: stored.status.into(),
        capacity: stored.capacity,
        open: caller.load_of(agent_id).await?,
        skills: stored.skills.into_iter().map(Into::into).collect(),
        languages: stored.languages,
    })
}

/// `Queue`
pub async fn queue(caller: Caller) -> Result<QueueState> {
    caller.agent().await?;
    caller.queue_state().await
}

/// `MyConversations`
pub async fn my_conversations(caller: Caller) -> Result<Vec<View>> {
    let agent = caller.agent().await?;
    let own = Filter { agent: Some(agent.id), ..Filter::default() };
    let conversations = caller.store.list(&own, None, MAX_ITEMS).await?;
    caller.views(&conversations).await
}

/// `Accept`
pub async fn accept(caller: Caller, args: Only) -> Result<Opened> {
    let agent = caller.agent().await?;
    take(&caller, args.conversation_id, &agent, |conversation, agent, now| {
        conversation.accept(agent, now).map(|decision| Plan::from(decision).taken_by(agent.id))
    })
    .await
}

/// `Reopen`
pub async fn reopen(caller: Caller, args: Only) -> Result<Opened> {
    let agent = caller.agent().await?;
    take(&caller, args.conversation_id, &agent, |conversation, agent, now| {
        conversation.reopen(agent, now).map(|decision| Plan::from(decision).taken_by(agent.id))
    })
    .await
}

async fn take(
    caller: &Caller,
    id: ConversationId,
    agent: &ChatAgent,
    decide: fn(&Conversation, &ChatAgent, bookworm_kernel::Timestamp) -> Result<Plan, Refusal>,
) -> Result<Opened> {
    let now = caller.clock.now();
    let taken = caller.change(id, bookworm_trace::cause(), |conversation| decide(conversation, agent, now)).await?;
    caller.was_given(agent).await?;
    attach(caller, &taken.conversation, 0).await
}

/// `Open`
pub async fn open(caller: Caller, args: Open) -> Result<Opened> {
    caller.agent().await?;
    let conversation = caller.find(args.conversation_id).await?;
    attach(&caller, &conversation, args.after.unwrap_or(0)).await
}

/// Attaches the connection to the shop's side, and answers with what an agent needs.
async fn attach(caller: &Caller, conversation: &Conversation, after: u64) -> Result<Opened> {
    let id = conversation.id;
    caller.leave(&group(Side::Customer, id)).await?;
    caller.join(&group(Side::Agent, id)).await?;
    if caller.presence.attach(caller.connection(), id, Side::Agent).is_none() {
        return Err(no_such_conversation());
    }
    caller.send_to_caller("presence", caller.presence_of(conversation)).await;
    let page = caller.page(Side::Agent, id, after, MAX_MESSAGES).await?;
    let context = caller.context_of(conversation, &bookworm_trace::cause()).await;
    let notes = caller.store.notes(id, MAX_ITEMS).await?;
    let conversation = caller.find(id).await?;
    Ok(Opened {
        conversation: caller.view(&conversation).await?,
        more: page.next.is_some(),
        messages: page.items,
        notes: notes.into_iter().map(Into::into).collect(),
        context,
    })
}

/// `AddNote`
pub async fn add_note(caller: Caller, args: AddNote) -> Result<ChatNote> {
    let agent = caller.agent().await?;
    if caller.side(args.conversation_id)? != Side::Agent {
        return Err(no_such_conversation());
    }
    let mut valid = Validator::new();
    let words = valid.take("text", Words::parse(&args.text));
    valid.finish()?;
    caller.charge_message()?;
    let note = Note {
        conversation_id: args.conversation_id,
        agent,
        text: words.map(|words| words.as_str().to_owned()).unwrap_or_default(),
        at: caller.clock.now(),
    };
    if !caller.store.add_note(&note).await? {
        return Err(no_such_conversation());
    }
    let note = ChatNote::from(note);
    caller.send(group(Side::Agent, args.conversation_id), "note", &note).await;
    Ok(note)
}

/// `CannedReplies`
pub async fn canned_replies(caller: Caller) -> Result<Canned> {
    caller.agent().await?;
    Ok(caller.store.canned_replies().await?.0.into_iter().map(Into::into).collect())
}

/// `Transfer`
pub async fn transfer(caller: Caller, args: Transfer) -> Result<View> {
    let agent = caller.agent().await?;
    let now = caller.clock.now();
    let id = args.conversation_id;
    let conversation = match args.agent_id {
        Some(colleague) => {
            let colleague = caller
                .store
                .agent(colleague)
                .await?
                .filter(|colleague| colleague.status == AgentStatus::Available && caller.is_connected(colleague));
            let to = colleague.ok_or_else(|| problem(Refusal::AgentAway))?.agent;
            let transferred = caller.change(id, bookworm_trace::cause(), |conversation| {
                conversation.transfer(agent.id, &to, now).map(|decision| Plan::from(decision).taken_by(to.id))
            });
            let conversation = transferred.await?.conversation;
            caller.was_given(&to).await?;
            caller.notify_assigned(&to, &conversation).await;
            conversation
        }
        None => {
            let given_back = caller.change(id, bookworm_trace::cause(), |conversation| {
                conversation.give_back(agent.id, args.skill.map(Into::into), now).map(Plan::from)
            });
            given_back.await?.conversation
        }
    };
    caller.view(&conversation).await
}

/// `Close`
pub async fn close(caller: Caller, args: Close) -> Result<View> {
    let agent = caller.agent().await?;
    let now = caller.clock.now();
    let closed = caller.change(args.conversation_id, bookworm_trace::cause(), |conversation| {
        conversation.close(agent.id, args.resolution.into(), now).map(Plan::from)
    });
    let conversation = closed.await?.conversation;
    caller.view(&conversation).await
}

impl crate::service::Chat {
    /// How many conversations an agent has.
    async fn load_of(&self, agent: bookworm_kernel::CustomerId) -> Result<u32, Problem> {
        Ok(self.store.loads().await?.into_iter().find(|(id, _)| *id == agent).map_or(0, |(_, open)| open))
    }
}
