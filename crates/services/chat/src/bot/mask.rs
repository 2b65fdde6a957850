//! Masks personal data in the language model's input, and restores it in its output.

/// The masked data.
#[derive(Debug, Default)]
pub(super) struct Mask {
    /// Placeholders and what they stand for, in the order of their appearance.
    hidden: Vec<(String, String)>,
}

/// Last words of street names.
const STREETS: [&str; 16] = [
    "street",
    "st",
    "road",
    "rd",
    "avenue",
    "ave",
    "lane",
    "ln",
    "drive",
    "dr",
    "boulevard",
    "blvd",
    "square",
    "way",
    "court",
    "terrace",
];

impl Mask {
    /// A text without the data that can be recognised: e-mail addresses, long numbers (telephone, cards), keys of orders,
    /// streets with house numbers, and these names.
    pub fn hide(&mut self, text: &str, names: &[&str]) -> String {
        let mut out = String::with_capacity(text.len());
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                out.push('\n');
            }
            out.push_str(&self.line(line));
        }
        let parts = names.iter().flat_map(|name| [*name].into_iter().chain(name.split_whitespace()));
        for name in parts.filter(|name| name.chars().count() >= 2) {
            out = self.names(&out, name);
        }
        out
    }

    fn line(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let mut out: Vec<String> = Vec::with_capacity(words.len());
        let mut at = 0;
        while at < words.len() {
            let word = words[at];
            let (kind, taken) = if word.contains("key=") {
                ("key", 1)
            } else if is_email(word) {
                ("email", 1)
            } else if let Some(taken) = street(&words[at..]) {
                ("address", taken)
            } else if let Some(taken) = number(&words[at..]) {
                ("number", taken)
            } else {
                out.push(word.to_owned());
                at += 1;
                continue;
            };
            let found = words[at..at + taken].join(" ");
            let bare = found.trim_end_matches(['.', ',', '!', '?', ';', ':']);
            let rest = found[bare.len()..].to_owned();
            out.push(self.stand_in(kind, bare) + &rest);
            at += taken;
        }
        out.join(" ")
    }

    fn names(&mut self, text: &str, name: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = find_word(rest, name) {
            let found = rest[at..at + name.len()].to_owned();
            out.push_str(&rest[..at]);
            out.push_str(&self.stand_in("name", &found));
            rest = &rest[at + name.len()..];
        }
        out + rest
    }

    fn stand_in(&mut self, kind: &str, value: &str) -> String {
        if let Some((stand_in, _)) = self.hidden.iter().find(|(_, known)| known == value) {
            return stand_in.clone();
        }
        let stand_in = format!("[{kind}{}]", self.hidden.len() + 1);
        self.hidden.push((stand_in.clone(), value.to_owned()));
        stand_in
    }

    /// Replaces the placeholders by the data.
    pub fn reveal(&self, text: &str) -> String {
        // What is put back may look like a stand-in itself; going back through them in reverse undoes names last first.
        self.hidden.iter().rev().fold(text.to_owned(), |text, (stand_in, value)| text.replace(stand_in, value))
    }
}

/// The position of a whole word, in any case. Only for names whose letters have the same length in lower case.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let (lower, word) = (text.to_lowercase(), word.to_lowercase());
    if lower.len() != text.len() || word.is_empty() {
        return text.find(&word);
    }
    let mut from = 0;
    while let Some(at) = lower[from..].find(&word).map(|at| at + from) {
        let edge = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric() && letter != '[');
        let end = at + word.len();
        if edge(lower[..at].chars().next_back()) && edge(lower[end..].chars().next()) && text.is_char_boundary(end) {
            return Some(at);
        }
        from = end;
    }
    None
}

fn is_email(word: &str) -> bool {
    word.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'))
}

