//! What an order costs: lines, delivery, discount, tax; and what was paid for each of its parts.

use bookworm_kernel::{Currency, Money, MoneyError, Quantity};

use super::{
    coupon::{Benefit, Reduction},
    event::Placement,
    shipping::{self, ShippingMethod},
};

/// What the shop charges for beside its books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Every price is in it.
    pub currency: Currency,
    /// The ways to ship, in the order in which they are offered.
    pub shipping_methods: Vec<ShippingMethod>,
    /// What is taxed where: one rule at most for each place. Where no rule fits, nothing is taxed.
    pub tax: Vec<TaxRule>,
}

/// What books are taxed with in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxRule {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The region, by its code or any usual name; `None`: the whole country.
    pub region: Option<String>,
    /// The rate in hundredths of a percent: 725 is 7.25 %. 0 to 10000.
    pub rate_basis_points: u32,
    /// Whether shown prices contain the tax (Europe) or it is added to them (United States).
    pub inclusive: bool,
    /// Whether shipping is taxed at the same rate.
    pub shipping_taxed: bool,
}

impl Terms {
    /// The rule for an address: the region's own, else the country's. A region is known by its code and by every usual
    /// name.
    #[must_use]
    pub fn tax_rule(&self, country: &str, region: Option<&str>) -> Option<&TaxRule> {
        let key = |region: &str| bookworm_address::region_key(country, region);
        let of = |wanted: Option<&str>| {
            self.tax.iter().find(|rule| {
                rule.country.eq_ignore_ascii_case(country) && rule.region.as_deref().map(key) == wanted.map(key)
            })
        };
        region.and_then(|region| of(Some(region))).or_else(|| of(None))
    }

    /// Whether the tax in a country depends on the region, so that an address must have one.
    #[must_use]
    pub fn tax_needs_region(&self, country: &str) -> bool {
        let country = country.trim();
        self.tax.iter().any(|rule| rule.region.is_some() && rule.country.eq_ignore_ascii_case(country))
    }
}

/// What an order costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Sum of the lines.
    pub subtotal: Money,
    /// Delivery.
    pub shipping: Money,
    /// Tax; see `tax_included`.
    pub tax: Money,
    /// The part of the tax that is delivery's.
    pub shipping_tax: Money,
    /// Whether `tax` is contained in the prices rather than added.
    pub tax_included: bool,
    /// Taken off: of the lines, and of delivery.
    pub discount: Money,
    /// Each line's part of the discount, in the order of the lines.
    pub line_discounts: Vec<Money>,
    /// Delivery's part of the discount.
    pub shipping_discount: Money,
    /// What the customer pays.
    pub total: Money,
    /// Code of the method used.
    pub shipping_method: String,
}

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// The method does not exist, or does not go to this country; or none does.
    #[error("no such delivery goes to {country}")]
    ShippingUnavailable {
        /// ISO 3166-1 alpha-2.
        country: String,
    },
    /// The tax there depends on the region, and the region is missing or unknown.
    #[error("{message}")]
    Region {
        /// What to choose, in words.
        message: String,
    },
    /// A coupon would take nothing off.
    #[error("there is nothing to take off")]
    NothingToReduce,
    /// The amounts do not add up to money: another currency, or too large.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// What these lines (unit price, copies) cost, delivered to this place, less what a coupon takes off. `country` is an ISO
