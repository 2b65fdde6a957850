//! What every [`ChatStore`] must do, as tests over `dyn ChatStore`. The crate of a store calls [`run`] from a test of its
//! own.
//!
//! Time is the store's: the suite takes it from the [`Bench`], compares no clocks, and asks the bench to let time pass.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_contracts::events::chat::{AnsweredByMail, TranscriptRequested};
use bookworm_kernel::{Cause, ConversationId, CustomerId, Email, Timestamp};
use bookworm_messaging::Message as _;
use futures::future::join_all;
use uuid::Uuid;

use super::{Agent, CannedReply, Change, ChatStore, CommitError, Filter, Letter};
use crate::domain::{
    agent::{AgentStatus, ChatAgent, Skill},
    conversation::{Conversation, ConversationStatus, Customer, Decision, Resolution},
    message::{Message, Note, Side, Words},
};

/// A store under test. Each test gets one that is new and empty.
#[async_trait]
pub trait Bench: Send + Sync {
    /// A handle on the store, as another process would have it.
    async fn open(&self) -> Arc<dyn ChatStore>;

    /// The store's time.
    fn now(&self) -> Timestamp;

    /// Lets at least this much time pass in the store: moves its clock, or waits. Whatever it does in the background has
    /// the chance to happen.
    async fn pass(&self, time: Duration);
}

/// Runs the whole suite, each test on a bench of its own.
///
/// # Panics
/// When the store breaks the contract.
pub async fn run<B: Bench>(new: impl AsyncFn() -> B) {
    macro_rules! tests {
        ($($name:ident),* $(,)?) => {$(
            eprintln!("contract: {}", stringify!($name));
            $name(&Fixture::on(&new().await).await).await;
        )*};
    }
    tests!(
        a_change_is_stored_as_a_whole_or_not_at_all,
        the_same_id_is_one_message_of_each_side,
        messages_are_read_from_either_end,
        the_queue_is_in_order_and_conversations_of_lost_agents_come_first,
        nobody_gets_more_than_their_capacity_however_many_are_given_at_once,
        a_conversation_is_taken_once,
        lists_show_what_they_are_asked_for,
        messages_that_wait_for_the_bot_are_found_until_they_are_answered,
        a_deleted_conversation_leaves_nothing_but_its_mails,
        agents_and_prepared_answers_are_stored,
        mails_wait_in_the_outbox_until_they_are_published,
        another_process_reads_what_one_committed,
        a_client_id_is_one_message_however_often_it_is_sent_at_once,
        it_says_that_it_can_take_a_change,
    );
}

/// A store, and when its test began.
struct Fixture<'a> {
    bench: &'a dyn Bench,
    store: Arc<dyn ChatStore>,
    start: Timestamp,
}

fn words(text: &str) -> Words {
    Words::parse(text).unwrap()
}

fn somebody(id: Option<CustomerId>) -> Customer {
    let address = id.is_none().then(|| "an address".to_owned());
    Customer {
        id,
        name: "Ann".into(),
        email: Email::parse("ann@reader.test").ok(),
        confirmed: false,
        secret: None,
        address,
    }
}

fn agent(n: u128) -> ChatAgent {
    ChatAgent { id: CustomerId::from_uuid(Uuid::from_u128(n)), name: format!("Agent {n}") }
}

fn at_work(n: u128, capacity: u32, idle_since: Timestamp) -> Agent {
    Agent {
        agent: agent(n),
        status: AgentStatus::Available,
        capacity,
        skills: vec![Skill::Orders],
        languages: vec!["en".into()],
        idle_since,
        gone_since: None,
        version: 1,
    }
}

/// A mail with an agent's answer.
fn answer(conversation: &Conversation, text: &str) -> Letter {
    Letter::Answer(AnsweredByMail {
        conversation_id: conversation.id,
        email: Email::parse("ann@reader.test").unwrap(),
        customer_name: "Ann".into(),
        agent_name: "Bo".into(),
        text: text.into(),
        proven: false,
        sender: String::new(),
    })
}

