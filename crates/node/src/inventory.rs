//! Which databases this shop has. Each carries the shop's id, and a list of them is stored beside them: so a database
//! that has gone missing, or one that was copied in from another shop, is refused at start. Without the list a lost
//! `ordering.db` would be made anew, empty, and the shop would open as if it had never sold a book.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, bail};
use bookworm_db::{Backend, Databases, Db, DbError, FromRow, Sql, Uuid, values};
use bookworm_kernel::Timestamp;

/// The database with the list.
const SHOP: &str = "shop";
/// The databases that releases without a list could have made.
const BEFORE_THE_LIST: [&str; 9] =
    ["bus", "catalog", "basket", "ordering", "identity", "finance", "sandbox", "notification", "chat"];

/// Whether what is not there may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Yes: the shop itself, or an import into a new one.
    Make,
    /// No: a command that only reads.
    Refuse,
}

/// The list, and where the databases are.
#[derive(Debug)]
pub struct Inventory {
    databases: Databases,
    list: Db,
    shop: Uuid,
    known: BTreeSet<String>,
    /// Databases that the operator has given up.
    recreate: Vec<String>,
    missing: Missing,
    now: Timestamp,
    /// Those that this process uses.
    opened: Mutex<Vec<Db>>,
}

/// A store that this shop may use.
pub struct Claim {
    /// The shop.
    pub shop: Uuid,
    /// Whether the store has its mark.
    pub marked: bool,
}

#[derive(FromRow)]
struct Id {
    id: Uuid,
}

#[derive(FromRow)]
struct Name {
    name: String,
}

impl Inventory {
    /// Reads the list. A shop of a release without one gets it, with the databases that are there.
    ///
    /// # Errors
    /// When a database cannot be used; when there is no shop and none may be made; when the list itself is gone.
    pub async fn open(
        databases: Databases,
        missing: Missing,
        recreate: Vec<String>,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let there = databases.existing(&BEFORE_THE_LIST).await?;
        let listed = !databases.existing(&[SHOP]).await?.is_empty();
        if missing == Missing::Refuse && there.is_empty() {
            bail!(
                "there is no shop in {databases:?}; look at --data-dir and the settings (`bookworm config` shows them)"
            );
        }
        let marks = if listed { BTreeSet::new() } else { marks(&databases, &there).await? };
        if !marks.is_empty() && !recreate.iter().any(|name| name == SHOP) {
            bail!(
                "the list of this shop's databases is missing ({databases:?}: {SHOP}), while others are there. \
                 Restore the whole data from a backup, or, when nothing else is missing, make the list again with --recreate {SHOP}"
            );
        }
        if marks.len() > 1 {
            bail!("the databases in {databases:?} belong to different shops; restore the whole data from one backup");
        }
        let list = databases.open(SHOP).await?;
        let (shop, known) = list
            .transact::<_, DbError, _>({
                let (id, there) = (marks.first().copied().unwrap_or_else(Uuid::now_v7), names(&there));
                move |tx| Box::pin(async move { read_or_make(tx, id, &there, now).await })
            })
            .await
            .context("cannot read the list of databases")?;
        if let Some(unknown) = recreate.iter().find(|name| *name != SHOP && !known.contains(*name)) {
            let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            bail!("--recreate {unknown}: this shop has no such database; it has {known}");
        }
        Ok(Self { databases, list, shop, known, recreate, missing, now, opened: Mutex::default() })
    }

    /// Opens a database of this shop; makes it when the shop has never had it.
    ///
    /// # Errors
    /// When it cannot be used, is missing, or belongs to another shop.
    pub async fn database(&self, name: &str) -> anyhow::Result<Db> {
        let listed = self.known.contains(name);
        let given_up = self.recreate.iter().any(|other| other == name);
        if self.databases.existing(&[name]).await?.is_empty() {
            // On a server another process may be making its tables now: then it is marked already, as is seen below.
            if listed && !given_up && matches!(self.databases, Databases::Sqlite(_)) {
                bail!(self.gone(name));
            }
            if self.missing == Missing::Refuse {
                bail!(
                    "the shop in {:?} has no database {name} yet: it was never started with this role",
                    self.databases
                );
            }
        }
        let mut db = self.databases.open(name).await?;
        match (mark(&db).await?, db.has_table("schema_migrations").await?) {
            (Some(id), _) if id == self.shop => {}
            (Some(_), _) if given_up => {
                db.close().await;
                let aside = self.databases.set_aside(name, &format!("set-aside-{}", self.now.micros())).await?;
                tracing::warn!(database = name, %aside, "another shop's database was set aside, and a new one made");
                db = self.databases.open(name).await?;
            }
            (Some(_), _) => {
                db.close().await;
                bail!(
                    "the database {name} in {:?} belongs to another shop. Restore the right one from a backup, or have \
                     it set aside and an empty one made with --recreate {name}",
                    self.databases
                );
            }
            // Left behind by a start that was refused, or emptied by hand.
            (None, false) if listed && !given_up => {
                db.close().await;
                bail!(self.gone(name));
            }
            (None, false) if listed => {
                tracing::warn!(database = name, "a database that was missing was made anew, empty, as --recreate says");
            }
            (None, false) => {}
            (None, true) => tracing::info!(database = name, "belongs to this shop from now on"),
        }
        self.claim(&db, name).await.with_context(|| format!("cannot mark the database {name}"))?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(db.clone());
        Ok(db)
    }

    /// The databases that were opened so far.
    pub fn opened(&self) -> Vec<Db> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn gone(&self, name: &str) -> String {
        format!(
            "the database {name} is missing in {:?}, while the shop's others are there: everything in it would be gone. \
             Restore the whole data from a backup, or begin with an empty one with --recreate {name}",
            self.databases
        )
    }

