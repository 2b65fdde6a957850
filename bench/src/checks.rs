//! Compares what buyers were told with what the shop's API reports.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bookworm_contracts::rest::{
    basket::Basket,
    catalog::Stock,
    finance::{LedgerBalance, Payment, ReconciliationReport},
    operations::{DeadLetter, Mail},
    ordering::{Order, OrderEvent, OrderStatus, PaymentStatus},
};
use bookworm_kernel::{BookId, OrderId};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    crash::{Ended, Purchase},
    server::ADMIN,
    shop::{Failure, Visitor},
};

/// How long to wait until the shop is quiet and everything adds up.
const QUIET: Duration = Duration::from_secs(200);
/// What stays wrong this long stays wrong. The shop's reconciliation leaves the last minute out.
const NO_CHANGE: Duration = Duration::from_secs(75);
/// How long it must then stay so: longer than any lease, so that a late repeat shows itself.
const STAYS: Duration = Duration::from_secs(8);

/// What is known from outside.
#[derive(Debug)]
pub struct Evidence {
    pub purchases: Vec<Purchase>,
    pub stock_before: BTreeMap<BookId, Stock>,
}

/// What the checks found.
#[derive(Debug)]
pub struct Report {
    /// For people.
    pub figures: String,
    /// Empty when all is well.
    pub violations: Vec<String>,
}

/// Waits until everything adds up and stays so, or until the time is over.
///
/// # Errors
/// When the shop does not answer.
pub async fn settle(address: SocketAddr, evidence: &Evidence) -> Result<Report> {
    let began = Instant::now();
    let (mut last, mut changed) = (Vec::new(), began);
    loop {
        let report = match check(address, evidence).await {
            Ok(report) => report,
            // A shop on a busy machine may be late; what it answers in the end counts.
            Err(error) if began.elapsed() < QUIET && is_passing(&error) => {
                sleep(Duration::from_secs(2)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        if report.violations.is_empty() {
            let quiet_after = began.elapsed();
            sleep(STAYS).await;
            let report = check(address, evidence).await?;
            return Ok(Report { figures: format!("{}; quiet after {quiet_after:.0?}", report.figures), ..report });
        }
        if began.elapsed() > QUIET || (report.violations == last && changed.elapsed() > NO_CHANGE) {
            return Ok(report);
        }
        if report.violations != last {
            (last, changed) = (report.violations, Instant::now());
        }
        sleep(Duration::from_secs(2)).await;
    }
}

/// Whether the same may come to something else when it is tried again.
pub fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<Failure>()).any(Failure::is_passing)
}

/// The copies that an order sold, if it is confirmed.
pub fn sold(order: &Order) -> BTreeMap<BookId, i64> {
    if !is_sold(order.status) {
        return BTreeMap::new();
    }
    order.lines.iter().map(|line| (line.book_id, i64::from(line.quantity.get()))).collect()
}

fn is_sold(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::Confirmed | OrderStatus::Shipped | OrderStatus::Completed)
}

/// What is wrong with a basket after a purchase: what was sold must be gone from it, and the rest still there.
pub fn basket_problem(purchase: &Purchase, sold: &BTreeMap<BookId, i64>, basket: &Basket) -> Option<String> {
    let there = |book: &BookId| {
        basket.items.iter().find(|line| line.book_id == *book).map_or(0, |line| i64::from(line.quantity.get()))
    };
    let gone = |book: &BookId| sold.get(book).copied().unwrap_or(0);
    for (book, put_in) in &purchase.lines {
        if there(book) + gone(book) != *put_in {
            return Some(format!(
                "{}: of {put_in} copies of {book}, {} were sold and {} are still in the basket",
                purchase.mark,
                gone(book),
                there(book)
            ));
        }
    }
    if let Some(extra) = &purchase.extra {
        let accounted = there(&extra.book) + gone(&extra.book);
        let right = if extra.acknowledged { accounted == 1 } else { (0..=1).contains(&accounted) };
        if !right {
            return Some(format!(
                "{}: the book put in during checkout (acknowledged: {}) was sold {} times and is in the basket {} times",
                purchase.mark,
                extra.acknowledged,
                gone(&extra.book),
                there(&extra.book)
            ));
        }
    }
    None
}