fn change(before: Option<&Conversation>, decision: Decision) -> Change {
    Change {
        conversation: decision.next,
        expected: before.map(|before| before.version),
        messages: decision.messages,
        letters: Vec::new(),
        taken_by: None,
        cause: Cause::start(),
    }
}

impl<'a> Fixture<'a> {
    async fn on(bench: &'a impl Bench) -> Self {
        Self { bench, store: bench.open().await, start: bench.now() }
    }

    /// This many seconds after the start.
    fn at(&self, seconds: u64) -> Timestamp {
        self.start.plus(Duration::from_secs(seconds))
    }

    /// An agent who is available.
    fn at_work(&self, n: u128, capacity: u32) -> Agent {
        at_work(n, capacity, self.start)
    }

    async fn put(&self, before: &Conversation, decision: Decision) -> Conversation {
        let next = decision.next.clone();
        self.store.commit(change(Some(before), decision)).await.unwrap();
        next
    }

    async fn start(&self, customer: Customer, now: Timestamp) -> Conversation {
        let decision = Conversation::start(ConversationId::new(), customer, "en".into(), now);
        let next = decision.next.clone();
        self.store.commit(change(None, decision)).await.unwrap();
        next
    }

    async fn says(&self, conversation: &Conversation, id: Uuid, now: Timestamp) -> Conversation {
        let decision = conversation.customer_says(&words("Where is it?"), id, 100, now).unwrap();
        self.put(conversation, decision).await
    }

    async fn queued(&self, now: Timestamp) -> Conversation {
        let conversation = self.start(somebody(None), now).await;
        let decision = conversation.ask_for_person(true, now).unwrap();
        self.put(&conversation, decision).await
    }

    async fn taken(&self, conversation: &Conversation, n: u128, now: Timestamp) -> Result<Conversation, CommitError> {
        let decision = conversation.accept(&agent(n), now).unwrap();
        let next = decision.next.clone();
        let taken = Change { taken_by: Some(agent(n).id), ..change(Some(conversation), decision) };
        self.store.commit(taken).await.map(|()| next)
    }
}

fn ids(conversations: &[Conversation]) -> Vec<ConversationId> {
    conversations.iter().map(|conversation| conversation.id).collect()
}

async fn a_change_is_stored_as_a_whole_or_not_at_all(fixture: &Fixture<'_>) {
    let id = Uuid::new_v4();
    let started = fixture.start(somebody(None), fixture.at(1)).await;
    let sent = fixture.says(&started, id, fixture.at(2)).await;
    assert_eq!(fixture.store.find(sent.id).await.unwrap().as_ref(), Some(&sent));

    let late = started.customer_says(&words("Late"), Uuid::new_v4(), 100, fixture.at(3)).unwrap();
    let conflict = fixture.store.commit(change(Some(&started), late)).await;
    assert!(matches!(conflict, Err(CommitError::Conflict)), "{conflict:?}");

    let again = sent.customer_says(&words("Again"), id, 100, fixture.at(3)).unwrap();
    let letter = answer(&sent, "Here");
    let duplicate = Change { letters: vec![letter.clone()], ..change(Some(&sent), again) };
    let duplicate = fixture.store.commit(duplicate).await;
    assert!(matches!(duplicate, Err(CommitError::Duplicate)), "{duplicate:?}");

    assert_eq!(fixture.store.find(sent.id).await.unwrap().as_ref(), Some(&sent), "nothing of either was stored");
    let messages = fixture.store.messages(sent.id, 0, 10).await.unwrap();
    assert_eq!(messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["Where is it?"]);
    let waiting = || async { fixture.store.outbox().waiting(10).await.unwrap().len() };
    assert_eq!(waiting().await, 0, "no mail without its message");
    let good = sent.customer_says(&words("Good"), Uuid::new_v4(), 100, fixture.at(3)).unwrap();
    fixture.store.commit(Change { letters: vec![letter], ..change(Some(&sent), good) }).await.unwrap();
    assert_eq!(waiting().await, 1);
}

