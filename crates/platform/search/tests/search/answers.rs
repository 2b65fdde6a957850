//! Facets, order, marks and reasons.

use super::*;

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
