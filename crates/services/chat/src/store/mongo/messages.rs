//! Messages: in the tail of their conversation at first, in a collection of their own afterwards.

use bookworm_kernel::ConversationId;
use mongodb::bson::{Document, doc, serde_helpers::HumanReadable};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BATCH, MongoStore, Result, StoreError, limited, signed};
use crate::domain::message::{Message, Side};

/// A message, in a tail and in the collection.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredMessage {
    /// Unique within the conversation: the sender's side and its id for the message. One without an id has its number.
    sent: String,
    message: HumanReadable<Message>,
}

impl StoredMessage {
    pub(super) fn new(message: &Message) -> Self {
        Self { sent: key(message), message: HumanReadable(message.clone()) }
    }
}

/// By what it is unique within its conversation.
pub(super) fn key(message: &Message) -> String {
    match message.client_message_id {
        Some(id) => sent(Side::of(message.author), id),
        None => format!("number/{}", message.seq),
    }
}

pub(super) fn sent(side: Side, client_message_id: Uuid) -> String {
    format!("{}/{client_message_id}", side.name())
}

/// Which of many messages are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    First,
    Last,
}

/// What a conversation's document says of its messages.
#[derive(Deserialize)]
struct Tail {
    /// The number of the last message.
    last: Option<i64>,
    #[serde(default)]
    tail: Vec<StoredMessage>,
}

impl MongoStore {
    async fn tail(&self, id: ConversationId) -> Result<Option<Tail>> {
        let conversations = self.conversations::<Tail>();
        let tail = conversations.find_one(doc! { "_id": id.to_string(), "version": { "$gte": 0_i64 } });
        Ok(self.mongo.call(tail.projection(doc! { "last": 1, "tail": 1 })).await?)
    }

    /// Messages with such numbers, in order.
    pub(super) async fn read(
        &self,
        id: ConversationId,
        mut numbers: Document,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Message>> {
        // First the document: what is moved afterwards is then in both.
        let (Some(Tail { last, tail }), 1..) = (self.tail(id).await?, limit) else { return Ok(Vec::new()) };
        // What came later may be there with a gap before it.
        let wanted = |seq: u64| {
            let within = |key: &str, holds: fn(i64, i64) -> bool| {
                numbers.get_i64(key).map_or(true, |bound| holds(signed(seq), bound))
            };
            within("$gt", |seq, bound| seq > bound) && within("$lt", |seq, bound| seq < bound)
        };
        let mut found: Vec<Message> =
            tail.into_iter().map(|row| row.message.0).filter(|message| wanted(message.seq)).collect();
        numbers.insert("$lte", last.unwrap_or(0));
        let direction = if order == Order::First { 1 } else { -1 };
        let moved = self.moved();
        let moved = moved.find(doc! { "message.conversation_id": id.to_string(), "message.seq": numbers });
        let moved = moved.sort(doc! { "message.seq": direction }).limit(limited(limit));
        let moved = self.all(moved.into_future()).await?;
        found.extend(moved.into_iter().map(|row| row.message.0));
        found.sort_by_key(|message| message.seq);
        found.dedup_by_key(|message| message.seq);
        match order {
            Order::First => found.truncate(limit),
            Order::Last => drop(found.drain(..found.len().saturating_sub(limit))),
        }
        Ok(found)
    }

    /// The message with this key.
    pub(super) async fn sent_as(&self, id: ConversationId, sent: &str) -> Result<Option<Message>> {
        let Some(Tail { tail, .. }) = self.tail(id).await? else { return Ok(None) };
        if let Some(row) = tail.into_iter().find(|row| row.sent == sent) {
            return Ok(Some(row.message.0));
        }
        let filter = doc! { "message.conversation_id": id.to_string(), "sent": sent };
        Ok(self.mongo.call(self.moved().find_one(filter)).await?.map(|row| row.message.0))
    }

    /// Moves the tails of all conversations. One whose tail cannot be moved does not stop the others.
    pub(super) async fn move_tails(&self) -> Result<()> {
        loop {
            let unmoved = self.conversations::<Document>();
            let unmoved = unmoved.find(doc! { "unmoved": true }).limit(BATCH).projection(doc! { "_id": 1 });
            let unmoved = self.all(unmoved.into_future()).await?;
            let (mut moved, mut failed) = (0, None);
            for row in &unmoved {
                let id = row.get_str("_id").ok().and_then(|id| id.parse().ok());
                let id = id.ok_or_else(|| StoreError::Failed("a conversation's id is none".into()))?;
                match self.move_tail(id).await {
                    Ok(all) => moved += usize::from(all),
                    Err(error @ StoreError::Busy(_)) => return Err(error),
                    Err(error) => failed = Some(error),
                }
            }
            // Those that got more meanwhile are for the next time.
            if limited(unmoved.len()) < BATCH || moved == 0 {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    /// Moves the tail of one conversation; `false` when it has more again.
    pub(super) async fn move_tail(&self, id: ConversationId) -> Result<bool> {
        let Some(Tail { last, tail }) = self.tail(id).await? else { return Ok(true) };
        self.insert_moved(id, &tail).await?;
        let same = doc! { "_id": id.to_string(), "version": { "$gte": 0_i64 }, "last": last.unwrap_or(0) };
        let moved = doc! { "$set": { "tail": [] }, "$unset": { "unmoved": "" } };
        let moved = self.mongo.call(self.conversations::<Document>().update_one(same, moved)).await?;
        if moved.matched_count == 0 && self.tail(id).await?.is_none() {
            // Deleted meanwhile, and its messages perhaps before these were there.
            self.erase_content(&[id.to_string()]).await?;
            return Ok(true);
        }
        Ok(moved.matched_count > 0)
    }

    /// Adds messages to the collection; those that are there already stay.
    pub(super) async fn insert_moved(&self, id: ConversationId, messages: &[StoredMessage]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        match self.mongo.call(self.moved().insert_many(messages).ordered(false)).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_duplicate() => {}
            Err(error) => return Err(error.into()),
        }
        // Moved before, and not removed: then each is there under its number and its key.
        let keys: Vec<mongodb::bson::Bson> = messages
            .iter()
            .map(|row| doc! { "sent": row.sent.as_str(), "message.seq": signed(row.message.0.seq) }.into())
            .collect();
        let filter = doc! { "message.conversation_id": id.to_string(), "$or": keys };
        let there = self.mongo.call(self.moved().count_documents(filter)).await?;
        if there == messages.len() as u64 {
            return Ok(());
        }
        Err(StoreError::Failed(format!("messages of conversation {id} contradict those that were moved before").into()))
    }
}