async fn the_same_id_is_one_message_of_each_side(fixture: &Fixture<'_>) {
    let id = Uuid::new_v4();
    assert!(fixture.store.put_agent(&fixture.at_work(1, 3)).await.unwrap());
    let queued = fixture.queued(fixture.at(1)).await;
    let asked = fixture.says(&queued, id, fixture.at(2)).await;
    let with = fixture.taken(&asked, 1, fixture.at(3)).await.unwrap();
    let answer = with.agent_says(agent(1).id, &words("Here"), id, true, 100, fixture.at(4)).unwrap();
    fixture.put(&with, answer).await;
    let sent = |side| fixture.store.sent(asked.id, side, id);
    assert_eq!(sent(Side::Customer).await.unwrap().map(|message| message.text), Some("Where is it?".into()));
    assert_eq!(sent(Side::Agent).await.unwrap().map(|message| message.text), Some("Here".into()));
    assert_eq!(fixture.store.sent(asked.id, Side::Agent, Uuid::new_v4()).await.unwrap(), None);
    assert_eq!(fixture.store.sent(ConversationId::new(), Side::Agent, id).await.unwrap(), None);
}

async fn messages_are_read_from_either_end(fixture: &Fixture<'_>) {
    let mut conversation = fixture.start(somebody(None), fixture.at(1)).await;
    for n in 0..5 {
        conversation = fixture.says(&conversation, Uuid::new_v4(), fixture.at(n)).await;
    }
    let numbers = |messages: Vec<Message>| messages.into_iter().map(|message| message.seq).collect::<Vec<_>>();
    assert_eq!(numbers(fixture.store.messages(conversation.id, 2, 2).await.unwrap()), [3, 4]);
    assert_eq!(numbers(fixture.store.messages_before(conversation.id, 4, 2).await.unwrap()), [2, 3]);
    assert_eq!(fixture.store.message(conversation.id, 3).await.unwrap().map(|message| message.seq), Some(3));
    assert_eq!(fixture.store.message(conversation.id, 6).await.unwrap(), None);
}

async fn the_queue_is_in_order_and_conversations_of_lost_agents_come_first(fixture: &Fixture<'_>) {
    assert!(fixture.store.put_agent(&fixture.at_work(1, 3)).await.unwrap());
    let (first, second, third) =
        (fixture.queued(fixture.at(1)).await, fixture.queued(fixture.at(2)).await, fixture.queued(fixture.at(3)).await);
    let with = fixture.taken(&third, 1, fixture.at(4)).await.unwrap();
    assert_eq!(ids(&fixture.store.waiting(10).await.unwrap()), [first.id, second.id]);
    let lost = fixture.put(&with, with.agent_is_lost(agent(1).id, fixture.at(50))).await;
    assert_eq!(ids(&fixture.store.waiting(10).await.unwrap()), [third.id, first.id, second.id]);
    assert_eq!(ids(&fixture.store.waiting(2).await.unwrap()), [third.id, first.id]);
    let ahead = |conversation: &Conversation| fixture.store.ahead_of(conversation.rank().unwrap());
    assert_eq!((ahead(&lost).await.unwrap(), ahead(&second).await.unwrap()), (0, 2));
}

async fn nobody_gets_more_than_their_capacity_however_many_are_given_at_once(fixture: &Fixture<'_>) {
    assert!(fixture.store.put_agent(&fixture.at_work(1, 3)).await.unwrap());
    let mut waiting = Vec::new();
    for n in 0..10 {
        waiting.push(fixture.queued(fixture.at(n)).await);
    }
    let taken = waiting.iter().map(|conversation| fixture.taken(conversation, 1, fixture.at(20)));
    let taken = join_all(taken).await;
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 3);
    assert!(taken.iter().all(|taken| matches!(taken, Ok(_) | Err(CommitError::AgentFull))));
    assert_eq!(fixture.store.loads().await.unwrap(), [(agent(1).id, 3)]);
    let refused = fixture.taken(&waiting[9], 2, fixture.at(20)).await;
    assert!(matches!(refused, Err(CommitError::AgentFull)), "nobody knows this agent");
}

