//! One order claims a basket at a time.

use super::*;

fn of(order_id: OrderId, basket_id: &str, bought: &[(u128, i64)]) -> OrderSummary {
    OrderSummary { order_id, ..confirmed(basket_id, bought).order }
}

#[tokio::test]
async fn a_basket_is_claimed_by_one_order_until_that_order_ends() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let headers = [("basket-token", token.as_str())];
        let owner = Owner::GuestToken(token.clone());
        let id = shop.basket_id(owner.clone()).await;
        let [first, second, third] = [(); 3].map(|()| OrderId::new());

        // Of many at once, one.
        let wanted: Vec<OrderId> = (0..20).map(|_| OrderId::new()).collect();
        let claims = wanted.iter().map(|order| {
            let (shop, owner) = (&shop, &owner);
            async move { shop.claim(owner, *order, &order.to_string()).await }
        });
        let granted: Vec<OrderId> = futures::future::join_all(claims).await.into_iter().flatten().collect();
        assert_eq!(granted.len(), 1);
        assert_eq!(shop.basket(&headers).await.body["order_under_way"], granted[0].to_string());
        assert!(shop.release(&id, granted[0]).await && !shop.release(&id, granted[0]).await);

        // Rejected, called off: the basket is free, and its copies are still there.
        assert_eq!(shop.claim(&owner, first, "one").await, Some(first));
        assert_eq!(shop.claim(&owner, second, "two").await, None);
        assert_eq!(shop.claim(&owner, third, "one").await, Some(first), "the same request goes on with its order");
        let stranger = OrderRejected { order: of(second, &id, &[(1, 2)]), code: String::new(), reason: String::new() };
        publish(&shop, &[stranger]).await;
        assert_eq!(shop.claims(&owner).await, [first], "only its own claim");
        let rejected = OrderRejected { order: of(first, &id, &[(1, 2)]), code: String::new(), reason: String::new() };
        publish(&shop, &[rejected]).await;
        assert_eq!(shop.claim(&owner, second, "two").await, Some(second));
        let off =
            |order, confirmed| OrderCancelled { order: of(order, &id, &[(1, 2)]), reason: String::new(), confirmed };
        publish(&shop, &[off(second, false)]).await;
        assert_eq!(shop.claims(&owner).await, []);
        let seen = shop.basket(&headers).await;
        assert_eq!((seen.lines(), seen.body.get("order_under_way")), (lines(&[("Book 1", 2)]), None));

        // While it is claimed it can be changed. Confirmed: what was bought leaves it, in one step with the claim.
        assert_eq!(shop.claim(&owner, third, "three").await, Some(third));
        shop.add(&headers, 1, 1).await;
        assert_eq!(shop.claim(&owner, third, "three").await, Some(third));
        publish(&shop, &[OrderConfirmed { order: of(third, &id, &[(1, 2)]) }]).await;
        assert_eq!(shop.claims(&owner).await, []);
        assert_eq!(shop.basket(&headers).await.lines(), lines(&[("Book 1", 1)]));
        shop
    })
    .await;
}

#[tokio::test]
async fn what_was_confirmed_and_then_called_off_does_not_free_the_basket_before_it_is_emptied() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let owner = Owner::GuestToken(token.clone());
        let (id, order) = (shop.basket_id(owner.clone()).await, OrderId::new());
        shop.claim(&owner, order, "one").await.unwrap();
        // The later event comes first.
        let off = OrderCancelled { order: of(order, &id, &[(1, 2)]), reason: String::new(), confirmed: true };
        publish(&shop, &[off]).await;
        assert_eq!(shop.claims(&owner).await, [order]);
        publish(&shop, &[OrderConfirmed { order: of(order, &id, &[(1, 2)]) }]).await;
        assert_eq!(shop.claims(&owner).await, []);
        assert_eq!(shop.basket(&[("basket-token", &token)]).await.lines(), lines(&[]));
        shop
    })
    .await;
}

