//! What users of the library rely on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bookworm_search::{
    Batch, Combine, Curve, Document, Facet, Feedback, Filter, Fusion, Fuzziness, Highlighting, Index, Kin, Language,
    Meaning, Minimum, Opened, Options, Phrase, Prior, Query, Request, Response, Schema, SearchError, Sort, StopWords,
    Suggestion, Sure, Synonym, TextOptions, VectorModel, VectorsOpened, Words,
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

#[test]
fn books_are_found_by_the_words_people_use() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    assert_eq!(ask(&index, "the hobbit")[0], 1);
    assert_eq!(ask(&index, "dune")[..2], [3, 4], "the title that says exactly this comes first");
    assert_eq!(ask(&index, "herbert dune messiah")[0], 4, "words of one query may be in different fields");
    assert_eq!(ask(&index, "tolkien rings")[0], 2);
    for typed in ["l'étranger", "L’ETRANGER", "letranger", "etranger"] {
        assert_eq!(ask(&index, typed), [5], "{typed}");
    }
    for typed in ["ender's game", "enders game", "Ender’s"] {
        assert_eq!(ask(&index, typed)[0], 6, "{typed}");
    }
    for typed in ["spider-man", "spiderman", "spider man"] {
        assert_eq!(ask(&index, typed)[0], 8, "{typed}");
    }
    for typed in ["猫", "吾輩", "吾輩は猫である", "漱石"] {
        assert_eq!(ask(&index, typed), [9], "{typed}");
    }
    for typed in ["преступление", "достоевский федор"] {
        assert_eq!(ask(&index, typed), [10], "{typed}");
    }
    assert_eq!(ask(&index, "lighthouse keeper")[0], 11, "a stem finds");
    assert_eq!(ask(&index, "")[..], [] as [u128; 0]);
}

#[test]
fn stop_words_count_when_there_is_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    assert_eq!(ask(&index, "It")[0], 7);
    assert_eq!(ask(&index, "the the")[0], 12);
}

#[test]
fn misspelt_words_find_and_never_hide_what_is_spelt_so() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    for (typed, wanted) in
        [("the hobit", 1), ("tolkein", 1), ("obbit", 1), ("lihgthouse keepers", 11), ("frnak herbret mesiah", 4)]
    {
        assert!(ask(&index, typed).contains(&wanted), "{typed}");
    }
    let response = index.search(&words(Words::new("tolkein"))).unwrap();
    assert_eq!(response.tolerated, [("tolkein".to_owned(), vec!["tolkien".to_owned()])]);

    let close = Document::new(id(20)).text("title", "The Hobbin");
    index.apply(Batch { put: vec![close], remove: Vec::new() }, None).unwrap();
    let both = words(Words { fuzziness: Fuzziness::Always, ..Words::new("hobbin") });
    assert_eq!(ids(&index.search(&both).unwrap())[..2], [20, 1]);
    let never = words(Words::new("tolkein").fuzziness(Fuzziness::Never));
    assert_eq!(index.search(&never).unwrap().total, 0);
}

#[test]
fn corrections_keep_the_words_that_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let corrected = |text: &str| index.corrections(&Words::new(text).stop_words(&stops()), 3).unwrap();
    assert_eq!(corrected("The hobit by tolkein")[0], "The hobbit by tolkien");
    for text in ["dune messiah", "zzzzqqqq", "", "children of the desert planets", "went home"] {
        assert_eq!(corrected(text), [""; 0], "{text}");
    }
    // Who knows the word leaves it as it is.
    let known = Words::new("hobit tolkein").known(&StopWords::new(["hobit"]));
    assert_eq!(index.corrections(&known, 3).unwrap(), ["hobit tolkien"]);
    assert_eq!(index.search(&words(Words::new("hobit").known(&StopWords::new(["hobit"])))).unwrap().total, 0);
}

#[test]
fn a_word_that_is_there_brings_nothing_that_is_spelt_like_it() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let title = |number, title: &str, about: &str| Document::new(id(number)).text("title", title).text("about", about);
    let whales = vec![
        title(20, "Moby-Dick", "A whale."),
        title(21, "White Teeth", "Three families."),
        title(22, "Where the Wild Things Are", "A boy."),
    ];
    index.apply(Batch { put: whales, remove: Vec::new() }, None).unwrap();
    assert_eq!(ask(&index, "whale"), [20]);
    assert_eq!(ask(&index, "whales"), [20]);
    assert!(ask(&index, "whaet").contains(&21), "nothing has it: what is like it");
}

#[test]
fn names_keep_their_symbols_and_words_their_forms() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let titles = [
        "C# in Depth",
        "C++ Primer",
        "The C Programming Language",
        "Pro .NET",
        "The Net",
        "R&B: The Story",
        "AC/DC: Maximum Rock",
        "Half\u{ad}hyphenated",
        "แมวดำ",
        "Wolves of Winter",
        "Children of Time",
        "A Wolf",
        "Of Mice and Men",
        "She Went Home",
        "Slaughterhouse-Five",
        "J. K. Rowling: A Life",
        "新編 銀河鉄道の夜",
        "F# Deep Dives",
    ];
    let put = (30..)
        .zip(titles)
        .map(|(number, title)| Document::new(id(number)).text("title", title).completion(1, title, id(number), 1.0));
    index.apply(Batch { put: put.collect(), remove: Vec::new() }, None).unwrap();
    for (typed, first) in [
        ("C#", 30),
        ("c sharp", 30),
        ("csharp", 30),
        ("C++", 31),
        ("cpp", 31),
        ("c plus plus", 31),
        ("c", 32),
        (".net", 33),
        ("dotnet", 33),
        ("net", 34),
        ("R&B", 35),
        ("r & b", 35),
        ("rb", 35),
        ("acdc", 36),
        ("AC/DC", 36),
        ("ac dc", 36),
        ("halfhyphenated", 37),
        ("half hyphenated", 37),
        ("half-hyphenated", 37),
        ("แมว", 38),
        ("ดำ", 38),
        ("wolf", 41),
        ("wolves", 39),
        ("child", 40),
        ("children", 40),
        ("mouse", 42),
        ("men", 42),
        ("go home", 43),
        ("slaughter house five", 44),
        ("slaughterhouse 5", 44),
        ("jk rowling", 45),
        ("銀河", 46),
        ("鉄道", 46),
        ("F#", 47),
    ] {
        assert_eq!(ask(&index, typed).first(), Some(&first), "{typed}");
    }
    assert!(ask(&index, "wolf").contains(&39));
    assert!(!ask(&index, "C#").contains(&31));
    assert_eq!(ask(&index, "thehobbit").first(), Some(&1), "a word that nothing has is taken apart");
    assert_eq!(ask(&index, "lordoftherings").first(), Some(&2));
    for typed in ["แมว", "ดำ", "鉄道"] {
        assert!(!index.suggest(typed, &[], 10).is_empty(), "{typed}");
    }
    let marked = index.search(&Request {
        highlight: Some(Highlighting { fields: vec![("title".to_owned(), 100)] }),
        ..words(Words::new("wolf"))
    });
    let pieces = |number| {
        let hits = marked.as_ref().unwrap().hits.iter().find(|hit| hit.id == id(number)).unwrap();
        hits.highlights[0].pieces.iter().filter(|piece| piece.hit).map(|piece| piece.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(pieces(39), ["Wolves"]);
}

#[test]
fn what_was_asked_for_is_told_from_what_is_like_it() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let named = || Sure::Named { fields: vec!["title".to_owned(), "author".to_owned()], mentions: 1, opening: 0 };
    let sure = |text: &str, sure: Sure| {
        let request = Request {
            facets: vec![Facet::values("subject", 5)],
            ..words(Words::new(text).stop_words(&stops()).sure(sure))
        };
        let found = index.search(&request).unwrap();
        let hits: Vec<u128> = found.hits.iter().filter(|hit| hit.sure).map(|hit| hit.id.as_u128()).collect();
        assert_eq!(found.sure, Some(hits.len()), "{text}");
        assert_eq!(found.facets[0].values.is_empty(), hits.is_empty(), "{text}");
        (found.total, hits)
    };
    assert_eq!(sure("dune herbert", named()).1, [3, 4], "one word in the title, the other in the name");
    assert_eq!(sure("the hobbit", named()).1, [1]);
    let (total, hits) = sure("dune tolkien", named());
    assert!(total > 0 && hits.is_empty(), "no book is both");
    assert_eq!(sure("the desert planet", named()).1.len(), 2, "in a row, as typed");
    let of_several = |mentions, opening| match named() {
        Sure::Named { fields, .. } => Sure::Named { fields, mentions, opening },
        share => share,
    };
    assert_eq!(sure("the desert planet", of_several(2, 0)).1.len(), 2, "as many say it");
    assert!(sure("the desert planet", of_several(3, 0)).1.is_empty(), "too few mention it");
    assert_eq!(sure("the desert planet", of_several(3, 100)).1.len(), 2, "both begin with it");
    assert_eq!(sure("the hobbit", of_several(3, 0)).1, [1], "a name needs no mention");
    assert!(sure("planet spice", named()).1.is_empty(), "scattered");
    assert_eq!(sure("planet spice", Sure::Share(1.0)).1, [3]);
    assert!(sure("dune xylophones", Sure::Share(1.0)).1.is_empty(), "a word that nothing has counts");
    assert!(sure("hobit", named()).1.is_empty(), "what is only spelt alike does not");
    let by_year = Request {
        sort: Sort::Number { field: "year".to_owned(), descending: false },
        ..words(Words::new("dune messiah").minimum(Minimum::Any).sure(named()))
    };
    assert_eq!(ids(&index.search(&by_year).unwrap()), [4]);
}