async fn a_conversation_is_taken_once(fixture: &Fixture<'_>) {
    for n in 1..=8 {
        assert!(fixture.store.put_agent(&fixture.at_work(n, 3)).await.unwrap());
    }
    let queued = fixture.queued(fixture.at(1)).await;
    let taken = join_all((1..=8).map(|n| fixture.taken(&queued, n, fixture.at(2)))).await;
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
    assert!(taken.iter().all(|taken| matches!(taken, Ok(_) | Err(CommitError::Conflict))));
}

async fn lists_show_what_they_are_asked_for(fixture: &Fixture<'_>) {
    let (ann, bo) = (CustomerId::new(), CustomerId::new());
    let first = fixture.start(somebody(Some(ann)), fixture.at(1)).await;
    let second = fixture.start(somebody(Some(ann)), fixture.at(2)).await;
    let other = fixture.start(somebody(Some(bo)), fixture.at(3)).await;
    let guest = fixture.start(somebody(None), fixture.at(4)).await;
    let list = |filter: Filter, after, limit| {
        let store = fixture.store.clone();
        async move { ids(&store.list(&filter, after, limit).await.unwrap()) }
    };
    let of_ann = Filter { customer: Some(ann), ..Filter::default() };
    assert_eq!(list(of_ann.clone(), None, 10).await, [second.id, first.id]);
    assert_eq!(list(of_ann, Some(second.id), 10).await, [first.id]);
    assert_eq!(list(Filter::default(), None, 2).await, [guest.id, other.id]);
    assert_eq!(fixture.store.open_from("an address").await.unwrap(), 1);
    assert_eq!(fixture.store.open_from("another").await.unwrap(), 0);

    let closed = first.close(agent(1).id, Resolution::Closed, fixture.at(9)).unwrap();
    fixture.put(&first, closed).await;
    assert_eq!(ids(&fixture.store.open_of(ann, 10).await.unwrap()), [second.id]);
    let only_closed = Filter { status: Some(ConversationStatus::Closed), ..Filter::default() };
    assert_eq!(list(only_closed, None, 10).await, [first.id]);
    let mut census = fixture.store.census().await.unwrap();
    census.sort_by_key(|(_, count)| *count);
    assert_eq!(census, [(ConversationStatus::Closed, 1), (ConversationStatus::Bot, 3)]);
    let idle = fixture.store.idle(ConversationStatus::Bot, fixture.at(4), 10).await.unwrap();
    assert_eq!(ids(&idle), [second.id, other.id]);
}

async fn messages_that_wait_for_the_bot_are_found_until_they_are_answered(fixture: &Fixture<'_>) {
    let conversation = fixture.start(somebody(None), fixture.at(1)).await;
    let asked = fixture.says(&conversation, Uuid::new_v4(), fixture.at(10)).await;
    assert!(fixture.store.due(fixture.at(9), 10).await.unwrap().is_empty());
    assert_eq!(ids(&fixture.store.due(fixture.at(10), 10).await.unwrap()), [asked.id]);
    fixture.put(&asked, asked.needs_no_bot(fixture.at(11))).await;
    assert!(fixture.store.due(fixture.at(99), 10).await.unwrap().is_empty());
}

