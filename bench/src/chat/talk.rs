//! One guest's conversation, and what the chat acknowledged of it.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Result;
use bookworm_testkit::HubClient;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Conversation, HUB, crash};

/// How long the chat may take to answer, whatever the answer.
const ANSWER: Duration = Duration::from_secs(30);

/// A guest who talks.
pub struct Talk {
    address: SocketAddr,
    client: Option<HubClient>,
    conversation: Conversation,
    /// What was acknowledged: text by client id.
    acknowledged: BTreeMap<Uuid, String>,
    next: Uuid,
}

impl Talk {
    /// Begins a conversation.
    ///
    /// # Errors
    /// When the chat does not let a guest in.
    pub async fn begin(address: SocketAddr) -> Result<Self> {
        let mut client = HubClient::connect(address, HUB, None).await?;
        let conversation = Conversation::start(&mut client).await?;
        let (client, next) = (Some(client), Uuid::new_v4());
        Ok(Self { address, client, conversation, acknowledged: BTreeMap::new(), next })
    }

    /// Sends a message, under the same id until it is acknowledged. The error is the code that the chat gave, or words.
    pub async fn say(&mut self, text: &str) -> Result<(), String> {
        let text = format!("{text} ({})", self.next);
        let sent = match timeout(ANSWER, self.send(&text)).await {
            Ok(sent) => sent,
            Err(_) => Err(format!("no answer within {ANSWER:?}")),
        };
        match sent {
            Ok(()) => {
                self.acknowledged.insert(self.next, text);
                self.next = Uuid::new_v4();
                Ok(())
            }
            Err(why) => {
                // What was broken off is begun anew.
                self.client = None;
                Err(why)
            }
        }
    }

    async fn send(&mut self, text: &str) -> Result<(), String> {
        let said = |error: bookworm_testkit::HubClientError| match error.code() {
            "" => error.to_string(),
            code => code.to_owned(),
        };
        if self.client.is_none() {
            let mut client = HubClient::connect(self.address, HUB, None).await.map_err(said)?;
            self.conversation.resume(&mut client).await.map_err(said)?;
            self.client = Some(client);
        }
        let Some(client) = &mut self.client else { return Err("not connected".to_owned()) };
        self.conversation.send(client, self.next, text).await.map(drop).map_err(said)
    }

    /// What was acknowledged and is not there, or is there twice.
    ///
    /// # Errors
    /// When the conversation cannot be read.
    pub async fn missing(self) -> Result<Vec<String>> {
        let messages = crash::history(self.address, &self.conversation).await?;
        let texts: Vec<&str> = messages.iter().filter_map(|message| message["text"].as_str()).collect();
        let times = |wanted: &str| texts.iter().filter(|text| **text == wanted).count();
        let wrong = self.acknowledged.values().map(|text| (text, times(text))).filter(|(_, times)| *times != 1);
        Ok(wrong.map(|(text, times)| format!("{text:?} was acknowledged and is there {times} times")).collect())
    }
}
