//! What an order sets in motion is one trace, in one process and in many.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod scenarios;

use std::{collections::HashMap, time::Duration};

use bookworm_contracts::rest::{Page, operations::Mail};
use bookworm_telemetry::{Export, Process, Traces};
use bookworm_testkit::{Collector, Database, Exported, SpanKind, TestShop, until};
use http::StatusCode;

const CHECKOUT: &str = "POST /api/v1/orders/checkout";

/// One test, since a process exports its spans to one collector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_one_trace() {
    let collector = Collector::start().await;
    let process = Process { instance: "here".to_owned(), release: "1.2.3".to_owned() };
    let export =
        Export { endpoint: collector.endpoint(), headers: Vec::new(), ratio: 1.0, roles: vec!["all".to_owned()] };
    let traces = Traces::start(export, &process).unwrap();

    let shop = TestShop::start(Database::Sqlite).await;
    let answered = buy(&shop).await;
    let spans = whole_trace(&collector, &answered).await;
    follows_the_order(&collector, &spans);
    let roots = spans.iter().filter(|span| span.parent.is_none());
    assert_eq!(roots.map(|span| &*span.name).collect::<Vec<_>>(), [CHECKOUT]);
    stop(shop).await;

    if let Some(server) = bookworm_testing::postgres_url() {
        let apart = ["gateway,web,rating,chat,ai", "catalog,basket,identity", "ordering", "finance,notification"];
        let shop = TestShop::start_apart(&server, &apart, &[]).await;
        let answered = buy(&shop).await;
        let spans = whole_trace(&collector, &answered).await;
        follows_the_order(&collector, &spans);
        // The gateway passes the checkout on to the process that has ordering, which answers it.
        let asked: Vec<_> = spans.iter().filter(|span| span.name == CHECKOUT).map(|span| span.kind).collect();
        assert_eq!(asked.iter().filter(|kind| **kind == SpanKind::Server).count(), 2, "{asked:?}");
        stop(shop).await;
    }
    traces.finish(Duration::from_secs(10)).await;
}

/// Buys a book and waits for the mail: the `traceparent` of the checkout's answer.
async fn buy(shop: &TestShop) -> String {
    let book = shop.book("The Dispossessed", 1299, 5).await;
    let purchase = shop.purchase(&[(book.id, 2)], "tok_approve").await;
    let answer = shop.check_out(&purchase).await.expect(StatusCode::CREATED);
    until("the mail is there", async || {
        let mails = shop.get("/api/v1/admin/mail").bearer(shop.admin()).send().await.expect(StatusCode::OK);
        (!mails.read::<Page<Mail>>().items.is_empty()).then_some(())
    })
    .await;
    answer.header("traceparent").expect("the answer says where it is in the trace").to_owned()
}

async fn stop(mut shop: TestShop) {
    shop.stop().await;
}

/// The spans of the trace that an answer belongs to, once all of them have come: the mail's, and every parent.
async fn whole_trace(collector: &Collector, answered: &str) -> Vec<Exported> {
    let (trace, place) = (answered[3..35].to_owned(), answered[36..52].to_owned());
    until("the whole trace has come, and no span lacks its parent", async || {
        let spans: Vec<Exported> = collector.spans().into_iter().filter(|span| span.trace == trace).collect();
        let has = |id: &str| spans.iter().any(|span| span.id == id);
        let mailed = spans.iter().any(|span| of_consumer(span, "notification."));
        let complete = spans.iter().all(|span| span.parent.as_deref().is_none_or(has));
        (mailed && complete && has(&place)).then_some(spans)
    })
    .await
}

fn of_consumer(span: &Exported, service: &str) -> bool {
    span.attributes.get("messaging.consumer.group.name").is_some_and(|name| name.starts_with(service))
}

/// The purchase of the specification: ordering asks basket and catalogue, finance takes the money, and who listens to the
/// order hears of it.
fn follows_the_order(collector: &Collector, spans: &[Exported]) {
    let by_id: HashMap<&str, &Exported> = spans.iter().map(|span| (&*span.id, span)).collect();
    let parent = |span: &Exported| by_id.get(span.parent.as_deref()?).copied();
    for service in ["bookworm.basket.v1.Basket/", "bookworm.catalog.v1.Catalog/"] {
        let answered = spans.iter().find(|span| span.kind == SpanKind::Server && span.name.starts_with(service));
        let answered = answered.unwrap_or_else(|| panic!("{service} is not asked: {spans:#?}"));
        let asked = parent(answered).unwrap();
        assert_eq!((asked.kind, &asked.name), (SpanKind::Client, &answered.name), "the caller's step is the parent");
        assert_eq!(asked.attributes["bookworm.edge"].split('.').next(), Some("ordering"));
        assert_eq!(answered.attributes["rpc.grpc.status_code"], "0");
    }
    for service in ["ordering.", "finance.", "notification.", "basket."] {
        let processed: Vec<_> = spans.iter().filter(|span| of_consumer(span, service)).collect();
        assert!(!processed.is_empty(), "{service} hears nothing of it: {spans:#?}");
        for span in processed {
            let produced = parent(span).unwrap();
            assert_eq!((span.kind, produced.kind), (SpanKind::Consumer, SpanKind::Producer), "{span:?}");
            assert_eq!(span.links, std::slice::from_ref(&produced.id));
            let subject = &span.attributes["messaging.destination.name"];
            assert_eq!((&span.name, &produced.name), (&format!("process {subject}"), &format!("create {subject}")));
            assert_eq!(span.attributes["messaging.message.id"], produced.attributes["messaging.message.id"]);
        }
    }
    let sent = collector.spans().into_iter().filter(|span| span.name == "send bus").flat_map(|span| span.links);
    let sent: Vec<String> = sent.collect();
    let created = spans.iter().filter(|span| span.kind == SpanKind::Producer);
    assert!(created.clone().count() > 3 && created.clone().any(|span| sent.contains(&span.id)), "{sent:?}");
    assert!(spans.iter().all(|span| !span.failed && span.instance == "here"), "{spans:#?}");
}
