use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use bookworm_contracts::{
    events::identity::CustomerRegistered,
    rest::identity::{Account as View, RegisterRequest},
};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, ClientAddress, Origin, Problem, Result, Validator, openapi::ProblemResponses};
use bookworm_kernel::{CustomerId, Email, ErrorCode};
use http::{StatusCode, header};

use super::{attempt::too_many, confirm_email, guest_basket::GuestBasket, view};
use crate::{
    clients::NoMail,
    domain::{Account, check_password, with_customer},
    service::Identity,
    store,
};

/// Makes an account
///
/// `email_taken` when there is one with this address. A mail with a link asks to confirm the address; until then
/// `email_confirmed` is false, which does not keep anybody from buying. One client can make only so many accounts
/// (`too_many_requests` with `Retry-After`). A password has 8 to 128 characters and is not among those that
/// are tried first. A basket filled as a guest (`Basket-Token` or cookie `basket_token`) comes along. Sign in
/// afterwards.
#[utoipa::path(
    post, path = "/identity/register", tag = "identity", request_body = RegisterRequest,
    params(("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`")),
    responses((status = 201, description = "The account", body = View), ProblemResponses)
)]
pub(crate) async fn register(
    State(service): State<Arc<Identity>>,
    from: ClientAddress,
    Origin(cause): Origin,
    guest: GuestBasket,
    ApiJson(request): ApiJson<RegisterRequest>,
) -> Result<impl IntoResponse> {
    let mut valid = Validator::new();
    let email = valid.take("/email", Email::parse(&request.email));
    valid.take("/password", check_password(&request.password, &request.email));
    let name = valid.name("/name", &request.name);
    valid.finish()?;
    let Some(email) = email else { return Err(Problem::new(ErrorCode::ValidationFailed)) };
    let taken = || Problem::new(ErrorCode::EmailTaken).detail("Sign in instead, or use another address.");
    // Asking who has an account is guessing, until one is made.
    service.addresses().attempt(from.0, service.now()).map_err(too_many)?;
    if store::by_email(service.db.read(), &email).await?.is_some() {
        return Err(taken());
    }
    let mail = match service.clients.may_mail(confirm_email::KIND, from, &email, false, &cause).await {
        Err(refused @ NoMail::Sender(_)) => return Err(refused.into()),
        mail => mail,
    };
    let password_hash = service.hasher.hash(request.password).await.map_err(|error| Problem::internal(&error))?;
    let account =
        Account { id: CustomerId::new(), email, name, roles: with_customer([]), password_hash, email_confirmed: false };
    let (now, outbox, new) = (service.now(), service.outbox.clone(), account.clone());
    let is_new = service
        .db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                if !store::insert_account(tx, &new, now).await? {
                    return Ok(false);
                }
                if mail.is_ok() {
                    confirm_email::ask(tx, &outbox, &new, &cause, now).await?;
                }
                let event = CustomerRegistered { customer_id: new.id, email: new.email, name: new.name };
                outbox.put(tx, &cause, &event).await?;
                Ok(true)
            })
        })
        .await?;
    if !is_new {
        return Err(taken());
    }
    service.addresses().succeeded(from.0);
    metrics::counter!("identity_registrations_total").increment(1);
    service.clients.merge_basket(account.id, guest.0, &cause).await;
    Ok((StatusCode::CREATED, [(header::LOCATION, "/api/v1/identity/me")], ApiJson(view(&account))))
}
