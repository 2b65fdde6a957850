//! Answers about the customer's orders.

use bookworm_contracts::rest::ordering::{Order, OrderStatus, PaymentStatus};
use bookworm_kernel::{OrderId, TimeZone};

use super::{
    Pending,
    answer::{Answer, PERSON, cannot_look},
    ask::Ask,
    lookup::NoAnswer,
    reference::{self, Reference},
};
use crate::domain::intent::Intent;

/// An order, with the key that opened it.
pub(super) struct Known {
    pub order: Order,
    key: Option<String>,
}

impl Ask<'_> {
    /// The order in question: the one that the message names, else the one whose link was sent before, else the latest.
    pub async fn which(&self, intent: Intent) -> Result<Known, Answer> {
        let named = reference::find(&self.turn.text);
        if named.is_none()
            && let Some(Reference::Link { id, key }) = self.sent_before()
            && let Ok(order) = self.shop.order(&self.asker, id, key.as_deref()).await
        {
            return Ok(Known { order, key });
        }
        let signed_in = self.turn.rights.access_token.is_some();
        let order = match &named {
            Some(Reference::Link { id, key }) => {
                let order = self.shop.order(&self.asker, *id, key.as_deref()).await;
                order.map(|order| Known { order, key: key.clone() })
            }
            Some(Reference::Number(number)) if signed_in => {
                self.shop.order_by_number(&self.asker, number).await.map(|order| Known { order, key: None })
            }
            None if signed_in => match self.shop.orders(&self.asker, 1).await {
                Ok(mut orders) if !orders.is_empty() => Ok(Known { order: orders.remove(0), key: None }),
                Ok(_) => return Err(no_orders().asking_for(intent)),
                Err(error) => Err(error),
            },
            _ => Err(NoAnswer::NotSignedIn),
        };
        order.map_err(|error| match error {
            NoAnswer::NotFound | NoAnswer::Refused(_) => Answer::new(
                "I can’t find that order in your account. Please check the number, or paste the link from your order \
                 email.",
            )
            .suggest(&[PERSON])
            .asking_for(intent)
            .fixed(),
            NoAnswer::NotSignedIn => Answer::new(
                "Please sign in and I can look up your order. If you ordered without an account, paste the link from your order \
                 email.",
            )
            .link("Sign in", "/sign-in")
            .suggest(&[PERSON])
            .asking_for(intent)
            .fixed(),
            NoAnswer::Unavailable => cannot_look("orders").asking_for(intent),
        })
    }

    /// The last order whose link the customer sent earlier.
    fn sent_before(&self) -> Option<Reference> {
        let earlier = self.turn.before.iter().rev().filter(|earlier| earlier.by_customer);
        earlier.filter_map(|earlier| reference::find(&earlier.text)).find(|it| matches!(it, Reference::Link { .. }))
    }

    /// Where is my order?
    pub async fn track(&self) -> Answer {
        match self.which(Intent::TrackOrder).await {
            Ok(known) => {
                let answer = page_of(Answer::new(state(&known.order, self.zone)), &known);
                let answer = if may_cancel(&known.order) { answer.suggest(&["Cancel this order"]) } else { answer };
                answer.suggest(&[PERSON])
            }
            Err(answer) => answer,
        }
    }

    /// Can I cancel?
    pub async fn cancel(&self) -> Answer {
        let known = match self.which(Intent::CancelOrder).await {
            Ok(known) => known,
            Err(answer) => return answer,
        };
        let order = &known.order;
        let number = &order.number;
        let answer = match order.status {
            OrderStatus::Pending | OrderStatus::Confirmed => {
                let text = format!(
                    "Order {number} ({}, {}) hasn’t shipped yet, so I can cancel it. If you’ve been charged, we’ll refund \
                     you in full. Shall I cancel it?",
                    titles(order),
                    order.total
                );
                let mut answer = Answer::new(text).suggest(&["Yes, cancel it", "No, keep it", PERSON]);
                answer.pending = Some(Pending::CancelOrder { order: order.id, number: number.clone() });
                answer
            }
            OrderStatus::Shipped | OrderStatus::Completed => {
                let answer = Answer::new(format!(
                    "Order {number} has already shipped, so it can’t be cancelled any more. You can send the books back."
                ));
                self.quoting(answer, "returns", "sending a book back").suggest(&[PERSON])
            }
            OrderStatus::Cancelled => Answer::new(format!("Order {number} is already cancelled.")),
            OrderStatus::Rejected | OrderStatus::Refunded => Answer::new(state(order, self.zone)),
        };
        page_of(answer, &known).fixed()
    }

    /// The customer confirmed. Repeating it is harmless: a cancelled order stays cancelled.
    pub async fn cancel_now(&self, id: OrderId, number: &str) -> Answer {
        // The key of a guest is not remembered; it stands in the message with the link.
        let earlier = self.turn.before.iter().rev().filter(|earlier| earlier.by_customer);
        let texts = earlier.map(|earlier| earlier.text.as_str());
        let key = texts.filter_map(reference::find).find_map(|reference| match reference {
            Reference::Link { id: other, key } if other == id => key,
            _ => None,
        });
        let page = |answer: Answer| {
            let href = format!("/orders/{id}");
            if key.is_none() { answer.link(format!("Order {number}"), href).fixed() } else { answer.fixed() }
        };
        let failed = match self.shop.cancel(&self.asker, id, key.as_deref()).await {
            Ok(order) if order.status == OrderStatus::Cancelled => return page(cancelled(number)),
            // Accepted, and still under way.
            Ok(_) => {
                let text = format!(
                    "I’ve asked to cancel order {number}, and that’s being processed. Your order page shows the result."
                );
                return page(Answer::new(text));
            }
            Err(error) => error,
        };
        match (failed, self.shop.order(&self.asker, id, key.as_deref()).await) {
            (_, Ok(order)) if order.status == OrderStatus::Cancelled => page(cancelled(number)),
            (NoAnswer::Unavailable, _) => {
                let mut answer = page(Answer::new(format!(
                    "I’m not sure whether order {number} was cancelled, because I didn’t get an answer in time. Say yes to \
                     try again, or check your order page."
                )))
                .suggest(&["Yes, cancel it", PERSON]);
                answer.pending = Some(Pending::CancelOrder { order: id, number: number.to_owned() });
                answer
            }
            (_, Ok(order)) => page(Answer::new(format!("I couldn’t cancel it. {}", state(&order, self.zone)))).suggest(&[PERSON]),
            (_, Err(_)) => page(Answer::new(format!(
                "I couldn’t cancel order {number}, because I can’t open it any more. Please sign in again, or talk to a \
                 person."
            )))
            .suggest(&[PERSON]),
        }
    }

    /// Can I change what I ordered, or where it goes?
    pub async fn change(&self, intent: Intent) -> Answer {
        let (slug, question) = match intent {
            Intent::ChangeShippingAddress => ("delivery", "changing the address of an order"),
            _ => ("cancellation", "changing an order"),
        };
        let known = self.which(intent).await.ok();
        let answer = match &known {
            Some(known) if may_cancel(&known.order) => {
                let number = &known.order.number;
                Answer::new(format!("Order {number} hasn’t shipped yet, so there’s still time."))
                    .suggest(&["Cancel this order"])
            }
            Some(known) => Answer::new(state(&known.order, self.zone)),
            None => Answer::default(),
        };
        let answer = self.quoting(answer, slug, question).suggest(&[PERSON]);
        match &known {
            Some(known) => page_of(answer, known),
            None => answer.link("Your orders", "/orders"),
        }
    }

    /// Where is my money?
    pub async fn refund_status(&self) -> Answer {
        let known = match self.which(Intent::TrackRefund).await {
            Ok(known) => known,
            Err(answer) => return answer,
        };
        let answer = page_of(Answer::new(refund(&known.order)), &known);
        self.quoting(answer, "returns", "how long a refund takes").suggest(&[PERSON])
    }

    /// I want my money back.
    pub async fn refund(&self) -> Answer {
        let known = self.which(Intent::GetRefund).await.ok();
        let answer = match &known {
            Some(known) if may_cancel(&known.order) => Answer::new(format!(
                "Order {} hasn’t shipped yet. If you cancel it, we’ll refund you in full.",
                known.order.number
            ))
            .suggest(&["Cancel this order"]),
            Some(known) if matches!(known.order.status, OrderStatus::Shipped | OrderStatus::Completed) => {
                Answer::new(state(&known.order, self.zone))
            }
            Some(known) => Answer::new(refund(&known.order)),
            None => Answer::default(),
        };
        let answer = self.quoting(answer, "returns", &format!("sending a book back {}", self.turn.text));
        let answer = answer.suggest(&[PERSON]);
        match &known {
            Some(known) => page_of(answer, known),
            None => answer.link("Your orders", "/orders"),
        }
    }

    /// Where is the bill?
    pub async fn invoice(&self, intent: Intent) -> Answer {
        let known = self.which(intent).await;
        let answer =
            self.quoting(Answer::default(), "invoices", "where to find the bill of an order").suggest(&[PERSON]);
        match known {
            Ok(known) => {
                let Answer { text, .. } = &answer;
                let text = format!("Order {} came to {}. {text}", known.order.number, known.order.total);
                page_of(Answer { text, ..answer }, &known)
            }
            Err(_) => answer.link("Your orders", "/orders"),
        }
    }
}

