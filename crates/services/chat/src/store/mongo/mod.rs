//! Conversations in MongoDB, without transactions: what must happen together is in one document.
//!
//! A conversation is a document of `conversations`: the aggregate and its version, the fields by which it is found, and
//!
//! - `tail`: its last messages. A commit appends them, and [`messages`] moves them into the collection of that name. Readers
//!   merge both, the document first: what was moved in between is then in the collection;
//! - `letters`: mails that are not published yet, an [`outbox`];
//! - `slot`: the place that it takes of its agent's capacity, see [`slots`].
//!
//! A deleted conversation is a tombstone without its content until its mails are published, and for long enough that
//! whoever was moving its messages has noticed.

mod messages;
mod outbox;
mod slots;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_kernel::{Clock, ConversationId, CustomerId, Timestamp};
use bookworm_loops::Loop;
use bookworm_messaging::OutboxSource;
use bookworm_mongo::{Mongo, MongoError};
use futures::TryStreamExt;
use mongodb::{
    Collection, Cursor, IndexModel,
    bson::{Bson, Document, doc, serde_helpers::HumanReadable, serialize_to_bson},
    options::IndexOptions,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Notify;
use uuid::Uuid;

use self::{
    messages::{StoredMessage, key},
    outbox::{MongoOutbox, StoredLetter},
    slots::Slot,
};
use super::{Agent, CannedReply, Change, ChatStore, CommitError, Filter, Letter, Result, StoreError};
use crate::domain::{
    conversation::{Conversation, ConversationStatus},
    message::{Message, Note, Side},
};

/// What this release reads and writes. A change that older releases cannot read gets the next number.
const SCHEMA: i64 = 1;
/// The one document of `chat` and of `canned_replies`.
const ONLY: &str = "chat";
/// The version of a tombstone: no commit expects it.
const ERASED: i64 = -1;
/// For how long a tombstone stays: far longer than moving messages takes.
const TOMBSTONE: Duration = Duration::from_secs(600);
/// How often tails are moved and tombstones looked after.
const SWEEP: Duration = Duration::from_secs(2);
/// The timeout of a check: below that of whoever asks, so that the answer has words.
const CHECK_TIMEOUT: Duration = Duration::from_millis(1500);
/// A commit that leaves a longer tail moves it itself: documents stay small also when nobody sweeps.
const LONG_TAIL: usize = 50;
/// How many documents a sweep reads at once.
const BATCH: i64 = 100;
/// How long a commit that is stored waits for what may as well be done later.
const REST_TIMEOUT: Duration = Duration::from_secs(3);
/// The most agents.
const MAX_AGENTS: i64 = 1000;

/// Conversations in one MongoDB database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MongoStore {
    mongo: Arc<Mongo>,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
}

impl From<MongoError> for StoreError {
    fn from(error: MongoError) -> Self {
        if error.is_away() { Self::Busy(error.into()) } else { Self::Failed(error.into()) }
    }
}

impl From<MongoError> for CommitError {
    fn from(error: MongoError) -> Self {
        Self::Store(error.into())
    }
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Failed(error.into())
}

