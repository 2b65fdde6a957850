//! Result pages, recommendations, and what leads on from a dead end.

use super::*;

#[tokio::test]
async fn results_mark_the_words_that_match() {
    let mut browser = Browser::new();
    let body = browser.get("/search?q=sea&in_stock=true").await.body;
    assert!(body.contains("<h1>About 1,234 books for “sea”</h1>"), "{body}");
    assert!(
        body.contains("<mark>&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;</mark> &#38; &#39;Co&#39;"),
        "{body}"
    );
    assert!(body.contains("… <mark>&#60;b&#62;Second</mark>&#60;/b&#62;</p>"), "the matching part of the description");
    assert!(body.contains("about\">… <mark>st</mark>. …</p>"), "dots that are there already are not doubled: {body}");
    assert!(body.contains("First. &#60;b&#62;Second&#60;/b&#62;</p>"), "its beginning where nothing matches");
    assert!(body.contains("Similar in theme"));
    assert!(body.contains("value=\"sea\" maxlength"), "the query stays in the box");
    assert!(body.contains("href=\"/search?q=sea&#38;in_stock=true&#38;language=en\""), "facets combine: {body}");
    assert!(body.contains("Remove filter: </span>In stock"));
}

#[tokio::test]
async fn results_come_in_pages_that_can_be_shared() {
    let mut browser = Browser::new();
    let body = browser.get("/search?q=sea&sort=price&page=3").await.body;
    assert!(!browser.api.asked("GET /api/v1/search?q=sea&sort=price&limit=20&page=3").is_empty());
    assert!(body.contains("aria-current=\"page\"><span class=\"hidden\">Page </span>3<"), "{body}");
    assert!(body.contains("rel=\"prev\" href=\"/search?q=sea&#38;sort=price&#38;page=2\""), "{body}");
    assert!(body.contains("rel=\"next\" href=\"/search?q=sea&#38;sort=price&#38;page=4\""));
    assert!(body.contains("<ol class=\"hits\" start=\"41\">") && body.contains("Only the first 1,000 books"));
    let first = browser.get("/search?q=sea&page=2").await.body;
    assert!(first.contains("rel=\"prev\" href=\"/search?q=sea\""), "the first page has one address");
}

#[tokio::test]
async fn odd_addresses_of_results_are_explained() {
    let mut browser = Browser::new();
    for (query, status, words) in [
        (
            "q=sea&page=51",
            404,
            "There are 50 pages of results. <a href=\"/search?q=sea&#38;page=50\">Go to the last page</a>",
        ),
        ("q=sea&page=99999999999999999999", 404, "That page doesn’t exist."),
        ("q=sea&page=0", 200, "There is no page “0”; this is the first."),
        ("q=sea&page=%3Cb%3E", 200, "There is no page “&#60;b&#62;”"),
        ("q=sea&page=-1", 200, "There is no page “-1”"),
        ("q=sea&cursor=abc", 200, "This link is an old one"),
        ("q=sea&sort=odd", 200, "We ignored an unknown sort option."),
        ("q=sea&price=9-1", 200, "We ignored a price range"),
    ] {
        let seen = browser.get(&format!("/search?{query}")).await;
        assert_eq!(seen.status.as_u16(), status, "{query}");
        assert!(seen.body.contains(words), "{query}: {}", seen.body);
    }
    let long = format!("/search?q={}", "a%00b".repeat(4_000));
    let seen = browser.get(&long).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.body.contains("the first 4,000 characters were searched for") && !seen.body.contains('\0'));

    browser.api.answer_search(400, json!({"errors": [{"field": "/language", "message": "must be an ISO 639 code"}]}));
    let seen = browser.get("/search?q=sea&language=gibberish").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(seen.body.contains("We don’t know this language."), "{}", seen.body);
    assert!(seen.body.contains("value=\"sea\" maxlength"), "the query stays in the box");
}

