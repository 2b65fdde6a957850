//! Reviews in the form of the API.

use axum::response::{IntoResponse, Response};
use bookworm_contracts::rest::rating::{HoldReason, Review, ReviewStanding, ReviewStatus, ShopAnswer};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, auth::Caller, etag};
use bookworm_kernel::CustomerId;
use http::header;

use crate::{
    domain::{Reason, Status},
    store::reviews::Row,
};

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewer {
    Stranger,
    Account(CustomerId),
    Staff,
}

impl From<&Caller> for Viewer {
    fn from(caller: &Caller) -> Self {
        match caller.id() {
            _ if caller.is_staff() => Self::Staff,
            Some(id) => Self::Account(id),
            None => Self::Stranger,
        }
    }
}

impl Viewer {
    /// Whether they see where the review stands.
    pub fn sees_standing_of(self, row: &Row) -> bool {
        match self {
            Self::Stranger => false,
            Self::Account(id) => row.author() == id,
            Self::Staff => true,
        }
    }
}

/// A review as the viewer sees it.
pub(super) fn review(row: Row, viewer: Viewer) -> Result<Review, DbError> {
    let standing = match viewer.sees_standing_of(&row) {
        true => Some(standing(&row)?),
        false => None,
    };
    let (stars, answered_at) = (row.stars()?, row.answered_at());
    Ok(Review {
        id: row.id,
        book_id: row.book_id(),
        rating: stars.number(),
        verified: row.verified,
        helpful: row.helpful,
        found_helpful: None,
        spoiler: row.spoiler,
        created_at: row.created_at(),
        updated_at: row.updated_at(),
        version: row.version,
        title: row.title,
        text: row.text,
        language: row.language,
        author: row.author_name,
        answer: row.answer.map(|text| ShopAnswer { text, at: answered_at }),
        standing,
    })
}

/// A review with its `ETag`.
pub(super) fn answer(row: Row, viewer: Viewer) -> Result<Response, DbError> {
    let tag = etag(row.version);
    Ok(([(header::ETAG, tag)], ApiJson(review(row, viewer)?)).into_response())
}

fn standing(row: &Row) -> Result<ReviewStanding, DbError> {
    let status = match row.status()? {
        Status::Published => ReviewStatus::Published,
        Status::Waiting => ReviewStatus::Waiting,
        Status::Held => ReviewStatus::Held,
        Status::Hidden | Status::Deleted => ReviewStatus::Hidden,
    };
    let reason = row.reason()?.map(|reason| match reason {
        Reason::NotVerified => HoldReason::NotVerified,
        Reason::HiddenBefore => HoldReason::HiddenBefore,
        Reason::Link => HoldReason::Link,
        Reason::Address => HoldReason::Address,
        Reason::Repeated => HoldReason::Repeated,
        Reason::Rate => HoldReason::Rate,
    });
    Ok(ReviewStanding { status, reason, explanation: row.explanation.clone(), appeal: row.appeal.clone() })
}
