//! What every use case of ordering shares.

pub(crate) mod outcomes;
pub(crate) mod work;

use std::sync::Arc;

use bookworm_config::{Ordering as Settings, ShippingMethod, TaxRule};
use bookworm_db::Db;
use bookworm_kernel::{Clock, Currency, Money, Timestamp};
use bookworm_messaging::Outbox;

use self::outcomes::Outcomes;
use crate::{
    clients::Clients,
    domain::{access_key::AccessKeys, pricing, pricing::Terms, shipping},
};

/// Everything that requests, reactions and loops share.
#[derive(Debug)]
pub(crate) struct Ordering {
    pub db: Db,
    pub outbox: Outbox,
    pub settings: Settings,
    /// Prices beside the books', as the settings have them.
    pub terms: Terms,
    pub clock: Arc<dyn Clock>,
    pub keys: AccessKeys,
    pub clients: Clients,
    pub outcomes: Outcomes,
}

impl Ordering {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The terms that these settings, which are validated, mean in the shop's currency.
pub(crate) fn terms(settings: &Settings, currency: Currency) -> Terms {
    let method = |ShippingMethod { code, name, price, free_from, min_days, max_days, countries }: ShippingMethod| {
        let (price, free_from) = (Money::new(price, currency), free_from.map(|from| Money::new(from, currency)));
        shipping::ShippingMethod { code, name, price, free_from, min_days, max_days, countries }
    };
    let rule = |TaxRule { country, region, rate_basis_points, inclusive, shipping_taxed }: TaxRule| pricing::TaxRule {
        country,
        region,
        rate_basis_points,
        inclusive,
        shipping_taxed,
    };
    Terms {
        currency,
        shipping_methods: settings.shipping_methods.iter().cloned().map(method).collect(),
        tax: settings.tax.iter().cloned().map(rule).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_terms() -> Terms {
        terms(&Settings::default(), Currency::USD)
    }

    #[test]
    fn the_default_ways_to_ship_serve_every_country_that_parcels_reach() {
        let methods = default_terms().shipping_methods;
        let offered = |country: &str, subtotal| -> Vec<String> {
            let subtotal = Money::new(subtotal, Currency::USD);
            shipping::offered(&methods, country, subtotal).iter().map(|method| method.code.clone()).collect()
        };
        assert_eq!(offered("US", 2_000), ["standard", "express"]);
        assert_eq!(offered("JP", 2_000), ["international"]);
        assert_eq!(offered("US", 20_000), ["standard", "express"], "also when both are free");
        let all: Vec<_> = shipping::countries(&methods).iter().map(|country| country.code()).collect();
        assert_eq!(all[..3], ["US", "AF", "AX"], "the likely one first");
    }

    #[test]
    fn the_default_taxes_are_the_settings() {
        let terms = default_terms();
        let rule =
            |country, region| terms.tax_rule(country, region).map(|rule| (rule.rate_basis_points, rule.inclusive));
        assert_eq!(rule("US", Some("CA")), Some((725, false)));
        assert_eq!(rule("US", Some("OR")), Some((0, false)));
        assert_eq!(rule("DE", Some("Bayern")), Some((700, true)));
        assert_eq!(rule("XX", None), None);
        assert_eq!(terms.shipping_methods[0].price, Money::new(490, Currency::USD));
    }
}
