//! What holds for every page, and for files beside the pages.

use super::*;

#[tokio::test]
async fn every_page_shows_hostile_words_as_words_and_is_well_formed() {
    for roles in [&["customer"][..], &["customer", "staff"][..]] {
        let mut browser = Browser::signed_in(roles);
        for path in all() {
            let seen = browser.get(&path).await;
            if path.starts_with("/sign-") {
                assert_eq!(seen.status, StatusCode::SEE_OTHER, "{path}: who is signed in is sent on");
                continue;
            }
            if path.starts_with("/admin") && !roles.contains(&"staff") {
                assert_eq!(seen.status, StatusCode::FORBIDDEN, "{path}");
            } else if path != "/nowhere" {
                assert_eq!(seen.status, StatusCode::OK, "{path}: {}", seen.body);
            }
            holds_up(&path, &seen);
        }
    }
    let mut guest = Browser::new();
    for path in PUBLIC {
        let seen = guest.get(path).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
        holds_up(path, &seen);
    }
}

#[tokio::test]
async fn a_shop_whose_parts_are_down_says_so() {
    let mut browser = Browser::new();
    browser.api.0.lock().unwrap().down = Some(503);
    let seen = browser.get("/").await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(seen.body.contains("We’re having trouble right now") && seen.body.contains("trace&#60;1&#62;"));
    assert_eq!(browser.get("/about").await.status, StatusCode::OK, "what needs no part goes on");
    let fields = [("book_id", BOOK), ("quantity", "1")];
    let seen = browser
        .post_with("/basket/items", &fields, |request| {
            request.header("referer", "http://shop.example/books?sort=title")
        })
        .await;
    assert!(seen.body.contains("href=\"/books?sort=title\">Try again"), "back to the page of the form: {}", seen.body);
}

#[tokio::test]
async fn unknown_addresses_and_methods_get_pages() {
    let mut browser = Browser::new();
    for path in ["/nowhere", "/books/nonsense", "/errors/nonsense", "/covers/x.svg", "/assets/x.js"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let seen = browser.send(browser.client.delete("/basket")).await;
    assert_eq!(seen.status, StatusCode::METHOD_NOT_ALLOWED);
    let seen = browser.send(browser.client.post("/basket/items").body("x".repeat(300_000))).await;
    assert_eq!(seen.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_slash_at_the_end_leads_to_the_page() {
    let mut guest = Browser::new();
    for (asked, page) in [
        ("/books/", "/books"),
        ("/basket/", "/basket"),
        ("/admin/", "/admin"),
        ("/books/?sort=title", "/books?sort=title"),
        ("/nowhere//", "/nowhere"),
    ] {
        let seen = guest.get(asked).await;
        assert_eq!(seen.status, StatusCode::PERMANENT_REDIRECT, "{asked}");
        assert_eq!(seen.headers[header::LOCATION], page, "{asked}");
    }
    for nowhere in ["//evil.example/", "///", "//evil.example/%2f/", "/nowhere"] {
        let seen = guest.get(nowhere).await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND, "{nowhere}");
        assert!(!seen.headers.contains_key(header::LOCATION), "{nowhere}");
    }
}

#[tokio::test]
async fn assets_and_covers_are_kept_for_ever_and_drawn_once() {
    let mut browser = Browser::new();
    let home = browser.get("/").await.body;
    for kind in [".js", ".css"] {
        let at = home.find("/assets/").map(|_| home.match_indices("/assets/")).unwrap();
        let path = at.map(|(at, _)| home[at..].split('"').next().unwrap()).find(|path| path.ends_with(kind)).unwrap();
        let plain = browser.get(path).await;
        assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable");
        assert!(!plain.headers.contains_key("set-cookie"), "assets are the same for everybody");
        let packed = browser.send(browser.client.get(path).header("accept-encoding", "br, gzip")).await;
        assert_eq!(packed.headers["content-encoding"], "gzip");
        if kind == ".js" {
            assert!(plain.body.len() < 20_000, "scripts stay small");
        }
    }
    let path = format!("/covers/{BOOK}.svg?v=2");
    let seen = browser.get(&path).await;
    assert_eq!(seen.headers["content-type"], "image/svg+xml; charset=utf-8");
    assert_eq!(seen.headers["cache-control"], "public, max-age=31536000, immutable");
    assert!(seen.body.contains("&lt;script&gt;") && !seen.body.contains("<script"));
    browser.get(&path).await;
    assert_eq!(browser.api.asked(&format!("GET /api/v1/books/{}", BOOK.replace('-', "%2D"))).len(), 1);
    let old = browser.get(&format!("/covers/{BOOK}.svg?v=1")).await;
    assert_eq!(old.headers["cache-control"], "public, max-age=3600", "another version than the book has");
}

#[tokio::test]
async fn the_chosen_colours_are_kept() {
    let mut browser = Browser::new();
    let seen = browser.post("/theme", &[("theme", "dark"), ("next", "/books?sort=title")]).await;
    assert_eq!(seen.location(), "/books?sort=title");
    assert!(browser.get("/").await.body.contains("<html lang=\"en\" data-theme=\"dark\">"));
}

#[tokio::test]
async fn machine_readable_metadata_cannot_break_out() {
    let mut browser = Browser::new();
    let body = browser.get(&format!("/books/{BOOK}")).await.body;
    let start = body.find("<script type=\"application/ld+json\">").unwrap();
    let json = &body[start + "<script type=\"application/ld+json\">".len()..];
    let json = &json[..json.find("</script>").unwrap()];
    let data: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(data["name"], fake_api::HOSTILE);
    assert_eq!(data["offers"]["price"], "12.99");
}

#[tokio::test]
async fn what_anybody_may_keep_sets_no_cookie() {
    let mut paths: Vec<String> = PUBLIC.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(["/robots.txt", "/site.webmanifest", "/favicon.svg"].map(str::to_owned));
    for path in paths {
        let seen = Browser::new().get(&path).await;
        let control = seen.headers.get(header::CACHE_CONTROL).and_then(|control| control.to_str().ok()).unwrap_or("");
        let sets = seen.headers.contains_key(header::SET_COOKIE);
        assert!(!(control.contains("public") && sets), "{path}: {control}");
        assert_eq!(control.contains("public"), path.contains('.'), "{path}: {control}");
    }
}

#[tokio::test]
async fn policies_are_shown_and_their_absence_is_no_failure() {
    let mut browser = Browser::new();
    let body = browser.get("/contact").await.body;
    assert!(body.contains("Our team is here Mon–Fri 09:00–18:00, Sat 10:00–14:00 (UTC−3:30)."), "{body}");
    assert!(body.contains("mailto:shop@shop.example") && body.contains("href=\"/policies/gift%2Dcards\""), "{body}");
    let seen = browser.get("/policies/gift-cards").await;
    assert!(seen.body.contains("<p>First.") && !seen.body.contains(">T</h1>"), "{}", seen.body);
    assert_eq!(browser.get("/policies/nothing").await.status, StatusCode::NOT_FOUND);
    browser.api.break_path("/chat/policies", 404);
    assert_eq!(browser.get("/contact").await.status, StatusCode::OK);
    assert!(browser.get("/policies").await.body.contains("href=\"/shipping-and-returns\""));
    assert_eq!(browser.get("/policies/gift-cards").await.status, StatusCode::NOT_FOUND);
}
