use bookworm_kernel::Email;
use serde::{Deserialize, Serialize};

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// The first administrator, made at the first start. Set both or neither: without them an account is made up and its
/// password printed once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// The administrator's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The administrator's password: 8 to 128 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

impl Validate for Admin {
    fn validate(&self, v: &mut Validation) {
        if let Some(email) = &self.email {
            v.check("email", Email::parse(email).is_ok(), "must be an e-mail address");
            v.check("password", self.password.is_some(), "must be set when admin.email is");
        }
        if let Some(password) = &self.password {
            let length = password.expose().chars().count();
            v.check("password", (8..=128).contains(&length), "must be 8 to 128 characters");
            v.check("email", self.email.is_some(), "must be set when admin.password is");
        }
    }
}
