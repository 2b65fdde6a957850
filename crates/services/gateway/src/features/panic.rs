//! A panic in a request fails that request alone.

use std::any::Any;

use axum::response::{IntoResponse, Response};
use bookworm_http::Problem;
use bookworm_kernel::ErrorCode;

/// Answers 500 `internal`, and logs the panic's message.
pub fn answer(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("?"), "a request panicked");
    Problem::new(ErrorCode::Internal).into_response()
}
