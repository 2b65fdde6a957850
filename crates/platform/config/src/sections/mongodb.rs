use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// Where the chat's conversations are: MongoDB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mongodb {
    /// `mongodb://host:27017,host:27017/?replicaSet=rs0`, or `mongodb+srv://` with a name to look up. Left out: they are in
    /// the shop's own databases. Secret, because it may contain a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// The database: 1 to 38 letters, digits, `_` and `-`. Shops that share a server need different ones. Default
    /// `bookworm`.
    pub database: String,
    /// How many seconds a start waits for the servers: 1 to 600. Default 60.
    pub connect_timeout_seconds: u64,
    /// Who signs in, with a password, when that is not in `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password of `username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file with that password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) of authorities to trust instead of the usual ones. Implies TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A file with our certificate and its private key (PEM), for a server that wants one. Implies TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_key_file: Option<PathBuf>,
}

impl Default for Mongodb {
    fn default() -> Self {
        Self {
            url: None,
            database: "bookworm".to_owned(),
            connect_timeout_seconds: 60,
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            certificate_key_file: None,
        }
    }
}

impl Validate for Mongodb {
    fn validate(&self, v: &mut Validation) {
        if let Some(url) = &self.url {
            // Several hosts are no URL as others know them; the driver reads the rest.
            let host = ["mongodb://", "mongodb+srv://"].iter().find_map(|scheme| url.expose().strip_prefix(scheme));
            let valid = host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?']));
            v.check(
                "url",
                valid,
                "must be mongodb://host:27017, several hosts with commas between, or mongodb+srv://name",
            );
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let named = (1..=38).contains(&self.database.len()) && self.database.chars().all(word);
        v.check("database", named, "must be 1 to 38 letters, digits, _ and -");
        v.range("connect_timeout_seconds", self.connect_timeout_seconds, 1..=600);
        let one = self.password.is_none() || self.password_file.is_none();
        v.check("password", one, "cannot be set together with mongodb.password_file");
        let password = self.password.is_some() || self.password_file.is_some();
        v.check("username", self.username.is_some() == password, "must be set exactly when a password is");
    }
}