/// 3166-1 code in capitals; without a `method` the cheapest that goes there is taken.
///
/// Where a tax rule has a region the buyer's must be known: an unknown region is never taken to be free of tax.
///
/// Delivery is free from a subtotal on, whatever a coupon takes off. Tax is computed once on what is paid, not line by line,
/// so rounding happens once. Inclusive tax is contained in the prices and so in the total; exclusive tax is added.
///
/// # Errors
/// [`PricingError`]
pub fn quote(
    terms: &Terms,
    lines: impl IntoIterator<Item = (Money, Quantity)>,
    method: Option<&str>,
    country: &str,
    region: Option<&str>,
    reduction: Option<&Reduction>,
) -> Result<Quote, PricingError> {
    let nothing = Money::zero(terms.currency);
    let lines: Vec<Money> = lines
        .into_iter()
        .map(|(unit_price, quantity)| unit_price.times(quantity.get()))
        .collect::<Result<_, MoneyError>>()?;
    let subtotal = Money::sum(terms.currency, lines.iter().copied())?;
    let offered = shipping::offered(&terms.shipping_methods, country, subtotal);
    let cheapest = offered.first().copied();
    let method = match method {
        Some(code) => terms.shipping_methods.iter().find(|method| method.serves(country) && method.code == code),
        None => cheapest,
    };
    let method = method.ok_or_else(|| PricingError::ShippingUnavailable { country: country.to_owned() })?;
    if terms.tax_needs_region(country)
        && let Some(country) = bookworm_address::country(country)
    {
        country.check_region(region.unwrap_or_default(), true).map_err(|message| PricingError::Region { message })?;
    }
    let shipping = shipping::charge(method, subtotal);
    let off = match reduction {
        Some(reduction) => {
            let cheapest = cheapest.map_or(nothing, |method| shipping::charge(method, subtotal));
            Off::of(reduction, &lines, Money::new(cheapest.amount.min(shipping.amount), terms.currency))?
        }
        None => Off { lines: vec![nothing; lines.len()], shipping: nothing },
    };
    let line_discount = Money::sum(terms.currency, off.lines.iter().copied())?;
    let discount = line_discount.checked_add(off.shipping)?;
    let books = subtotal.checked_sub(line_discount)?;
    let (tax, shipping_tax, tax_included) = match terms.tax_rule(country, region) {
        None => (nothing, nothing, false),
        Some(rule) => {
            let delivery = if rule.shipping_taxed { shipping.checked_sub(off.shipping)? } else { nothing };
            let taxed = books.checked_add(delivery)?;
            let tax = if rule.inclusive {
                taxed.contained_basis_points(rule.rate_basis_points)?
            } else {
                taxed.basis_points(rule.rate_basis_points)?
            };
            let parts = tax.spread(&[books, delivery]).unwrap_or_default();
            (tax, parts.get(1).copied().unwrap_or(nothing), rule.inclusive)
        }
    };
    let total = total(subtotal, shipping, tax, tax_included, discount)?;
    Ok(Quote {
        subtotal,
        shipping,
        tax,
        shipping_tax,
        tax_included,
        discount,
        line_discounts: off.lines,
        shipping_discount: off.shipping,
        total,
        shipping_method: method.code.clone(),
    })
}

/// What a coupon takes off.
struct Off {
    lines: Vec<Money>,
    shipping: Money,
}

impl Off {
    /// Of lines that cost so much, and of delivery, of which at most `free` is taken off. What is taken off the lines is
    /// spread over those that count, so that each share is the exact one rounded down or up.
    fn of(reduction: &Reduction, lines: &[Money], free: Money) -> Result<Self, PricingError> {
        let nothing = Money::zero(free.currency);
        let counted = lines.iter().zip(&reduction.counts).map(|(line, counts)| if *counts { *line } else { nothing });
        let counted: Vec<Money> = counted.collect();
        let sum = Money::sum(free.currency, counted.iter().copied())?;
        let (off_lines, shipping) = match reduction.benefit {
            Benefit::Percent(percent) => (sum.basis_points(percent.min(100) * 100)?, nothing),
            Benefit::Amount(amount) => {
                amount.checked_sub(sum)?;
                (Money::new(amount.amount.clamp(0, sum.amount), sum.currency), nothing)
            }
            Benefit::FreeDelivery => (nothing, free),
        };
        if off_lines.amount == 0 && shipping.amount == 0 {
            return Err(PricingError::NothingToReduce);
        }
        let lines = off_lines.spread(&counted).ok_or(PricingError::NothingToReduce)?;
        Ok(Self { lines, shipping })
    }
}

