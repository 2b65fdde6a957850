//! Answers about shipping and payment methods.

use bookworm_contracts::rest::ordering::ShippingMethod;

use super::{
    answer::{Answer, PERSON, cannot_look},
    ask::Ask,
    orders, reference,
};
use crate::domain::intent::Intent;

impl Ask<'_> {
    /// What does delivery cost, and which ways are there?
    pub async fn delivery_options(&self) -> Answer {
        let Ok(methods) = self.shop.shipping_methods(&self.asker).await else { return cannot_look("shipping methods") };
        let answer = Answer::new(format!("These are our shipping methods:\n{}", lines(&methods)));
        let answer = match self.policies.of("delivery", "what delivery costs", None) {
            Some(section) => answer.link(section.heading.clone(), section.href()),
            None => answer,
        };
        answer.suggest(&["Where is my order?", PERSON])
    }

    /// How long does it take? When an order is meant, also where it stands.
    pub async fn delivery_period(&self) -> Answer {
        let lower = self.turn.text.to_lowercase();
        let mine = reference::find(&self.turn.text).is_some()
            || self.turn.rights.access_token.is_some()
                && ["my ", "arrive", "expect"].iter().any(|word| lower.contains(word));
        let order = async { if mine { self.which(Intent::TrackOrder).await.ok() } else { None } };
        let (methods, order) = futures::join!(self.shop.shipping_methods(&self.asker), order);
        let mut parts = Vec::new();
        parts.extend(order.as_ref().map(|known| orders::state(&known.order, self.zone)));
        match methods {
            Ok(methods) => parts.push(format!("Once your parcel has left us, delivery takes:\n{}", lines(&methods))),
            Err(_) if parts.is_empty() => return cannot_look("delivery times"),
            Err(_) => {}
        }
        let answer = Answer::new(parts.join("\n\n"));
        let answer = match order {
            Some(known) => answer.link(format!("Order {}", known.order.number), format!("/orders/{}", known.order.id)),
            None => answer,
        };
        answer.suggest(&["Where is my order?", PERSON])
    }

    /// How can I pay?
    pub async fn payment_methods(&self) -> Answer {
        let Ok(methods) = self.shop.payment_methods(&self.asker).await else { return cannot_look("payment methods") };
        if methods.is_empty() {
            return cannot_look("payment methods");
        }
        let list: Vec<String> = methods.iter().map(|method| format!("- {}", method.name)).collect();
        let answer = Answer::new(format!("You can pay at checkout with:\n{}", list.join("\n")));
        let answer = match self.policies.of("payment", "when you are charged", None) {
            Some(section) => answer.link(section.heading.clone(), section.href()),
            None => answer,
        };
        answer.suggest(&[PERSON])
    }
}

fn lines(methods: &[ShippingMethod]) -> String {
    methods.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(method: &ShippingMethod) -> String {
    let days = if method.min_days == method.max_days {
        match method.min_days {
            1 => "1 business day".to_owned(),
            days => format!("{days} business days"),
        }
    } else {
        format!("{} to {} business days", method.min_days, method.max_days)
    };
    let free = method.free_from.map(|from| format!(", free from {from}")).unwrap_or_default();
    let to = match method.countries.len() {
        0 => " (worldwide)".to_owned(),
        1..=12 => format!(" ({})", method.countries.join(", ")),
        count => format!(" (to {count} countries)"),
    };
    format!("- {}: {}{free}, {days}{to}", method.name, method.price)
}
