use rand::seq::IndexedRandom;

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

/// Checks how long a password is. Characters are counted, never trimmed: what was typed is the password.
pub(crate) fn check_length(password: &str) -> Result<(), PasswordRule> {
    match password.chars().count() {
        MIN..=MAX => Ok(()),
        length => Err(PasswordRule::Length(length)),
    }
}

/// Checks a password that somebody chose for the account with this address. What it is made of is left to them
/// (NIST SP 800-63B, 3.1.1.2): long and not known is what counts.
pub(crate) fn check_password(password: &str, email: &str) -> Result<(), PasswordRule> {
    check_length(password)?;
    let lower = password.trim().to_lowercase();
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
        assert_eq!(check("Password1"), Err(PasswordRule::Common));
        assert_eq!(check("12345678"), Err(PasswordRule::Common));
        assert_eq!(check("annabella@example.org"), Err(PasswordRule::Email));
        assert_eq!(check("AnnaBella"), Err(PasswordRule::Email));
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
