use std::collections::HashSet;

use bookworm_kernel::Currency;
use serde::{Deserialize, Serialize};

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// Checkout, shipping and tax.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ordering {
    /// How many seconds checkout waits for the outcome when the caller does not say: 0 to 120. Default 10.
    pub checkout_wait_seconds: u64,
    /// The most seconds that a caller may ask to wait (`Prefer: wait=`): 0 to 120. Default 30.
    pub max_wait_seconds: u64,
    /// After how many seconds without an answer reserving stock has failed: 1 to 3600. Default 30.
    pub reserve_timeout_seconds: u64,
    /// After how many seconds without an answer a payment step has failed: 1 to 3600. Default 60.
    pub payment_timeout_seconds: u64,
    /// How many minutes a customer has to confirm a payment: 1 to 1440. Default 15.
    pub action_timeout_minutes: u64,
    /// Signs the links by which guests read their orders: 16 characters at least. Left out: made at the first start and
    /// stored in ordering's database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_link_secret: Option<Secret>,
    /// The ways to ship, in the order in which they are offered. Setting this replaces all of them. The prices of the
    /// default ones fit the currency.
    pub shipping_methods: Vec<ShippingMethod>,
    /// What is taxed where. The rule with the buyer's region wins over the rule with the country alone; without any
    /// rule nothing is taxed. Setting this replaces all of them.
    pub tax: Vec<TaxRule>,
}

/// A way to ship.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShippingMethod {
    /// What a checkout names it by: 1 to 40 lower-case letters, digits, `-` and `_`.
    pub code: String,
    /// What people read.
    pub name: String,
    /// What it costs, in minor units of the shop's currency, 0 or more.
    pub price: i64,
    /// The goods' value from which it is free, in minor units. Left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_from: Option<i64>,
    /// The fewest working days it takes.
    pub min_days: u32,
    /// The most working days it takes: 365 at most.
    pub max_days: u32,
    /// The countries it serves, ISO 3166-1 alpha-2, and `XK`. Empty: all that parcels reach, which leaves out places where
    /// nobody lives, and North Korea.
    #[serde(default)]
    pub countries: Vec<String>,
}

/// What books are taxed with in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxRule {
    /// ISO 3166-1 alpha-2, in capitals.
    pub country: String,
    /// The region's code, ISO 3166-2 code or name, e.g. `CA`, `US-CA` or `California`. Left out: the whole country. Where
    /// a country has a rule with a region, customers must give theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The rate in hundredths of a percent: 725 is 7.25 %. 0 to 10000.
    pub rate_basis_points: u32,
    /// Whether shown prices contain the tax (Europe) or it is added to them (United States).
    #[serde(default)]
    pub inclusive: bool,
    /// Whether shipping is taxed at the same rate.
    #[serde(default)]
    pub shipping_taxed: bool,
}

impl Default for Ordering {
    fn default() -> Self {
        Self {
            checkout_wait_seconds: 10,
            max_wait_seconds: 30,
            reserve_timeout_seconds: 30,
            payment_timeout_seconds: 60,
            action_timeout_minutes: 15,
            guest_link_secret: None,
            shipping_methods: default_shipping(Currency::USD),
            tax: default_tax(),
        }
    }
}

/// The default ways to ship, at prices that make sense in this currency.
pub(crate) fn default_shipping(currency: Currency) -> Vec<ShippingMethod> {
    let method =
        |code: &str, name: &str, cents, free: Option<i64>, days: (u32, u32), countries: &[&str]| ShippingMethod {
            code: code.to_owned(),
            name: name.to_owned(),
            price: currency.about(cents),
            free_from: free.map(|cents| currency.about(cents)),
            min_days: days.0,
            max_days: days.1,
            countries: countries.iter().map(|country| (*country).to_owned()).collect(),
        };
    vec![
        method("standard", "Standard", 490, Some(5_000), (3, 5), NEAR),
        method("express", "Express", 1_290, None, (1, 2), NEAR),
        method("international", "International", 1_990, Some(15_000), (7, 14), &[]),
    ]
}

/// Where the default carriers' domestic services reach.
const NEAR: &[&str] =
    &["US", "CA", "GB", "IE", "DE", "FR", "ES", "IT", "NL", "BE", "LU", "AT", "PT", "DK", "SE", "FI", "PL", "CZ"];

