//! From a basket to an order.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bookworm_contracts::{
    grpc::basket::GetBasketResponse,
    rest::ordering::{CheckoutRequest, Order as Shown, PaymentInput},
};
use bookworm_eventstore::Loaded;
use bookworm_http::{
    ApiJson, ClientAddress, IdempotencyKey, Origin, PreferWait, Problem, Result, Validator,
    idempotency::{self, Claim, Fingerprint},
    openapi::ProblemResponses,
};
use bookworm_kernel::{Cause, Email, ErrorCode, FieldError, OrderId};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{
    claim,
    clients::BasketVersion,
    domain::{
        checkout_saga::{Charge, CheckoutSaga, Limits},
        coupon::{Coupon, Redeemed, Refusal},
        event::{Address, Placement, ShortLine},
        number::OrderNumber,
        order::{Order, Rejection},
        pricing::{self, PricingError, Terms},
        status::{OrderStatus, PaymentStatus},
    },
    features::{address, command::TRIES},
    purchase::{self, Purchase},
    redemption::Redemption,
    service::work::{Work, WorkError, coupon_refused},
    service::{Ordering, outcomes::Wait},
    shopper::Shopper,
    store::order_ids,
    visitor::Access,
};

/// Buys what is in the basket
///
/// The answer waits for the outcome: 10 seconds, or as `Prefer: wait=` asks, at most 30. Then 201 with the confirmed
/// order, or 202 with the pending one; ask again at `Location`. A guest's `Location` and `access_key` hold the secret
/// with which the order can be read.
///
/// The same `Idempotency-Key` with the same body never orders twice: it answers with what has become of the first
/// order. A key is remembered for seven days. Refused before anything is ordered: `basket_empty`, `book_unavailable`,
/// `insufficient_stock` and `price_changed` with the `lines`, `total_changed` with the `total`, `shipping_unavailable`,
/// `coupon_refused` with the `rule`, `validation_failed`, `idempotency_key_required`, `idempotency_key_reused`. Refused with an order that was rejected
/// (`order_id`): `payment_declined`, `insufficient_stock`, `checkout_timed_out`; nothing is charged.
/// `payment_action_required`: the customer confirms at `action_url`, and the order goes on by itself. A total of zero is
/// confirmed without payment: `payment` may be left out then.
///
/// One basket becomes one order. While another order is made of it, under another key, the answer is
/// `order_in_progress` with that order's `order_id`, `order_number` and `order_status`, its address in `Location`, the
/// `access_key` where that is needed, and `action_url` while it waits for the customer. An order that was rejected, or
/// cancelled before it was confirmed, gives the basket back.
#[utoipa::path(
    post, path = "/orders/checkout", tag = "ordering", request_body = CheckoutRequest,
    params(
        ("Idempotency-Key" = String, Header, description = "1 to 255 visible characters; new for each purchase"),
        ("Prefer" = Option<String>, Header, description = "`wait=10`: seconds to wait for the outcome (RFC 7240)"),
        ("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`"),
    ),
    responses(
        (status = 201, description = "The confirmed order", body = Shown),
        (status = 202, description = "The order, still pending", body = Shown,
            headers(("Location" = String, description = "Where the order can be read"))),
        (status = 402, description = "`payment_declined`, `payment_action_required`"),
        (status = 422, description = "`idempotency_key_reused`, `shipping_unavailable`, `coupon_refused`"),
        ProblemResponses
    )
)]
pub(crate) async fn checkout(
    State(service): State<Arc<Ordering>>,
    key: IdempotencyKey,
    PreferWait(wait): PreferWait,
    Origin(cause): Origin,
    from: ClientAddress,
    shopper: Result<Shopper>,
    ApiJson(request): ApiJson<CheckoutRequest>,
) -> Result<Response> {
    let delivery = Delivery::read(&request, shopper.as_ref().ok(), &service.terms)?;
    let shopper = shopper?;
    let (scope, fingerprint) = (shopper.scope(), fingerprint(&request)?);
    let limit = service.wait_limit(wait);

    // A repeat must not look at the basket: it is empty once the first order is confirmed.
    match idempotency::find(service.db.read(), &scope, &key, fingerprint).await? {
        Some(Claim::Same(id)) => return outcome(&service, &shopper, OrderId::from_uuid(id), limit).await,
        Some(Claim::Different) => return Err(key_reused()),
        Some(Claim::New) | None => {}
    }

    let claimant = claim::claimant(&scope, &key);
    let claim = KeyClaim { scope, key, fingerprint };
    for _ in 0..TRIES {
        let basket = service.clients.basket(&cause, &shopper).await?;
        if service.clear_claims(&cause, &shopper, &basket, &claimant).await? {
            continue;
        }
        let version = BasketVersion::from(&basket);
        let mut draft = match Draft::of(&service, &cause, &shopper, &delivery, basket, &request).await {
            Ok(draft) => draft,
            // The same request came twice at once, and the other has taken the last copy, the last use of the coupon or the
            // basket meanwhile: then its order is the answer.
            Err(refused) => {
                let KeyClaim { scope, key, fingerprint } = &claim;
                return match idempotency::find(service.db.read(), scope, key, *fingerprint).await? {
                    Some(Claim::Same(id)) => outcome(&service, &shopper, OrderId::from_uuid(id), limit).await,
                    Some(Claim::Different) => Err(key_reused()),
                    Some(Claim::New) | None => Err(refused),
                };
            }
        };
        draft.placement.placed_from = Some(from.fingerprint());
        // From here on no other order can be made of this basket.
        let Some(order_id) = service.clients.claim(&cause, &version, OrderId::new(), &claimant).await? else {
            continue;
        };
        // Subscribes before the order can change, so that no change is missed.
        let wait = Wait::begin(&service, order_id);
        match place(&service, cause, claim.clone(), draft, order_id).await {
            Ok(Placed::Now) => return settle(&service, &shopper, order_id, wait, limit).await,
            // The same request came twice at once, and the other was first.
            Ok(Placed::Before(first)) => {
                if first != order_id {
                    service.give_up_claim(&cause, &version.id, order_id).await;
                }
                return outcome(&service, &shopper, first, limit).await;
            }
            Ok(Placed::OtherRequest) => {
                service.give_up_claim(&cause, &version.id, order_id).await;
                return Err(key_reused());
            }
            // Another request has written a tombstone meanwhile, so this order cannot be placed any more.
            Err(WorkError::Tombstone) => service.clients.release(&cause, &version.id, order_id).await?,
            Err(WorkError::NumberTaken) => {}
            // Somebody else was given the last use a moment ago.
            Err(error @ WorkError::Coupon(_)) => {
                service.give_up_claim(&cause, &version.id, order_id).await;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(ErrorCode::ConcurrentChange.into())
}

/// Where to, and whom to write to: checked.
#[derive(Clone)]
struct Delivery {
    email: Email,
    address: Address,
}

impl Delivery {
    /// Checks every field of the request.
    ///
    /// # Errors
    /// 400 `validation_failed` with all that are not valid.
    fn read(request: &CheckoutRequest, shopper: Option<&Shopper>, terms: &Terms) -> Result<Self> {
        let mut valid = Validator::new();
        let account_email = match shopper {
            Some(Shopper::Customer { email, .. }) => Some(email.as_str()),
            _ => None,
        };
        let email = match request.email.as_deref().filter(|text| !text.trim().is_empty()).or(account_email) {
            Some(text) => valid.take("/email", address::email(text)),
            None => {
                valid.error("/email", "is required, so that we can send you the confirmation");
                None
            }
        };
        let address = address::read(&mut valid, &request.shipping_address, terms);
        valid.text("/shipping_method", &request.shipping_method, 1..=40);
        // Whether one is needed is known once there is a price.
        if let Some(PaymentInput { token }) = &request.payment {
            let visible = (1..=255).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
            valid.check("/payment/token", visible, "must be 1 to 255 visible ASCII characters");
        }
        valid.optional_text("/coupon", request.coupon.as_deref(), 1..=100);
        if let Some(expected) = request.expected_total {
            valid.check("/expected_total/amount", expected.amount >= 0, "must be 0 or more");
        }
        let Some(email) = email else { return Err(valid.finish().err().unwrap_or(ErrorCode::ValidationFailed.into())) };
        valid.finish()?;
        Ok(Self { email, address })
    }
}

/// A priced order. [`place`] gives it its id and its time.
#[derive(Clone)]
struct Draft {
    placement: Placement,
    token: String,
}

impl Draft {
    /// Of what is in the basket now.
    async fn of(
        service: &Arc<Ordering>,
        cause: &Cause,
        shopper: &Shopper,
        delivery: &Delivery,
        basket: GetBasketResponse,
        request: &CheckoutRequest,
    ) -> Result<Self> {
        let purchase = Purchase::of_basket(service, cause, basket).await?;
        purchase.check()?;
        let redemption = Redemption::of(service, request.coupon.as_deref(), &purchase, shopper).await?;
        Self::price(service, shopper, delivery.clone(), purchase, redemption, request)
    }

    fn price(
        service: &Arc<Ordering>,
        shopper: &Shopper,
        Delivery { email, address }: Delivery,
        purchase: Purchase,
        redemption: Option<Redemption>,
        request: &CheckoutRequest,
    ) -> Result<Self> {
        let quote = pricing::quote(
            &service.terms,
            purchase.prices(),
            Some(request.shipping_method.trim()),
            &address.country,
            address.region.as_deref(),
            redemption.as_ref().map(|redemption| &redemption.reduction),
        )
        .map_err(unpriced)?;
        if request.expected_total.is_some_and(|expected| expected != quote.total) {
            return Err(Problem::new(ErrorCode::TotalChanged)
                .detail(format!("The total is now {}.", quote.total))
                .with("total", json!(quote.total)));
        }
        let token = match &request.payment {
            Some(payment) => payment.token.clone(),
            None if quote.total.amount == 0 => String::new(),
            None => {
                let message = format!("is required: the total is {}", quote.total);
                return Err(Problem::validation(vec![FieldError::new("/payment", message)]));
            }
        };
        let basket_id = purchase.basket_id;
        let coupon = redemption.map(|Redemption { coupon: Coupon { code, name, .. }, .. }| Redeemed {
            code,
            name,
            off_shipping: quote.shipping_discount,
        });
        let placement = Placement {
            order_id: OrderId::new(),
            number: OrderNumber::draw(rand::random),
            customer_id: shopper.customer_id(),
            email,
            shipping_address: address,
            shipping_method: quote.shipping_method,
            lines: purchase.into_lines(coupon.is_some().then_some(quote.line_discounts))?,
            subtotal: quote.subtotal,
            shipping: quote.shipping,
            tax: quote.tax,
            tax_included: quote.tax_included,
            discount: quote.discount,
            total: quote.total,
            basket_id,
            placed_at: service.now(),
            placed_from: None,
            coupon,
            shipping_tax: Some(quote.shipping_tax),
        };
        Ok(Self { placement, token })
    }
}

/// There is no price: 422 `shipping_unavailable`, or a fault of ours.
pub(crate) fn unpriced(error: PricingError) -> Problem {
    match error {
        PricingError::ShippingUnavailable { .. } => Problem::new(ErrorCode::ShippingUnavailable)
            .detail("Choose one of the shipping methods that serve this country."),
        PricingError::Region { message } => Problem::validation(vec![FieldError::new("/region", message)]),
        PricingError::NothingToReduce => coupon_refused(&Refusal::NothingToReduce),
        PricingError::Money(error) => Problem::internal(&error),
    }
}

#[derive(Clone)]
struct KeyClaim {
    scope: String,
    key: IdempotencyKey,
    fingerprint: Fingerprint,
}

enum Placed {
    /// The order is new.
    Now,
    /// The same request placed this order before.
    Before(OrderId),
    /// The key belongs to another request.
    OtherRequest,
}

/// Places the order and begins its checkout: key, events, projection, saga and messages are written
/// together.
async fn place(
    service: &Arc<Ordering>,
    cause: Cause,
    claim: KeyClaim,
    draft: Draft,
    order_id: OrderId,
) -> Result<Placed, WorkError> {
    let now = service.now();
    let placement = Placement { order_id, placed_at: now, ..draft.placement };
    let charge = Charge {
        order_number: placement.number.to_string(),
        customer_id: placement.customer_id,
        amount: placement.total,
        token: draft.token,
    };
    let (limits, service) = (service.limits(), service.clone());
    let db = service.db.clone();
    db.transact(move |tx| {
        Box::pin(async move {
            let KeyClaim { scope, key, fingerprint } = claim;
            match idempotency::claim(tx, &scope, &key, fingerprint, order_id.uuid(), now).await? {
                Claim::New => {}
                Claim::Same(first) => return Ok(Placed::Before(OrderId::from_uuid(first))),
                Claim::Different => return Ok(Placed::OtherRequest),
            }
            if !order_ids::take(tx, order_id, now).await? {
                return Err(WorkError::Tombstone);
            }
            let mut work = Work::place(&service, tx, cause, placement).await?;
            let (checkout, actions, deadline) = CheckoutSaga::begin(charge, limits);
            bookworm_saga::start::<CheckoutSaga>(tx, order_id.uuid(), &checkout, deadline, now).await?;
            work.perform(actions).await?;
            work.finish().await?;
            Ok(Placed::Now)
        })
    })
    .await
}

async fn outcome(service: &Arc<Ordering>, shopper: &Shopper, id: OrderId, limit: Duration) -> Result<Response> {
    settle(service, shopper, id, Wait::begin(service, id), limit).await
}

/// Waits for the outcome and puts it into words.
async fn settle(
    service: &Arc<Ordering>,
    shopper: &Shopper,
    id: OrderId,
    wait: Wait,
    limit: Duration,
) -> Result<Response> {
    let order = wait.settle(limit).await?.ok_or_else(|| Problem::not_found("order"))?;
    let key = service.keys.key(id);
    let location = match shopper {
        Shopper::Guest { .. } => format!("/api/v1/orders/{id}?key={key}"),
        Shopper::Customer { .. } => format!("/api/v1/orders/{id}"),
    };
    let about = |problem: Problem| {
        problem
            .with("order_id", id.to_string())
            .with("order_number", order.number.clone())
            .with("access_key", key.clone())
            .header(header::LOCATION, location.clone())
    };
    if let Some(Rejection { code, reason }) = &order.rejection {
        let code = ErrorCode::parse(code).unwrap_or(ErrorCode::Internal);
        let problem = about(Problem::new(code).detail(reason.clone()));
        return Err(if code == ErrorCode::InsufficientStock {
            problem.with("lines", short_lines(service, id).await?)
        } else {
            problem
        });
    }
    if let Some(url) = order.payment.action_url.as_ref().filter(|_| order.status == OrderStatus::Pending) {
        debug_assert_eq!(order.payment.status, PaymentStatus::ActionRequired);
        return Err(about(
            Problem::new(ErrorCode::PaymentActionRequired)
                .detail("Confirm the payment with your bank; the order then goes on by itself.")
                .with("action_url", url.clone()),
        ));
    }
    if order.status == OrderStatus::Cancelled && !order.was_confirmed() {
        return Err(about(
            Problem::new(ErrorCode::InvalidOrderState)
                .detail("The order was cancelled before it was confirmed.")
                .with("status", "cancelled"),
        ));
    }
    let status = if order.status == OrderStatus::Pending { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    let mut response = super::answer(status, Access::Owner.reveal(service, order));
    // Ids and keys are visible ASCII, so the value is always taken.
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response.into_response())
}

/// The lines of a rejected order of which there were not enough. Read from its events: the projection has no need of
/// them.
async fn short_lines(service: &Arc<Ordering>, id: OrderId) -> Result<Vec<serde_json::Value>> {
    let found: Option<Loaded<Order>> = bookworm_eventstore::load(service.db.read(), id.uuid()).await?;
    let Some(Loaded { state: order, .. }) = found else { return Ok(Vec::new()) };
    let title = |short: &ShortLine| {
        let lines = order.placement().map_or(&[][..], |placement| &placement.lines);
        lines.iter().find(|line| line.book_id == short.book_id).map_or("", |line| line.title.as_str())
    };
    let lines = order.short().iter();
    Ok(lines
        .map(|short| purchase::short_line(short.book_id, title(short), short.wanted, short.available.into()))
        .collect())
}

/// The body as it was understood, so that white space and the order of fields do not matter.
fn fingerprint(request: &CheckoutRequest) -> Result<Fingerprint> {
    let canonical = serde_json::to_vec(request).map_err(|error| Problem::internal(&error))?;
    Ok(Fingerprint::of([canonical.as_slice()]))
}

/// 422: the key belongs to another request.
pub(crate) fn key_reused() -> Problem {
    Problem::new(ErrorCode::IdempotencyKeyReused).detail("Use a new Idempotency-Key for a new request.")
}

impl Ordering {
    /// How long an answer may wait for the outcome.
    fn wait_limit(&self, wanted: Option<Duration>) -> Duration {
        let settings = &self.settings;
        let wanted = wanted.unwrap_or(Duration::from_secs(settings.checkout_wait_seconds));
        wanted.min(Duration::from_secs(settings.max_wait_seconds))
    }

    fn limits(&self) -> Limits {
        let settings = &self.settings;
        Limits {
            reserve_seconds: settings.reserve_timeout_seconds,
            payment_seconds: settings.payment_timeout_seconds,
            action_seconds: settings.action_timeout_minutes * 60,
        }
    }
}
