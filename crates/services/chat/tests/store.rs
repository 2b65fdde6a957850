//! The SQL store passes the contract on every database, and reads and writes the stored form of `golden/`.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_chat::{
    domain::{
        agent::{AgentStatus, ChatAgent, Skill},
        conversation::{Conversation, ConversationStatus, Customer, Rating, ReadState, Waiting},
        intent::Intent,
        message::{AuthorKind, Link, Message, Note},
        reply::{Memory, Pending, Reason},
    },
    store::{Agent, CannedReply, Change, ChatStore, SqlStore, contract},
};
use bookworm_db::{Db, FromRow, Sql, values};
use bookworm_kernel::{Cause, Clock, ConversationId, CustomerId, Email, ManualClock, OrderId, Timestamp};
use bookworm_testing::{TestDatabases, clock, execute, on_every_database};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

on_every_database!(the_contract, rows_of_earlier_releases_are_read_and_new_ones_are_the_same);

/// A store on a database of its own, and its clock.
struct Bench {
    db: Db,
    clock: Arc<ManualClock>,
    store: SqlStore,
}

impl Bench {
    async fn new(home: &TestDatabases) -> Self {
        let clock = clock();
        let db = home.databases.open("chat").await.unwrap();
        let store = SqlStore::open(db.clone(), clock.clone()).await.unwrap();
        Self { db, clock, store }
    }
}

#[async_trait]
impl contract::Bench for Bench {
    async fn open(&self) -> Arc<dyn ChatStore> {
        Arc::new(self.store.clone())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

/// Empties the tables.
async fn clear(db: &Db) {
    for table in ["conversations", "messages", "notes", "agents", "canned_replies", "outbox"] {
        execute(db, format!("DELETE FROM {table}"), []).await;
    }
}

async fn the_contract(home: &TestDatabases) {
    contract::run(async || {
        let bench = Bench::new(home).await;
        clear(&bench.db).await;
        bench
    })
    .await;
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000 + 123_456)
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + n)
}

fn bo() -> ChatAgent {
    ChatAgent { id: CustomerId::from_uuid(id(7)), name: "Bo".into() }
}

/// A conversation with every field set.
fn conversation() -> Conversation {
    Conversation {
        id: ConversationId::from_uuid(id(1)),
        status: ConversationStatus::WithAgent,
        customer: Customer {
            id: Some(CustomerId::from_uuid(id(2))),
            name: "Ann".into(),
            email: Email::parse("ann@reader.test").ok(),
            confirmed: true,
            secret: serde_json::from_str("\"c2VjcmV0\"").unwrap(),
            address: Some("an address".into()),
        },
        language: "en".into(),
        agent: Some(bo()),
        skill: Skill::Payment,
        intent: Some("track_order".into()),
        hand_over_reason: Some(Reason::BeyondTheBot),
        waiting: Some(Waiting { since: at(10), returned: true, but: Some(CustomerId::from_uuid(id(8))) }),
        person_wanted_since: Some(at(11)),
        mail_promised: true,
        customer_read: ReadState { delivered: 4, read: 3 },
        agent_read: ReadState { delivered: 5, read: 5 },
        rating: Some(Rating { score: 4, comment: Some("Good".into()), at: at(12) }),
        memory: Memory {
            not_understood: 1,
            pending: Some(Pending::CancelOrder { order: OrderId::from_uuid(id(9)), number: "BW-7K3M-92QV".into() }),
            asked_for: Some(Intent::CancelOrder),
        },
        bot_due: vec![4, 5],
        bot_due_since: Some(at(13)),
        transcripts: vec![at(14)],
        preview: Some("Where is it?".into()),
        started_at: at(1),
        updated_at: at(15),
        version: 9,
        last_seq: 5,
    }
}

/// A conversation in which nothing happened yet.
fn new_conversation() -> Conversation {
    let guest = Customer { id: None, name: "Guest".into(), email: None, confirmed: false, secret: None, address: None };
    Conversation::start(ConversationId::from_uuid(id(1)), guest, "en".into(), at(1)).next
}

/// A message with every field set.
fn message() -> Message {
    Message {
        conversation_id: ConversationId::from_uuid(id(1)),
        seq: 5,
        author: AuthorKind::Bot,
        agent_id: Some(CustomerId::from_uuid(id(7))),
        name: "Bot".into(),
        text: "Here it is.".into(),
        links: vec![Link { title: "Your order".into(), href: "/orders/1".into() }],
        suggestions: vec!["Yes, cancel it".into()],
        client_message_id: Some(id(20)),
        answer_id: Some(id(21)),
        at: at(5),
    }
}

