//! The shop as several processes, that meet over the network only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod apart;
mod degraded;
mod health;
mod intruders;
mod monitor;
mod registry;
mod tls;
mod vectors;
mod web;

/// Every role in a process of its own.
const APART: [&str; 12] = [
    "gateway",
    "ai",
    "catalog",
    "basket",
    "notification",
    "identity",
    "finance",
    "ordering",
    "rating",
    "chat",
    "web",
    "monitor",
];

/// Runs a test on PostgreSQL, where processes share the bus; says loudly when there is none.
async fn on_postgres<Fut: Future<Output = ()>>(test: impl FnOnce(String) -> Fut) {
    if let Some(server) = bookworm_testing::postgres_url() {
        test(server).await;
    }
}
