//! What users of the library rely on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod answers;
mod changes;
mod meaning;
mod preferences;
mod properties;
mod spelling;
mod words;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bookworm_search::{
    Batch, Combine, Curve, Document, Facet, Feedback, Filter, Fusion, Fuzziness, Highlighting, Index, Language,
    Meaning, Minimum, Opened, Options, Order, Phrase, Preference, Prior, Query, Related, Request, Response, Schema,
    SearchError, Sort, StopWords, Suggestion, Sure, Synonym, TextOptions, VectorModel, VectorsOpened, Words,
    fusion::{Opinion, Span},
    limits,
};
use proptest::prelude::*;
use uuid::Uuid;

fn schema() -> Schema {
    schema_of(1)
}

fn schema_of(version: u32) -> Schema {
    Schema::builder(version)
        .text("title", TextOptions::name(6.0).stemmed(Language::English))
        .text("author", TextOptions::name(5.0))
        .text("about", TextOptions::prose(1.0).stemmed(Language::English))
        .keyword("subject")
        .keyword("language")
        .identifier("isbn")
        .number("year")
        .number("sold")
        .build()
        .unwrap()
}

fn model() -> VectorModel {
    VectorModel { name: "toy".to_owned(), dimensions: 4 }
}

fn options() -> Options {
    Options { model: Some(model()), ..Options::default() }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn open(folder: &Path) -> Index {
    Index::open(folder, schema(), options()).unwrap()
}

/// A few books that everybody knows.
fn books() -> Vec<Document> {
    let book = |number, title: &str, author: &str, about: &str, subjects: &[&str], language: &str, year, sold| {
        let mut document = Document::new(id(number))
            .text("title", title)
            .text("author", author)
            .text("about", about)
            .keyword("language", language)
            .number("year", year)
            .number("sold", sold)
            .completion(1, title, id(number), sold as f32)
            .completion(2, author, id(1_000 + number), 1.0);
        for subject in subjects {
            document = document.keyword("subject", *subject);
        }
        document
    };
    vec![
        book(
            1,
            "The Hobbit",
            "J.R.R. Tolkien",
            "A hobbit leaves home with dwarves and a wizard.",
            &["fantasy"],
            "en",
            1937,
            900,
        ),
        book(
            2,
            "The Lord of the Rings",
            "J.R.R. Tolkien",
            "A ring must be destroyed.",
            &["fantasy", "epic"],
            "en",
            1954,
            950,
        ),
        book(3, "Dune", "Frank Herbert", "A desert planet and its spice.", &["science fiction"], "en", 1965, 800),
        book(
            4,
            "Dune Messiah",
            "Frank Herbert",
            "The emperor of the desert planet.",
            &["science fiction"],
            "en",
            1969,
            300,
        ),
        book(5, "L'Étranger", "Albert Camus", "Meursault tue un homme sur la plage.", &["classics"], "fr", 1942, 500),
        book(
            6,
            "Ender's Game",
            "Orson Scott Card",
            "Children learn war as a game.",
            &["science fiction"],
            "en",
            1985,
            700,
        ),
        book(7, "It", "Stephen King", "It waits under a small town.", &["horror"], "en", 1986, 600),
        book(8, "Spider-Man", "Stan Lee", "With great power comes great responsibility.", &["comics"], "en", 1962, 200),
        book(9, "吾輩は猫である", "夏目漱石", "A cat tells.", &["classics"], "ja", 1905, 100),
        book(10, "Преступление и наказание", "Фёдор Достоевский", "A student kills.", &["classics"], "ru", 1866, 400),
        book(11, "The Lighthouse Keepers", "Ann Author", "A quiet novel about grief.", &["fiction"], "en", 2001, 10),
        book(12, "The The", "Matt Johnson", "A band.", &["music"], "en", 1999, 5),
    ]
}

fn filled(folder: &Path) -> Index {
    let index = open(folder);
    index.apply(Batch { put: books(), remove: Vec::new() }, Some("12")).unwrap();
    index
}

fn ids(response: &Response) -> Vec<u128> {
    response.hits.iter().map(|hit| hit.id.as_u128()).collect()
}

fn ask(index: &Index, text: &str) -> Vec<u128> {
    ids(&index.search(&words(Words::new(text).stop_words(&stops()))).unwrap())
}

fn words(words: Words) -> Request {
    Request { text: Some(words.into()), ..Request::default() }
}

fn stops() -> StopWords {
    StopWords::new(["the", "of", "a", "it", "and", "about", "is"])
}

fn with_vectors(folder: &Path) -> Index {
    let index = filled(folder);
    let fantasy = |x: f32| vec![1.0, x, 0.0, 0.0];
    let space = |x: f32| vec![0.0, 0.0, 1.0, x];
    index.put_vectors(&[(id(1), 11, fantasy(0.1)), (id(2), 12, fantasy(0.2)), (id(3), 13, space(0.1))]).unwrap();
    index.put_vectors(&[(id(4), 14, space(0.2)), (id(6), 16, space(0.9))]).unwrap();
    index
}
