use crate::{Address, Country, Part, country};

/// An address that fits its country: trimmed, its region as it is written, its postal code in the country's form, and
/// without what its country does not have.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// [`Part::Name`]
    pub name: String,
    /// [`Part::Line1`]
    pub line1: String,
    /// [`Part::Line2`]; empty when there is none.
    pub line2: String,
    /// [`Part::City`]; empty when there is none.
    pub city: String,
    /// [`Part::Region`]; empty when there is none.
    pub region: String,
    /// [`Part::PostalCode`]; empty when there is none.
    pub postal_code: String,
    /// [`Part::Country`]
    pub country: String,
}

impl std::fmt::Debug for Checked {
    /// Hides the address: where people live does not belong in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checked(hidden)")
    }
}

/// What is wrong with a part, in words for whoever typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which part.
    pub part: Part,
    /// What to enter, e.g. `Enter a ZIP code such as 95014.`
    pub message: String,
}

/// Whether an address fits its country. `wants_region`: more depends on the region than the post, such as tax, so it must
/// be given even where it follows from the postal code.
///
/// # Errors
/// Every part that does not fit, in the order of a form; one message for each.
pub fn check(given: &Address<'_>, wants_region: bool) -> Result<Checked, Vec<Wrong>> {
    let mut all = Vec::new();
    let mut wrong = |part, message: String| all.push(Wrong { part, message });
    let text = |text: &str| text.trim().to_owned();
    let mut checked = Checked { name: text(given.name), line1: text(given.line1), ..Checked::default() };
    if !has_letter(&checked.name) {
        wrong(Part::Name, "Enter the recipient’s name.".to_owned());
    }
    if !has_sign(&checked.line1) {
        wrong(Part::Line1, "Enter the street address.".to_owned());
    }
    checked.line2 = if has_sign(given.line2) { text(given.line2) } else { String::new() };
    let Some(country) = country(given.country) else {
        wrong(Part::Country, "Choose the country, a code of two letters such as US.".to_owned());
        return Err(all);
    };
    country.code().clone_into(&mut checked.country);

    checked.city = text(given.city);
    let mut region = text(given.region);
    // Where addresses need no city, people give the region for it: Kowloon, Dubai, Tokyo.
    let city_is_region = !country.needs(Part::City) && country.region(&checked.city).is_some();
    if region.is_empty() && city_is_region {
        region.clone_from(&checked.city);
    }
    if (country.needs(Part::City) || !checked.city.is_empty()) && !has_letter(&checked.city) {
        wrong(Part::City, format!("Enter the {}.", country.city_name()));
    }

    if country.has(Part::PostalCode) {
        let typed = given.postal_code.trim();
        let name = country.postal_code_name();
        match country.postal_code(typed) {
            Some(code) => checked.postal_code = code,
            None if typed.is_empty() && !country.needs(Part::PostalCode) => {}
            None => wrong(
                Part::PostalCode,
                match country.postal_code_sample() {
                    Some(sample) => format!("Enter {} {name} such as {sample}.", article(name)),
                    None => format!("Enter the {name}."),
                },
            ),
        }
    } else if !given.postal_code.trim().is_empty() && !has_sign(given.postal_code) {
        wrong(Part::PostalCode, format!("Leave this empty: {} has no postal codes.", country.name()));
    }

    // Where an address needs no city, one that was given stands for the region.
    let has_place = !country.needs(Part::City) && !checked.city.is_empty();
    let from_code = country.region_of_code(&checked.postal_code).filter(|_| region.is_empty() && !wants_region);
    match from_code {
        Some(found) => found.written().clone_into(&mut checked.region),
        None => match country.check_region(&region, wants_region || (country.needs(Part::Region) && !has_place)) {
            Ok(region) => checked.region = region,
            Err(message) => wrong(Part::Region, message),
        },
    }
    let order = country.order();
    all.sort_by_key(|wrong| order.iter().position(|part| *part == wrong.part).map_or(0, |place| place + 1));
    if all.is_empty() { Ok(checked) } else { Err(all) }
}

impl Country {
    /// The region as it is written, whatever usual name was given; empty where addresses have none, or it is not `needed`
    /// and was not given.
    ///
    /// # Errors
    /// What to choose or to enter, in words.
    pub fn check_region(&self, given: &str, needed: bool) -> Result<String, String> {
        let given = given.trim();
        if !self.has(Part::Region) {
            return Ok(String::new());
        }
        if let Some(found) = self.region(given) {
            return Ok(found.written().to_owned());
        }
        let name = self.region_name();
        if self.regions().is_empty() {
            return match has_letter(given) {
                true => Ok(given.to_owned()),
                false if needed => Err(format!("Enter the {name}.")),
                false => Ok(String::new()),
            };
        }
        match given.is_empty() {
            true if needed => Err(choose(self)),
            true => Ok(String::new()),
            false => Err(format!("We don’t know the {name} “{}”. {}", short(given), choose(self))),
        }
    }
}