async fn a_deleted_conversation_leaves_nothing_but_its_mails(fixture: &Fixture<'_>) {
    let conversation = fixture.start(somebody(None), fixture.at(1)).await;
    let sent = fixture.says(&conversation, Uuid::new_v4(), fixture.at(2)).await;
    let note = Note { conversation_id: sent.id, agent: agent(1), text: "A regular".into(), at: fixture.at(3) };
    assert!(fixture.store.add_note(&note).await.unwrap());
    assert_eq!(fixture.store.notes(sent.id, 10).await.unwrap(), std::slice::from_ref(&note));
    let more = sent.customer_says(&words("More"), Uuid::new_v4(), 100, fixture.at(3)).unwrap();
    let sent = {
        let next = more.next.clone();
        let letters = vec![answer(&sent, "Here")];
        fixture.store.commit(Change { letters, ..change(Some(&sent), more) }).await.unwrap();
        next
    };
    assert!(fixture.store.delete(sent.id).await.unwrap());
    assert!(!fixture.store.delete(sent.id).await.unwrap());
    fixture.bench.pass(Duration::from_secs(5)).await;
    assert_eq!(fixture.store.outbox().waiting(10).await.unwrap().len(), 1, "what was promised is still sent");
    assert_eq!(fixture.store.find(sent.id).await.unwrap(), None);
    assert!(fixture.store.messages(sent.id, 0, 10).await.unwrap().is_empty());
    assert!(fixture.store.notes(sent.id, 10).await.unwrap().is_empty());
    assert!(!fixture.store.add_note(&note).await.unwrap(), "there is nothing to note anything on");
    let more = sent.customer_says(&words("Still there?"), Uuid::new_v4(), 100, fixture.at(4)).unwrap();
    let conflict = fixture.store.commit(change(Some(&sent), more)).await;
    assert!(matches!(conflict, Err(CommitError::Conflict)), "{conflict:?}");
}

async fn agents_and_prepared_answers_are_stored(fixture: &Fixture<'_>) {
    let mut known = fixture.at_work(7, 3);
    assert!(fixture.store.put_agent(&known).await.unwrap());
    assert!(!fixture.store.put_agent(&known).await.unwrap(), "they are there already");
    known.gone_since = Some(fixture.at(5).plus(Duration::from_secs(1)));
    known.version = 3;
    assert!(!fixture.store.put_agent(&known).await.unwrap(), "nobody has stored the second version");
    known.version = 2;
    let at_once = join_all((0..8).map(|_| fixture.store.put_agent(&known))).await;
    assert_eq!(at_once.into_iter().filter(|put| *put.as_ref().unwrap()).count(), 1, "one change, not eight");
    assert_eq!(fixture.store.agents().await.unwrap(), [known.clone()]);
    assert_eq!(fixture.store.agent(known.agent.id).await.unwrap(), Some(known));

    let replies = [CannedReply { shortcut: "bye".into(), text: "Good bye".into() }];
    assert_eq!(fixture.store.canned_replies().await.unwrap(), (Vec::new(), 0));
    assert_eq!(fixture.store.put_canned_replies(&replies, 0).await.unwrap(), Some(1));
    assert_eq!(fixture.store.put_canned_replies(&[], 0).await.unwrap(), None, "they were changed meanwhile");
    assert_eq!(fixture.store.put_canned_replies(&[], 1).await.unwrap(), Some(2));
    assert_eq!(fixture.store.canned_replies().await.unwrap(), (Vec::new(), 2));
}