#[test]
fn the_last_word_may_be_a_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let ask = |prefix| ids(&index.search(&words(Words::new("lord ri").minimum(Minimum::All).prefix(prefix))).unwrap());
    assert_eq!(ask(true), [2]);
    assert_eq!(ask(false), [] as [u128; 0]);
}

#[test]
fn synonyms_stand_for_what_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let synonyms = vec![
        Synonym { words: "lotr".to_owned(), alternatives: vec!["lord of the rings".to_owned()] },
        Synonym { words: "sandworm planet".to_owned(), alternatives: vec!["desert".to_owned()] },
    ];
    let ask = |text: &str| {
        ids(&index.search(&words(Words::new(text).synonyms(synonyms.clone()).fuzziness(Fuzziness::Never))).unwrap())
    };
    assert_eq!(ask("lotr"), [2]);
    assert_eq!(ask("LOTR tolkien")[0], 2);
    assert_eq!(ask("sandworm planet").len(), 2);
    let worthless = Words { synonym_weight: 0.0, ..Words::new("lotr").synonyms(synonyms.clone()) };
    assert_eq!(ids(&index.search(&words(worthless)).unwrap()), [2], "what is worth nothing is found as well");
}

#[test]
fn queries_are_built_from_parts() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let ask = |query: Query| {
        let mut found = ids(&index.search(&Request { text: Some(query), ..Request::default() }).unwrap());
        found.sort_unstable();
        found
    };
    let keyword = |value: &str| Query::Keyword { field: "subject".to_owned(), any_of: vec![value.to_owned()] };
    assert_eq!(ask(Phrase::new("desert planet").into()), [3, 4]);
    assert_eq!(ask(Phrase::new("planet desert").into()), [] as [u128; 0]);
    assert_eq!(ask(Phrase::new("lord of the").field("title", 1.0).into()), [2]);
    assert_eq!(ask(Phrase::new("ender's game").field("title", 1.0).into()), [6]);
    assert_eq!(ask(keyword("science fiction")), [3, 4, 6]);
    assert_eq!(ask(Query::all(vec![keyword("science fiction"), Words::new("dune").into()])), [3, 4]);
    assert_eq!(ask(Query::any(vec![keyword("horror"), keyword("music")])), [7, 12]);
    assert_eq!(ask(Query::Number { field: "year".to_owned(), range: 1980..=1990 }), [6, 7]);
    let not = Query::Bool {
        must: vec![Query::All],
        should: Vec::new(),
        must_not: vec![Query::Number { field: "year".to_owned(), range: 1900..=2100 }],
        minimum_should: 0,
    };
    assert_eq!(ask(not), [10]);
    assert_eq!(ask(Query::None), [] as [u128; 0]);
    let best = Query::DisMax { queries: vec![keyword("horror").constant(2.0), Query::All.boost(0.5)], tie: 0.0 };
    let response = index.search(&Request { text: Some(best), ..Request::default() }).unwrap();
    assert_eq!((response.hits[0].id, response.hits[0].score, response.total), (id(7), 2.0, 12));
}

#[test]
fn everything_typed_is_only_text() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let long = "hobbit ".repeat(2_000);
    let many: String = (0..3_000).map(|n| format!("word{n} ")).collect();
    let texts = [
        "\"unbalanced",
        "title:dune AND (",
        "[a TO b]",
        "*",
        "?",
        "~",
        "\\",
        "dune^5",
        "-dune",
        "NOT dune",
        "\0\u{7}\u{1b}",
        "\u{202e}dune",
        "''''",
        "--",
        "a'b'c'd-e-f-g-h-i",
        "\u{301}\u{301}",
        "👩‍👩‍👧",
        "ﬁn",
        "{\"a\":1}",
        "%",
        "' OR 1=1",
        "\u{fffd}",
        &long,
        &many,
    ];
    for text in texts {
        for fuzziness in [Fuzziness::Never, Fuzziness::WhenFewer(5), Fuzziness::Always] {
            let request = words(Words::new(text).fuzziness(fuzziness).prefix(true).stop_words(&stops()));
            index.search(&Request { explain: true, ..request }).unwrap();
        }
        index.search(&Request { text: Some(Phrase::new(text).into()), ..Request::default() }).unwrap();
        let _ = index.corrections(&Words::new(text).stop_words(&stops()), 3).unwrap();
        let _ = index.suggest(text, &[], 10);
    }
    assert_eq!(ask(&index, &long)[0], 1);
    assert_eq!(ask(&index, "title:dune AND (")[0], 3);
}