async fn check(address: SocketAddr, evidence: &Evidence) -> Result<Report> {
    let mut admin = Visitor::new(address);
    admin.sign_in(ADMIN.0, ADMIN.1).await.context("the administrator cannot sign in")?;
    let orders: Vec<Order> = admin.all("/api/v1/orders").await?;
    let by_id: HashMap<OrderId, &Order> = orders.iter().map(|order| (order.id, order)).collect();
    let mut by_mark: HashMap<&str, Vec<&Order>> = HashMap::new();
    for order in &orders {
        by_mark.entry(order.shipping_address.line2.as_deref().unwrap_or_default()).or_default().push(order);
    }
    let mut violations = Vec::new();
    if by_id.len() != orders.len() {
        violations.push("the list of orders names an order twice".to_owned());
    }
    for purchase in &evidence.purchases {
        purchase_adds_up(purchase, &by_id, &by_mark, &mut violations);
    }
    guest_baskets_add_up(address, evidence, &by_mark, &mut violations).await?;
    for order in &orders {
        order_adds_up(&mut admin, order, &mut violations).await?;
    }
    stock_adds_up(&mut admin, evidence, &orders, &mut violations).await?;
    let mails = mails_add_up(&mut admin, "order_confirmed", &orders, |order| is_sold(order.status), &mut violations);
    let mails = mails.await?;
    let is_complete = |order: &Order| order.status == OrderStatus::Completed;
    let invited = mails_add_up(&mut admin, "review_invitation", &orders, is_complete, &mut violations).await?;
    money_adds_up(&mut admin, &orders, &mut violations).await?;
    let dead: Vec<DeadLetter> = admin.all("/api/v1/admin/dead-letters").await?;
    for letter in &dead {
        violations.push(format!("dead letter {} of {}: {}", letter.subject, letter.consumer, letter.reason));
    }
    let acknowledged: usize = evidence.purchases.iter().map(|purchase| purchase.acknowledged.len()).sum();
    let count = |wanted: fn(OrderStatus) -> bool| orders.iter().filter(|order| wanted(order.status)).count();
    let figures = format!(
        "orders {}: acknowledged {acknowledged}, confirmed {}, rejected {}, cancelled {}, pending {}; confirmation mails {mails}, \
         asked for reviews {invited}",
        orders.len(),
        count(is_sold),
        count(|status| status == OrderStatus::Rejected),
        count(|status| status == OrderStatus::Cancelled),
        count(|status| status == OrderStatus::Pending),
    );
    Ok(Report { figures, violations })
}

