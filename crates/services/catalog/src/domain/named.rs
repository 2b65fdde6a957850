//! Whether a query names a title or an author.

use bookworm_search::{is_english, is_hardly_another, is_like, is_nearly};

use super::{text::query_words, understand::STOP_WORDS};

/// Whether a query says all of a title, each word as it is or spelt alike, and beside it an author's name; or of a title
/// of two words or more at most one word beside it. A title of one word may be meant by chance.
pub(crate) fn is_named(words: &[String], title: &str, authors: &[String]) -> bool {
    // What comes behind a colon is left out by most.
    let name = title.split([':', ';']).next().unwrap_or(title);
    let distinctive = |text: &str| -> Vec<String> {
        query_words(text).into_iter().filter(|word| !STOP_WORDS.iter().any(|list| list.contains(word))).collect()
    };
    let is_same = |word: &str, other: &str| word == other || is_like(word, other) || is_nearly(word, other);
    let name = distinctive(name);
    let words: Vec<&String> = words.iter().filter(|word| !STOP_WORDS[0].contains(*word)).collect();
    let beside: Vec<&&String> = words.iter().filter(|word| !name.iter().any(|other| is_same(word, other))).collect();
    let is_author = |author: &String| {
        let author = query_words(author);
        let says = |words: &[String], word: &str| words.iter().any(|other| is_same(word, other));
        let surname = author.last().cloned().unwrap_or_default();
        beside.iter().all(|word| says(&author, word)) && beside.iter().any(|word| is_same(word, &surname))
    };
    let is_whole = !name.is_empty() && name.iter().all(|word| words.iter().any(|other| is_same(other, word)));
    is_whole && ((name.len() > 1 && beside.len() <= 1) || authors.iter().any(is_author))
}

/// The author's name that a query of two words or more nearly says: its last word is the last of the name, the others
/// stand before it in the same order, and each is as it is or sounds alike. Returns the word meant by each. Initials may be
/// typed together: `jk` are J. K.
pub(crate) fn misspelt_author(words: &[String], author: &str) -> Option<Vec<String>> {
    let name = query_words(author);
    let (last, before) = words.split_last().filter(|(_, before)| !before.is_empty())?;
    let (surname, others) = name.split_last()?;
    if !is_same(last, surname) {
        return None;
    }
    let mut meant = Vec::with_capacity(words.len());
    let mut at = 0;
    for word in before {
        let found = (at..others.len()).find_map(|from| {
            let initials = others[from..].iter().take_while(|other| other.chars().count() == 1).count();
            let joined = (2..=initials).find(|count| others[from..from + count].concat() == **word);
            match joined {
                Some(count) => Some((from + count, word.clone())),
                None => is_same(word, &others[from]).then(|| (from + 1, others[from].clone())),
            }
        });
        let (next, matched) = found?;
        at = next;
        meant.push(matched);
    }
    meant.push(surname.clone());
    Some(meant)
}

/// The words of a title that a query of two words or more misspells: neighbours, stop words aside, each equal or alike in
/// sound.
pub(crate) fn misspelt_title_words(words: &[String], title: &str) -> Option<Vec<String>> {
    let distinctive = distinctive(title);
    let mut windows = distinctive.windows(words.len().max(2));
    let matched =
        windows.find(|window| window.len() == words.len() && words.iter().zip(*window).all(|(a, b)| is_same(a, b)))?;
    Some(matched.to_vec())
}

/// The one word of a title of one word, stop words aside, when the query is one word that hardly differs.
pub(crate) fn misspelt_title(words: &[String], title: &str) -> Option<Vec<String>> {
    match (words, distinctive(title).as_slice()) {
        ([word], [matched]) => (is_hardly_another(word, matched)).then(|| vec![matched.clone()]),
        _ => None,
    }
}

/// A title's words without stop words.
fn distinctive(title: &str) -> Vec<String> {
    query_words(title).into_iter().filter(|word| !STOP_WORDS[0].contains(word)).collect()
}

/// Whether a word is another one, or sounds like it.
fn is_same(word: &str, other: &str) -> bool {
    word == other || is_nearly(word, other)
}

/// Whether a text has one of these words.
pub(crate) fn shares_a_word(words: &[String], text: &str) -> bool {
    query_words(text).iter().any(|word| words.contains(word))
}

