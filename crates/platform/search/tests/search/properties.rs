//! What holds for any documents and queries.

use super::*;

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
        let related = Some(Related { field: "subject".to_owned(), documents: 1, weight });
        let facets = vec![Facet::values("language", 10)];
        let text = Words::new("roy grace").minimum(Minimum::Share(0.9)).fuzziness(Fuzziness::Never);
        index.search(&Request { related, filters, facets, explain: true, ..words(text) }).unwrap()
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
    let unknown = Related { field: "isbn".to_owned(), documents: 1, weight: 1.0 };
    let refused = index.search(&Request { related: Some(unknown), ..words(Words::new("grace")) });
    assert!(matches!(refused, Err(SearchError::UnknownField { .. })), "{refused:?}");
    let many = Related { field: "subject".to_owned(), documents: limits::RELATED + 1, weight: 1.0 };
    let refused = index.search(&Request { related: Some(many), ..words(Words::new("grace")) });
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
