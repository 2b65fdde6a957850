//! The SQL store passes the contract on every database, and reads and writes the stored form of `golden/`.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{future::Future, sync::Arc, time::Duration};

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
use bookworm_db::{Databases, Db, FromRow, Pool, Sql, Value, values};
use bookworm_kernel::{Cause, Clock, ConversationId, CustomerId, Email, ManualClock, OrderId, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A store on a database of its own, and its clock.
struct Bench {
    db: Db,
    clock: Arc<ManualClock>,
    store: SqlStore,
}

impl Bench {
    async fn new(databases: &Databases) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
        let db = databases.open("chat").await.unwrap();
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

/// Runs a test on a new SQLite database, and on a new PostgreSQL one when there is a server.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(Databases) -> F) {
    let folder = tempfile::tempdir().unwrap();
    test(Databases::Sqlite(folder.path().to_owned())).await;
    let Ok(url) = std::env::var("BOOKWORM_TEST_POSTGRES") else {
        eprintln!("SKIPPED on PostgreSQL: set BOOKWORM_TEST_POSTGRES to a postgres:// URL");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI must run against PostgreSQL too");
        return;
    };
    let prefix = format!("test_{}_", Uuid::now_v7().simple());
    test(Databases::Postgres { url: url.clone(), max_connections: 8, prefix: prefix.clone() }).await;
    let server = Pool::connect(&url).await.unwrap();
    server.batch(&format!("DROP SCHEMA \"{prefix}chat\" CASCADE")).await.unwrap();
    server.close().await;
}

/// Empties the tables.
async fn clear(db: &Db) {
    let cleared: Result<(), bookworm_db::DbError> = db
        .transact(|tx| {
            Box::pin(async move {
                for table in ["conversations", "messages", "notes", "agents", "canned_replies", "outbox"] {
                    tx.exec(&format!("DELETE FROM {table}"), []).await?;
                }
                Ok(())
            })
        })
        .await;
    cleared.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_the_contract() {
    on_each(|databases| async move {
        let first = Bench::new(&databases).await;
        let db = first.db.clone();
        contract::run(async || {
            clear(&db).await;
            let clock = Arc::new(ManualClock::at(first.clock.now()));
            Bench { store: SqlStore::open(db.clone(), clock.clone()).await.unwrap(), db: db.clone(), clock }
        })
        .await;
        first.store.close().await;
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
    same("agent", &agent());
    same("canned-replies", &replies());
    // The first releases had neither of these.
    let old = golden("agent").replace(",\"gone_since\":\"1970-01-01T00:00:04.123456Z\"", "");
    assert_eq!(serde_json::from_str::<Agent>(&old).unwrap(), Agent { gone_since: None, ..agent() });
}

#[derive(FromRow)]
struct Document {
    document: String,
}

async fn document(db: &Db, table: &str) -> String {
    let row: Option<Document> = db.read().one(&format!("SELECT document FROM {table}"), []).await.unwrap();
    row.unwrap().document
}

async fn insert(db: &Db, sql: &'static str, values: Vec<Value>) {
    let inserted: Result<u64, bookworm_db::DbError> =
        db.transact(move |tx| Box::pin(async move { tx.exec(sql, values).await })).await;
    assert_eq!(inserted.unwrap(), 1);
}

#[tokio::test]
async fn rows_of_earlier_releases_are_read_and_new_ones_are_the_same() {
    on_each(|databases| async move {
        let bench = Bench::new(&databases).await;
        let (db, store) = (&bench.db, &bench.store);
        let conversation = conversation();

        store.put_agent(&agent()).await.unwrap();
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
            ("agents", "agent"),
            ("canned_replies", "canned-replies"),
        ] {
            assert_eq!(document(db, table).await, golden(name), "{table}");
        }

        clear(db).await;
        insert(
            db,
            "INSERT INTO conversations (id, version, status, updated_at, document) VALUES ($1, 9, 'with_agent', 0, $2)",
            values![id(1), golden("conversation")].to_vec(),
        )
        .await;
        insert(
            db,
            "INSERT INTO messages (conversation_id, seq, side, document) VALUES ($1, 5, 'agent', $2)",
            values![id(1), golden("message-plain")].to_vec(),
        )
        .await;
        insert(
            db,
            "INSERT INTO notes (id, conversation_id, document) VALUES ($1, $1, $2)",
            values![id(1), golden("note")].to_vec(),
        )
        .await;
        insert(db, "INSERT INTO agents (id, document) VALUES ($1, $2)", values![id(7), golden("agent")].to_vec()).await;
        insert(
            db,
            "INSERT INTO canned_replies (id, version, document) VALUES (1, 4, $1)",
            values![golden("canned-replies")].to_vec(),
        )
        .await;
        assert_eq!(store.find(conversation.id).await.unwrap(), Some(conversation.clone()));
        assert_eq!(store.messages(conversation.id, 0, 10).await.unwrap(), [plain_message()]);
        assert_eq!(store.notes(conversation.id, 10).await.unwrap(), [note()]);
        assert_eq!(store.agents().await.unwrap(), [agent()]);
        assert_eq!(store.canned_replies().await.unwrap(), (replies(), 4));
        store.close().await;
    })
    .await;
}
