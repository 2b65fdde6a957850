//! How words find documents.

use super::*;

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
