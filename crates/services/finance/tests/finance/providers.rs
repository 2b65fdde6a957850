//! Payments of several providers, and what a provider promises.

use super::*;

#[tokio::test]
async fn the_provider_does_everything_once_for_each_key() {
    on_every_database(|shop| async move {
        let (id, sandbox) = (PaymentId::new(), &shop.sandbox);
        let payment = by_id(id);
        let request = AuthoriseRequest {
            payment_id: id,
            order_id: OrderId::new(),
            order_number: "BW".into(),
            amount: usd(1000),
            token: "tok_approve".into(),
            return_path: String::new(),
        };
        let first = sandbox.authorise("k1", &request).await.unwrap();
        assert_eq!(sandbox.authorise("k1", &request).await.unwrap(), first);
        let other = AuthoriseRequest { amount: usd(2000), ..request.clone() };
        assert!(matches!(sandbox.authorise("k1", &other).await, Err(ProviderError::Refused(_))));
        assert!(matches!(sandbox.refund("r0", payment, Uuid::now_v7(), usd(1)).await, Err(ProviderError::Refused(_))));
        let captured = sandbox.capture("k2", payment).await.unwrap();
        assert_eq!(sandbox.capture("k2", payment).await.unwrap(), captured);
        assert!(matches!(sandbox.void("k3", payment).await, Err(ProviderError::Refused(_))));
        let id = Uuid::now_v7();
        let refunded = sandbox.refund("r1", payment, id, usd(600)).await.unwrap();
        assert_eq!(sandbox.refund("r1", payment, id, usd(600)).await.unwrap(), refunded);
        for (key, refund, amount) in
            [("r1", id, 500), ("r2", id, 500), ("r3", Uuid::now_v7(), 401), ("r4", Uuid::now_v7(), 0)]
        {
            assert!(
                matches!(sandbox.refund(key, payment, refund, usd(amount)).await, Err(ProviderError::Refused(_))),
                "{key}"
            );
        }
        // A void before the request: the request is refused when it comes.
        let late = PaymentId::new();
        sandbox.void("v1", by_id(late)).await.unwrap();
        let answer = sandbox.authorise("v2", &AuthoriseRequest { payment_id: late, ..request }).await.unwrap();
        assert_eq!(answer.state, ProviderState::Voided);
        assert_eq!(sandbox.fetch(by_id(PaymentId::new())).await.unwrap(), None);
    })
    .await;
}

/// Another company: it knows payments by its own references alone, and signs its webhooks with a key in a header.
#[derive(Default)]
struct Elsewhere(Mutex<HashMap<String, ProviderPayment>>);

impl Elsewhere {
    fn change(
        &self,
        payment: PaymentRef<'_>,
        change: impl FnOnce(&mut ProviderPayment),
    ) -> Result<ProviderPayment, ProviderError> {
        let reference = payment.reference.ok_or(ProviderError::Unavailable(None))?;
        let mut books = self.0.lock().unwrap();
        let held = books.get_mut(reference).ok_or_else(|| ProviderError::Refused("no such payment".into()))?;
        change(held);
        Ok(held.clone())
    }
}

#[async_trait]
impl PaymentProvider for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }
    fn open_webhook(&self, request: WebhookRequest<'_>) -> Result<WebhookEvent, WebhookError> {
        if request.headers.get("x-elsewhere-key").is_none_or(|key| key != "open sesame") {
            return Err(WebhookError::Untrusted("X-Elsewhere-Key: not ours.".into()));
        }
        let body: Value = serde_json::from_slice(request.body).map_err(|_| WebhookError::NotAnEvent)?;
        let text = |name: &str| body[name].as_str().map(str::to_owned).ok_or(WebhookError::NotAnEvent);
        Ok(WebhookEvent { id: text("event")?, subject: Subject::Reference(text("charge")?) })
    }
    async fn authorise(&self, key: &str, request: &AuthoriseRequest) -> Result<ProviderPayment, ProviderError> {
        let held = ProviderPayment {
            reference: format!("ch_{key}"),
            state: ProviderState::Authorised,
            amount: request.amount,
            captured: usd(0),
            refunds: Vec::new(),
        };
        Ok(self.0.lock().unwrap().entry(held.reference.clone()).or_insert(held).clone())
    }
    async fn capture(&self, _: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        self.change(payment, |held| (held.state, held.captured) = (ProviderState::Captured, held.amount))
    }
    async fn void(&self, _: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        self.change(payment, |held| held.state = ProviderState::Voided)
    }
    async fn refund(
        &self,
        _: &str,
        payment: PaymentRef<'_>,
        refund: Uuid,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        self.change(payment, |held| held.refunds.push(ProviderRefund { id: refund, amount }))
    }
    async fn fetch(&self, payment: PaymentRef<'_>) -> Result<Option<ProviderPayment>, ProviderError> {
        Ok(payment.reference.and_then(|reference| self.0.lock().unwrap().get(reference).cloned()))
    }
}

