//! What pages say is true, in words, and in the language that it is in.

use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    checkout_form,
    fake_api::{self, BOOK, ORDER},
};

/// Books that nobody rated, each with an id of its own.
fn shelf(books: usize) -> Vec<Value> {
    (1..=books)
        .map(|n| {
            let mut book = fake_api::book(&format!("01990000-0000-7000-8000-0000000001{n:02}"), &format!("Title {n}"));
            book["rating"] = json!({"average": 0.0, "count": 0});
            book
        })
        .collect()
}

fn headings(body: &str) -> Vec<&str> {
    let all = body.split("<h2").skip(1).filter_map(|rest| rest.split_once('>')?.1.split_once("</h2>"));
    all.map(|(heading, _)| heading).collect()
}

#[tokio::test]
async fn an_empty_shop_promises_no_books() {
    let mut guest = Browser::new();
    {
        let mut api = guest.api.0.lock().unwrap();
        api.books = Some(Vec::new());
        api.recommendations = Some(json!({"items": [], "basis": "shelf"}));
    }
    let body = guest.get("/").await.body;
    assert!(body.contains("Opening soon") && !body.contains("Add your first book"), "{body}");
    assert!(!body.contains("Browse all books") && !body.contains("href=\"#index\""), "no way to nothing: {body}");
    for untrue in ["Bestsellers", "favourites", "Top rated", "Latest publications</h2>", "hero__shelf"] {
        assert!(!body.contains(untrue), "{untrue}: {body}");
    }
    let list = guest.get("/books").await.body;
    assert!(list.contains("There are no books for sale yet.") && !list.contains("See all books"), "{list}");
    assert!(guest.get("/books?subject=War").await.body.contains("See all books"));
    let mut staff = Browser::signed_in(&["staff"]);
    staff.api.0.lock().unwrap().books = Some(Vec::new());
    assert!(staff.get("/").await.body.contains("Add your first book"));
}

#[tokio::test]
async fn nothing_is_a_bestseller_before_a_sale_nor_loved_before_a_rating() {
    let mut guest = Browser::new();
    {
        let mut api = guest.api.0.lock().unwrap();
        api.books = Some(shelf(20));
        api.recommendations = Some(json!({"items": shelf(6), "basis": "shelf"}));
    }
    for path in ["/", "/books", "/about", "/search?q=sea"] {
        let body = guest.get(path).await.body;
        for untrue in ["Bestsellers", "favourites</h2>", "op rated", "sort=rating"] {
            assert!(!body.contains(untrue), "{path}: {untrue}: {body}");
        }
    }
    let body = guest.get("/").await.body;
    assert!(headings(&body).contains(&"From our shelves"), "{body}");
    let body = guest.get("/books?sort=rating").await.body;
    assert!(body.contains("<h1>All books</h1>") && body.contains("Nobody has rated our books yet"), "{body}");
}

#[tokio::test]
async fn after_the_first_orders_bestsellers_are_the_books_that_were_sold() {
    let mut guest = Browser::new();
    {
        let mut api = guest.api.0.lock().unwrap();
        let mut books = shelf(20);
        // One that readers like, and one that they do not.
        books[0]["rating"] = json!({"average": 4.6, "count": 3});
        books[1]["rating"] = json!({"average": 2.0, "count": 1});
        let sold = books[7..9].to_vec();
        api.books = Some(books);
        api.recommendations = Some(json!({"items": sold, "basis": "popular"}));
    }
    let body = guest.get("/").await.body;
    let row = |heading: &str| {
        let at = body.find(&format!(">{heading}</h2>")).unwrap_or_else(|| panic!("no {heading} in {body}"));
        body[at..].split("</section>").next().unwrap().to_owned()
    };
    let bestsellers = row("Bestsellers");
    assert_eq!(bestsellers.matches("<article").count(), 2, "no other book fills the row: {bestsellers}");
    assert!(bestsellers.contains(">Title 8<") && bestsellers.contains(">Title 9<"));
    // The book that readers like stands beside the welcome: with it, the row would show it twice.
    assert!(!body.contains(">Title 2</h3>") || !row("Readers’ favourites").contains(">Title 2<"));
    assert!(body.contains("href=\"/books?sort=rating\""), "there is a rating to sort by");
}

