//! What an order costs: lines, delivery, tax.

use bookworm_kernel::{Currency, Money, MoneyError, Quantity};

use super::shipping::{self, ShippingMethod};

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
    /// Whether `tax` is contained in the prices rather than added.
    pub tax_included: bool,
    /// Taken off.
    pub discount: Money,
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
    /// The amounts do not add up to money: another currency, or too large.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// What these lines (unit price, copies) cost, delivered to this place. `country` is an ISO 3166-1 code in capitals;
/// without a `method` the cheapest that goes there is taken.
///
/// Where a tax rule has a region the buyer's must be known: an unknown region is never taken to be free of tax.
///
/// Inclusive tax is contained in the prices and so in the total; exclusive tax is added. Tax is computed once on the
/// taxed sum, not line by line, so rounding happens once.
///
/// # Errors
/// [`PricingError`]
pub fn quote(
    terms: &Terms,
    lines: impl IntoIterator<Item = (Money, Quantity)>,
    method: Option<&str>,
    country: &str,
    region: Option<&str>,
) -> Result<Quote, PricingError> {
    let nothing = Money::zero(terms.currency);
    let subtotal = lines
        .into_iter()
        .try_fold(nothing, |sum, (unit_price, quantity)| sum.checked_add(unit_price.times(quantity.get())?))?;
    let method = match method {
        Some(code) => terms.shipping_methods.iter().find(|method| method.serves(country) && method.code == code),
        None => shipping::offered(&terms.shipping_methods, country, subtotal).first().copied(),
    };
    let method = method.ok_or_else(|| PricingError::ShippingUnavailable { country: country.to_owned() })?;
    if terms.tax_needs_region(country)
        && let Some(country) = bookworm_address::country(country)
    {
        country.check_region(region.unwrap_or_default(), true).map_err(|message| PricingError::Region { message })?;
    }
    let shipping = shipping::charge(method, subtotal);
    let (tax, tax_included) = match terms.tax_rule(country, region) {
        None => (nothing, false),
        Some(rule) => {
            let taxed = if rule.shipping_taxed { subtotal.checked_add(shipping)? } else { subtotal };
            let tax = if rule.inclusive {
                taxed.contained_basis_points(rule.rate_basis_points)?
            } else {
                taxed.basis_points(rule.rate_basis_points)?
            };
            (tax, rule.inclusive)
        }
    };
    let discount = nothing;
    let total = total(subtotal, shipping, tax, tax_included, discount)?;
    Ok(Quote { subtotal, shipping, tax, tax_included, discount, total, shipping_method: method.code.clone() })
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
        quote(&terms(), [(usd(price), Quantity::new(quantity).unwrap())], method, country, region).unwrap()
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
        assert_eq!(quote(&named, line, None, "CA", Some("QC")).unwrap().tax, usd(73), "a rule may name its region");
        assert_eq!(quote(&named, line, None, "CA", Some("Ontario")).unwrap().tax, usd(0));
    }

    #[test]
    fn where_tax_depends_on_the_region_it_is_asked_for() {
        for region in [None, Some(""), Some("Ontario"), Some("94103"), Some("-")] {
            let refused = quote(&terms(), [(usd(1000), Quantity::ONE)], None, "US", region).unwrap_err();
            assert!(
                matches!(&refused, PricingError::Region { message } if message.contains("Choose a state")),
                "{region:?}"
            );
        }
        assert!(quote(&terms(), [], None, "DE", None).is_ok(), "no rule of Germany has a region");
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
        let refused = quote(&terms(), [], Some("standard"), "FR", None);
        assert_eq!(refused, Err(PricingError::ShippingUnavailable { country: "FR".into() }));
        assert!(quote(&terms(), [], Some("rocket"), "US", None).is_err());
    }

    #[test]
    fn another_currency_or_too_much_money_has_no_price() {
        let euro = Money::new(100, Currency::EUR);
        assert!(matches!(quote(&terms(), [(euro, Quantity::ONE)], None, "DE", None), Err(PricingError::Money(_))));
        let most = Quantity::new(99).unwrap();
        assert!(quote(&terms(), [(usd(i64::MAX / 2), most)], None, "DE", None).is_err());
    }

    proptest! {
        #[test]
        fn the_total_is_lines_and_delivery_and_added_tax(
            lines in prop::collection::vec((0_i64..10_000_000, 1_i64..=99), 0..20),
            place in prop::sample::select(vec![("US", Some("CA")), ("US", Some("NY")), ("US", Some("Texas")), ("DE", None), ("FR", None)]),
        ) {
            let lines: Vec<_> = lines.into_iter().map(|(price, n)| (usd(price), Quantity::new(n).unwrap())).collect();
            let quote = quote(&terms(), lines.clone(), None, place.0, place.1).unwrap();
            let sum: i64 = lines.iter().map(|(price, n)| price.amount * i64::from(n.get())).sum();
            let added = if quote.tax_included { 0 } else { quote.tax.amount };
            prop_assert_eq!(quote.subtotal.amount, sum);
            prop_assert_eq!(quote.total.amount, sum + quote.shipping.amount + added);
            prop_assert!((0..=quote.total.amount).contains(&quote.tax.amount));
        }
    }
}
