//! Accounts and tokens.

use bookworm_kernel::CustomerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody may do beyond buying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everybody with an account.
    Customer,
    /// Answers support chats.
    Agent,
    /// Manages the catalogue, stock and orders.
    Staff,
    /// Everything, and gives roles to others.
    Admin,
}

/// `POST /identity/register`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RegisterRequest {
    /// Where to reach you; also your name at sign-in.
    pub email: String,
    /// 8 to 128 characters.
    #[schema(min_length = 8, max_length = 128)]
    pub password: String,
    /// 1 to 100 characters.
    pub name: String,
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// The account's id; a token's `sub`.
    pub id: CustomerId,
    /// Where to reach them.
    pub email: String,
    /// How to address them.
    pub name: String,
    /// What they may do.
    pub roles: Vec<Role>,
    /// Whether they proved that the address is theirs.
    #[serde(default)]
    pub email_confirmed: bool,
}

/// `POST /identity/confirm-email`: proves that an account's address is its owner's.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailConfirmation {
    /// From the link in the mail.
    pub token: String,
}

/// `POST /identity/token`: with a password, or with the refresh token of an earlier answer.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "grant_type", rename_all = "snake_case")]
pub enum TokenRequest {
    /// Signing in.
    Password {
        /// The account's address.
        email: String,
        /// The account's password.
        password: String,
    },
    /// Staying signed in. Each refresh token is good for one use.
    RefreshToken {
        /// From the last answer.
        refresh_token: String,
    },
}

/// Proof of who you are.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenResponse {
    /// JWT signed with a published key; send it as `Authorization: Bearer`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// For the next `refresh_token` grant.
    pub refresh_token: String,
}

/// `POST /identity/sign-out`: ends the session that this refresh token belongs to.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SignOutRequest {
    /// Any refresh token of the session.
    pub refresh_token: String,
}

/// `PUT /identity/accounts/{id}/roles` (admin)
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RolesRequest {
    /// The new set; `customer` is always among them.
    pub roles: Vec<Role>,
}

/// `PATCH /identity/me`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccountRequest {
    /// 1 to 100 characters.
    pub name: String,
}

/// `POST /identity/me/password`: ends every session and answers with the tokens of a new one.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The password until now.
    pub current_password: String,
    /// 8 to 128 characters.
    #[schema(min_length = 8, max_length = 128)]
    pub new_password: String,
}

/// `POST /identity/password-reset`: asks for a mail with a link.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetRequest {
    /// The account's address.
    pub email: String,
}

/// `POST /identity/password-reset/check`: whether a link is still good.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetCheck {
    /// From the link in the mail.
    pub token: String,
}

/// `POST /identity/password-reset/confirm`: sets a new password and ends every session.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetConfirmation {
    /// From the link in the mail.
    pub token: String,
    /// 8 to 128 characters.
    #[schema(min_length = 8, max_length = 128)]
    pub new_password: String,
}