fn purchase_adds_up(
    purchase: &Purchase,
    by_id: &HashMap<OrderId, &Order>,
    by_mark: &HashMap<&str, Vec<&Order>>,
    violations: &mut Vec<String>,
) {
    let mark = &purchase.mark;
    violations.extend(purchase.violations.iter().map(|violation| format!("{mark}: {violation}")));
    for id in &purchase.acknowledged {
        if !by_id.contains_key(id) {
            violations.push(format!("{mark}: order {id} was acknowledged and does not exist"));
        }
    }
    let orders = by_mark.get(mark.as_str()).map_or(&[][..], Vec::as_slice);
    let keys = if purchase.doubled { 2 } else { 1 };
    if orders.len() > keys || purchase.acknowledged.len() > keys {
        violations.push(format!("{mark}: {keys} idempotency keys made {} orders", orders.len()));
    }
    let live = orders.iter().filter(|order| is_sold(order.status) || order.status == OrderStatus::Pending).count();
    if live > 1 {
        violations.push(format!("{mark}: one basket became {live} orders"));
    }
    let order = of_purchase(orders);
    if let Some(order) = order
        && !purchase.doubled
        && let Some(acknowledged) = purchase.acknowledged.first()
        && order.id != *acknowledged
    {
        violations.push(format!("{mark}: order {acknowledged} was acknowledged, and order {} was made", order.id));
    }
    match (&purchase.ended, order) {
        (Ended::Confirmed, Some(order)) => {
            if !is_sold(order.status) {
                violations
                    .push(format!("{mark}: order {} was confirmed to the buyer and is {:?}", order.id, order.status));
            }
            let ordered: BTreeMap<BookId, i64> =
                order.lines.iter().map(|line| (line.book_id, i64::from(line.quantity.get()))).collect();
            let mut wanted = purchase.lines.clone();
            let with_extra = purchase.extra.as_ref().is_some_and(|extra| ordered.contains_key(&extra.book));
            if with_extra && let Some(extra) = &purchase.extra {
                wanted.insert(extra.book, 1);
            }
            if ordered != wanted {
                violations.push(format!("{mark}: order {} holds {ordered:?} instead of {wanted:?}", order.id));
            }
        }
        (Ended::Confirmed, None) => violations.push(format!("{mark}: was confirmed, and there is no order")),
        (Ended::Refused(code), Some(order)) if is_sold(order.status) => {
            violations.push(format!("{mark}: was refused with {code}, and order {} is {:?}", order.id, order.status));
        }
        (Ended::Refused(code), _) => {
            if !matches!(
                code.as_str(),
                "payment_declined"
                    | "insufficient_stock"
                    | "book_unavailable"
                    | "checkout_timed_out"
                    | "coupon_refused"
            ) {
                violations.push(format!("{mark}: was refused with {code}"));
            }
        }
        (Ended::Open, _) => {
            if purchase.attempts > 0 {
                violations.push(format!("{mark}: never got a definite answer, in {} attempts", purchase.attempts));
            }
        }
    }
}

/// The order that a purchase came to: of several, the one that was sold.
fn of_purchase<'a, 'o>(orders: &'a [&'o Order]) -> Option<&'a &'o Order> {
    orders.iter().find(|order| is_sold(order.status)).or(orders.first())
}

async fn guest_baskets_add_up(
    address: SocketAddr,
    evidence: &Evidence,
    by_mark: &HashMap<&str, Vec<&Order>>,
    violations: &mut Vec<String>,
) -> Result<()> {
    let mut guest = Visitor::new(address);
    for purchase in &evidence.purchases {
        let Some(token) = &purchase.guest_basket else { continue };
        guest.basket_token = Some(token.clone());
        let basket = guest.basket().await.with_context(|| purchase.mark.clone())?;
        let sold = by_mark.get(purchase.mark.as_str()).and_then(|orders| of_purchase(orders)).map(|order| sold(order));
        violations.extend(basket_problem(purchase, &sold.unwrap_or_default(), &basket));
    }
    Ok(())
}

