//! References to orders in a message: an order's number, or its link.

use bookworm_kernel::OrderId;

/// The number of symbols after `BW`.
const SYMBOLS: usize = 8;
/// The longest key that is passed on.
const LONGEST_KEY: usize = 200;

/// An order that a text names.
#[derive(Clone, PartialEq, Eq)]
pub enum Reference {
    /// By its number for people, as the shop writes it: `BW-7K3M-92QV`.
    Number(String),
    /// By its link, with the key that opens it to guests.
    Link {
        /// The order.
        id: OrderId,
        /// From the mail.
        key: Option<String>,
    },
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => f.debug_tuple("Number").field(number).finish(),
            Self::Link { id, key } => f.debug_struct("Link").field("id", id).field("has_key", &key.is_some()).finish(),
        }
    }
}

/// The first order that a text names; a link before a number.
#[must_use]
pub fn find(text: &str) -> Option<Reference> {
    link(text).or_else(|| number(text).map(Reference::Number))
}

fn link(text: &str) -> Option<Reference> {
    const PATH: &str = "/orders/";
    let mut rest = text;
    while let Some(at) = rest.find(PATH) {
        rest = &rest[at + PATH.len()..];
        let end = rest.find(|letter: char| !letter.is_ascii_hexdigit() && letter != '-').unwrap_or(rest.len());
        let Ok(id) = rest[..end].parse::<OrderId>() else { continue };
        let query = rest[end..].strip_prefix('?').unwrap_or_default();
        let query = query.split(|letter: char| letter.is_whitespace() || letter == '#').next().unwrap_or_default();
        let key = query.split('&').find_map(|pair| pair.strip_prefix("key="));
        let sound = |key: &&str| {
            (1..=LONGEST_KEY).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
        };
        // A full stop after a link ends the sentence.
        let key = key.map(|key| key.trim_end_matches('.')).filter(sound).map(str::to_owned);
        return Some(Reference::Link { id, key });
    }
    None
}

/// Numbers as people write them: any case, with or without hyphens, `O` for `0`, `I` or `L` for `1`.
fn number(text: &str) -> Option<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '–'));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    // Also `BW 7K3M 92QV`.
    let joined = (1..=3).flat_map(|length| words.windows(length).map(<[_]>::concat));
    joined.filter_map(|word| normalised(&word)).next()
}

fn normalised(word: &str) -> Option<String> {
    let word = word.to_ascii_uppercase().replace(['-', '–'], "");
    let body = word.strip_prefix("BW")?;
    let symbols: String = body
        .chars()
        .map(|symbol| match symbol {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    let known = symbols.len() == SYMBOLS && symbols.bytes().all(|byte| byte.is_ascii_alphanumeric() && byte != b'U');
    known.then(|| format!("BW-{}-{}", &symbols[..4], &symbols[4..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_found_as_people_write_them() {
        for text in [
            "where is BW-7K3M-92QV?",
            "order bw7k3m92qv please",
            "my number: BW 7K3M 92QV",
            "It's bw-7k3m92qv.",
            "(BW-7K3M-92QV)",
        ] {
            assert_eq!(find(text), Some(Reference::Number("BW-7K3M-92QV".to_owned())), "{text}");
        }
        assert_eq!(find("BW-OOOO-ILIL"), Some(Reference::Number("BW-0000-1111".to_owned())));
        for text in ["", "BW", "BW-7K3M-92Q", "7K3M92QV", "BW-7K3M-92QVX", "BWuuuuuuuu", "order 12345"] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn links_are_found_with_their_keys() {
        let id = OrderId::new();
        let link = |key: Option<&str>| Some(Reference::Link { id, key: key.map(str::to_owned) });
        assert_eq!(find(&format!("https://shop.example/orders/{id}?key=abc-DEF_1 is mine")), link(Some("abc-DEF_1")));
        assert_eq!(find(&format!("see /orders/{id}?a=1&key=k.#x")), link(Some("k")));
        assert_eq!(find(&format!("/orders/{id}")), link(None));
        assert_eq!(find(&format!("/orders/{id}?key=a%0d%0ab")), link(None), "no key that could break a header or path");
        assert_eq!(find("/orders/not-an-id?key=abc"), None);
        assert!(!format!("{:?}", find(&format!("/orders/{id}?key=secret"))).contains("secret"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text: String) {
            let _ = find(&text);
            let _ = find(&format!("/orders/{text}?key={text}"));
        }

        #[test]
        fn every_number_is_found_in_a_sentence(symbols in "[0-9A-HJKMNP-TV-Z]{8}", before in "[a-z ]{0,20}") {
            let number = format!("BW-{}-{}", &symbols[..4], &symbols[4..]);
            let expected = Some(Reference::Number(number.clone()));
            prop_assert_eq!(find(&format!("{before} {number}, thanks")), expected);
        }
    }
}