#[tokio::test]
async fn a_basket_that_has_changed_is_not_claimed_as_it_was() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let owner = Owner::GuestToken(token.clone());
        let before = shop.read(&owner).await;
        let claim = |basket_id: &str, version| {
            let request = ClaimBasketRequest {
                basket_id: basket_id.to_owned(),
                version,
                order_id: OrderId::new().to_string(),
                claimant: "one".to_owned(),
            };
            let mut client = shop.grpc();
            async move { client.claim_basket(request).await.map(|answer| answer.into_inner().order_id) }
        };
        shop.add(&[("basket-token", &token)], 1, 1).await;
        assert_eq!(claim(&before.basket_id, before.version).await.unwrap(), "");
        assert_eq!(claim(&Uuid::new_v4().to_string(), 1).await.unwrap(), "", "there is no such basket");
        assert_eq!(claim("nonsense", 1).await.unwrap_err().code(), tonic::Code::InvalidArgument);
        // An emptied basket has nothing to claim, and one that was merged is no basket any more.
        shop.ask(Method::DELETE, "/basket", &[("basket-token", &token)], None).await;
        let now = shop.read(&owner).await;
        assert_eq!(claim(&now.basket_id, now.version).await.unwrap(), "");
        shop.add(&[("basket-token", &token)], 1, 1).await;
        let now = shop.read(&owner).await;
        let bearer = shop.sign_in(CustomerId::new());
        shop.basket(&[("authorization", &bearer), ("basket-token", &token)]).await;
        assert_eq!(claim(&now.basket_id, now.version).await.unwrap(), "");
        shop
    })
    .await;
}

#[tokio::test]
async fn signing_in_takes_the_claims_along() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        shop.shelf.put(2, 1000, 7);
        let customer = CustomerId::new();
        let bearer = shop.sign_in(customer);
        let signed = [("authorization", bearer.as_str())];
        let own = Owner::CustomerId(customer.to_string());
        shop.add(&signed, 1, 1).await;
        let token = shop.add(&[], 2, 1).await.token();
        let guest = Owner::GuestToken(token.clone());
        let (guests, customers) = (OrderId::new(), OrderId::new());
        let guests_id = shop.basket_id(guest.clone()).await;
        shop.claim(&guest, guests, "guest").await.unwrap();
        shop.claim(&own, customers, "customer").await.unwrap();

        shop.basket(&[signed[0], ("basket-token", &token)]).await;
        assert_eq!(shop.claims(&own).await, [customers, guests]);
        // Each order ends its own claim, wherever its basket has gone.
        let own_id = shop.basket_id(own.clone()).await;
        publish(&shop, &[OrderConfirmed { order: of(customers, &own_id, &[(1, 1)]) }]).await;
        assert_eq!(shop.claim(&own, OrderId::new(), "another").await, None);
        publish(&shop, &[OrderConfirmed { order: of(guests, &guests_id, &[(2, 1)]) }]).await;
        assert_eq!(shop.claims(&own).await, []);
        assert_eq!(shop.basket(&signed).await.lines(), lines(&[]));
        shop
    })
    .await;
}

#[tokio::test]
async fn a_claimed_basket_that_its_guest_forgot_expires_like_any_other() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let owner = Owner::GuestToken(token.clone());
        shop.clock.advance(29 * DAY);
        let (id, order) = (shop.basket_id(owner.clone()).await, OrderId::new());
        // A claim is a sign of life.
        shop.claim(&owner, order, "one").await.unwrap();
        shop.clock.advance(29 * DAY);
        assert_eq!(shop.service.expire_guests().await.unwrap(), 0);
        shop.clock.advance(2 * DAY);
        assert_eq!(shop.service.expire_guests().await.unwrap(), 1);
        // Nothing is left to be given back, or to be bought a second time.
        assert!(!shop.release(&id, order).await);
        publish(&shop, &[OrderConfirmed { order: of(order, &id, &[(1, 2)]) }]).await;
        assert_eq!(shop.read(&owner).await, GetBasketResponse::default());
        shop
    })
    .await;
}
