//! The capacity of agents. An agent's document has a slot for each conversation that they have; whoever gives them one
//! takes a slot first, by an update that finds no document when there is none left.
//!
//! A crash between the two leaves a slot that stands for nothing, and so does one between a conversation's end and the
//! return of its slot. Such slots are found when an agent seems to be full.

use std::time::Duration;

use bookworm_kernel::{ConversationId, CustomerId};
use mongodb::bson::{Bson, doc, serialize_to_bson};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CommitError, MongoStore, Result, corrupt};

/// From when on a slot without its conversation is left over: longer than the calls of a commit may take.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// A place of an agent's capacity. Stored in the agent's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Slot {
    /// The conversation's document has it too, once it is the agent's.
    pub(super) token: String,
    conversation: String,
    /// When it was taken, in microseconds since 1970.
    since: i64,
}

#[derive(Deserialize)]
struct Holder {
    slot: Option<String>,
}

impl MongoStore {
    /// Takes a slot of this agent's for a conversation.
    pub(super) async fn take(&self, agent: CustomerId, id: ConversationId) -> Result<Slot, CommitError> {
        let slot =
            Slot { token: Uuid::now_v7().to_string(), conversation: id.to_string(), since: self.clock.now().micros() };
        let stored = serialize_to_bson(&slot).map_err(corrupt)?;
        loop {
            let agents = self.agent_collection();
            let row = self.mongo.call(agents.find_one(doc! { "_id": agent.to_string() })).await?;
            let Some(row) = row else { return Err(CommitError::AgentFull) };
            let capacity = row.agent.0.capacity;
            let Some(last) = capacity.checked_sub(1) else { return Err(CommitError::AgentFull) };
            if row.slots.len() >= capacity as usize {
                if !self.settle(agent, &row.slots).await? {
                    return Err(CommitError::AgentFull);
                }
                continue;
            }
            let free = doc! {
                "_id": agent.to_string(),
                "agent.capacity": i64::from(capacity),
                format!("slots.{last}"): { "$exists": false },
            };
            let taken = self.mongo.call(agents.update_one(free, doc! { "$push": { "slots": &stored } })).await?;
            // Otherwise others took some meanwhile: there are fewer each time.
            if taken.matched_count == 1 {
                return Ok(slot);
            }
        }
    }

    /// Returns a slot. A failure is no harm: it is found later.
    pub(super) async fn give_back(&self, agent: CustomerId, token: &str) {
        let given: Result<()> = async {
            let agents = self.agent_collection();
            let row = self.mongo.call(agents.find_one(doc! { "_id": agent.to_string() })).await?;
            let slots = row.map(|row| row.slots).unwrap_or_default();
            let mine: Vec<Slot> = slots.into_iter().filter(|slot| slot.token == token).collect();
            self.remove(agent, &mine).await
        }
        .await;
        if let Err(error) = given {
            tracing::warn!(%agent, error = &error as &dyn std::error::Error, "an agent's slot is returned later");
        }
    }

    /// Removes the slots that stand for nothing. Whether there were any.
    async fn settle(&self, agent: CustomerId, slots: &[Slot]) -> Result<bool> {
        let old = self.clock.now().minus(IN_FLIGHT).micros();
        let mut left_over = Vec::new();
        for slot in slots.iter().filter(|slot| slot.since < old) {
            let conversations = self.conversations::<Holder>();
            let holder = conversations.find_one(doc! { "_id": &slot.conversation }).projection(doc! { "slot": 1 });
            let holder = self.mongo.call(holder).await?;
            if holder.and_then(|holder| holder.slot).as_deref() != Some(&slot.token) {
                left_over.push(slot.clone());
            }
        }
        self.remove(agent, &left_over).await?;
        Ok(!left_over.is_empty())
    }

    async fn remove(&self, agent: CustomerId, slots: &[Slot]) -> Result<()> {
        if slots.is_empty() {
            return Ok(());
        }
        let slots: Bson = serialize_to_bson(&slots).map_err(corrupt)?;
        let update = doc! { "$pullAll": { "slots": slots } };
        self.mongo.call(self.agent_collection().update_one(doc! { "_id": agent.to_string() }, update)).await?;
        Ok(())
    }
}
