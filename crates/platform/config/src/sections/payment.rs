use serde::{Deserialize, Serialize};

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// The payment provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payment {
    /// Who moves the money. Default `sandbox`.
    pub provider: PaymentProvider,
    /// Signs and verifies what the provider calls back with: 16 characters at least. Left out: made at the first start
    /// and stored in the sandbox's database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<Secret>,
    /// After how many seconds a call to the provider is given up: 1 to 120. Default 10.
    pub timeout_seconds: u64,
    /// The provider that moves no money.
    pub sandbox: Sandbox,
}

/// Who moves the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentProvider {
    /// Nobody: test cards that approve, decline, ask for confirmation, or never answer.
    Sandbox,
}

/// The provider that moves no money.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// Whether its test cards are offered. Default true.
    pub enabled: bool,
    /// How many milliseconds each of its answers takes: 0 to 60000. Default 0.
    pub latency_ms: u64,
    /// How many minutes a customer has to confirm a payment: 1 to 1440. Default 15.
    pub challenge_minutes: u32,
}

impl Default for Payment {
    fn default() -> Self {
        Self {
            provider: PaymentProvider::Sandbox,
            webhook_secret: None,
            timeout_seconds: 10,
            sandbox: Sandbox::default(),
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { enabled: true, latency_ms: 0, challenge_minutes: 15 }
    }
}

impl Validate for Payment {
    fn validate(&self, v: &mut Validation) {
        v.range("timeout_seconds", self.timeout_seconds, 1..=120);
        if let Some(secret) = &self.webhook_secret {
            v.check("webhook_secret", secret.expose().chars().count() >= 16, "must be at least 16 characters");
        }
        v.section("sandbox", &self.sandbox);
    }
}

impl Validate for Sandbox {
    fn validate(&self, v: &mut Validation) {
        v.range("latency_ms", self.latency_ms, 0..=60_000);
        v.range("challenge_minutes", self.challenge_minutes, 1..=1440);
    }
}
