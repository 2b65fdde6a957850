//! One use case, one file.

pub(crate) mod attempt;
mod change_password;
mod confirm_email;
pub(crate) mod ensure_admin;
pub(crate) mod guest_basket;
mod list_accounts;
mod me;
mod refresh;
mod register;
pub(crate) mod reset_password;
pub(crate) mod rotate_keys;
mod set_roles;
mod sign_in;
mod sign_out;
pub(crate) mod tidy;
mod token;
pub(crate) mod well_known;

use std::sync::Arc;

use bookworm_contracts::rest::identity::{self as rest, Account as View};
use bookworm_http::Problem;
use bookworm_kernel::ErrorCode;
use http::{HeaderValue, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{Account, Role},
    service::Identity,
};

pub(crate) fn routes() -> OpenApiRouter<Arc<Identity>> {
    OpenApiRouter::new()
        .routes(routes!(register::register))
        .routes(routes!(token::token))
        .routes(routes!(sign_out::sign_out))
        .routes(routes!(me::view_me, me::update_me))
        .routes(routes!(change_password::change_password))
        .routes(routes!(confirm_email::confirm_email))
        .routes(routes!(confirm_email::send_again))
        .routes(routes!(reset_password::request_reset))
        .routes(routes!(reset_password::check_reset))
        .routes(routes!(reset_password::confirm_reset))
        .routes(routes!(list_accounts::list_accounts))
        .routes(routes!(set_roles::set_roles))
}

/// The account as its owner, and an admin, may see it.
fn view(account: &Account) -> View {
    View {
        id: account.id,
        email: account.email.shown(),
        name: account.name.clone(),
        roles: account.roles.iter().copied().map(shown_role).collect(),
        email_confirmed: account.email_confirmed,
    }
}

fn shown_role(role: Role) -> rest::Role {
    match role {
        Role::Customer => rest::Role::Customer,
        Role::Agent => rest::Role::Agent,
        Role::Staff => rest::Role::Staff,
        Role::Admin => rest::Role::Admin,
    }
}

/// A role that a request names.
fn role(named: rest::Role) -> Role {
    match named {
        rest::Role::Customer => Role::Customer,
        rest::Role::Agent => Role::Agent,
        rest::Role::Staff => Role::Staff,
        rest::Role::Admin => Role::Admin,
    }
}

/// The token proves nothing: of an account that is gone, or a refresh token that is used up.
fn invalid_token(detail: &str) -> Problem {
    Problem::new(ErrorCode::InvalidToken)
        .detail(detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
}
