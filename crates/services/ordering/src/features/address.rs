//! Where a parcel goes and whom to write to, as a checkout gives it: what fits is said by the country's own rules.

use bookworm_address::{Checked, Part};
use bookworm_contracts::rest::ordering as rest;
use bookworm_http::Validator;
use bookworm_kernel::Email;

use crate::domain::{event::Address, pricing::Terms};

/// The address as an order stores it. What does not fit is noted, one message for each field; then the result must not be
/// used.
pub(super) fn read(valid: &mut Validator, given: &rest::Address, terms: &Terms) -> Address {
    let wants_region = terms.tax_needs_region(&given.country);
    let (checked, wrong) = match bookworm_address::check(&given.parts(), wants_region) {
        Ok(checked) => (checked, Vec::new()),
        Err(wrong) => (Checked::default(), wrong),
    };
    let parts = given.parts();
    let mut name = String::new();
    for (part, member, text, most) in [
        (Part::Name, "name", parts.name, 100),
        (Part::Line1, "line1", parts.line1, 200),
        (Part::Line2, "line2", parts.line2, 200),
        (Part::City, "city", parts.city, 100),
        (Part::Region, "region", parts.region, 100),
        (Part::PostalCode, "postal_code", parts.postal_code, 20),
        (Part::Country, "country", parts.country, 10),
    ] {
        let field = format!("/shipping_address/{member}");
        match wrong.iter().find(|wrong| wrong.part == part) {
            Some(wrong) => valid.error(field, &wrong.message),
            None if part == Part::Name => name = valid.name(&field, text),
            None => {
                valid.text(&field, text, 0..=most);
            }
        }
    }
    let optional = |text: String| Some(text).filter(|text| !text.is_empty());
    Address {
        name,
        line1: checked.line1,
        line2: optional(checked.line2),
        city: checked.city,
        region: optional(checked.region),
        postal_code: checked.postal_code,
        country: checked.country,
    }
}

/// An address that a confirmation can be sent to: on the internet its domain has a point.
pub(super) fn email(text: &str) -> Result<Email, String> {
    let email = Email::parse(text).map_err(|error| error.to_string())?;
    match email.as_str().rsplit_once('@') {
        Some((_, domain)) if domain.trim_matches('.').contains('.') => Ok(email),
        _ => Err("must be an e-mail address such as name@example.org".to_owned()),
    }
}
