use bookworm_contracts::grpc::basket::{
    GetBasketRequest, GetBasketResponse, Line, MergeGuestRequest, MergeGuestResponse, basket_server::Basket,
    get_basket_request,
};
use bookworm_http::{Problem, grpc::to_status};
use bookworm_kernel::{CustomerId, FieldError};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    BasketService,
    domain::GuestToken,
    store::{self, Owner},
};

/// Answers other services.
#[derive(Debug)]
pub(crate) struct Server(pub BasketService);

#[async_trait]
impl Basket for Server {
    async fn get_basket(&self, request: Request<GetBasketRequest>) -> Result<Response<GetBasketResponse>, Status> {
        let owner = match request.into_inner().owner {
            Some(get_basket_request::Owner::CustomerId(id)) => Some(Owner::Customer(customer(&id)?)),
            Some(get_basket_request::Owner::GuestToken(token)) => {
                GuestToken::parse(&token).map(|token| Owner::Guest(token.hash()))
            }
            None => return Err(invalid("/owner", "must be a customer's id or a guest's token")),
        };
        let stored = match &owner {
            Some(owner) => store::find(self.0.db().read(), owner).await.map_err(failed)?,
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
        }))
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

fn customer(id: &str) -> Result<CustomerId, Status> {
    id.parse().map_err(|_| invalid("/customer_id", "must be a UUID"))
}

fn invalid(field: &str, message: &str) -> Status {
    to_status(&Problem::validation(vec![FieldError::new(field, message)]))
}

fn failed(error: bookworm_db::DbError) -> Status {
    to_status(&error.into())
}
