//! Lists of orders, and finding one in them.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_find_an_order_by_its_customer() {
    for shop in shops().await {
        let (guest, staff) = (shop.guest(), shop.staff());
        let mut placed = Vec::new();
        for (name, email) in [("Flann O’Brien", "flann@example.org"), ("José Saramago", "JS+books@example.org")] {
            let book = shop.book(1299, 10);
            guest.put(book, 1, 1299);
            let mut order = order("tok_approve");
            order["shipping_address"]["name"] = json!(name);
            order["email"] = json!(email);
            placed.push(guest.checkout(email, &order).await.expect(201).id().to_string());
            guest.clear();
        }
        let found = async |text: &str| -> Vec<String> {
            let answer = staff.get(&format!("/orders?q={text}")).await.expect(200);
            answer.body["items"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect()
        };
        let (flann, jose) = (&placed[..1], &placed[1..]);
        let expected = async || {
            for (text, orders) in [
                ("flann", flann),
                ("OBRIEN", flann),
                ("o'brien%20fl", flann),
                ("jose", jose),
                ("sara%20jos%C3%A9", jose),
                ("js%2Bbooks@", jose),
                ("flann%20saramago", &[]),
                ("ann", &[]),
                ("%25", &[]),
            ] {
                assert_eq!(found(text).await, orders, "{}: {text}", shop.on);
            }
        };
        expected().await;
        assert_eq!(found("flann&status=shipped").await, [""; 0]);

        // An order of the release before has no keys; they are written in the background.
        let db = shop.service.db();
        for statement in ["DELETE FROM order_keys", "UPDATE orders SET keyed = FALSE"] {
            db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(statement, []).await }))
                .await
                .unwrap();
        }
        assert_eq!(found("flann").await, [""; 0]);
        let mut again = Running::new();
        shop.service.loops().iter().for_each(|work| again.work(work));
        shop.until("older orders are found", async || found("flann").await == flann).await;
        expected().await;
        again.stop().await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_listed() {
    for shop in shops().await {
        let (ann, ben, staff) = (shop.customer(), shop.customer(), shop.staff());
        let mut mine = Vec::new();
        for _ in 0..3 {
            mine.push(ann.buy().await.id().to_string());
        }
        let theirs = ben.buy().await;
        mine.reverse();
        let ids = |answer: &Answer| -> Vec<String> {
            answer.body["items"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&ann.get("/orders").await.expect(200)), mine);
        let page = ann.get("/orders?limit=2").await.expect(200);
        assert_eq!(ids(&page), mine[..2]);
        let next = page.body["next"].as_str().unwrap();
        assert_eq!(ids(&ann.get(&format!("/orders?limit=2&cursor={next}")).await.expect(200)), mine[2..]);
        assert_eq!(ids(&staff.get("/orders").await.expect(200)).len(), 4);
        assert_eq!(ids(&staff.get(&format!("/orders?customer_id={}", ann.name)).await.expect(200)), mine);
        let number = theirs.body["number"].as_str().unwrap().to_lowercase();
        assert_eq!(ids(&staff.get(&format!("/orders?q={number}")).await.expect(200)), [theirs.id().to_string()]);
        for written in [number.replace('-', ""), number.replace('-', "%20"), number[3..].to_owned()] {
            let found = staff.get(&format!("/orders?q={written}")).await.expect(200);
            assert_eq!(ids(&found), [theirs.id().to_string()], "{written}");
        }
        let oldest = ids(&staff.get("/orders?sort=oldest&limit=3").await.expect(200));
        assert_eq!(oldest, mine.iter().rev().cloned().collect::<Vec<_>>());
        let page = staff.get("/orders?sort=oldest&limit=3").await.expect(200);
        let next = page.body["next"].as_str().unwrap();
        let rest = staff.get(&format!("/orders?sort=oldest&limit=3&cursor={next}")).await.expect(200);
        assert_eq!(ids(&rest), [theirs.id().to_string()]);
        assert_eq!(ids(&staff.get("/orders?q=Guest@&status=").await.expect(200)).len(), 4);
        assert_eq!(ids(&staff.get("/orders?q=%25").await.expect(200)).len(), 0, "no patterns");
        assert_eq!(ids(&ann.get("/orders?status=confirmed").await.expect(200)).len(), 3);
        assert_eq!(ids(&ann.get("/orders?status=shipped").await.expect(200)).len(), 0);
        ann.get(&format!("/orders?customer_id={}", ben.name)).await.problem(403, "forbidden");
        shop.nobody().get("/orders").await.problem(401, "unauthenticated");
        for bad in ["status=paid", "customer_id=7", "limit=0", "limit=101", "limit=x", "cursor=!", "sort=random"] {
            staff.get(&format!("/orders?{bad}")).await.expect(400);
        }
        shop.close().await;
    }
}
