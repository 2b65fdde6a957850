//! Importing books from a file, and authors who are one person or two.

use bookworm_testing::Page;
use http::StatusCode;
use serde_json::json;

use crate::{
    browser::Browser,
    fake_api::{BOOK, HOSTILE, ORDER, OTHER},
};

fn staff() -> Browser {
    Browser::signed_in(&["customer", "staff"])
}

/// Sends a form with a file, with this token.
async fn upload(browser: &mut Browser, token: &str, filename: &str, content: &str) -> Page {
    let part = |name: &str, value: &str| {
        format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let key = "01990000-0000-4000-8000-000000000001";
    let body = format!(
        "{}{}--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
         Content-Type: text/csv\r\n\r\n{content}\r\n--b0undary--\r\n",
        part("_csrf", token),
        part("idempotency_key", key),
    );
    let request = browser.client.post("/admin/books/import");
    browser.send(request.header("content-type", "multipart/form-data; boundary=b0undary").body(body)).await
}

#[tokio::test]
async fn a_file_is_uploaded_with_its_name_once() {
    let mut browser = staff();
    let token = browser.get("/admin/books/import").await.hidden("_csrf");
    for (sent, asked) in [
        ("books.csv", "books%2Ecsv"),
        ("Bücher \u{2014} neu.csv", "B%C3%BCcher%20%E2%80%94%20neu%2Ecsv"),
        ("C:\\fakepath\\shelf.json", "shelf%2Ejson"),
        ("../../etc/passwd", "passwd"),
        ("a%22b.csv", "a%2522b%2Ecsv"),
    ] {
        let seen = upload(&mut browser, &token, sent, "title\nA\n").await;
        assert_eq!(
            (seen.status, seen.location()),
            (StatusCode::SEE_OTHER, format!("/admin/books/import/{ORDER}").as_str()),
            "{sent}"
        );
        let call = browser.api.asked("POST /api/v1/admin/imports").pop().unwrap();
        assert_eq!(call.line, format!("POST /api/v1/admin/imports?filename={asked}"), "{sent}");
        assert_eq!(call.headers["idempotency-key"], "01990000-0000-4000-8000-000000000001");
    }
}

#[tokio::test]
async fn an_upload_is_refused_in_words() {
    let mut browser = staff();
    let token = browser.get("/admin/books/import").await.hidden("_csrf");
    for (filename, content, says) in
        [("", "", "Choose a file."), ("empty.csv", "", "This file is empty."), ("a.csv", "", "This file is empty.")]
    {
        let seen = upload(&mut browser, &token, filename, content).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST);
        assert!(seen.body.contains(says) && seen.body.contains("href=\"#f-file\""), "{}", seen.body);
    }
    let seen = browser.post("/admin/books/import", &[]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST, "a form without a file");
    assert!(browser.api.asked("POST /api/v1/admin/imports").is_empty());

    let large = upload(&mut browser, &token, "large.csv", &"a".repeat((17 << 20) + 1)).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(large.body.contains("A file can be up to 16 MB"), "{}", large.body);
    for (status, code, says) in [
        (413, "body_too_large", "larger than 16 MB"),
        (422, "idempotency_key_reused", "was sent before with another file"),
        (400, "validation_failed", "can’t be uploaded"),
    ] {
        browser.api.0.lock().unwrap().import_refusal = Some((status, json!({"code": code})));
        let seen = upload(&mut browser, &token, "a.csv", "title\nA\n").await;
        assert_eq!(seen.status.as_u16(), status);
        assert!(seen.body.contains(says), "{}", seen.body);
    }
}

