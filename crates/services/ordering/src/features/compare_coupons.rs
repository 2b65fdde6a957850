use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bookworm_contracts::rest::ordering::OrderStatus;
use bookworm_db::DbError;

use crate::{
    features::order_facts::OrderFacts,
    service::Ordering,
    store::coupons::{self, Count, Counted},
};

/// A coupon whose counter is not what the orders say, or that was used too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponDifference {
    /// Stable name: `coupon_uses_differ`, `coupon_overspent` or `coupon_redeemers_differ`.
    pub kind: &'static str,
    /// For people.
    pub detail: String,
}

/// What the counters of all coupons say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponCounters {
    coupons: Vec<Count>,
    /// By customer.
    redeemers: BTreeMap<Counted, i64>,
}

/// Reads the counters.
pub(crate) async fn counters(service: &Arc<Ordering>) -> Result<CouponCounters, DbError> {
    let db = service.db.read();
    Ok(CouponCounters { coupons: coupons::counts(db).await?, redeemers: coupons::counted(db).await? })
}

/// Compares every coupon's counters with its orders: those that were the same `before` the orders were read and are
/// afterwards.
pub(crate) async fn compare(
    service: &Arc<Ordering>,
    before: CouponCounters,
    orders: &[OrderFacts],
) -> Result<Vec<CouponDifference>, DbError> {
    let mut used: HashMap<&str, i64> = HashMap::new();
    for order in orders {
        let stands = !matches!(order.status, OrderStatus::Rejected | OrderStatus::Cancelled);
        if let Some(code) = order.coupon.as_deref().filter(|_| stands) {
            *used.entry(code).or_default() += 1;
        }
    }
    let of_customers = coupons::used(service.db.read()).await?;
    let after = counters(service).await?;
    let mut found = differences(&before.coupons, &after.coupons, used);
    found.extend(of_redeemers(&before.redeemers, &after.redeemers, &of_customers));
    Ok(found)
}

/// `used`: by code, the orders that use it and stand.
fn differences(before: &[Count], after: &[Count], mut used: HashMap<&str, i64>) -> Vec<CouponDifference> {
    let mut found = Vec::new();
    let mut differ = |kind, detail| found.push(CouponDifference { kind, detail });
    for count @ Count { code, uses, max_uses } in after {
        let orders = used.remove(code.as_str()).unwrap_or(0);
        if !before.contains(count) {
            continue;
        }
        if orders != *uses {
            differ("coupon_uses_differ", format!("The coupon {code} counts {uses} uses, and {orders} orders use it."));
        }
        if let Some(most) = max_uses.filter(|most| orders > *most) {
            differ("coupon_overspent", format!("{orders} orders use the coupon {code}, and {most} may."));
        }
    }
    let mut unknown: Vec<&str> = used.into_keys().collect();
    unknown.sort();
    for code in unknown {
        differ("coupon_uses_differ", format!("Orders use the coupon {code}, which does not exist."));
    }
    found
}

/// `used`: the same as the counters of customers should say.
fn of_redeemers(
    before: &BTreeMap<Counted, i64>,
    after: &BTreeMap<Counted, i64>,
    used: &BTreeMap<Counted, i64>,
) -> Vec<CouponDifference> {
    let count = |of: &BTreeMap<Counted, i64>, who: &Counted| of.get(who).copied().unwrap_or(0);
    let customers = after.keys().chain(used.keys().filter(|who| !after.contains_key(who)));
    customers
        .filter(|who| count(before, who) == count(after, who) && count(after, who) != count(used, who))
        .map(|who| CouponDifference {
            kind: "coupon_redeemers_differ",
            detail: format!(
                "The coupon {} counts {} uses of {}, and {} orders of theirs use it.",
                who.code,
                count(after, who),
                who.redeemer,
                count(used, who)
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(code: &str, uses: i64, max_uses: Option<i64>) -> Count {
        Count { code: code.to_owned(), uses, max_uses }
    }

    #[test]
    fn counters_are_compared_with_orders_and_limits() {
        let kinds = |counts: &[Count], orders: &[(&'static str, i64)]| -> Vec<&str> {
            let used = orders.iter().copied().collect();
            differences(counts, counts, used).into_iter().map(|difference| difference.kind).collect()
        };
        assert_eq!(kinds(&[count("A", 2, Some(2)), count("B", 0, None)], &[("A", 2)]), [""; 0]);
        assert_eq!(kinds(&[count("A", 1, None)], &[("A", 2)]), ["coupon_uses_differ"]);
        assert_eq!(kinds(&[count("A", 1, None)], &[]), ["coupon_uses_differ"]);
        assert_eq!(kinds(&[count("A", 3, Some(2))], &[("A", 3)]), ["coupon_overspent"]);
        assert_eq!(kinds(&[], &[("GONE", 1)]), ["coupon_uses_differ"]);
    }

    #[test]
    fn what_was_counted_while_the_orders_were_read_is_no_difference() {
        let (before, after) = ([count("A", 1, None), count("B", 1, None)], [count("A", 2, None), count("B", 1, None)]);
        let used = || HashMap::from([("A", 1), ("B", 3)]);
        let found = differences(&before, &after, used());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].detail.contains("coupon B"));
        assert_eq!(differences(&[], &after[..1], HashMap::from([("A", 1)])), [], "and one made meanwhile");
    }

    #[test]
    fn counters_of_customers_are_compared_with_their_orders() {
        let of = |counts: &[(&str, i64)]| -> BTreeMap<Counted, i64> {
            let counted = |who: &str| Counted { code: "A".to_owned(), redeemer: who.to_owned() };
            counts.iter().map(|(who, uses)| (counted(who), *uses)).collect()
        };
        let differ = |before: &[(&str, i64)], after: &[(&str, i64)], used: &[(&str, i64)]| {
            of_redeemers(&of(before), &of(after), &of(used)).len()
        };
        let ann = [("ann", 1)];
        assert_eq!(differ(&ann, &ann, &ann), 0);
        assert_eq!(differ(&ann, &ann, &[]), 1, "a use that was never given back");
        assert_eq!(differ(&[], &[], &ann), 1, "one that was never counted");
        assert_eq!(differ(&ann, &ann, &[("ann", 2), ("bob", 1)]), 2);
        assert_eq!(differ(&[], &ann, &[]), 0, "counted meanwhile");
    }
}