#[tokio::test]
async fn no_page_says_that_mail_was_sent_when_it_is_only_kept() {
    for (mut browser, sends) in [(Browser::new(), true), (Browser::without_mail(), false)] {
        let order = browser.get(&format!("/orders/{ORDER}?key=k%2Fe%2By")).await.body;
        assert_eq!(order.contains("We’ve emailed your confirmation to ada@example.org."), sends, "{order}");
        assert_eq!(order.contains("Confirmation sent to"), sends);
        let shipping = browser.get("/shipping-and-returns").await.body;
        assert_eq!(shipping.contains("We’ll email you when it ships"), sends);
        assert_eq!(browser.get("/contact").await.body.contains("reply by email"), sends);
        browser.post("/forgot-password", &[("email", "ada@example.org")]).await;
        let page = browser.get("/sign-in").await.body;
        assert_eq!(page.contains("we’ve sent it a reset link"), sends, "{page}");
        assert_eq!(page.contains("We can’t send email at the moment."), !sends);
    }
}

#[tokio::test]
async fn the_button_names_the_sum_that_is_paid() {
    let mut browser = Browser::new();
    let body = browser.get("/checkout").await.body;
    let total = body.split("data-total").nth(1).unwrap().split('>').nth(1).unwrap().split('<').next().unwrap();
    assert!(body.contains(&format!("id=\"f-place\">Pay {total}</span>")), "{body}");
    assert!(!body.contains("id=\"q\"") && !body.contains("class=\"wrap aisles\""), "nothing leads away from paying");
}

#[tokio::test]
async fn an_order_is_cancelled_only_after_a_question_that_names_it() {
    let mut browser = Browser::new();
    let path = format!("/orders/{ORDER}");
    let page = browser.get(&format!("{path}?key=k%2Fe%2By")).await.body;
    assert!(page.contains(&format!("href=\"{path}/cancel?key=k%2Fe%2By\"")), "{page}");
    assert!(!page.contains("/cancel\" method"), "no form that cancels at once");
    let question = browser.get(&format!("{path}/cancel?key=k%2Fe%2By")).await;
    assert!(
        question.body.contains("Cancel order BW-7K3M-92QX?") && question.body.contains("$32.97"),
        "{}",
        question.body
    );
    assert!(browser.api.asked("POST").is_empty(), "asking changes nothing");
    let key = question.hidden("key").replace("&#38;", "&");
    let seen = browser.post(&format!("{path}/cancel"), &[("key", &key)]).await;
    assert_eq!(seen.location(), format!("{path}?key=k%2Fe%2By"));
    assert_eq!(browser.api.asked("POST").len(), 1);

    browser.api.0.lock().unwrap().order =
        json!({"status": "shipped", "actions": {"cancel": false, "ship": false, "complete": true, "refund": null}});
    let seen = browser.get(&format!("{path}/cancel?key=k%2Fe%2By")).await;
    assert_eq!(seen.location(), format!("{path}?key=k%2Fe%2By"), "too late to ask");
    assert!(browser.get(&format!("{path}?key=k%2Fe%2By")).await.body.contains("can’t be cancelled any more"));
}

