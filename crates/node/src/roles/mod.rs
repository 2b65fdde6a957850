//! One file for each role: what it is handed, and what it brings.

mod ai;
mod basket;
mod catalog;
mod chat;
mod finance;
mod identity;
mod notification;
mod ordering;
mod web;

use axum::Router;
use bookworm_chat::{bot::Writer, triage::embed::Models};
use bookworm_contracts::grpc::ai::ai_client::AiClient;

use crate::{FirstAdmin, Role, Roles, clients, foundation::Foundation, part::Part};

/// Every role of this process, built.
pub struct Built {
    /// What they bring together.
    pub part: Part,
    /// Makes the pages, given the API that they call.
    pub pages: Option<Box<dyn FnOnce(Router) -> Router + Send>>,
    /// The administrator that identity made, if this was the first start.
    pub first_admin: Option<FirstAdmin>,
}

/// Builds the roles in the order in which they ask each other.
///
/// # Errors
/// When one cannot open its data.
pub async fn build(foundation: &Foundation, roles: &Roles) -> anyhow::Result<Built> {
    let mut part = Part::default();
    let mut first_admin = None;
    if roles.has(Role::Ai) {
        part = part.and(ai::build(foundation)?);
    }
    if roles.has(Role::Catalog) {
        // Two edges, so that a long batch of books is no sign that queries fail.
        let models = clients::ai(&part, "catalog.ai.queries").zip(clients::ai(&part, "catalog.ai.books"));
        let models = models.map(|(queries, books)| bookworm_catalog::Models { queries, books });
        let brings = catalog::build(foundation, models).await?;
        part = part.and(brings);
    }
    if let (true, Some(catalog)) = (roles.has(Role::Basket), clients::catalog(&part, "basket.catalog")) {
        part = part.and(basket::build(foundation, catalog).await?);
    }
    if roles.has(Role::Notification) {
        part = part.and(notification::build(foundation).await?);
    }
    if let (true, Some(basket), Some(mail)) = (
        roles.has(Role::Identity),
        clients::basket(&part, "identity.basket"),
        clients::mailroom(&part, "identity.notification"),
    ) {
        let (admin, brings) = identity::build(foundation, basket, mail).await?;
        first_admin = admin;
        part = part.and(brings);
    }
    if roles.has(Role::Finance) {
        part = part.and(finance::build(foundation).await?);
    }
    if let (true, Some(catalog), Some(basket)) = (
        roles.has(Role::Ordering),
        clients::catalog(&part, "ordering.catalog"),
        clients::basket(&part, "ordering.basket"),
    ) {
        part = part.and(ordering::build(foundation, catalog, basket).await?);
    }
    if let (true, Some(basket), Some(ordering), Some(mail)) = (
        roles.has(Role::Chat),
        clients::basket(&part, "chat.basket"),
        clients::ordering(&part, "chat.ordering"),
        clients::mailroom(&part, "chat.notification"),
    ) {
        let models = clients::ai(&part, "chat.ai.messages").zip(clients::ai(&part, "chat.ai.background"));
        let models = models.map(|(messages, background)| Models { messages, background });
        let writer = match foundation.settings.ai.chat_url {
            Some(_) => clients::ai(&part, "chat.ai.writer").map(|ai| Writer::new(AiClient::new(ai))),
            None => None,
        };
        let brings = chat::build(foundation, models, writer, basket, ordering, mail).await?;
        part = part.and(brings);
    }
    let pages = if roles.has(Role::Web) { Some(web::build(foundation)?) } else { None };
    Ok(Built { part, pages, first_admin })
}
