//! Commands of the checkout: authorise, capture, void, refund.

use super::*;

#[tokio::test]
async fn an_approved_payment_is_taken_once_however_often_it_is_asked_for() {
    on_every_database(|shop| async move {
        let order = shop.authorise("tok_approve", 1299).await;
        assert_eq!(shop.published(order).await, ["PaymentAuthorised"]);
        assert!(shop.balances().await.is_empty(), "an authorisation is not booked");
        shop.capture(order).await;
        shop.capture(order).await;
        assert_eq!(shop.published(order).await, ["PaymentAuthorised", "PaymentCaptured", "PaymentCaptured"]);
        assert_eq!(shop.line.calls("capture"), 1);
        let again = shop.envelope(&CapturePayment { order_id: order });
        shop.publish(&[again.clone(), again.clone(), again]).await;
        shop.quiet().await;
        assert_eq!(shop.published(order).await.len(), 4, "the same message is answered once");
        let expected = HashMap::from([("provider_clearing".into(), 1299), ("customer_orders".into(), -1299)]);
        assert_eq!(shop.balances().await, expected);
        let payment = shop.payment(order).await;
        assert_eq!(
            (payment["status"].as_str(), payment["captured"]["amount"].as_i64()),
            (Some("captured"), Some(1299))
        );
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn a_declined_card_is_declined_and_stays_so() {
    on_every_database(|shop| async move {
        for (token, reason) in [("tok_decline", "The card was declined."), ("tok_unheard_of", "The card is not known.")]
        {
            let order = shop.authorise(token, 500).await;
            shop.send(&authorise(order, "tok_approve", 500)).await;
            assert_eq!(shop.published(order).await, ["PaymentDeclined", "PaymentDeclined"], "{token}");
            assert_eq!(shop.events(order).await[0].data["reason"], reason);
            shop.capture(order).await;
            assert_eq!(shop.published(order).await.last().unwrap(), "PaymentFailed");
            shop.void(order).await;
            assert_eq!(shop.published(order).await.last().unwrap(), "PaymentVoided");
        }
        assert!(shop.balances().await.is_empty());
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn a_bank_that_never_answers_is_voided() {
    on_every_database(|shop| async move {
        let command = authorise(OrderId::new(), "tok_timeout", 900);
        let order = command.order_id;
        shop.publish(&[shop.envelope(&command)]).await;
        while shop.status(order).await == "none" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The saga's time-out passes while the provider is still being asked.
        shop.publish(&[shop.envelope(&VoidPayment { order_id: order })]).await;
        shop.quiet().await;
        let mut published = shop.published(order).await;
        published.sort();
        assert_eq!(published, ["PaymentDeclined", "PaymentVoided"], "never authorised");
        assert_eq!(shop.status(order).await, "voided");
        assert_eq!(shop.at_provider(order).await.unwrap().state, ProviderState::Voided);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn a_void_that_overtakes_its_payment_keeps_the_provider_out_of_it() {
    on_every_database(|shop| async move {
        let order = OrderId::new();
        shop.void(order).await;
        shop.void(order).await;
        shop.send(&authorise(order, "tok_approve", 700)).await;
        shop.capture(order).await;
        assert_eq!(shop.published(order).await, ["PaymentVoided", "PaymentVoided", "PaymentDeclined", "PaymentFailed"]);
        assert_eq!(shop.events(order).await[2].data["reason"], "cancelled");
        assert_eq!(shop.line.calls("authorise") + shop.line.calls("void") + shop.line.calls("capture"), 0);
        assert_eq!(shop.at_provider(order).await, None);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn answers_that_get_lost_have_their_effect_once() {
    on_every_database(|shop| async move {
        // The provider does what it is asked, and then the process dies before it can write that down: the command
        // comes again, twice.
        for operation in ["authorise", "capture", "refund"] {
            shop.line.lose(operation, 2);
        }
        let (order, id) = (shop.authorise("tok_approve", 1000).await, Uuid::now_v7());
        shop.capture(order).await;
        shop.refund(order, id, 400).await;
        for operation in ["authorise", "capture", "refund"] {
            assert_eq!(shop.line.calls(operation), 3, "{operation}");
        }
        assert_eq!(shop.published(order).await, ["PaymentAuthorised", "PaymentCaptured", "PaymentRefunded"]);
        let at_provider = shop.at_provider(order).await.unwrap();
        assert_eq!((at_provider.captured, at_provider.refunds.len()), (usd(1000), 1));
        assert_eq!(shop.balances().await["provider_clearing"], 600);

        shop.line.lose("void", 2);
        let order = shop.authorise("tok_approve", 300).await;
        shop.void(order).await;
        assert_eq!(shop.published(order).await, ["PaymentAuthorised", "PaymentVoided"]);
        assert_eq!(shop.at_provider(order).await.unwrap().state, ProviderState::Voided);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_is_finished_even_when_the_command_never_comes_again() {
    on_every_database(|shop| async move {
        let refund_id = Uuid::now_v7();
        let [captured, voided, refunded] = [
            shop.authorise("tok_approve", 100).await,
            shop.authorise("tok_approve", 200).await,
            shop.authorise("tok_approve", 300).await,
        ];
        shop.capture(refunded).await;
        let lost = shop.authorise("tok_challenge", 400).await;
        for operation in ["capture", "void", "refund"] {
            shop.line.lose(operation, usize::MAX);
        }
        shop.line.forget_calls();
        let (capture, void) = (CapturePayment { order_id: captured }, VoidPayment { order_id: voided });
        let commands = [shop.envelope(&capture), shop.envelope(&void), shop.envelope(&refund(refunded, refund_id, 50))];
        shop.publish(&commands).await;
        // However long the provider is away, no command is given up.
        for operation in ["capture", "void", "refund"] {
            shop.line.called(operation, 12).await;
        }
        assert_eq!(*shop.bus.dead.0.lock().unwrap(), Vec::<String>::new());
        shop.stop.cancel();
        for operation in ["capture", "void", "refund"] {
            shop.line.lose(operation, 0);
        }
        // The customer confirms, and no webhook gets through.
        let (url, secret) = shop.challenge(lost).await;
        shop.decide(&url, &secret, "approve").await;
        assert_eq!(shop.status(lost).await, "action_required");

        assert_eq!(shop.finance.follow_up().await.unwrap(), 0, "too early");
        shop.advance(61);
        assert_eq!(shop.finance.follow_up().await.unwrap(), 4);
        assert_eq!(shop.published(captured).await, ["PaymentAuthorised", "PaymentCaptured"]);
        assert_eq!(shop.published(voided).await, ["PaymentAuthorised", "PaymentVoided"]);
        assert_eq!(shop.published(refunded).await, ["PaymentAuthorised", "PaymentCaptured", "PaymentRefunded"]);
        assert_eq!(shop.published(lost).await, ["PaymentActionRequired", "PaymentAuthorised"]);
        // What is only waiting is looked at ever more rarely.
        shop.advance(61);
        assert_eq!(shop.finance.follow_up().await.unwrap(), 1);
        shop.advance(61);
        assert_eq!(shop.finance.follow_up().await.unwrap(), 0);
        shop.advance(61);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn refunds_never_give_back_more_than_was_taken() {
    on_every_database(|shop| async move {
        let order = shop.authorise("tok_approve", 1000).await;
        let early = Uuid::now_v7();
        shop.refund(order, early, 100).await;
        assert_eq!(shop.published(order).await.last().unwrap(), "RefundFailed");
        shop.capture(order).await;
        let [first, second, third] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
        shop.refund(order, first, 400).await;
        shop.refund(order, first, 400).await;
        assert_eq!(shop.status(order).await, "partially_refunded");
        assert_eq!(shop.line.calls("refund"), 1, "a repeat asks nothing of the provider");
        // Two at once, for which only one has room.
        let both = [shop.envelope(&refund(order, second, 500)), shop.envelope(&refund(order, third, 500))];
        shop.publish(&both).await;
        shop.quiet().await;
        let published = shop.published(order).await;
        assert_eq!(published.iter().filter(|name| *name == "RefundFailed").count(), 2, "{published:?}");
        assert_eq!(shop.payment(order).await["refunded"]["amount"], 900);
        shop.refund(order, Uuid::now_v7(), 100).await;
        assert_eq!(shop.status(order).await, "refunded");
        assert_eq!(shop.balances().await.values().copied().collect::<Vec<_>>(), [0, 0]);
        shop.refund(OrderId::new(), Uuid::now_v7(), 100).await;
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn voiding_what_was_captured_gives_all_of_it_back() {
    on_every_database(|shop| async move {
        let order = shop.authorise("tok_approve", 1000).await;
        shop.capture(order).await;
        shop.refund(order, Uuid::now_v7(), 300).await;
        shop.void(order).await;
        let published = shop.published(order).await;
        assert_eq!(published[2..], ["PaymentRefunded", "PaymentRefunded", "PaymentVoided"]);
        assert_eq!(shop.events(order).await[3].data["amount"]["amount"], 700);
        shop.void(order).await;
        assert_eq!(shop.published(order).await.len(), 6);
        assert_eq!(shop.line.calls("refund"), 2);

        // The capture was given up, so finance does not know yet that there is money to give back.
        let order = shop.authorise("tok_approve", 800).await;
        shop.line.denies.store(true, Ordering::SeqCst);
        shop.line.lose("capture", 8);
        shop.capture(order).await;
        assert_eq!(std::mem::take(&mut *shop.bus.dead.0.lock().unwrap()).len(), 1);
        shop.void(order).await;
        assert_eq!(
            shop.published(order).await,
            ["PaymentAuthorised", "PaymentCaptured", "PaymentRefunded", "PaymentVoided"]
        );
        assert_eq!(shop.at_provider(order).await.unwrap().refunds[0].amount, usd(800));
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn commands_in_any_order_at_once_and_repeated_end_in_one_allowed_state() {
    on_every_database(|shop| async move {
        let mut orders = Vec::new();
        for round in 0..24_usize {
            let (order, refund_id) = (OrderId::new(), Uuid::now_v7());
            let mut messages = vec![
                shop.envelope(&authorise(order, "tok_approve", 1000)),
                shop.envelope(&CapturePayment { order_id: order }),
                shop.envelope(&VoidPayment { order_id: order }),
                shop.envelope(&refund(order, refund_id, 250)),
            ];
            messages.extend(messages.clone());
            // A different order of arrival each round.
            let mut n = round;
            for i in (1..messages.len()).rev() {
                messages.swap(i, n % (i + 1));
                n = n * 7 + 3;
            }
            shop.line.lose(["authorise", "capture", "void", "refund"][round % 4], 1);
            shop.publish(&messages).await;
            orders.push(order);
        }
        shop.quiet().await;
        for order in orders {
            let (payment, at_provider) = (shop.payment(order).await, shop.at_provider(order).await);
            let status = payment["status"].as_str().unwrap();
            // A void was asked for, so nothing is kept and nothing is held.
            assert!(["voided", "refunded"].contains(&status), "{payment} {:?}", shop.published(order).await);
            assert_eq!(payment["captured"], payment["refunded"]);
            if let Some(held) = at_provider {
                let refunded: i64 = held.refunds.iter().map(|refund| refund.amount.amount).sum();
                assert_eq!(held.captured.amount, refunded);
                assert!(!matches!(held.state, ProviderState::Authorised));
            }
            assert!(shop.published(order).await.contains(&"PaymentVoided".to_owned()));
        }
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn messages_carry_the_order_s_own_trace_even_after_a_webhook() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&Databases::Sqlite(folder.path().to_owned())).await;
    shop.connect();
    let command = authorise(OrderId::new(), "tok_challenge", 100);
    let envelope = shop.envelope(&command);
    shop.publish(std::slice::from_ref(&envelope)).await;
    shop.quiet().await;
    let (url, secret) = shop.challenge(command.order_id).await;
    shop.decide(&url, &secret, "approve").await;
    let events = shop.events(command.order_id).await;
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(event.correlationid, envelope.correlationid);
        assert_ne!(event.id, MessageId::from_uuid(envelope.id.uuid()));
    }
}
