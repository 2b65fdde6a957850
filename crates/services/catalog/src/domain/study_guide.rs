//! Books about a book: summaries, study guides, companions. Who types a title means the book itself.

use super::text::{fold, query_words};

/// How such titles begin.
const OPENINGS: [&str; 18] = [
    "summary of ",
    "summary and analysis",
    "summary & analysis",
    "summary: ",
    "a study guide",
    "study guide",
    "a reader's guide to",
    "reader's guide to",
    "a reader's companion",
    "the unofficial guide",
    "a companion to ",
    "companion to ",
    "the companion to ",
    "cliffsnotes",
    "cliffs notes",
    "sparknotes",
    "york notes",
    "key takeaways",
];
/// What such titles say anywhere.
const PHRASES: [&str; 24] = [
    "study guide",
    "summary and analysis",
    "summary & analysis",
    "sparknotes",
    "cliffsnotes",
    "cliffs notes",
    "york notes",
    "key takeaways",
    "conversation starters",
    "trivia-on-books",
    "book summary",
    "a summary of",
    "summary of the book",
    "lesson plans",
    "novel study",
    "literature guide",
    "teacher's guide",
    "teaching guide",
    "unofficial companion",
    "unauthorized companion",
    "bookcaps",
    "reading guide",
    "illustrated companion",
    "movie companion",
];
/// Who makes them.
const MAKERS: [&str; 18] = [
    "sparknotes",
    "cliffsnotes",
    "cliffs notes",
    "instaread",
    "bookrags",
    "shmoop",
    "supersummary",
    "gradesaver",
    "blinkist",
    "quickread",
    "getabstract",
    "bookcaps",
    "dailybooks",
    "readtrepreneur",
    "worth books",
    "bright summaries",
    "novelguide",
    "abbey beathan",
];
/// Words of somebody who wants one.
const ASKED: [&str; 18] = [
    "summary",
    "summaries",
    "analysis",
    "guide",
    "companion",
    "sparknotes",
    "cliffsnotes",
    "cliffs",
    "spark",
    "study",
    "workbook",
    "notes",
    "unofficial",
    "takeaways",
    "trivia",
    "teaching",
    "understanding",
    "instaread",
];

/// Whether a book is about another one, by its title, its authors and its publisher.
pub(crate) fn is_study_guide<'a>(title: &str, makers: impl IntoIterator<Item = &'a str>) -> bool {
    let title = fold(title);
    let named = |name: &str| MAKERS.iter().any(|maker| fold(name).starts_with(maker));
    OPENINGS.iter().any(|opening| title.starts_with(opening))
        || PHRASES.iter().any(|phrase| title.contains(phrase))
        || title.ends_with(" companion")
        || makers.into_iter().any(named)
}

/// Whether a query asks for such a book.
pub(crate) fn asks_for_one(query: &str) -> bool {
    query_words(query).iter().any(|word| ASKED.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_about_a_book_are_told_from_it() {
        for (title, maker, is) in [
            ("Summary of Shoe Dog by Phil Knight", "Instaread Summaries", true),
            ("The Great Gatsby: A Study Guide", "Somebody", true),
            ("The Catcher in the Rye (SparkNotes Literature Guide)", "SparkNotes", true),
            ("Macbeth", "CliffsNotes", true),
            ("The Hunger Games Companion", "Lois H. Gresh", true),
            ("Shoe Dog", "Phil Knight", false),
            ("The Royal Companions", "Somebody", false),
            ("A Guide to the Good Life", "William B. Irvine", false),
            ("Understanding Comics", "Scott McCloud", false),
            ("The Hitchhiker's Guide to the Galaxy", "Douglas Adams", false),
        ] {
            assert_eq!(is_study_guide(title, [maker]), is, "{title}");
        }
        assert!(asks_for_one("great gatsby study guide") && !asks_for_one("great gatsby"));
    }
}
