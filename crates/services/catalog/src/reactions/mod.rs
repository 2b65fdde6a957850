//! What the catalogue does when others send commands or publish events.

mod book_rated;
mod order_completed;
mod order_confirmed;
mod release_stock;
mod reserve_stock;

use std::sync::Arc;

use bookworm_contracts::{
    commands::{ReleaseStock, ReserveStock},
    events::{
        ordering::{OrderCompleted, OrderConfirmed},
        rating::BookRated,
    },
};
use bookworm_messaging::Consumer;

use crate::service::Catalog;

pub(crate) fn consumers(catalog: &Arc<Catalog>) -> Vec<Consumer> {
    let (reserve, release, complete, confirm) = (catalog.clone(), catalog.clone(), catalog.clone(), catalog.clone());
    let rated = catalog.clone();
    vec![
        Consumer::new("catalog.stock")
            .on::<ReserveStock, _, _>(move |message| reserve_stock::react(reserve.clone(), message))
            .on::<ReleaseStock, _, _>(move |message| release_stock::react(release.clone(), message)),
        Consumer::new("catalog.inventory")
            .on::<OrderCompleted, _, _>(move |message| order_completed::react(complete.clone(), message)),
        Consumer::new("catalog.shoppers")
            .on::<OrderConfirmed, _, _>(move |message| order_confirmed::react(confirm.clone(), message)),
        Consumer::new("catalog.ratings")
            .on::<BookRated, _, _>(move |message| book_rated::react(rated.clone(), message)),
    ]
}