/// What the buyer of an order paid for each of its parts, added tax with them: together the total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    /// For all copies of each line, in the order of the lines.
    pub lines: Vec<Money>,
    /// For delivery.
    pub shipping: Money,
}

impl Paid {
    /// Of a placed order. Tax that was added is spread over what is taxed; orders of early releases do not say which part of
    /// it was delivery's: there it is the books'.
    ///
    /// # Errors
    /// When the amounts are no sums of money.
    pub fn of(order: &Placement) -> Result<Self, MoneyError> {
        let nothing = Money::zero(order.total.currency);
        let coupon = order.coupon.as_ref();
        // A discount of an early release belongs to no line.
        let whole = if coupon.is_some() { nothing } else { order.discount };
        let shares = whole.spread(&order.lines.iter().map(|line| line.line_total).collect::<Vec<_>>());
        let shares = shares.unwrap_or_else(|| vec![nothing; order.lines.len()]);
        let mut lines = Vec::with_capacity(order.lines.len());
        for (line, share) in order.lines.iter().zip(shares) {
            lines.push(line.line_total.checked_sub(line.discount.unwrap_or(nothing))?.checked_sub(share)?);
        }
        let off = coupon.map_or(nothing, |coupon| coupon.off_shipping);
        let mut shipping = order.shipping.checked_sub(off)?;
        if !order.tax_included {
            let on_shipping = order.shipping_tax.unwrap_or(nothing);
            let on_books = order.tax.checked_sub(on_shipping)?;
            shipping = shipping.checked_add(on_shipping)?;
            match on_books.spread(&lines) {
                Some(shares) => {
                    for (line, tax) in lines.iter_mut().zip(shares) {
                        *line = line.checked_add(tax)?;
                    }
                }
                // The books cost nothing, so it was delivery that was taxed.
                None => shipping = shipping.checked_add(on_books)?,
            }
        }
        Ok(Self { lines, shipping })
    }
}

/// What goes back for `now` copies of a line, where `left` is what was paid for the line less what went back earlier, and
/// `copies` are those for which nothing did: a share, rounded down, and for the last copies all that is left.
#[must_use]
pub fn share_of_copies(left: Money, copies: u32, now: u32) -> Money {
    let share = i128::from(left.amount) * i128::from(now.min(copies)) / i128::from(copies.max(1));
    // A share is no more than the whole.
    Money::new(i64::try_from(share).unwrap_or(0), left.currency)
}