#[test]
fn limits_have_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let refused = |request: Request| matches!(index.search(&request), Err(SearchError::TooMuch(_)));
    let window = |offset| Request { offset, limit: 1, ..Request::default() };
    assert!(refused(window(limits::WINDOW)));
    assert!(!refused(window(limits::WINDOW - 1)));
    assert!(refused(Request { offset: usize::MAX, limit: usize::MAX, ..Request::default() }));
    let deep = (0..=limits::QUERY_DEPTH).fold(Query::All, |query, _| query.boost(1.0));
    assert!(refused(Request { text: Some(deep), ..Request::default() }));
    let wide = Query::any(vec![Query::None; limits::QUERY_NODES]);
    assert!(refused(Request { text: Some(wide), ..Request::default() }));
    let values = vec!["x"; limits::FILTER_VALUES + 1];
    assert!(refused(Request { filters: vec![Filter::keyword("subject", values)], ..Request::default() }));
    let near = Meaning { candidates: limits::CANDIDATES + 1, ..Meaning::new(vec![1.0; 4]) };
    assert!(refused(Request { meaning: Some(near), ..Request::default() }));
    for vector in [vec![1.0; 3], vec![0.0; 4], vec![f32::NAN, 0.0, 0.0, 1.0], vec![f32::INFINITY; 4]] {
        let request = Request { meaning: Some(Meaning::new(vector.clone())), ..Request::default() };
        assert!(matches!(index.search(&request), Err(SearchError::Vector(_))));
        assert!(matches!(index.put_vectors(&[(id(1), 0, vector)]), Err(SearchError::Vector(_))));
    }
    let unknown = |request: Request| matches!(index.search(&request), Err(SearchError::UnknownField { .. }));
    assert!(unknown(Request { facets: vec![Facet::values("nothing", 5)], ..Request::default() }));
    assert!(unknown(Request { facets: vec![Facet::values("isbn", 5)], ..Request::default() }));
    assert!(unknown(Request { filters: vec![Filter::number("subject", None, None)], ..Request::default() }));
    assert!(unknown(words(Words::new("x").field("subject", 1.0))));
    assert!(matches!(
        index.apply(Batch { put: vec![Document::new(id(1)).text("nothing", "x")], remove: Vec::new() }, Some("bad")),
        Err(SearchError::UnknownField { .. })
    ));
    assert_eq!(index.checkpoint().as_deref(), Some("12"), "a batch that is refused changes nothing");
    assert!(Schema::builder(1).text("Bad name", TextOptions::default()).build().is_err());
    assert!(Schema::builder(1).text("a", TextOptions::default()).number("a").build().is_err());
    assert!(Schema::builder(1).keyword("a").build().is_err());
}

#[test]
fn changes_are_seen_when_they_return() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    assert_eq!((index.stats().documents, index.checkpoint().as_deref()), (12, Some("12")));
    let renamed = Document::new(id(3)).text("title", "Arrakis").completion(1, "Arrakis", id(3), 1.0);
    index.apply(Batch { put: vec![renamed], remove: vec![id(4)] }, Some("13")).unwrap();
    assert_eq!(ask(&index, "arrakis"), [3]);
    assert_eq!(ask(&index, "dune"), [] as [u128; 0]);
    assert!(index.suggest("dune", &[], 5).is_empty(), "what nobody has any more is not proposed");
    assert_eq!(index.suggest("arr", &[], 5)[0].text, "Arrakis");
    assert!(index.contains(id(3)) && !index.contains(id(4)));
    let mut all: Vec<u128> = index.ids().iter().map(Uuid::as_u128).collect();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]);
    index.apply(Batch { put: Vec::new(), remove: vec![id(99)] }, None).unwrap();
    assert_eq!(index.checkpoint().as_deref(), Some("13"), "no checkpoint leaves the one that is there");
    index.clear().unwrap();
    assert_eq!((index.stats().documents, index.checkpoint()), (0, None));
    assert_eq!(ask(&index, "hobbit"), [] as [u128; 0]);
}

#[test]
fn a_bulk_is_seen_when_it_commits_and_forgotten_when_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let mut bulk = index.bulk().unwrap();
    for book in books() {
        bulk.add(Batch { put: vec![book], remove: Vec::new() }).unwrap();
    }
    assert_eq!(index.stats().documents, 0);
    bulk.commit(Some("half")).unwrap();
    assert_eq!((index.stats().documents, index.checkpoint().as_deref()), (12, Some("half")));
    bulk.add(Batch { put: Vec::new(), remove: vec![id(1)] }).unwrap();
    bulk.finish(Some("whole")).unwrap();
    assert_eq!((index.stats().documents, index.checkpoint().as_deref()), (11, Some("whole")));

    let mut bulk = index.bulk().unwrap();
    bulk.add(Batch { put: Vec::new(), remove: vec![id(2)] }).unwrap();
    drop(bulk);
    index.apply(Batch { put: vec![Document::new(id(50)).text("title", "New")], remove: Vec::new() }, None).unwrap();
    assert_eq!(index.stats().documents, 12);
    assert!(index.contains(id(2)));
}

#[test]
fn suggestions_complete_any_word() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let ask = |typed: &str, kinds: &[u8]| -> Vec<String> {
        index.suggest(typed, kinds, 5).into_iter().map(|suggestion| suggestion.text).collect()
    };
    assert_eq!(ask("dun", &[]), ["Dune", "Dune Messiah"], "heavier first");
    assert_eq!(ask("the", &[1])[..2], ["The Lord of the Rings", "The Hobbit"]);
    assert_eq!(ask("hob", &[]), ["The Hobbit"]);
    assert_eq!(ask("lord of the r", &[]), ["The Lord of the Rings"]);
    assert_eq!(ask("tolk", &[]), ["J.R.R. Tolkien"], "two books share an author: proposed once");
    assert_eq!(ask("tolk", &[1]), [] as [&str; 0]);
    assert_eq!(ask("létr", &[]), ["L'Étranger"]);
    assert_eq!(ask("猫", &[]), ["吾輩は猫である"], "nothing says where a word begins");
    assert_eq!(ask("吾輩", &[]), ["吾輩は猫である"]);
    for typed in ["hobib", "hbbit", "hoobbit", "hohbit", "xobbit"] {
        let found = index.suggest(typed, &[], 5);
        assert_eq!(
            found.first().map(|found| (found.text.as_str(), found.tolerated)),
            Some(("The Hobbit", true)),
            "{typed}"
        );
    }
    let each = |typed: &str| -> Vec<Vec<(String, bool)>> {
        let found = index.suggest_each(typed, &[(1, 2), (2, 1)]);
        let said = |list: Vec<Suggestion>| list.into_iter().map(|found| (found.text, found.tolerated)).collect();
        found.into_iter().map(said).collect()
    };
    let is = |text: &str, tolerated| (text.to_owned(), tolerated);
    assert_eq!(each("tolk"), [vec![], vec![is("J.R.R. Tolkien", false)]], "no likeness where one kind begins so");
    assert_eq!(each("hobib"), [vec![is("The Hobbit", true)], vec![]]);
    assert_eq!(each("the")[0].len(), 2);
    assert_eq!(each(" "), [vec![], vec![]]);
    assert!(ask("", &[]).is_empty() && ask("   ", &[]).is_empty() && ask("zzzz", &[]).is_empty());
}

