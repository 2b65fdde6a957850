use std::fmt;

use bookworm_config::Secret;
use bookworm_db::DbError;
use bookworm_kernel::{CustomerId, Email, InvalidEmail};

use crate::{
    domain::{Account, Role, check_length, readable_password, with_customer},
    service::Identity,
    store,
};

/// The first admin's address when the settings name none.
const DEFAULT_EMAIL: &str = "admin@bookworm.example";

/// How the first admin signs in: to be printed once, since the password is stored nowhere.
#[derive(Clone)]
pub struct PrintedOnce {
    /// The account's address.
    pub email: String,
    /// Its random password.
    pub password: String,
}

impl fmt::Debug for PrintedOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrintedOnce(hidden)")
    }
}

/// Why the first admin cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The setting is not an address.
    #[error("admin.email {0}")]
    Email(InvalidEmail),
    /// The setting is not a password.
    #[error("admin.password {0}")]
    Password(String),
    /// The password cannot be hashed.
    #[error("the admin's password cannot be hashed")]
    Hash(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error("the first admin cannot be stored")]
    Db(#[from] DbError),
}

pub(crate) async fn ensure_admin(
    service: &Identity,
    email: Option<&str>,
    password: Option<&Secret>,
) -> Result<Option<PrintedOnce>, AdminError> {
    if store::any_admin(service.db.read()).await? {
        return Ok(None);
    }
    let email = Email::parse(email.unwrap_or(DEFAULT_EMAIL)).map_err(AdminError::Email)?;
    if let Some(password) = password {
        check_length(password.expose()).map_err(|error| AdminError::Password(error.to_string()))?;
    }
    let chosen = password.map_or_else(readable_password, |password| password.expose().to_owned());
    let hash = service.hasher.hash(chosen.clone()).await.map_err(|error| AdminError::Hash(Box::new(error)))?;
    let roles = with_customer([Role::Admin]);
    let account = Account {
        id: CustomerId::new(),
        email: email.clone(),
        name: "Admin".to_owned(),
        roles,
        password_hash: hash,
        // Whoever sets the shop up says so.
        email_confirmed: true,
    };
    let now = service.now();
    let is_new = service
        .db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                if store::insert_account(tx, &account, now).await? {
                    return Ok(true);
                }
                if let Some(existing) = store::by_email(tx, &account.email).await? {
                    let roles = existing.roles.into_iter().chain([Role::Admin]).collect();
                    store::set_roles(tx, existing.id, &roles).await?;
                    store::confirm_email(tx, existing.id, now).await?;
                }
                Ok(false)
            })
        })
        .await?;
    Ok((is_new && password.is_none()).then(|| PrintedOnce { email: email.to_string(), password: chosen }))
}
