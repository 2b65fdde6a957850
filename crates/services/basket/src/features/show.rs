//! A basket as the client sees it.

use bookworm_contracts::rest::basket::{Basket as View, BasketLine};
use bookworm_http::{Problem, Result};
use bookworm_kernel::{Currency, Money};

use crate::{
    clients::Offers,
    domain::{Basket, Line},
};

/// Shows a basket at today's prices, or without `offers` as it was seen last. A book that is no longer sold stays
/// in it, shown with nothing available.
///
/// # Errors
/// 500 when an amount does not fit, which no price that the catalogue takes can bring about.
pub(crate) fn show(basket: &Basket, offers: Option<&Offers>, currency: Currency) -> Result<View> {
    let items = basket.lines().iter().map(|line| show_line(line, offers)).collect::<Result<Vec<_>>>()?;
    let currency = items.first().map_or(currency, |line| line.unit_price.currency);
    // After the shop has changed its currency, books that are no longer sold have a price in the old one.
    let totals = items.iter().map(|line| line.line_total).filter(|total| total.currency == currency);
    let subtotal = Money::sum(currency, totals).map_err(|error| Problem::internal(&error))?;
    let order_under_way = basket.claims().first().map(|claim| claim.order_id);
    Ok(View { items, subtotal, version: basket.version, order_under_way })
}

fn show_line(line: &Line, offers: Option<&Offers>) -> Result<BasketLine> {
    let seen = &line.seen;
    let offer = offers.map_or(Some(seen), |offers| offers.get(&seen.book_id));
    let shown = offer.unwrap_or(seen);
    let price_changed = shown.price != seen.price;
    Ok(BasketLine {
        book_id: seen.book_id,
        title: shown.title.clone(),
        authors: shown.authors.clone(),
        language: shown.language.clone(),
        quantity: line.quantity,
        unit_price: shown.price,
        line_total: shown.price.times(line.quantity.get()).map_err(|error| Problem::internal(&error))?,
        available: offer.map_or(0, |offer| offer.available),
        price_changed,
        previous_price: price_changed.then_some(seen.price),
        cover_url: shown.cover_url.clone(),
    })
}
