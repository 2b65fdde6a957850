use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

use regex_lite::Regex;

use crate::{
    Part,
    fold::{bare, fold},
    names::COUNTRIES,
};

const TABLE: &str = include_str!("../data/countries.tsv");
const REGIONS: &str = include_str!("../data/regions.tsv");
const USUAL_NAMES: &str = include_str!("../data/usual-names.tsv");

/// What an address has where nothing else is known of the country.
const DEFAULT_FORMAT: &str = "%N%n%O%n%A%n%C";

/// How addresses of a country are made up.
#[derive(Debug)]
pub struct Country {
    code: &'static str,
    name: &'static str,
    format: &'static str,
    required: &'static str,
    postal_pattern: &'static str,
    postal_samples: Vec<&'static str>,
    postal_name: &'static str,
    region_name: &'static str,
    city_name: &'static str,
    regions: Vec<Region>,
    is_known: bool,
    postal: OnceLock<Option<Regex>>,
}

/// What a country is divided into.
#[derive(Debug)]
pub struct Region {
    written: &'static str,
    name: &'static str,
    iso: &'static str,
    postal_prefix: &'static str,
    other_names: Vec<&'static str>,
}

impl Region {
    /// As it stands in an address: `OR`, `Co. Cork`, `Hokkaido`.
    #[must_use]
    pub fn written(&self) -> &'static str {
        self.written
    }

    /// As a list shows it: `Oregon`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The second part of its ISO 3166-2 code, `OR` of `US-OR`; empty where it has none.
    #[must_use]
    pub fn iso(&self) -> &'static str {
        self.iso
    }

    /// Whether a postal code is one of this region, as far as its beginning shows.
    fn has(&self, postal_code: &str) -> bool {
        !self.postal_prefix.is_empty()
            && Regex::new(&format!("^(?:{})", self.postal_prefix)).is_ok_and(|prefix| prefix.is_match(postal_code))
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        [self.written, self.iso, self.name].into_iter().chain(self.other_names.iter().copied())
    }
}

static ALL: LazyLock<Vec<Country>> = LazyLock::new(|| {
    let rows = |text: &'static str| text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t'));
    let mut usual: HashMap<(&str, &str), Vec<&'static str>> = HashMap::new();
    for mut row in rows(USUAL_NAMES) {
        let mut next = || row.next().unwrap_or_default();
        let (country, region, names) = (next(), next(), next());
        usual.entry((country, region)).or_default().extend(names.split('|'));
    }
    let mut regions: HashMap<&str, Vec<Region>> = HashMap::new();
    for mut row in rows(REGIONS) {
        let mut next = || row.next().unwrap_or_default();
        let (country, written, name, iso, postal_prefix, others) = (next(), next(), next(), next(), next(), next());
        let mut other_names: Vec<&str> = others.split('|').filter(|name| !name.is_empty()).collect();
        other_names.extend(usual.remove(&(country, written)).unwrap_or_default());
        regions.entry(country).or_default().push(Region { written, name, iso, postal_prefix, other_names });
    }
    let mut known: HashMap<&str, [&'static str; 7]> = HashMap::new();
    for mut row in rows(TABLE) {
        let mut next = || row.next().unwrap_or_default();
        known.insert(next(), std::array::from_fn(|_| next()));
    }
    let country = |&(code, name): &(&'static str, &'static str)| {
        let row = known.get(code);
        let [format, required, postal_pattern, samples, postal_name, region_name, city_name] =
            row.copied().unwrap_or([DEFAULT_FORMAT, "AC", "", "", "", "", ""]);
        let mut regions = regions.remove(code).unwrap_or_default();
        regions.sort_by_key(|region| fold(region.name));
        Country {
            code,
            name,
            format,
            required,
            postal_pattern,
            postal_samples: samples.split(',').filter(|sample| !sample.is_empty()).collect(),
            postal_name,
            region_name,
            city_name,
            regions,
            is_known: row.is_some(),
            postal: OnceLock::new(),
        }
    };
    COUNTRIES.iter().map(country).collect()
});

/// Every country, by name in English.
pub fn countries() -> impl Iterator<Item = &'static Country> {
    ALL.iter()
}

/// A country by its ISO 3166-1 alpha-2 code, or `XK` for Kosovo; case does not matter.
#[must_use]
pub fn country(code: &str) -> Option<&'static Country> {
    let code = code.trim();
    ALL.iter().find(|country| country.code.eq_ignore_ascii_case(code))
}

