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
};

#[derive(Template)]
#[template(path = "contact.html")]
struct ContactPage {
    shell: Shell,
    email: String,
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
    page(&ContactPage { shell, email: web.settings.email.clone(), policies })
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