#[tokio::test]
async fn a_quantity_that_cannot_be_is_said_beside_its_field() {
    let path = format!("/basket/items/{BOOK}");
    for (typed, words) in [
        ("500", "You can order up to 99 copies of a book."),
        ("99999999999999999999", "You can order up to 99 copies of a book."),
        ("two", "Enter a whole number from 0 to 99."),
        ("-1", "You can order up to 99 copies of a book."),
        ("1.5", "Enter a whole number from 0 to 99."),
        ("", "Enter a whole number from 0 to 99."),
    ] {
        for fragment in [false, true] {
            let mut browser = Browser::new();
            let seen = browser
                .post_with(&path, &[("quantity", typed)], |request| {
                    if fragment { request.header("x-fragment", "basket") } else { request }
                })
                .await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{typed}");
            let error = format!("id=\"e-{BOOK}\" role=\"alert\">{words}</p>");
            assert!(seen.body.contains(&error), "{typed}: {}", seen.body);
            assert!(seen.body.contains(&format!("value=\"{typed}\"")) && seen.body.contains("aria-invalid=\"true\""));
            assert_eq!(seen.headers.contains_key("x-fragment"), fragment);
            assert_eq!(seen.body.contains("<html"), !fragment);
        }
    }
}

#[tokio::test]
async fn a_basket_says_what_is_true_of_its_lines() {
    let mut browser = Browser::new();
    let mut short = fake_api::basket(false);
    short["items"][0]["quantity"] = json!(60);
    short["items"][0]["available"] = json!(36);
    short["items"][0]["price_changed"] = json!(false);
    short["items"][0]["language"] = json!("ru");
    browser.api.0.lock().unwrap().basket = Some(short);
    let body = browser.get("/basket").await.body;
    assert!(body.contains("Only 36 left.") && body.contains(">Set to 36<"), "{body}");
    assert!(!body.contains("prices have changed"), "nothing changed but the wish: {body}");
    assert!(body.contains("data-most=\"36\"") && !body.contains("href=\"/checkout\""));
    assert!(body.contains("<span lang=\"ru\">O&#39;Brien</span>") && body.contains(">Russian</p>"));

    browser.api.0.lock().unwrap().refusal = Some((404, json!({"code": "not_found"})));
    let seen = browser.post("/basket/items/01990000-0000-7000-8000-0000000000ff", &[("quantity", "2")]).await;
    assert!(seen.body.contains("That book isn’t in your basket any more."), "{}", seen.body);
}

#[tokio::test]
async fn what_was_removed_can_be_put_back() {
    let mut browser = Browser::new();
    browser.api.0.lock().unwrap().empty = true;
    let path = format!("/basket/items/{BOOK}");
    let seen = browser.post(&path, &[("quantity", "0"), ("copies", "3")]).await;
    assert_eq!(seen.location(), format!("/basket?removed={BOOK}&copies=3"));
    let body = browser.get(seen.location()).await.body;
    assert!(body.contains("Removed “") && body.contains("name=\"quantity\" value=\"3\""), "{body}");
    assert!(body.contains("Your basket is empty"));
    for odd in
        ["/basket?removed=x&copies=3", "/basket?removed=&copies=0", &format!("/basket?removed={BOOK}&copies=500")]
    {
        let seen = browser.get(odd).await;
        assert!(seen.status == StatusCode::OK && !seen.body.contains("Removed “"), "{odd}");
    }
    browser.api.0.lock().unwrap().empty = false;
    let body = browser.get(&format!("/basket?removed={BOOK}&copies=3")).await.body;
    assert!(!body.contains("Removed “"), "it is in the basket again: {body}");
}

#[tokio::test]
async fn titles_and_names_say_which_language_they_are_in() {
    let mut browser = Browser::new();
    let mut books = shelf(3);
    for (book, (language, title, author)) in books.iter_mut().zip([
        ("ar", "ألف ليلة وليلة", "مجهول"),
        ("zh-Hant", "三國演義", "羅貫中"),
        ("en", "Emma", "Jane Austen"),
    ]) {
        (book["language"], book["title"]) = (json!(language), json!(title));
        book["authors"][0]["name"] = json!(author);
    }
    {
        let mut api = browser.api.0.lock().unwrap();
        api.books = Some(books);
        api.recommendations = Some(json!({"items": [], "basis": "shelf"}));
    }
    for path in ["/", "/books"] {
        let body = browser.get(path).await.body;
        for (attributes, title, author, badge) in [
            (" lang=\"ar\" dir=\"rtl\"", "ألف ليلة وليلة", "مجهول", Some("Arabic")),
            (" lang=\"zh-Hant\"", "三國演義", "羅貫中", Some("Chinese")),
            ("", "Emma", "Jane Austen", None),
        ] {
            assert!(body.contains(&format!("<h3 class=\"card__title\"{attributes}>{title}</h3>")), "{path}: {body}");
            assert!(body.contains(&format!("<span{attributes}>{author}</span>")), "{path}: {author}: {body}");
            if let Some(badge) = badge {
                assert!(body.contains(&format!("<p class=\"card__language\">{badge}</p>")), "{path}: {badge}");
            }
        }
        assert!(!body.contains(">English</p>"), "the shop's own language needs no badge");
    }
}

