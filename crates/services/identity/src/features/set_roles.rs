use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::identity::{Account as View, RolesRequest};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, ApiPath, Problem, Result, auth::AdminOnly, openapi::ProblemResponses};
use bookworm_kernel::{CustomerId, FieldError};

use super::{role, view};
use crate::{
    domain::{Role, with_customer},
    service::Identity,
    store,
};

enum Outcome {
    Set(View),
    Unknown,
    LastAdmin,
}

/// Gives an account its roles
///
/// For admins. The new set replaces the old one; `customer` is always in it. The last admin must stay one
/// (`validation_failed`). Access tokens carry the old roles until they are refreshed, a quarter of an hour at most.
#[utoipa::path(
    put, path = "/identity/accounts/{id}/roles", tag = "identity", request_body = RolesRequest,
    params(("id" = CustomerId, Path, description = "The account")),
    responses((status = 200, description = "The account", body = View), ProblemResponses),
    security(("bearer" = ["admin"]))
)]
pub(crate) async fn set_roles(
    State(service): State<Arc<Identity>>,
    AdminOnly(admin): AdminOnly,
    ApiPath(id): ApiPath<CustomerId>,
    ApiJson(request): ApiJson<RolesRequest>,
) -> Result<ApiJson<View>> {
    let roles = with_customer(request.roles.into_iter().map(role));
    let outcome = service
        .db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                let admins = store::lock_admins(tx).await?;
                let Some(mut account) = store::by_id(tx, id).await? else { return Ok(Outcome::Unknown) };
                if admins == [id] && !roles.contains(&Role::Admin) {
                    return Ok(Outcome::LastAdmin);
                }
                store::set_roles(tx, id, &roles).await?;
                account.roles = roles;
                Ok(Outcome::Set(view(&account)))
            })
        })
        .await?;
    match outcome {
        Outcome::Set(account) => {
            tracing::info!(security = true, account_id = %id, by = %admin.id, roles = ?account.roles, "roles were changed");
            Ok(ApiJson(account))
        }
        Outcome::Unknown => Err(Problem::not_found("account")),
        Outcome::LastAdmin => {
            Err(Problem::validation(vec![FieldError::new("/roles", "must keep `admin`: this is the last admin")]))
        }
    }
}
