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
    domain::payment::Input,
    provider::{Subject, WebhookError, WebhookRequest},
    service::Finance,
    store::{
        self,
        payments::{self, Key},
    },
};

/// What a payment provider reports on its own, signed in the provider's own way.
///
/// The sandbox signs in `Payment-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, at most five minutes
/// old. May come again and out of order: what counts is what the provider holds when it is asked.
#[utoipa::path(
    post,
    path = "/payments/webhooks/{provider}",
    tag = "finance",
    params(
        ("provider" = String, Path, description = "The provider's name, e.g. `sandbox`."),
        ("Payment-Signature" = Option<String>, Header, description = "The sandbox's signature.")
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
    let sender = finance.providers.named(&provider).map_err(|_| Problem::not_found("payment provider"))?;
    let name = sender.name();
    let body = body.map_err(bookworm_http::unreadable)?;
    let request = WebhookRequest { headers: &headers, body: &body, now: finance.now() };
    let event = sender.open_webhook(request).map_err(|error| {
        let code = match error {
            WebhookError::Malformed(_) => ErrorCode::MalformedRequest,
            WebhookError::Untrusted(_) => ErrorCode::InvalidToken,
            WebhookError::NotAnEvent => ErrorCode::MalformedBody,
        };
        Problem::new(code).detail(error.to_string())
    })?;
    let stored = match &event.subject {
        Subject::Payment(id) => payments::find(finance.db.read(), Key::Payment(*id)).await?,
        Subject::Reference(reference) => payments::find_by_reference(finance.db.read(), name, reference).await?,
    };
    // Every payment is recorded before its provider is asked: what is not there is not ours. Nor may a provider report
    // on payments that were made with another.
    let Some(stored) = stored.filter(|stored| stored.provider == name) else { return Ok(StatusCode::NO_CONTENT) };
    let seen = finance.fetch(name, &stored.payment).await.map_err(|error| {
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
                shared.apply(tx, Key::Payment(stored.payment.id), Input::Seen(seen), None).await?;
            }
            Ok(true)
        })
    });
    let outcome = if new.await? { "new" } else { "repeated" };
    metrics::counter!("payment_webhooks_total", "outcome" => outcome).increment(1);
    Ok(StatusCode::NO_CONTENT)
}