/// The same for two texts that mean one region of a country: by its code, its ISO 3166-2 code or a usual name. A region that
/// is not known is its own text in capitals.
#[must_use]
pub fn region_key(code: &str, region: &str) -> String {
    let known = country(code).and_then(|country| country.region(region));
    known.map_or_else(|| region.trim().to_ascii_uppercase(), |region| region.written().to_owned())
}

impl Country {
    /// ISO 3166-1 alpha-2, or `XK` for Kosovo.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// In English.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn format(&self) -> &'static str {
        self.format
    }

    /// Whether the metadata has the country.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether addresses of this country have a part at all.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        self.format.contains(match part {
            Part::Name | Part::Line1 | Part::Line2 | Part::Country => return true,
            Part::City => "%C",
            Part::Region => "%S",
            Part::PostalCode => "%Z",
        })
    }

    /// Whether an address must have a part. A region may follow from the postal code: see [`Country::region_of_code`].
    #[must_use]
    pub fn needs(&self, part: Part) -> bool {
        let letter = match part {
            Part::Name | Part::Line1 | Part::Country => return true,
            Part::Line2 => return false,
            Part::City => 'C',
            Part::Region => 'S',
            Part::PostalCode => 'Z',
        };
        self.has(part) && self.required.contains(letter)
    }

    /// City, region and postal code, those that there are, in the order in which they are written.
    #[must_use]
    pub fn order(&self) -> Vec<Part> {
        let mut parts: Vec<(usize, Part)> = [("%C", Part::City), ("%S", Part::Region), ("%Z", Part::PostalCode)]
            .into_iter()
            .filter_map(|(mark, part)| Some((self.format.find(mark)?, part)))
            .collect();
        parts.sort_unstable();
        parts.into_iter().map(|(_, part)| part).collect()
    }

    /// What the postal code is called: `ZIP code`, `postcode`, `Eircode`.
    #[must_use]
    pub fn postal_code_name(&self) -> &'static str {
        match (self.postal_name, self.code) {
            ("zip", _) => "ZIP code",
            ("pin", _) => "PIN code",
            ("eircode", _) => "Eircode",
            (_, "GB" | "GG" | "IM" | "JE" | "AU" | "NZ" | "ZA" | "MY" | "NL") => "postcode",
            _ => "postal code",
        }
    }

    /// A postal code of the country; `None` where there are none.
    #[must_use]
    pub fn postal_code_sample(&self) -> Option<&'static str> {
        self.postal_samples.first().copied()
    }

    /// What a region is called: `state`, `county`.
    #[must_use]
    pub fn region_name(&self) -> &'static str {
        match (self.region_name, self.code) {
            ("", "CA") => "province or territory",
            ("", "ES" | "IT" | "AR" | "CN" | "TH" | "TR" | "VN" | "ID" | "PH" | "CU" | "IR") => "province",
            ("", "IN") => "state",
            ("", _) => "region",
            ("do_si", _) => "province",
            ("state", "AU") => "state or territory",
            (name, _) => name,
        }
    }

    /// What the city is called: `city`, `town or city`, `district`, `suburb`.
    #[must_use]
    pub fn city_name(&self) -> &'static str {
        match (self.city_name, self.code) {
            ("post_town", _) => "town or city",
            ("", "US" | "CA") => "city",
            ("", _) => "town or city",
            (name, _) => name,
        }
    }

    /// What the country is divided into, by name; empty where addresses have no region or it is free text.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// A region by its code (`CA`, `US-CA`) or any usual name, whatever its case and accents.
    #[must_use]
    pub fn region(&self, text: &str) -> Option<&Region> {
        let text = text.trim();
        let own = text.get(..2).filter(|start| start.eq_ignore_ascii_case(self.code));
        let code = own.and_then(|_| text[2..].strip_prefix(['-', ' ']));
        let (folded, bared) = (fold(text), bare(text));
        if folded.is_empty() {
            return None;
        }
        let of = |is: &dyn Fn(&str) -> bool, names: fn(&Region) -> Vec<&'static str>| {
            self.regions.iter().find(|region| names(region).into_iter().any(|name| !name.is_empty() && is(name)))
        };
        // What is written goes before codes, and those before names: two letters mean the code.
        let written = |region: &Region| vec![region.written];
        let all = |region: &Region| region.names().collect::<Vec<_>>();
        of(&|name| fold(name) == folded, written)
            .or_else(|| of(&|name| fold(name) == folded, |region| vec![region.iso]))
            .or_else(|| of(&|name| fold(name) == folded, all))
            .or_else(|| of(&|name| !bared.is_empty() && bare(name) == bared, all))
            .or_else(|| {
                of(&|name| code.is_some_and(|code| name.eq_ignore_ascii_case(code.trim())), |region| {
                    vec![region.iso, region.written]
                })
            })
    }

    /// The region that a postal code lies in, where that is certain.
    #[must_use]
    pub fn region_of_code(&self, postal_code: &str) -> Option<&Region> {
        let mut fitting = self.regions.iter().filter(|region| region.has(postal_code));
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// The postal code as the country writes it; `None` when it does not fit. Case, blanks, dashes and the country's code
    /// before it do not matter: `ec1y8sy`, `D-10115`, `〒1540023`.
    #[must_use]
    pub fn postal_code(&self, text: &str) -> Option<String> {
        let typed = plain(text);
        if !typed.chars().any(|c| c.is_ascii_alphanumeric()) || typed.chars().count() > 20 {
            return None;
        }
        let pattern = self.postal.get_or_init(|| {
            (!self.postal_pattern.is_empty()).then(|| Regex::new(&format!("^(?:{})$", self.postal_pattern)).ok())?
        });
        let Some(pattern) = pattern else { return Some(typed) };
        let without_code = ["-", " "].iter().find_map(|mark| {
            let (before, after) = typed.split_once(mark)?;
            (before == self.code
                || matches!((before, self.code), ("D", "DE") | ("A", "AT") | ("F", "FR") | ("L", "LU")))
            .then(|| after.to_owned())
        });
        let candidates = [without_code, Some(typed)];
        for candidate in candidates.into_iter().flatten() {
            // One that was typed with its blanks and dashes stays; one without gets those of an example.
            let parted = Some(candidate.clone()).filter(|text| !text.chars().all(|c| c.is_ascii_alphanumeric()));
            let shapes = self.postal_samples.iter().filter_map(|sample| shaped(&candidate, sample));
            let mut forms = parted.into_iter().chain(shapes).chain([candidate.clone()]);
            if let Some(fit) = forms.find(|text| pattern.is_match(text)) {
                return Some(fit);
            }
        }
        None
    }
}

