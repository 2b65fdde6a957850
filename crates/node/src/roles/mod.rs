//! One file for each role: what it is handed, and what it brings.

mod ai;
mod basket;
mod catalog;
mod chat;
mod finance;
mod identity;
mod monitor;
mod notification;
mod ordering;
mod rating;
mod web;

use crate::{Role, Roles, clients::Clients, foundation::Foundation, part::Part};

/// Builds the roles in the order in which they ask each other, and says what they bring together.
///
/// # Errors
/// When one cannot open its data, or lacks a role that it asks.
pub async fn build(foundation: &Foundation, roles: &Roles) -> anyhow::Result<Part> {
    let mut part = Part::default();
    for role in roles.iter() {
        let clients = Clients { here: &part.grpc, fleet: &foundation.fleet, peers: &foundation.peers };
        // Boxed, so that not every role's own steps lie on the stack of whoever builds one.
        let mut brings = match role {
            Role::Ai => ai::build(foundation)?,
            Role::Catalog => Box::pin(catalog::build(foundation, &clients)).await?,
            Role::Basket => Box::pin(basket::build(foundation, &clients)).await?,
            Role::Notification => Box::pin(notification::build(foundation)).await?,
            Role::Identity => Box::pin(identity::build(foundation, &clients)).await?,
            Role::Finance => Box::pin(finance::build(foundation)).await?,
            Role::Ordering => Box::pin(ordering::build(foundation, &clients)).await?,
            Role::Rating => Box::pin(rating::build(foundation, &clients)).await?,
            Role::Chat => Box::pin(chat::build(foundation, &clients)).await?,
            // It stands before all the others, and is built when they are there.
            Role::Gateway => Part::default(),
            Role::Web => web::build(foundation)?,
            Role::Monitor => monitor::build(foundation)?,
        };
        brings.api =
            brings.api.layer(bookworm_http::Stack::new().with_state(role.name(), bookworm_http::context::role));
        part = part.and(brings);
    }
    Ok(part)
}
