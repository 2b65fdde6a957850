//! Which ways to ship are offered, and what they cost.

use bookworm_kernel::Money;

/// A way to ship.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippingMethod {
    /// What a checkout names it by.
    pub code: String,
    /// What people read.
    pub name: String,
    /// What it costs, in the shop's currency.
    pub price: Money,
    /// The goods' value from which it is free; `None`: never.
    pub free_from: Option<Money>,
    /// The fewest working days it takes.
    pub min_days: u32,
    /// The most working days it takes.
    pub max_days: u32,
    /// The countries it serves, ISO 3166-1 alpha-2 in capitals, and `XK`. Empty: all that parcels reach.
    pub countries: Vec<String>,
}

/// Where no carrier goes: Antarctica and islands without inhabitants, and North Korea.
const UNREACHED: &[&str] = &["AQ", "BV", "GS", "HM", "KP", "TF", "UM"];

impl ShippingMethod {
    /// Whether it serves this country (ISO 3166-1 alpha-2, in capitals).
    #[must_use]
    pub fn serves(&self, country: &str) -> bool {
        if self.countries.is_empty() {
            !UNREACHED.contains(&country)
        } else {
            self.countries.iter().any(|served| served == country)
        }
    }
}

/// What a method costs for goods of this value.
#[must_use]
pub fn charge(method: &ShippingMethod, subtotal: Money) -> Money {
    let free = method.free_from.is_some_and(|from| subtotal.amount >= from.amount);
    if free { Money::zero(method.price.currency) } else { method.price }
}

/// The methods that are worth offering, the cheapest first and of equals the fastest: those that serve the country, but
/// for what is neither cheaper nor faster than another.
#[must_use]
pub fn offered<'a>(methods: &'a [ShippingMethod], country: &str, subtotal: Money) -> Vec<&'a ShippingMethod> {
    let serving: Vec<&ShippingMethod> = methods.iter().filter(|method| method.serves(country)).collect();
    let price = |method: &ShippingMethod| charge(method, subtotal).amount;
    let beats = |at: usize, method: &ShippingMethod, other_at: usize, other: &ShippingMethod| {
        let (ours, theirs) =
            ((price(method), method.max_days, method.min_days), (price(other), other.max_days, other.min_days));
        let no_worse = ours.0 <= theirs.0 && ours.1 <= theirs.1 && ours.2 <= theirs.2;
        no_worse && (ours != theirs || at < other_at)
    };
    let mut offered: Vec<&ShippingMethod> = serving
        .iter()
        .enumerate()
        .filter(|(at, method)| !serving.iter().enumerate().any(|(other, by)| beats(other, by, *at, method)))
        .map(|(_, method)| *method)
        .collect();
    offered.sort_by_key(|method| (price(method), method.max_days));
    offered
}

/// The countries that some method serves, by name, but for the likely one, which is the first that a method names.
#[must_use]
pub fn countries(methods: &[ShippingMethod]) -> Vec<&'static bookworm_address::Country> {
    let is_served = |code: &str| methods.iter().any(|method| method.serves(code));
    let home = methods.iter().find_map(|method| method.countries.first());
    let mut served: Vec<_> = bookworm_address::countries().filter(|country| is_served(country.code())).collect();
    served.sort_by_key(|country| home.is_none_or(|home| home != country.code()));
    served
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::Currency;
    use proptest::prelude::*;

    use super::*;

    fn method(code: &str, price: i64, free_from: Option<i64>, days: (u32, u32), countries: &[&str]) -> ShippingMethod {
        ShippingMethod {
            code: code.into(),
            name: code.to_uppercase(),
            price: Money::new(price, Currency::USD),
            free_from: free_from.map(|from| Money::new(from, Currency::USD)),
            min_days: days.0,
            max_days: days.1,
            countries: countries.iter().map(|c| (*c).to_owned()).collect(),
        }
    }

    fn codes(methods: &[ShippingMethod], country: &str, subtotal: i64) -> Vec<String> {
        let subtotal = Money::new(subtotal, Currency::USD);
        offered(methods, country, subtotal).iter().map(|method| method.code.clone()).collect()
    }

    #[test]
    fn what_is_dearer_and_slower_is_not_offered() {
        let methods = [
            method("slow", 100, None, (9, 9), &[]),
            method("fast", 900, None, (1, 1), &[]),
            method("same", 900, None, (1, 1), &[]),
            method("middling", 500, Some(1_000), (3, 4), &[]),
        ];
        assert_eq!(codes(&methods, "US", 500), ["slow", "middling", "fast"]);
        assert_eq!(codes(&methods, "US", 1_000), ["middling", "fast"], "free and faster than the cheapest");
    }

    #[test]
    fn only_countries_that_are_served_are_listed_and_the_likely_one_first() {
        let everywhere = [method("sea", 1, None, (9, 9), &[])];
        let all: Vec<_> = countries(&everywhere).iter().map(|country| country.code()).collect();
        assert_eq!(all[..2], ["AF", "AX"]);
        for nowhere in ["AQ", "KP", "HM"] {
            assert!(!all.contains(&nowhere), "{nowhere}");
        }
        assert!(all.contains(&"XK"));
        let near = [method("post", 1, None, (1, 2), &["IE", "GB"])];
        assert_eq!(
            countries(&near).iter().map(|country| country.name()).collect::<Vec<_>>(),
            ["Ireland", "United Kingdom"]
        );
    }

    proptest! {
        #[test]
        fn something_is_offered_wherever_something_goes_and_the_cheapest_is_first(
            methods in prop::collection::vec((0_i64..50, prop::option::of(0_i64..100), 0_u32..5, 0_u32..5), 1..8),
            subtotal in 0_i64..120,
        ) {
            let methods: Vec<_> = methods
                .into_iter()
                .enumerate()
                .map(|(n, (price, free, min, more))| method(&format!("m{n}"), price, free, (min, min + more), &[]))
                .collect();
            let subtotal = Money::new(subtotal, Currency::USD);
            let cheapest = methods.iter().map(|method| charge(method, subtotal).amount).min();
            let offered = offered(&methods, "US", subtotal);
            prop_assert_eq!(offered.first().map(|method| charge(method, subtotal).amount), cheapest);
        }
    }
}
