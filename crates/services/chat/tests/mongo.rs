//! The store in MongoDB: the suite, however messages are moved meanwhile; what a crash between two steps leaves behind; and
//! what becomes of acknowledged messages when the server is killed.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_chat::{
    domain::{
        agent::{AgentStatus, ChatAgent, Skill},
        conversation::{Conversation, Customer, Decision},
        message::{Message, Note, Words},
    },
    store::{Agent, Change, ChatStore, CommitError, MongoStore, contract},
};
use bookworm_kernel::{Cause, Clock, ConversationId, CustomerId, ManualClock, Timestamp};
use bookworm_mongo::{Mongo, Options};
use bookworm_testing::{FerretDb, NOW, clock, mongodb_database, mongodb_url, until};
use futures::future::join_all;
use mongodb::bson::{Bson, Document, doc};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// When messages are moved.
#[derive(Clone, Copy, PartialEq)]
enum Moves {
    Never,
    Meanwhile,
    WhenTimePasses,
}

struct Bench {
    url: String,
    database: String,
    clock: Arc<ManualClock>,
    moves: Moves,
    _stop: DropGuard,
}

async fn connect(url: &str, database: &str) -> Arc<Mongo> {
    let options = Options {
        url: url.to_owned(),
        database: database.to_owned(),
        login: None,
        ca_file: None,
        certificate_key_file: None,
        connect_timeout: Duration::from_secs(60),
    };
    Arc::new(Mongo::connect(options).await.unwrap())
}

impl Bench {
    async fn new(url: &str, moves: Moves) -> Self {
        let stop = CancellationToken::new();
        let bench = Self {
            url: url.to_owned(),
            database: mongodb_database(),
            clock: clock(),
            moves,
            _stop: stop.clone().drop_guard(),
        };
        if moves == Moves::Meanwhile {
            let store = bench.store().await;
            tokio::spawn(stop.run_until_cancelled_owned(async move {
                loop {
                    store.sweep().await.unwrap();
                }
            }));
        }
        bench
    }

    async fn store(&self) -> MongoStore {
        let mongo = connect(&self.url, &self.database).await;
        MongoStore::open(mongo, self.clock.clone()).await.unwrap()
    }

    /// The database behind the store's back.
    async fn behind(&self, collection: &str) -> mongodb::Collection<Document> {
        connect(&self.url, &self.database).await.collection(collection)
    }
}

