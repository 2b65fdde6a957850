use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

/// A request's body that is lent to one attempt after the other: an attempt that never asked for a byte leaves it whole
/// for the next.
#[derive(Clone)]
pub(crate) struct Lender {
    body: Arc<Mutex<Option<Body>>>,
    hint: SizeHint,
    empty: bool,
}

impl Lender {
    pub fn new(body: Body) -> Self {
        let (hint, empty) = (body.size_hint(), body.is_end_stream());
        Self { body: Arc::new(Mutex::new(Some(body))), hint, empty }
    }

    pub fn lend(&self) -> Body {
        if self.empty { Body::empty() } else { Body::new(Lent { lender: self.clone(), body: None }) }
    }

    /// Whether it can be lent again.
    pub fn is_whole(&self) -> bool {
        self.empty || self.slot().is_some()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Body>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    lender: Lender,
    /// Taken at the first byte.
    body: Option<Body>,
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.body.is_none() {
            let body = self.lender.slot().take();
            self.body = body;
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(Some(Err(axum::Error::new("the body went to an earlier attempt")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| self.lender.hint, http_body::Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_nobody_read_is_lent_again() {
        let lender = Lender::new(Body::from("words"));
        drop(lender.lend());
        assert!(lender.is_whole());
        assert_eq!(lender.lend().size_hint().exact(), Some(5));
        assert_eq!(axum::body::to_bytes(lender.lend(), 10).await.unwrap(), "words");
        assert!(!lender.is_whole());
        assert!(axum::body::to_bytes(lender.lend(), 10).await.is_err());
        assert!(Lender::new(Body::empty()).is_whole());
    }
}
