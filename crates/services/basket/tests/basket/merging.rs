//! Signing in, and what an order takes out.

use super::*;

#[tokio::test]
async fn signing_in_merges_the_guest_and_loses_no_line() {
    on_each_database(Settings { max_lines: 3, ..Settings::default() }, |shop| async move {
        for n in 1..=6 {
            shop.shelf.put(n, 1000, 7);
        }
        let customer = CustomerId::new();
        let bearer = shop.sign_in(customer);
        let signed = [("authorization", bearer.as_str())];
        for n in [1, 2, 3] {
            let added = shop.add(&signed, n, 60).await;
            assert!(added.headers.get("set-cookie").is_none(), "an account needs no secret");
        }
        let token = shop.add(&[], 3, 60).await.token();
        let guest = [("basket-token", token.as_str())];
        shop.add(&guest, 4, 1).await;
        shop.add(&guest, 5, 1).await;
        let cookie = format!("basket_token={token}");
        let merged = shop.basket(&[signed[0], ("cookie", &cookie)]).await;
        assert_eq!(
            merged.lines(),
            lines(&[("Book 1", 60), ("Book 2", 60), ("Book 3", 99), ("Book 4", 1), ("Book 5", 1)])
        );
        assert_eq!(merged.headers["set-cookie"], "basket_token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        let repeated = shop.basket(&[signed[0], guest[0]]).await;
        assert_eq!(repeated.lines(), merged.lines());
        assert_eq!(shop.basket(&guest).await.lines(), lines(&[]), "the secret opens nothing any more");
        assert_eq!(shop.add(&signed, 6, 1).await.body["code"], "basket_full", "adding stays within the limit");

        // The same through gRPC, into a basket that is not there yet.
        let token = shop.add(&[], 4, 2).await.token();
        let other = CustomerId::new();
        let ask = || MergeGuestRequest { customer_id: other.to_string(), guest_token: token.clone() };
        assert_eq!(shop.grpc().merge_guest(ask()).await.unwrap().into_inner().merged, 1);
        assert_eq!(shop.grpc().merge_guest(ask()).await.unwrap().into_inner().merged, 0);
        let owner = Some(Owner::CustomerId(other.to_string()));
        let basket = shop.grpc().get_basket(GetBasketRequest { owner }).await.unwrap().into_inner();
        assert_eq!((basket.lines.len(), basket.lines[0].quantity, basket.lines[0].seen_price), (1, 2, 1000));
        shop
    })
    .await;
}

#[tokio::test]
async fn grpc_knows_no_unknown_owner_and_refuses_nonsense() {
    on_each_database(Settings::default(), |shop| async move {
        let get = |owner| shop.grpc().get_basket_owned(owner);
        for owner in [Owner::CustomerId(CustomerId::new().to_string()), Owner::GuestToken("nonsense".to_owned())] {
            let basket = get(Some(owner)).await.unwrap();
            assert_eq!((basket.basket_id.as_str(), basket.lines.len()), ("", 0));
        }
        for owner in [None, Some(Owner::CustomerId("nonsense".to_owned()))] {
            assert_eq!(get(owner).await.unwrap_err().code(), tonic::Code::InvalidArgument);
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn an_order_takes_out_what_was_bought_and_nothing_else() {
    on_each_database(Settings::default(), |shop| async move {
        for n in 1..=4 {
            shop.shelf.put(n, 1000, 7);
        }
        let token = shop.add(&[], 1, 2).await.token();
        let headers = [("basket-token", token.as_str())];
        shop.add(&headers, 2, 2).await;
        shop.add(&headers, 3, 1).await;
        let id = shop.basket_id(Owner::GuestToken(token.clone())).await;
        let unknown = confirmed(&Uuid::new_v4().to_string(), &[(1, 1)]);
        publish(&shop, &[confirmed(&id, &[(1, 2), (2, 1), (4, 9)]), unknown]).await;
        assert_eq!(shop.basket(&headers).await.lines(), lines(&[("Book 2", 1), ("Book 3", 1)]));
        shop
    })
    .await;
}

#[tokio::test]
async fn an_order_placed_before_signing_in_empties_the_basket_it_was_merged_into() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        shop.shelf.put(2, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let id = shop.basket_id(Owner::GuestToken(token.clone())).await;
        let bearer = shop.sign_in(CustomerId::new());
        let signed = [("authorization", bearer.as_str())];
        shop.add(&[signed[0], ("basket-token", &token)], 2, 1).await;
        publish(&shop, &[confirmed(&id, &[(1, 2)])]).await;
        assert_eq!(shop.basket(&signed).await.lines(), lines(&[("Book 2", 1)]));
        shop
    })
    .await;
}
