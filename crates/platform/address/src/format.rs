use crate::{Address, country, fold::fold};

/// The lines of an address as they stand on a parcel, in the country's own order; the country comes last.
///
/// What was given is never left out: a city stands on the street's last line where the country's format has none.
#[must_use]
pub fn lines(address: &Address<'_>) -> Vec<String> {
    let Some(country) = country(address.country) else {
        let parts = [address.name, address.line1, address.line2, address.city, address.region, address.postal_code];
        return parts.into_iter().chain([address.country]).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    };
    let format = country.format();
    let same = |a: &str, b: &str| fold(a) == fold(b);
    // Where the region is the city (Dubai, Kowloon), it is written once.
    let city = if same(address.city, address.region) && format.contains("%S") { "" } else { address.city };
    let mut street: Vec<&str> = [address.line1, address.line2].into_iter().filter(|line| !line.is_empty()).collect();
    // Singapore and Gibraltar are in the format itself.
    let is_literal = |line: &str| fold(&line.replace("%A", "").replace("%Z", "")) == fold(city);
    if !format.contains("%C") && !city.is_empty() && !format.split("%n").any(is_literal) {
        street.push(city);
    }
    let (last, before) = street.split_last().map_or(("", &[][..]), |(last, before)| (*last, before));
    let mut lines = Vec::new();
    for line in format.split("%n") {
        if line.contains("%A") {
            lines.extend(before.iter().map(|line| (*line).to_owned()));
        }
        lines.extend(written(line, |part| match part {
            'N' => address.name,
            'A' => last,
            'C' => city,
            'S' => address.region,
            'Z' => address.postal_code,
            _ => "",
        }));
    }
    if country.is_known() && !format.contains("%Z") && !address.postal_code.is_empty() {
        lines.push(address.postal_code.to_owned());
    }
    lines.push(country.name().to_owned());
    lines
}

/// One line of a format, such as `%C, %S %Z`; nothing when none of its parts is there. What parts two parts is written
/// only between two that are there.
fn written<'a>(line: &str, value: impl Fn(char) -> &'a str) -> Option<String> {
    if !line.contains('%') {
        return (!line.is_empty()).then(|| line.to_owned());
    }
    let (mut text, mut literal, mut is_first) = (String::new(), String::new(), true);
    let mut rest = line.chars();
    let mut follows_part = false;
    while let Some(c) = rest.next() {
        if c != '%' {
            if follows_part {
                literal.clear();
            }
            follows_part = false;
            literal.push(c);
            continue;
        }
        let part = value(rest.next().unwrap_or_default());
        if !part.is_empty() {
            if !text.is_empty() || is_first {
                text.push_str(&literal);
            }
            text.push_str(part);
        }
        if !part.is_empty() || is_first {
            literal.clear();
        }
        (is_first, follows_part) = (false, true);
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_in(country: &str, city: &str, region: &str, postal_code: &str) -> String {
        let address =
            Address { name: "Ann Reader", line1: "1 High Street", line2: "Flat 2", city, region, postal_code, country };
        lines(&address)[1..].join(" | ")
    }

    #[test]
    fn each_country_writes_addresses_in_its_own_way() {
        let cases = [
            (("US", "Portland", "OR", "97201"), "1 High Street | Flat 2 | Portland, OR 97201 | United States"),
            (("US", "Portland", "", "97201"), "1 High Street | Flat 2 | Portland 97201 | United States"),
            (("DE", "Berlin", "", "10115"), "1 High Street | Flat 2 | 10115 Berlin | Germany"),
            (("GB", "London", "", "EC1Y 8SY"), "1 High Street | Flat 2 | London | EC1Y 8SY | United Kingdom"),
            (("CA", "Ottawa", "ON", "K1A 0B1"), "1 High Street | Flat 2 | Ottawa ON K1A 0B1 | Canada"),
            (("IE", "Bray", "Co. Wicklow", ""), "1 High Street | Flat 2 | Bray | Co. Wicklow | Ireland"),
            (("HK", "Mong Kok", "Kowloon", ""), "1 High Street | Flat 2 | Mong Kok | Kowloon | Hong Kong SAR China"),
            (("HK", "Kowloon", "Kowloon", ""), "1 High Street | Flat 2 | Kowloon | Hong Kong SAR China"),
            (("JP", "", "Tokyo", "154-0023"), "1 High Street | Flat 2, Tokyo | 154-0023 | Japan"),
            (("JP", "Chiyoda", "Tokyo", "154-0023"), "1 High Street | Flat 2 | Chiyoda, Tokyo | 154-0023 | Japan"),
            (("SG", "Singapore", "", "546080"), "1 High Street | Flat 2 | SINGAPORE 546080 | Singapore"),
            (("AE", "Dubai", "Dubai", ""), "1 High Street | Flat 2 | Dubai | United Arab Emirates"),
            (("SE", "Lund", "", "223 50"), "1 High Street | Flat 2 | SE-223 50 Lund | Sweden"),
            (("IT", "Roma", "RM", "00184"), "1 High Street | Flat 2 | 00184 Roma RM | Italy"),
            (("BR", "Santos", "SP", "11010-000"), "1 High Street | Flat 2 | Santos-SP | 11010-000 | Brazil"),
            (("XK", "Prishtina", "", ""), "1 High Street | Flat 2 | Prishtina | Kosovo"),
        ];
        for ((country, city, region, code), expected) in cases {
            assert_eq!(written_in(country, city, region, code), expected);
        }
    }

    #[test]
    fn an_order_of_long_ago_shows_all_it_has() {
        assert_eq!(written_in("HK", "Kowloon", "", "-"), "1 High Street | Flat 2 | Kowloon | - | Hong Kong SAR China");
        assert_eq!(written_in("QQ", "Nowhere", "N", "1"), "1 High Street | Flat 2 | Nowhere | N | 1 | QQ");
    }
}
