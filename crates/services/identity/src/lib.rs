//! Accounts, sessions, tokens, keys.
