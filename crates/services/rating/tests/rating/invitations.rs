//! Asking buyers for reviews, and what they do with the link.

use std::time::Duration;

use bookworm_contracts::events::{ordering::OrderRefunded, rating::ReviewInvited};

use super::*;

bookworm_testing::on_every_database!(
    every_order_is_asked_about_once_and_in_time,
    nobody_is_asked_after_a_refund_whatever_comes_first,
    who_unsubscribed_is_asked_no_more,
    a_guest_reviews_with_the_link_and_only_the_books_of_the_order,
    many_who_look_at_once_send_one
);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn order(n: u128, email: &str, customer: Option<CustomerId>) -> OrderCompleted {
    let mut completed = completed(book(n), customer);
    completed.order.email = Email::parse(email).unwrap();
    completed
}

fn refunded(order: &OrderCompleted) -> OrderRefunded {
    OrderRefunded { order: order.order.clone(), amount: order.order.total, reason: "torn".to_owned() }
}

async fn every_order_is_asked_about_once_and_in_time(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let listener = Listener::<ReviewInvited>::new(&shop, home).await;
    let mut guest = order(1, "ann@example.org", None);
    let mut again = guest.order.lines[0].clone();
    again.book_id = book(2);
    again.title = "Another <Book>".to_owned();
    guest.order.lines.extend([again, guest.order.lines[0].clone()]);
    let account = order(1, "bob@example.org", Some(CustomerId::new()));
    shop.react(home, &[guest.clone(), account.clone(), guest.clone()]).await;
    assert_eq!(shop.service.invite().await.unwrap(), 0, "three days later");
    shop.clock.advance(DAY * 3);
    assert_eq!(shop.service.invite().await.unwrap(), 2);
    // The order is told of again, and the loop looks again.
    shop.react(home, &[guest.clone(), account.clone()]).await;
    shop.clock.advance(DAY * 30);
    assert_eq!(shop.service.invite().await.unwrap(), 0);

    let mut invited = listener.heard(2).await;
    invited.sort_by(|a, b| a.email.as_str().cmp(b.email.as_str()));
    let (ann, bob) = (&invited[0], &invited[1]);
    assert_eq!((ann.order_id, ann.email.as_str(), ann.days), (guest.order.order_id, "ann@example.org", 60));
    let titles: Vec<_> = ann.books.iter().map(|one| (one.book_id, one.title.as_str())).collect();
    assert_eq!(titles, [(book(1), "A Book"), (book(2), "Another <Book>")], "each book once");
    assert_eq!((bob.order_id, bob.token.len()), (account.order.order_id, 64));
    let stored = "SELECT COUNT(*) FROM invitations WHERE email IS NOT NULL OR name IS NOT NULL OR token_hash = ";
    let stored = count(shop.service.db(), &format!("{stored}'{}'", ann.token)).await;
    assert_eq!(stored, 0, "neither addresses nor what opens the links are stored longer than needed");
    listener.stop().await;
    shop.close().await;
}

async fn nobody_is_asked_after_a_refund_whatever_comes_first(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (late, early) = (order(1, "ann@example.org", None), order(1, "bob@example.org", None));
    shop.react(home, std::slice::from_ref(&late)).await;
    shop.react(home, &[refunded(&late), refunded(&early), refunded(&late)]).await;
    shop.react(home, &[early]).await;
    shop.clock.advance(DAY * 30);
    assert_eq!(shop.service.invite().await.unwrap(), 0);
    shop.close().await;
}

async fn who_unsubscribed_is_asked_no_more(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let listener = Listener::<ReviewInvited>::new(&shop, home).await;
    shop.react(home, &[order(1, "ann@example.org", None)]).await;
    shop.clock.advance(DAY * 3);
    shop.service.invite().await.unwrap();
    let token = listener.heard(1).await.remove(0).token;
    // Long after the links have expired, twice, and as programs for mail do it.
    shop.clock.advance(DAY * 100);
    let path = format!("/review-invitations/unsubscribe?token={token}");
    for _ in 0..2 {
        let one_click = shop.client.post(&path).form("List-Unsubscribe=One-Click").send().await;
        drop(one_click.expect(204));
    }
    let page = shop.get(&path).await.expect(303);
    assert_eq!(page.header("location"), Some(format!("/unsubscribe?token={token}").as_str()));
    for bad in ["", "abc", &"a".repeat(64)] {
        let answer = shop.client.post(&format!("/review-invitations/unsubscribe?token={bad}")).send().await;
        answer.expect_problem(400, "validation_failed");
    }
    let evil = shop.get("/review-invitations/unsubscribe?token=%0d%0aevil").await.expect(303);
    assert_eq!(evil.header("location"), Some("/unsubscribe?token="));

    let orders = [order(2, "Ann+books@example.org", Some(CustomerId::new())), order(2, "bob@example.org", None)];
    shop.react(home, &orders).await;
    shop.clock.advance(DAY * 3);
    assert_eq!(shop.service.invite().await.unwrap(), 1);
    assert_eq!(listener.heard(1).await[0].email.as_str(), "bob@example.org");
    listener.stop().await;
    shop.close().await;
}

