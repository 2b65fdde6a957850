//! What every store of conversations must do, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{future::Future, sync::Arc, time::Duration};

use bookworm_chat::{
    bot::Skill,
    domain::{
        conversation::{Conversation, Customer, Decision, Resolution},
        message::{Side, Words},
        routing::AgentStatus,
    },
    store::{Agent, Change, ChatStore, CommitError, Filter, Letter, MIGRATIONS, SqlStore},
};
use bookworm_contracts::{
    events::chat::AnsweredByMail,
    rest::chat::{CannedReply, ChatAgent, ChatNote, ConversationStatus},
};
use bookworm_db::{Databases, Db, Migration, Pool, Sql};
use bookworm_kernel::{Cause, ConversationId, CustomerId, Email, SystemClock, Timestamp};
use bookworm_messaging::Outbox;
use uuid::Uuid;

/// A store, and what is needed to look behind it.
struct House {
    store: Arc<dyn ChatStore>,
    db: Db,
}

async fn open(databases: &Databases) -> House {
    let db = databases.open("chat").await.unwrap();
    let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, MIGRATIONS].concat();
    db.migrate(&migrations, Timestamp::default()).await.unwrap();
    let store = Arc::new(SqlStore::new(db.clone(), Outbox::new(Arc::new(SystemClock))));
    House { store, db }
}

/// Runs a test on SQLite, and on PostgreSQL when there is one.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(House) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let house = open(&Databases::Sqlite(folder.path().to_owned())).await;
    let db = house.db.clone();
    test(house).await;
    db.close().await;
    let Ok(url) = std::env::var("BOOKWORM_TEST_POSTGRES") else {
        eprintln!("SKIPPED on PostgreSQL: set BOOKWORM_TEST_POSTGRES to a postgres:// URL");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI must run against PostgreSQL too");
        return;
    };
    let prefix = format!("test_{}_", Uuid::now_v7().simple());
    let house = open(&Databases::Postgres { url: url.clone(), max_connections: 8, prefix: prefix.clone() }).await;
    let db = house.db.clone();
    test(house).await;
    db.close().await;
    let server = Pool::connect(&url).await.unwrap();
    server.batch(&format!("DROP SCHEMA \"{prefix}chat\" CASCADE")).await.unwrap();
    server.close().await;
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
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