#[test]
fn facets_count_everything_that_matched() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let request = Request {
        filters: vec![Filter::keyword("subject", ["science fiction"])],
        facets: vec![
            Facet::values("subject", 3),
            Facet::values("subject", 3).without_own_filters(),
            Facet::values("language", 10).without_own_filters(),
            Facet::ranges("year", vec![1900..=1949, 1950..=1979, i64::MIN..=i64::MAX]),
        ],
        limit: 1,
        ..Request::default()
    };
    let response = index.search(&request).unwrap();
    let values = |at: usize| -> Vec<(&str, u64)> {
        response.facets[at].values.iter().map(|(value, count)| (value.as_str(), *count)).collect()
    };
    assert_eq!((response.total, response.hits.len()), (3, 1));
    assert_eq!(values(0), [("science fiction", 3)]);
    assert_eq!(values(1), [("classics", 3), ("science fiction", 3), ("fantasy", 2)]);
    assert_eq!(values(2), [("en", 3)]);
    assert_eq!(response.facets[3].ranges, [0, 2, 3]);
}

#[test]
fn hits_are_sorted_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    index.apply(Batch { put: vec![Document::new(id(30)).text("title", "No year")], remove: Vec::new() }, None).unwrap();
    let ask = |sort: Sort, offset: usize| {
        ids(&index.search(&Request { sort, offset, limit: 3, ..Request::default() }).unwrap())
    };
    let year = |descending| Sort::Number { field: "year".to_owned(), descending };
    assert_eq!(ask(year(true), 0), [11, 12, 7]);
    assert_eq!(ask(year(false), 0), [10, 9, 1]);
    assert_eq!(*ask(year(true), 10).last().unwrap(), 30, "what has no number comes last");
    assert_eq!(*ask(year(false), 10).last().unwrap(), 30);
    assert_eq!(ask(Sort::Keyword { field: "language".to_owned(), descending: true }, 0), [10, 9, 5]);
    assert_eq!(ask(Sort::Relevance, 0), [1, 2, 3], "ties are by id");
}

#[test]
fn matching_words_are_marked_in_pieces_of_text() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let request = Request {
        highlight: Some(Highlighting { fields: vec![("title".to_owned(), 100), ("about".to_owned(), 100)] }),
        limit: 1,
        ..words(Words::new("lighthous keeper quiet"))
    };
    let hit = &index.search(&request).unwrap().hits[0];
    let marked = |at: usize| -> Vec<&str> {
        hit.highlights[at].pieces.iter().filter(|piece| piece.hit).map(|piece| piece.text.as_str()).collect()
    };
    assert_eq!((hit.highlights[0].field.as_str(), marked(0)), ("title", vec!["Lighthouse", "Keepers"]));
    assert_eq!((hit.highlights[1].field.as_str(), marked(1)), ("about", vec!["quiet"]));
    let whole: String = hit.highlights[1].pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(whole, "A quiet novel about grief.");
}

#[test]
fn what_sells_comes_first_among_equals_and_the_score_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    let by_author = |priors| Request { priors, explain: true, ..words(Words::new("tolkien")) };
    let plain = index.search(&by_author(Vec::new())).unwrap();
    let prior = Prior { field: "sold".to_owned(), curve: Curve::Saturation { pivot: 10.0 }, text: 1.0, meaning: 0.0 };
    let response = index.search(&by_author(vec![prior])).unwrap();
    assert_eq!(ids(&response), [2, 1]);
    let reasons = &response.hits[0].reasons;
    assert_eq!(reasons[0].what, "author: tolkien");
    assert!(reasons.iter().any(|reason| reason.what == "prior sold on text"));
    let sum: f32 = plain.hits[0].reasons.iter().map(|reason| reason.score).sum();
    assert!((sum - plain.hits[0].score).abs() < 1e-3, "the reasons add up: {sum} and {}", plain.hits[0].score);
}

#[test]
fn fields_are_read_together_or_the_best_decides() {
    let folder = tempfile::tempdir().unwrap();
    let field = || TextOptions { length: 0.0, ..TextOptions::default() }.stemmed(Language::English);
    let schema = Schema::builder(1).text("one", field()).text("other", field()).build().unwrap();
    let index = Index::open(folder.path(), schema, Options::default()).unwrap();
    let document = |number, one: &str, other: &str| Document::new(id(number)).text("one", one).text("other", other);
    let put = vec![
        document(1, "a storm, the storm", "at sea"),
        document(2, "a storm at sea", "the storm"),
        document(3, "a storm", "at sea"),
        document(4, "storms", "at sea, storming"),
    ];
    index.apply(Batch { put, remove: Vec::new() }, None).unwrap();
    let scores = |combine| {
        let storm = Words::new("storm").field("one", 1.0).field("other", 1.0);
        let storm = Words { combine, phrase: 0.0, exact: 0.0, ..storm };
        let response = index.search(&Request { explain: true, ..words(storm) }).unwrap();
        let mut scores = [0.0; 5];
        for hit in &response.hits {
            let sum: f32 = hit.reasons.iter().map(|reason| reason.score).sum();
            assert!((sum - hit.score).abs() < 1e-5, "{}: {sum} and {}", hit.id, hit.score);
            scores[hit.id.as_u128() as usize] = hit.score;
        }
        scores
    };
    let [_, twice, parted, once, stems] = scores(Combine::Together);
    assert!((twice - parted).abs() < 1e-5, "wherever it stands: {twice}, {parted}");
    assert!(parted > stems && stems > 0.0 && parted > once, "{parted}, {stems}, {once}");
    let synonyms = vec![Synonym { words: "gale".to_owned(), alternatives: vec!["storm".to_owned()] }];
    let gale = Words::new("gale").field("one", 1.0).field("other", 1.0).synonyms(synonyms);
    let gale = Words { combine: Combine::Together, exact: 0.0, synonym_weight: 1.0, ..gale };
    let response = index.search(&words(gale)).unwrap();
    assert_eq!(response.hits.len(), 4);
    // How rare a word is, is another matter: but for that, a synonym is worth its word in every document.
    let ratio = |number: u128, storm: f32| response.hits.iter().find(|hit| hit.id == id(number)).unwrap().score / storm;
    for other in [ratio(2, parted), ratio(3, once), ratio(4, stems)] {
        assert!((other - ratio(1, twice)).abs() < 1e-4, "{other} and {}", ratio(1, twice));
    }
    let [_, twice, parted, once, _] = scores(Combine::Best { tie: 0.0 });
    assert!(twice > parted && (parted - once).abs() < 1e-5, "{twice}, {parted}, {once}");
}

#[test]
fn many_documents_in_many_segments_are_scored_as_explained() {
    const MANY: u128 = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let document = |number: u128| {
        let title = match number {
            _ if number.is_multiple_of(1_000) => "Grey Harbour",
            _ if number.is_multiple_of(7) => "Harbour in Grey and Blue",
            _ => "Grey",
        };
        Document::new(id(number)).text("title", title).text("about", "grey ".repeat(number as usize % 40))
    };
    for part in [1..MANY, MANY..MANY + 10] {
        index.apply(Batch { put: part.map(document).collect(), remove: Vec::new() }, None).unwrap();
    }
    let query = Words { phrase: 0.5, exact: 0.5, ..Words::new("grey harbour").minimum(Minimum::Any) };
    let first = index.search(&Request { explain: true, limit: 20, ..words(query.clone()) }).unwrap();
    assert_eq!(first.total, MANY as usize + 9);
    let mut exactly = ids(&first);
    exactly.truncate(5);
    exactly.sort_unstable();
    assert_eq!(exactly, [1_000, 2_000, 3_000, 4_000, 5_000]);
    let last = index.search(&Request { explain: true, offset: 4_900, limit: 100, ..words(query) }).unwrap();
    for hit in first.hits.iter().chain(&last.hits) {
        let sum: f32 = hit.reasons.iter().map(|reason| reason.score).sum();
        assert!((sum - hit.score).abs() < 1e-3, "{}: {sum} and {}", hit.id, hit.score);
    }
}