/// Whether a book shares no more with a name that the shop lacks than one of two words, or an author's first name: the
/// same family name may be the same author. `text` is the part of its description that fits best.
pub(crate) fn shares_a_word_only(words: &[String], title: &str, authors: &[String], text: &str) -> bool {
    let has = |text: &str, word: &String| query_words(text).contains(word);
    let names = || authors.iter().map(String::as_str);
    let all = || names().chain([title, text]);
    let shared: Vec<&String> = words.iter().filter(|word| all().any(|text| has(text, word))).collect();
    let [shared] = shared.as_slice() else { return false };
    // Who is mentioned in the description may be a character of that name.
    if !names().chain([title]).any(|name| has(name, shared)) {
        return false;
    }
    let surnames: Vec<String> = names().filter_map(|name| query_words(name).pop()).collect();
    if words.len() == 2 {
        // The last word is a family name, unless it is a word of the language that may be anything ("king").
        let is_family = words.last() == Some(*shared) || surnames.contains(*shared);
        return !is_family || is_english(shared);
    }
    names().any(|name| has(name, shared)) && !surnames.contains(*shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_whole_title() {
        for (query, title, named) in [
            ("grate gatsby", "The Great Gatsby", true),
            ("great gatsby fitzgerald", "The Great Gatsby", true),
            ("vanity fare", "Vanity Fair", true),
            ("moby dick", "Moby-Dick; or, The Whale", true),
            ("animal farm", "Cold Comfort Farm", false),
            ("animal farm", "My Family and Other Animals", false),
            ("harry potter", "Harrius Potter et Philosophi Lapis", false),
            ("emma watson", "Emma", false),
            ("gone girl", "Girl, Interrupted", false),
        ] {
            assert_eq!(is_named(&query_words(query), title, &[]), named, "{query} / {title}");
        }
        for (query, title, author, named) in [
            ("pet sematery stephan king", "Pet Sematary", "Stephen King", true),
            ("alchemist paolo coehlo", "The Alchemist", "Paulo Coelho", true),
            ("emma jane austin", "Emma", "Jane Austen", true),
            ("emma watson", "Emma", "Jane Austen", false),
            ("emma jane", "Emma", "Jane Austen", false),
            ("animal farm steven king", "Cold Comfort Farm", "Stella Gibbons", false),
        ] {
            assert_eq!(is_named(&query_words(query), title, &[author.to_owned()]), named, "{query} / {title}");
        }
        for (query, title, matched) in [
            ("hary poter", "Harry Potter and the Goblet of Fire", Some("harry potter")),
            ("pet cemetery", "Pet Sematary", Some("pet sematary")),
            ("catcher rhy", "The Catcher in the Rye", Some("catcher rye")),
            ("vanity fare", "Vanity Fair", Some("vanity fair")),
            ("harry potter", "The Harry Bosch Novels", None),
            ("animal farm", "Farm Animals", None),
            ("poter", "Harry Potter", None),
        ] {
            let meant = misspelt_title_words(&query_words(query), title).map(|words| words.join(" "));
            assert_eq!(meant.as_deref(), matched, "{query} / {title}");
        }
        for (query, title, matched) in [
            ("shinning", "The Shining", Some("shining")),
            ("alchemest", "The Alchemist", Some("alchemist")),
            ("sand", "The Stand", None),
            ("shinning", "The Shining Girls", None),
        ] {
            let meant = misspelt_title(&query_words(query), title).map(|words| words.join(" "));
            assert_eq!(meant.as_deref(), matched, "{query} / {title}");
        }
    }

    #[test]
    fn an_author_is_nearly_named_by_every_word() {
        for (query, author, meant) in [
            ("virginia wolf", "Virginia Woolf", Some("virginia woolf")),
            ("lewis carol", "Lewis Carroll", Some("lewis carroll")),
            ("jon steinbek", "John Steinbeck", Some("john steinbeck")),
            ("steven king", "Stephen King", Some("stephen king")),
            ("scot fitzgerald", "F. Scott Fitzgerald", Some("scott fitzgerald")),
            ("gabriel markez", "Gabriel García Márquez", Some("gabriel marquez")),
            ("jk rolling", "J.K. Rowling", Some("jk rowling")),
            ("jrr tolkin", "J. R. R. Tolkien", Some("jrr tolkien")),
            ("r tolkin", "J. R. R. Tolkien", Some("r tolkien")),
            ("jk rolling", "Karl Rowling", None),
            ("oliver sax", "Oliver Sacks", Some("oliver sacks")),
            ("agatha cristy", "Agatha Christie", Some("agatha christie")),
            ("harry potter", "Harry Martinson", None),
            ("emma watson", "Emma Watts", None),
            ("stephen king", "Larry King", None),
            ("king stephen", "Stephen King", None),
            ("wolf", "Virginia Woolf", None),
            ("virginia wolf diary", "Virginia Woolf", None),
        ] {
            let matched = misspelt_author(&query_words(query), author).map(|words| words.join(" "));
            assert_eq!(matched.as_deref(), meant, "{query} / {author}");
        }
    }

    #[test]
    fn one_word_of_two_is_no_likeness() {
        for (query, title, author, only) in [
            ("harry poter", "Nässlorna blomma", "Harry Martinson", true),
            ("animal farm", "Cold Comfort Farm", "Stella Gibbons", true),
            ("tender fitzgerald", "The Great Gatsby", "F. Scott Fitzgerald", false),
            ("oliver twist dickens", "Awakenings", "Oliver Sacks", true),
            ("felix leiter", "The Leiter Files", "Ann Author", false),
            ("emma watson", "Emma", "Jane Austen", true),
            ("oliver twist dickens", "Great Expectations", "Charles Dickens", false),
            ("stephen king", "On Larry", "Larry King", true),
            ("harry potter", "The Tale of Peter Rabbit", "Beatrix Potter", true),
            ("harry poter", "Howl's Moving Castle", "Diana Wynne Jones", false),
        ] {
            let words = query_words(query);
            assert_eq!(shares_a_word_only(&words, title, &[author.to_owned()], ""), only, "{query} / {title}");
        }
        assert!(!shares_a_word_only(&query_words("angela clark"), "New York", &[], "Angela moves to Manhattan"));
        let words = query_words("murder louvre");
        assert!(!shares_a_word_only(&words, "A Murder", &[], "found in the Louvre at night"));
    }
}