#[tokio::test]
async fn a_payment_stays_with_its_provider_when_the_shop_changes_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::Sqlite(folder.path().to_owned());
    let elsewhere = Arc::new(Elsewhere::default());
    // Paid while payments went elsewhere.
    let before = Shop::open_with(&databases, |_| Providers::new(elsewhere.clone())).await;
    let (taken, held) = (before.authorise("4242", 900).await, before.authorise("4242", 400).await);
    before.capture(taken).await;
    drop(before);

    let shop = Shop::open_with(&databases, |line| Providers::new(line).with(elsewhere.clone())).await;
    let new = shop.authorise("tok_approve", 500).await;
    assert!(shop.at_provider(new).await.is_some(), "new payments go to the sandbox");
    shop.refund(taken, Uuid::now_v7(), 900).await;
    assert_eq!(shop.status(taken).await, "refunded");
    assert_eq!(shop.line.calls("refund"), 0, "the sandbox has nothing to do with it");
    // What happens there is heard of here: a charge that was taken by hand in the provider's own pages.
    let reference = format!("ch_{}:authorise", shop.payment_id(held).await);
    elsewhere.0.lock().unwrap().get_mut(&reference).unwrap().state = ProviderState::Voided;
    let post = async |key: &str, charge: &str, event: &str| {
        let body = serde_json::json!({"event": event, "charge": charge}).to_string();
        let request = Request::post("/api/v1/payments/webhooks/elsewhere").header("x-elsewhere-key", key);
        ask(&shop.web, request.body(Body::from(body)).unwrap()).await.0
    };
    assert_eq!(post("guessed", &reference, "e1").await, StatusCode::UNAUTHORIZED);
    assert_eq!(post("open sesame", "ch_of_another_shop", "e2").await, StatusCode::NO_CONTENT);
    assert_eq!(post("open sesame", &reference, "e3").await, StatusCode::NO_CONTENT);
    assert_eq!(shop.status(held).await, "voided");
    // One provider cannot speak of another's payments.
    let sandbox_reference = shop.at_provider(new).await.unwrap().reference;
    assert_eq!(post("open sesame", &sandbox_reference, "e4").await, StatusCode::NO_CONTENT);
    assert_eq!(shop.webhook(Uuid::now_v7(), shop.payment_id(held).await).await, StatusCode::NO_CONTENT);
    assert_eq!(shop.count("SELECT COUNT(*) FROM webhook_events").await, 1, "only the one that was about its own");
    shop.advance(120);
    shop.is_sound().await;
}

#[tokio::test]
async fn a_payment_whose_provider_is_gone_waits_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::Sqlite(folder.path().to_owned());
    let elsewhere = Arc::new(Elsewhere::default());
    let before = Shop::open_with(&databases, |_| Providers::new(elsewhere.clone())).await;
    let order = before.authorise("4242", 900).await;
    before.capture(order).await;
    drop(before);

    let shop = Shop::open(&databases).await;
    shop.refund(order, Uuid::now_v7(), 900).await;
    assert_eq!(shop.bus.dead.0.lock().unwrap().len(), 1, "tried again, then left to staff");
    assert_eq!(shop.payment(order).await["refunded"]["amount"], 0);
    shop.advance(120);
    let report = shop.get("/api/v1/admin/reconciliation").await.1;
    let kinds: Vec<&str> =
        report["differences"].as_array().unwrap().iter().filter_map(|difference| difference["kind"].as_str()).collect();
    assert!(kinds.contains(&"provider_unreachable"), "{kinds:?}");
    // With its provider back, what was wanted is done.
    let shop = Shop::open_with(&databases, |line| Providers::new(line).with(elsewhere.clone())).await;
    shop.advance(7200);
    shop.finance.follow_up().await.unwrap();
    assert_eq!(shop.status(order).await, "refunded");
}
