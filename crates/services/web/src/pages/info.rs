//! Pages of text, and what browsers and robots ask for.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use http::header;
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::json;

use crate::{
    error::{PageError, PageResult},
    form::Fields,
    layout::{Shell, page},
    service::Web,
    session::{Theme, Visitor},
    view::local_path,
};

include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));

const ABOUT: &str = include_str!("../../texts/about.md");
const SHIPPING: &str = include_str!("../../texts/shipping-and-returns.md");
const PRIVACY: &str = include_str!("../../texts/privacy.md");

#[derive(Template)]
#[template(path = "prose.html")]
struct ProsePage {
    shell: Shell,
    body: String,
}

/// The parts of a Markdown text. HTML inside it is text: these texts need none, and none can slip in. Links and
/// pictures lead to the web, to a mailbox or to a telephone, and nowhere else.
pub(crate) fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) if !leads_somewhere_safe(&dest_url) => {
            Event::Start(Tag::Link { link_type, dest_url: "#".into(), title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) if !leads_somewhere_safe(&dest_url) => {
            Event::Start(Tag::Image { link_type, dest_url: "".into(), title, id })
        }
        other => other,
    })
}

/// Whether an address is relative, or of a scheme that runs nothing. Browsers pass over control characters and blanks
/// in a scheme, so these are passed over here too.
fn leads_somewhere_safe(address: &str) -> bool {
    let address: String = address.chars().filter(|letter| !letter.is_control() && !letter.is_whitespace()).collect();
    match address.split(['/', '?', '#']).next().and_then(|start| start.split_once(':')) {
        Some((scheme, _)) => ["http", "https", "mailto", "tel"].iter().any(|safe| scheme.eq_ignore_ascii_case(safe)),
        None => true,
    }
}

/// Markdown as HTML.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    pulldown_cmark::html::push_html(&mut out, events(text));
    out
}

fn prose(visitor: &Visitor, title: &str, section: &'static str, text: &str) -> PageResult {
    page(&ProsePage { shell: visitor.shell(title).section(section).indexed(title), body: markdown(text) })
}

/// `GET /about`
pub(crate) async fn about(State(web): State<Web>, visitor: Visitor) -> PageResult {
    let text = ABOUT.replace("{shop}", &web.settings.shop_name);
    prose(&visitor, "About us", "about", &text)
}

/// `GET /shipping-and-returns`
pub(crate) async fn shipping(visitor: Visitor) -> PageResult {
    let shipped = if visitor.sends_mail() {
        "We’ll email you when it ships, and your order’s page shows every step."
    } else {
        "Your order’s page shows every step."
    };
    prose(&visitor, "Shipping and returns", "shipping", &SHIPPING.replace("{shipped}", shipped))
}

/// `GET /privacy`
pub(crate) async fn privacy(visitor: Visitor) -> PageResult {
    prose(&visitor, "Privacy", "privacy", PRIVACY)
}

/// `GET /errors/{code}`: what a problem's `type` links to.
pub(crate) async fn error_code(visitor: Visitor, Path(code): Path<String>) -> PageResult {
    let (_, text) = ERROR_PAGES.iter().find(|(known, _)| *known == code).ok_or(PageError::NotFound)?;
    prose(&visitor, &code, "", text)
}

/// `POST /theme`: `theme` is `light`, `dark` or `system`.
pub(crate) async fn theme(visitor: Visitor, fields: Fields) -> PageResult {
    visitor.store_theme(Theme::parse(fields.get("theme")));
    Ok(Redirect::to(local_path(fields.get("next"))).into_response())
}

/// `GET /robots.txt`
pub(crate) async fn robots() -> Response {
    let text = "User-agent: *\nDisallow: /admin\nDisallow: /api/\nDisallow: /account\nDisallow: /basket\n\
                Disallow: /checkout\nDisallow: /orders\nDisallow: /search\n";
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=86400")], text)
        .into_response()
}

/// `GET /site.webmanifest`
pub(crate) async fn manifest(State(web): State<Web>) -> Response {
    let text = json!({
        "name": web.settings.shop_name,
        "short_name": web.settings.shop_name,
        "start_url": "/",
        "display": "minimal-ui",
        "background_color": "#f6f0e4",
        "theme_color": "#1d5340",
        "icons": [{"src": "/favicon.svg", "sizes": "any", "type": "image/svg+xml"}],
    })
    .to_string();
    let kind = [(header::CONTENT_TYPE, "application/manifest+json"), (header::CACHE_CONTROL, "public, max-age=86400")];
    (kind, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_inside_a_text_is_shown_not_run() {
        let html = markdown("# A\n\n<script>alert(1)</script>\n\ntext <b onclick=x>b</b> `code`");
        assert!(html.contains("<h1>A</h1>"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b "), "{html}");
        assert!(html.contains("<code>code</code>"), "{html}");
    }

    #[test]
    fn links_lead_to_the_web_and_run_nothing() {
        for address in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "java&#9;script:alert(1)",
            "&#106;avascript:alert(1)",
            "blob:https://example.org/x",
            "file:///etc/passwd",
        ] {
            let html = markdown(&format!("[a]({address}) ![b]({address})"));
            assert!(html.contains("href=\"#\"") && html.contains("src=\"\""), "{address}: {html}");
        }
        for address in
            ["https://example.org/a:b", "/policies/returns", "returns#time:limits", "mailto:a@b.example", "tel:+1555"]
        {
            let html = markdown(&format!("[a]({address})"));
            assert!(html.contains(&format!("href=\"{address}\"")), "{address}: {html}");
        }
    }
}
