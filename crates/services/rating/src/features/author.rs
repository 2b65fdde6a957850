//! Who writes: somebody with an account, or somebody with the link of a mail.

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::FromRequestParts;
use bookworm_http::{Problem, auth::Signed};
use bookworm_kernel::{BookId, CustomerId};
use http::{HeaderName, request::Parts};

use super::invited;
use crate::{domain, service::Ratings};

/// Carries the token of an invitation in place of an account.
const INVITATION: HeaderName = HeaderName::from_static("review-invitation");

/// An author.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    pub id: CustomerId,
    /// As it stands beside a review.
    pub public_name: String,
    /// The books that a link is for; an account may write about any.
    only: Option<BTreeSet<BookId>>,
}

impl Author {
    /// Whether they may write about this book here.
    ///
    /// # Errors
    /// 404 `not_found` when the link is for other books.
    pub fn may_write_about(&self, book: BookId) -> Result<(), Problem> {
        match &self.only {
            Some(books) if !books.contains(&book) => Err(Problem::not_found("book")),
            _ => Ok(()),
        }
    }
}

impl FromRequestParts<Arc<Ratings>> for Author {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Ratings>) -> Result<Self, Problem> {
        if let Some(token) = parts.headers.get(INVITATION) {
            let found = invited::in_time(service, token.to_str().unwrap_or_default()).await?;
            let only = found.books.iter().map(|book| book.book_id).collect();
            return Ok(Self { id: found.reader, public_name: found.author_name, only: Some(only) });
        }
        let Signed(account) = Signed::from_request_parts(parts, service).await?;
        Ok(Self { id: account.id, public_name: domain::public_name(&account.name), only: None })
    }
}