/// As in JSON: ids and times are texts.
fn write<T: Serialize>(value: &T) -> Result<Bson> {
    serialize_to_bson(&HumanReadable(value)).map_err(corrupt)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[derive(Deserialize)]
struct StoredConversation {
    conversation: Option<HumanReadable<Conversation>>,
}

#[derive(Serialize, Deserialize)]
struct StoredNote {
    #[serde(rename = "_id")]
    id: String,
    note: HumanReadable<Note>,
}

#[derive(Deserialize)]
struct StoredAgent {
    agent: HumanReadable<Agent>,
    #[serde(default)]
    slots: Vec<Slot>,
}

#[derive(Deserialize)]
struct StoredReplies {
    version: i64,
    replies: Vec<CannedReply>,
}

#[derive(Deserialize)]
struct StoredOwner {
    shop: HumanReadable<Uuid>,
    schema: i64,
}

#[derive(Deserialize)]
struct Group<T> {
    #[serde(rename = "_id")]
    of: T,
    count: i64,
}

/// What a commit needs to know of the conversation before it.
#[derive(Deserialize)]
struct Before {
    version: i64,
    slot: Option<String>,
    conversation: Option<AgentOf>,
    #[serde(default)]
    tail: Vec<Document>,
}

#[derive(Deserialize)]
struct AgentOf {
    agent: Option<AgentId>,
}

#[derive(Deserialize)]
struct AgentId {
    id: HumanReadable<CustomerId>,
}

impl Before {
    fn agent(&self) -> Option<CustomerId> {
        Some(self.conversation.as_ref()?.agent.as_ref()?.id.0)
    }
}

impl MongoStore {
    /// The conversations of this database. Makes the indexes that are missing.
    ///
    /// # Errors
    /// When the database does not answer, or a newer release has written what this one cannot read.
    pub async fn open(mongo: Arc<Mongo>, clock: Arc<dyn Clock>) -> Result<Self> {
        let store = Self { mongo, clock, wake: Arc::default() };
        if let Some(StoredOwner { schema, .. }) = store.stored_owner().await?
            && schema > SCHEMA
        {
            let newer = format!("the chat's database has schema {schema}; this release reads {SCHEMA}");
            return Err(StoreError::Failed(newer.into()));
        }
        for keys in [
            doc! { "conversation.customer.id": 1 },
            doc! { "conversation.customer.address": 1 },
            doc! { "conversation.agent.id": 1 },
            doc! { "conversation.status": 1, "updated": 1 },
            doc! { "rank": 1 },
            doc! { "due": 1 },
            doc! { "unmoved": 1 },
            doc! { "mail_since": 1 },
            doc! { "erased_since": 1 },
        ] {
            let index = IndexModel::builder().keys(keys).build();
            store.mongo.call(store.conversations::<Document>().create_index(index)).await?;
        }
        for unique in ["message.seq", "sent"] {
            let options = IndexOptions::builder().unique(true).build();
            let keys = doc! { "message.conversation_id": 1, unique: 1 };
            let index = IndexModel::builder().keys(keys).options(options).build();
            store.mongo.call(store.moved().create_index(index)).await?;
        }
        let index = IndexModel::builder().keys(doc! { "note.conversation_id": 1 }).build();
        store.mongo.call(store.note_collection().create_index(index)).await?;
        Ok(store)
    }

    /// To which shop the database belongs; `None` for a new one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn owner(&self) -> Result<Option<Uuid>> {
        Ok(self.stored_owner().await?.map(|stored| stored.shop.0))
    }

    /// Marks the database as this shop's.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim(&self, shop: Uuid) -> Result<()> {
        let set = doc! { "$set": { "shop": write(&shop)?, "schema": SCHEMA } };
        let chat = self.mongo.collection::<Document>("chat");
        self.mongo.call(chat.update_one(doc! { "_id": ONLY }, set).upsert(true)).await?;
        Ok(())
    }

    async fn stored_owner(&self) -> Result<Option<StoredOwner>> {
        let chat = self.mongo.collection::<StoredOwner>("chat");
        // Before the first claim a check of the store may have made the document.
        Ok(self.mongo.call(chat.find_one(doc! { "_id": ONLY, "shop": { "$exists": true } })).await?)
    }

    fn conversations<T: Send + Sync>(&self) -> Collection<T> {
        self.mongo.collection("conversations")
    }

    fn moved(&self) -> Collection<StoredMessage> {
        self.mongo.collection("messages")
    }

    fn note_collection(&self) -> Collection<StoredNote> {
        self.mongo.collection("notes")
    }

    fn agent_collection(&self) -> Collection<StoredAgent> {
        self.mongo.collection("agents")
    }

    fn reply_collection(&self) -> Collection<StoredReplies> {
        self.mongo.collection("canned_replies")
    }

    async fn all<T: DeserializeOwned + Send + Sync + Unpin>(
        &self,
        cursor: impl Future<Output = mongodb::error::Result<Cursor<T>>>,
    ) -> Result<Vec<T>> {
        Ok(self.mongo.call(async { cursor.await?.try_collect().await }).await?)
    }

    async fn find_all(&self, filter: Document, sort: Document, limit: usize) -> Result<Vec<Conversation>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let conversations = self.conversations::<StoredConversation>();
        let found = conversations.find(filter).sort(sort).limit(limited(limit));
        let found = self.all(found.projection(doc! { "conversation": 1 }).into_future()).await?;
        Ok(found.into_iter().filter_map(|row| row.conversation).map(|readable| readable.0).collect())
    }

    async fn count(&self, filter: Document) -> Result<u64> {
        Ok(self.mongo.call(self.conversations::<Document>().count_documents(filter)).await?)
    }

    async fn groups<T: DeserializeOwned + Send + Sync + Unpin>(
        &self,
        filter: Document,
        by: &str,
    ) -> Result<Vec<Group<T>>> {
        let group = doc! { "$group": { "_id": by, "count": { "$sum": 1 } } };
        let conversations = self.conversations::<Document>();
        let counted = conversations.aggregate([doc! { "$match": filter }, group]).with_type::<Group<T>>();
        self.all(counted.into_future()).await
    }

    /// What the conversation is now; `None` when there is none.
    async fn before(&self, id: ConversationId) -> Result<Option<Before>> {
        let conversations = self.conversations::<Before>();
        let before = conversations.find_one(doc! { "_id": id.to_string(), "version": { "$gte": 0_i64 } });
        let wanted = doc! { "version": 1, "slot": 1, "conversation.agent.id": 1, "tail.sent": 1 };
        Ok(self.mongo.call(before.projection(wanted)).await?)
    }

    /// The conversation at the version that the change expects, without the messages that it adds. A write at that version
    /// finds it so: messages come with a new version only.
    async fn expected(&self, change: &Change) -> Result<Option<Before>, CommitError> {
        let Some(expected) = change.expected else { return Ok(None) };
        let id = change.conversation.id;
        let before = self.before(id).await?.filter(|before| before.version == signed(expected));
        let before = before.ok_or(CommitError::Conflict)?;
        let own = change.messages.iter().filter(|message| message.client_message_id.is_some());
        let sent: Vec<String> = own.map(key).collect();
        let in_tail = |row: &Document| row.get_str("sent").is_ok_and(|known| sent.iter().any(|key| key == known));
        if before.tail.iter().any(in_tail) {
            return Err(CommitError::Duplicate);
        }
        if !sent.is_empty() {
            let filter = doc! { "message.conversation_id": id.to_string(), "sent": { "$in": sent } };
            if self.mongo.call(self.moved().find_one(filter)).await?.is_some() {
                return Err(CommitError::Duplicate);
            }
        }
        Ok(Some(before))
    }

    /// The one write of a commit.
    async fn put(&self, change: &Change, slot: Option<&Slot>) -> Result<(), CommitError> {
        let now = self.clock.now();
        let conversation = &change.conversation;
        let mut set = doc! {
            "version": signed(conversation.version),
            "last": signed(conversation.last_seq),
            "updated": conversation.updated_at.micros(),
            "conversation": write(conversation)?,
        };
        let mut unset = Document::new();
        let mut put = |key: &str, value: Option<Bson>| match value {
            Some(value) => drop(set.insert(key, value)),
            None => drop(unset.insert(key, "")),
        };
        put("rank", conversation.rank().map(Bson::from));
        put("due", conversation.bot_due_since.map(|since| since.micros().into()));
        match slot {
            Some(slot) => put("slot", Some(slot.token.as_str().into())),
            None if conversation.status == ConversationStatus::WithAgent => {}
            None => put("slot", None),
        }
        if !change.messages.is_empty() {
            put("unmoved", Some(true.into()));
        }
        let tail = change.messages.iter().map(|message| write(&StoredMessage::new(message)));
        let tail: Vec<Bson> = tail.collect::<Result<_>>()?;
        let letters = change.letters.iter().map(|letter| StoredLetter::new(letter, &change.cause, now));
        let letters = letters.map(|letter| write(&letter?)).collect::<Result<Vec<Bson>>>()?;
        let id = conversation.id.to_string();
        let Some(expected) = change.expected else {
            let mut new = doc! { "_id": id, "tail": tail, "letters": letters.clone() };
            new.extend(set);
            if !letters.is_empty() {
                new.insert("mail_since", now.micros());
            }
            return match self.mongo.call(self.conversations::<Document>().insert_one(new)).await {
                Ok(_) => Ok(()),
                Err(error) if error.is_duplicate() => Err(CommitError::Conflict),
                Err(error) => Err(error.into()),
            };
        };
        let mut update = doc! { "$set": set };
        if !unset.is_empty() {
            update.insert("$unset", unset);
        }
        let mut push = Document::new();
        if !tail.is_empty() {
            push.insert("tail", doc! { "$each": tail });
        }
        if !letters.is_empty() {
            push.insert("letters", doc! { "$each": letters });
            update.insert("$min", doc! { "mail_since": now.micros() });
        }
        if !push.is_empty() {
            update.insert("$push", push);
        }
        let filter = doc! { "_id": id, "version": signed(expected) };
        let put = self.mongo.call(self.conversations::<Document>().update_one(filter, update)).await?;
        if put.matched_count == 1 { Ok(()) } else { Err(CommitError::Conflict) }
    }

    /// Removes what belongs to conversations that are deleted.
    async fn erase_content(&self, ids: &[String]) -> Result<()> {
        let of = doc! { "$in": ids };
        self.mongo.call(self.moved().delete_many(doc! { "message.conversation_id": of.clone() })).await?;
        self.mongo.call(self.note_collection().delete_many(doc! { "note.conversation_id": of })).await?;
        Ok(())
    }

    /// Moves tails, finishes deletions that were interrupted, and removes tombstones that nobody needs any more. Harmless
    /// when several processes do it at once.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sweep(&self) -> Result<()> {
        self.move_tails().await?;
        let erased = self.conversations::<Document>();
        let erased = erased.find(doc! { "erased_since": { "$gt": 0_i64 } }).sort(doc! { "erased_since": 1 });
        let erased = erased.limit(BATCH).projection(doc! { "erased_since": 1 });
        let erased = self.all(erased.into_future()).await?;
        let ids: Vec<String> = erased.iter().filter_map(|row| row.get_str("_id").ok().map(str::to_owned)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.erase_content(&ids).await?;
        let old = self.clock.now().minus(TOMBSTONE).micros();
        let over =
            doc! { "_id": { "$in": ids }, "erased_since": { "$gt": 0_i64, "$lt": old }, "letters": { "$size": 0 } };
        self.mongo.call(self.conversations::<Document>().delete_many(over)).await?;
        Ok(())
    }
}

