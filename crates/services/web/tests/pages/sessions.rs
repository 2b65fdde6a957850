//! Signing up, in and out; sessions, form tokens and links in mails.

use super::*;

#[tokio::test]
async fn a_form_without_its_token_changes_nothing() {
    let mut browser = Browser::new();
    browser.get("/").await;
    let fields = format!("book_id={BOOK}&quantity=1");
    for token in ["", "&_csrf=forged"] {
        let seen = browser.send(browser.client.post("/basket/items").body(format!("{fields}{token}"))).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN);
        assert!(seen.body.contains("This form has expired"), "{}", seen.body);
    }
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
        let seen = browser
            .post_with("/basket/items", &[("book_id", BOOK), ("quantity", "1")], |request| request.header(name, value))
            .await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let mut other = browser.clone();
    other.cookies.clear();
    let token = other.get("/").await.hidden("_csrf");
    let seen = browser.send(browser.client.post("/basket/items").body(format!("{fields}&_csrf={token}"))).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "the token of another browser");
    assert!(browser.api.asked("POST").is_empty());
}

#[tokio::test]
async fn signing_in_sets_cookies_that_scripts_and_other_sites_cannot_use() {
    let mut browser = Browser::with(true);
    browser.cookies.insert("basket_token".to_owned(), "guest-secret".to_owned());
    let seen = browser
        .post("/sign-in", &[("email", "ada@example.org"), ("password", "correct horse"), ("next", "/checkout")])
        .await;
    assert_eq!((seen.status, seen.location()), (StatusCode::SEE_OTHER, "/checkout"));
    let cookies: Vec<&str> =
        seen.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap()).collect();
    for name in ["__Host-bw_access=", "__Host-bw_refresh="] {
        let cookie = cookies.iter().find(|cookie| cookie.starts_with(name)).unwrap();
        for flag in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(cookie.contains(flag), "{cookie}: {flag}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-bw_access=") && cookie.contains("Max-Age=870")));
    assert!(!browser.cookies.contains_key("basket_token"), "the guest's basket is the account's now");
    assert_eq!(browser.api.asked("POST /api/v1/identity/token")[0].headers["basket-token"], "guest-secret");
}