fn with_vectors(folder: &Path) -> Index {
    let index = filled(folder);
    let fantasy = |x: f32| vec![1.0, x, 0.0, 0.0];
    let space = |x: f32| vec![0.0, 0.0, 1.0, x];
    index.put_vectors(&[(id(1), 11, fantasy(0.1)), (id(2), 12, fantasy(0.2)), (id(3), 13, space(0.1))]).unwrap();
    index.put_vectors(&[(id(4), 14, space(0.2)), (id(6), 16, space(0.9))]).unwrap();
    index
}

#[test]
fn meaning_finds_what_words_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let index = with_vectors(folder.path());
    let near = Meaning { minimum: 0.5, ..Meaning::new(vec![0.0, 0.0, 10.0, 1.0]) };
    let request = Request { meaning: Some(near.clone()), ..Request::default() };
    let response = index.search(&request).unwrap();
    assert_eq!((ids(&response), response.meaning_only), (vec![3, 4, 6], 3));
    let top = &response.hits[0];
    assert!(top.text.is_none() && top.meaning.unwrap().rank == 1 && (top.meaning.unwrap().score - 1.0).abs() < 1e-5);

    // Both are as near, but one of them has a word of the query, though too few to match.
    let same = |number| (id(number), number as u64, vec![0.0, 0.0, 1.0, 0.5]);
    index.put_vectors(&[same(3), same(4)]).unwrap();
    let minimum = Minimum::ShareOrBest { share: 0.6, loosely: 0.0, best: 0 };
    let text = Words::new("hobbit dwarves messiah").minimum(minimum).fuzziness(Fuzziness::Never);
    let fusion = Fusion::Weighted { text_weight: 1.0, meaning_weight: 1.0 };
    let response = index.search(&Request { text: Some(text.into()), fusion, ..request.clone() }).unwrap();
    assert_eq!((response.total, response.text_total, response.meaning_only), (4, 1, 3));
    let [messiah, dune] = [4, 3].map(|number| response.hits.iter().find(|hit| hit.id == id(number)).unwrap());
    assert!(messiah.score > dune.score && messiah.text.is_some() && dune.text.is_none());

    let both = Request { text: Some(Words::new("game").into()), ..request.clone() };
    let response = index.search(&both).unwrap();
    assert_eq!(ids(&response)[0], 6, "found by both sides");
    assert_eq!((response.total, response.text_total, response.meaning_only), (3, 1, 2));

    let filtered = Request { filters: vec![Filter::keyword("subject", ["fantasy"])], ..request.clone() };
    assert!(index.search(&filtered).unwrap().hits.is_empty(), "what is far is not near because it is alone");
    let filtered = Request { filters: vec![Filter::number("year", Some(1966), None)], ..request.clone() };
    let response = index.search(&filtered).unwrap();
    assert_eq!(ids(&response), [4, 6]);

    index.apply(Batch { put: Vec::new(), remove: vec![id(3)] }, None).unwrap();
    assert_eq!(ids(&index.search(&request).unwrap()), [4, 6], "a document that is gone is not near");
    index.remove_vectors(&[id(4)]).unwrap();
    assert_eq!(ids(&index.search(&request).unwrap()), [6]);
    assert_eq!((index.fingerprint(id(6)), index.fingerprint(id(4))), (Some(16), None));
}

#[test]
fn what_the_text_finds_says_more_of_what_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let index = with_vectors(folder.path());
    // As near to fantasy as to space; the words stand in a book about space.
    let near = |feedback| Meaning { feedback, ..Meaning::new(vec![1.0, 0.0, 1.0, 0.0]) };
    let request = |text: Option<&str>, feedback| Request {
        text: text.map(|text| Words::new(text).into()),
        meaning: Some(near(feedback)),
        ..Request::default()
    };
    let found = |text, feedback| index.search(&request(text, feedback)).unwrap();
    let similarity = |response: &Response, number| {
        let hit = response.hits.iter().find(|hit| hit.id == id(number)).unwrap();
        hit.meaning.unwrap().score
    };
    let feedback = |documents, weight| Some(Feedback { documents, weight });
    let (plain, moved) = (found(Some("dune"), None), found(Some("dune"), feedback(5, 1.0)));
    assert!(similarity(&moved, 4) > similarity(&plain, 4) + 0.1, "another book about space comes nearer");
    assert!(similarity(&moved, 2) < similarity(&plain, 2) - 0.1);
    for (text, nothing) in [
        (None, feedback(5, 1.0)),
        (Some("xyzzy"), feedback(5, 1.0)),
        // A misreading of the query must not decide what it means.
        (Some("dunne"), feedback(5, 1.0)),
        (Some("dune"), feedback(0, 1.0)),
        (Some("dune"), feedback(5, 0.0)),
    ] {
        assert_eq!(similarity(&found(text, nothing), 4), similarity(&plain, 4), "{text:?} {nothing:?}");
    }
    let many = index.search(&request(Some("dune"), feedback(limits::FEEDBACK + 1, 1.0)));
    assert!(matches!(many, Err(SearchError::TooMuch(_))));
}

#[test]
fn likeness_is_by_meaning_and_by_words() {
    let folder = tempfile::tempdir().unwrap();
    let index = with_vectors(folder.path());
    let like = |number| -> Vec<u128> {
        index.more_like(id(number), 3, &[]).unwrap().into_iter().map(|similar| similar.id.as_u128()).collect()
    };
    assert_eq!(like(3)[0], 4);
    assert_eq!(like(1)[0], 2);
    assert!(!like(3).contains(&3));
    assert_eq!(like(99), [] as [u128; 0]);
    let filtered = index.more_like(id(3), 3, &[Filter::keyword("subject", ["horror"])]).unwrap();
    assert!(filtered.iter().all(|similar| similar.id == id(7)));
}

#[test]
fn vectors_are_there_after_a_restart_and_after_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    drop(with_vectors(folder.path()));
    let index = open(folder.path());
    assert_eq!(index.opened(), &Opened::Resumed);
    assert_eq!(index.vectors_opened(), VectorsOpened::Resumed { vectors: 5, cut: 0 });
    assert_eq!(ask(&index, "dune")[0], 3);
    assert_eq!(index.suggest("hob", &[], 1).len(), 1);
    let vector = index.vector(id(3)).unwrap().unwrap();
    assert!((vector.iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-5);
    drop(index);

    let index = Index::open(folder.path(), schema_of(2), options()).unwrap();
    assert!(matches!(index.opened(), Opened::Rebuilt { reason } if reason.contains("version")), "{:?}", index.opened());
    assert_eq!((index.checkpoint(), index.stats().documents, index.stats().vectors), (None, 0, 5));
    drop(index);

    let any = Index::open(folder.path(), schema_of(2), Options::default()).unwrap();
    assert_eq!(any.model(), Some(model()), "the model of the file is taken when none is asked for");
    let other = VectorModel { name: "other".to_owned(), dimensions: 4 };
    assert!(matches!(any.use_model(&other).unwrap(), VectorsOpened::Discarded { .. }));
    assert_eq!(any.stats().vectors, 0);
    drop(any);
    let index =
        Index::open(folder.path(), schema_of(2), Options { model: Some(model()), ..Options::default() }).unwrap();
    assert!(matches!(index.vectors_opened(), VectorsOpened::Discarded { reason } if reason.contains("other")));
}