#[tokio::test]
async fn nobody_reads_the_words_of_the_api() {
    let mut browser = Browser::new();
    let seen = browser.post("/forgot-password", &[("email", "")]).await;
    assert!(seen.body.contains("Enter your email.") && browser.api.asked("POST").is_empty(), "{}", seen.body);

    let errors = json!([{"field": "/shipping_address/name", "message": "must be 1 to 100 characters, not 101"}]);
    browser.api.answer_checkout(400, json!({"code": "validation_failed", "errors": errors}));
    let seen = browser.post("/checkout", &checkout_form()).await;
    assert!(seen.body.contains("Name can have up to 100 characters."), "{}", seen.body);
    assert!(!seen.body.contains("must be"), "{}", seen.body);

    for path in ["/nowhere", "/books/nonsense"] {
        let seen = browser.get(path).await;
        assert!(!seen.body.contains("/errors/") && !seen.body.contains("not_found"), "{path}: {}", seen.body);
    }
}

#[tokio::test]
async fn who_is_signed_in_needs_no_form_to_sign_in() {
    let mut browser = Browser::signed_in(&["customer"]);
    assert_eq!(browser.get("/sign-in").await.location(), "/account");
    assert_eq!(browser.get("/sign-in?next=%2Fcheckout").await.location(), "/checkout");
    assert_eq!(browser.get("/sign-in?next=%2F%2Fevil.example").await.location(), "/");
    assert_eq!(browser.get("/sign-up").await.location(), "/account");
}

#[tokio::test]
async fn times_are_those_of_the_shop() {
    let mut browser = Browser::new();
    let body = browser.get(&format!("/orders/{ORDER}?key=k%2Fe%2By")).await.body;
    // 2 March 2026 in Berlin, at ten in the morning.
    let exact = "<time datetime=\"2026-03-01T12:30:00Z\" title=\"1 March 2026, 13:30 CET\">yesterday, 13:30</time>";
    assert!(body.contains(exact), "{body}");
    assert!(body.contains("Placed on <time datetime=\"2026-03-01T12:30:00Z\">1 March 2026</time>"), "{body}");
}

#[tokio::test]
async fn three_kinds_of_colours_can_be_chosen_and_left_again() {
    let mut browser = Browser::new();
    for (chosen, root) in [("dark", "<html lang=\"en\" data-theme=\"dark\">"), ("system", "<html lang=\"en\">")] {
        browser.post("/theme", &[("theme", chosen), ("next", "/")]).await;
        let body = browser.get("/").await.body;
        assert!(body.contains(root), "{chosen}");
        assert!(body.contains(&format!("value=\"{chosen}\" aria-pressed=\"true\"")), "{body}");
    }
}

#[tokio::test]
async fn the_serif_comes_from_the_shop_itself() {
    let mut browser = Browser::new();
    let body = browser.get("/about").await.body;
    let href = body.split("rel=\"preload\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let font = browser.send(browser.client.get(&href)).await;
    assert_eq!((font.status, &font.headers[header::CONTENT_TYPE]), (StatusCode::OK, &"font/woff2".parse().unwrap()));
    assert!(font.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    let sheet = body.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let sheet = browser.get(&sheet).await.body;
    assert!(sheet.contains(&href) && !sheet.contains("http:") && !sheet.contains("https:"), "fonts of this shop only");
}
