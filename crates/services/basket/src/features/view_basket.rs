use std::{sync::Arc, time::Duration};

use axum::extract::State;
use bookworm_contracts::rest::basket::Basket as View;
use bookworm_db::DbError;
use bookworm_http::{Result, openapi::ProblemResponses};
use bookworm_kernel::BookId;

use crate::{
    clients::Offers,
    domain::Basket,
    features::shopper::{Answer, Shopper},
    features::show::show,
    service::Baskets,
    store::{self, Owner},
};

/// Reading extends the life of a guest's basket; that is recorded at most this often.
const TOUCH: Duration = Duration::from_secs(24 * 60 * 60);

/// Shows the basket at today's prices
///
/// A price that is another than when the basket was last shown is marked once: `price_changed`, `previous_price`. A
/// book that is no longer sold stays, with nothing available. When the catalogue does not answer, what was seen last
/// is shown, and the answer carries `Basket-Degraded: 1`.
#[utoipa::path(
    get, path = "/basket", tag = "basket",
    params(("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`")),
    responses((status = 200, description = "The basket", body = View), ProblemResponses)
)]
pub(crate) async fn view_basket(State(service): State<Arc<Baskets>>, shopper: Shopper) -> Result<Answer> {
    let (owner, secret) = service.owner(&shopper).await?;
    let (settings, currency) = (service.settings, service.settings.currency);
    let stored = match &owner {
        Some(owner) => store::find(service.db.read(), owner).await?,
        None => None,
    };
    let (Some(owner), Some(stored)) = (owner, stored) else {
        return Ok(Answer { basket: show(&Basket::new(), None, currency)?, secret, degraded: false, settings });
    };
    let mut basket = stored.basket;
    let ids: Vec<BookId> = basket.lines().iter().map(|line| line.seen.book_id).collect();
    let offers = service.catalogue.now(&shopper.cause, &ids).await.ok();
    let shown = show(&basket, offers.as_ref(), currency)?;
    let changed = offers.as_ref().is_some_and(|offers| basket.see(offers));
    if changed || service.now().since(stored.touched_at) > TOUCH {
        remember(&service, owner, offers.clone().unwrap_or_default()).await?;
    }
    Ok(Answer { basket: shown, secret, degraded: offers.is_none(), settings })
}

/// Stores what the customer has been shown. The basket may have changed meanwhile, so it is read again.
async fn remember(service: &Arc<Baskets>, owner: Owner, offers: Offers) -> Result<(), DbError> {
    let now = service.now();
    service
        .db
        .transact(move |tx| {
            Box::pin(async move {
                if let Some(mut stored) = store::lock(tx, &owner).await? {
                    stored.basket.see(&offers);
                    store::update(tx, &stored.basket, now).await?;
                }
                Ok(())
            })
        })
        .await
}