#[test]
fn the_file_of_vectors_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let wide = VectorModel { name: "wide".to_owned(), dimensions: 384 };
    let open =
        || Index::open(folder.path(), schema(), Options { model: Some(wide.clone()), ..Options::default() }).unwrap();
    let index = open();
    let vector = |seed: u128| (0..384).map(|at| ((seed * 31 + at) % 17) as f32 - 8.0).collect::<Vec<_>>();
    for round in 0..12_u64 {
        let vectors: Vec<_> = (0..500).map(|n| (id(n), round, vector(n + u128::from(round)))).collect();
        index.put_vectors(&vectors).unwrap();
    }
    let stats = index.stats();
    assert_eq!(stats.vectors, 500);
    assert!(stats.vector_bytes < 5_500_000, "{} bytes", stats.vector_bytes);
    let expected = index.vector(id(7)).unwrap();
    drop(index);
    let index = open();
    assert_eq!(index.vectors_opened(), VectorsOpened::Resumed { vectors: 500, cut: 0 });
    assert_eq!((index.vector(id(7)).unwrap(), index.fingerprint(id(7))), (expected, Some(11)));
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    assert!(matches!(Index::open(folder.path(), schema(), options()), Err(SearchError::Locked(_))));
    drop(index);
    open(folder.path());
}

#[test]
fn a_damaged_index_is_rebuilt_and_says_so() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 5] = [
        ("garbage", |file| std::fs::write(file, b"{not json").unwrap()),
        ("truncated", |file| {
            let length = std::fs::metadata(file).unwrap().len();
            std::fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
        }),
        ("flipped", |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            std::fs::write(file, bytes).unwrap();
        }),
        ("gone", |file| std::fs::remove_file(file).unwrap()),
        ("empty", |file| std::fs::write(file, b"").unwrap()),
    ];
    for (damage, hurt) in damages {
        for ending in ["meta.json", ".term", ".idx", ".store", ".fast"] {
            let folder = tempfile::tempdir().unwrap();
            drop(with_vectors(folder.path()));
            let files = std::fs::read_dir(folder.path().join("text")).unwrap().map(|entry| entry.unwrap().path());
            let file = files.into_iter().find(|file| file.to_string_lossy().ends_with(ending)).unwrap();
            hurt(&file);
            let index = open(folder.path());
            assert!(
                matches!(index.opened(), Opened::Rebuilt { reason } if !reason.is_empty()),
                "{ending} {damage}: {:?}",
                index.opened()
            );
            assert_eq!((index.checkpoint(), index.stats().vectors), (None, 5));
            index.apply(Batch { put: books(), remove: Vec::new() }, Some("again")).unwrap();
            assert_eq!(ask(&index, "dune")[0], 3);
        }
    }
}

#[test]
fn vectors_are_cut_to_what_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    drop(with_vectors(folder.path()));
    let file = folder.path().join("vectors.bin");
    let whole = std::fs::read(&file).unwrap();
    let header = 16 + 3 + 4;
    let record = 4 + 1 + 16 + 8 + 16;
    assert_eq!(whole.len(), header + 5 * record);
    for length in header..whole.len() {
        std::fs::write(&file, &whole[..length]).unwrap();
        let index = open(folder.path());
        let vectors = (length - header) / record;
        let cut = ((length - header) % record) as u64;
        assert_eq!(index.vectors_opened(), VectorsOpened::Resumed { vectors, cut });
        assert_eq!(std::fs::metadata(&file).unwrap().len(), (header + vectors * record) as u64);
    }
    let mut flipped = whole.clone();
    flipped[header + record + 30] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    assert_eq!(open(folder.path()).vectors_opened(), VectorsOpened::Resumed { vectors: 1, cut: 4 * record as u64 });
    for length in [0, 5, header - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let index = open(folder.path());
        assert!(matches!(index.vectors_opened(), VectorsOpened::Discarded { .. }), "{length}");
        index.put_vectors(&[(id(1), 1, vec![1.0; 4])]).unwrap();
    }
    assert_eq!(open(folder.path()).vectors_opened(), VectorsOpened::Resumed { vectors: 1, cut: 0 });
}

// ------------------------------------------------------------------------------------------------------- properties

fn opinion() -> impl Strategy<Value = Option<Opinion>> {
    proptest::option::of((1..500_u32, 0.0..10.0_f32).prop_map(|(rank, score)| Opinion { rank, score }))
}

