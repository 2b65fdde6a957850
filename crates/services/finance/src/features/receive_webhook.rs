use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use bookworm_db::DbError;
use bookworm_http::{ApiPath, Problem, Result};
use bookworm_kernel::ErrorCode;
use http::{HeaderMap, StatusCode};

use crate::{
    domain::{
        payment::Input,
        signature::{self, InvalidSignature},
    },
    finance::Finance,
    store::{
        self,
        payments::{self, Key},
    },
};

/// What the payment provider tells on its own. Signed by the provider in `Payment-Signature:
/// t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, at most five minutes old. May come again and out of order: what
/// counts is what the provider holds when it is asked.
#[utoipa::path(
    post,
    path = "/payments/webhooks/{provider}",
    tag = "finance",
    params(
        ("provider" = String, Path, description = "The provider's name, e.g. `sandbox`."),
        ("Payment-Signature" = String, Header, description = "The signature.")
    ),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses(
        (status = 204, description = "Taken; or known already, or not about a payment of ours."),
        (status = 400, description = "`malformed_request` (no signature), `malformed_body`", body = bookworm_http::ProblemBody),
        (status = 401, description = "`invalid_token`: the signature is wrong or too old", body = bookworm_http::ProblemBody),
        (status = 404, description = "`not_found`: no such provider", body = bookworm_http::ProblemBody),
        (status = 503, description = "`unavailable`: send it again", body = bookworm_http::ProblemBody)
    )
)]
pub(crate) async fn receive_webhook(
    State(finance): State<Arc<Finance>>,
    ApiPath(provider): ApiPath<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode> {
    let name = finance.provider.name();
    if provider != name {
        return Err(Problem::not_found("payment provider"));
    }
    let body = body.map_err(bookworm_http::unreadable)?;
    let header = headers.get(signature::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    signature::verify(finance.provider.webhook_secret(), header, &body, finance.now()).map_err(|error| {
        let code = match error {
            InvalidSignature::Malformed => ErrorCode::MalformedRequest,
            InvalidSignature::Stale | InvalidSignature::Mismatch => ErrorCode::InvalidToken,
        };
        Problem::new(code).detail(format!("Payment-Signature: {error}."))
    })?;
    let event = finance
        .provider
        .read_webhook(&body)
        .ok_or_else(|| Problem::new(ErrorCode::MalformedBody).detail("The body is not an event of this provider."))?;
    if payments::find(finance.db.read(), Key::Payment(event.payment_id)).await?.is_none() {
        // Not ours: every payment is recorded before the provider hears of it.
        return Ok(StatusCode::NO_CONTENT);
    }
    let seen = finance.ask("fetch", finance.provider.fetch(event.payment_id)).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a webhook cannot be followed now");
        Problem::new(ErrorCode::Unavailable).retry_after(finance.timeout)
    })?;
    let shared = finance.clone();
    let new = finance.db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            if !store::claim_event(tx, name, &event.id, shared.now()).await? {
                return Ok(false);
            }
            if let Some(seen) = seen {
                shared.apply(tx, Key::Payment(event.payment_id), Input::Seen(seen), None).await?;
            }
            Ok(true)
        })
    });
    let outcome = if new.await? { "new" } else { "repeated" };
    metrics::counter!("payment_webhooks_total", "outcome" => outcome).increment(1);
    Ok(StatusCode::NO_CONTENT)
}