#[tokio::test]
async fn a_forged_upload_and_one_of_somebody_else_is_refused_before_it_is_read() {
    let mut browser = staff();
    let token = browser.get("/admin/books/import").await.hidden("_csrf");
    for wrong in ["", "nonsense"] {
        assert_eq!(upload(&mut browser, wrong, "a.csv", "title\nA\n").await.status, StatusCode::FORBIDDEN);
    }
    // A form that was cut off has no token that counts.
    let request = browser.client.post("/admin/books/import").header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(browser.send(request.body("--x\r\nnonsense")).await.status, StatusCode::FORBIDDEN);
    // Elsewhere a form with a file is no form.
    let request = browser.client.post(&format!("/admin/books/import/{ORDER}/start"));
    let request = request.header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(browser.send(request.body("a".repeat(300 << 10))).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    browser.api.break_path("/admin/imports", 403);
    let refused = upload(&mut browser, &token, "a.csv", &"a".repeat(18 << 20)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    assert!(refused.body.contains("Staff only"));
    assert!(browser.api.asked("POST /api/v1/admin/imports").is_empty());
}

#[tokio::test]
async fn an_import_says_what_it_does_in_each_state() {
    let mut browser = staff();
    let path = format!("/admin/books/import/{ORDER}");
    for (status, says, moves) in [
        ("checking", "Checking the file. Nothing is changed by this.", true),
        ("unreadable", "can’t be imported as it is", false),
        ("ready", "Import 1,202 books", false),
        ("queued", "starts as soon as the one before it", true),
        ("running", "You can leave this page", true),
        ("done", "The import is done.", false),
        ("failed", "Go on with the import", false),
        ("cancelled", "Go on with the import", false),
    ] {
        browser.api.0.lock().unwrap().import = json!({
            "status": status,
            "progress": {"records": 500, "added": 498, "changed": 1, "unchanged": 0, "rejected": 1, "percent": 41}
        });
        let seen = browser.get(&path).await;
        assert_eq!(seen.status, StatusCode::OK);
        assert!(seen.body.contains(says), "{status}: {}", seen.body);
        // Without a script the page reloads itself, with one its part is replaced.
        assert_eq!(seen.body.contains("<noscript><meta http-equiv=\"refresh\""), moves, "{status}");
        assert_eq!(seen.body.contains("data-island=\"load\""), moves, "{status}");
        assert_eq!(seen.body.contains("<select"), matches!(status, "ready" | "unreadable"), "{status}");
        assert_eq!(seen.body.contains("/cancel\""), matches!(status, "queued" | "running"), "{status}");
        let counts = seen.body.contains("<dt>Added</dt><dd>498</dd>");
        assert_eq!(counts, matches!(status, "running" | "done" | "failed" | "cancelled"), "{status}");
        let part = browser.get(&format!("{path}/status")).await;
        assert!(part.body.contains(says) && !part.body.contains("<html"), "{status}");
    }
    // Of a file whose columns are not known, none can be named.
    browser.api.0.lock().unwrap().import =
        json!({"status": "unreadable", "summary": null, "problem": "This is a PDF."});
    let seen = browser.get(&path).await;
    assert!(seen.body.contains("This is a PDF.") && !seen.body.contains("/columns"), "{}", seen.body);
    browser.api.0.lock().unwrap().import = json!({});
    let seen = browser.get(&path).await;
    for says in [
        "An export from Shopify. Read as CSV, separated by semicolons, encoded as UTF-8.",
        "No column was recognised as the price, so new books aren’t for sale.",
        "new books are out of stock",
        "<dt>To add</dt><dd>1,200</dd>",
        "Records that won’t be imported",
        "Download the report (CSV)",
    ] {
        assert!(seen.body.contains(says), "{says}: {}", seen.body);
    }
    let report = browser.get(&format!("{path}/report")).await;
    assert_eq!(report.headers["content-type"], "text/csv; charset=utf-8");
    assert!(report.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
}

#[tokio::test]
async fn columns_are_named_and_the_import_is_started_cancelled_and_deleted() {
    let mut browser = staff();
    let path = format!("/admin/books/import/{ORDER}");
    let seen = browser.post(&format!("{path}/columns"), &[("column-0", "title"), ("column-1", "price")]).await;
    assert_eq!((seen.status, seen.location()), (StatusCode::SEE_OTHER, path.as_str()));
    let call = browser.api.asked("PUT").pop().unwrap();
    assert_eq!(call.body, json!({"mapping": {"title": "Titel <b>", "price": "Betrag"}}));
    browser.post(&format!("{path}/columns"), &[("column-0", ""), ("column-1", "title")]).await;
    assert_eq!(browser.api.asked("PUT").pop().unwrap().body, json!({"mapping": {"title": "Betrag"}}));
    browser.post(&format!("{path}/columns"), &[("column-0", "price"), ("column-1", "price")]).await;
    assert_eq!(browser.api.asked("PUT").len(), 2, "one field is one column");
    assert!(browser.get(&path).await.body.contains("are set to Price. Choose one of them."));

    for (verb, asked, says) in [
        ("start", format!("POST /api/v1/admin/imports/{ORDER}/start"), "Import started."),
        ("cancel", format!("POST /api/v1/admin/imports/{ORDER}/cancel"), "Import cancelled."),
        ("discard", format!("DELETE /api/v1/admin/imports/{ORDER}"), "No book was changed."),
    ] {
        let seen = browser.post(&format!("{path}/{verb}"), &[]).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER);
        let asked = asked.replace('-', "%2D");
        assert_eq!(browser.api.asked(&asked).len(), 1, "{asked}");
        let next = seen.location().to_owned();
        assert!(browser.get(&next).await.body.contains(says), "{verb}");
    }
    browser.api.0.lock().unwrap().import_refusal = Some((409, json!({"code": "concurrent_change"})));
    browser.post(&format!("{path}/cancel"), &[]).await;
    assert!(browser.get(&path).await.body.contains("The import had ended already."));
}

#[tokio::test]
async fn a_spelling_and_a_merged_author_lead_to_the_one_that_stays() {
    let mut guest = Browser::new();
    let seen = guest.get("/books?author=Merged+Name&sort=price").await;
    assert_eq!(seen.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(seen.location(), "/books?sort=price&author=Kept+Name");
    assert_eq!(guest.get("/books?author=Kept+Name").await.status, StatusCode::OK);
    let mut browser = staff();
    let seen = browser.get(&format!("/admin/books/authors/{BOOK}")).await;
    assert_eq!(seen.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(seen.location(), format!("/admin/books/authors/{OTHER}"));
    assert_eq!(browser.get("/admin/books/authors/Nobody").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn authors_are_merged_after_a_question_and_split_by_their_books() {
    let mut browser = staff();
    let author = format!("/admin/books/authors/{OTHER}");
    let seen = browser.get("/admin/books/authors").await;
    assert!(seen.body.contains("Very likely the same") && seen.body.contains("Perhaps the same"));
    let asked = browser.get(&format!("{author}/merge?into=Kept%20Author")).await;
    assert!(asked.body.contains("into Kept Author?</h1>") && asked.body.contains("1,200 books"), "{}", asked.body);
    assert_eq!(asked.hidden("into"), ORDER);
    for (typed, says) in
        [("", "Write the name"), ("Nobody", "no author called “Nobody”"), (OTHER, "is this author already")]
    {
        assert_eq!(browser.get(&format!("{author}/merge?into={typed}")).await.status, StatusCode::SEE_OTHER);
        assert!(browser.get(&author).await.body.contains(says), "{typed}");
    }
    let merged = browser.post(&format!("{author}/merge"), &[("into", ORDER)]).await;
    assert_eq!(merged.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/admin/books/authors").await.body.contains("Merged. Kept Name has 1,200 books now."));

    let wrong = browser.post(&format!("{author}/split"), &[]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.body.contains("Choose the books") && wrong.body.contains("Write the name"), "{}", wrong.body);
    browser.api.0.lock().unwrap().import_refusal = Some((409, json!({"code": "duplicate_value"})));
    let taken = browser.post(&format!("{author}/split"), &[("book", BOOK), ("name", HOSTILE)]).await;
    assert_eq!(taken.status, StatusCode::BAD_REQUEST);
    assert!(taken.body.contains("an author of this name already") && taken.body.contains(" checked"), "{}", taken.body);
    browser.api.0.lock().unwrap().import_refusal = None;
    let split = browser.post(&format!("{author}/split"), &[("book", BOOK), ("name", "Other One")]).await;
    assert_eq!(split.status, StatusCode::SEE_OTHER);
    assert_eq!(
        browser.api.asked("POST /api/v1/authors").pop().unwrap().body,
        json!({"name": "Other One", "books": [BOOK]})
    );
}