fn fusion() -> impl Strategy<Value = Fusion> {
    let weight = 0.0..3.0_f32;
    prop_oneof![
        (1.0..100.0_f32, weight.clone(), weight.clone())
            .prop_map(|(k, text_weight, meaning_weight)| Fusion::Reciprocal { k, text_weight, meaning_weight }),
        (weight.clone(), weight)
            .prop_map(|(text_weight, meaning_weight)| Fusion::Weighted { text_weight, meaning_weight }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_better_opinion_never_lowers_the_score(
        fusion in fusion(), text in opinion(), meaning in opinion(), better in 1..400_u32, more in 0.0..5.0_f32,
    ) {
        let span = Span { low: 0.0, high: 10.0 };
        let score = |text, meaning| fusion.score(text, meaning, span, span);
        let improve = |opinion: Option<Opinion>| opinion.map(|Opinion { rank, score }| {
            Opinion { rank: rank.saturating_sub(better).max(1), score: score + more }
        });
        let before = score(text, meaning);
        prop_assert!(before.is_finite() && before >= 0.0);
        prop_assert!(score(improve(text), meaning) >= before - 1e-6);
        prop_assert!(score(text, improve(meaning)) >= before - 1e-6);
        prop_assert!(score(None, meaning) <= before + 1e-6, "being found never harms");
        prop_assert!(score(text, None) <= before + 1e-6);
    }
}

/// A document: its number, words, subject, year and vector.
type Small = (u8, Vec<&'static str>, &'static str, i64, [i8; 4]);

/// A world of small documents, and one question.
#[derive(Clone, Debug)]
struct World {
    documents: Vec<Small>,
    text: Vec<&'static str>,
    vector: [i8; 4],
    subjects: Vec<&'static str>,
    years: (i64, i64),
    fusion: Fusion,
}

const WORDS: [&str; 6] = ["red", "green", "blue", "night", "river", "stone"];
const SUBJECTS: [&str; 3] = ["a", "b", "c"];

fn world() -> impl Strategy<Value = World> {
    let words = proptest::collection::vec(proptest::sample::select(&WORDS[..]), 1..6);
    let subject = proptest::sample::select(&SUBJECTS[..]);
    let vector = proptest::array::uniform4(-5..6_i8).prop_filter("no direction", |v| v.iter().any(|n| *n != 0));
    let document = (0..30_u8, words.clone(), subject.clone(), 0..10_i64, vector.clone());
    (
        proptest::collection::vec(document, 1..25),
        words,
        vector,
        proptest::collection::vec(subject, 0..3),
        (0..10_i64, 0..10_i64),
        fusion(),
    )
        .prop_map(|(documents, text, vector, subjects, years, fusion)| World {
            documents,
            text,
            vector,
            subjects,
            years,
            fusion,
        })
}

fn floats(vector: [i8; 4]) -> Vec<f32> {
    vector.iter().map(|number| f32::from(*number)).collect()
}

/// In several commits, so that there are several segments.
fn populate(index: &Index, world: &World, order: impl Iterator<Item = usize>) {
    index.clear().unwrap();
    let order: Vec<usize> = order.collect();
    for some in order.chunks(9) {
        let mut batch = Batch::default();
        let mut vectors = Vec::new();
        for (number, words, subject, year, vector) in some.iter().map(|at| &world.documents[*at]) {
            let id = id(u128::from(*number));
            let document = Document::new(id).text("title", words.join(" "));
            batch.put.push(document.keyword("subject", *subject).number("year", *year));
            vectors.push((id, 1, floats(*vector)));
        }
        index.apply(batch, None).unwrap();
        index.put_vectors(&vectors).unwrap();
    }
}

#[test]
fn filtering_is_done_before_ranking_and_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(world in world())| {
        populate(&index, &world, 0..world.documents.len());
        let filters = vec![
            Filter::keyword("subject", world.subjects.clone()),
            Filter::number("year", Some(world.years.0), Some(world.years.1)),
        ];
        let text = Request {
            text: Some(Words::new(world.text.join(" ")).minimum(Minimum::Any).fuzziness(Fuzziness::Never).into()),
            limit: 100,
            ..Request::default()
        };
        let meaning = Request { meaning: Some(Meaning::new(floats(world.vector))), limit: 100, ..Request::default() };
        for request in [text.clone(), meaning.clone()] {
            let all = index.search(&request).unwrap();
            let passes = |number: &u128| {
                // The last document of an id counts.
                let document = world.documents.iter().rev().find(|document| u128::from(document.0) == *number).unwrap();
                world.subjects.contains(&document.2) && (world.years.0..=world.years.1).contains(&document.3)
            };
            let expected: Vec<u128> = ids(&all).into_iter().filter(passes).collect();
            let filtered = index.search(&Request { filters: filters.clone(), ..request.clone() }).unwrap();
            prop_assert_eq!(ids(&filtered), expected);
            prop_assert_eq!(filtered.total, filtered.hits.len());
            let scores = |response: &Response| -> std::collections::HashMap<Uuid, Option<f32>> {
                response.hits.iter().map(|hit| (hit.id, hit.text.or(hit.meaning).map(|side| side.score))).collect()
            };
            let before = scores(&all);
            for (id, score) in scores(&filtered) {
                prop_assert_eq!(score, before[&id], "a filter changes no score");
            }
        }
        let not: Vec<Filter> = filters.iter().map(|filter| Filter::Not(Box::new(filter.clone()))).collect();
        let count = |filters: Vec<Filter>| index.search(&Request { filters, ..text.clone() }).unwrap().total;
        prop_assert_eq!(count(vec![filters[0].clone()]) + count(vec![not[0].clone()]), count(Vec::new()));
    });
}

#[test]
fn the_order_in_which_things_come_does_not_matter() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (open(one.path()), open(other.path()));
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(world in world())| {
        let mut world = world;
        world.documents.sort_by_key(|document| document.0);
        world.documents.dedup_by_key(|document| document.0);
        populate(&one, &world, 0..world.documents.len());
        populate(&other, &world, (0..world.documents.len()).rev());
        let request = Request {
            text: Some(Words::new(world.text.join(" ")).minimum(Minimum::Any).fuzziness(Fuzziness::Never).into()),
            meaning: Some(Meaning::new(floats(world.vector))),
            fusion: world.fusion,
            limit: 100,
            ..Request::default()
        };
        let (a, b) = (one.search(&request).unwrap(), other.search(&request).unwrap());
        prop_assert_eq!(ids(&a), ids(&b));
        for pair in a.hits.windows(2) {
            prop_assert!(
                pair[0].score > pair[1].score || (pair[0].score == pair[1].score && pair[0].id < pair[1].id),
                "best first, ties by id"
            );
        }
        let mut pages = Vec::new();
        for offset in (0..a.total).step_by(3) {
            pages.extend(ids(&one.search(&Request { offset, limit: 3, ..request.clone() }).unwrap()));
        }
        prop_assert_eq!(pages, ids(&a), "pages are the whole in pieces");
    });
}

#[test]
fn of_what_has_too_few_words_only_the_best_matches() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    // Two with both words, in long texts; ten with one of them, in ever longer texts, half of them in French.
    let text = |words: &str, more: usize| format!("{words} {}", "other ".repeat(more));
    let mut put: Vec<Document> = (0..2)
        .map(|n| Document::new(id(n)).text("about", text("lighthouse keeper", 40)).keyword("language", "en"))
        .collect();
    put.extend((2..12).map(|n| {
        let language = if n % 2 == 0 { "fr" } else { "en" };
        Document::new(id(n)).text("about", text("lighthouse", n as usize)).keyword("language", language)
    }));
    index.apply(Batch { put, ..Batch::default() }, None).unwrap();
    let ask = |loosely, best, filters: Vec<Filter>| {
        let minimum = Minimum::ShareOrBest { share: 0.9, loosely, best };
        let text = Words::new("lighthouse keeper").minimum(minimum).fuzziness(Fuzziness::Never);
        let facets = vec![Facet::values("language", 10)];
        index.search(&Request { filters, facets, limit: 20, ..words(text) }).unwrap()
    };
    assert_eq!(ids(&ask(0.0, 5, Vec::new())), [0, 1, 2, 3, 4]);
    assert_eq!(ids(&ask(0.0, 0, Vec::new())), [0, 1], "what has the words is there however few may be there beside it");
    assert_eq!(ids(&ask(0.0, 1, Vec::new())), [0, 1]);
    assert_eq!(ask(0.0, 100, Vec::new()).total, 12);
    assert_eq!(ask(0.8, 100, Vec::new()).total, 2, "one common word is not enough");
    let whole = ask(0.0, 5, Vec::new());
    let french = ask(0.0, 5, vec![Filter::keyword("language", ["fr"])]);
    assert_eq!(whole.facets[0].values, [("en".to_owned(), 3), ("fr".to_owned(), 2)]);
    assert_eq!(ids(&french), [2, 4], "a filter leaves what its facet counted");
}

