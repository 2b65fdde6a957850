//! The back office: orders, books, synonyms, prepared replies.

use super::*;

#[tokio::test]
async fn an_edit_of_an_old_version_is_explained_and_not_lost() {
    let mut browser = Browser::signed_in(&["staff"]);
    let path = format!("/admin/books/{BOOK}");
    let mut fields = vec![("title", "My title"), ("price", "12.50"), ("currency", "USD"), ("version", "1")];
    let seen = browser.post(&path, &fields).await;
    assert_eq!(seen.status, StatusCode::PRECONDITION_FAILED);
    assert!(seen.body.contains("Somebody else saved this book") && seen.body.contains("value=\"My title\""));
    fields[3] = ("version", "2");
    assert_eq!(browser.post(&path, &fields).await.location(), path);
    fields[1] = ("price", "a lot");
    let seen = browser.post(&path, &fields).await;
    assert!(seen.body.contains("href=\"#f-price\"") && seen.body.contains("value=\"a lot\""));
}

#[tokio::test]
async fn staff_work_on_orders() {
    let mut browser = Browser::signed_in(&["staff"]);
    let path = format!("/admin/orders/{ORDER}");
    assert_eq!(browser.post(&format!("{path}/cancel"), &[("reason", "x")]).await.location().replace("%2D", "-"), path);
    assert!(browser.get(&path).await.body.contains("Order cancelled."));
    browser.post(&format!("{path}/ship"), &[("tracking", "T1")]).await;
    let body = browser.get(&path).await.body;
    assert!(body.contains("That isn’t possible at the moment"), "the refusal, in the page’s words: {body}");
    let asked = format!("POST /api/v1/orders/{}/refund", ORDER.replace('-', "%2D"));
    let refund = format!("{path}/refund");
    for (amount, reason, problem) in [
        ("x", "Corner bent", "Enter an amount such as"),
        ("1,2,3", "Corner bent", "Enter an amount such as"),
        ("0", "Corner bent", "Enter an amount above zero."),
        ("99999", "Corner bent", "At most $32.97."),
        ("32.98", "Corner bent", "At most $32.97."),
        ("5", " ", "Enter a reason."),
    ] {
        let seen = browser.post(&refund, &[("amount", amount), ("reason", reason)]).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{amount}");
        let error = seen.body.split("field__error").nth(1).unwrap_or_default();
        assert!(error.contains(problem), "beside the field: {problem} {}", seen.body);
        assert!(seen.body.contains(&format!("value=\"{amount}\"")), "what was typed stays: {}", seen.body);
        holds_up(&refund, &seen);
    }
    // The first step asks, the second does.
    let seen = browser.post(&refund, &[("amount", "5"), ("reason", "Corner bent")]).await;
    assert!(seen.body.contains("Refund $5.00 for order <span class=\"whole\">BW-7K3M-92QX</span>?"), "{}", seen.body);
    assert!(browser.api.asked(&asked).is_empty(), "nothing is done before it is confirmed");
    let sure = [("amount", seen.hidden("amount")), ("reason", seen.hidden("reason")), ("confirm", "yes".to_owned())];
    let sure: Vec<(&str, &str)> = sure.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(browser.post(&refund, &sure).await.location().replace("%2D", "-"), path);
    assert_eq!(browser.api.asked(&asked).len(), 1);
    let seen = browser.post(&refund, &[("amount", ""), ("reason", "All of it")]).await;
    assert!(seen.body.contains("Refund $32.97 for order"), "an empty amount is all of it: {}", seen.body);
}

