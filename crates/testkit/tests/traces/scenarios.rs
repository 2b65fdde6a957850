//! The scenarios as they are written down, and as they happen: each arrow of each diagram must be drawn from what the
//! processes remember.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bookworm_contracts::rest::operations::{Trace, TraceArrow, Traces};
use bookworm_gateway::diagram::SCENARIOS;
use bookworm_testkit::{Database, HubClient, TestShop, until};
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

/// The checkout as it is once the total is known.
const CHECKOUT: &str = "/checkout?country=US&region=OR";
/// When it is said what is missing.
const TIMEOUT: Duration = Duration::from_secs(45);

/// What an administrator sees of it; `None` when nothing is known.
async fn trace(shop: &TestShop, id: &str) -> Option<Trace> {
    let answer = shop.get(&format!("/api/v1/admin/traces/{id}")).bearer(shop.admin()).send().await;
    (answer.status == StatusCode::OK).then(|| answer.read())
}

/// Waits until all that must happen was seen, and returns it; fails with what is missing.
async fn whole(shop: &TestShop, id: &str, name: &str, optional: &[&str]) -> Trace {
    let begun = Instant::now();
    until(name, async || {
        let trace = trace(shop, id).await;
        let is_late = begun.elapsed() > TIMEOUT;
        let Some(trace) = trace else {
            assert!(!is_late, "nothing is known of {id}");
            return None;
        };
        let drawn = &trace.diagram.mermaid;
        let Some(expected) = trace.expected.as_ref().filter(|expected| expected.name == name) else {
            assert!(!is_late, "it is no {name}:\n{drawn}");
            return None;
        };
        let missing = expected.arrows.iter().filter(|arrow| !arrow.seen && !optional.contains(&&*arrow.label));
        let missing: Vec<_> = missing.collect();
        assert!(!is_late || missing.is_empty(), "{name}, missing: {missing:#?}\n{drawn}");
        missing.is_empty().then_some(trace)
    })
    .await
}

fn extra(trace: &Trace) -> BTreeSet<String> {
    let line = |arrow: &TraceArrow| format!("{} to {}: {}", arrow.from, arrow.to, arrow.label);
    trace.diagram.arrows.iter().filter(|arrow| arrow.extra).map(line).collect()
}

