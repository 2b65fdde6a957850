//! Books for a customer, by what they bought and looked at.

use super::*;

fn confirmed(customer_id: Option<CustomerId>, book: BookId, copies: i64) -> OrderConfirmed {
    let price = Money::new(1000, Currency::USD);
    OrderConfirmed {
        order: OrderSummary {
            order_id: OrderId::new(),
            number: "BW-1".to_owned(),
            customer_id,
            email: Email::parse("reader@example.com").unwrap(),
            name: "A Reader".to_owned(),
            basket_id: Uuid::now_v7(),
            lines: vec![OrderedLine {
                book_id: book,
                title: "A book".to_owned(),
                language: None,
                quantity: Quantity::new(copies).unwrap(),
                unit_price: price,
                line_total: price,
            }],
            subtotal: price,
            shipping: price,
            tax: price,
            tax_included: false,
            shipping_address: None,
            total: price,
            link: "/orders/1".to_owned(),
            placed_at: Timestamp::default(),
            placed_from: None,
            discount: None,
            coupon: None,
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recommendations_follow_what_a_customer_bought_and_looked_at() {
    on_each(|shop| async move {
        shop.fill().await;
        for (title, text) in
            [("Steel Hearts", "A robot dreams."), ("The Tin Choir", "An android sings; a machine listens.")]
        {
            shop.create(json!({"title": title, "price": usd(900), "description": text})).await;
        }
        shop.ready().await;
        let id = async |title: &str| -> BookId {
            let body = shop.search(&format!("q={title}")).await;
            body["items"][0]["book"]["id"].as_str().unwrap().parse().unwrap()
        };
        let (robot, wizard, salt) = (id("asimov").await, id("earthsea").await, id("salt").await);
        let bus: SharedBus = Arc::new(
            DbBus::open(shop.databases.open("bus").await.unwrap(), shop.clock.clone(), Duration::from_secs(30))
                .await
                .unwrap(),
        );
        let stop = CancellationToken::new();
        let _stopped = stop.clone().drop_guard();
        for consumer in shop.catalog.consumers() {
            tokio::spawn(consumer.run(bus.clone(), shop.clock.clone(), Policy::default(), stop.clone()));
        }
        let recommended = async |caller: Option<CustomerId>| {
            let request = Request::get("/recommendations?limit=3").body(Body::empty()).unwrap();
            shop.call(caller.map(|id| (id, Role::Customer)), request).await
        };
        // Before the first sale nothing is said to sell.
        let answer = recommended(None).await;
        assert_eq!((&answer.body["basis"], titles(&answer.body).len()), (&json!("shelf"), 3));
        let reader = CustomerId::new();
        let orders = [confirmed(Some(reader), robot, 1), confirmed(None, salt, 5), confirmed(None, BookId::new(), 1)];
        let messages: Vec<_> =
            orders.iter().map(|order| Envelope::new(order, &Cause::start(), shop.clock.now()).unwrap()).collect();
        bus.publish(&messages).await.unwrap();
        // A stranger sees what sells, and nothing else beside it.
        eventually("sold", async || titles(&recommended(None).await.body) == ["Salt and Fire", "I, Robot"]).await;
        let answer = recommended(None).await;
        assert_eq!(answer.body["basis"], "popular");
        assert_eq!(answer.headers["surrogate-key"].to_str().unwrap().split(' ').count(), 2);
        // A customer sees what is near to theirs, and nothing that they own.
        eventually("theirs", async || recommended(Some(reader)).await.body["basis"] == "yours").await;
        let theirs = titles(&recommended(Some(reader)).await.body);
        assert!(
            theirs[..2].contains(&"Steel Hearts".to_owned()) && theirs[..2].contains(&"The Tin Choir".to_owned()),
            "{theirs:?}"
        );
        assert!(!theirs.contains(&"I, Robot".to_owned()));
        // Somebody who only looked.
        let (looker, path) = (CustomerId::new(), format!("/books/{wizard}/views"));
        let look = |caller: Option<(CustomerId, Role)>, path: String| {
            let request = Request::post(path).body(Body::empty()).unwrap();
            let shop = &shop;
            async move { shop.call(caller, request).await.status }
        };
        assert_eq!(look(None, path.clone()).await, StatusCode::UNAUTHORIZED);
        let customer = Some((looker, Role::Customer));
        assert_eq!(recommended(Some(looker)).await.body["basis"], "popular");
        assert_eq!(look(customer, path.clone()).await, StatusCode::NO_CONTENT);
        assert_eq!(look(customer, path).await, StatusCode::NO_CONTENT);
        assert_eq!(look(customer, format!("/books/{}/views", BookId::new())).await, StatusCode::NOT_FOUND);
        assert_eq!(recommended(Some(looker)).await.body["basis"], "yours");
        let bad = shop.get("/recommendations?limit=0").await;
        assert_eq!(bad.body["errors"][0]["field"], "/limit");
        // Books like one: by meaning.
        let like = shop.get(&format!("/books/{robot}/similar?limit=2")).await;
        assert!(titles(&like.body).contains(&"The Tin Choir".to_owned()), "{}", like.body);
        assert!(like.headers["surrogate-key"].to_str().unwrap().contains(&robot.to_string()));
        // Completions.
        let typed = shop.get("/search/suggest?q=ursu").await.body;
        let items = typed["items"].as_array().unwrap();
        let of = |kind: &str| items.iter().filter(|item| item["kind"] == kind).collect::<Vec<_>>();
        assert_eq!(of("author")[0]["text"], "Ursula K. Le Guin", "{typed}");
        assert_eq!(of("title").len(), 3, "the author's titles as well: {typed}");
        assert_eq!(of("title")[0]["authors"], json!(["Ursula K. Le Guin"]));
        assert_eq!(of("title")[0]["price"]["currency"], "USD");
        assert!(of("title")[0]["cover_url"].as_str().unwrap().contains("cover"), "{typed}");
        assert_eq!((of("author")[0].get("price"), of("author")[0].get("lang")), (None, None));
        assert_eq!(of("title")[0]["lang"], "en");
        for (title, lang) in [("cien", "es"), ("salt", "fr")] {
            let typed = shop.get(&format!("/search/suggest?q={title}")).await.body;
            assert_eq!(typed["items"][0]["lang"], lang, "{typed}");
            assert_eq!(shop.search(&format!("q={title}")).await["items"][0]["lang"], lang, "{title}");
        }
        // In any order, unfinished and misspelt.
        for tolerant in ["darkness%20left", "guin%20disposs", "ursla%20guin", "wizzard%20earth"] {
            let typed = shop.get(&format!("/search/suggest?q={tolerant}")).await.body;
            assert_eq!(typed["items"][0]["kind"], "title", "{tolerant}: {typed}");
        }
        let typed = shop.get("/search/suggest?q=%C3%A9earthsea").await;
        assert_eq!(typed.status, StatusCode::OK);
        let typed = shop.get("/search/suggest?q=dispo").await;
        assert_eq!(typed.body["items"][0]["text"], "The Dispossessed", "{}", typed.body);
        assert!(typed.headers.contains_key("surrogate-key"));
        shop
    })
    .await;
}
