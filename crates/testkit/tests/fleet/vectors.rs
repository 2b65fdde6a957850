//! Several instances of the catalogue search by meaning, and each book is embedded once for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

use axum::{Json, Router, extract::State as Extracted, routing::post};
use bookworm_registry::{Instance, Key, Registry, State};
use bookworm_testkit::{TestShop, until};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::registry::{announced, decoy, on_nats, registry, until_states};

/// What only meaning connects: the same word to the model.
const SEA: [&str; 3] = ["lighthouse", "beacon", "nautical"];

/// How often each text was embedded.
#[derive(Clone, Default)]
struct Embedded(Arc<Mutex<HashMap<String, usize>>>);

impl Embedded {
    /// An endpoint that speaks OpenAI's interface, and counts.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/embeddings", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/embeddings", post(embed)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// How often the text of the book with this title was.
    fn of(&self, title: &str) -> usize {
        let all = self.0.lock().unwrap();
        all.iter().filter(|(text, _)| text.contains(title)).map(|(_, times)| times).sum()
    }
}

async fn embed(Extracted(embedded): Extracted<Embedded>, Json(body): Json<Value>) -> Json<Value> {
    let texts: Vec<&str> = body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            *embedded.0.lock().unwrap().entry((*text).to_owned()).or_default() += 1;
            let text = text.to_lowercase();
            let is_sea = SEA.iter().any(|word| text.contains(word));
            json!({"index": index, "embedding": if is_sea { [1.0, 0.1] } else { [0.1, 1.0] }})
        })
        .collect();
    Json(json!({"data": data, "model": "counting"}))
}

/// Whether a search finds the book that only meaning connects with it, by the index.
async fn finds(shop: &TestShop, title: &str) -> bool {
    // Staff may ask past the gateway's cache.
    let ask = shop.get("/api/v1/search?q=beacon").bearer(shop.admin()).header("cache-control", "no-cache");
    let found = ask.send().await.expect(StatusCode::OK).body;
    let items = found["items"].as_array().unwrap();
    found["degraded"] == false && items.iter().any(|item| item["book"]["title"] == title)
}

async fn everybody_finds(shop: &TestShop, title: &str) {
    until("it is found by its meaning", async || finds(shop, title).await.then_some(())).await;
    // Whoever is asked.
    until("it is found by its meaning ten times in a row", async || {
        for _ in 0..10 {
            if !finds(shop, title).await {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// The instances of the catalogue that announce that they can search.
async fn able(shop: &TestShop) -> usize {
    let all = announced(&registry(shop).await).await;
    all.iter().filter(|instance| instance.role() == "catalog" && instance.capabilities == ["search"]).count()
}

async fn until_able(shop: &TestShop, count: usize) {
    until("so many instances can search", async || (able(shop).await == count).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_book_is_embedded_once_and_every_instance_finds_it_by_meaning() {
    on_nats(|server, nats| async move {
        let embedded = Embedded::default();
        let url = embedded.listen().await;
        let model = [("ai.provider", "openai"), ("ai.url", &*url), ("ai.model", "counting")];
        let processes = ["gateway,identity,basket,notification,ai", "catalog", "catalog"];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &model).await;
        until_able(&shop, 2).await;
        let titles: Vec<String> = (1..=6).map(|n| format!("The Lighthouse {n}")).collect();
        for title in &titles {
            shop.book(title, 1299, 5).await;
        }
        for title in &titles {
            everybody_finds(&shop, title).await;
        }

        // Whichever of the two has the lease, it is killed at one of these.
        shop.others().remove(0).kill().await;
        // A connection that breaks under a request that may not be repeated is an error, and rightly so.
        everybody_finds(&shop, "The Lighthouse 1").await;
        shop.book("The Lighthouse 7", 1299, 5).await;
        everybody_finds(&shop, "The Lighthouse 7").await;
        shop.join("catalog").await;
        // Not while the first is still among those who may be asked: two of three that are gone are one too many.
        until_states(&registry(&shop).await, "catalog", &[State::Ready, State::Ready]).await;
        shop.others().remove(0).kill().await;
        everybody_finds(&shop, "The Lighthouse 1").await;
        shop.book("The Lighthouse 8", 1299, 5).await;
        everybody_finds(&shop, "The Lighthouse 8").await;
        everybody_finds(&shop, "The Lighthouse 1").await;

        for n in 1..=8 {
            assert_eq!(embedded.of(&format!("The Lighthouse {n}")), 1, "{n}");
        }
        shop.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_index_is_not_whole_is_not_asked_to_search() {
    on_nats(|server, nats| async move {
        let processes = ["gateway,identity,basket,notification", "catalog"];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &[]).await;
        let book = shop.book("The Dispossessed", 1299, 5).await;
        until_able(&shop, 1).await;
        let registry = registry(&shop).await;
        let (address, asked) = decoy().await;
        let mut late: Instance =
            announced(&registry).await.into_iter().find(|instance| instance.role() == "catalog").unwrap();
        late.key = Key::new("catalog", "late").unwrap();
        (late.http, late.grpc, late.capabilities) = (Some(address.clone()), Some(address), Vec::new());
        registry.announce(&late).await.unwrap();
        until_states(&registry, "catalog", &[State::Ready, State::Ready]).await;
        let searches = [
            "/api/v1/search?q=dispossessed".to_owned(),
            "/api/v1/search/suggest?q=disp".to_owned(),
            format!("/api/v1/books/{}/similar", book.id),
            "/api/v1/recommendations".to_owned(),
        ];
        for n in 0..40 {
            let path = &searches[n % searches.len()];
            let ask = shop.get(path).bearer(shop.admin()).header("cache-control", "no-cache");
            let _ = ask.send().await.expect(StatusCode::OK);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        until("it is asked for what needs no index", async || {
            let path = format!("/api/v1/books/{}/stock", book.id);
            let _ = shop.get(&path).bearer(shop.admin()).send().await.expect(StatusCode::OK);
            (asked.load(Ordering::SeqCst) > 0).then_some(())
        })
        .await;
        let before = asked.load(Ordering::SeqCst);
        late.capabilities = vec!["search".to_owned()];
        registry.announce(&late).await.unwrap();
        until("it is asked once its index is whole", async || {
            registry.announce(&late).await.unwrap();
            let nonce = uuid::Uuid::new_v4().simple().to_string();
            let path = format!("/api/v1/search?q={nonce}");
            // What it does not answer is asked of the other.
            let _ = shop.get(&path).send().await.expect(StatusCode::OK);
            (asked.load(Ordering::SeqCst) > before).then_some(())
        })
        .await;
        shop.stop().await;
    })
    .await;
}
