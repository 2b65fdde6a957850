//! Mails, from templates, through an outbox of their own.