async fn mails_wait_in_the_outbox_until_they_are_published(fixture: &Fixture<'_>) {
    let outbox = fixture.store.outbox();
    let conversation = fixture.start(somebody(None), fixture.at(1)).await;
    let mut last = fixture.says(&conversation, Uuid::new_v4(), fixture.at(2)).await;
    let transcript = Letter::Transcript(TranscriptRequested {
        conversation_id: last.id,
        email: Email::parse("ann@reader.test").unwrap(),
        customer_name: "Ann".into(),
        started_at: fixture.at(1),
        lines: Vec::new(),
        proven: false,
    });
    let cause = Cause::start();
    for letters in [vec![answer(&last, "One"), answer(&last, "Two")], vec![transcript]] {
        let decision = last.customer_says(&words("More"), Uuid::new_v4(), 100, fixture.at(3)).unwrap();
        let next = decision.next.clone();
        fixture.store.commit(Change { letters, cause, ..change(Some(&last), decision) }).await.unwrap();
        last = next;
    }
    tokio::time::timeout(Duration::from_secs(10), outbox.woken()).await.expect("a commit wakes the relay");
    fixture.bench.pass(Duration::from_secs(5)).await;
    let waiting = outbox.waiting(10).await.unwrap();
    let subjects: Vec<&str> = waiting.iter().map(|envelope| envelope.subject.as_str()).collect();
    assert_eq!(subjects, [AnsweredByMail::SUBJECT, AnsweredByMail::SUBJECT, TranscriptRequested::SUBJECT]);
    assert_eq!((&waiting[0].data["text"], &waiting[1].data["text"]), (&"One".into(), &"Two".into()));
    assert!(waiting.iter().all(|envelope| envelope.correlationid == cause.correlation_id));
    assert_eq!(outbox.waiting(2).await.unwrap().len(), 2, "no more than were asked for");
    let again = fixture.bench.open().await.outbox().waiting(10).await.unwrap();
    assert_eq!(again, waiting, "the same until they are removed, for another process too");

    outbox.remove(&[waiting[0].id, waiting[1].id]).await.unwrap();
    let left: Vec<_> = outbox.waiting(10).await.unwrap().into_iter().map(|envelope| envelope.id).collect();
    assert_eq!(left, [waiting[2].id]);
    outbox.remove(&[waiting[0].id]).await.unwrap();
    outbox.remove(&[]).await.unwrap();
    assert_eq!(outbox.waiting(10).await.unwrap().len(), 1, "removing again changes nothing");
}

async fn another_process_reads_what_one_committed(fixture: &Fixture<'_>) {
    let other = fixture.bench.open().await;
    let mut conversation = fixture.start(somebody(None), fixture.at(1)).await;
    for n in 1..=3 {
        conversation = fixture.says(&conversation, Uuid::new_v4(), fixture.at(n)).await;
        assert_eq!(other.find(conversation.id).await.unwrap().as_ref(), Some(&conversation));
        assert_eq!(other.messages(conversation.id, 0, 10).await.unwrap().len() as u64, n);
        fixture.bench.pass(Duration::from_secs(1)).await;
        let messages = other.messages(conversation.id, 0, 10).await.unwrap();
        assert_eq!(messages.iter().map(|message| message.seq).collect::<Vec<_>>(), (1..=n).collect::<Vec<_>>());
    }
    let stale =
        other.commit(change(None, Conversation::start(conversation.id, somebody(None), "en".into(), fixture.at(9))));
    let stale = stale.await;
    assert!(matches!(stale, Err(CommitError::Conflict)), "its id is taken: {stale:?}");
}

async fn a_client_id_is_one_message_however_often_it_is_sent_at_once(fixture: &Fixture<'_>) {
    let conversation = fixture.start(somebody(None), fixture.at(1)).await;
    let id = Uuid::new_v4();
    let send = || async {
        let decision = conversation.customer_says(&words("Where is it?"), id, 100, fixture.at(2)).unwrap();
        fixture.store.commit(change(Some(&conversation), decision)).await
    };
    let sent = join_all((0..8).map(|_| send())).await;
    assert_eq!(sent.iter().filter(|sent| sent.is_ok()).count(), 1);
    let refused = |sent: &Result<(), CommitError>| matches!(sent, Err(CommitError::Conflict | CommitError::Duplicate));
    assert!(sent.iter().all(|sent| sent.is_ok() || refused(sent)), "{sent:?}");
    assert_eq!(fixture.store.messages(conversation.id, 0, 10).await.unwrap().len(), 1);
}

async fn it_says_that_it_can_take_a_change(fixture: &Fixture<'_>) {
    assert!(!fixture.store.name().is_empty());
    fixture.store.check().await.unwrap();
}
