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

use crate::{FirstAdmin, Role, Roles, foundation::Foundation, part::Part};

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
    let mut clients = Clients::default();
    if roles.has(Role::Ai) {
        let (ai, brings) = ai::build(foundation)?;
        clients.ai = Some(ai);
        part = part.and(brings);
    }
    if roles.has(Role::Catalog) {
        let (catalog, brings) = catalog::build(foundation, clients.ai.clone()).await?;
        clients.catalog = Some(catalog);
        part = part.and(brings);
    }
    if let (true, Some(catalog)) = (roles.has(Role::Basket), &clients.catalog) {
        let (basket, brings) = basket::build(foundation, catalog.clone()).await?;
        clients.basket = Some(basket);
        part = part.and(brings);
    }
    if roles.has(Role::Notification) {
        let (notification, brings) = notification::build(foundation).await?;
        clients.notification = Some(notification);
        part = part.and(brings);
    }
    if let (true, Some(basket), Some(mail)) = (roles.has(Role::Identity), &clients.basket, &clients.notification) {
        let (admin, brings) = identity::build(foundation, basket.clone(), mail.clone()).await?;
        first_admin = admin;
        part = part.and(brings);
    }
    if roles.has(Role::Finance) {
        part = part.and(finance::build(foundation).await?);
    }
    if let (true, Some(catalog), Some(basket)) = (roles.has(Role::Ordering), clients.catalog, clients.basket.clone()) {
        let (ordering, brings) = ordering::build(foundation, catalog, basket).await?;
        clients.ordering = Some(ordering);
        part = part.and(brings);
    }
    if let (true, Some(basket), Some(ordering), Some(mail)) =
        (roles.has(Role::Chat), clients.basket, clients.ordering, clients.notification)
    {
        part = part.and(chat::build(foundation, clients.ai, basket, ordering, mail).await?);
    }
    let pages = if roles.has(Role::Web) { Some(web::build(foundation)?) } else { None };
    Ok(Built { part, pages, first_admin })
}

/// Clients of the roles that others ask.
#[derive(Default)]
struct Clients {
    ai: Option<ai::Client>,
    catalog: Option<catalog::Client>,
    basket: Option<basket::Client>,
    ordering: Option<ordering::Client>,
    notification: Option<notification::Client>,
}
