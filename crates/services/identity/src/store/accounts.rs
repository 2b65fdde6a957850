use std::collections::BTreeSet;

use bookworm_db::{DbError, FromRow, Sql, Tx, Value, values};
use bookworm_kernel::{CustomerId, Email, Timestamp};
use uuid::Uuid;

use crate::domain::{Account, Role};

#[derive(FromRow)]
struct Row {
    id: Uuid,
    email: String,
    name: String,
    password_hash: String,
    roles: String,
    confirmed_at: Option<i64>,
}

impl Row {
    fn read(self) -> Result<Account, DbError> {
        let corrupt = |what: &str| DbError::Corrupt(format!("the {what} of account {}", self.id));
        Ok(Account {
            email: Email::parse(&self.email).map_err(|_| corrupt("address"))?,
            roles: self
                .roles
                .split_whitespace()
                .map(read_role)
                .collect::<Option<_>>()
                .ok_or_else(|| corrupt("roles"))?,
            id: CustomerId::from_uuid(self.id),
            name: self.name,
            password_hash: self.password_hash,
            email_confirmed: self.confirmed_at.is_some(),
        })
    }
}

const ROLES: [(Role, &str); 4] =
    [(Role::Customer, "customer"), (Role::Agent, "agent"), (Role::Staff, "staff"), (Role::Admin, "admin")];

fn read_role(text: &str) -> Option<Role> {
    ROLES.iter().find(|(_, name)| *name == text).map(|(role, _)| *role)
}

/// Between spaces and with one at each end, so that a role is found by `% role %`.
fn write_roles(roles: &BTreeSet<Role>) -> String {
    let names = ROLES.iter().filter(|(role, _)| roles.contains(role)).map(|(_, name)| *name);
    format!(" {} ", names.collect::<Vec<_>>().join(" "))
}

const COLUMNS: &str = "SELECT id, email, name, password_hash, roles, confirmed_at FROM accounts";

/// The account with this address, in whatever case.
pub(crate) async fn by_email(sql: &impl Sql, email: &Email) -> Result<Option<Account>, DbError> {
    let row: Option<Row> = sql.one(&format!("{COLUMNS} WHERE email_key = $1"), values![email.key()]).await?;
    row.map(Row::read).transpose()
}

/// The account with this id.
pub(crate) async fn by_id(sql: &impl Sql, id: CustomerId) -> Result<Option<Account>, DbError> {
    let row: Option<Row> = sql.one(&format!("{COLUMNS} WHERE id = $1"), values![id.uuid()]).await?;
    row.map(Row::read).transpose()
}

/// Stores a new account. Returns false when its address is taken.
pub(crate) async fn insert_account(tx: &Tx, account: &Account, now: Timestamp) -> Result<bool, DbError> {
    let rows = tx
        .exec(
            "INSERT INTO accounts (id, email, email_key, name, name_key, password_hash, roles, is_admin, \
             created_at, confirmed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
            values![
                account.id.uuid(),
                account.email.as_str(),
                account.email.key(),
                account.name.clone(),
                account.name.to_lowercase(),
                account.password_hash.clone(),
                write_roles(&account.roles),
                account.roles.contains(&Role::Admin),
                now.micros(),
                account.email_confirmed.then(|| now.micros())
            ],
        )
        .await?;
    Ok(rows == 1)
}

/// Notes that the account's address is its owner's. Returns whether that is new.
pub(crate) async fn confirm_email(tx: &Tx, id: CustomerId, now: Timestamp) -> Result<bool, DbError> {
    let text = "UPDATE accounts SET confirmed_at = $1 WHERE id = $2 AND confirmed_at IS NULL";
    Ok(tx.exec(text, values![now.micros(), id.uuid()]).await? == 1)
}

/// Gives an account another name.
pub(crate) async fn rename(tx: &Tx, id: CustomerId, name: &str) -> Result<(), DbError> {
    let values = values![name, name.to_lowercase(), id.uuid()];
    tx.exec("UPDATE accounts SET name = $1, name_key = $2 WHERE id = $3", values).await?;
    Ok(())
}

/// Replaces the password's hash, unless it is not `old` any more. Returns whether it did.
pub(crate) async fn set_password(tx: &Tx, id: CustomerId, old: &str, new: &str) -> Result<bool, DbError> {
    let values = values![new, id.uuid(), old];
    Ok(tx.exec("UPDATE accounts SET password_hash = $1 WHERE id = $2 AND password_hash = $3", values).await? == 1)
}

/// Gives an account these roles.
pub(crate) async fn set_roles(tx: &Tx, id: CustomerId, roles: &BTreeSet<Role>) -> Result<(), DbError> {
    let values = values![write_roles(roles), roles.contains(&Role::Admin), id.uuid()];
    tx.exec("UPDATE accounts SET roles = $1, is_admin = $2 WHERE id = $3", values).await?;
    Ok(())
}

/// Whether there is anybody who can give roles.
pub(crate) async fn any_admin(sql: &impl Sql) -> Result<bool, DbError> {
    let admins: Option<i64> = sql.scalar("SELECT COUNT(*) FROM accounts WHERE is_admin", []).await?;
    Ok(admins.unwrap_or(0) > 0)
}

#[derive(FromRow)]
struct Id {
    id: Uuid,
}

/// The admins, locked, so that none can cease to be one meanwhile. Shops have a few.
pub(crate) async fn lock_admins(tx: &Tx) -> Result<Vec<CustomerId>, DbError> {
    let admins: Vec<Id> =
        tx.all(&format!("SELECT id FROM accounts WHERE is_admin ORDER BY id{}", tx.for_update()), []).await?;
    Ok(admins.into_iter().map(|row| CustomerId::from_uuid(row.id)).collect())
}

/// Which accounts to list.
#[derive(Debug, Default)]
pub(crate) struct AccountFilter {
    /// Part of the address or of the name, in any case.
    pub text: Option<String>,
    /// With this role.
    pub role: Option<Role>,
    /// Made before this one.
    pub before: Option<Uuid>,
}

/// The newest accounts first.
pub(crate) async fn page(sql: &impl Sql, filter: &AccountFilter, limit: usize) -> Result<Vec<Account>, DbError> {
    let mut bound: Vec<Value> = vec![filter.before.unwrap_or(Uuid::max()).into(), (limit as i64).into()];
    let mut text = format!("{COLUMNS} WHERE id < $1");
    if let Some(part) = &filter.text {
        bound.push(format!("%{}%", escape(&part.to_lowercase())).into());
        text.push_str(&format!(" AND (email_key LIKE ${0} ESCAPE '!' OR name_key LIKE ${0} ESCAPE '!')", bound.len()));
    }
    if let Some((_, name)) = ROLES.iter().find(|(role, _)| Some(*role) == filter.role) {
        bound.push(format!("% {name} %").into());
        text.push_str(&format!(" AND roles LIKE ${}", bound.len()));
    }
    text.push_str(" ORDER BY id DESC LIMIT $2");
    let rows: Vec<Row> = sql.all(&text, bound).await?;
    rows.into_iter().map(Row::read).collect()
}

/// So that what people type is never a pattern.
fn escape(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}
