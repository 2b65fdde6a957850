//! Mails that are not published yet: in the document of their conversation, stored by the same write.

use std::error::Error;

use async_trait::async_trait;
use bookworm_kernel::{Cause, MessageId, Timestamp};
use bookworm_messaging::{Envelope, OutboxSource};
use mongodb::bson::{Bson, Document, doc, serialize_to_bson};
use serde::{Deserialize, Serialize};

use super::{Letter, MongoStore, Result, corrupt, limited};

/// A mail. Stored in the conversation's document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredLetter {
    id: String,
    /// As it travels: JSON.
    envelope: String,
}

impl StoredLetter {
    pub(super) fn new(letter: &Letter, cause: &Cause, now: Timestamp) -> Result<Self> {
        let envelope = match letter {
            Letter::Answer(answer) => Envelope::new(answer, cause, now),
            Letter::Transcript(transcript) => Envelope::new(transcript, cause, now),
        };
        Self::of(&envelope.map_err(corrupt)?)
    }

    pub(super) fn of(envelope: &Envelope) -> Result<Self> {
        Ok(Self { id: envelope.id.to_string(), envelope: serde_json::to_string(envelope).map_err(corrupt)? })
    }
}

#[derive(Deserialize)]
struct Letters {
    #[serde(rename = "_id")]
    conversation: String,
    letters: Vec<StoredLetter>,
}

pub(super) struct MongoOutbox(pub(super) MongoStore);

impl MongoOutbox {
    async fn letters(&self, filter: Document, max: usize) -> Result<Vec<Letters>> {
        let store = &self.0;
        let conversations = store.conversations::<Letters>();
        let letters = conversations.find(filter).sort(doc! { "mail_since": 1, "_id": 1 }).limit(limited(max));
        store.all(letters.projection(doc! { "letters": 1 }).into_future()).await
    }
}

#[async_trait]
impl OutboxSource for MongoOutbox {
    fn name(&self) -> &str {
        "chat"
    }

    async fn waiting(&self, max: usize) -> Result<Vec<Envelope>, Box<dyn Error + Send + Sync>> {
        let all = self.letters(doc! { "mail_since": { "$gt": 0_i64 } }, max).await?;
        let all = all.into_iter().flat_map(|row| row.letters).take(max);
        Ok(all.map(|letter| serde_json::from_str(&letter.envelope)).collect::<Result<_, _>>()?)
    }

    async fn remove(&self, published: &[MessageId]) -> Result<(), Box<dyn Error + Send + Sync>> {
        if published.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = published.iter().map(ToString::to_string).collect();
        let filter = doc! { "mail_since": { "$gt": 0_i64 }, "letters.id": { "$in": &ids } };
        for Letters { conversation, letters } in self.letters(filter, published.len()).await? {
            let gone: Vec<&StoredLetter> = letters.iter().filter(|letter| ids.contains(&letter.id)).collect();
            let gone: Bson = serialize_to_bson(&gone)?;
            let conversations = self.0.conversations::<Document>();
            let pull = doc! { "$pullAll": { "letters": gone } };
            self.0.mongo.call(conversations.update_one(doc! { "_id": &conversation }, pull)).await?;
            // One that was added meanwhile is left, and with it the mark.
            let empty = doc! { "_id": &conversation, "letters": { "$size": 0 } };
            let unmark = doc! { "$unset": { "mail_since": "" } };
            self.0.mongo.call(conversations.update_one(empty, unmark)).await?;
        }
        Ok(())
    }

    async fn woken(&self) {
        self.0.wake.notified().await;
    }
}