#[async_trait]
impl ChatStore for MongoStore {
    fn name(&self) -> &str {
        "chat"
    }

    async fn check(&self) -> Result<(), String> {
        let chat = self.mongo.collection::<Document>("chat");
        let set = doc! { "$set": { "checked": self.clock.now().micros() } };
        let checked = self.mongo.call(chat.update_one(doc! { "_id": ONLY }, set).upsert(true));
        let Ok(checked) = tokio::time::timeout(CHECK_TIMEOUT, checked).await else {
            return Err(format!("MongoDB is away: no answer within {CHECK_TIMEOUT:?}"));
        };
        checked.map(drop).map_err(|error| match std::error::Error::source(&error) {
            Some(why) => format!("{error}: {why}"),
            None => error.to_string(),
        })
    }

    fn outbox(&self) -> Arc<dyn OutboxSource> {
        Arc::new(MongoOutbox(self.clone()))
    }

    fn loops(&self) -> Vec<Loop> {
        let store = self.clone();
        let sweep = Loop::every("chat.mongodb", SWEEP, move || {
            let store = store.clone();
            async move {
                if let Err(error) = store.sweep().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "messages were not moved");
                }
            }
        });
        vec![sweep.leader_only()]
    }

    async fn close(&self) {
        self.mongo.close().await;
    }

    async fn commit(&self, change: Change) -> Result<(), CommitError> {
        let id = change.conversation.id;
        let slot = match change.taken_by {
            Some(agent) => Some((agent, self.take(agent, id).await?)),
            None => None,
        };
        let put = async {
            let before = self.expected(&change).await?;
            self.put(&change, slot.as_ref().map(|(_, slot)| slot)).await?;
            Ok(before)
        };
        let before = match put.await {
            Ok(before) => before,
            Err(error) => {
                // After a failure nobody knows whether it was stored; then `settle` finds out later.
                if let (Some((agent, slot)), CommitError::Conflict | CommitError::Duplicate) = (&slot, &error) {
                    self.give_back(*agent, &slot.token).await;
                }
                return Err(error);
            }
        };
        // It is stored. What is left to do is done later when it fails now.
        if !change.letters.is_empty() {
            self.wake.notify_one();
        }
        let Some(before) = before else { return Ok(()) };
        let rest = async {
            if let (Some(agent), Some(token)) = (before.agent(), &before.slot)
                && (slot.is_some() || change.conversation.status != ConversationStatus::WithAgent)
            {
                self.give_back(agent, token).await;
            }
            if before.tail.len() + change.messages.len() > LONG_TAIL
                && let Err(error) = self.move_tail(id).await
            {
                tracing::warn!(conversation = %id, error = &error as &dyn std::error::Error, "messages were not moved");
            }
        };
        if tokio::time::timeout(REST_TIMEOUT, rest).await.is_err() {
            tracing::warn!(conversation = %id, "what follows a commit is done later");
        }
        Ok(())
    }

    async fn delete(&self, id: ConversationId) -> Result<bool> {
        let erased = doc! {
            "$set": { "version": ERASED, "erased_since": self.clock.now().micros(), "tail": [] },
            "$unset": { "conversation": "", "last": "", "updated": "", "rank": "", "due": "", "unmoved": "", "slot": "" },
        };
        let before = loop {
            let Some(before) = self.before(id).await? else { return Ok(false) };
            let same = doc! { "_id": id.to_string(), "version": before.version };
            let conversations = self.conversations::<Document>();
            // Otherwise it was changed meanwhile.
            if self.mongo.call(conversations.update_one(same, erased.clone())).await?.matched_count == 1 {
                break before;
            }
        };
        self.erase_content(&[id.to_string()]).await?;
        if let (Some(agent), Some(token)) = (before.agent(), &before.slot) {
            self.give_back(agent, token).await;
        }
        Ok(true)
    }

    async fn find(&self, id: ConversationId) -> Result<Option<Conversation>> {
        Ok(self.find_all(doc! { "_id": id.to_string() }, doc! {}, 1).await?.pop())
    }

    async fn list(&self, filter: &Filter, after: Option<ConversationId>, limit: usize) -> Result<Vec<Conversation>> {
        // Version 7 ids sort by time, so the id alone is the cursor.
        let mut wanted = doc! { "version": { "$gte": 0_i64 } };
        if let Some(after) = after {
            wanted.insert("_id", doc! { "$lt": after.to_string() });
        }
        if let Some(customer) = filter.customer {
            wanted.insert("conversation.customer.id", customer.to_string());
        }
        if let Some(status) = filter.status {
            wanted.insert("conversation.status", status.name());
        }
        if let Some(agent) = filter.agent {
            wanted.insert("conversation.agent.id", agent.to_string());
        }
        self.find_all(wanted, doc! { "_id": -1 }, limit).await
    }

    async fn open_of(&self, customer: CustomerId, limit: usize) -> Result<Vec<Conversation>> {
        let closed = ConversationStatus::Closed.name();
        let filter =
            doc! { "conversation.customer.id": customer.to_string(), "conversation.status": { "$ne": closed } };
        self.find_all(filter, doc! { "updated": -1, "_id": -1 }, limit).await
    }

    async fn open_from(&self, address: &str) -> Result<u64> {
        let closed = ConversationStatus::Closed.name();
        self.count(doc! {
            "conversation.customer.address": address,
            "conversation.customer.id": Bson::Null,
            "conversation.status": { "$ne": closed },
        })
        .await
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<Conversation>> {
        self.find_all(doc! { "rank": { "$gt": i64::MIN } }, doc! { "rank": 1, "_id": 1 }, limit).await
    }

    async fn ahead_of(&self, rank: i64) -> Result<u64> {
        self.count(doc! { "rank": { "$lt": rank } }).await
    }

    async fn loads(&self) -> Result<Vec<(CustomerId, u32)>> {
        let with_agent = doc! { "conversation.status": ConversationStatus::WithAgent.name() };
        let groups: Vec<Group<HumanReadable<CustomerId>>> = self.groups(with_agent, "$conversation.agent.id").await?;
        let load =
            |group: Group<HumanReadable<CustomerId>>| (group.of.0, u32::try_from(group.count).unwrap_or(u32::MAX));
        Ok(groups.into_iter().map(load).collect())
    }

    async fn due(&self, since: Timestamp, limit: usize) -> Result<Vec<Conversation>> {
        self.find_all(doc! { "due": { "$lte": since.micros() } }, doc! { "due": 1 }, limit).await
    }

    async fn idle(&self, status: ConversationStatus, since: Timestamp, limit: usize) -> Result<Vec<Conversation>> {
        let filter = doc! { "conversation.status": status.name(), "updated": { "$lt": since.micros() } };
        self.find_all(filter, doc! { "updated": 1 }, limit).await
    }

    async fn census(&self) -> Result<Vec<(ConversationStatus, u64)>> {
        let groups: Vec<Group<ConversationStatus>> =
            self.groups(doc! { "version": { "$gte": 0_i64 } }, "$conversation.status").await?;
        let count = |group: Group<ConversationStatus>| (group.of, u64::try_from(group.count).unwrap_or(0));
        Ok(groups.into_iter().map(count).collect())
    }

    async fn messages(&self, id: ConversationId, after: u64, limit: usize) -> Result<Vec<Message>> {
        self.read(id, doc! { "$gt": signed(after) }, messages::Order::First, limit).await
    }

    async fn messages_before(&self, id: ConversationId, before: u64, limit: usize) -> Result<Vec<Message>> {
        self.read(id, doc! { "$lt": signed(before) }, messages::Order::Last, limit).await
    }

    async fn sent(&self, id: ConversationId, side: Side, client_message_id: Uuid) -> Result<Option<Message>> {
        self.sent_as(id, &messages::sent(side, client_message_id)).await
    }

    async fn add_note(&self, note: &Note) -> Result<bool> {
        if self.find(note.conversation_id).await?.is_none() {
            return Ok(false);
        }
        let stored = StoredNote { id: Uuid::now_v7().to_string(), note: HumanReadable(note.clone()) };
        self.mongo.call(self.note_collection().insert_one(&stored)).await?;
        // Deleted in between: its notes were, too, perhaps before this one was there.
        if self.find(note.conversation_id).await?.is_none() {
            self.erase_content(&[note.conversation_id.to_string()]).await?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn notes(&self, id: ConversationId, limit: usize) -> Result<Vec<Note>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let notes = self.note_collection();
        let notes = notes.find(doc! { "note.conversation_id": id.to_string() }).sort(doc! { "_id": 1 });
        let notes = self.all(notes.limit(limited(limit)).into_future()).await?;
        Ok(notes.into_iter().map(|row| row.note.0).collect())
    }

    async fn agents(&self) -> Result<Vec<Agent>> {
        let agents = self.agent_collection();
        let agents = self.all(agents.find(doc! {}).sort(doc! { "_id": 1 }).limit(MAX_AGENTS).into_future()).await?;
        Ok(agents.into_iter().map(|row| row.agent.0).collect())
    }

    async fn agent(&self, id: CustomerId) -> Result<Option<Agent>> {
        let row = self.mongo.call(self.agent_collection().find_one(doc! { "_id": id.to_string() })).await?;
        Ok(row.map(|row| row.agent.0))
    }

    async fn put_agent(&self, agent: &Agent) -> Result<bool> {
        let Some(before) = agent.version.checked_sub(1) else { return Ok(false) };
        let set = doc! { "$set": { "agent": write(agent)? } };
        let mut stored = doc! { "_id": agent.agent.id.to_string() };
        if before == 0 {
            // Agents whose changes were not counted yet have no version; where another one is stored, the insert meets it.
            let uncounted = doc! { "agent.version": { "$exists": false } };
            stored.insert("$or", [uncounted, doc! { "agent.version": 0 }]);
        } else {
            stored.insert("agent.version", signed(before));
        }
        match self.mongo.call(self.agent_collection().update_one(stored, set).upsert(before == 0)).await {
            Ok(done) => Ok(done.matched_count == 1 || done.upserted_id.is_some()),
            Err(error) if error.is_duplicate() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn canned_replies(&self) -> Result<(Vec<CannedReply>, u64)> {
        let stored = self.mongo.call(self.reply_collection().find_one(doc! { "_id": ONLY })).await?;
        let (replies, version) = stored.map_or((Vec::new(), 0), |stored| (stored.replies, stored.version));
        Ok((replies, u64::try_from(version).unwrap_or(0)))
    }

    async fn put_canned_replies(&self, replies: &[CannedReply], expected: u64) -> Result<Option<u64>> {
        let version = expected + 1;
        let all = doc! { "version": signed(version), "replies": write(&replies)? };
        if expected == 0 {
            let mut new = doc! { "_id": ONLY };
            new.extend(all);
            let replies = self.mongo.collection::<Document>("canned_replies");
            return match self.mongo.call(replies.insert_one(new)).await {
                Ok(_) => Ok(Some(version)),
                Err(error) if error.is_duplicate() => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let at = doc! { "_id": ONLY, "version": signed(expected) };
        let put = self.mongo.call(self.reply_collection().update_one(at, doc! { "$set": all })).await?;
        Ok((put.matched_count == 1).then_some(version))
    }
}
