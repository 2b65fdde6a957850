//! Presence: connections, their accounts, and the conversations that they are attached to. In memory only; after a
//! restart those who come back build it up again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bookworm_http::auth::AccountClaims;
use bookworm_kernel::{ConversationId, CustomerId, Timestamp};

use crate::{bot::Rights, domain::message::Side};

/// The account behind a connection, and the token that proves it.
#[derive(Clone)]
pub struct Identity {
    /// The account.
    pub account: Arc<AccountClaims>,
    /// Its access token, to call the shop with its rights. Never stored or printed.
    pub token: String,
    /// When the token expires.
    pub expires: Timestamp,
}

/// Everybody who is connected.
#[derive(Default)]
pub struct Presence {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: HashMap<String, Connection>,
    customers: HashMap<ConversationId, HashSet<String>>,
    agents: HashMap<CustomerId, HashSet<String>>,
}

#[derive(Default)]
struct Connection {
    identity: Option<Identity>,
    attached: HashMap<ConversationId, Side>,
}

/// How an agent's connection was known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// As theirs already.
    Before,
    /// Not, but others are theirs.
    Another,
    /// Not, and none is theirs.
    First,
}

/// What ended with a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Conversations whose customer has no connection any more.
    pub customers: Vec<ConversationId>,
    /// The agent who has no connection any more.
    pub agent: Option<CustomerId>,
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is there.
    pub fn enter(&self, connection: &str, identity: Option<Identity>) {
        let fresh = Connection { identity, attached: HashMap::new() };
        self.lock().connections.insert(connection.to_owned(), fresh);
    }

    /// A connection is over.
    pub fn leave(&self, connection: &str) -> Gone {
        let mut state = self.lock();
        let Some(gone) = state.connections.remove(connection) else { return Gone::default() };
        let customers = gone.attached.into_iter().filter(|(_, side)| *side == Side::Customer).map(|(id, _)| id);
        let customers = customers.filter(|id| take(&mut state.customers, id, connection)).collect();
        let account = gone.identity.map(|identity| identity.account.id);
        let agent = account.filter(|id| take(&mut state.agents, id, connection));
        Gone { customers, agent }
    }

    /// A connection attaches to a conversation. `None` when the connection is over, else whether a customer is here now
    /// who was not before.
    pub fn attach(&self, connection: &str, conversation: ConversationId, side: Side) -> Option<bool> {
        let mut state = self.lock();
        let before = state.connections.get_mut(connection)?.attached.insert(conversation, side);
        match side {
            Side::Customer => {
                let here = state.customers.entry(conversation).or_default();
                here.insert(connection.to_owned());
                Some(here.len() == 1 && before != Some(Side::Customer))
            }
            Side::Agent => {
                if before == Some(Side::Customer) {
                    take(&mut state.customers, &conversation, connection);
                }
                Some(false)
            }
        }
    }

    /// Which side a connection is of in a conversation; `None` when it is not attached.
    pub fn side(&self, connection: &str, conversation: ConversationId) -> Option<Side> {
        self.lock().connections.get(connection)?.attached.get(&conversation).copied()
    }

    /// A conversation is gone, and nobody is attached to it any more.
    pub fn forget(&self, conversation: ConversationId) {
        let mut state = self.lock();
        state.customers.remove(&conversation);
        for connection in state.connections.values_mut() {
            connection.attached.remove(&conversation);
        }
    }

    /// A connection is an agent's.
    pub fn agent_enters(&self, connection: &str, agent: CustomerId) -> Entered {
        let mut state = self.lock();
        if !state.connections.contains_key(connection) {
            return Entered::Before;
        }
        let here = state.agents.entry(agent).or_default();
        match (here.insert(connection.to_owned()), here.len()) {
            (false, _) => Entered::Before,
            (true, 1) => Entered::First,
            (true, _) => Entered::Another,
        }
    }

    /// Whether the customer is here.
    pub fn customer_is_here(&self, conversation: ConversationId) -> bool {
        self.lock().customers.contains_key(&conversation)
    }

    /// Whether the agent is here.
    pub fn agent_is_here(&self, agent: CustomerId) -> bool {
        self.lock().agents.contains_key(&agent)
    }

    /// The rights of the customer who is here: those of the connection whose token expires last.
    pub fn rights(&self, conversation: ConversationId, owner: CustomerId, now: Timestamp) -> Option<Rights> {
        let state = self.lock();
        let identities = state.customers.get(&conversation)?.iter().filter_map(|connection| {
            let identity = state.connections.get(connection)?.identity.as_ref()?;
            (identity.account.id == owner && identity.expires > now).then_some(identity)
        });
        let best = identities.max_by_key(|identity| identity.expires)?;
        Some(Rights { access_token: Some(best.token.clone()) })
    }

    /// How many connections are there.
    pub fn connections(&self) -> usize {
        self.lock().connections.len()
    }
}

/// Takes a connection out of a set of them; whether it was the last.
fn take<K: std::hash::Hash + Eq>(sets: &mut HashMap<K, HashSet<String>>, key: &K, connection: &str) -> bool {
    let Some(set) = sets.get_mut(key) else { return false };
    let was_there = set.remove(connection);
    let last = was_there && set.is_empty();
    if set.is_empty() {
        sets.remove(key);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_here_while_any_tab_is() {
        let (presence, id) = (Presence::default(), ConversationId::new());
        presence.enter("a", None);
        presence.enter("b", None);
        assert_eq!(presence.attach("a", id, Side::Customer), Some(true));
        assert_eq!(presence.attach("a", id, Side::Customer), Some(false), "again changes nothing");
        assert_eq!(presence.attach("b", id, Side::Customer), Some(false));
        assert_eq!(presence.leave("a"), Gone::default());
        assert!(presence.customer_is_here(id));
        assert_eq!(presence.leave("b"), Gone { customers: vec![id], agent: None });
        assert!(!presence.customer_is_here(id));
        assert_eq!(presence.attach("b", id, Side::Customer), None, "a connection that is over attaches to nothing");
    }

    #[test]
    fn a_watching_agent_is_not_the_customer() {
        let (presence, id) = (Presence::default(), ConversationId::new());
        presence.enter("a", None);
        assert_eq!(presence.attach("a", id, Side::Agent), Some(false));
        assert!(!presence.customer_is_here(id));
        assert_eq!(presence.side("a", id), Some(Side::Agent));
        presence.forget(id);
        assert_eq!(presence.side("a", id), None);
    }
}