#[test]
fn what_belongs_to_the_best_matches_too() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let volume = |n: u128, title: &str, about: &str, series: &str, language: &str| {
        let volume = Document::new(id(n)).text("title", title).text("about", about).keyword("language", language);
        if series.is_empty() { volume } else { volume.keyword("subject", series) }
    };
    let put = vec![
        volume(1, "Dead Simple", "Roy Grace looks for a man in a coffin", "brighton", "en"),
        volume(2, "Looking Good Dead", "A father finds a disc on the train", "brighton", "en"),
        volume(3, "Mort très proche", "Un père trouve un disque", "brighton", "fr"),
        volume(4, "By Grace", "A memoir of one who was saved", "memoirs", "en"),
        volume(5, "Gardens", "Roses all year", "", "en"),
    ];
    index.apply(Batch { put, ..Batch::default() }, None).unwrap();
    let ask = |weight, filters| {
        let kin = Some(Kin { field: "subject".to_owned(), documents: 1, weight });
        let facets = vec![Facet::values("language", 10)];
        let text = Words::new("roy grace").minimum(Minimum::Share(0.9)).fuzziness(Fuzziness::Never);
        index.search(&Request { kin, filters, facets, explain: true, ..words(text) }).unwrap()
    };
    let found = ask(0.5, Vec::new());
    assert_eq!(ids(&found), [1, 2, 3], "the volumes that do not name him come after the one that does");
    assert_eq!((found.total, found.text_total), (3, 3));
    assert_eq!(found.hits[1].reasons[0].what, "subject of the best");
    assert!((found.hits[1].score - 0.5 * found.hits[0].score).abs() < 1e-4);
    assert_eq!(found.facets[0].values, [("en".to_owned(), 2), ("fr".to_owned(), 1)]);
    assert_eq!(
        ids(&ask(0.5, vec![Filter::keyword("language", ["fr"])])),
        [3],
        "a filter leaves what its facet counted"
    );
    assert_eq!(ids(&ask(0.0, Vec::new())), [1], "of no worth, no match");
    assert_eq!(ids(&ask(f32::NAN, Vec::new())), [1]);
    let unknown = Kin { field: "isbn".to_owned(), documents: 1, weight: 1.0 };
    let refused = index.search(&Request { kin: Some(unknown), ..words(Words::new("grace")) });
    assert!(matches!(refused, Err(SearchError::UnknownField { .. })), "{refused:?}");
    let many = Kin { field: "subject".to_owned(), documents: limits::KIN + 1, weight: 1.0 };
    let refused = index.search(&Request { kin: Some(many), ..words(Words::new("grace")) });
    assert!(matches!(refused, Err(SearchError::TooMuch(_))), "{refused:?}");
}

#[test]
fn a_short_page_under_priors_is_the_beginning_of_a_long_one() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let put = (0..300_u32).map(|n| {
        let about = format!("lighthouse {}", "other ".repeat((n * 37 % 41) as usize));
        Document::new(id(u128::from(n))).text("about", about).number("sold", i64::from(n * 7919 % 1_000))
    });
    index.apply(Batch { put: put.collect(), ..Batch::default() }, None).unwrap();
    for weight in [0.0, 0.3, 5.0, -0.5, -1.5] {
        let priors =
            vec![Prior { field: "sold".to_owned(), curve: Curve::Log { full: 1_000.0 }, text: weight, meaning: 0.0 }];
        let ask = |limit| {
            let request = Request { limit, priors: priors.clone(), ..words(Words::new("lighthouse")) };
            ids(&index.search(&request).unwrap())
        };
        assert_eq!(ask(10), ask(300)[..10], "{weight}");
    }
}

// ------------------------------------------------------------------------------------------------------------ crash

const CHILD: &str = "BOOKWORM_SEARCH_CRASH_FOLDER";

#[test]
fn what_a_killed_commit_left_behind_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    let document = |number: u128| Document::new(id(number)).text("title", format!("number {number}"));
    open(folder.path()).apply(Batch { put: vec![document(1), document(2)], ..Batch::default() }, Some("1")).unwrap();
    // Killed between writing which documents of a segment are deleted and saying that they are: the engine's list of
    // files has the name, and the next commit will want it.
    let list = text.join(".managed.json");
    let mut names: Vec<String> = serde_json::from_slice(&std::fs::read(&list).unwrap()).unwrap();
    let segment = names.iter().find_map(|name| name.strip_suffix(".store")).unwrap().to_owned();
    let left: Vec<String> = (1..20).map(|stamp| format!("{segment}.{stamp}.del")).collect();
    left.iter().for_each(|name| std::fs::write(text.join(name), "half").unwrap());
    names.extend(left.iter().cloned());
    std::fs::write(&list, serde_json::to_vec(&names).unwrap()).unwrap();

    let index = open(folder.path());
    assert_eq!(index.opened(), &Opened::Resumed);
    index.apply(Batch { remove: vec![id(1)], ..Batch::default() }, Some("2")).unwrap();
    assert_eq!(index.stats().documents, 1);
    let kept = left.iter().filter(|name| text.join(name).exists()).count();
    assert_eq!(kept, 1, "only the new one");
}

/// Not a test of its own: [`whatever_the_moment_of_death_a_commit_is_whole`] runs it in a process that it kills. Batch
/// `n` puts documents `n` and `n % 7` as version `n` and removes `n - 10`; it says its number once it is durable.
#[test]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let index = open(Path::new(&folder));
    let mut out = std::io::stdout();
    let begin: u64 = index.checkpoint().map_or(0, |checkpoint| checkpoint.parse().unwrap());
    for n in begin + 1.. {
        let document = |number: u64| {
            Document::new(id(u128::from(number))).text("title", format!("number {number}")).number("year", n as i64)
        };
        let batch = Batch {
            put: vec![document(n + 100), document(n % 7)],
            remove: n.checked_sub(10).map(|old| id(u128::from(old + 100))).into_iter().collect(),
        };
        index.put_vectors(&[(id(u128::from(n + 100)), n, vec![n as f32, 1.0, 0.0, 0.0])]).unwrap();
        if n % 5 == 0 {
            let mut bulk = index.bulk().unwrap();
            bulk.add(batch).unwrap();
            bulk.finish(Some(&n.to_string())).unwrap();
        } else {
            index.apply(batch, Some(&n.to_string())).unwrap();
        }
        writeln!(out, "durable {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn whatever_the_moment_of_death_a_commit_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    let mut last = 0_u64;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // The first thing it says shows that it works; then it has up to a tenth of a second.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = last;
        let mut note = |line: String| {
            if let Some(number) = line.strip_prefix("durable ").or_else(|| line.split("durable ").nth(1)) {
                said = number.trim().parse().unwrap();
                true
            } else {
                false
            }
        };
        while !note(lines.next().expect("the child stopped by itself").unwrap()) {}
        std::thread::sleep(Duration::from_micros(random % 100_000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            note(line);
        }

        let index = open(folder.path());
        assert_eq!(index.opened(), &Opened::Resumed, "round {round}");
        let n: u64 = index.checkpoint().unwrap().parse().unwrap();
        assert!(n >= said, "round {round}: batch {said} was said to be durable, and {n} is what is there");
        last = n;
        let mut expected: Vec<(u128, i64)> =
            (n.saturating_sub(9).max(1)..=n).map(|k| (u128::from(k + 100), k as i64)).collect();
        for slot in 0..7 {
            if let Some(k) = (1..=n).rev().find(|k| k % 7 == slot) {
                expected.push((u128::from(slot), k as i64));
            }
        }
        expected.sort_unstable();
        let mut found: Vec<(u128, i64)> = expected
            .iter()
            .filter(|(number, year)| {
                let filters = vec![Filter::Ids(vec![id(*number)]), Filter::number("year", Some(*year), Some(*year))];
                index.search(&Request { filters, ..Request::default() }).unwrap().total == 1
            })
            .copied()
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "round {round}");
        assert_eq!(index.stats().documents, expected.len(), "round {round}: nothing but what the checkpoint says");
        // A vector is durable before its batch is said.
        let vectors = index.stats().vectors as u64;
        assert!(vectors == n || vectors == n + 1, "round {round}: {vectors} vectors after batch {n}");
        for k in 1..=n {
            assert_eq!(index.fingerprint(id(u128::from(k + 100))), Some(k), "round {round}");
        }
        let vector = index.vector(id(u128::from(n + 100))).unwrap().unwrap();
        assert!((vector[0] / vector[1] - n as f32).abs() < n as f32 * 1e-4);
    }
}
