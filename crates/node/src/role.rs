use std::{fmt, str::FromStr};

/// A service of the shop. A process runs all of them, or some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Models.
    Ai,
    /// Books and stock.
    Catalog,
    /// Baskets of guests and customers.
    Basket,
    /// Accounts and tokens.
    Identity,
    /// Payments and the ledger.
    Finance,
    /// Orders and the checkout saga.
    Ordering,
    /// Mails.
    Notification,
    /// Support chat.
    Chat,
    /// The entry point for everything from outside.
    Gateway,
    /// The pages.
    Web,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 10] = [
        Self::Ai,
        Self::Catalog,
        Self::Basket,
        Self::Identity,
        Self::Finance,
        Self::Ordering,
        Self::Notification,
        Self::Chat,
        Self::Gateway,
        Self::Web,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ai => "ai",
            Self::Catalog => "catalog",
            Self::Basket => "basket",
            Self::Identity => "identity",
            Self::Finance => "finance",
            Self::Ordering => "ordering",
            Self::Notification => "notification",
            Self::Chat => "chat",
            Self::Gateway => "gateway",
            Self::Web => "web",
        }
    }

    /// The roles that it asks directly, and so must have in its process. Catalogue and chat ask `ai` too, but can do
    /// without.
    #[must_use]
    pub const fn asks(self) -> &'static [Self] {
        match self {
            Self::Ai | Self::Catalog | Self::Finance | Self::Notification | Self::Gateway => &[],
            Self::Basket => &[Self::Catalog],
            Self::Identity => &[Self::Basket, Self::Notification],
            Self::Ordering => &[Self::Basket, Self::Catalog],
            Self::Chat => &[Self::Basket, Self::Notification, Self::Ordering],
            Self::Web => &[Self::Gateway],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; the roles are {names}", names = Role::ALL.map(Role::name).join(", "))]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|role| role.name() == wanted).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// The roles of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

/// Why these roles cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolesError {
    /// A name is wrong.
    #[error(transparent)]
    Unknown(#[from] UnknownRole),
    /// A role lacks another that it asks.
    #[error("the role {0} asks {1}, which is not among this process's roles: add it")]
    Lacks(Role, Role),
}

impl Roles {
    /// Reads names; none at all means every role.
    ///
    /// # Errors
    /// When a name is unknown, or a role lacks another that it asks.
    pub fn parse(names: &[String]) -> Result<Self, RolesError> {
        let mut roles = names.iter().map(|name| name.parse()).collect::<Result<Vec<Role>, _>>()?;
        if roles.is_empty() {
            roles.extend(Role::ALL);
        }
        roles.sort_unstable();
        roles.dedup();
        let lack = roles.iter().find_map(|role| {
            role.asks().iter().find(|asked| !roles.contains(asked)).map(|asked| RolesError::Lacks(*role, *asked))
        });
        lack.map_or(Ok(Self(roles)), Err)
    }

    /// Whether the process runs this role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(names: &[&str]) -> Result<Roles, RolesError> {
        Roles::parse(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn no_names_mean_every_role() {
        assert!(Role::ALL.into_iter().all(|role| parse(&[]).unwrap().has(role)));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = parse(&["catalogue"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`catalogue` is not a role; the roles are ai, catalog, basket, identity, finance, ordering, notification, chat, gateway, web"
        );
    }

    #[test]
    fn a_role_that_lacks_another_says_so() {
        assert_eq!(parse(&["basket"]), Err(RolesError::Lacks(Role::Basket, Role::Catalog)));
        assert!(parse(&["basket", "catalog", "gateway"]).is_ok());
    }
}