#[tokio::test]
async fn what_cannot_be_undone_is_asked_first() {
    let mut browser = Browser::signed_in(&["admin", "agent"]);
    let order = browser.get(&format!("/admin/orders/{ORDER}")).await.body;
    assert!(!order.contains("/cancel\" method") && !order.contains("/refund\" method"), "a step away: {order}");
    let seen = browser.get(&format!("/admin/orders/{ORDER}/cancel")).await.body;
    assert!(
        seen.contains("Cancel order <span class=\"whole\">BW-7K3M-92QX</span>?") && seen.contains("$32.97"),
        "{seen}"
    );
    let seen = browser.get(&format!("/admin/books/{BOOK}")).await.body;
    assert!(!seen.contains("/delete\" method"), "{seen}");
    let seen = browser.get(&format!("/admin/books/{BOOK}/delete")).await.body;
    assert!(seen.contains("<h1>Unlist “&#60;script"), "{seen}");

    let saved = || [("etag", "\"0\""), ("was", "hello"), ("shortcut", ""), ("text", "")];
    let seen = browser.post("/admin/chat/replies", &saved()).await;
    assert!(seen.body.contains("Delete this reply?") && seen.body.contains("/hello"), "{}", seen.body);
    holds_up("/admin/chat/replies", &seen);
    assert!(browser.api.0.lock().unwrap().replies.0.is_null(), "nothing is deleted yet");
    let mut sure = saved().to_vec();
    sure.push(("delete", "yes"));
    assert_eq!(browser.post("/admin/chat/replies", &sure).await.location(), "/admin/chat/replies");
    assert_eq!(browser.api.0.lock().unwrap().replies.0, json!([]));
}

#[tokio::test]
async fn numbers_in_the_office_are_whole_or_refused_beside_their_field() {
    let mut browser = Browser::signed_in(&["staff"]);
    let stock = format!("/admin/stock/{BOOK}");
    for typed in ["twelve", "1,000", "1O", "", "12.5", "99999999999999999999"] {
        let seen = browser.post(&stock, &[("delta", typed), ("reason", "Delivery")]).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{typed}");
        assert!(seen.body.contains("Enter a whole number such as 12 or -3."), "{}", seen.body);
        assert!(seen.body.contains("value=\"Delivery\"") && seen.body.contains("id=\"e-delta\""), "{}", seen.body);
        holds_up(&stock, &seen);
    }
    assert!(browser.post(&stock, &[("delta", "0"), ("reason", "x")]).await.body.contains("0 changes nothing"));
    assert!(browser.post(&stock, &[("delta", "5"), ("reason", "")]).await.body.contains("Enter a reason"));
    assert!(browser.api.asked("POST").is_empty(), "nothing was guessed");
    assert_eq!(
        browser.post(&stock, &[("delta", "-3"), ("reason", "Damaged")]).await.location().replace("%2D", "-"),
        stock
    );

    let form = |name: &'static str, value: &'static str| {
        vec![("title", "T"), ("price", "12.50"), ("currency", "USD"), (name, value)]
    };
    for (name, value, problem) in [
        ("year", "18l3", "Enter a whole number such as 12 or -3."),
        ("pages", "1,000", "Enter a whole number such as 12 or -3."),
        ("stock", "ten", "Enter a whole number such as 12 or -3."),
        ("year", "99999999999", "Enter a year between -5000 and 3000."),
        ("pages", "0", "Enter a number of pages between 1 and 100000."),
        ("stock", "-1", "Enter a number of copies between 0 and 1000000000."),
    ] {
        let seen = browser.post("/admin/books/new", &form(name, value)).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{name} {value}");
        assert!(seen.body.contains(problem) && seen.body.contains(&format!("id=\"e-{name}\"")), "{}", seen.body);
    }
}

#[tokio::test]
async fn staff_see_how_the_search_is() {
    let mut browser = Browser::signed_in(&["staff"]);
    let body = browser.get("/admin/search").await.body;
    assert!(body.contains("max=\"2000\" value=\"1234\">1,234 of 2,000</progress>"), "{body}");
    assert!(body.contains("Building") && body.contains("m&#60;1&#62;"));
    let part = browser.get("/admin/search/status").await.body;
    assert!(part.starts_with("<section") && part.contains("data-every=\"2000\""), "{part}");
    for status in [404, 503] {
        let mut browser = Browser::signed_in(&["staff"]);
        browser.api.break_path("/admin/search", status);
        let seen = browser.get("/admin/search").await;
        assert_eq!(seen.status, StatusCode::OK);
        assert!(seen.body.contains("Index status unavailable.") && seen.body.contains("name=\"groups\""));
        browser.api.break_path("/search/synonyms", status);
        let seen = browser.get("/admin/search").await;
        assert!(seen.body.contains("Synonyms are unavailable right now"), "{}", seen.body);
    }
}