/// The order's own state, its history and its payment.
async fn order_adds_up(admin: &mut Visitor, order: &Order, violations: &mut Vec<String>) -> Result<()> {
    let id = order.id;
    let name = format!("order {id} ({:?})", order.status);
    if !is_sold(order.status) && !matches!(order.status, OrderStatus::Rejected | OrderStatus::Cancelled) {
        violations.push(format!("{name}: neither confirmed nor rejected in the end"));
    }
    let lines: i64 = order.lines.iter().map(|line| line.line_total.amount).sum();
    let tax = if order.tax_included { 0 } else { order.tax.amount };
    if lines != order.subtotal.amount
        || order.total.amount != lines + order.shipping.amount + tax - order.discount.amount
        || order
            .lines
            .iter()
            .any(|line| line.line_total.amount != line.unit_price.amount * i64::from(line.quantity.get()))
    {
        violations.push(format!("{name}: the total {:?} is not the sum of its parts", order.total));
    }

    let events: serde_json::Value = admin.get(&format!("/api/v1/orders/{id}/events")).await?;
    // A list, or a page of one.
    let events: Vec<OrderEvent> = serde_json::from_value(events.get("items").unwrap_or(&events).clone())?;
    let versions: Vec<u64> = events.iter().map(|event| event.version).collect();
    if versions != (1..=order.version).collect::<Vec<_>>() {
        violations.push(format!("{name}: version {} and the history {versions:?}", order.version));
    }
    let confirmations = events.iter().filter(|event| event.kind.to_lowercase().contains("confirmed")).count();
    if confirmations != usize::from(is_sold(order.status)) {
        violations.push(format!("{name}: confirmed {confirmations} times in its history"));
    }

    match admin.get::<Payment>(&format!("/api/v1/admin/payments/{id}")).await {
        Ok(payment) => {
            let captured = if is_sold(order.status) { order.total.amount } else { 0 };
            if payment.captured.amount != captured || payment.captured.currency != order.total.currency {
                violations.push(format!("{name}: captured {:?} instead of {captured}", payment.captured));
            }
            let allowed: &[PaymentStatus] = if is_sold(order.status) {
                &[PaymentStatus::Captured]
            } else {
                &[PaymentStatus::Declined, PaymentStatus::Voided]
            };
            if !allowed.contains(&payment.status) {
                violations.push(format!("{name}: its payment is {:?}", payment.status));
            }
            if payment.refunded.amount != 0 {
                violations.push(format!("{name}: {:?} were given back", payment.refunded));
            }
        }
        // Refused before any money was asked for, or nothing to pay.
        Err(Failure::Refused(answer))
            if answer.status.as_u16() == 404 && (!is_sold(order.status) || order.total.amount == 0) => {}
        Err(failure) => violations.push(format!("{name}: its payment cannot be read: {failure}")),
    }
    Ok(())
}

async fn stock_adds_up(
    admin: &mut Visitor,
    evidence: &Evidence,
    orders: &[Order],
    violations: &mut Vec<String>,
) -> Result<()> {
    let mut sold_copies: BTreeMap<BookId, i64> = BTreeMap::new();
    for (book, copies) in orders.iter().flat_map(sold) {
        *sold_copies.entry(book).or_default() += copies;
    }
    for (book, before) in &evidence.stock_before {
        let now: Stock = admin.get(&format!("/api/v1/books/{book}/stock")).await?;
        let sold = sold_copies.get(book).copied().unwrap_or(0);
        if before.available - now.available != sold {
            violations.push(format!("book {book}: {sold} copies sold, stock went from {before:?} to {now:?}"));
        }
        if now.available != now.on_hand - now.reserved || now.available < 0 || now.reserved < 0 {
            violations.push(format!("book {book}: impossible stock {now:?}"));
        }
    }
    Ok(())
}

/// One mail of a kind for each order that it is for, and none for any other: the mailbox of the data folder makes no
/// duplicates.
async fn mails_add_up(
    admin: &mut Visitor,
    kind: &str,
    orders: &[Order],
    is_for: impl Fn(&Order) -> bool,
    violations: &mut Vec<String>,
) -> Result<usize> {
    let mails: Vec<Mail> = admin.all(&format!("/api/v1/admin/mail?kind={kind}")).await?;
    let mut sent: HashMap<Uuid, usize> = HashMap::new();
    for mail in &mails {
        if !matches!(mail.status.as_str(), "sent" | "kept") {
            violations.push(format!("mail {} is {}", mail.id, mail.status));
        }
        match mail.order_id {
            Some(order) => *sent.entry(order).or_default() += 1,
            None => violations.push(format!("mail {} names no order", mail.id)),
        }
    }
    for order in orders {
        let wanted = usize::from(is_for(order));
        let got = sent.remove(&order.id.uuid()).unwrap_or(0);
        if got != wanted {
            violations.push(format!("order {} ({:?}): {got} mails of kind {kind}", order.id, order.status));
        }
    }
    violations
        .extend(sent.keys().map(|order| format!("a mail of kind {kind} for order {order}, which does not exist")));
    Ok(mails.len())
}

