//! What the shop promises.

use askama::Template;
use axum::extract::{Path, State};

use bookworm_contracts::rest::chat::Policy;
use pulldown_cmark::{Event, Tag, TagEnd};

use super::info::events;
use crate::{
    error::PageResult,
    layout::{Shell, page},
    service::Web,
    session::Visitor,
};

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
    /// Names the heading in addresses.
    id: String,
    body: String,
}

/// `GET /policies`
pub(crate) async fn list(State(web): State<Web>, visitor: Visitor) -> PageResult {
    let policies = web.api.policies(visitor.caller()).await.unwrap_or_default();
    let shell = visitor
        .shell("Our policies")
        .section("policies")
        .indexed("Our policies on delivery, returns, payment and privacy.");
    page(&PoliciesPage { shell, policies })
}

/// `GET /policies/{slug}`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, Path(slug): Path<String>) -> PageResult {
    let policy = web.api.policy(visitor.caller(), &slug).await?;
    let shell = visitor.shell(policy.title.clone()).section("policies").indexed(policy.title.clone());
    let id = anchor(&policy.title);
    page(&PolicyPage { shell, body: with_anchors(without_title(&policy.text), &id), id, title: policy.title })
}

/// The text without the heading that repeats its title.
fn without_title(text: &str) -> &str {
    let text = text.trim_start();
    match text.strip_prefix("# ") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    }
}

/// Names of the page's own parts, which no heading may take.
const TAKEN: [&str; 5] = ["main", "q", "q-list", "announcer", "chat"];

/// Markdown as HTML whose headings can be linked to, as the bot does.
fn with_anchors(text: &str, title: &str) -> String {
    let mut events: Vec<Event<'_>> = events(text).collect();
    let mut used: Vec<String> = TAKEN.iter().copied().chain([title]).map(str::to_owned).collect();
    for start in 0..events.len() {
        if !matches!(events[start], Event::Start(Tag::Heading { .. })) {
            continue;
        }
        let inside = events[start + 1..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let words: String = inside
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        let name = anchor(&words);
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[start]
            && !name.is_empty()
            && !used.contains(&name)
        {
            *id = Some(name.clone().into());
            used.push(name);
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    pulldown_cmark::html::push_html(&mut out, events.into_iter());
    out
}

/// A heading in addresses: in lower case, with hyphens. The bot names them in the same way.
fn anchor(heading: &str) -> String {
    let letters = heading.chars().flat_map(char::to_lowercase);
    let dashed: String = letters.map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
    dashed.split('-').filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_can_be_linked_to_and_take_no_name_twice() {
        let html =
            with_anchors("## Who pays the _postage_?\n\n## Main\n\n## Returns\n\n## Who pays the postage", "returns");
        assert!(html.contains("<h2 id=\"who-pays-the-postage\">Who pays the <em>postage</em>?</h2>"), "{html}");
        assert_eq!(html.matches(" id=").count(), 1, "{html}");
    }
}