#[tokio::test]
async fn staff_edit_synonyms_and_nobodys_work_is_lost() {
    let mut browser = Browser::signed_in(&["staff"]);
    let body = browser.get("/admin/search").await.body;
    assert!(
        body.contains("sea, &#60;ocean&#62;</textarea>") && body.contains("name=\"etag\" value=\"&#34;0&#34;\""),
        "{body}"
    );
    let mine = [("groups", "crime, whodunit\n\nsf, science fiction"), ("etag", "\"0\"")];
    let seen = browser.post("/admin/search", &mine).await;
    assert_eq!(seen.location(), "/admin/search");
    assert!(browser.get("/admin/search").await.body.contains("Saved 2 groups of synonyms"));

    let late = [("groups", "crime, whodunit\nsea, ocean"), ("etag", "\"0\"")];
    let seen = browser.post("/admin/search", &late).await;
    assert_eq!(seen.status, StatusCode::PRECONDITION_FAILED);
    assert!(seen.body.contains("crime, whodunit\nsf, science fiction</textarea>"), "what is saved: {}", seen.body);
    assert!(seen.body.contains("crime, whodunit\nsea, ocean</textarea>"), "what was typed");
    assert!(seen.body.contains("<li>sf, science fiction</li>") && seen.body.contains("<li>sea, ocean</li>"));
    assert!(seen.body.contains("name=\"etag\" value=\"&#34;1&#34;\""), "saving now is a decision");
    holds_up("/admin/search", &seen);

    let wrong = [("groups", "sea, ocean\nalone\n"), ("etag", "\"1\"")];
    let seen = browser.post("/admin/search", &wrong).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("<a href=\"#f-groups\">Line 2: add at least one synonym for “alone”"), "{}", seen.body);
    let seen = browser.post("/admin/search", &[("groups", "\nrefused, b"), ("etag", "\"1\"")]).await;
    assert!(seen.body.contains("Line 2: “b” can’t be used."), "{}", seen.body);
    assert!(seen.body.contains("refused, b</textarea>"), "what was typed is kept");
}

#[tokio::test]
async fn prepared_replies_are_edited_and_nobodys_work_is_lost() {
    let mut browser = Browser::signed_in(&["agent"]);
    let seen = browser.get("/admin/chat/replies").await;
    assert_eq!(seen.body.matches("name=\"shortcut\"").count(), 4, "the one that is there, and room for new ones");
    let mine =
        [("etag", "\"0\""), ("shortcut", "/Thanks"), ("text", "Thank you, {name}."), ("shortcut", ""), ("text", "")];
    let seen = browser.post("/admin/chat/replies", &mine).await;
    assert_eq!(seen.location(), "/admin/chat/replies");
    let saved = browser.api.0.lock().unwrap().replies.0.clone();
    assert_eq!(saved, json!([{"shortcut": "thanks", "text": "Thank you, {name}."}]));

    let late = [("etag", "\"0\""), ("shortcut", "bye"), ("text", "Good bye.")];
    let seen = browser.post("/admin/chat/replies", &late).await;
    assert_eq!(seen.status, StatusCode::PRECONDITION_FAILED);
    assert!(seen.body.contains("Good bye.</textarea>") && seen.body.contains("<dt>/thanks</dt>"), "{}", seen.body);
    assert_eq!(seen.hidden("etag"), "&#34;1&#34;", "saving once more is a decision");
    holds_up("/admin/chat/replies", &seen);

    for (shortcut, text) in [("two words", "x"), ("", "x"), ("x", ""), ("x", "refused")] {
        let fields = [("etag", "\"1\""), ("shortcut", shortcut), ("text", text)];
        let seen = browser.post("/admin/chat/replies", &fields).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{shortcut} {text}");
        assert!(seen.body.contains("href=\"#f-shortcut-0\"") && seen.body.contains("aria-invalid"), "{}", seen.body);
        holds_up("/admin/chat/replies", &seen);
    }
    assert_eq!(Browser::signed_in(&["customer"]).get("/admin/chat/replies").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_office_says_which_part_of_the_shop_cannot_work() {
    let mut staff = Browser::signed_in(&["staff"]);
    assert!(!staff.get("/admin/stock").await.body.contains("can't work right now"));
    staff.api.0.lock().unwrap().disk_full = true;
    let seen = staff.get("/admin/stock").await;
    assert!(seen.body.contains("basket: the database basket cannot be used: the disk is full"), "{}", seen.body);
    assert!(!seen.body.contains("catalog: ok"), "only what is wrong is listed");
    assert!(!staff.get("/").await.body.contains("the disk is full"), "customers are not told");
}
