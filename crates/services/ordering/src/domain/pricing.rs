//! What an order costs: lines, delivery, tax.

use bookworm_config::Ordering as Settings;
use bookworm_contracts::rest::ordering::Quote;
use bookworm_kernel::{Money, MoneyError, Quantity};

use super::shipping;

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// The method does not exist, or does not go to this country; or none does.
    #[error("no such delivery goes to {country}")]
    ShippingUnavailable {
        /// Where to.
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
/// Where a tax rule has a region the buyer's must be known: no tax is never taken for want of asking.
///
/// Inclusive tax is contained in the prices and so in the total; exclusive tax is added. Tax is computed once on the
/// taxed sum, not line by line, so rounding happens once.
///
/// # Errors
/// [`PricingError`]
pub fn quote(
    settings: &Settings,
    lines: impl IntoIterator<Item = (Money, Quantity)>,
    method: Option<&str>,
    country: &str,
    region: Option<&str>,
) -> Result<Quote, PricingError> {
    let nothing = Money::zero(settings.currency);
    let subtotal = lines
        .into_iter()
        .try_fold(nothing, |sum, (unit_price, quantity)| sum.checked_add(unit_price.times(quantity.get())?))?;
    let method = match method {
        Some(code) => settings.shipping_methods.iter().find(|method| method.serves(country) && method.code == code),
        None => shipping::offered(settings, country, subtotal).first().copied(),
    };
    let method = method.ok_or_else(|| PricingError::ShippingUnavailable { country: country.to_owned() })?;
    if settings.tax_needs_region(country)
        && let Some(country) = bookworm_address::country(country)
    {
        country.check_region(region.unwrap_or_default(), true).map_err(|message| PricingError::Region { message })?;
    }
    let shipping = shipping::charge(method, subtotal);
    let (tax, tax_included) = match settings.tax_rule(country, region) {
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
    use bookworm_config::{ShippingMethod, TaxRule};
    use bookworm_kernel::Currency;
    use proptest::prelude::*;

    use super::*;

    fn settings() -> Settings {
        let method = |code: &str, price, free_from, countries: &[&str]| ShippingMethod {
            code: code.into(),
            name: code.to_uppercase(),
            price,
            free_from,
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
        Settings {
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
            ..Settings::default()
        }
    }

    fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    fn price(price: i64, quantity: i64, method: Option<&str>, country: &str, region: Option<&str>) -> Quote {
        quote(&settings(), [(usd(price), Quantity::new(quantity).unwrap())], method, country, region).unwrap()
    }

    #[test]
    fn the_region_goes_before_the_country() {
        assert_eq!(price(1000, 1, None, "US", Some("ca ")).tax, usd(73));
        assert_eq!(price(1000, 1, None, "US", Some("TX")).tax, usd(0));
    }

    #[test]
    fn a_region_is_known_by_code_and_by_name() {
        for region in ["CA", "ca", "California", "CALIFORNIA", "US-CA", "Calif.", "State of California"] {
            assert_eq!(price(1000, 1, None, "US", Some(region)).tax, usd(73), "{region}");
        }
        let named = Settings {
            tax: vec![TaxRule { region: Some("Québec".into()), ..settings().tax[1].clone() }]
                .into_iter()
                .map(|rule| TaxRule { country: "CA".into(), ..rule })
                .collect(),
            shipping_methods: vec![ShippingMethod { countries: vec![], ..settings().shipping_methods[0].clone() }],
            ..settings()
        };
        let line = [(usd(1000), Quantity::ONE)];
        assert_eq!(quote(&named, line, None, "CA", Some("QC")).unwrap().tax, usd(73), "a rule may name its region");
        assert_eq!(quote(&named, line, None, "CA", Some("Ontario")).unwrap().tax, usd(0));
    }

    #[test]
    fn where_tax_depends_on_the_region_it_is_asked_for() {
        for region in [None, Some(""), Some("Ontario"), Some("94103"), Some("-")] {
            let refused = quote(&settings(), [(usd(1000), Quantity::ONE)], None, "US", region).unwrap_err();
            assert!(
                matches!(&refused, PricingError::Region { message } if message.contains("Choose a state")),
                "{region:?}"
            );
        }
        assert!(quote(&settings(), [], None, "DE", None).is_ok(), "no rule of Germany has a region");
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
        let refused = quote(&settings(), [], Some("standard"), "FR", None);
        assert_eq!(refused, Err(PricingError::ShippingUnavailable { country: "FR".into() }));
        assert!(quote(&settings(), [], Some("rocket"), "US", None).is_err());
    }

    #[test]
    fn another_currency_or_too_much_money_has_no_price() {
        let euro = Money::new(100, Currency::EUR);
        assert!(matches!(quote(&settings(), [(euro, Quantity::ONE)], None, "DE", None), Err(PricingError::Money(_))));
        let most = Quantity::new(99).unwrap();
        assert!(quote(&settings(), [(usd(i64::MAX / 2), most)], None, "DE", None).is_err());
    }

    proptest! {
        #[test]
        fn the_total_is_lines_and_delivery_and_added_tax(
            lines in prop::collection::vec((0_i64..10_000_000, 1_i64..=99), 0..20),
            place in prop::sample::select(vec![("US", Some("CA")), ("US", Some("NY")), ("US", Some("Texas")), ("DE", None), ("FR", None)]),
        ) {
            let lines: Vec<_> = lines.into_iter().map(|(price, n)| (usd(price), Quantity::new(n).unwrap())).collect();
            let quote = quote(&settings(), lines.clone(), None, place.0, place.1).unwrap();
            let sum: i64 = lines.iter().map(|(price, n)| price.amount * i64::from(n.get())).sum();
            let added = if quote.tax_included { 0 } else { quote.tax.amount };
            prop_assert_eq!(quote.subtotal.amount, sum);
            prop_assert_eq!(quote.total.amount, sum + quote.shipping.amount + added);
            prop_assert!((0..=quote.total.amount).contains(&quote.tax.amount));
        }
    }
}
