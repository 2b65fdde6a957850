use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// Where data is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `postgres://user:password@host/database`: one schema for each service there. Left out: one SQLite file for each
    /// service in the data folder. Secret, because it contains the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// The most connections to PostgreSQL that this process opens, all its databases together, which share them evenly; at
    /// least two for each: 4 to 1000. Default 40.
    pub max_connections: u32,
    /// How many seconds a start waits for PostgreSQL: 1 to 600. Default 60.
    pub connect_timeout_seconds: u64,
    /// How many seconds PostgreSQL may take for a statement outside a unit of work: 1 to 600. Default 30. A request waits no
    /// longer than its own time limit, and a unit of work has ten seconds.
    pub statement_timeout_seconds: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, max_connections: 40, connect_timeout_seconds: 60, statement_timeout_seconds: 30 }
    }
}

impl Validate for Database {
    fn validate(&self, v: &mut Validation) {
        v.range("max_connections", self.max_connections, 4..=1000);
        v.range("connect_timeout_seconds", self.connect_timeout_seconds, 1..=600);
        v.range("statement_timeout_seconds", self.statement_timeout_seconds, 1..=600);
        if let Some(url) = &self.url {
            let known = Url::parse(url.expose()).is_ok_and(|url| matches!(url.scheme(), "postgres" | "postgresql"));
            v.check("url", known, "must start with postgres://; leave it out for SQLite in the data folder");
        }
    }
}