#[tokio::test]
async fn signing_in_never_leads_to_another_site_and_never_tells_what_was_wrong() {
    let mut browser = Browser::new();
    let right = [("email", "ada@example.org"), ("password", "correct horse"), ("next", "//evil.example")];
    assert_eq!(browser.post("/sign-in", &right).await.location(), "/");
    let mut browser = Browser::new();
    let seen = browser.post("/sign-in", &[("email", "a\"b@example.org"), ("password", "wrong")]).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    assert!(seen.body.contains("That email and password don’t match."));
    assert!(seen.body.contains("a&#34;b@example.org"), "what was typed is kept");
    assert!(!seen.body.contains("value=\"wrong\""), "the password is not");
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_with_the_link_from_the_mail() {
    let mut browser = Browser::new();
    let seen = browser.post("/forgot-password", &[("email", "ada@example.org")]).await;
    assert_eq!(seen.location(), "/sign-in");
    assert!(browser.get("/sign-in").await.body.contains("If that email has an account"));

    let seen = browser.post("/reset-password", &[("token", "good"), ("new_password", "short")]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("href=\"#f-new_password\"") && seen.body.contains("value=\"good\""), "{}", seen.body);
    let seen = browser.post("/reset-password", &[("token", "used"), ("new_password", "long enough")]).await;
    assert!(
        seen.body.contains("This link has expired or has been used. Request a new one.")
            && seen.body.contains("action=\"/forgot-password\"")
    );
    for token in ["used", "expired", "%3Cb%3E", "%20"] {
        let seen = browser.get(&format!("/reset-password?token={token}")).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{token}");
        assert!(seen.body.contains("action=\"/forgot-password\""), "the way to a new one: {}", seen.body);
        assert!(!seen.body.contains("new_password"), "nobody thinks of a password in vain: {}", seen.body);
    }
    for token in ["good", "busy"] {
        let seen = browser.get(&format!("/reset-password?token={token}")).await;
        assert_eq!(seen.status, StatusCode::OK, "{token}");
        assert!(seen.body.contains("name=\"new_password\""), "{}", seen.body);
    }
    let seen = browser.get("/reset-password").await;
    assert!(seen.body.contains("This link is incomplete"), "{}", seen.body);
    let seen = browser.post("/reset-password", &[("token", "good"), ("new_password", "long enough")]).await;
    assert_eq!(seen.location(), "/sign-in");
}

#[tokio::test]
async fn a_link_from_a_mail_proves_an_address_only_when_the_button_is_pressed() {
    let mut browser = Browser::new();
    for (path, done) in [("/confirm-email", "/sign-in"), ("/confirm-address", "/")] {
        let asked = browser.api.asked("POST").len();
        let shown = browser.get(&format!("{path}?token=good")).await;
        assert!(shown.body.contains(&format!("action=\"{path}\"")), "{}", shown.body);
        assert_eq!(browser.api.asked("POST").len(), asked, "a program that follows links proves nothing");
        let proved = browser.post(path, &[("token", "good")]).await;
        assert_eq!((proved.status.as_u16(), proved.location()), (303, done));
        let late = browser.post(path, &[("token", "old")]).await;
        assert_eq!(late.status.as_u16(), 400);
        assert!(late.body.contains("This link has expired"), "{}", late.body);
    }
}

#[tokio::test]
async fn signing_up_links_each_error_to_its_field() {
    let mut browser = Browser::new();
    let fields = [("name", "Ada"), ("email", "taken@example.org"), ("password", "long enough")];
    let seen = browser.post("/sign-up", &fields).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert!(seen.body.contains("href=\"#f-email\""), "the summary links to the field");
    assert!(seen.body.contains("aria-invalid=\"true\" aria-describedby=\"e-email\""), "{}", seen.body);
    assert!(seen.body.contains("<title>Error: "));
    let seen = browser.post("/sign-up", &[("name", ""), ("email", ""), ("password", "short")]).await;
    for field in ["name", "email", "password"] {
        assert!(seen.body.contains(&format!("href=\"#f-{field}\"")), "{field}");
    }
    let fields = [("name", "Ada"), ("email", "ada@example.org"), ("password", "correct horse")];
    assert_eq!(browser.post("/sign-up", &fields).await.location(), "/");
    assert!(browser.cookies.contains_key("bw_access"));
}

#[tokio::test]
async fn a_burst_of_pages_refreshes_the_session_once() {
    let mut browser = Browser::new();
    browser.cookies.insert("bw_refresh".to_owned(), "good-refresh".to_owned());
    let burst = (0..8).map(|_| {
        let mut browser = browser.clone();
        async move { browser.get("/about").await }
    });
    let seen = futures_all(burst).await;
    assert!(seen.iter().all(|seen| seen.body.contains("Ada")), "each page knows who is looking");
    assert_eq!(browser.api.asked("POST /api/v1/identity/token").len(), 1);
    assert!(seen.iter().all(|seen| {
        seen.headers.get_all(header::SET_COOKIE).iter().any(|cookie| cookie.to_str().unwrap().starts_with("bw_access="))
    }));
}

async fn futures_all<T: Send + 'static>(all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let handles: Vec<_> = all.map(tokio::spawn).collect();
    let mut out = Vec::new();
    for handle in handles {
        out.push(handle.await.unwrap());
    }
    out
}

#[tokio::test]
async fn a_session_that_has_ended_leaves_a_guest() {
    let mut browser = Browser::new();
    browser.cookies.insert("bw_refresh".to_owned(), "stolen".to_owned());
    let seen = browser.get("/").await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(!browser.cookies.contains_key("bw_refresh"));
    let seen = browser.get("/account").await;
    assert_eq!(seen.location(), "/sign-in?next=%2Faccount");
    let seen = browser.get("/admin/orders?status=x").await;
    assert_eq!(seen.location(), "/sign-in?next=%2Fadmin%2Forders%3Fstatus%3Dx");
}

#[tokio::test]
async fn signing_out_forgets_everything() {
    let mut browser = Browser::signed_in(&["customer"]);
    browser.cookies.insert("bw_refresh".to_owned(), "good-refresh".to_owned());
    browser.cookies.insert("bw_count".to_owned(), "4".to_owned());
    let seen = browser.post("/sign-out", &[]).await;
    assert_eq!(seen.location(), "/");
    assert!(!browser.cookies.contains_key("bw_access") && !browser.cookies.contains_key("bw_refresh"));
    assert_eq!(browser.cookies["bw_count"], "0");
    assert_eq!(browser.api.asked("POST /api/v1/identity/sign-out").len(), 1);
}