/// Capitals, ASCII digits and single blanks.
fn plain(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    let plain: String = text.nfkc().flat_map(char::to_uppercase).filter(|c| *c != '〒').collect();
    let dashes = ['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2212}', 'ー'];
    let plain = plain.replace(dashes, "-");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The letters and digits of a code, parted as an example is: `1540023` like `154-0023`.
fn shaped(code: &str, sample: &str) -> Option<String> {
    let mut signs = code.chars().filter(char::is_ascii_alphanumeric);
    let mut shaped = String::with_capacity(sample.len());
    for c in sample.chars() {
        if c.is_ascii_alphanumeric() {
            let sign = signs.next()?;
            if sign.is_ascii_digit() != c.is_ascii_digit() {
                return None;
            }
            shaped.push(sign);
        } else {
            shaped.push(c);
        }
    }
    signs.next().is_none().then_some(shaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_countries_of_the_world_and_kosovo() {
        assert_eq!(countries().count(), 250);
        assert_eq!(countries().filter(|country| !country.is_known).count(), 0, "without metadata");
        assert_eq!(country(" us ").map(Country::code), Some("US"));
        assert_eq!(country("xk").map(Country::name), Some("Kosovo"));
        for wrong in ["", "U", "USA", "UK", "XX", "A ", "\u{dc}S", " "] {
            assert!(country(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn every_rule_of_the_metadata_can_be_read() {
        for country in countries() {
            if !country.postal_pattern.is_empty() {
                assert!(Regex::new(country.postal_pattern).is_ok(), "{}", country.code);
                for sample in &country.postal_samples {
                    assert!(country.postal_code(sample).is_some(), "{} {sample}", country.code);
                }
            }
            // Of North Korea it is only known that there may be one.
            let is_known = country.postal_code_sample().is_some() || country.code == "KP";
            assert_eq!(country.has(Part::PostalCode), is_known, "{}", country.code);
            for region in &country.regions {
                let prefix = region.postal_prefix;
                assert!(prefix.is_empty() || Regex::new(prefix).is_ok(), "{} {prefix}", country.code);
            }
        }
    }

    #[test]
    fn every_region_is_found_by_its_own_names() {
        for country in countries() {
            for region in country.regions() {
                for text in [region.written, &region.written.to_lowercase(), region.name, &region.name.to_uppercase()] {
                    let found = country.region(text).map(Region::written);
                    assert_eq!(found, Some(region.written), "{} {text}", country.code);
                }
            }
        }
    }

    #[test]
    fn regions_have_codes_and_names() {
        let cases = [
            (
                "US",
                "CA",
                &["CA", "ca ", "US-CA", "us-ca", "California", "CALIFORNIA", "Calif.", "State of California"][..],
            ),
            ("US", "NY", &["New York", "N.Y.", "n. y.", "new york state", "US NY", "NewYork"]),
            ("US", "DC", &["Washington, D.C.", "D.C.", "district of columbia", "Washington DC"]),
            ("US", "WA", &["Washington", "Wash.", "washington state"]),
            ("US", "PR", &["Puerto Rico", "P.R."]),
            ("CA", "QC", &["Québec", "quebec", "QUEBEC", "PQ", "CA-QC", "Que."]),
            ("CA", "NL", &["Newfoundland", "Newfoundland & Labrador", "Nfld."]),
            ("CA", "PE", &["PEI", "P.E.I.", "prince edward island"]),
            ("AU", "NSW", &["N.S.W.", "New South Wales", "AU-NSW"]),
            ("IE", "Co. Cork", &["Cork", "County Cork", "co cork", "IE-CO"]),
            ("JP", "Tokyo", &["東京都", "tōkyō", "JP-13", "Tokyo"]),
            ("ES", "B", &["Barcelona", "ES-B", "b"]),
            ("IT", "RM", &["Roma", "rm"]),
            ("HK", "Kowloon", &["九龍", "KOWLOON"]),
            ("BR", "SP", &["São Paulo", "sao paulo", "BR-SP"]),
            ("AE", "Dubai", &["dubai", "Emirate of Dubai", "AE-DU"]),
        ];
        for (code, region, texts) in cases {
            for text in texts {
                assert_eq!(country(code).unwrap().region(text).map(Region::written), Some(region), "{code} {text}");
            }
        }
        for (code, text) in
            [("US", "Ontario"), ("US", ""), ("US", "CA-ON"), ("CA", "California"), ("DE", "CA"), ("US", "-")]
        {
            assert!(country(code).unwrap().region(text).is_none(), "{code} {text}");
        }
    }

    #[test]
    fn postal_codes_are_taken_as_people_type_them() {
        let cases = [
            ("US", "95014", "95014"),
            ("US", "95014-1234", "95014-1234"),
            ("US", "950141234", "95014-1234"),
            ("GB", "ec1y8sy", "EC1Y 8SY"),
            ("GB", " sw1a  1aa ", "SW1A 1AA"),
            ("CA", "k1a0b1", "K1A 0B1"),
            ("DE", "D-10115", "10115"),
            ("DE", "１０１１５", "10115"),
            ("JP", "〒1540023", "154-0023"),
            ("JP", "154−0023", "154-0023"),
            ("PL", "00950", "00-950"),
            ("NL", "1234ab", "1234 AB"),
            ("SE", "SE-223 50", "223 50"),
            ("IE", "a65f4e2", "A65 F4E2"),
            ("XK", "10000", "10000"),
        ];
        for (code, typed, written) in cases {
            assert_eq!(country(code).unwrap().postal_code(typed).as_deref(), Some(written), "{code} {typed}");
        }
        for (code, typed) in [
            ("US", "x"),
            ("US", "-"),
            ("US", "9501"),
            ("GB", "!!!"),
            ("DE", "ABC"),
            ("DE", "1011"),
            ("IE", "-"),
            ("XK", "00000"),
            ("US", ""),
        ] {
            assert_eq!(country(code).unwrap().postal_code(typed), None, "{code} {typed}");
        }
    }

    #[test]
    fn a_region_has_one_key_however_it_is_written() {
        for text in ["CA", " ca ", "US-CA", "California"] {
            assert_eq!(region_key("us", text), "CA", "{text}");
        }
        assert_eq!(region_key("US", " nowhere "), "NOWHERE");
        assert_eq!(region_key("XX", "x"), "X");
    }

    #[test]
    fn a_postal_code_tells_the_region_where_it_is_certain() {
        let region = |code: &str, postal: &str| country(code).unwrap().region_of_code(postal).map(Region::written);
        assert_eq!(region("ES", "08001"), Some("B"));
        assert_eq!(region("JP", "154-0023"), Some("Tokyo"));
        assert_eq!(region("CA", "K1A 0B1"), None, "Ontario or Quebec");
        assert_eq!(region("DE", "10115"), None);
    }
}
