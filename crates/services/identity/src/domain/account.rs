use std::{collections::BTreeSet, fmt};

use bookworm_kernel::{CustomerId, Email};

/// What an account may do beyond buying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// Every account.
    Customer,
    /// Answers support chats.
    Agent,
    /// Manages the catalogue, stock and orders.
    Staff,
    /// Everything, and gives roles to others.
    Admin,
}

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
