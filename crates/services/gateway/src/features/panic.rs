//! A panic in a request fails that request alone.

use std::{any::Any, panic::AssertUnwindSafe};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use bookworm_http::{Next, Problem};
use bookworm_kernel::ErrorCode;
use futures::FutureExt;

/// Answers in the place of whatever panics behind it.
pub async fn layer(request: Request, next: Next) -> Response {
    let answered = async move { next.run(request).await };
    AssertUnwindSafe(answered).catch_unwind().await.unwrap_or_else(answer)
}

/// Answers 500 `internal`, and logs the panic's message.
pub fn answer(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("?"), "a request panicked");
    Problem::new(ErrorCode::Internal).into_response()
}
