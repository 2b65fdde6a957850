//! An invalid token is refused whatever the request asks for: a client whose token expired should be told so, and not be
//! treated as a guest.

use axum::{
    extract::{FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use bookworm_http::{Next, auth::Caller};

/// Answers 401 `invalid_token` when there is a token that is not valid. No token is fine here; routes demand their own.
pub async fn layer(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match Caller::from_request_parts(&mut parts, &()).await {
        Ok(_) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}