async fn money_adds_up(admin: &mut Visitor, orders: &[Order], violations: &mut Vec<String>) -> Result<()> {
    let ledger: serde_json::Value = admin.get("/api/v1/admin/ledger").await?;
    // A list, or a page of one.
    let ledger: Vec<LedgerBalance> = serde_json::from_value(ledger.get("items").unwrap_or(&ledger).clone())?;
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for entry in &ledger {
        *sums.entry(entry.balance.currency.code()).or_default() += entry.balance.amount;
    }
    for (currency, sum) in sums {
        if sum != 0 {
            violations.push(format!("the ledger's accounts in {currency} sum to {sum}: {ledger:?}"));
        }
    }
    let taken: i64 = orders.iter().filter(|order| is_sold(order.status)).map(|order| order.total.amount).sum();
    // What the provider took for us is what was confirmed: nothing was given back here.
    let clearing: i64 =
        ledger.iter().filter(|entry| entry.account == "provider_clearing").map(|entry| entry.balance.amount).sum();
    if clearing != taken {
        violations.push(format!("orders of {taken} were confirmed, and the ledger says: {ledger:?}"));
    }
    let report: ReconciliationReport = admin.get("/api/v1/admin/reconciliation").await?;
    for difference in &report.differences {
        violations.push(format!("reconciliation: {} {}", difference.kind, difference.detail));
    }
    if usize::try_from(report.orders).ok() != Some(orders.len()) {
        violations.push(format!("reconciliation looked at {} of {} orders", report.orders, orders.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::BookId;
    use serde_json::json;

    use super::*;
    use crate::crash::Extra;

    fn purchase(lines: &[(BookId, i64)], extra: Option<Extra>, ended: Ended) -> Purchase {
        Purchase {
            mark: "buyer 1 purchase 1".to_owned(),
            lines: lines.iter().copied().collect(),
            extra,
            ended,
            acknowledged: Vec::new(),
            doubled: false,
            guest_basket: None,
            attempts: 1,
            violations: Vec::new(),
        }
    }

    fn basket(lines: &[(BookId, i64)]) -> Basket {
        let usd = |amount: i64| json!({"amount": amount, "currency": "USD"});
        let items: Vec<_> = lines
            .iter()
            .map(|(book_id, quantity)| {
                json!({"book_id": book_id, "title": "T", "authors": [], "quantity": quantity, "unit_price": usd(1),
                       "line_total": usd(*quantity), "available": 9, "price_changed": false, "cover_url": ""})
            })
            .collect();
        serde_json::from_value(json!({"items": items, "subtotal": usd(1), "version": 1})).unwrap()
    }

    fn order(status: &str, lines: &[(BookId, i64)]) -> Order {
        let usd = |amount: i64| json!({"amount": amount, "currency": "USD"});
        let total: i64 = lines.iter().map(|(_, quantity)| quantity).sum();
        let lines: Vec<_> = lines
            .iter()
            .map(|(book_id, quantity)| {
                json!({"book_id": book_id, "title": "T", "quantity": quantity, "unit_price": usd(1),
                       "line_total": usd(*quantity)})
            })
            .collect();
        let address = json!({"name": "N", "line1": "L", "line2": "buyer 1 purchase 1", "city": "C", "postal_code": "1",
                             "country": "US"});
        serde_json::from_value(json!({
            "id": OrderId::new(), "number": "BW-1", "status": status, "placed_at": "2026-03-01T12:00:00Z",
            "lines": lines, "subtotal": usd(total), "shipping": usd(0), "tax": usd(0), "tax_included": false,
            "discount": usd(0), "total": usd(total), "shipping_address": address, "shipping_method": "standard",
            "email": "a@bench.example", "payment": {"status": "captured", "refunded": usd(0)}, "timeline": [],
            "version": 1
        }))
        .unwrap()
    }

    #[test]
    fn a_basket_must_lose_what_was_sold_and_nothing_else() {
        let (a, b, extra) = (BookId::new(), BookId::new(), BookId::new());
        let added = |acknowledged| Some(Extra { book: extra, acknowledged });
        let bought = purchase(&[(a, 2), (b, 1)], added(true), Ended::Confirmed);
        let sold = BTreeMap::from([(a, 2), (b, 1)]);
        let problem =
            |p: &Purchase, sold: &BTreeMap<_, _>, left: &[_]| basket_problem(p, sold, &basket(left)).is_some();
        assert!(!problem(&bought, &sold, &[(extra, 1)]));
        assert!(problem(&bought, &sold, &[]), "the extra book is lost");
        assert!(problem(&bought, &sold, &[(extra, 2)]), "the extra book is there twice");
        assert!(problem(&bought, &sold, &[(extra, 1), (a, 2)]), "a book that was sold is still there");
        assert!(problem(&bought, &BTreeMap::new(), &[(extra, 1)]), "nothing was sold, and it is gone");
        assert!(!problem(&bought, &BTreeMap::new(), &[(a, 2), (b, 1), (extra, 1)]));
        let with_extra = BTreeMap::from([(a, 2), (b, 1), (extra, 1)]);
        assert!(!problem(&bought, &with_extra, &[]), "the extra book came early enough to be sold");
        let unsure = purchase(&[(a, 2), (b, 1)], added(false), Ended::Confirmed);
        assert!(!problem(&unsure, &sold, &[]) && !problem(&unsure, &sold, &[(extra, 1)]));
        assert!(problem(&unsure, &sold, &[(extra, 2)]));
    }

    #[test]
    fn a_purchase_must_end_as_its_buyer_was_told() {
        let book = BookId::new();
        let found = |ended: Ended, acknowledge: bool, orders: &[Order]| {
            let mut purchase = purchase(&[(book, 1)], None, ended);
            if acknowledge {
                purchase.acknowledged.push(orders.first().map_or_else(OrderId::new, |order| order.id));
            }
            let by_id = orders.iter().map(|order| (order.id, order)).collect();
            let by_mark = HashMap::from([(purchase.mark.as_str(), orders.iter().collect())]);
            let mut violations = Vec::new();
            purchase_adds_up(&purchase, &by_id, &by_mark, &mut violations);
            !violations.is_empty()
        };
        let (good, bad) = (order("confirmed", &[(book, 1)]), order("rejected", &[(book, 1)]));
        let declined = || Ended::Refused("payment_declined".to_owned());
        assert!(!found(Ended::Confirmed, true, std::slice::from_ref(&good)));
        assert!(!found(declined(), true, std::slice::from_ref(&bad)));
        assert!(!found(declined(), false, &[]));
        assert!(found(Ended::Confirmed, true, &[]), "an acknowledged order is lost");
        assert!(found(Ended::Confirmed, true, std::slice::from_ref(&bad)), "confirmed and then rejected");
        assert!(found(declined(), true, std::slice::from_ref(&good)), "declined and then confirmed");
        assert!(found(Ended::Confirmed, true, &[good.clone(), bad]), "one key made two orders");
        assert!(found(Ended::Open, false, &[good]), "the buyer never got an answer");
        assert!(found(Ended::Confirmed, true, &[order("confirmed", &[(book, 2)])]), "too many copies");
        assert!(found(Ended::Refused("basket_empty".to_owned()), false, &[]), "the basket was lost");
    }
}
