//! The bot's turns: in tasks of their own, for each conversation one after the other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bookworm_http::{Problem, Result};
use bookworm_kernel::{Cause, ConversationId, ErrorCode};
use bookworm_trace::{KeyValue, Kind, Span};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    Chat,
    conversations::Plan,
    events::{AnswerEvent, TypingEvent},
};
use crate::{
    bot::{Rights, Turn, Utterance},
    domain::{
        agent::Skill,
        conversation::{Conversation, ConversationStatus},
        message::{AuthorKind, BOT_NAME, Message, Side},
        reply::{HandOver, Memory, Reason, Reply},
    },
};

/// How many earlier messages the bot gets.
const BEFORE: usize = 12;
/// The timeout of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an answer waits for its customer's connection, whose rights it needs.
const RIGHTS_TIMEOUT: Duration = Duration::from_secs(60);

/// The conversations that the bot is answering, and whether it should look again afterwards.
#[derive(Default)]
pub(crate) struct Answering(Mutex<HashMap<ConversationId, bool>>);

impl Answering {
    /// Claims a conversation; `false` when it is claimed already.
    fn begin(&self, id: ConversationId) -> bool {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = !at.contains_key(&id);
        at.insert(id, !free);
        free
    }

    /// Releases it, unless there may be more to do: then `true`, and it stays claimed.
    fn again(&self, id: ConversationId) -> bool {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let again = at.remove(&id) == Some(true);
        if again {
            at.insert(id, false);
        }
        again
    }
}

impl Chat {
    /// Has the bot answer the messages of this conversation that wait for it. Returns at once.
    pub(crate) fn answer_what_is_due(&self, id: ConversationId) {
        let Some(chat) = self.me.upgrade() else { return };
        if self.tasks.is_closed() || !self.answering.begin(id) {
            return;
        }
        self.tasks.spawn(async move {
            loop {
                if let Err(problem) = chat.answer_all(id).await {
                    // It stays due, and is found again.
                    tracing::warn!(conversation = %id, %problem, "the bot's answer has to wait");
                }
                if !chat.answering.again(id) {
                    return;
                }
            }
        });
    }

    /// Whether a message that waits for the bot is this instance's to answer. The instance that has the customer answers,
    /// with their rights. When several have, the one that took the message does, and is given the time for it: two would
    /// do the same work, and the draft of one would end with the answer of the other.
    pub(crate) fn takes_the_turn(&self, conversation: &Conversation) -> bool {
        if !self.presence.customer_is_elsewhere(conversation.id) {
            return true;
        }
        let now = self.clock.now();
        let is_late = |since| now.since(since) >= ANSWER_TIMEOUT;
        self.presence.customer_is_here(conversation.id) && conversation.bot_due_since.is_some_and(is_late)
    }

    async fn answer_all(&self, id: ConversationId) -> Result<()> {
        loop {
            let Some(conversation) = self.store.find(id).await? else { return Ok(()) };
            let Some(&seq) = conversation.bot_due.first() else { return Ok(()) };
            let message = self.store.message(id, seq).await?;
            let (ConversationStatus::Bot, Some(message)) = (conversation.status, message) else {
                let now = self.clock.now();
                let cleared = self.change(id, Cause::start(), |conversation| Ok(conversation.needs_no_bot(now).into()));
                cleared.await?;
                return Ok(());
            };
            let Some(rights) = self.rights(&conversation) else { return Ok(()) };
            self.answer(&conversation, message, rights).await?;
        }
    }

    /// The rights with which the bot calls the shop; `None` while it waits for the customer to come back.
    fn rights(&self, conversation: &Conversation) -> Option<Rights> {
        let Some(owner) = conversation.customer.id else { return Some(Rights::default()) };
        let now = self.clock.now();
        let waited = conversation.bot_due_since.is_some_and(|since| now.since(since) >= RIGHTS_TIMEOUT);
        self.presence.rights(conversation.id, owner, now).or_else(|| waited.then(Rights::default))
    }

