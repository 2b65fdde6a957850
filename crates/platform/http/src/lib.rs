//! Problems, pages, idempotency, callers: what every HTTP service says the same way.
//!
//! | to | use |
//! |---|---|
//! | refuse a request | [`Problem`], [`Validator`] |
//! | read a request | [`ApiJson`], [`ApiQuery`], [`ApiPath`], [`IdempotencyKey`], [`IfMatch`], [`PreferWait`] |
//! | know who asks | [`auth::Caller`], [`auth::Signed`], [`auth::StaffOnly`], [`auth::AgentOnly`], [`auth::AdminOnly`] |
//! | know why | [`Origin`], [`RequestContext`] |
//! | answer a list | [`PageParams`], [`cursor`] |
//! | answer conditionally | [`etag`], [`if_none_match`] |
//! | never do it twice | [`idempotency`] |
//! | ask another company | [`outbound`] |
//! | listen | [`serve()`], [`fallback::install`], [`Stack`], [`context::layer`] |
//! | speak TLS with other processes of the shop | [`tls::Tls`], [`tls::Connector`] |
//! | share out what there is | [`places::Places`] |

#![warn(missing_docs)]

pub mod auth;
mod client;
mod conditional;
pub mod context;
pub mod cursor;
mod extract;
pub mod fallback;
pub mod grpc;
pub mod idempotency;
pub mod openapi;
pub mod outbound;
mod page;
pub mod places;
mod prefer;
mod problem;
mod serve;
mod stack;
pub mod tls;
mod validate;

pub use crate::{
    client::ClientAddress,
    conditional::{IfMatch, etag, if_none_match, not_modified},
    context::{Origin, RequestContext},
    extract::{ApiJson, ApiPath, ApiQuery, LargestBody, read_json, unreadable},
    idempotency::IdempotencyKey,
    page::PageParams,
    prefer::PreferWait,
    problem::{MEDIA_TYPE as PROBLEM_MEDIA_TYPE, Problem, ProblemBody, status_of},
    serve::{Connections, Drained, Malformed, TooSlow, serve},
    stack::{Next, Stack, Stacked},
    validate::Validator,
};

/// A `Result` whose error is an answer.
pub type Result<T, E = Problem> = std::result::Result<T, E>;
