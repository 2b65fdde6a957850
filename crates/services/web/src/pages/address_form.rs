//! The fields of an address, as the country has them.

use askama::Template;
use bookworm_address::{Address, Country, Part, Region};

use crate::{
    error::PageError,
    form::{Errors, Field, Fields},
};

/// Names of the fields, on the page and in the API.
const NAMES: [(Part, &str); 7] = [
    (Part::Name, "name"),
    (Part::Line1, "line1"),
    (Part::Line2, "line2"),
    (Part::City, "city"),
    (Part::Region, "region"),
    (Part::PostalCode, "postal_code"),
    (Part::Country, "country"),
];

/// Everything but the country: changes with it.
#[derive(Template)]
#[template(path = "parts/address_fields.html")]
pub(super) struct AddressFields {
    fields: Vec<String>,
}

/// The region, where the country has a list.
#[derive(Template)]
#[template(path = "parts/region_field.html")]
struct RegionField<'a> {
    /// As it is written, as it is shown, and whether it is chosen.
    regions: Vec<(&'static str, &'static str, bool)>,
    label: &'static str,
    required: bool,
    error: &'a str,
}

impl AddressFields {
    /// `name` stands in the first field until another was typed.
    pub(super) fn new(country: &str, name: &str, typed: &Fields, errors: &Errors) -> Result<Self, PageError> {
        let text = |name, label| Field::new(name, label).fill(typed, errors);
        let mut first = text("name", "Full name").autocomplete("name").maxlength(100).class("grid__all");
        if typed.get("name").is_empty() {
            first = first.value(name);
        }
        let first = [
            first,
            text("line1", "Street address").autocomplete("address-line1").class("grid__all"),
            text("line2", "Apartment, suite, etc.").autocomplete("address-line2").class("grid__all").optional(),
        ];
        let mut fields =
            first.iter().map(Field::render).collect::<Result<Vec<_>, _>>().map_err(|_| PageError::Internal)?;
        if let Some(country) = bookworm_address::country(country) {
            for part in country.order() {
                fields.push(rendered(part, country, typed, errors).map_err(|_| PageError::Internal)?);
            }
        }
        Ok(Self { fields })
    }
}

fn rendered(part: Part, country: &Country, typed: &Fields, errors: &Errors) -> Result<String, askama::Error> {
    let required = country.needs(part);
    let field = match part {
        Part::Region if !country.regions().is_empty() => {
            let chosen = country.region(typed.get("region")).map(Region::written);
            let choice = |region: &Region| (region.written(), region.name(), chosen == Some(region.written()));
            let regions = country.regions().iter().map(choice).collect();
            let label = region_label(country);
            return RegionField { regions, label, required, error: errors.of("region") }.render();
        }
        Part::Region => Field::new("region", region_label(country)).autocomplete("address-level1").maxlength(100),
        Part::PostalCode => Field::new("postal_code", postal_label(country)).autocomplete("postal-code").maxlength(20),
        _ => Field::new("city", city_label(country)).autocomplete("address-level2").maxlength(100),
    };
    let field = if required { field } else { field.optional() };
    field.fill(typed, errors).render()
}

fn region_label(country: &Country) -> &'static str {
    match country.region_name() {
        "state" => "State",
        "state or territory" => "State or territory",
        "province" => "Province",
        "province or territory" => "Province or territory",
        "county" => "County",
        "prefecture" => "Prefecture",
        "emirate" => "Emirate",
        "department" => "Department",
        "parish" => "Parish",
        "district" => "District",
        "island" => "Island",
        "oblast" => "Oblast",
        "area" => "Area",
        _ => "Region",
    }
}

fn postal_label(country: &Country) -> &'static str {
    match country.postal_code_name() {
        "ZIP code" => "ZIP code",
        "PIN code" => "PIN code",
        "Eircode" => "Eircode",
        "postcode" => "Postcode",
        _ => "Postal code",
    }
}

fn city_label(country: &Country) -> &'static str {
    match country.city_name() {
        "city" => "City",
        "district" => "District",
        "suburb" => "Suburb",
        _ => "Town or city",
    }
}

/// What is wrong with the address that was typed, each with its field.
pub(super) fn check(fields: &Fields, errors: &mut Errors) {
    let address = Address {
        name: fields.get("name"),
        line1: fields.get("line1"),
        line2: fields.get("line2"),
        city: fields.get("city"),
        region: fields.get("region"),
        postal_code: fields.get("postal_code"),
        country: fields.get("country"),
    };
    for wrong in bookworm_address::check(&address, false).err().unwrap_or_default() {
        if let Some((_, name)) = NAMES.iter().find(|(part, _)| *part == wrong.part) {
            errors.add(name, wrong.message);
        }
    }
}
