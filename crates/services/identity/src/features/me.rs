use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::identity::{Account as View, UpdateAccountRequest};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, Result, Validator, auth::Signed, openapi::ProblemResponses};
use bookworm_kernel::CustomerId;

use super::{invalid_token, view};
use crate::{domain::Account, service::Identity, store};

impl Identity {
    /// The account of a signed-in caller.
    pub(crate) async fn account(&self, id: CustomerId) -> Result<Account> {
        let account = store::by_id(self.db.read(), id).await?;
        account.ok_or_else(|| invalid_token("The account does not exist any more."))
    }
}

/// Shows the caller's account
#[utoipa::path(
    get, path = "/identity/me", tag = "identity",
    responses((status = 200, description = "The account", body = View), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn view_me(State(service): State<Arc<Identity>>, Signed(caller): Signed) -> Result<ApiJson<View>> {
    Ok(ApiJson(view(&service.account(caller.id).await?)))
}

/// Changes the caller's name
///
/// Tokens name the old one until they are refreshed.
#[utoipa::path(
    patch, path = "/identity/me", tag = "identity", request_body = UpdateAccountRequest,
    responses((status = 200, description = "The account", body = View), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn update_me(
    State(service): State<Arc<Identity>>,
    Signed(caller): Signed,
    ApiJson(request): ApiJson<UpdateAccountRequest>,
) -> Result<ApiJson<View>> {
    let mut valid = Validator::new();
    let name = valid.name("/name", &request.name);
    valid.finish()?;
    let mut account = service.account(caller.id).await?;
    account.name.clone_from(&name);
    let id = caller.id;
    service.db.transact::<_, DbError, _>(move |tx| Box::pin(async move { store::rename(tx, id, &name).await })).await?;
    Ok(ApiJson(view(&account)))
}
