//! Changing a conversation: read, decide, store, and only then announce.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use bookworm_contracts::{events::chat::AnsweredByMail, rest::chat as rest};
use bookworm_http::{Problem, Result, auth::AccountClaims};
use bookworm_kernel::{Cause, ConversationId, CustomerId, ErrorCode};
use bookworm_trace::{KeyValue, Kind, Span};
use tokio::sync::{Mutex, MutexGuard};

use super::{Chat, view};
use crate::{
    domain::{
        conversation::{Conversation, ConversationStatus, Decision, Happened},
        message::{self, Message, Side},
        refusal::Refusal,
    },
    store::{Change, CommitError, Letter, StoreError},
};

/// The most messages in one answer.
pub(crate) const MAX_MESSAGES: usize = 200;
/// How often a change is decided again after a conflict with another node.
pub(crate) const ATTEMPTS: usize = 8;

/// Locks for conversations: within this process, changes to one are made one after the other, and announced in the
/// order in which they were stored. Between processes the conversation's version detects conflicts.
pub(crate) struct Locks(Vec<Mutex<()>>);

impl Default for Locks {
    fn default() -> Self {
        Self((0..1024).map(|_| Mutex::new(())).collect())
    }
}

impl Locks {
    /// Locks what this key stands for.
    pub async fn lock(&self, key: &impl Hash) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.0[hasher.finish() as usize % self.0.len()].lock().await
    }
}

/// A decision, and what else belongs to its commit.
pub(crate) struct Plan {
    pub decision: Decision,
    pub letters: Vec<Letter>,
    pub taken_by: Option<CustomerId>,
}

impl From<Decision> for Plan {
    fn from(decision: Decision) -> Self {
        Self { decision, letters: Vec::new(), taken_by: None }
    }
}

impl Plan {
    /// The agent takes the conversation with it.
    pub fn taken_by(self, agent: CustomerId) -> Self {
        Self { taken_by: Some(agent), ..self }
    }
}

/// Why a conversation was not changed.
pub(crate) enum NotChanged {
    /// This side has sent the message before.
    Duplicate,
    /// The answer to the caller.
    Problem(Problem),
}

impl From<NotChanged> for Problem {
    fn from(not: NotChanged) -> Self {
        match not {
            NotChanged::Duplicate => Self::new(ErrorCode::DuplicateValue),
            NotChanged::Problem(problem) => problem,
        }
    }
}

impl From<Refusal> for NotChanged {
    fn from(refusal: Refusal) -> Self {
        Self::Problem(problem(refusal))
    }
}

/// A refusal as an answer.
pub(crate) fn problem(refusal: Refusal) -> Problem {
    Problem::new(refusal.code()).detail(refusal.to_string())
}

/// The answer for a conversation that does not exist or is not the caller's.
pub(crate) fn no_such_conversation() -> Problem {
    Problem::not_found("conversation")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the chat's store is busy");
                Self::new(ErrorCode::Unavailable).retry_after(Duration::from_secs(1))
            }
            StoreError::Unknown(error) => error.into(),
            StoreError::Failed(_) => Self::internal(&error),
        }
    }
}

/// A conversation after a change, and its new messages.
pub(crate) struct Changed {
    pub conversation: Conversation,
    pub messages: Vec<Message>,
}

impl Chat {
    /// Changes a conversation as `decide` says, which may be called more than once.
    ///
    /// # Errors
    /// 404 when there is none, what `decide` refuses, 409 after too many conflicts.
    pub(crate) async fn change(
        &self,
        id: ConversationId,
        cause: Cause,
        decide: impl Fn(&Conversation) -> Result<Plan, Refusal> + Send + Sync,
    ) -> Result<Changed, NotChanged> {
        let (cause, mut step) = step("change", id, cause);
        let changed = bookworm_trace::scope(cause.trace, self.decided(id, cause, decide)).await;
        if let Ok(changed) = &changed {
            step.set("bookworm.chat.status", changed.conversation.status.name());
        }
        changed
    }

    async fn decided(
        &self,
        id: ConversationId,
        cause: Cause,
        decide: impl Fn(&Conversation) -> Result<Plan, Refusal> + Send + Sync,
    ) -> Result<Changed, NotChanged> {
        let _lock = self.locks.lock(&id).await;
        for _ in 0..ATTEMPTS {
            let before = self.find(id).await.map_err(NotChanged::Problem)?;
            let Plan { decision, mut letters, taken_by } = decide(&before)?;
            let Decision { next, messages, happened } = decision;
            if next == before {
                return Ok(Changed { conversation: before, messages });
            }
            letters.extend(happened.iter().filter_map(|happened| answer_by_mail(&next, happened)));
            let change = Change {
                conversation: next.clone(),
                expected: Some(before.version),
                messages: messages.clone(),
                letters,
                taken_by: taken_by.filter(|_| next.status == ConversationStatus::WithAgent),
                cause,
            };
            match self.store.commit(change).await {
                Ok(()) => {
                    self.announce(Some(&before), &next, &messages, &happened).await;
                    return Ok(Changed { conversation: next, messages });
                }
                Err(CommitError::Conflict) => {}
                Err(CommitError::Duplicate) => return Err(NotChanged::Duplicate),
                Err(CommitError::AgentFull) => return Err(Refusal::AgentFull.into()),
                Err(CommitError::Store(error)) => return Err(NotChanged::Problem(error.into())),
            }
        }
        Err(NotChanged::Problem(Problem::new(ErrorCode::ConcurrentChange)))
    }

