//! What the API says of a field, as a shop says it. The API names rules ("must be 1 to 100 characters, not 0"); beside a
//! field people read what to do.

use bookworm_kernel::FieldError;

use crate::view::capitalised;

/// How fields are called, by the last part of their JSON Pointer.
const LABELS: &[(&str, &str)] = &[
    ("email", "email"),
    ("name", "name"),
    ("line1", "street address"),
    ("line2", "apartment or suite"),
    ("city", "town or city"),
    ("region", "state or province"),
    ("postal_code", "postal code"),
    ("country", "country"),
    ("shipping_method", "shipping method"),
    ("password", "password"),
    ("new_password", "password"),
    ("current_password", "current password"),
];

/// Messages that mean one thing, wherever they stand.
const SENTENCES: &[(&str, &str)] = &[
    ("must be an e-mail address", "Enter an email address like name@example.com."),
    ("is one of the passwords that are tried first", "That password is too easy to guess. Choose another one."),
    ("must not be your e-mail address", "Your password can’t be your email."),
    ("is not your password", "That isn’t your current password."),
];

/// The last part of a JSON Pointer that is a name.
pub(crate) fn name_of(pointer: &str) -> &str {
    let pointer = pointer.trim_start_matches('/');
    pointer.split('/').rfind(|part| part.parse::<u32>().is_err()).unwrap_or(pointer)
}

/// A sentence to show beside the field.
pub(crate) fn of_field(error: &FieldError) -> String {
    let message = error.message.trim();
    if is_sentence(message) {
        return message.to_owned();
    }
    if let Some((_, sentence)) = SENTENCES.iter().find(|(start, _)| message.starts_with(start)) {
        return (*sentence).to_owned();
    }
    let name = name_of(&error.field);
    let label = LABELS.iter().find(|(known, _)| *known == name).map(|(_, label)| (*label).to_owned());
    let label = label.unwrap_or_else(|| name.replace('_', " "));
    let start = capitalised(&label);
    if message == "must not be empty" || message.starts_with("is required") {
        return format!("Enter {} {label}.", article(&label));
    }
    if message == "must not contain control characters" {
        return format!("{start} contains characters we can’t use.");
    }
    if message == "must not be only spaces" {
        return format!("{start} can’t be only spaces.");
    }
    match length(message) {
        Some((_, _, 0)) => format!("Enter {} {label}.", article(&label)),
        Some((least, _, typed)) if typed < least => format!("{start} needs at least {least} characters."),
        Some((_, most, _)) => format!("{start} can have up to {most} characters."),
        None => format!("{start} {}.", message.replace("e-mail", "email").trim_end_matches('.')),
    }
}

fn is_sentence(message: &str) -> bool {
    message.ends_with(['.', '!', '?']) && message.chars().next().is_some_and(char::is_uppercase)
}

fn article(label: &str) -> &'static str {
    if label.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

/// `must be 3 to 5 characters, not 2` or `must be at most 5 characters, not 9`: the least, the most and what was typed.
fn length(message: &str) -> Option<(u64, u64, u64)> {
    let (rule, typed) = message.strip_prefix("must be ")?.split_once(" characters, not ")?;
    let (least, most) = match rule.strip_prefix("at most ") {
        Some(most) => (0, most),
        None => rule.split_once(" to ").and_then(|(least, most)| Some((least.parse().ok()?, most)))?,
    };
    Some((least, most.replace(',', "").parse().ok()?, typed.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_sentences() {
        for (field, message, sentence) in [
            ("/shipping_address/city", "must be 1 to 100 characters, not 0", "Enter a town or city."),
            ("/name", "must not be empty", "Enter a name."),
            ("/name", "must be 1 to 100 characters, not 120", "Name can have up to 100 characters."),
            ("/line2", "must be at most 200 characters, not 201", "Apartment or suite can have up to 200 characters."),
            ("/new_password", "must be 8 to 128 characters, not 5", "Password needs at least 8 characters."),
            (
                "/password",
                "is one of the passwords that are tried first; choose another",
                "That password is too easy to guess. Choose another one.",
            ),
            (
                "/email",
                "must be an e-mail address such as name@example.org, at most 254 characters",
                "Enter an email address like name@example.com.",
            ),
            ("/email", "is required, so that we can send you the confirmation", "Enter an email."),
            ("/authors/2", "must not contain control characters", "Authors contains characters we can’t use."),
            ("/price/amount", "must be above 0", "Amount must be above 0."),
            ("/postal_code", "Enter a ZIP code like 97201.", "Enter a ZIP code like 97201."),
        ] {
            assert_eq!(of_field(&FieldError::new(field, message)), sentence, "{field} {message}");
        }
    }
}
