//! Presence: connections, their accounts, and the conversations that they are attached to. In memory only; after a
//! restart those who come back build it up again. Of other instances it knows which customers and agents are there.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bookworm_http::auth::AccountClaims;
use bookworm_kernel::{ConversationId, CustomerId, Timestamp};
use bookworm_registry::Roster;

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
pub struct Presence {
    state: Mutex<State>,
    /// Changed under the lock of `state`, so that both agree.
    roster: Arc<dyn Roster>,
}

/// Somebody on the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// The customer of a conversation.
    Customer(ConversationId),
    /// An agent.
    Agent(CustomerId),
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(conversation) => write!(f, "customer:{conversation}"),
            Self::Agent(agent) => write!(f, "agent:{agent}"),
        }
    }
}

impl Member {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("customer", id) => id.parse().ok().map(Self::Customer),
            ("agent", id) => id.parse().ok().map(Self::Agent),
            _ => None,
        }
    }
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
    /// Nobody yet.
    pub fn new(roster: Arc<dyn Roster>) -> Self {
        Self { state: Mutex::default(), roster }
    }

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
        let customers: Vec<_> = customers.filter(|id| take(&mut state.customers, id, connection)).collect();
        let account = gone.identity.map(|identity| identity.account.id);
        let agent = account.filter(|id| take(&mut state.agents, id, connection));
        for member in customers.iter().copied().map(Member::Customer).chain(agent.map(Member::Agent)) {
            self.roster.leave(&member.to_string());
        }
        Gone { customers, agent }
    }

    /// Waits until other instances have learnt of the changes so far, and this one of theirs.
    pub async fn settled(&self) {
        self.roster.settled().await;
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
                let first = here.len() == 1 && before != Some(Side::Customer);
                if first {
                    self.roster.enter(&Member::Customer(conversation).to_string());
                }
                Some(first)
            }
            Side::Agent => {
                if before == Some(Side::Customer) && take(&mut state.customers, &conversation, connection) {
                    self.roster.leave(&Member::Customer(conversation).to_string());
                }
                Some(false)
            }
        }
    }

    /// Whether a connection of this instance is attached to the conversation.
    pub fn is_attached(&self, conversation: ConversationId) -> bool {
        self.lock().connections.values().any(|connection| connection.attached.contains_key(&conversation))
    }

    /// Which side a connection is of in a conversation; `None` when it is not attached.
    pub fn side(&self, connection: &str, conversation: ConversationId) -> Option<Side> {
        self.lock().connections.get(connection)?.attached.get(&conversation).copied()
    }

    /// A conversation is gone, and nobody is attached to it any more.
    pub fn forget(&self, conversation: ConversationId) {
        let mut state = self.lock();
        if state.customers.remove(&conversation).is_some() {
            self.roster.leave(&Member::Customer(conversation).to_string());
        }
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
            (true, 1) => {
                self.roster.enter(&Member::Agent(agent).to_string());
                Entered::First
            }
            (true, _) => Entered::Another,
        }
    }

    /// Whether the customer is connected, to any instance.
    pub fn customer_is_there(&self, conversation: ConversationId) -> bool {
        self.customer_is_here(conversation) || self.customer_is_elsewhere(conversation)
    }

    /// Whether the customer is connected to this instance.
    pub fn customer_is_here(&self, conversation: ConversationId) -> bool {
        self.lock().customers.contains_key(&conversation)
    }

    /// Whether the customer is connected to other instances.
    pub fn customer_is_elsewhere(&self, conversation: ConversationId) -> bool {
        self.roster.is_elsewhere(&Member::Customer(conversation).to_string())
    }

    /// Whether the agent is connected, to any instance.
    pub fn agent_is_there(&self, agent: CustomerId) -> bool {
        self.agent_is_here(agent) || self.roster.is_elsewhere(&Member::Agent(agent).to_string())
    }

    fn agent_is_here(&self, agent: CustomerId) -> bool {
        self.lock().agents.contains_key(&agent)
    }

    /// Whether everybody who is connected to another instance is known.
    pub fn is_known(&self) -> bool {
        self.roster.is_known()
    }

    /// Those who were lost with another instance, since the last call.
    pub fn take_lost(&self) -> Vec<Member> {
        self.roster.take_lost().iter().filter_map(|member| Member::parse(member)).collect()
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
    use bookworm_registry::Alone;

    use super::*;

    #[test]
    fn members_are_written_and_read() {
        for member in [Member::Customer(ConversationId::new()), Member::Agent(CustomerId::new())] {
            assert_eq!(Member::parse(&member.to_string()), Some(member));
        }
        assert_eq!(Member::parse("robot:1"), None);
    }

    #[test]
    fn a_customer_is_there_while_any_tab_is() {
        let (presence, id) = (Presence::new(Arc::new(Alone)), ConversationId::new());
        presence.enter("a", None);
        presence.enter("b", None);
        assert_eq!(presence.attach("a", id, Side::Customer), Some(true));
        assert_eq!(presence.attach("a", id, Side::Customer), Some(false), "again changes nothing");
        assert_eq!(presence.attach("b", id, Side::Customer), Some(false));
        assert_eq!(presence.leave("a"), Gone::default());
        assert!(presence.customer_is_there(id));
        assert_eq!(presence.leave("b"), Gone { customers: vec![id], agent: None });
        assert!(!presence.customer_is_there(id));
        assert_eq!(presence.attach("b", id, Side::Customer), None, "a connection that is over attaches to nothing");
    }

    #[test]
    fn a_watching_agent_is_not_the_customer() {
        let (presence, id) = (Presence::new(Arc::new(Alone)), ConversationId::new());
        presence.enter("a", None);
        assert_eq!(presence.attach("a", id, Side::Agent), Some(false));
        assert!(!presence.customer_is_there(id));
        assert_eq!(presence.side("a", id), Some(Side::Agent));
        presence.forget(id);
        assert_eq!(presence.side("a", id), None);
    }
}
