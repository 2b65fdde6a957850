//! Postal addresses by country: which fields an address has, in which order, what is required and what fits, and how it
//! is written on a parcel.
//!
//! The rules are Google's address metadata (the data behind libaddressinput), kept in `data/`; `scripts/update-addresses`
//! writes them anew. Usual names of regions that the metadata does not have (`Calif.`, `Ont.`) are in
//! `data/usual-names.tsv`, maintained by hand. Names of countries are those of the Unicode CLDR.

#![warn(missing_docs)]

mod check;
mod country;
mod fold;
mod format;
mod names;

pub use check::{Checked, Wrong, check};
pub use country::{Country, Region, countries, country, region_key};
pub use format::lines;

/// A part of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The name on the parcel.
    Name,
    /// Street and number.
    Line1,
    /// What else the carrier needs to know: flat, floor, company.
    Line2,
    /// City, town or district.
    City,
    /// State, province, county or what else a country is divided into.
    Region,
    /// ZIP code, postcode.
    PostalCode,
    /// ISO 3166-1 alpha-2, or `XK` for Kosovo.
    Country,
}

/// An address as it was given. A part that is missing is empty.
#[derive(Clone, Copy, Default)]
pub struct Address<'a> {
    /// [`Part::Name`]
    pub name: &'a str,
    /// [`Part::Line1`]
    pub line1: &'a str,
    /// [`Part::Line2`]
    pub line2: &'a str,
    /// [`Part::City`]
    pub city: &'a str,
    /// [`Part::Region`]
    pub region: &'a str,
    /// [`Part::PostalCode`]
    pub postal_code: &'a str,
    /// [`Part::Country`]
    pub country: &'a str,
}