/// What printed books are taxed with in 2025. State rates of the United States are the statewide ones; a shop that must
/// collect county and city tax, or has no duty to collect somewhere, sets its own table.
fn default_tax() -> Vec<TaxRule> {
    let added = |region: Option<&str>, rate, shipping_taxed| TaxRule {
        country: "US".to_owned(),
        region: region.map(str::to_owned),
        rate_basis_points: rate,
        inclusive: false,
        shipping_taxed,
    };
    let contained = |country: &str, rate| TaxRule {
        country: country.to_owned(),
        region: None,
        rate_basis_points: rate,
        inclusive: true,
        // A supply that is part of the sale of the book takes the book's rate.
        shipping_taxed: true,
    };
    let mut rules = vec![
        added(None, 0, false),
        added(Some("CA"), 725, false),
        added(Some("NY"), 400, true),
        added(Some("TX"), 625, true),
        added(Some("WA"), 650, true),
    ];
    // Canada charges the federal 5 % on books everywhere; the provinces rebate their part.
    rules.push(TaxRule { inclusive: false, ..contained("CA", 500) });
    rules.extend(
        [
            ("GB", 0),
            ("IE", 0),
            ("NO", 0),
            ("CZ", 0),
            ("DE", 700),
            ("FR", 550),
            ("ES", 400),
            ("IT", 400),
            ("NL", 900),
            ("BE", 600),
            ("LU", 300),
            ("AT", 1000),
            ("PT", 600),
            ("PL", 500),
            ("FI", 1350),
            ("SE", 600),
            ("DK", 2500),
            ("CH", 260),
            ("GR", 600),
            ("JP", 1000),
            ("AU", 1000),
            ("NZ", 1500),
        ]
        .map(|(country, rate)| contained(country, rate)),
    );
    rules
}

impl Validate for Ordering {
    fn validate(&self, v: &mut Validation) {
        v.range("checkout_wait_seconds", self.checkout_wait_seconds, 0..=120);
        v.range("max_wait_seconds", self.max_wait_seconds, 0..=120);
        let reachable = self.checkout_wait_seconds <= self.max_wait_seconds;
        v.check("checkout_wait_seconds", reachable, "must not be above ordering.max_wait_seconds");
        v.range("reserve_timeout_seconds", self.reserve_timeout_seconds, 1..=3600);
        v.range("payment_timeout_seconds", self.payment_timeout_seconds, 1..=3600);
        v.range("action_timeout_minutes", self.action_timeout_minutes, 1..=1440);
        if let Some(secret) = &self.guest_link_secret {
            v.check("guest_link_secret", secret.expose().chars().count() >= 16, "must be at least 16 characters");
        }
        v.check("shipping_methods", !self.shipping_methods.is_empty(), "must offer at least one method");
        let mut codes = HashSet::new();
        for (n, method) in self.shipping_methods.iter().enumerate() {
            v.section(&format!("shipping_methods[{n}]"), method);
            v.check(&format!("shipping_methods[{n}].code"), codes.insert(&method.code), "must not be used twice");
        }
        let mut places = HashSet::new();
        for (n, rule) in self.tax.iter().enumerate() {
            v.section(&format!("tax[{n}]"), rule);
            let place = (
                rule.country.to_ascii_uppercase(),
                rule.region.as_ref().map(|region| bookworm_address::region_key(&rule.country, region)),
            );
            v.check(&format!("tax[{n}]"), places.insert(place), "there is another rule for the same place");
        }
    }
}

/// The most that shipping costs or is free from, in minor units.
const MAX_AMOUNT: i64 = 10_000_000_000;

impl Validate for ShippingMethod {
    fn validate(&self, v: &mut Validation) {
        let code = (1..=40).contains(&self.code.len())
            && self.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        v.check("code", code, "must be 1 to 40 lower-case letters, digits, - and _");
        v.check("name", (1..=60).contains(&self.name.trim().chars().count()), "must be 1 to 60 characters");
        v.range("price", self.price, 0..=MAX_AMOUNT);
        if let Some(free_from) = self.free_from {
            v.range("free_from", free_from, 0..=MAX_AMOUNT);
        }
        v.range("max_days", self.max_days, 0..=365);
        v.check("min_days", self.min_days <= self.max_days, "must not be above max_days");
        for (n, country) in self.countries.iter().enumerate() {
            v.check(&format!("countries[{n}]"), is_country(country), COUNTRY);
        }
    }
}

impl Validate for TaxRule {
    fn validate(&self, v: &mut Validation) {
        v.check("country", is_country(&self.country), COUNTRY);
        if let Some(region) = &self.region {
            v.check("region", !region.trim().is_empty(), "must not be empty; leave it out for the whole country");
            let country = bookworm_address::country(&self.country);
            let known = country.is_none_or(|country| {
                country.regions().is_empty() || region.trim().is_empty() || country.region(region).is_some()
            });
            v.check("region", known, "must be a code or a name of one of the country's regions");
        }
        v.range("rate_basis_points", self.rate_basis_points, 0..=10_000);
    }
}

const COUNTRY: &str = "must be two capitals, as in ISO 3166-1";

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())
}
