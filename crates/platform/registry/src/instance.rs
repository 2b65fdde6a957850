use std::{fmt, str::FromStr};

use bookworm_kernel::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest role or id, in bytes.
const MAX_LENGTH: usize = 64;

/// Names one role of one process: `<role>.<id>`, each 1 to 64 of `a-z`, `A-Z`, `0-9`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    role: String,
    id: String,
}

/// The text is no [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no instance: it is `<role>.<id>`, each of 1 to {MAX_LENGTH} letters, digits, `_` and `-`")]
pub struct InvalidKey(String);

impl Key {
    /// The key of this role in this process.
    ///
    /// # Errors
    /// When either has other characters, or too many.
    pub fn new(role: &str, id: &str) -> Result<Self, InvalidKey> {
        let fits = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            (1..=MAX_LENGTH).contains(&part.len()) && part.bytes().all(allowed)
        };
        if fits(role) && fits(id) {
            Ok(Self { role: role.to_owned(), id: id.to_owned() })
        } else {
            Err(InvalidKey(format!("{role}.{id}")))
        }
    }

    /// What it does.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The process: the same in each of its roles, and another after each start.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.role, self.id)
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (role, id) = text.split_once('.').ok_or_else(|| InvalidKey(text.to_owned()))?;
        Self::new(role, id)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What an instance says of itself. Readers of other releases ignore fields that they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub key: Key,
    /// When it started, in microseconds since 1970: of two entries with the same key the larger one is the later process.
    pub generation: i64,
    /// Where it answers gRPC, such as `http://10.0.0.7:9100`; `None` when it answers none.
    pub grpc: Option<String>,
    /// Where it answers HTTP of other processes; `None` when it answers none.
    pub http: Option<String>,
    /// The release it runs.
    pub version: String,
    /// Where it runs, such as a data centre; empty when nobody said.
    #[serde(default)]
    pub zone: String,
    /// Whether it can be asked.
    pub state: State,
    /// What it can do that not every instance of its role can.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// How busy it is.
    #[serde(default)]
    pub load: Load,
}

impl Instance {
    /// What an instance announces among its capabilities while a store of its own does not answer it. Whoever finds
    /// another that does not say so asks that one. When a store is away from all, all say so, and it changes nothing.
    pub const WITHOUT_STORES: &str = "without-stores";

    /// Whether its stores answer it, as far as it knows.
    #[must_use]
    pub fn has_stores(&self) -> bool {
        !self.capabilities.iter().any(|capability| capability == Self::WITHOUT_STORES)
    }

    /// What it does.
    #[must_use]
    pub fn role(&self) -> &str {
        self.key.role()
    }

    /// The process it is in.
    #[must_use]
    pub fn id(&self) -> &str {
        self.key.id()
    }
}

/// Whether an instance can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not yet.
    Starting,
    /// Yes.
    Ready,
    /// It is about to end: it answers what it is asked, but others should be asked.
    Draining,
    /// A later release knows a state that this one does not.
    #[serde(other)]
    Unknown,
}

impl State {
    /// Its name for people and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Unknown => "unknown",
        }
    }
}

/// How busy a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Requests that it is answering.
    pub requests: u64,
    /// Its circuit breakers that are not closed, by name: callees that it does not reach.
    pub open_breakers: Vec<String>,
    /// The instances that it leaves alone for a while, because its calls to them failed: `<role>.<id>`.
    pub ejected: Vec<String>,
}

/// The monitor's word that an instance does not answer, so that nobody should ask it. It must be repeated, and ends by
/// itself like every entry of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whom it is about.
    pub key: Key,
    /// Its generation: a verdict says nothing of the process that takes the place of a sick one.
    pub generation: i64,
    /// What is wrong, for people.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}