/// Arrows of what came before the request that an order's trace begins with.
const BEFORE: [&str; 5] =
    ["Add book to cart", "POST /basket/items", "Add item to basket", "Item added", "Success response"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_and_its_completion_are_drawn_as_they_are_written_down() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let book = shop.book("The Dispossessed", 1299, 5).await;

    let mut browser = shop.browser();
    let page = browser.get(&format!("/books/{}", book.id)).await;
    let (csrf, id) = (page.hidden("_csrf"), book.id.to_string());
    let added = browser.submit("/basket/items", &[("_csrf", &csrf), ("book_id", &id), ("quantity", "1")]).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    let adding = added.headers["traceparent"].to_str().unwrap()[3..35].to_owned();
    let drawn = until("the basket's trace is known", async || trace(&shop, &adding).await).await.diagram.arrows;
    for (from, to) in [("Customer", "WebApp"), ("WebApp", "Gateway"), ("Gateway", "Basket"), ("Basket", "Gateway")] {
        assert!(drawn.iter().any(|arrow| arrow.from == from && arrow.to == to), "{from} {to}: {drawn:#?}");
    }

    let page = browser.get(CHECKOUT).await;
    let hidden =
        ["_csrf", "idempotency_key", "expected_amount", "expected_currency"].map(|name| (name, page.hidden(name)));
    let typed = [
        ("email", "ann@reader.test"),
        ("name", "Ann Reader"),
        ("line1", "1 Main Street"),
        ("city", "Portland"),
        ("region", "OR"),
        ("postal_code", "97201"),
        ("country", "US"),
        ("shipping_method", "standard"),
        ("payment_token", "tok_approve"),
        ("action", "place"),
    ];
    let fields: Vec<_> = hidden.iter().map(|(name, value)| (*name, value.as_str())).chain(typed).collect();
    let placed = browser.submit("/checkout", &fields).await;
    let order = placed.location().strip_prefix("/orders/").unwrap_or_else(|| panic!("{}", placed.body));
    let order = order.split('?').next().unwrap().to_owned();
    let purchase = whole(&shop, &order, "Book purchase", &BEFORE).await;
    assert!(extra(&purchase).is_empty(), "not written down: {:#?}", extra(&purchase));
    assert!(purchase.steps.iter().all(|step| !step.failed), "{:#?}", purchase.steps);
    let text = serde_json::to_string(&purchase).unwrap();
    for secret in ["ann@reader.test", "Ann Reader", "Main Street", "tok_approve", "97201", &hidden[0].1, &hidden[1].1] {
        assert!(!text.contains(secret), "{secret} is in the trace");
    }

    // Staff find it by its order, and it is one trace.
    let path = format!("/api/v1/admin/traces?subject={order}&name=%2Fcheckout");
    let list: Traces = shop.get(&path).bearer(shop.admin()).send().await.expect(StatusCode::OK).read();
    assert_eq!((list.kept, list.items.len(), list.items[0].failed), (true, 1, false), "{list:?}");
    assert_eq!(list.items[0].name, "POST /checkout");

    let mut office = shop.browser().with_cookie("bw_access", shop.admin());
    let page = office.get(&format!("/admin/orders/{order}")).await.body;
    assert!(page.contains(&format!("href=\"/admin/traces/{order}\"")), "{page}");
    let page = office.get(&format!("/admin/traces/{order}")).await.body;
    assert!(
        page.contains("<svg class=\"seq\"") && page.contains("Everything happened as it is written down."),
        "{page}"
    );

    for step in ["ship", "complete"] {
        let done =
            shop.post(&format!("/api/v1/orders/{order}/{step}")).bearer(shop.admin()).json(&json!({})).send().await;
        assert!(done.status.is_success(), "{step}: {}", done.text());
    }
    let path = format!("/api/v1/admin/traces?subject={order}&name=%2Fcomplete");
    let completed = until("the completion is listed", async || {
        let list: Traces = shop.get(&path).bearer(shop.admin()).send().await.expect(StatusCode::OK).read();
        list.items.first().map(|trace| trace.id.clone())
    })
    .await;
    whole(&shop, &completed, "Events between services", &[]).await;

    for who in ["/api/v1/admin/traces".to_owned(), format!("/api/v1/admin/traces/{order}")] {
        assert_eq!(shop.get(&who).send().await.status, StatusCode::UNAUTHORIZED);
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_is_drawn_as_it_is_written_down() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    shop.book("The Dispossessed", 1299, 5).await;
    let mut browser = shop.browser();
    let mut search = async |words: &str| {
        let page = browser.get(&format!("/search?q={words}")).await;
        page.headers["traceparent"].to_str().unwrap()[3..35].to_owned()
    };
    let first = until("the index answers", async || {
        let id = search("dispossessed").await;
        let trace = trace(&shop, &id).await?;
        // While the index is brought up to date, answers are not stored.
        let goes_to =
            |name: &str, what: &str| trace.diagram.arrows.iter().any(|arrow| arrow.to == name && arrow.label == what);
        (goes_to("SearchIndex", "Words and vector: one ranking") && goes_to("Cache", "Cache results")).then_some(id)
    })
    .await;
    // Shops under test have no model, and the answer comes from the cache the second time.
    let without = ["Generate text embedding", "Vector embedding", "Return cached results"];
    whole(&shop, &first, "Search", &without).await;
    let again = search("dispossessed").await;
    let cached = whole(
        &shop,
        &again,
        "Search",
        &[
            "Process search request",
            "Generate text embedding",
            "Vector embedding",
            "Words and vector: one ranking",
            "Ranked search results",
            "Cache results",
        ],
    )
    .await;
    assert!(cached.diagram.arrows.iter().all(|arrow| arrow.to != "Catalog"), "{}", cached.diagram.mermaid);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_is_drawn_as_it_is_written_down() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let address = shop.listen();
    let mut desk = HubClient::connect(address, "/hubs/chat", Some(shop.admin())).await.unwrap();
    call(&mut desk, "SetAvailability", json!({"status": "available"})).await;
    let mut guest = HubClient::connect(address, "/hubs/chat", None).await.unwrap();
    let started = call(&mut guest, "StartConversation", json!({})).await;
    let id = started["conversation"]["id"].as_str().unwrap();
    let question = "What do I pay for shipping to Portland?";
    let message = json!({"conversation_id": id, "client_message_id": Uuid::new_v4(), "text": question});
    call(&mut guest, "SendMessage", message).await;
    let soon = Duration::from_secs(30);
    let answered = guest.event_like("message", soon, |message| message["author"] == "bot").await.unwrap();
    assert!(answered.is_some(), "the bot answers");
    call(&mut guest, "AskForPerson", json!({"conversation_id": id})).await;
    assert!(desk.event_like("assigned", soon, |_| true).await.unwrap().is_some(), "an agent has it");
    call(&mut desk, "Close", json!({"conversation_id": id, "resolution": "closed"})).await;
    let drawn = whole(&shop, id, "Support chat", &[]).await;
    let text = serde_json::to_string(&drawn).unwrap();
    assert!(!text.contains("Portland"), "what people say is no part of a trace");
    shop.stop().await;
}

async fn call(client: &mut HubClient, method: &str, argument: Value) -> Value {
    client.invoke(method, &[argument]).await.unwrap_or_else(|error| panic!("{method}: {error}"))
}

/// The diagrams of `docs/runtime-view.md` are the scenarios.
#[test]
fn the_documentation_shows_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runtime-view.md");
    let text = std::fs::read_to_string(path).unwrap();
    for scenario in &SCENARIOS {
        let name = scenario.name;
        let section = text.split(&format!("\n## {name}\n")).nth(1).unwrap_or_else(|| panic!("no section {name}"));
        let diagram = section.split("```mermaid\n").nth(1).unwrap().split("```").next().unwrap();
        assert_eq!(diagram, scenario.mermaid(), "{name}: write into docs/runtime-view.md what the code says");
    }
}
