use std::{fmt, str::FromStr};

/// A service of the shop. A process runs all of them, or some. Each asks only those before it, but for the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Models.
    Ai,
    /// Books and stock.
    Catalog,
    /// Baskets of guests and customers.
    Basket,
    /// Mails.
    Notification,
    /// Accounts and tokens.
    Identity,
    /// Payments and the ledger.
    Finance,
    /// Orders and the checkout saga.
    Ordering,
    /// What readers think of books.
    Rating,
    /// Support chat.
    Chat,
    /// The entry point for everything from outside.
    Gateway,
    /// The pages.
    Web,
    /// Who of the others answers.
    Monitor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 12] = [
        Self::Ai,
        Self::Catalog,
        Self::Basket,
        Self::Notification,
        Self::Identity,
        Self::Finance,
        Self::Ordering,
        Self::Rating,
        Self::Chat,
        Self::Gateway,
        Self::Web,
        Self::Monitor,
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
            Self::Rating => "rating",
            Self::Notification => "notification",
            Self::Chat => "chat",
            Self::Gateway => "gateway",
            Self::Web => "web",
            Self::Monitor => "monitor",
        }
    }

    /// What customers notice while it is away, for operators.
    #[must_use]
    pub const fn without(self) -> &'static str {
        match self {
            Self::Ai => "the search and the chat's bot go by words alone",
            Self::Catalog => "books are shown as they were, and the pages say so; no orders are taken",
            Self::Basket => "baskets can be neither shown nor changed; browsing goes on",
            Self::Notification => "mails wait on the bus; the contact form and new mail links are refused",
            Self::Identity => "nobody signs in; whoever is signed in stays so for a while",
            Self::Finance => "no new orders are taken; those under way wait, or are refused in time",
            Self::Ordering => "no orders are taken; baskets are kept",
            Self::Rating => "books are shown without their reviews",
            Self::Chat => "messages are taken with the contact form, and become conversations later",
            Self::Gateway => "nobody reaches the shop",
            Self::Web => "there are no pages; the API answers",
            Self::Monitor => "nobody judges who is sick; callers still notice by themselves",
        }
    }

    /// The databases that it opens, where the shop has them on a server.
    #[must_use]
    pub const fn databases(self) -> &'static [&'static str] {
        match self {
            Self::Catalog => &["catalog"],
            Self::Basket => &["basket"],
            Self::Notification => &["notification"],
            Self::Identity => &["identity"],
            Self::Finance => &["finance", "sandbox"],
            Self::Ordering => &["ordering"],
            Self::Rating => &["rating"],
            Self::Chat => &["chat"],
            Self::Ai | Self::Gateway | Self::Web | Self::Monitor => &[],
        }
    }

    /// The roles that it cannot do without: in its process, or in another that it knows. Catalogue, chat and rating ask `ai`
    /// too, but can do without, and the gateway answers for whatever roles there are.
    #[must_use]
    pub const fn asks(self) -> &'static [Self] {
        match self {
            Self::Ai | Self::Catalog | Self::Finance | Self::Notification | Self::Gateway | Self::Monitor => &[],
            Self::Basket | Self::Rating => &[Self::Catalog],
            Self::Identity => &[Self::Basket, Self::Notification],
            Self::Ordering => &[Self::Catalog, Self::Basket],
            // The bot asks the public API with the customer's own rights.
            Self::Chat => &[Self::Basket, Self::Notification, Self::Ordering, Self::Gateway],
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

impl Roles {
    /// Reads names; none at all means every role.
    ///
    /// # Errors
    /// When a name is unknown.
    pub fn parse(names: &[String]) -> Result<Self, UnknownRole> {
        let mut roles = names.iter().map(|name| name.parse()).collect::<Result<Vec<Role>, _>>()?;
        if roles.is_empty() {
            roles.extend(Role::ALL);
        }
        roles.sort_unstable();
        roles.dedup();
        Ok(Self(roles))
    }

    /// Each of them, those first that others ask.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
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

    fn parse(names: &[&str]) -> Result<Roles, UnknownRole> {
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
            "`catalogue` is not a role; the roles are ai, catalog, basket, notification, identity, finance, ordering, rating, chat, gateway, web, monitor"
        );
    }

    #[test]
    fn each_role_is_there_once_and_after_those_that_it_asks() {
        let roles: Vec<Role> = parse(&["ordering", "basket", " Catalog", "basket"]).unwrap().iter().collect();
        assert_eq!(roles, [Role::Catalog, Role::Basket, Role::Ordering]);
        for role in Role::ALL {
            assert!(role.asks().iter().all(|asked| *asked < role || *asked == Role::Gateway), "{role}");
        }
    }
}
