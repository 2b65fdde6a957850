use rand::seq::IndexedRandom;
use unicode_normalization::UnicodeNormalization;

/// The fewest and the most characters of a password.
pub(crate) const MIN: usize = 8;
pub(crate) const MAX: usize = 128;

/// The passwords of 8 characters and more that are tried first, from published lists of leaked ones; lower case.
const COMMON: &str = include_str!("common_passwords.txt");

/// Why a password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordRule {
    /// Too short or too long.
    #[error("must be {MIN} to {MAX} characters, not {0}")]
    Length(usize),
    /// A bell, a line break and the like: nobody can type them again.
    #[error("must not contain control characters")]
    Control,
    /// Nothing but spaces.
    #[error("must not be only spaces")]
    Blank,
    /// Among the first that anybody tries.
    #[error("is one of the passwords that are tried first; choose another")]
    Common,
    /// The address, or the part before the @.
    #[error("must not be your e-mail address")]
    Email,
}

/// A password as it is hashed: the profile `OpaqueString` of RFC 8265, 4.2. Every space becomes U+0020 and the rest NFC,
/// so that it does not matter whose keyboard composes letters; case, width and spaces at the ends stay as they are.
pub(crate) fn prepare(password: &str) -> String {
    let space = |c| match c {
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => ' ',
        other => other,
    };
    password.chars().map(space).nfc().collect()
}

/// What a typed password may have been hashed as: as it is now, and in the forms in which keyboards typed it when it
/// was hashed as it came. Always at least one, without repeats; for ASCII exactly one.
pub(crate) fn forms(password: &str) -> Vec<String> {
    let mut forms = vec![prepare(password)];
    if !password.is_ascii() {
        for form in [password.to_owned(), password.nfc().collect(), password.nfd().collect()] {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

/// Checks how long a password is, and that it can be typed. Characters are counted as they are hashed, never trimmed.
pub(crate) fn check_length(password: &str) -> Result<(), PasswordRule> {
    // At most three characters become one in NFC, and none becomes nothing.
    if password.len() > 16 * MAX {
        return Err(PasswordRule::Length(password.chars().count()));
    }
    let password = prepare(password);
    match password.chars().count() {
        MIN..=MAX if password.chars().any(char::is_control) => Err(PasswordRule::Control),
        MIN..=MAX => Ok(()),
        length => Err(PasswordRule::Length(length)),
    }
}

/// Checks a password that somebody chose for the account with this address. What it is made of is left to them
/// (NIST SP 800-63B, 3.1.1.2): long and not known is what counts.
pub(crate) fn check_password(password: &str, email: &str) -> Result<(), PasswordRule> {
    check_length(password)?;
    let lower = prepare(password).trim().to_lowercase();
    let email = email.trim().to_lowercase();
    if lower.is_empty() {
        return Err(PasswordRule::Blank);
    }
    if COMMON.lines().any(|common| common == lower) {
        return Err(PasswordRule::Common);
    }
    if lower == email || email.split('@').next() == Some(lower.as_str()) {
        return Err(PasswordRule::Email);
    }
    Ok(())
}

/// A random password of 99 bits that people can read out and type: four groups of five, without characters that look
/// alike.
pub(crate) fn readable_password() -> String {
    const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    let mut group =
        || -> String { (0..5).filter_map(|_| ALPHABET.choose(&mut rng).map(|byte| char::from(*byte))).collect() };
    [group(), group(), group(), group()].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_not_known_is_what_counts() {
        let check = |password: &str| check_password(password, "annabella@example.org");
        assert_eq!(check("correct horse battery staple"), Ok(()));
        assert_eq!(check("pässwörd!"), Ok(()));
        assert_eq!(check(&"x".repeat(128)), Ok(()));
        assert_eq!(check("1234567"), Err(PasswordRule::Length(7)));
        assert_eq!(check("\u{1F4DA}\u{1F4DA}\u{1F4DA}"), Err(PasswordRule::Length(3)));
        assert_eq!(check(&"x".repeat(129)), Err(PasswordRule::Length(129)));
        assert_eq!(check("         "), Err(PasswordRule::Blank));
        assert_eq!(check("\u{3000}\u{A0}\u{2003}     "), Err(PasswordRule::Blank));
        assert_eq!(check("e\u{301}e\u{301}e\u{301}e\u{301}"), Err(PasswordRule::Length(4)), "counted as it is hashed");
        assert_eq!(check("a bell \u{7} rings"), Err(PasswordRule::Control));
        assert_eq!(check("Password1"), Err(PasswordRule::Common));
        assert_eq!(check("12345678"), Err(PasswordRule::Common));
        assert_eq!(check("annabella@example.org"), Err(PasswordRule::Email));
        assert_eq!(check("AnnaBella"), Err(PasswordRule::Email));
    }

    #[test]
    fn one_password_is_one_however_it_is_typed() {
        for (typed, again) in [
            ("ma\u{f1}ana \u{fc}ber \u{e9} 1!", "man\u{303}ana u\u{308}ber e\u{301} 1!"),
            ("\u{c5}ngstr\u{f6}m 12", "\u{212b}ngstro\u{308}m 12"),
            ("zwei\u{a0}worte hier", "zwei worte hier"),
            (
                "\u{d55c}\u{ae00} \u{c554}\u{d638} 1",
                "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af} \u{110b}\u{1161}\u{11b7}\u{1112}\u{1169} 1",
            ),
            ("q\u{307}\u{323} dots", "q\u{323}\u{307} dots"),
        ] {
            assert_eq!(prepare(typed), prepare(again), "{typed:?}");
            assert!(forms(again).contains(&again.to_owned()) && forms(typed).contains(&typed.to_owned()), "{typed:?}");
        }
        for (one, other) in [
            ("Stra\u{df}e 12", "Strasse 12"),
            ("\u{ff21}bcdefgh", "Abcdefgh"),
            ("Abcdefgh", "abcdefgh"),
            (" word", "word"),
        ] {
            assert_ne!(prepare(one), prepare(other), "no other folding");
        }
        assert_eq!(forms("plain ascii").len(), 1);
    }

    #[test]
    fn the_list_is_clean() {
        let list: Vec<_> = COMMON.lines().collect();
        assert_eq!(list.len(), 100);
        assert!(list.iter().all(|common| common.chars().count() >= MIN && *common == common.to_lowercase()));
        assert_eq!(list.iter().collect::<std::collections::HashSet<_>>().len(), list.len());
    }

    #[test]
    fn a_readable_password_is_new_each_time_and_good_enough() {
        let password = readable_password();
        assert_eq!(password.len(), 23);
        assert_eq!(check_password(&password, "a@b.c"), Ok(()));
        assert_ne!(readable_password(), password);
    }
}
