use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Validation};

/// Accounts, tokens and protection against guessing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The `iss` of tokens. Left out: the public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// How many minutes an access token is good for: 1 to 1440. Default 15.
    pub access_token_minutes: u32,
    /// How many days without use end a session: 1 to 365. Default 30.
    pub refresh_token_days: u32,
    /// For how many seconds a refresh token that was just used is accepted again, for clients that ask twice at once
    /// or lose the answer: 0 to 300. Default 30. After that, reuse ends the session.
    pub refresh_overlap_seconds: u32,
    /// How many days a session lasts at most, however often it is used: 1 to 3650. Default 365.
    pub session_max_days: u32,
    /// What slows down guessing.
    pub lockout: Lockout,
    /// How costly it is to check a password.
    pub argon2: Argon2,
}

/// What slows down guessing a password. A stranger cannot lock a customer out for longer than the longest delay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lockout {
    /// Wrong passwords for one account that cost nothing: 1 to 100. Default 5.
    pub attempts_before_delay: u32,
    /// How many seconds the next wrong one costs; each further one doubles it: 1 to 3600. Default 2.
    pub base_delay_seconds: u32,
    /// The longest delay in minutes: 1 to 1440. Default 15.
    pub max_delay_minutes: u32,
    /// Attempts in a minute from one address, whatever the account: 1 to 10000. Default 30.
    pub per_address_per_minute: u32,
}

/// The parameters of Argon2id (RFC 9106). The defaults are those that OWASP recommends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Argon2 {
    /// Memory for one hash in KiB: 8 for each lane to 4194304. Default 19456.
    pub memory_kib: u32,
    /// Passes over the memory: 1 to 100. Default 2.
    pub iterations: u32,
    /// Lanes: 1 to 16. Default 1.
    pub parallelism: u32,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            issuer: None,
            access_token_minutes: 15,
            refresh_token_days: 30,
            refresh_overlap_seconds: 30,
            session_max_days: 365,
            lockout: Lockout::default(),
            argon2: Argon2::default(),
        }
    }
}

impl Default for Lockout {
    fn default() -> Self {
        Self { attempts_before_delay: 5, base_delay_seconds: 2, max_delay_minutes: 15, per_address_per_minute: 30 }
    }
}

impl Default for Argon2 {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

impl Validate for Identity {
    fn validate(&self, v: &mut Validation) {
        if let Some(issuer) = &self.issuer {
            v.check("issuer", !issuer.trim().is_empty(), "must not be empty");
        }
        v.range("access_token_minutes", self.access_token_minutes, 1..=1440);
        v.range("refresh_token_days", self.refresh_token_days, 1..=365);
        v.range("refresh_overlap_seconds", self.refresh_overlap_seconds, 0..=300);
        v.range("session_max_days", self.session_max_days, 1..=3650);
        v.section("lockout", &self.lockout);
        v.section("argon2", &self.argon2);
    }
}

impl Validate for Lockout {
    fn validate(&self, v: &mut Validation) {
        v.range("attempts_before_delay", self.attempts_before_delay, 1..=100);
        v.range("base_delay_seconds", self.base_delay_seconds, 1..=3600);
        v.range("max_delay_minutes", self.max_delay_minutes, 1..=1440);
        v.range("per_address_per_minute", self.per_address_per_minute, 1..=10_000);
    }
}

impl Validate for Argon2 {
    fn validate(&self, v: &mut Validation) {
        v.range("parallelism", self.parallelism, 1..=16);
        v.range("memory_kib", self.memory_kib, 8 * self.parallelism.clamp(1, 16)..=4_194_304);
        v.range("iterations", self.iterations, 1..=100);
    }
}