    /// Stores a new conversation.
    pub(crate) async fn begin(&self, decision: Decision, cause: Cause) -> Result<Conversation> {
        let Decision { next, messages, happened } = decision;
        let (cause, _step) = step("begin", next.id, cause);
        let change = Change {
            conversation: next.clone(),
            expected: None,
            messages: messages.clone(),
            letters: Vec::new(),
            taken_by: None,
            cause,
        };
        match bookworm_trace::scope(cause.trace, self.store.commit(change)).await {
            Ok(()) => {
                self.announce(None, &next, &messages, &happened).await;
                Ok(next)
            }
            Err(CommitError::Store(error)) => Err(error.into()),
            Err(_) => Err(Problem::new(ErrorCode::ConcurrentChange)),
        }
    }

    /// A conversation.
    ///
    /// # Errors
    /// 404 when there is none.
    pub(crate) async fn find(&self, id: ConversationId) -> Result<Conversation> {
        self.store.find(id).await?.ok_or_else(no_such_conversation)
    }

    /// Deletes a conversation for good, and notifies everybody attached.
    pub(crate) async fn delete(&self, id: ConversationId) -> Result<()> {
        let _lock = self.locks.lock(&id).await;
        if !self.store.delete(id).await? {
            return Err(no_such_conversation());
        }
        self.announce_deleted(id).await;
        Ok(())
    }

    /// As the API shows it, with its place in the queue.
    pub(crate) async fn view(&self, conversation: &Conversation) -> Result<rest::Conversation> {
        let position = match conversation.rank() {
            Some(rank) => Some(u32::try_from(self.store.ahead_of(rank).await?).unwrap_or(u32::MAX).saturating_add(1)),
            None => None,
        };
        Ok(view::conversation(conversation, position))
    }

    /// Messages after a number, as one side sees them.
    pub(crate) async fn page(
        &self,
        side: Side,
        id: ConversationId,
        after: u64,
        limit: usize,
    ) -> Result<rest::MessagePage> {
        let mut messages = self.store.messages(id, after, limit + 1).await?;
        let more = messages.len() > limit;
        messages.truncate(limit);
        let next = messages.last().map(|message| message.seq).filter(|_| more);
        let items = messages.into_iter().map(|message| message::seen_by(side, message).into()).collect();
        Ok(rest::MessagePage { items, next })
    }

    /// Several, as the API shows them.
    pub(crate) async fn views(&self, conversations: &[Conversation]) -> Result<Vec<rest::Conversation>> {
        let mut views = Vec::with_capacity(conversations.len());
        for conversation in conversations {
            views.push(self.view(conversation).await?);
        }
        Ok(views)
    }
}

/// The sender for which mails to this customer are counted.
fn sender_of(conversation: &Conversation) -> String {
    let account = conversation.customer.id.map(|id| format!("account {id}"));
    account.or_else(|| conversation.customer.address.clone()).unwrap_or_default()
}

fn answer_by_mail(conversation: &Conversation, happened: &Happened) -> Option<Letter> {
    let Happened::AnsweredByMail(text) = happened else { return None };
    Some(Letter::Answer(AnsweredByMail {
        conversation_id: conversation.id,
        email: conversation.customer.email.clone()?,
        customer_name: conversation.customer.name.clone(),
        agent_name: conversation.agent.as_ref()?.name.clone(),
        text: text.clone(),
        proven: conversation.customer.id.is_some() && conversation.customer.confirmed,
        sender: sender_of(conversation),
    }))
}

/// Whether a conversation is this caller's: by their account, or by its secret.
pub(crate) fn is_customer(conversation: &Conversation, account: Option<&AccountClaims>, secret: Option<&str>) -> bool {
    let own = account.is_some_and(|account| conversation.customer.id == Some(account.id));
    let opened = || match (&conversation.customer.secret, secret) {
        (Some(hash), Some(secret)) => hash.opens(secret),
        _ => false,
    };
    own || opened()
}

/// Something that happens to a conversation, as a step of its trace.
fn step(what: &'static str, id: ConversationId, cause: Cause) -> (Cause, Span) {
    let step = Span::begin(Kind::Internal, Some(cause.trace.into()), || {
        let attributes =
            vec![KeyValue::new("bookworm.role", "chat"), KeyValue::new(bookworm_trace::SUBJECT, id.to_string())];
        (format!("chat {what} conversation").into(), attributes)
    });
    (Cause { trace: step.place(), ..cause }, step)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bookworm_db::DbError;

    use super::*;

    #[test]
    fn a_change_of_which_nobody_heard_is_not_told_as_undone() {
        let answer = |error: DbError| {
            let problem = Problem::from(StoreError::from(error));
            (problem.code(), problem.body().detail.unwrap_or_default())
        };
        let (code, detail) = answer(DbError::Unknown(Arc::new(DbError::Busy)));
        assert!(code == ErrorCode::Unavailable && detail.contains("did not hear whether"), "{detail}");
        let (code, detail) = answer(DbError::Busy);
        assert!(code == ErrorCode::Unavailable && !detail.contains("did not hear whether"), "{detail}");
        assert_eq!(answer(DbError::Corrupt("x".to_owned())).0, ErrorCode::Internal);
    }
}
