//! Names in Latin letters: Cyrillic and Greek as English books print them (BGN/PCGN). What ISO 9 writes with diacritics
//! differs from that by a slip or two, which names may have anyway.

/// The text with Cyrillic and Greek letters replaced; all else stays.
pub(crate) fn latin(text: &str) -> String {
    if !text.chars().any(is_other) {
        return text.to_owned();
    }
    let mut latin = String::with_capacity(text.len());
    let mut letters = text.chars().flat_map(char::to_lowercase).peekable();
    while let Some(c) = letters.next() {
        let next = letters.peek().copied();
        match (c, next) {
            // Adjectives and names end so: Достоевский, Белый.
            ('и' | 'ы', Some('й')) => {
                letters.next();
                latin.push('y');
            }
            ('ο' | 'ό', Some('υ' | 'ύ')) => {
                letters.next();
                latin.push_str("ou");
            }
            ('μ', Some('π')) => {
                letters.next();
                latin.push('b');
            }
            _ => match LETTERS.iter().find(|(letter, _)| *letter == c) {
                Some((_, other)) => latin.push_str(other),
                None => latin.push(c),
            },
        }
    }
    latin
}

/// Whether a text has letters of another script than Latin.
pub(crate) fn is_foreign(text: &str) -> bool {
    text.chars().any(|c| c.is_alphabetic() && c > '\u{24f}' && !('\u{1e00}'..='\u{1eff}').contains(&c))
}

/// Whether it is a letter that has a Latin one.
fn is_other(c: char) -> bool {
    ('\u{370}'..='\u{52f}').contains(&c) || ('\u{1f00}'..='\u{1fff}').contains(&c)
}

const LETTERS: [(char, &str); 84] = [
    ('а', "a"),
    ('б', "b"),
    ('в', "v"),
    ('г', "g"),
    ('ґ', "g"),
    ('д', "d"),
    ('ђ', "dj"),
    ('е', "e"),
    ('ё', "e"),
    ('є', "ie"),
    ('ж', "zh"),
    ('з', "z"),
    ('и', "i"),
    ('і', "i"),
    ('ї', "i"),
    ('й', "y"),
    ('ј', "j"),
    ('к', "k"),
    ('л', "l"),
    ('љ', "lj"),
    ('м', "m"),
    ('н', "n"),
    ('њ', "nj"),
    ('о', "o"),
    ('п', "p"),
    ('р', "r"),
    ('с', "s"),
    ('т', "t"),
    ('ћ', "c"),
    ('у', "u"),
    ('ў', "u"),
    ('ф', "f"),
    ('х', "kh"),
    ('ц', "ts"),
    ('ч', "ch"),
    ('џ', "dz"),
    ('ш', "sh"),
    ('щ', "shch"),
    ('ъ', ""),
    ('ы', "y"),
    ('ь', ""),
    ('э', "e"),
    ('ю', "yu"),
    ('я', "ya"),
    ('α', "a"),
    ('ά', "a"),
    ('β', "v"),
    ('γ', "g"),
    ('δ', "d"),
    ('ε', "e"),
    ('έ', "e"),
    ('ζ', "z"),
    ('η', "i"),
    ('ή', "i"),
    ('θ', "th"),
    ('ι', "i"),
    ('ί', "i"),
    ('ϊ', "i"),
    ('ΐ', "i"),
    ('κ', "k"),
    ('λ', "l"),
    ('μ', "m"),
    ('ν', "n"),
    ('ξ', "x"),
    ('ο', "o"),
    ('ό', "o"),
    ('π', "p"),
    ('ρ', "r"),
    ('σ', "s"),
    ('ς', "s"),
    ('τ', "t"),
    ('υ', "y"),
    ('ύ', "y"),
    ('ϋ', "y"),
    ('ΰ', "y"),
    ('φ', "f"),
    ('χ', "ch"),
    ('ψ', "ps"),
    ('ω', "o"),
    ('ώ', "o"),
    ('ѓ', "g"),
    ('ќ', "k"),
    ('ѕ', "dz"),
    ('ѐ', "e"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printed_in_latin_letters() {
        for (text, expected) in [
            ("Достоевский", "dostoevsky"),
            ("Лев Толстой", "lev tolstoy"),
            ("Чехов", "chekhov"),
            ("Преступление и наказание", "prestuplenie i nakazanie"),
            ("Щедрин", "shchedrin"),
            ("Андрей Белый", "andrey bely"),
            ("Μουράκι", "mouraki"),
            ("Dune", "Dune"),
            ("三体", "三体"),
        ] {
            assert_eq!(latin(text), expected, "{text}");
        }
    }

    #[test]
    fn other_scripts_are_told() {
        for (text, foreign) in [
            ("Достоевский", true),
            ("三体", true),
            ("العربية", true),
            ("Étranger", false),
            ("Đặng", false),
            ("1984", false),
        ] {
            assert_eq!(is_foreign(text), foreign, "{text}");
        }
    }
}