fn cancelled(number: &str) -> Answer {
    Answer::new(format!(
        "Done: order {number} is cancelled. If you were charged, we’re refunding your original payment method."
    ))
    .suggest(&["Thanks", PERSON])
}

fn no_orders() -> Answer {
    Answer::new(
        "Your account has no orders yet. If you ordered without signing in, paste the link from your order email.",
    )
    .link("Your orders", "/orders")
    .suggest(&[PERSON])
    .fixed()
}

/// Adds a link to the order's page, but not for a guest: they have it, and its key is not repeated.
fn page_of(answer: Answer, known: &Known) -> Answer {
    match known.key {
        None => answer.link(format!("Order {}", known.order.number), format!("/orders/{}", known.order.id)),
        Some(_) => answer,
    }
}

fn may_cancel(order: &Order) -> bool {
    matches!(order.status, OrderStatus::Pending | OrderStatus::Confirmed)
}

fn titles(order: &Order) -> String {
    let shown: Vec<String> = order.lines.iter().take(3).map(|line| format!("“{}”", line.title)).collect();
    let more = order.lines.len().saturating_sub(shown.len());
    let list = shown.join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

/// The state of an order, in a sentence or two.
pub(super) fn state(order: &Order, zone: TimeZone) -> String {
    let what = format!("Order {} from {} ({})", order.number, zone.date(order.placed_at), titles(order));
    let since = |name: &str| {
        let entry = order.timeline.iter().rev().find(|entry| entry.status == name);
        entry.map(|entry| format!(" on {}", zone.date(entry.at))).unwrap_or_default()
    };
    match order.status {
        OrderStatus::Pending if order.payment.status == PaymentStatus::ActionRequired => {
            format!("{what} is waiting for you to confirm the payment. You can do that from your order page.")
        }
        OrderStatus::Pending => format!("{what} is being confirmed."),
        OrderStatus::Confirmed => {
            format!("{what} is confirmed. We’ll email you when it ships.")
        }
        OrderStatus::Shipped => {
            let tracking = order.tracking.as_ref().map(|code| format!(" Its tracking number is {code}."));
            format!("{what} shipped{}.{}", since("shipped"), tracking.unwrap_or_default())
        }
        OrderStatus::Completed => format!("{what} was delivered{}.", since("completed")),
        OrderStatus::Cancelled => format!("{what} was cancelled{}. {}", since("cancelled"), refund_of(order)),
        OrderStatus::Rejected => {
            let why = order.rejection.as_ref().map(|rejection| format!(": {}", rejection.reason.trim_end_matches('.')));
            format!("{what} couldn’t be confirmed{}.", why.unwrap_or_default())
        }
        OrderStatus::Refunded => format!("{what} was refunded{}. {}", since("refunded"), refund_of(order)),
    }
}

fn refund(order: &Order) -> String {
    format!("Order {}: {}", order.number, refund_of(order))
}

fn refund_of(order: &Order) -> String {
    let payment = &order.payment;
    match payment.status {
        PaymentStatus::Refunded => format!("We refunded {} to your original payment method.", payment.refunded),
        PaymentStatus::PartiallyRefunded => {
            format!("We refunded {} of {} to your original payment method.", payment.refunded, order.total)
        }
        PaymentStatus::Voided => "The payment was released, so you weren’t charged.".to_owned(),
        PaymentStatus::Declined | PaymentStatus::Failed => {
            "The payment didn’t go through, so you weren’t charged.".to_owned()
        }
        PaymentStatus::NotRequired => "Your order was free, so you weren’t charged.".to_owned(),
        PaymentStatus::Captured => format!("You were charged {}, and there’s no refund so far.", order.total),
        PaymentStatus::Pending | PaymentStatus::ActionRequired | PaymentStatus::Authorised => {
            "You haven’t been charged so far.".to_owned()
        }
    }
}