async fn a_guest_reviews_with_the_link_and_only_the_books_of_the_order(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let listener = Listener::<ReviewInvited>::new(&shop, home).await;
    shop.react(home, &[order(1, "ann@example.org", None)]).await;
    shop.clock.advance(DAY * 3);
    shop.service.invite().await.unwrap();
    let token = listener.heard(1).await.remove(0).token;
    let check =
        async |token: &str| shop.client.post("/review-invitations/check").json(&json!({"token": token})).send().await;
    let invitation = check(&token).await.expect(200).body;
    assert_eq!((&invitation["author"], &invitation["books"][0]["title"]), (&json!("Ann"), &json!("A Book")));
    assert_eq!(invitation["books"][0]["review"], Value::Null);

    let write = async |book: BookId, token: &str| {
        let request = shop.client.post(&format!("/books/{book}/reviews")).header("review-invitation", token);
        request.json(&json!({"rating": 4, "text": "As a guest"})).send().await
    };
    let written = write(book(1), &token).await.expect(201);
    assert_eq!((&written.body["verified"], &written.body["author"]), (&json!(true), &json!("Ann")));
    assert_eq!(written.body["standing"]["status"], "published");
    write(book(1), &token).await.expect_problem(409, "duplicate_value");
    write(book(2), &token).await.expect_problem(404, "not_found");
    for bad in ["", "nonsense", &"a".repeat(64)] {
        write(book(1), bad).await.expect_problem(400, "validation_failed");
    }
    let path = format!("/reviews/{}", written.string("id"));
    let edit = async |token: &str| {
        let request = shop.client.put(&path).header("review-invitation", token).header("if-match", "*");
        request.json(&json!({"rating": 2})).send().await
    };
    assert_eq!(edit(&token).await.expect(200).body["rating"], json!(2.0));
    assert_eq!(check(&token).await.expect(200).body["books"][0]["review"]["rating"], json!(2.0));

    // The link of another order of the same account is for its own books.
    let reader = customer();
    shop.react(home, &[order(3, "cat@example.org", Some(reader.id)), order(4, "cat@example.org", Some(reader.id))])
        .await;
    shop.clock.advance(DAY * 3);
    shop.service.invite().await.unwrap();
    let invited = listener.heard(2).await;
    let of = |n: u128| &invited.iter().find(|one| one.books[0].book_id == book(n)).unwrap().token;
    let own = shop.review(&reader, book(3), json!({"rating": 5})).await;
    let with = |token: &str| shop.client.delete(&format!("/reviews/{own}")).header("review-invitation", token);
    with(&token).send().await.expect_problem(404, "not_found");
    with(of(4)).send().await.expect_problem(404, "not_found");
    drop(with(of(3)).send().await.expect(204));

    shop.clock.advance(DAY * 60);
    check(&token).await.expect_problem(400, "validation_failed");
    edit(&token).await.expect_problem(400, "validation_failed");
    listener.stop().await;
    shop.close().await;
}

async fn many_who_look_at_once_send_one(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let orders: Vec<_> = (0..10).map(|n| order(1, &format!("reader{n}@example.org"), None)).collect();
    shop.react(home, &orders).await;
    shop.clock.advance(DAY * 3);
    let looks = futures::future::join_all((0..4).map(|_| shop.service.invite())).await;
    let sent: usize = looks.into_iter().map(Result::unwrap).sum();
    let published = "SELECT COUNT(*) FROM outbox WHERE envelope LIKE '%ReviewInvited%'";
    assert_eq!((sent, count(shop.service.db(), published).await), (10, 10));
    shop.close().await;
}
