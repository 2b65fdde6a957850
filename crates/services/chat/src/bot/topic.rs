//! The topic of a question about books: its words without the polite ones.

/// Words of a question that are not about the book.
const ASKING: &str = " a about an and any anything are available availability be book books bookshop buy by call called \
    can carry check copies copy could currently customers did do does edition else enjoy ever find for from get getting \
    gift give good got great hardcover has have hello help hey hi how i i'd i'm i've if in interesting is isbn it items know \
    left let like liked list looking look lookup loved love many may me might more my named need new next not novel novels now of \
    on one or other out paperback please pick pls print read reading recommend recommendation recommendations recommended restock search searching see \
    sell should show similar so sold some something still stock store suggest suggestion suggestions tell thanks that the \
    there these this title titled titles to today want wanna was what what's when where whether which who will with would \
    yet you your available? back soon ";

/// The query for a search; `None` when the text names no book and no subject.
#[must_use]
pub fn topic(text: &str) -> Option<String> {
    if let Some(quoted) = quoted(text) {
        return Some(quoted);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let asks = |word: &&str| {
        let word = word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase().replace('’', "'");
        word.is_empty() || ASKING.split_whitespace().any(|asking| asking == word)
    };
    let start = words.iter().position(|word| !asks(word))?;
    let end = words.iter().rposition(|word| !asks(word))?;
    let topic = words[start..=end].join(" ");
    let topic = topic.trim_matches(|letter: char| !letter.is_alphanumeric());
    Some(topic.chars().take(200).collect()).filter(|topic: &String| !topic.is_empty())
}

/// The book to which similar ones are wanted: `books like Gone Girl`, `similar to The Hobbit`, `I loved Dune, what else`.
#[must_use]
pub fn model_book(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    // Lower-casing may move bytes; then the marker's place is not that of the original.
    let text = if lower.len() == text.len() { text } else { lower.as_str() };
    for marker in [
        "similar to ",
        "books like ",
        "book like ",
        "something like ",
        "novels like ",
        "i loved ",
        "i enjoyed ",
        "i liked ",
    ] {
        if let Some(at) = lower.find(marker)
            && let Some(rest) = text.get(at + marker.len()..)
        {
            return topic(rest.split([',', ';', '?', '!']).next().unwrap_or_default());
        }
    }
    None
}

fn quoted(text: &str) -> Option<String> {
    for (open, close) in [('“', '”'), ('"', '"'), ('«', '»'), ('‘', '’')] {
        if let Some((_, rest)) = text.split_once(open)
            && let Some((inside, _)) = rest.split_once(close)
            && (2..=200).contains(&inside.trim().chars().count())
        {
            return Some(inside.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polite_words_are_left_out() {
        for (text, expected) in [
            ("is Dune in stock?", "Dune"),
            ("do you have The Hobbit", "Hobbit"),
            ("I'm looking for a book about sailing, please", "sailing"),
            ("what books do you have on the history of Japan", "history of Japan"),
            ("Do you sell “The Secret History”?", "The Secret History"),
            ("which books by Agatha Christie do you sell", "Agatha Christie"),
            ("is ISBN 9780261103573 in stock", "9780261103573"),
            ("how many copies of Beloved do you have", "Beloved"),
        ] {
            assert_eq!(topic(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["is it in stock?", "recommend me a book", "", "?!"] {
            assert_eq!(topic(text), None, "{text}");
        }
    }

    #[test]
    fn a_book_to_compare_with_is_found() {
        for (text, expected) in [
            ("books like Gone Girl", Some("Gone Girl")),
            ("what is similar to The Hobbit?", Some("Hobbit")),
            ("I loved Dune, what else would I like", Some("Dune")),
            ("what should I read next", None),
        ] {
            assert_eq!(model_book(text).as_deref(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(text: String) {
            let _ = topic(&text);
            let _ = model_book(&text);
            let _ = model_book(&format!("İ{text}books like {text}"));
        }
    }
}
