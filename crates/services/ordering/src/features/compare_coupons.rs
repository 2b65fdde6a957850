use std::{collections::HashMap, sync::Arc};

use bookworm_contracts::rest::ordering::OrderStatus;
use bookworm_db::DbError;

use super::order_facts;
use crate::{
    service::Ordering,
    store::coupons::{self, Count},
};

/// A coupon whose counter is not what the orders say, or that was used too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponDifference {
    /// Stable name: `coupon_uses_differ` or `coupon_overspent`.
    pub kind: &'static str,
    /// For people.
    pub detail: String,
}

/// Compares every coupon's counter with its orders.
pub(crate) async fn compare(service: &Arc<Ordering>) -> Result<Vec<CouponDifference>, DbError> {
    let mut used: HashMap<String, i64> = HashMap::new();
    for order in order_facts::order_facts(service).await? {
        let stands = !matches!(order.status, OrderStatus::Rejected | OrderStatus::Cancelled);
        if let Some(code) = order.coupon.filter(|_| stands) {
            *used.entry(code).or_default() += 1;
        }
    }
    Ok(differences(&coupons::counts(service.db.read()).await?, used))
}

/// `used`: by code, the orders that use it and stand.
fn differences(counts: &[Count], mut used: HashMap<String, i64>) -> Vec<CouponDifference> {
    let mut found = Vec::new();
    let mut differ = |kind, detail| found.push(CouponDifference { kind, detail });
    for Count { code, uses, max_uses } in counts {
        let orders = used.remove(code).unwrap_or(0);
        if orders != *uses {
            differ("coupon_uses_differ", format!("The coupon {code} counts {uses} uses, and {orders} orders use it."));
        }
        if let Some(most) = max_uses.filter(|most| orders > *most) {
            differ("coupon_overspent", format!("{orders} orders use the coupon {code}, and {most} may."));
        }
    }
    let mut unknown: Vec<String> = used.into_keys().collect();
    unknown.sort();
    for code in unknown {
        differ("coupon_uses_differ", format!("Orders use the coupon {code}, which does not exist."));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_compared_with_orders_and_limits() {
        let count = |code: &str, uses, max_uses| Count { code: code.to_owned(), uses, max_uses };
        let used = |orders: &[(&str, i64)]| orders.iter().map(|(code, n)| ((*code).to_owned(), *n)).collect();
        let kinds = |counts: &[Count], orders: &[(&str, i64)]| -> Vec<&str> {
            differences(counts, used(orders)).into_iter().map(|difference| difference.kind).collect()
        };
        assert_eq!(kinds(&[count("A", 2, Some(2)), count("B", 0, None)], &[("A", 2)]), [""; 0]);
        assert_eq!(kinds(&[count("A", 1, None)], &[("A", 2)]), ["coupon_uses_differ"]);
        assert_eq!(kinds(&[count("A", 1, None)], &[]), ["coupon_uses_differ"]);
        assert_eq!(kinds(&[count("A", 3, Some(2))], &[("A", 3)]), ["coupon_overspent"]);
        assert_eq!(kinds(&[], &[("GONE", 1)]), ["coupon_uses_differ"]);
    }
}