/// What to say where the region is missing: `Choose a state such as California.`
fn choose(country: &Country) -> String {
    let name = country.region_name();
    // One that people know, where there is one.
    let regions = country.regions();
    let well_known =
        regions.iter().find(|region| matches!(region.name(), "California" | "Ontario" | "New South Wales"));
    match well_known.or(regions.first()) {
        Some(region) => format!("Choose {} {name} such as {}.", article(name), region.name()),
        None => format!("Enter the {name}."),
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'E', 'O']) { "an" } else { "a" }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

fn has_letter(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

fn has_sign(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address<'a>(country: &'a str, city: &'a str, region: &'a str, postal_code: &'a str) -> Address<'a> {
        Address { name: "Ann Reader", line1: "1 High Street", line2: "", city, region, postal_code, country }
    }

    fn messages(given: &Address<'_>) -> Vec<String> {
        check(given, false).unwrap_err().into_iter().map(|wrong| wrong.message).collect()
    }

    #[test]
    fn junk_is_refused_in_words_for_each_part() {
        let junk =
            Address { name: "1", line1: "-", line2: "-", city: "?", region: "?", postal_code: "x", country: "US" };
        assert_eq!(
            messages(&junk),
            [
                "Enter the recipient’s name.",
                "Enter the street address.",
                "Enter the city.",
                "We don’t know the state “?”. Choose a state such as California.",
                "Enter a ZIP code such as 95014.",
            ]
        );
        assert_eq!(messages(&address("GB", "London", "", "!!!")), ["Enter a postcode such as EC1Y 8SY."]);
        assert_eq!(messages(&address("DE", "Berlin", "", "ABC")), ["Enter a postal code such as 26133."]);
        assert_eq!(messages(&address("IE", "Bray", "", "-")), ["Enter an Eircode such as A65 F4E2."]);
        assert_eq!(
            messages(&address("HK", "Kowloon", "", "-")),
            ["Leave this empty: Hong Kong SAR China has no postal codes."]
        );
        assert_eq!(messages(&address("ZZ", "A", "", "")), ["Choose the country, a code of two letters such as US."]);
        assert_eq!(
            messages(&address("CA", "Ottawa", "", "K1A 0B1")),
            ["Choose a province or territory such as Ontario."]
        );
    }

    #[test]
    fn each_country_asks_for_what_it_has() {
        let fits = [
            address("HK", "Kowloon", "", ""),
            address("HK", "Mong Kok", "Kowloon", "999077"),
            address("HK", "Hong Kong", "", ""),
            address("IE", "Bray", "", ""),
            address("IE", "Bray", "Wicklow", "A65 F4E2"),
            address("XK", "Prishtina", "", "10000"),
            address("SG", "", "", "546080"),
            address("AE", "Dubai", "", ""),
            address("JP", "Tokyo", "", "154-0023"),
            address("ES", "Barcelona", "", "08001"),
            address("DE", "Berlin", "", "10115"),
            address("US", "Portland", "Oregon", "97201"),
        ];
        for given in fits {
            assert!(check(&given, false).is_ok(), "{} {:?}", given.country, check(&given, false));
        }
    }

    #[test]
    fn what_a_country_does_not_have_is_dropped_and_names_become_what_is_written() {
        let checked = |given: Address<'_>| check(&given, false).unwrap();
        assert_eq!(checked(address("DE", "Berlin", "CA", "10115")).region, "", "a region of another country");
        assert_eq!(checked(address("HK", "Mong Kok", "Kowloon", "999077")).postal_code, "");
        assert_eq!(checked(address("us", "Portland", "oregon", "97201")).region, "OR");
        assert_eq!(checked(address("us", "Portland", "oregon", "97201")).country, "US");
        assert_eq!(checked(address("ES", "Barcelona", "", "08001")).region, "B");
        assert_eq!(checked(address("GB", "London", "Greater London", "sw1a1aa")).postal_code, "SW1A 1AA");
        assert_eq!(messages(&address("IE", "Bray", "CA", "")).len(), 1, "a region that the country does not have");
    }

    #[test]
    fn where_tax_depends_on_the_region_it_must_be_given() {
        let given = address("US", "San Francisco", "", "94103");
        assert_eq!(
            check(&given, true).unwrap_err(),
            [Wrong { part: Part::Region, message: "Choose a state such as California.".to_owned() }]
        );
        assert_eq!(check(&address("US", "San Francisco", "US-CA", "94103"), true).unwrap().region, "CA");
    }

    proptest! {
        #[test]
        fn what_fits_once_fits_again(
            code in prop::sample::select(crate::countries().map(crate::Country::code).collect::<Vec<_>>()),
            city in "\\PC{0,12}", region in "\\PC{0,6}", postal in "[A-Za-z0-9 -]{0,8}",
        ) {
            let given = address(code, &city, &region, &postal);
            if let Ok(checked) = check(&given, false) {
                let again = Address {
                    name: &checked.name, line1: &checked.line1, line2: &checked.line2, city: &checked.city,
                    region: &checked.region, postal_code: &checked.postal_code, country: &checked.country,
                };
                prop_assert_eq!(check(&again, false), Ok(checked.clone()));
                let lines = crate::lines(&again);
                let joined = lines.join(" ");
                prop_assert!(joined.contains(&checked.postal_code));
                prop_assert!(checked.region.is_empty() || joined.contains(&checked.region));
            }
        }
    }
}
