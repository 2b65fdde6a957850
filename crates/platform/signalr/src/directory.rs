//! Who is here: the connections of one hub on this node, by token, id, user and group.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::connection::{Connection, lock};
use crate::error::GroupError;
use crate::options::Options;

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every connection, but for these.
    All {
        /// Ids of connections that are left out.
        except: Vec<String>,
    },
    /// These connections; an id that nobody has is passed over.
    Connections(Vec<String>),
    /// Every connection that is in one of these groups, once for each group it is in.
    Groups {
        /// Names of groups, compared exactly.
        names: Vec<String>,
        /// Ids of connections that are left out.
        except: Vec<String>,
    },
    /// Every connection of these users.
    Users(Vec<String>),
}

/// What an attempt to join a group came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The connection is not here.
    Absent,
    /// It was in the group already.
    Before,
    /// It is in the group now.
    Now,
}

type Members = HashMap<Arc<str>, Arc<Connection>>;

#[derive(Default)]
pub(crate) struct Directory {
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    by_token: Members,
    by_id: Members,
    users: HashMap<Arc<str>, Members>,
    groups: HashMap<Arc<str>, Members>,
    /// How many of those with a place have no principal.
    anonymous: usize,
    origins: HashMap<Arc<str>, Count>,
}

/// Places reserved from one origin.
#[derive(Default)]
struct Count {
    all: usize,
    anonymous: usize,
}

/// Which limit of the options keeps a connection out, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    All(usize),
    Origin(usize),
    Anonymous(usize),
    AnonymousOfOrigin(usize),
}

impl Full {
    fn check(tables: &Tables, connection: &Connection, options: &Options) -> Result<(), Self> {
        let within = |used: usize, limit: usize, full: fn(usize) -> Self| match used < limit {
            true => Ok(()),
            false => Err(full(limit)),
        };
        let of_origin = connection.origin().and_then(|origin| tables.origins.get(origin));
        let (all, anonymous) = of_origin.map_or((0, 0), |count| (count.all, count.anonymous));
        within(tables.by_token.len(), options.maximum_connections, Self::All)?;
        within(all, options.maximum_connections_per_origin, Self::Origin)?;
        if connection.user_id().is_none() {
            within(tables.anonymous, options.maximum_anonymous_connections, Self::Anonymous)?;
            within(anonymous, options.maximum_anonymous_connections_per_origin, Self::AnonymousOfOrigin)?;
        }
        Ok(())
    }
}

impl Directory {
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves a place for a connection that begins, whose principal is known.
    pub fn reserve(&self, connection: &Arc<Connection>, options: &Options) -> Result<(), Full> {
        let mut tables = self.write();
        Full::check(&tables, connection, options)?;
        tables.by_token.insert(Arc::clone(&connection.token), Arc::clone(connection));
        let anonymous = usize::from(connection.user_id().is_none());
        tables.anonymous += anonymous;
        if let Some(origin) = connection.origin() {
            let count = tables.origins.entry(Arc::clone(origin)).or_default();
            count.all += 1;
            count.anonymous += anonymous;
        }
        Ok(())
    }

    pub fn by_token(&self, token: &str) -> Option<Arc<Connection>> {
        self.read().by_token.get(token).cloned()
    }

    pub fn forget(&self, connection: &Connection) {
        let mut tables = self.write();
        if tables.by_token.remove(&connection.token).is_none() {
            return;
        }
        let anonymous = usize::from(connection.user_id().is_none());
        tables.anonymous -= anonymous;
        let Some(origin) = connection.origin() else { return };
        if let Some(count) = tables.origins.get_mut(origin) {
            count.all -= 1;
            count.anonymous -= anonymous;
            if count.all == 0 {
                tables.origins.remove(origin);
            }
        }
    }

