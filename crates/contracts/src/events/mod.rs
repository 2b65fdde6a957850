//! Facts: published by one service through its outbox, read by any other. Additive changes keep the version;
//! anything else is a new version beside the old one.

pub mod catalog;
pub mod chat;
pub mod finance;
pub mod identity;
pub mod notification;
pub mod ordering;
pub mod rating;