fn plain_message() -> Message {
    Message {
        author: AuthorKind::System,
        agent_id: None,
        links: Vec::new(),
        suggestions: Vec::new(),
        client_message_id: None,
        answer_id: None,
        ..message()
    }
}

fn note() -> Note {
    Note { conversation_id: ConversationId::from_uuid(id(1)), agent: bo(), text: "A regular".into(), at: at(3) }
}

fn agent() -> Agent {
    Agent {
        agent: bo(),
        status: AgentStatus::Away,
        capacity: 3,
        skills: vec![Skill::Orders, Skill::General],
        languages: vec!["de".into(), "en".into()],
        idle_since: at(2),
        gone_since: Some(at(4)),
        version: 1,
    }
}

fn replies() -> Vec<CannedReply> {
    vec![CannedReply { shortcut: "bye".into(), text: "Good bye, {name}".into() }]
}

fn golden(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let stored = golden(name);
    assert_eq!(&serde_json::from_str::<T>(&stored).unwrap(), value, "{name}: what is stored in shops is read");
    assert_eq!(serde_json::to_string(value).unwrap(), stored, "{name}: and written as before");
}

/// Change these files only by adding one with the form of a new release: shops have documents in the form of each.
#[test]
fn documents_keep_their_stored_form() {
    same("conversation", &conversation());
    same("conversation-new", &new_conversation());
    same("message", &message());
    same("message-plain", &plain_message());
    same("note", &note());
    same("agent-versioned", &agent());
    same("canned-replies", &replies());
    let uncounted = Agent { version: 0, ..agent() };
    assert_eq!(serde_json::from_str::<Agent>(&golden("agent")).unwrap(), uncounted);
    // The first releases had neither of these.
    let old = golden("agent").replace(",\"gone_since\":\"1970-01-01T00:00:04.123456Z\"", "");
    assert_eq!(serde_json::from_str::<Agent>(&old).unwrap(), Agent { gone_since: None, ..uncounted });
}

#[derive(FromRow)]
struct Document {
    document: String,
}

async fn document(db: &Db, table: &str) -> String {
    let row: Option<Document> = db.read().one(&format!("SELECT document FROM {table}"), []).await.unwrap();
    row.unwrap().document
}

async fn rows_of_earlier_releases_are_read_and_new_ones_are_the_same(home: &TestDatabases) {
    let bench = Bench::new(home).await;
    let (db, store) = (&bench.db, &bench.store);
    let conversation = conversation();

    assert!(store.put_agent(&agent()).await.unwrap());
    store.put_canned_replies(&replies(), 0).await.unwrap();
    let change = Change {
        conversation: conversation.clone(),
        expected: None,
        messages: vec![message()],
        letters: Vec::new(),
        taken_by: None,
        cause: Cause::start(),
    };
    store.commit(change).await.unwrap();
    assert!(store.add_note(&note()).await.unwrap());
    for (table, name) in [
        ("conversations", "conversation"),
        ("messages", "message"),
        ("notes", "note"),
        ("agents", "agent-versioned"),
        ("canned_replies", "canned-replies"),
    ] {
        assert_eq!(document(db, table).await, golden(name), "{table}");
    }

    clear(db).await;
    let rows = [
        (
            "INSERT INTO conversations (id, version, status, updated_at, document) VALUES ($1, 9, 'with_agent', 0, $2)",
            "conversation",
        ),
        ("INSERT INTO messages (conversation_id, seq, side, document) VALUES ($1, 5, 'agent', $2)", "message-plain"),
        ("INSERT INTO notes (id, conversation_id, document) VALUES ($1, $1, $2)", "note"),
        ("INSERT INTO agents (id, document) VALUES ($1, $2)", "agent"),
    ];
    for (sql, name) in rows {
        assert_eq!(execute(db, sql, values![id(1), golden(name)]).await, 1);
    }
    let replies_row = "INSERT INTO canned_replies (id, version, document) VALUES (1, 4, $1)";
    assert_eq!(execute(db, replies_row, values![golden("canned-replies")]).await, 1);
    assert_eq!(store.find(conversation.id).await.unwrap(), Some(conversation.clone()));
    assert_eq!(store.messages(conversation.id, 0, 10).await.unwrap(), [plain_message()]);
    assert_eq!(store.notes(conversation.id, 10).await.unwrap(), [note()]);
    let uncounted = Agent { version: 0, ..agent() };
    assert_eq!(store.agents().await.unwrap(), [uncounted]);
    assert!(store.put_agent(&agent()).await.unwrap(), "and is changed");
    assert_eq!(store.canned_replies().await.unwrap(), (replies(), 4));
    store.close().await;
}
