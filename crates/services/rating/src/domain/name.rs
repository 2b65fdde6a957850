/// A person's name as strangers see it beside a review: the first name and the first letter of the last.
pub(crate) fn public_name(name: &str) -> String {
    let mut words = name.split_whitespace();
    let first = words.next().unwrap_or_default();
    match words.last().and_then(|last| last.chars().find(|c| c.is_alphanumeric())) {
        Some(initial) => format!("{first} {}.", initial.to_uppercase()),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_name_is_shortened() {
        let names = ["Ann Reader", "Ann Maria van der Berg", "Ann", "村上春樹", "  Zoë   öst ", ""];
        let shown = names.map(public_name);
        assert_eq!(shown, ["Ann R.", "Ann B.", "Ann", "村上春樹", "Zoë Ö.", ""]);
    }
}