/// What the customer pays: lines, delivery and tax that is not contained in them, less the discount. The one place that
/// says so.
///
/// # Errors
/// When currencies differ or the sum overflows.
pub fn total(
    subtotal: Money,
    shipping: Money,
    tax: Money,
    tax_included: bool,
    discount: Money,
) -> Result<Money, MoneyError> {
    let added = if tax_included { Money::zero(tax.currency) } else { tax };
    subtotal.checked_add(shipping)?.checked_add(added)?.checked_sub(discount)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms() -> Terms {
        let method = |code: &str, price, free_from: Option<i64>, countries: &[&str]| ShippingMethod {
            code: code.into(),
            name: code.to_uppercase(),
            price: usd(price),
            free_from: free_from.map(usd),
            min_days: 1,
            max_days: 5,
            countries: countries.iter().map(|c| (*c).to_owned()).collect(),
        };
        let rule = |country: &str, region: Option<&str>, rate, inclusive, shipping_taxed| TaxRule {
            country: country.into(),
            region: region.map(str::to_owned),
            rate_basis_points: rate,
            inclusive,
            shipping_taxed,
        };
        Terms {
            currency: Currency::USD,
            shipping_methods: vec![
                method("standard", 490, Some(5000), &["US", "DE"]),
                method("world", 1990, None, &[]),
            ],
            tax: vec![
                rule("US", None, 0, false, false),
                rule("US", Some("CA"), 725, false, false),
                rule("US", Some("NY"), 400, false, true),
                rule("DE", None, 700, true, true),
            ],
        }
    }

    fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    fn price(price: i64, quantity: i64, method: Option<&str>, country: &str, region: Option<&str>) -> Quote {
        quote(&terms(), [(usd(price), Quantity::new(quantity).unwrap())], method, country, region, None).unwrap()
    }

    #[test]
    fn the_region_goes_before_the_country() {
        assert_eq!(price(1000, 1, None, "US", Some("ca ")).tax, usd(73));
        assert_eq!(price(1000, 1, None, "US", Some("TX")).tax, usd(0));
    }

    #[test]
    fn the_rule_of_the_region_wins_over_that_of_the_country() {
        let terms = terms();
        let rate = |country, region| terms.tax_rule(country, region).map(|rule| rule.rate_basis_points);
        assert_eq!((rate("US", Some("CA")), rate("US", Some(" ca "))), (Some(725), Some(725)));
        assert_eq!((rate("US", Some("OR")), rate("US", None)), (Some(0), Some(0)));
        assert_eq!((rate("DE", Some("Bayern")), rate("XX", None)), (Some(700), None));
    }

    #[test]
    fn a_region_is_known_by_code_and_by_name() {
        for region in ["CA", "ca", "California", "CALIFORNIA", "US-CA", "Calif.", "State of California"] {
            assert_eq!(price(1000, 1, None, "US", Some(region)).tax, usd(73), "{region}");
        }
        let named = Terms {
            tax: vec![TaxRule { region: Some("Québec".into()), ..terms().tax[1].clone() }]
                .into_iter()
                .map(|rule| TaxRule { country: "CA".into(), ..rule })
                .collect(),
            shipping_methods: vec![ShippingMethod { countries: vec![], ..terms().shipping_methods[0].clone() }],
            ..terms()
        };
        let line = [(usd(1000), Quantity::ONE)];
        assert_eq!(
            quote(&named, line, None, "CA", Some("QC"), None).unwrap().tax,
            usd(73),
            "a rule may name its region"
        );
        assert_eq!(quote(&named, line, None, "CA", Some("Ontario"), None).unwrap().tax, usd(0));
    }

    #[test]
    fn where_tax_depends_on_the_region_it_is_asked_for() {
        for region in [None, Some(""), Some("Ontario"), Some("94103"), Some("-")] {
            let refused = quote(&terms(), [(usd(1000), Quantity::ONE)], None, "US", region, None).unwrap_err();
            assert!(
                matches!(&refused, PricingError::Region { message } if message.contains("Choose a state")),
                "{region:?}"
            );
        }
        assert!(quote(&terms(), [], None, "DE", None, None).is_ok(), "no rule of Germany has a region");
    }

    #[test]
    fn delivery_is_taxed_where_the_law_says_so() {
        assert_eq!(price(1000, 1, None, "US", Some("NY")).tax, usd(60), "4 % of 14.90");
    }

    #[test]
    fn contained_tax_is_not_added() {
        let quote = price(1000, 1, None, "DE", None);
        assert_eq!((quote.tax, quote.total, quote.tax_included), (usd(97), usd(1490), true));
    }

    #[test]
    fn delivery_is_free_from_the_threshold_on() {
        assert_eq!(price(4999, 1, None, "US", Some("TX")).shipping, usd(490));
        assert_eq!(price(2500, 2, None, "US", Some("TX")).shipping, usd(0));
    }

    #[test]
    fn only_methods_that_go_there_are_offered() {
        assert_eq!(price(1000, 1, None, "FR", None).shipping_method, "world");
        let refused = quote(&terms(), [], Some("standard"), "FR", None, None);
        assert_eq!(refused, Err(PricingError::ShippingUnavailable { country: "FR".into() }));
        assert!(quote(&terms(), [], Some("rocket"), "US", None, None).is_err());
    }

    #[test]
    fn another_currency_or_too_much_money_has_no_price() {
        let euro = Money::new(100, Currency::EUR);
        assert!(matches!(
            quote(&terms(), [(euro, Quantity::ONE)], None, "DE", None, None),
            Err(PricingError::Money(_))
        ));
        let most = Quantity::new(99).unwrap();
        assert!(quote(&terms(), [(usd(i64::MAX / 2), most)], None, "DE", None, None).is_err());
    }

    fn reduced(
        lines: &[i64],
        counts: &[bool],
        benefit: Benefit,
        method: Option<&str>,
        place: Place,
    ) -> Result<Quote, PricingError> {
        let lines: Vec<_> = lines.iter().map(|price| (usd(*price), Quantity::ONE)).collect();
        let reduction = Reduction { counts: counts.to_vec(), benefit };
        quote(&terms(), lines, method, place.0, place.1, Some(&reduction))
    }

    type Place = (&'static str, Option<&'static str>);
    const TEXAS: Place = ("US", Some("TX"));
    const NEW_YORK: Place = ("US", Some("NY"));
    const CALIFORNIA: Place = ("US", Some("CA"));

    #[test]
    fn a_discount_is_spread_over_the_lines_that_count() {
        let quote = reduced(&[1000, 700, 333], &[true, false, true], Benefit::Percent(15), None, TEXAS).unwrap();
        assert_eq!(quote.line_discounts, [usd(150), usd(0), usd(50)]);
        assert_eq!((quote.discount, quote.total), (usd(200), usd(2033 + 490 - 200)), "15 % of 13.33 is 2.00");
        let thirds = reduced(&[1, 1, 1], &[true; 3], Benefit::Amount(usd(2)), None, TEXAS).unwrap();
        assert_eq!(thirds.line_discounts, [usd(1), usd(1), usd(0)]);
    }

    #[test]
    fn an_amount_takes_off_no_more_than_the_books_cost() {
        let quote = reduced(&[1000, 700], &[true, false], Benefit::Amount(usd(5000)), None, TEXAS).unwrap();
        assert_eq!((quote.discount, quote.total), (usd(1000), usd(700 + 490)));
        let euro = Benefit::Amount(Money::new(500, Currency::EUR));
        assert!(matches!(reduced(&[1000], &[true], euro, None, TEXAS), Err(PricingError::Money(_))));
        let all = reduced(&[1000], &[true], Benefit::Percent(100), None, CALIFORNIA).unwrap();
        assert_eq!((all.tax, all.total), (usd(0), usd(490)));
    }

    #[test]
    fn delivery_is_free_up_to_the_cheapest_way_and_from_a_subtotal_on_as_without() {
        let free =
            |lines: &[i64], method| reduced(lines, &vec![true; lines.len()], Benefit::FreeDelivery, method, TEXAS);
        let cheap = free(&[1000], None).unwrap();
        assert_eq!((cheap.shipping, cheap.shipping_discount, cheap.total), (usd(490), usd(490), usd(1000)));
        let fast = free(&[1000], Some("world")).unwrap();
        assert_eq!((fast.shipping, fast.shipping_discount, fast.total), (usd(1990), usd(490), usd(2500)));
        assert_eq!(free(&[5000], None), Err(PricingError::NothingToReduce), "it is free already");
        let half = reduced(&[5000], &[true], Benefit::Percent(50), None, TEXAS).unwrap();
        assert_eq!(half.shipping, usd(0), "the subtotal before the coupon counts");
    }

    #[test]
    fn tax_is_of_what_is_paid() {
        let quote = reduced(&[1000], &[true], Benefit::Percent(10), None, CALIFORNIA).unwrap();
        assert_eq!((quote.tax, quote.shipping_tax), (usd(65), usd(0)), "7.25 % of 9.00");
        let quote = reduced(&[1000], &[true], Benefit::FreeDelivery, None, NEW_YORK).unwrap();
        assert_eq!((quote.tax, quote.shipping_tax), (usd(40), usd(0)), "delivery is taxed there, and costs nothing");
        let quote = reduced(&[1000], &[true], Benefit::Percent(50), None, ("DE", None)).unwrap();
        assert_eq!((quote.tax, quote.tax_included, quote.total), (usd(65), true, usd(990)), "7 % in 9.90");
        assert_eq!(quote.shipping_tax, usd(32));
    }

    proptest! {
        #[test]
        fn whatever_a_coupon_takes_off_the_sums_are_exact(
            lines in prop::collection::vec((0_i64..1_000_000, any::<bool>()), 1..20),
            benefit in prop_oneof![
                (1_u32..=100).prop_map(Benefit::Percent),
                (1_i64..10_000_000).prop_map(|amount| Benefit::Amount(usd(amount))),
                Just(Benefit::FreeDelivery),
            ],
            method in prop::option::of(Just("world")),
            place in prop::sample::select(vec![TEXAS, NEW_YORK, CALIFORNIA, ("DE", None), ("FR", None)]),
        ) {
            let (prices, counts): (Vec<i64>, Vec<bool>) = lines.iter().copied().unzip();
            let Ok(quote) = reduced(&prices, &counts, benefit, method, place) else { return Ok(()) };
            let off: i64 = quote.line_discounts.iter().map(|part| part.amount).sum();
            prop_assert_eq!(quote.discount.amount, off + quote.shipping_discount.amount);
            for ((price, counts), part) in prices.iter().zip(&counts).zip(&quote.line_discounts) {
                prop_assert!((0..=*price).contains(&part.amount), "{} off {}", part, price);
                prop_assert!(*counts || part.amount == 0);
            }
            prop_assert!((0..=quote.shipping.amount).contains(&quote.shipping_discount.amount));
            prop_assert!(quote.total.amount >= 0 && quote.tax.amount >= 0 && quote.discount.amount > 0);
            prop_assert!((0..=quote.tax.amount).contains(&quote.shipping_tax.amount));
            let without = super::quote(&terms(), prices.iter().map(|price| (usd(*price), Quantity::ONE)), method, place.0, place.1, None);
            let without = without.unwrap();
            prop_assert!(quote.total.amount <= without.total.amount && quote.tax.amount <= without.tax.amount);
        }

        #[test]
        fn copies_that_go_back_one_after_the_other_add_up(paid in 0_i64..=i64::MAX, parts in prop::collection::vec(1_u32..=30, 1..8)) {
            let (mut copies, mut left) = (parts.iter().sum::<u32>(), paid);
            for part in parts {
                let share = share_of_copies(usd(left), copies, part).amount;
                prop_assert!((0..=left).contains(&share));
                (copies, left) = (copies - part, left - share);
            }
            prop_assert_eq!(left, 0);
        }

        #[test]
        fn the_total_is_lines_and_delivery_and_added_tax(
            lines in prop::collection::vec((0_i64..10_000_000, 1_i64..=99), 0..20),
            place in prop::sample::select(vec![("US", Some("CA")), ("US", Some("NY")), ("US", Some("Texas")), ("DE", None), ("FR", None)]),
        ) {
            let lines: Vec<_> = lines.into_iter().map(|(price, n)| (usd(price), Quantity::new(n).unwrap())).collect();
            let quote = quote(&terms(), lines.clone(), None, place.0, place.1, None).unwrap();
            let sum: i64 = lines.iter().map(|(price, n)| price.amount * i64::from(n.get())).sum();
            let added = if quote.tax_included { 0 } else { quote.tax.amount };
            prop_assert_eq!(quote.subtotal.amount, sum);
            prop_assert_eq!(quote.total.amount, sum + quote.shipping.amount + added);
            prop_assert!((0..=quote.total.amount).contains(&quote.tax.amount));
        }
    }
}