fn at_work(n: u128, capacity: u32) -> Agent {
    Agent {
        agent: agent(n),
        status: AgentStatus::Available,
        capacity,
        skills: vec![Skill::Orders],
        languages: vec!["en".into()],
        idle_since: at(0),
        gone_since: None,
    }
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

impl House {
    async fn keep(&self, before: &Conversation, decision: Decision) -> Conversation {
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
        self.keep(conversation, decision).await
    }

    async fn queued(&self, now: Timestamp) -> Conversation {
        let conversation = self.start(somebody(None), now).await;
        let decision = conversation.ask_for_person(true, now).unwrap();
        self.keep(&conversation, decision).await
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

#[tokio::test]
async fn a_change_is_kept_whole_or_not_at_all() {
    on_each(|house| async move {
        let id = Uuid::new_v4();
        let started = house.start(somebody(None), at(1)).await;
        let said = house.says(&started, id, at(2)).await;
        assert_eq!(house.store.find(said.id).await.unwrap().as_ref(), Some(&said));

        let late = started.customer_says(&words("Late"), Uuid::new_v4(), 100, at(3)).unwrap();
        let conflict = house.store.commit(change(Some(&started), late)).await;
        assert!(matches!(conflict, Err(CommitError::Conflict)), "{conflict:?}");

        let again = said.customer_says(&words("Again"), id, 100, at(3)).unwrap();
        let letter = Letter::Answer(AnsweredByMail {
            conversation_id: said.id,
            email: Email::parse("ann@reader.test").unwrap(),
            customer_name: "Ann".into(),
            agent_name: "Bo".into(),
            text: "Here".into(),
            proven: false,
            sender: String::new(),
        });
        let duplicate = Change { letters: vec![letter.clone()], ..change(Some(&said), again) };
        let duplicate = house.store.commit(duplicate).await;
        assert!(matches!(duplicate, Err(CommitError::Duplicate)), "{duplicate:?}");

        assert_eq!(house.store.find(said.id).await.unwrap().as_ref(), Some(&said), "nothing was kept of either");
        let messages = house.store.messages(said.id, 0, 10).await.unwrap();
        assert_eq!(messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["Where is it?"]);
        let waiting = || async { house.db.read().scalar::<i64>("SELECT COUNT(*) FROM outbox", []).await.unwrap() };
        assert_eq!(waiting().await, Some(0), "no mail without its message");
        let good = said.customer_says(&words("Good"), Uuid::new_v4(), 100, at(3)).unwrap();
        house.store.commit(Change { letters: vec![letter], ..change(Some(&said), good) }).await.unwrap();
        assert_eq!(waiting().await, Some(1));
    })
    .await;
}

#[tokio::test]
async fn the_same_id_is_one_message_of_each_side() {
    on_each(|house| async move {
        let id = Uuid::new_v4();
        house.store.put_agent(&at_work(1, 3)).await.unwrap();
        let queued = house.queued(at(1)).await;
        let said = house.says(&queued, id, at(2)).await;
        let with = house.taken(&said, 1, at(3)).await.unwrap();
        let answer = with.agent_says(agent(1).id, &words("Here"), id, true, 100, at(4)).unwrap();
        house.keep(&with, answer).await;
        let sent = |side| house.store.sent(said.id, side, id);
        assert_eq!(sent(Side::Customer).await.unwrap().map(|message| message.text), Some("Where is it?".into()));
        assert_eq!(sent(Side::Agent).await.unwrap().map(|message| message.text), Some("Here".into()));
        assert_eq!(house.store.sent(said.id, Side::Agent, Uuid::new_v4()).await.unwrap(), None);
        assert_eq!(house.store.sent(ConversationId::new(), Side::Agent, id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn messages_are_read_from_either_end() {
    on_each(|house| async move {
        let mut conversation = house.start(somebody(None), at(1)).await;
        for n in 0..5 {
            conversation = house.says(&conversation, Uuid::new_v4(), at(n)).await;
        }
        let numbers = |messages: Vec<bookworm_contracts::rest::chat::ChatMessage>| {
            messages.into_iter().map(|message| message.seq).collect::<Vec<_>>()
        };
        assert_eq!(numbers(house.store.messages(conversation.id, 2, 2).await.unwrap()), [3, 4]);
        assert_eq!(numbers(house.store.messages_before(conversation.id, 4, 2).await.unwrap()), [2, 3]);
        assert_eq!(house.store.message(conversation.id, 3).await.unwrap().map(|message| message.seq), Some(3));
        assert_eq!(house.store.message(conversation.id, 6).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn those_who_wait_are_in_order_and_those_who_were_lost_come_first() {
    on_each(|house| async move {
        house.store.put_agent(&at_work(1, 3)).await.unwrap();
        let (first, second, third) = (house.queued(at(1)).await, house.queued(at(2)).await, house.queued(at(3)).await);
        let with = house.taken(&third, 1, at(4)).await.unwrap();
        assert_eq!(ids(&house.store.waiting(10).await.unwrap()), [first.id, second.id]);
        let lost = house.keep(&with, with.agent_is_lost(agent(1).id, at(50))).await;
        assert_eq!(ids(&house.store.waiting(10).await.unwrap()), [third.id, first.id, second.id]);
        assert_eq!(ids(&house.store.waiting(2).await.unwrap()), [third.id, first.id]);
        let ahead = |conversation: &Conversation| house.store.ahead_of(conversation.rank().unwrap());
        assert_eq!((ahead(&lost).await.unwrap(), ahead(&second).await.unwrap()), (0, 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_more_than_their_capacity_however_many_are_given_at_once() {
    on_each(|house| async move {
        house.store.put_agent(&at_work(1, 3)).await.unwrap();
        let mut waiting = Vec::new();
        for n in 0..10 {
            waiting.push(house.queued(at(n)).await);
        }
        let taken = waiting.iter().map(|conversation| house.taken(conversation, 1, at(20)));
        let taken = futures::future::join_all(taken).await;
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 3);
        assert!(taken.iter().all(|taken| matches!(taken, Ok(_) | Err(CommitError::AgentFull))));
        assert_eq!(house.store.loads().await.unwrap(), [(agent(1).id, 3)]);
        let refused = house.taken(&waiting[9], 2, at(20)).await;
        assert!(matches!(refused, Err(CommitError::AgentFull)), "nobody knows this agent");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_taken_once() {
    on_each(|house| async move {
        for n in 1..=8 {
            house.store.put_agent(&at_work(n, 3)).await.unwrap();
        }
        let queued = house.queued(at(1)).await;
        let taken = futures::future::join_all((1..=8).map(|n| house.taken(&queued, n, at(2)))).await;
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
        assert!(taken.iter().all(|taken| matches!(taken, Ok(_) | Err(CommitError::Conflict))));
    })
    .await;
}

#[tokio::test]
async fn lists_show_what_they_are_asked_for() {
    on_each(|house| async move {
        let (ann, bo) = (CustomerId::new(), CustomerId::new());
        let first = house.start(somebody(Some(ann)), at(1)).await;
        let second = house.start(somebody(Some(ann)), at(2)).await;
        let other = house.start(somebody(Some(bo)), at(3)).await;
        let guest = house.start(somebody(None), at(4)).await;
        let list = |filter: Filter, after, limit| {
            let store = house.store.clone();
            async move { ids(&store.list(&filter, after, limit).await.unwrap()) }
        };
        let of_ann = Filter { customer: Some(ann), ..Filter::default() };
        assert_eq!(list(of_ann.clone(), None, 10).await, [second.id, first.id]);
        assert_eq!(list(of_ann, Some(second.id), 10).await, [first.id]);
        assert_eq!(list(Filter::default(), None, 2).await, [guest.id, other.id]);
        assert_eq!(house.store.open_from("an address").await.unwrap(), 1);
        assert_eq!(house.store.open_from("another").await.unwrap(), 0);

        let closed = first.close(agent(1).id, Resolution::Closed, at(9)).unwrap();
        house.keep(&first, closed).await;
        assert_eq!(ids(&house.store.open_of(ann, 10).await.unwrap()), [second.id]);
        let only_closed = Filter { status: Some(ConversationStatus::Closed), ..Filter::default() };
        assert_eq!(list(only_closed, None, 10).await, [first.id]);
        let mut census = house.store.census().await.unwrap();
        census.sort_by_key(|(_, count)| *count);
        assert_eq!(census, [(ConversationStatus::Closed, 1), (ConversationStatus::Bot, 3)]);
        let idle = house.store.idle(ConversationStatus::Bot, at(4), 10).await.unwrap();
        assert_eq!(ids(&idle), [second.id, other.id]);
    })
    .await;
}

#[tokio::test]
async fn what_the_bot_owes_is_found_and_forgotten_when_it_is_given() {
    on_each(|house| async move {
        let conversation = house.start(somebody(None), at(1)).await;
        let asked = house.says(&conversation, Uuid::new_v4(), at(10)).await;
        assert!(house.store.due(at(9), 10).await.unwrap().is_empty());
        assert_eq!(ids(&house.store.due(at(10), 10).await.unwrap()), [asked.id]);
        house.keep(&asked, asked.needs_no_bot(at(11))).await;
        assert!(house.store.due(at(99), 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_deleted_conversation_leaves_nothing() {
    on_each(|house| async move {
        let conversation = house.start(somebody(None), at(1)).await;
        let said = house.says(&conversation, Uuid::new_v4(), at(2)).await;
        let note = ChatNote { conversation_id: said.id, agent: agent(1), text: "A regular".into(), at: at(3) };
        assert!(house.store.add_note(&note).await.unwrap());
        assert_eq!(house.store.notes(said.id, 10).await.unwrap(), std::slice::from_ref(&note));
        assert!(house.store.delete(said.id).await.unwrap());
        assert!(!house.store.delete(said.id).await.unwrap());
        assert_eq!(house.store.find(said.id).await.unwrap(), None);
        assert!(house.store.messages(said.id, 0, 10).await.unwrap().is_empty());
        assert!(house.store.notes(said.id, 10).await.unwrap().is_empty());
        assert!(!house.store.add_note(&note).await.unwrap(), "there is nothing to note anything on");
        let more = said.customer_says(&words("Still there?"), Uuid::new_v4(), 100, at(4)).unwrap();
        let conflict = house.store.commit(change(Some(&said), more)).await;
        assert!(matches!(conflict, Err(CommitError::Conflict)), "{conflict:?}");
    })
    .await;
}

#[tokio::test]
async fn agents_and_prepared_answers_are_kept() {
    on_each(|house| async move {
        let mut known = at_work(7, 3);
        house.store.put_agent(&known).await.unwrap();
        known.gone_since = Some(at(5).plus(Duration::from_secs(1)));
        house.store.put_agent(&known).await.unwrap();
        assert_eq!(house.store.agents().await.unwrap(), [known.clone()]);
        assert_eq!(house.store.agent(known.agent.id).await.unwrap(), Some(known));

        let replies = [CannedReply { shortcut: "bye".into(), text: "Good bye".into() }];
        assert_eq!(house.store.canned_replies().await.unwrap(), (Vec::new(), 0));
        assert_eq!(house.store.put_canned_replies(&replies, 0).await.unwrap(), Some(1));
        assert_eq!(house.store.put_canned_replies(&[], 0).await.unwrap(), None, "they were changed meanwhile");
        assert_eq!(house.store.put_canned_replies(&[], 1).await.unwrap(), Some(2));
        assert_eq!(house.store.canned_replies().await.unwrap(), (Vec::new(), 2));
    })
    .await;
}
