//! The public API under `/api/v1`: JSON, `snake_case`, times in RFC 3339, money in minor units.

pub mod basket;
pub mod catalog;
pub mod chat;
pub mod coupons;
pub mod finance;
pub mod identity;
pub mod imports;
pub mod operations;
pub mod ordering;
pub mod rating;

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The entries of this page.
    pub items: Vec<T>,
    /// Hand this back as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}