#[tokio::test]
async fn a_dead_end_shows_ways_on() {
    let mut browser = Browser::new();
    let mut none = fake_api::found(0);
    none["did_you_mean"] = json!("frankenstein & <co>");
    browser.api.answer_search(200, none.clone());
    let body = browser.get("/search?q=frankenstien&language=en").await.body;
    assert!(body.contains("<h1>No books for “frankenstien”</h1>"), "{body}");
    assert!(
        body.contains("Did you mean <a href=\"/search?language=en&#38;q=frankenstein+%26+%3Cco%3E\">frankenstein &#38; &#60;co&#62;</a>?"),
        "{body}"
    );
    assert!(body.contains("search without filters") && body.contains("/books?subject=Sea%20%3Cstories%3E"));

    let mut near = fake_api::found(2);
    near["nearest"] = json!(true);
    near["degraded"] = json!(true);
    browser.api.answer_search(200, near);
    let body = browser.get("/search?q=sorrow+of+a+lamp").await.body;
    assert!(body.contains("No exact matches. Here are the closest:"), "{body}");
    assert!(!body.contains("Similar in theme"), "said once, above");
    assert!(body.contains("Showing keyword matches only for now."));
    browser.api.answer_search(200, none);
    let seen = browser.get("/search?q=sea&page=2").await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert!(
        seen.body.contains("There is 1 page of results. <a href=\"/search?q=sea\">Go to the last page</a>"),
        "{}",
        seen.body
    );
}

#[tokio::test]
async fn what_the_search_did_otherwise_than_asked_is_said_with_a_way_back() {
    let mut browser = Browser::new();
    let mut corrected = fake_api::found(2);
    corrected["did_you_mean"] = json!("harry <potter>");
    corrected["corrected_to"] = json!("harry <potter>");
    browser.api.answer_search(200, corrected.clone());
    let body = browser.get("/search?q=harry+poter&language=en&page=1").await.body;
    assert!(body.contains("<h1>2 books for “harry &#60;potter&#62;”</h1>"), "{body}");
    assert!(
        body.contains(
            "Results for <strong>harry &#60;potter&#62;</strong>. Search instead for \
             <a href=\"/search?language=en&#38;q=harry+poter&#38;exact=true\">harry poter</a>."
        ),
        "{body}"
    );
    assert!(!body.contains("Did you mean"));
    browser.api.answer_search(200, corrected);
    let body = browser.get("/search?q=harry+poter&exact=true").await.body;
    let asked = browser.api.asked("GET /api/v1/search");
    assert!(asked.iter().any(|asked| asked.line.contains("exact=true")), "asked as typed");
    assert!(body.contains("<input type=\"hidden\" name=\"exact\" value=\"true\">"), "{body}");

    let mut missing = fake_api::found(2);
    missing["missing"] = json!(true);
    missing["total"] = json!(0);
    missing["facets"] = json!({"subject": [], "language": [], "author": [], "price": []});
    browser.api.answer_search(200, missing);
    let body = browser.get("/search?q=les+mis%C3%A9rables").await.body;
    assert!(body.contains("<h1>We don’t have “les misérables”</h1>") && body.contains("Similar books:"), "{body}");
    assert!(body.contains("A lamp by the sea") && !body.contains("books for"), "{body}");

    let mut wrong = fake_api::found(0);
    wrong["wrong_isbn"] = json!({"typed": "9780804429574", "expected": "3", "meant": "9780804429573"});
    browser.api.answer_search(200, wrong);
    let body = browser.get("/search?q=978-0-8044-2957-4").await.body;
    assert!(
        body.contains(
            "The last digit of 9780804429574 doesn’t fit. Did you mean \
             <a href=\"/search?q=9780804429573\">9780804429573</a>?"
        ),
        "{body}"
    );
}

#[tokio::test]
async fn a_list_whose_place_is_lost_says_so() {
    let mut browser = Browser::new();
    browser.api.break_path("/books", 400);
    let seen = browser.get("/books?cursor=odd").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert!(
        seen.body.contains("That link doesn’t work any more.") && seen.body.contains("First page"),
        "{}",
        seen.body
    );
}

