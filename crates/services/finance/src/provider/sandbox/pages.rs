//! The 3-D Secure page, where the "bank" asks the customer. Plain HTML; works without JavaScript.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query, State, rejection::FormRejection},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use bookworm_db::DbError;
use bookworm_kernel::PaymentId;
use http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Sandbox, announce, store, store::Row};

/// How long the customer waits for the shop to take the outcome before being sent back all the same.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest path to return to.
const MAX_RETURN: usize = 2048;

pub(super) const CHALLENGE: &str = "/sandbox/challenge/{id}";
pub(super) const STYLE: &str = "/sandbox/style.css";

pub(super) fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new().route(CHALLENGE, get(show).post(decide)).route(STYLE, get(style)).with_state(sandbox)
}

#[derive(Template)]
#[template(path = "challenge.html")]
struct Page {
    title: &'static str,
    view: View,
}

enum View {
    Open { amount: String, order_number: String, secret: String, back: String, action: String },
    Over { message: &'static str, back: String },
}

#[derive(Deserialize)]
struct Back {
    #[serde(rename = "return", default)]
    path: String,
}

#[derive(Deserialize)]
struct Answer {
    secret: String,
    decision: Decision,
    #[serde(default)]
    back: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Approve,
    Decline,
}

/// The path when it stays in the shop, else nothing: the page must not send people elsewhere.
fn local(path: &str) -> &str {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let stays = path.starts_with('/') && !path.starts_with("//");
    if plain && stays && path.len() <= MAX_RETURN { path } else { "" }
}

fn back_of(row: &Row, asked: &str) -> String {
    let own = local(&row.return_path);
    if own.is_empty() { local(asked).to_owned() } else { own.to_owned() }
}

fn page(status: StatusCode, title: &'static str, view: View) -> Response {
    const HEADERS: [(HeaderName, &str); 2] =
        [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    match (Page { title, view }).render() {
        Ok(html) => (status, HEADERS, Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn over(status: StatusCode, title: &'static str, message: &'static str, back: String) -> Response {
    page(status, title, View::Over { message, back })
}

fn failed(error: &DbError) -> Response {
    tracing::error!(error = error as &dyn std::error::Error, "the sandbox page failed");
    let message = "The bank isn’t responding right now. Please try again in a moment.";
    over(StatusCode::SERVICE_UNAVAILABLE, "Please try again", message, String::new())
}

fn unknown() -> Response {
    let message = "There is no such payment to confirm.";
    over(StatusCode::NOT_FOUND, "Nothing to confirm", message, String::new())
}

/// What to say about a payment that no longer waits for the customer.
fn outcome(row: &Row, back: String) -> Response {
    let (title, message) = match row.status.as_str() {
        "authorised" | "captured" => ("Payment approved", "You have approved this payment."),
        "declined" => ("Payment declined", "This payment was declined. Nothing was charged."),
        _ => ("Payment called off", "The shop called this payment off. Nothing was charged."),
    };
    over(StatusCode::OK, title, message, back)
}

async fn show(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, Query(asked): Query<Back>) -> Response {
    let Ok(id) = id.parse::<Uuid>() else { return unknown() };
    let row = match store::find_challenge(sandbox.db.read(), id).await {
        Ok(Some(row)) => row,
        Ok(None) => return unknown(),
        Err(error) => return failed(&error),
    };
    let back = back_of(&row, &asked.path);
    if row.is_expired(sandbox.clock.now()) {
        sandbox.wake.notify_one();
        let message = "The time to confirm this payment is over. Nothing was charged.";
        return over(StatusCode::OK, "Too late", message, back);
    }
    if row.status != "action_required" {
        return outcome(&row, back);
    }
    let amount = match row.money() {
        Ok(amount) => amount.to_string(),
        Err(error) => return failed(&error),
    };
    let view = View::Open {
        amount,
        order_number: row.order_number.clone(),
        secret: row.challenge_secret.clone().unwrap_or_default(),
        back,
        action: format!("/sandbox/challenge/{id}"),
    };
    page(StatusCode::OK, "Confirm your payment", view)
}

async fn decide(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    form: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(id) = id.parse::<Uuid>() else { return unknown() };
    let Ok(Form(answer)) = form else {
        let message = "The form was not complete. Please go back and try again.";
        return over(StatusCode::BAD_REQUEST, "Please try again", message, String::new());
    };
    let found = match store::find_challenge(sandbox.db.read(), id).await {
        Ok(Some(row)) => row,
        Ok(None) => return unknown(),
        Err(error) => return failed(&error),
    };
    let expected = found.challenge_secret.clone().unwrap_or_default();
    if expected.is_empty() || !bool::from(expected.as_bytes().ct_eq(answer.secret.as_bytes())) {
        let message = "This form does not belong to this payment. Please open the page again.";
        return over(StatusCode::FORBIDDEN, "Please try again", message, String::new());
    }
    let (now, decision) = (sandbox.clock.now(), answer.decision);
    let payment = PaymentId::from_uuid(found.payment_id);
    let decided = sandbox.db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            let Some(mut row) = store::lock(tx, payment).await? else { return Ok(None) };
            let expired = row.is_expired(now);
            if row.status != "action_required" || expired {
                return Ok(Some((row, false)));
            }
            if decision == Decision::Approve {
                row.status = "authorised".to_owned();
            } else {
                row.status = "declined".to_owned();
                row.reason = Some("The payment was not confirmed.".to_owned());
            }
            store::set_status(tx, &row).await?;
            announce(tx, &row, now, &[Duration::ZERO]).await?;
            Ok(Some((row, true)))
        })
    });
    match decided.await {
        Ok(Some((row, changed))) => {
            let back = back_of(&row, &answer.back);
            if changed {
                // So that the order's page already shows the outcome; the worker goes on when the shop is slow.
                let sender = sandbox.clone();
                let sending = tokio::spawn(async move { sender.deliver_due().await });
                let _ = tokio::time::timeout(WEBHOOK_TIMEOUT, sending).await;
            }
            if back.is_empty() { outcome(&row, back) } else { Redirect::to(&back).into_response() }
        }
        Ok(None) => unknown(),
        Err(error) => failed(&error),
    }
}

async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../../../templates/sandbox.css"))
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn only_paths_of_this_shop_are_returned_to() {
        assert_eq!(local("/orders/1?key=a&b=c#d"), "/orders/1?key=a&b=c#d");
        for bad in [
            "",
            "orders",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nSet-Cookie: x",
            "/a b",
            "/ü",
            "javascript:x",
        ] {
            assert_eq!(local(bad), "", "{bad:?}");
        }
        assert_eq!(local(&format!("/{}", "a".repeat(2048))), "");
    }
}