#[async_trait]
impl contract::Bench for Bench {
    async fn open(&self) -> Arc<dyn ChatStore> {
        Arc::new(self.store().await)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        if self.moves != Moves::Never {
            self.store().await.sweep().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_however_messages_are_moved() {
    let Some(url) = mongodb_url() else { return };
    for moves in [Moves::Never, Moves::WhenTimePasses, Moves::Meanwhile] {
        contract::run(async || Bench::new(&url, moves).await).await;
    }
}

fn guest() -> Customer {
    Customer { id: None, name: "Ann".into(), email: None, confirmed: false, secret: None, address: None }
}

fn change(expected: Option<u64>, decision: Decision) -> Change {
    Change {
        conversation: decision.next,
        expected,
        messages: decision.messages,
        letters: Vec::new(),
        taken_by: None,
        cause: Cause::start(),
    }
}

async fn start(store: &MongoStore) -> Conversation {
    let decision = Conversation::start(ConversationId::new(), guest(), "en".into(), NOW);
    let next = decision.next.clone();
    store.commit(change(None, decision)).await.unwrap();
    next
}

async fn say(store: &MongoStore, to: &Conversation, id: Uuid, text: &str) -> Result<Conversation, CommitError> {
    let decision = to.customer_says(&Words::parse(text).unwrap(), id, 1_000_000, NOW).unwrap();
    let next = decision.next.clone();
    store.commit(change(Some(to.version), decision)).await.map(|()| next)
}

fn bo() -> ChatAgent {
    ChatAgent { id: CustomerId::from_uuid(Uuid::from_u128(7)), name: "Bo".into() }
}

fn at_work(capacity: u32) -> Agent {
    Agent {
        agent: bo(),
        status: AgentStatus::Available,
        capacity,
        skills: vec![Skill::General],
        languages: vec!["en".into()],
        idle_since: NOW,
        gone_since: None,
        version: 1,
    }
}

async fn texts(store: &MongoStore, id: ConversationId) -> Vec<(u64, String)> {
    let messages = store.messages(id, 0, 1000).await.unwrap();
    messages.into_iter().map(|message: Message| (message.seq, message.text)).collect()
}

fn numbered(all: &[&str]) -> Vec<(u64, String)> {
    (1..).zip(all.iter().map(ToString::to_string)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_messages_are_moved_loses_and_doubles_none() {
    let Some(url) = mongodb_url() else { return };
    let bench = Bench::new(&url, Moves::Never).await;
    let store = bench.store().await;
    let begun = start(&store).await;
    let first = Uuid::new_v4();
    let one = say(&store, &begun, first, "One").await.unwrap();
    let two = say(&store, &one, Uuid::new_v4(), "Two").await.unwrap();
    // Moved, and not removed from the tail: that is how a process dies in between. Here it died among the inserts, too.
    let (conversations, messages) = (bench.behind("conversations").await, bench.behind("messages").await);
    let stored = conversations.find_one(doc! { "_id": two.id.to_string() }).await.unwrap().unwrap();
    let tail = stored.get_array("tail").unwrap();
    assert_eq!(tail.len(), 2);
    messages.insert_one(tail[0].as_document().unwrap()).await.unwrap();

    let store = bench.store().await;
    assert_eq!(texts(&store, two.id).await, numbered(&["One", "Two"]));
    assert!(matches!(say(&store, &two, first, "One").await, Err(CommitError::Duplicate)));
    let three = say(&store, &two, Uuid::new_v4(), "Three").await.unwrap();
    assert_eq!(texts(&store, two.id).await, numbered(&["One", "Two", "Three"]));
    store.sweep().await.unwrap();
    let stored = conversations.find_one(doc! { "_id": two.id.to_string() }).await.unwrap().unwrap();
    assert!(stored.get_array("tail").unwrap().is_empty() && !stored.contains_key("unmoved"), "{stored}");
    assert_eq!(messages.count_documents(doc! {}).await.unwrap(), 3);
    assert_eq!(texts(&store, two.id).await, numbered(&["One", "Two", "Three"]));
    assert!(matches!(say(&store, &three, first, "One").await, Err(CommitError::Duplicate)), "also once it is moved");
    store.sweep().await.unwrap();
    assert_eq!(messages.count_documents(doc! {}).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_contradict_what_was_moved_stay_in_the_tail() {
    let Some(url) = mongodb_url() else { return };
    let bench = Bench::new(&url, Moves::Never).await;
    let store = bench.store().await;
    let one = say(&store, &start(&store).await, Uuid::new_v4(), "One").await.unwrap();
    let conversation = one.id.to_string();
    let other = doc! { "sent": "number/1", "message": { "conversation_id": conversation, "seq": 1_i64 } };
    bench.behind("messages").await.insert_one(other).await.unwrap();
    let later = say(&store, &start(&store).await, Uuid::new_v4(), "One").await.unwrap();
    store.sweep().await.unwrap_err();
    for (id, left) in [(one.id, 1), (later.id, 0)] {
        let stored = bench.behind("conversations").await.find_one(doc! { "_id": id.to_string() }).await;
        assert_eq!(stored.unwrap().unwrap().get_array("tail").unwrap().len(), left, "the others are moved");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_tail_is_moved_by_whoever_makes_it_longer() {
    let Some(url) = mongodb_url() else { return };
    let bench = Bench::new(&url, Moves::Never).await;
    let store = bench.store().await;
    let mut conversation = start(&store).await;
    for n in 0..60 {
        conversation = say(&store, &conversation, Uuid::new_v4(), &n.to_string()).await.unwrap();
    }
    let stored = bench.behind("conversations").await.find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(stored.get_array("tail").unwrap().len(), 9, "51 were moved together");
    let seqs: Vec<u64> = texts(&store, conversation.id).await.into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
    let before = store.messages_before(conversation.id, 55, 10).await.unwrap();
    assert_eq!(before.iter().map(|message| message.seq).collect::<Vec<_>>(), (45..55).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deletion_left_behind_is_erased_later() {
    let Some(url) = mongodb_url() else { return };
    let bench = Bench::new(&url, Moves::Never).await;
    let store = bench.store().await;
    let one = say(&store, &start(&store).await, Uuid::new_v4(), "One").await.unwrap();
    let note = Note { conversation_id: one.id, agent: bo(), text: "A regular".into(), at: NOW };
    assert!(store.add_note(&note).await.unwrap());
    let (conversations, messages) = (bench.behind("conversations").await, bench.behind("messages").await);
    let before = conversations.find_one(doc! {}).await.unwrap().unwrap();
    let row = before.get_array("tail").unwrap()[0].as_document().unwrap().clone();
    assert!(store.delete(one.id).await.unwrap());
    // A process that was moving the message, paused meanwhile, and then died.
    messages.insert_one(row).await.unwrap();
    assert!(texts(&store, one.id).await.is_empty(), "nobody reads it");
    store.sweep().await.unwrap();
    for collection in ["messages", "notes"] {
        assert_eq!(bench.behind(collection).await.count_documents(doc! {}).await.unwrap(), 0, "{collection}");
    }
    assert_eq!(conversations.count_documents(doc! {}).await.unwrap(), 1);
    let tombstone = conversations.find_one(doc! {}).await.unwrap().unwrap();
    assert!(!tombstone.contains_key("conversation") && !tombstone.to_string().contains("One"), "{tombstone}");
    bench.clock.advance(Duration::from_secs(601));
    store.sweep().await.unwrap();
    assert_eq!(conversations.count_documents(doc! {}).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_a_crash_left_behind_is_free_again_after_a_minute() {
    let Some(url) = mongodb_url() else { return };
    let bench = Bench::new(&url, Moves::Never).await;
    let store = bench.store().await;
    assert!(store.put_agent(&at_work(1)).await.unwrap());
    let queue = async || {
        let conversation = start(&store).await;
        let decision = conversation.ask_for_person(true, NOW).unwrap();
        let next = decision.next.clone();
        store.commit(change(Some(conversation.version), decision)).await.unwrap();
        next
    };
    let take = async |conversation: &Conversation| {
        let decision = conversation.accept(&bo(), NOW).unwrap();
        let next = decision.next.clone();
        let taken = Change { taken_by: Some(bo().id), ..change(Some(conversation.version), decision) };
        store.commit(taken).await.map(|()| next)
    };
    let (first, second) = (queue().await, queue().await);
    // The slot was taken, and the process died before the conversation was.
    let slot = doc! { "token": "a", "conversation": first.id.to_string(), "since": NOW.micros() };
    let agents = bench.behind("agents").await;
    agents.update_one(doc! {}, doc! { "$push": { "slots": slot } }).await.unwrap();
    assert!(matches!(take(&second).await, Err(CommitError::AgentFull)), "it may be on its way");
    bench.clock.advance(Duration::from_secs(61));
    let taken = take(&second).await.unwrap();
    bench.clock.advance(Duration::from_secs(61));
    assert!(matches!(take(&first).await, Err(CommitError::AgentFull)), "one that stands for something stays");
    // The end of a conversation frees its slot, and so does its deletion.
    let queued = taken.agent_is_lost(bo().id, NOW);
    store.commit(change(Some(taken.version), queued)).await.unwrap();
    let taken = take(&first).await.unwrap();
    assert!(store.delete(taken.id).await.unwrap());
    let slots = agents.find_one(doc! {}).await.unwrap().unwrap();
    assert!(slots.get_array("slots").unwrap().is_empty(), "{slots}");
    // A conflict returns the slot that it took.
    assert!(matches!(take(&first).await, Err(CommitError::Conflict)));
    let slots = agents.find_one(doc! {}).await.unwrap().unwrap();
    assert!(slots.get_array("slots").unwrap().is_empty(), "{slots}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_says_whose_it_is() {
    let Some(url) = mongodb_url() else { return };
    let bench = Bench::new(&url, Moves::Never).await;
    let store = bench.store().await;
    store.check().await.unwrap();
    assert_eq!(store.owner().await.unwrap(), None);
    let shop = Uuid::now_v7();
    store.claim(shop).await.unwrap();
    assert_eq!(bench.store().await.owner().await.unwrap(), Some(shop));
    let newer = doc! { "$set": { "schema": 2_i64 } };
    bench.behind("chat").await.update_one(doc! {}, newer).await.unwrap();
    let mongo = connect(&bench.url, &bench.database).await;
    let refused = MongoStore::open(mongo, clock()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("schema 2"), "{refused:?}");
}

/// The stored form is that of the other stores: the same documents, as BSON.
#[tokio::test(flavor = "multi_thread")]
async fn documents_are_stored_as_in_the_other_stores() {
    let Some(url) = mongodb_url() else { return };
    let bench = Bench::new(&url, Moves::Never).await;
    let store = bench.store().await;
    let read = |name: &str| {
        std::fs::read_to_string(format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let conversation: Conversation = serde_json::from_str(&read("conversation")).unwrap();
    let message: Message = serde_json::from_str(&read("message")).unwrap();
    let new = Change {
        conversation: conversation.clone(),
        expected: None,
        messages: vec![message.clone()],
        letters: Vec::new(),
        taken_by: None,
        cause: Cause::start(),
    };
    store.commit(new).await.unwrap();
    store.sweep().await.unwrap();
    for (collection, field, name) in
        [("conversations", "conversation", "conversation"), ("messages", "message", "message")]
    {
        let stored = bench.behind(collection).await.find_one(doc! {}).await.unwrap().unwrap();
        let stored: Bson = stored.get(field).unwrap().clone();
        let golden: serde_json::Value = serde_json::from_str(&read(name)).unwrap();
        assert_eq!(mongodb::bson::deserialize_from_bson::<serde_json::Value>(stored).unwrap(), golden, "{name}");
    }
    assert_eq!(store.find(conversation.id).await.unwrap(), Some(conversation.clone()));
    assert_eq!(store.messages(conversation.id, 0, 10).await.unwrap(), [message]);
}

/// Customers write while the server is killed again and again. What was acknowledged is there afterwards, once.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_message_is_lost_or_doubled_when_the_server_is_killed() {
    let Some(mut server) = FerretDb::start() else { return };
    let bench = Bench::new(&server.url(), Moves::Never).await;
    let store = bench.store().await;
    let write = async || {
        let (store, begun) = (bench.store().await, start(&store).await);
        for n in 1..=20 {
            // As the service does: what conflicts is decided again, what failed is sent again under the same id.
            let (id, text) = (Uuid::new_v4(), n.to_string());
            until("the message is acknowledged", async || {
                let conversation = store.find(begun.id).await.ok().flatten()?;
                match say(&store, &conversation, id, &text).await {
                    Ok(_) | Err(CommitError::Duplicate) => Some(()),
                    Err(_) => None,
                }
            })
            .await;
            let _ = store.sweep().await;
        }
        begun.id
    };
    let kill = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            server.kill();
            server.start_again();
        }
    };
    let (written, ()) = tokio::join!(join_all([write(), write(), write(), write()]), kill);
    for id in written {
        let expected: Vec<(u64, String)> = (1..=20).map(|n| (n, n.to_string())).collect();
        assert_eq!(texts(&store, id).await, expected);
    }
    until("everything is moved", async || store.sweep().await.ok()).await;
    assert_eq!(bench.behind("messages").await.count_documents(doc! {}).await.unwrap(), 80);
}