    /// From now on messages reach it. `false`: its user has `limit` connections already.
    pub fn enter(&self, connection: &Arc<Connection>, limit: usize) -> bool {
        let mut tables = self.write();
        if let Some(user) = connection.user_id() {
            let connections = tables.users.entry(user.into()).or_default();
            if connections.len() >= limit {
                return false;
            }
            connections.insert(Arc::clone(&connection.id), Arc::clone(connection));
        }
        tables.by_id.insert(Arc::clone(&connection.id), Arc::clone(connection));
        true
    }

    pub fn user_connections(&self, user: &str) -> usize {
        self.read().users.get(user).map_or(0, HashMap::len)
    }

    /// From now on no message reaches it. Returns the groups that it was in; `None`: it had not entered.
    pub fn leave(&self, connection: &Connection) -> Option<Vec<Arc<str>>> {
        let mut tables = self.write();
        tables.by_id.remove(&connection.id)?;
        if let Some(user) = connection.user_id() {
            remove_member(&mut tables.users, user, &connection.id);
        }
        let groups: Vec<Arc<str>> = lock(&connection.groups).drain().collect();
        for group in &groups {
            remove_member(&mut tables.groups, group, &connection.id);
        }
        Some(groups)
    }

    pub fn connection(&self, id: &str) -> Option<Arc<Connection>> {
        self.read().by_id.get(id).cloned()
    }

    /// Adds a connection to a group; again changes nothing.
    pub fn join(&self, id: &str, group: &str, limit: usize) -> Result<Joined, GroupError> {
        let mut tables = self.write();
        let Some(connection) = tables.by_id.get(id).cloned() else { return Ok(Joined::Absent) };
        let mut groups = lock(&connection.groups);
        if groups.contains(group) {
            return Ok(Joined::Before);
        }
        if groups.len() >= limit {
            return Err(GroupError::TooMany(limit));
        }
        let name: Arc<str> = group.into();
        groups.insert(Arc::clone(&name));
        tables.groups.entry(name).or_default().insert(Arc::clone(&connection.id), Arc::clone(&connection));
        Ok(Joined::Now)
    }

    /// Takes a connection out of a group; whether it was in it. `None`: no such connection here.
    pub fn quit(&self, id: &str, group: &str) -> Option<bool> {
        let mut tables = self.write();
        let connection = tables.by_id.get(id).cloned()?;
        let was_member = lock(&connection.groups).remove(group);
        remove_member(&mut tables.groups, group, id);
        Some(was_member)
    }

    /// Calls `each` for everybody in the audience.
    pub fn for_each(&self, audience: &Audience, mut each: impl FnMut(&Arc<Connection>)) {
        let tables = self.read();
        let mut members = |members: &Members, except: &HashSet<&str>| {
            for (id, connection) in members {
                if !except.contains(id.as_ref()) {
                    each(connection);
                }
            }
        };
        match audience {
            Audience::All { except } => members(&tables.by_id, &set(except)),
            Audience::Groups { names, except } => {
                let except = set(except);
                for group in names.iter().filter_map(|name| tables.groups.get(name.as_str())) {
                    members(group, &except);
                }
            }
            Audience::Users(users) => {
                for user in users.iter().filter_map(|user| tables.users.get(user.as_str())) {
                    members(user, &HashSet::new());
                }
            }
            Audience::Connections(ids) => {
                for connection in ids.iter().filter_map(|id| tables.by_id.get(id.as_str())) {
                    each(connection);
                }
            }
        }
    }

    /// Every connection with a place, in whatever phase.
    pub fn everybody(&self) -> Vec<Arc<Connection>> {
        self.read().by_token.values().cloned().collect()
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.read().by_id.len()
    }
}

fn set(ids: &[String]) -> HashSet<&str> {
    ids.iter().map(String::as_str).collect()
}

fn remove_member(sets: &mut HashMap<Arc<str>, Members>, name: &str, id: &str) {
    if let Some(members) = sets.get_mut(name) {
        members.remove(id);
        if members.is_empty() {
            sets.remove(name);
        }
    }
}