    async fn answer(&self, conversation: &Conversation, message: Message, rights: Rights) -> Result<()> {
        let (id, seq) = (conversation.id, message.seq);
        // A turn may come long after its message, and once more after a crash: it is a trace of its own.
        let start = Cause::start();
        let step = Span::begin(Kind::Internal, Some(start.trace.into()), || {
            let attributes =
                vec![KeyValue::new("bookworm.role", "bot"), KeyValue::new(bookworm_trace::SUBJECT, id.to_string())];
            ("bot answer".into(), attributes)
        });
        let cause = Cause { trace: step.place(), ..start };
        let before = self.store.messages_before(id, seq, BEFORE).await?;
        let utterance = |message: Message| {
            let by_customer = message.author == AuthorKind::Customer;
            (message.author != AuthorKind::System).then_some(Utterance { by_customer, text: message.text })
        };
        let turn = Turn {
            conversation: id,
            text: message.text,
            before: before.into_iter().filter_map(utterance).collect(),
            memory: conversation.memory.clone(),
            rights,
            customer_name: conversation.customer.name.clone(),
            language: conversation.language.clone(),
            cause,
        };
        let writes = |typing| TypingEvent {
            conversation_id: id,
            author: AuthorKind::Bot.into(),
            name: BOT_NAME.to_owned(),
            typing,
        };
        self.show_typing(Side::Customer, writes(true)).await;
        let (reply, answer_id) = self.ask_the_bot(turn).await;
        drop(step);
        self.show_typing(Side::Customer, writes(false)).await;
        let there = match reply.hand_over {
            Some(_) => self.someone_is_there().await?,
            None => false,
        };
        let now = self.clock.now();
        let answered = self
            .change(id, cause, |conversation| {
                conversation.bot_answers(seq, reply.clone(), answer_id, there, now).map(Plan::from)
            })
            .await;
        match answered.map_err(Problem::from) {
            Ok(_) => Ok(()),
            // Answered, ended or deleted meanwhile.
            Err(problem) if problem.code() == ErrorCode::InvalidConversationState => Ok(()),
            Err(problem) if problem.code() == ErrorCode::NotFound => Ok(()),
            Err(problem) => Err(problem),
        }
    }

    /// The bot's reply, and the id of its stream, if it was streamed.
    async fn ask_the_bot(&self, turn: Turn) -> (Reply, Option<Uuid>) {
        let (id, memory) = (turn.conversation, turn.memory.clone());
        let (draft, mut words) = mpsc::channel::<String>(64);
        let responder = Arc::clone(&self.responder);
        let mut answering = tokio::spawn(async move { responder.answer(turn, draft).await });
        let mut pen = None;
        let watching = async {
            while let Some(piece) = words.recv().await {
                if pen.is_none() {
                    let answer_id = Uuid::new_v4();
                    pen = Some((answer_id, self.drafts.begin(id, answer_id)));
                    self.show_answer(AnswerEvent { conversation_id: id, answer_id }).await;
                }
                if let Some((_, pen)) = &pen {
                    pen.write(&piece);
                }
            }
        };
        let both = async { tokio::join!(&mut answering, watching).0 };
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, both).await;
        let answer_id = pen.map(|(answer_id, _)| answer_id);
        match answered {
            Ok(Ok(reply)) => return (reply, answer_id),
            Ok(Err(error)) => tracing::error!(%error, "the bot failed"),
            Err(_) => {
                answering.abort();
                tracing::error!("the bot took too long");
            }
        }
        (beyond_the_bot(memory), answer_id)
    }
}

/// The reply when the bot fails.
fn beyond_the_bot(memory: Memory) -> Reply {
    Reply {
        text: "I’m sorry, I can’t answer that right now, so I’m passing you to our team.".to_owned(),
        links: Vec::new(),
        suggestions: Vec::new(),
        intent: None,
        hand_over: Some(HandOver { reason: Reason::BeyondTheBot, skill: Skill::General }),
        memory,
    }
}
