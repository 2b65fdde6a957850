use std::{collections::BTreeSet, fmt};

use bookworm_contracts::rest::identity::{Account as View, Role};
use bookworm_kernel::{CustomerId, Email};

/// Somebody with an account.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Who.
    pub id: CustomerId,
    /// Where to reach them; also their name at sign-in.
    pub email: Email,
    /// How to address them.
    pub name: String,
    /// What they may do; `customer` is always among it.
    pub roles: BTreeSet<Role>,
    /// Argon2id in PHC notation.
    pub password_hash: String,
    /// Whether its owner proved that the address is theirs.
    pub email_confirmed: bool,
}

impl Account {
    /// The account as its owner, and an admin, may see it.
    pub fn view(&self) -> View {
        View {
            id: self.id,
            email: self.email.shown(),
            name: self.name.clone(),
            roles: self.roles.iter().copied().collect(),
            email_confirmed: self.email_confirmed,
        }
    }
}

impl fmt::Debug for Account {
    /// Hides the person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// A set of roles as an account may have it: everybody is a customer.
pub(crate) fn with_customer(roles: impl IntoIterator<Item = Role>) -> BTreeSet<Role> {
    roles.into_iter().chain([Role::Customer]).collect()
}
