//! One use case, one file.

mod add_item;
pub(crate) mod claim;
mod clear;
pub(crate) mod expire_guests;
mod merge_guest;
mod remove_item;
mod set_quantity;
mod shopper;
mod show;
pub(crate) mod stored_basket;
mod view_basket;

use std::sync::Arc;

use bookworm_db::DbError;
use bookworm_http::{Problem, Result};
use bookworm_kernel::{ErrorCode, FieldError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{Basket, BasketError, GuestToken},
    features::shopper::{Answer, Secret, Shopper},
    features::show::show,
    service::Baskets,
    store::{self, Owner},
};

pub(crate) fn routes() -> OpenApiRouter<Arc<Baskets>> {
    OpenApiRouter::new()
        .routes(routes!(view_basket::view_basket, clear::clear_basket))
        .routes(routes!(add_item::add_item))
        .routes(routes!(set_quantity::set_quantity, remove_item::remove_item))
}

/// How often an owner may get a basket from another request while this one makes one.
const TRIES: usize = 5;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
enum ChangeError {
    #[error(transparent)]
    Rule(#[from] BasketError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Rule(rule @ BasketError::LineFull { .. }) => {
                Self::validation(vec![FieldError::new("/quantity", rule)])
            }
            ChangeError::Rule(rule @ BasketError::Full { .. }) => {
                Self::new(ErrorCode::BasketFull).detail(format!("{}.", capitalised(&rule.to_string())))
            }
            ChangeError::Rule(BasketError::NoSuchLine) => {
                Self::new(ErrorCode::NotFound).detail("The book is not in the basket.")
            }
            ChangeError::Db(error) => error.into(),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl Baskets {
    /// Applies a rule to the shopper's basket and shows what came of it. An owner without a basket has an empty one,
    /// and gets a stored one, a guest with a new secret, when the rule put something in.
    async fn change<R>(&self, shopper: &Shopper, rule: R) -> Result<Answer>
    where
        R: Fn(&mut Basket) -> Result<(), BasketError> + Send + Sync + 'static,
    {
        let (owner, secret) = self.owner(shopper).await?;
        let token = GuestToken::new();
        let new_owner = match &owner {
            Some(Owner::Customer(id)) => Owner::Customer(*id),
            _ => Owner::Guest(token.hash()),
        };
        let now = self.now();
        let (basket, is_new) =
            self.db.transact(move |tx| Box::pin(async move { apply(tx, owner, new_owner, now, rule).await })).await?;
        let secret = match (secret, shopper.customer, &shopper.guest) {
            (secret, Some(_), _) => secret,
            (_, None, _) if is_new => Secret::Set(token),
            // Its basket was touched, so its cookie is good for as long again.
            (_, None, Some(guest)) if basket.version > 0 => Secret::Set(guest.clone()),
            (secret, None, _) => secret,
        };
        // The change is committed already: a catalogue that does not answer cannot undo it.
        let ids = basket.lines().iter().map(|line| line.seen.book_id);
        let offers = self.catalogue.recent(&shopper.cause, ids).await.ok();
        Ok(Answer {
            basket: show(&basket, offers.as_ref(), self.settings.currency)?,
            secret,
            degraded: offers.is_none(),
            settings: self.settings,
        })
    }
}

/// Returns the basket, and whether it was made just now.
async fn apply(
    tx: &bookworm_db::Tx,
    owner: Option<Owner>,
    new_owner: Owner,
    now: bookworm_kernel::Timestamp,
    rule: impl Fn(&mut Basket) -> Result<(), BasketError> + Send + Sync,
) -> Result<(Basket, bool), ChangeError> {
    for _ in 0..TRIES {
        let stored = match &owner {
            Some(owner) => store::lock(tx, owner).await?,
            None => None,
        };
        let is_new = stored.is_none();
        let mut basket = stored.map_or_else(Basket::new, |stored| stored.basket);
        let before = basket.version;
        rule(&mut basket)?;
        if basket.version == before {
            return Ok((basket, false));
        }
        if !is_new {
            store::update(tx, &basket, now).await?;
            return Ok((basket, false));
        }
        if store::insert(tx, &new_owner, &basket, now).await? {
            return Ok((basket, true));
        }
    }
    Err(DbError::Busy.into())
}