    /// First the mark, then the list: a crash in between leaves a marked database that the next start lists.
    async fn claim(&self, db: &Db, name: &str) -> Result<(), DbError> {
        let (shop, name, now) = (self.shop, name.to_owned(), self.now);
        if mark(db).await? != Some(shop) {
            db.transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    alone(tx).await?;
                    tx.batch("CREATE TABLE IF NOT EXISTS shop_mark (id UUID NOT NULL PRIMARY KEY)").await?;
                    tx.exec("INSERT INTO shop_mark (id) VALUES ($1) ON CONFLICT DO NOTHING", values![shop])
                        .await
                        .map(drop)
                })
            })
            .await?;
        }
        if !self.known.contains(&name) {
            self.list.transact::<_, DbError, _>(move |tx| Box::pin(async move { list(tx, &name, now).await })).await?;
        }
        Ok(())
    }

    /// Whether this shop has had a store of this name.
    pub fn lists(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Uses a store that is in none of these databases and says that it belongs to the shop `found`. Whether it is to be
    /// marked as this shop's.
    ///
    /// # Errors
    /// When it is missing, or belongs to another shop.
    pub fn elsewhere(&self, name: &str, place: &str, found: Option<Uuid>) -> anyhow::Result<Claim> {
        let given_up = self.recreate.iter().any(|other| other == name);
        match found {
            Some(shop) if shop != self.shop => bail!("{place} belongs to another shop; name another database"),
            None if self.lists(name) && !given_up => bail!(
                "{place} is empty, while this shop has had its store {name} there: everything in it would be gone. Look at \
                 the settings, restore it from a backup, or begin with an empty one with --recreate {name}"
            ),
            _ => Ok(Claim { shop: self.shop, marked: found.is_some() }),
        }
    }

    /// Lists a store that [`elsewhere`](Self::elsewhere) accepted, once it is marked.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub async fn enlist(&self, name: &str) -> anyhow::Result<()> {
        let (name, now) = (name.to_owned(), self.now);
        self.list
            .transact::<_, DbError, _>(move |tx| Box::pin(async move { list(tx, &name, now).await }))
            .await
            .context("cannot write the list of databases")
    }

    /// Ends with the start: the list is not needed any more.
    pub async fn close(&self) {
        self.list.close().await;
    }
}

/// How many migrations each database of a shop has; nothing where there is no shop.
///
/// # Errors
/// When a database cannot be used.
pub async fn migrations(databases: &Databases) -> anyhow::Result<BTreeMap<String, i64>> {
    if databases.existing(&[SHOP]).await?.is_empty() {
        return Ok(BTreeMap::new());
    }
    let list = databases.open(SHOP).await?;
    let names: Vec<Name> = list.read().all("SELECT name FROM shop_databases ORDER BY name", []).await?;
    list.close().await;
    let names: Vec<&str> = names.iter().map(|row| &*row.name).collect();
    let mut counts = BTreeMap::new();
    for name in databases.existing(&names).await? {
        let db = databases.open(name).await?;
        let count = db.read().scalar::<i64>("SELECT COUNT(*) FROM schema_migrations", []).await?;
        db.close().await;
        counts.insert(name.to_owned(), count.unwrap_or_default());
    }
    Ok(counts)
}

fn names(databases: &[&str]) -> Vec<String> {
    databases.iter().map(|name| (*name).to_owned()).collect()
}

/// The shops that these databases say they belong to.
async fn marks(databases: &Databases, names: &[&str]) -> anyhow::Result<BTreeSet<Uuid>> {
    let mut marks = BTreeSet::new();
    for name in names {
        let db = databases.open(name).await?;
        marks.extend(mark(&db).await?);
        db.close().await;
    }
    Ok(marks)
}

/// The shop that a database belongs to.
async fn mark(db: &Db) -> Result<Option<Uuid>, DbError> {
    if !db.has_table("shop_mark").await? {
        return Ok(None);
    }
    let row: Option<Id> = db.read().one("SELECT id FROM shop_mark", []).await?;
    Ok(row.map(|row| row.id))
}

/// The list's shop and names; made with this id and these names when it is empty.
async fn read_or_make(
    tx: &bookworm_db::Tx,
    id: Uuid,
    there: &[String],
    now: Timestamp,
) -> Result<(Uuid, BTreeSet<String>), DbError> {
    alone(tx).await?;
    tx.batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL);
         CREATE TABLE IF NOT EXISTS shop (one BIGINT PRIMARY KEY, id UUID NOT NULL);
         CREATE TABLE IF NOT EXISTS shop_databases (name TEXT PRIMARY KEY, made_at BIGINT NOT NULL);",
    )
    .await?;
    let new = tx.exec("INSERT INTO shop (one, id) VALUES (1, $1) ON CONFLICT DO NOTHING", values![id]).await?;
    if new == 1 {
        for name in there {
            list(tx, name, now).await?;
        }
    }
    let shop: Option<Id> = tx.one("SELECT id FROM shop", []).await?;
    let names: Vec<Name> = tx.all("SELECT name FROM shop_databases", []).await?;
    Ok((shop.map_or(id, |row| row.id), names.into_iter().map(|row| row.name).collect()))
}

/// Waits for other processes of the shop that start at the same moment: PostgreSQL refuses the second of two that make a
/// table which is not there yet.
async fn alone(tx: &bookworm_db::Tx) -> Result<(), DbError> {
    if tx.backend() == Backend::Postgres {
        tx.batch("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.inventory'))").await?;
    }
    Ok(())
}

async fn list(tx: &bookworm_db::Tx, name: &str, now: Timestamp) -> Result<(), DbError> {
    let put = "INSERT INTO shop_databases (name, made_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.exec(put, values![name, now.micros()]).await.map(drop)
}