/// A house number and a street, or the other way round.
fn street(words: &[&str]) -> Option<usize> {
    let is_number = |word: &str| {
        let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        (1..=5).contains(&word.len()) && word.starts_with(|first: char| first.is_ascii_digit())
    };
    let is_street = |word: &str| {
        let word = word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
        STREETS.contains(&word.as_str()) || word.len() > 6 && (word.ends_with("straße") || word.ends_with("strasse"))
    };
    if is_number(words[0]) {
        let end = (2..=words.len().min(5)).find(|end| is_street(words[end - 1]));
        return end;
    }
    (words.len() >= 2 && is_street(words[0]) && is_number(words[1])).then_some(2)
}

/// Digits that are a telephone or card number: at least 9, or at least 7 after a `+`, also in groups. Dates are none.
fn number(words: &[&str]) -> Option<usize> {
    let is_group = |word: &str| {
        word.chars().any(|letter| letter.is_ascii_digit())
            && word
                .chars()
                .all(|letter| letter.is_ascii_digit() || "+-()./".contains(letter) || ",!?;:".contains(letter))
    };
    let whole = words.iter().take_while(|word| is_group(word)).count();
    // A comma ends a number: what follows is another one.
    let ends = words[..whole].iter().position(|word| word.ends_with([',', ';', ':', '!', '?', '.']));
    let groups = ends.map_or(whole, |at| at + 1);
    (1..=groups).rev().find(|taken| {
        let digits: usize = words[..*taken].iter().flat_map(|word| word.chars()).filter(char::is_ascii_digit).count();
        digits >= 9 || digits >= 7 && words[0].starts_with(['+', '('])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRETS: [&str; 8] = [
        "ada.lovelace@example.org",
        "+44 20 7946 0958",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "221b Baker Street",
        "12 Old Mill Lane",
        "https://shop.example/orders/0198f0c2?key=s3cr3tKEY",
        "030 1234567",
    ];

    #[test]
    fn personal_data_is_hidden_and_put_back() {
        for secret in SECRETS {
            let text = format!("Hello, it is {secret}, thanks. My name is ada Lovelace.");
            let mut mask = Mask::default();
            let hidden = mask.hide(&text, &["Ada Lovelace"]);
            assert!(!hidden.contains(secret) && !hidden.to_lowercase().contains("lovelace"), "{hidden}");
            assert_eq!(mask.reveal(&hidden), text);
        }
    }

    #[test]
    fn secrets_side_by_side_are_told_apart() {
        let mut mask = Mask::default();
        let hidden = mask.hide("+44 20 7946 0958, 12 Old Mill Lane, ada@example.org", &[]);
        assert_eq!(hidden, "[number1], [address2], [email3]");
    }

    #[test]
    fn what_the_answer_needs_stays() {
        let text = "Order BW-7K3M-92QV of 2026-11-28 costs $12.99; 3 to 5 working days";
        assert_eq!(Mask::default().hide(text, &["Mia"]), text);
    }

    #[test]
    fn the_same_secret_has_the_same_stand_in() {
        let mut mask = Mask::default();
        assert_eq!(mask.hide("a@b.de and a@b.de", &[]), "[email1] and [email1]");
    }

    proptest! {
        #[test]
        fn whatever_is_around_it_it_is_hidden(
            before in "[a-z ,]{0,30}",
            secret in proptest::sample::select(&SECRETS[..]),
            after in "[a-z ,]{0,30}",
        ) {
            let text = format!("{before} {secret} {after}");
            let mut mask = Mask::default();
            let hidden = mask.hide(&text, &[]);
            prop_assert!(!hidden.contains(secret), "{}", hidden);
            prop_assert_eq!(mask.reveal(&hidden), text);
        }

        #[test]
        fn any_text_comes_back(text in "[^\\[\\]]*", name in "[A-Za-z]{2,8}") {
            let mut mask = Mask::default();
            let hidden = mask.hide(&text, &[&name]);
            prop_assert_eq!(mask.reveal(&hidden), text);
        }
    }
}
