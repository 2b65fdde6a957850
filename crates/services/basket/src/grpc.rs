//! What other services ask and command.

use std::sync::Arc;

use bookworm_contracts::grpc::basket::{
    Claim as Claimed, ClaimBasketRequest, ClaimBasketResponse, GetBasketRequest, GetBasketResponse, Line,
    MergeGuestRequest, MergeGuestResponse, ReleaseBasketRequest, ReleaseBasketResponse, basket_server,
    get_basket_request,
};
use bookworm_http::{Problem, grpc::to_status};
use bookworm_kernel::{CustomerId, FieldError, OrderId};
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;

use crate::{
    domain::{Claim, GuestToken},
    service::Baskets,
    store::Owner,
};

/// The longest name of a claimant, in bytes.
const MAX_CLAIMANT: usize = 200;

/// Reads requests and writes answers; the work is done by `features`.
#[derive(Debug)]
pub(crate) struct Server(pub Arc<Baskets>);

#[async_trait]
impl basket_server::Basket for Server {
    async fn get_basket(&self, request: Request<GetBasketRequest>) -> Result<Response<GetBasketResponse>, Status> {
        let owner = match request.into_inner().owner {
            Some(get_basket_request::Owner::CustomerId(id)) => Some(Owner::Customer(customer(&id)?)),
            Some(get_basket_request::Owner::GuestToken(token)) => {
                GuestToken::parse(&token).map(|token| Owner::Guest(token.hash()))
            }
            None => return Err(invalid("/owner", "must be a customer's id or a guest's token")),
        };
        let stored = match &owner {
            Some(owner) => self.0.stored(owner).await.map_err(failed)?,
            None => None,
        };
        let Some(stored) = stored else { return Ok(Response::new(GetBasketResponse::default())) };
        let lines = stored.basket.lines().iter().map(|line| Line {
            book_id: line.seen.book_id.to_string(),
            quantity: line.quantity.get(),
            seen_price: line.seen.price.amount,
            currency: line.seen.price.currency.code().to_owned(),
            seen_title: line.seen.title.clone(),
        });
        Ok(Response::new(GetBasketResponse {
            basket_id: stored.basket.id.to_string(),
            lines: lines.collect(),
            version: stored.basket.version,
            claims: stored.basket.claims().iter().map(|claim| self.claimed(claim)).collect(),
        }))
    }

    async fn claim_basket(
        &self,
        request: Request<ClaimBasketRequest>,
    ) -> Result<Response<ClaimBasketResponse>, Status> {
        let request = request.into_inner();
        let basket = basket(&request.basket_id)?;
        if !(1..=MAX_CLAIMANT).contains(&request.claimant.len()) {
            return Err(invalid("/claimant", "must be 1 to 200 bytes"));
        }
        let order_id = order(&request.order_id)?;
        let wanted = Claim { order_id, claimant: request.claimant, at: self.0.now() };
        let granted = self.0.claim(basket, request.version, wanted).await.map_err(failed)?;
        let order_id = granted.map_or_else(String::new, |order_id| order_id.to_string());
        Ok(Response::new(ClaimBasketResponse { order_id }))
    }

    async fn release_basket(
        &self,
        request: Request<ReleaseBasketRequest>,
    ) -> Result<Response<ReleaseBasketResponse>, Status> {
        let request = request.into_inner();
        let (basket, order) = (basket(&request.basket_id)?, order(&request.order_id)?);
        let released = self.0.release(basket, order).await.map_err(failed)?;
        Ok(Response::new(ReleaseBasketResponse { released }))
    }

    async fn merge_guest(&self, request: Request<MergeGuestRequest>) -> Result<Response<MergeGuestResponse>, Status> {
        let request = request.into_inner();
        let customer = customer(&request.customer_id)?;
        let merged = match GuestToken::parse(&request.guest_token) {
            Some(guest) => self.0.merge_guest(customer, &guest).await.map_err(failed)?,
            None => 0,
        };
        Ok(Response::new(MergeGuestResponse { merged: u32::try_from(merged).unwrap_or(u32::MAX) }))
    }
}

impl Server {
    fn claimed(&self, claim: &Claim) -> Claimed {
        let age = self.0.now().since(claim.at);
        Claimed {
            order_id: claim.order_id.to_string(),
            claimant: claim.claimant.clone(),
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn basket(id: &str) -> Result<Uuid, Status> {
    id.parse().map_err(|_| invalid("/basket_id", "must be a UUID"))
}

fn order(id: &str) -> Result<OrderId, Status> {
    id.parse().map_err(|_| invalid("/order_id", "must be a UUID"))
}

fn customer(id: &str) -> Result<CustomerId, Status> {
    id.parse().map_err(|_| invalid("/customer_id", "must be a UUID"))
}

fn invalid(field: &str, message: &str) -> Status {
    to_status(&Problem::validation(vec![FieldError::new(field, message)]))
}

fn failed(error: bookworm_db::DbError) -> Status {
    to_status(&error.into())
}
