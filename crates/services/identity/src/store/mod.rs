//! The tables of accounts, sessions, keys and failed attempts.

mod accounts;
mod attempts;
mod keys;
mod links;
mod sessions;

pub(crate) use accounts::{
    AccountFilter, any_admin, by_email, by_id, confirm_email, insert_account, lock_admins, page, rename, set_password,
    set_roles,
};
pub(crate) use attempts::{forget_attempts, forget_failures, lock_failures, store_failures};
pub(crate) use keys::{drop_keys, insert_key, keys};
pub(crate) use links::{account_of_link, drop_links, insert_link, open_links, prune_links, take_link};
pub(crate) use sessions::{
    NewToken, end_session, end_sessions_of, insert_session, insert_token, lock_token, mark_used, prune,
};

use bookworm_db::Migration;

/// This service's own tables.
pub(crate) const MIGRATIONS: &[Migration] = &[ACCOUNTS, PASSWORD_RESETS, CONFIRMATIONS];

/// Accounts that were made before anybody was asked count as confirmed.
const CONFIRMATIONS: Migration = Migration::new(
    "identity/0003_email_confirmations",
    "ALTER TABLE accounts ADD COLUMN confirmed_at BIGINT;
          UPDATE accounts SET confirmed_at = created_at;
          CREATE TABLE email_confirmations (
            hash TEXT NOT NULL PRIMARY KEY,
            account_id UUID NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            expires_at BIGINT NOT NULL
          );
          CREATE INDEX email_confirmations_account ON email_confirmations (account_id);
          CREATE INDEX email_confirmations_expiry ON email_confirmations (expires_at);",
);

const PASSWORD_RESETS: Migration = Migration::new(
    "identity/0002_password_resets",
    "CREATE TABLE password_resets (
            hash TEXT NOT NULL PRIMARY KEY,
            account_id UUID NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            expires_at BIGINT NOT NULL
          );
          CREATE INDEX password_resets_account ON password_resets (account_id);
          CREATE INDEX password_resets_expiry ON password_resets (expires_at);",
);

const ACCOUNTS: Migration = Migration::new(
    "identity/0001_accounts",
    "CREATE TABLE accounts (
            id UUID NOT NULL PRIMARY KEY,
            email TEXT NOT NULL,
            email_key TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            name_key TEXT NOT NULL,
            password_hash TEXT NOT NULL,
            roles TEXT NOT NULL,
            is_admin BOOLEAN NOT NULL,
            created_at BIGINT NOT NULL
          );
          CREATE INDEX accounts_admins ON accounts (is_admin);
          CREATE TABLE sessions (
            id UUID NOT NULL PRIMARY KEY,
            account_id UUID NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            started_at BIGINT NOT NULL,
            ended_at BIGINT
          );
          CREATE INDEX sessions_account ON sessions (account_id);
          CREATE TABLE refresh_tokens (
            hash TEXT NOT NULL PRIMARY KEY,
            session_id UUID NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            expires_at BIGINT NOT NULL,
            used_at BIGINT
          );
          CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
          CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
          CREATE TABLE signing_keys (
            generation BIGINT NOT NULL PRIMARY KEY,
            kid TEXT NOT NULL,
            secret TEXT NOT NULL,
            created_at BIGINT NOT NULL
          );
          CREATE TABLE failed_attempts (
            account TEXT NOT NULL,
            address TEXT NOT NULL,
            failures BIGINT NOT NULL,
            last_at BIGINT NOT NULL,
            PRIMARY KEY (account, address)
          );
          CREATE INDEX failed_attempts_age ON failed_attempts (last_at);",
);
