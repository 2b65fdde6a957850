//! How to reach the shop, and what it promises.

use askama::Template;
use axum::extract::{Path, State};

use super::info::markdown;
use crate::{
    Web,
    api::Policy,
    error::{PageError, PageResult},
    layout::{Shell, page},
    session::Visitor,
    view::capitalised,
};

#[derive(Template)]
#[template(path = "contact.html")]
struct ContactPage {
    shell: Shell,
    email: String,
    /// Empty when people always answer.
    hours: String,
    policies: Vec<Policy>,
}

#[derive(Template)]
#[template(path = "policies.html")]
struct PoliciesPage {
    shell: Shell,
    policies: Vec<Policy>,
}

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage {
    shell: Shell,
    title: String,
    body: String,
}

/// `GET /contact`: also where the chat's button leads without JavaScript.
pub(crate) async fn contact(State(web): State<Web>, visitor: Visitor) -> PageResult {
    let policies = web.api.policies(visitor.caller()).await.unwrap_or_default();
    let shell = visitor.shell("Contact").section("contact").indexed("How to reach us");
    let hours = hours(&web.settings.hours, web.settings.utc_offset_minutes);
    page(&ContactPage { shell, email: web.settings.email.clone(), hours, policies })
}

/// `Mon–Fri 09:00–18:00, Sat 10:00–14:00 (UTC+1)`
fn hours(all: &[String], offset_minutes: i32) -> String {
    if all.is_empty() {
        return String::new();
    }
    let times = all.iter().map(|hours| {
        let (days, time) = hours.split_once(' ').unwrap_or((hours, ""));
        let days = days.split('-').map(capitalised).collect::<Vec<_>>().join("–");
        format!("{days} {}", time.replace('-', "–"))
    });
    let (hours, minutes) = (offset_minutes.unsigned_abs() / 60, offset_minutes.unsigned_abs() % 60);
    let sign = if offset_minutes < 0 { '−' } else { '+' };
    let zone = match (hours, minutes) {
        (0, 0) => "UTC".to_owned(),
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
    };
    format!("{} ({zone})", times.collect::<Vec<_>>().join(", "))
}

/// `GET /policies`
pub(crate) async fn list(State(web): State<Web>, visitor: Visitor) -> PageResult {
    let policies = web.api.policies(visitor.caller()).await.unwrap_or_default();
    let shell = visitor.shell("Our policies").section("policies").indexed("What we promise, in our own words");
    page(&PoliciesPage { shell, policies })
}

/// `GET /policies/{slug}`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, Path(slug): Path<String>) -> PageResult {
    let policies = web.api.policies(visitor.caller()).await?;
    let policy = policies.into_iter().find(|policy| policy.slug == slug).ok_or(PageError::NotFound)?;
    let shell = visitor.shell(policy.title.clone()).section("policies").indexed(policy.title.clone());
    page(&PolicyPage { shell, body: markdown(without_title(&policy.text)), title: policy.title })
}

/// The text without the heading that repeats its title.
fn without_title(text: &str) -> &str {
    let text = text.trim_start();
    match text.strip_prefix("# ") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    }
}
