//! The support chat from outside: customers and agents who talk through the hub.

pub mod crash;
pub mod load;
pub mod talk;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bookworm_contracts::rest::identity::{Account, Role, RolesRequest};
use bookworm_testkit::{HubClient, HubClientError};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{server::ADMIN, shop::Visitor};

/// Where the hub is.
const HUB: &str = "/hubs/chat";
/// The most conversations that one agent takes.
const CAPACITY: usize = 20;

/// A guest's conversation, as the guest's browser remembers it.
#[derive(Debug, Clone)]
struct Conversation {
    id: String,
    secret: String,
}

impl Conversation {
    /// Begins one on this connection.
    async fn start(client: &mut HubClient) -> Result<Self, HubClientError> {
        let started = client.invoke("StartConversation", &[json!({})]).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self { id: text(&started["conversation"]["id"]), secret: text(&started["secret"]) })
    }

    /// Sends a message; gives its number.
    async fn send(&self, client: &mut HubClient, key: Uuid, text: &str) -> Result<u64, HubClientError> {
        send(client, &self.id, key, text).await
    }

    /// Goes on with it on this connection.
    async fn resume(&self, client: &mut HubClient) -> Result<Value, HubClientError> {
        client.invoke("Resume", &[json!({"conversation_id": self.id, "secret": self.secret})]).await
    }

    /// Asks for a person.
    async fn ask_for_person(&self, client: &mut HubClient) -> Result<(), HubClientError> {
        client.invoke("AskForPerson", &[json!({"conversation_id": self.id})]).await.map(drop)
    }
}

async fn send(client: &mut HubClient, conversation: &str, key: Uuid, text: &str) -> Result<u64, HubClientError> {
    let message = json!({"conversation_id": conversation, "client_message_id": key, "text": text});
    Ok(client.invoke("SendMessage", &[message]).await?["seq"].as_u64().unwrap_or(0))
}

/// Says that an agent is there.
async fn be_available(client: &mut HubClient) -> Result<(), HubClientError> {
    let availability = json!({"status": "available", "capacity": CAPACITY});
    client.invoke("SetAvailability", &[availability]).await.map(drop)
}

/// Makes an account that answers chats, and gives its name and password.
async fn make_agent(address: SocketAddr, n: usize) -> Result<(String, String)> {
    let (email, password) = (format!("agent-{n}@bench.example"), format!("password of agent {n}"));
    let mut agent = Visitor::new(address);
    agent.register(&email, &password).await?;
    agent.sign_in(&email, &password).await?;
    let account: Account = agent.get("/api/v1/identity/me").await?;
    let mut admin = Visitor::new(address);
    admin.sign_in(ADMIN.0, ADMIN.1).await?;
    let roles = serde_json::to_vec(&RolesRequest { roles: vec![Role::Customer, Role::Agent] })?;
    let path = format!("/api/v1/identity/accounts/{}/roles", account.id);
    let answer = admin.send(Method::PUT, &path, &[], roles.into()).await?;
    ensure!(answer.status.is_success(), "cannot make an agent: {}", answer.excerpt());
    Ok((email, password))
}

/// Connects an agent with a fresh token, which says what they may do.
async fn connect_agent(address: SocketAddr, email: &str, password: &str) -> Result<HubClient> {
    let mut agent = Visitor::new(address);
    agent.sign_in(email, password).await?;
    let token = agent.access_token().context("the agent is signed in")?;
    Ok(HubClient::connect(address, HUB, Some(token)).await?)
}