#[tokio::test]
async fn recommendations_are_for_whoever_looks_and_never_in_the_way() {
    let mut guest = Browser::new();
    assert!(guest.get("/").await.body.contains(">Bestsellers</h2>"));
    let mut customer = Browser::signed_in(&["customer"]);
    let body = customer.get("/").await.body;
    assert!(body.contains(">For you</h2>") && body.contains("A likely book"), "{body}");
    assert!(customer.get(&format!("/books/{BOOK}")).await.body.contains("Much like it"));

    for status in [404, 503] {
        for mut browser in [Browser::new(), Browser::signed_in(&["customer"])] {
            browser.api.break_path("/recommendations", status);
            browser.api.break_path("/books/01990000%2D0000%2D7000%2D8000%2D000000000001/", status);
            for path in ["/".to_owned(), format!("/books/{BOOK}")] {
                let seen = browser.get(&path).await;
                assert_eq!(seen.status, StatusCode::OK, "{path} without its bonus");
                assert!(!seen.body.contains("id=\"recommended\"") && !seen.body.contains("id=\"similar\""), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn what_customers_look_at_is_told_to_the_catalogue() {
    let path = format!("/books/{BOOK}");
    let views = format!("POST /api/v1/books/{}/views", BOOK.replace('-', "%2D"));
    let mut guest = Browser::new();
    guest.get(&path).await;
    let mut customer = Browser::signed_in(&["customer"]);
    customer.get("/books/01990000-0000-7000-8000-000000000099").await;
    customer.send(customer.client.get(&path).header("sec-purpose", "prefetch")).await;
    customer.get(&path).await;
    for _ in 0..1_000 {
        if !customer.api.asked(&views).is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(
        customer.api.asked("POST").len(),
        1,
        "books that are not there, and pages nobody sees yet, do not count"
    );
    assert!(customer.api.asked(&views)[0].headers.contains_key("authorization"));
    assert!(guest.api.asked("POST").is_empty());
}

#[tokio::test]
async fn how_a_query_was_understood_is_said_and_can_be_taken_away() {
    let mut browser = Browser::new();
    let mut found = fake_api::found(3);
    found["readings"] = json!([
        {"kind": "best", "text": "Best rated first", "is_met": true},
        {"kind": "year", "text": "Published in 2010", "is_met": true},
        {"kind": "language", "text": "In Japanese", "is_met": false},
        {"kind": "phrase", "text": "“<b>big</b>”", "is_met": false},
    ]);
    found["author"] = json!({"id": "01990000-0000-7000-8000-000000000011", "name": "A & B", "book_count": 1_200});
    browser.api.answer_search(200, found);
    let body = browser.get("/search?q=best%20fantasy%202010&ignore=like").await.body;
    let asked = browser.api.asked("GET /api/v1/search?q=best");
    assert!(asked.len() == 1 && asked[0].line.contains("&ignore=like&"), "{asked:?}");
    assert!(
        body.contains("Remove: </span>Best rated first") && body.contains("Remove: </span>Published in 2010"),
        "{body}"
    );
    assert!(body.contains("href=\"/search?q=best+fantasy+2010&#38;ignore=like%2Cyear\""), "{body}");
    assert!(!body.contains("Remove: </span>In Japanese"), "what no book is cannot be taken away");
    assert!(body.contains("We have none in Japanese, so these are others."), "{body}");
    assert!(body.contains("No book has “&#60;b&#62;big&#60;/b&#62;” word for word"), "{body}");
    assert!(body.contains("<a href=\"/books?author=A%20%26%20B\">A &#38; B</a> – 1,200 books"), "{body}");

    let mut unknown = fake_api::found(0);
    unknown["unknown_isbn"] = json!("9780804429573");
    browser.api.answer_search(200, unknown);
    let body = browser.get("/search?q=9780804429573").await.body;
    assert!(body.contains("<h1>We don’t have a book with ISBN 9780804429573</h1>"), "{body}");
}
