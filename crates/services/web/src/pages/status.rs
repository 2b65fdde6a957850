//! Which parts of the shop are working, in plain words.

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::operations::{ShopStatus, StatusPart};

use crate::{
    error::PageResult,
    layout::{Shell, page},
    service::Web,
    session::Visitor,
    view::Calendar,
};

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    shell: Shell,
    summary: &'static str,
    /// HTML; `None` when nothing is known.
    at: Option<String>,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    badge: &'static str,
    state: &'static str,
    /// HTML.
    since: Option<String>,
    /// What it means for customers; empty when all is well.
    words: &'static str,
}

/// The name of a part, and what it means that it is degraded or unavailable. `None` for one of a later release.
fn words(part: &str) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match part {
        "books" => (
            "Browsing books",
            "Books are shown as they were a while ago. Prices and availability may have changed.",
            "Books can’t be shown right now.",
        ),
        "search" => (
            "Search",
            "Search finds your words, and less of what means the same.",
            "Search isn’t available. You can still browse.",
        ),
        "basket" => (
            "Basket",
            "Changes to your basket may need a second try.",
            "Baskets can’t be shown or changed. What’s in yours is kept.",
        ),
        "checkout" => (
            "Ordering and payment",
            "Some orders can’t be placed at once. Nothing is charged twice; please try again in a moment.",
            "We can’t take orders right now. Your basket is kept.",
        ),
        "accounts" => (
            "Accounts and sign-in",
            "Signing in may need a second try.",
            "Nobody can sign in right now. If you are signed in, you’ll stay signed in for a while, and you can buy without an account.",
        ),
        "reviews" => {
            ("Reviews", "Some reviews can’t be shown or written.", "Reviews can’t be shown or written right now.")
        }
        "chat" => (
            "Support chat",
            "Chat isn’t available at the moment. Write to us with the contact form; we answer by email.",
            "Chat isn’t available. Write to us with the contact form; we answer by email.",
        ),
        "emails" => (
            "Emails",
            "Our emails are late. They arrive once this is fixed.",
            "Our emails are late. They arrive once this is fixed.",
        ),
        _ => return None,
    })
}

impl Row {
    fn new(part: StatusPart, calendar: &Calendar) -> Option<Self> {
        let (name, degraded, unavailable) = words(&part.part)?;
        let (badge, state, words) = match part.state.as_str() {
            "works" => ("sent", "Works", ""),
            "degraded" => ("pending", "Limited", degraded),
            _ => ("failed", "Unavailable", unavailable),
        };
        Some(Self { name, badge, state, words, since: part.since.map(|since| calendar.time(&since)) })
    }
}

fn summary(rows: &[Row]) -> &'static str {
    match rows {
        [] => "We can’t tell right now what works. Please try again in a moment.",
        rows if rows.iter().all(|row| row.state == "Works") => "Everything works.",
        rows if rows.iter().any(|row| row.state == "Unavailable") => "Parts of the shop aren’t available. We’re on it.",
        _ => "Parts of the shop are limited. We’re on it.",
    }
}

/// `GET /status`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor) -> PageResult {
    let calendar = visitor.calendar();
    let answer: Option<ShopStatus> = web.api.status(visitor.caller()).await.ok();
    let at = answer.as_ref().map(|status| calendar.time(&status.at));
    let parts = answer.into_iter().flat_map(|status| status.parts);
    let rows: Vec<Row> = parts.filter_map(|part| Row::new(part, &calendar)).collect();
    let shell =
        visitor.shell("Shop status").section("status").indexed("Which parts of the shop are working right now.");
    page(&StatusPage { shell, summary: summary(&rows), at, rows })
}
