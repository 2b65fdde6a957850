//! What comes first because of how a query was understood, and values that are spelt like a text.

use super::*;

fn dune(preferences: Vec<Preference>) -> Request {
    Request { text: Some(Words::new("dune").into()), preferences, ..Request::default() }
}

#[test]
fn what_is_preferred_comes_first_and_what_is_brought_matches() {
    let folder = tempfile::tempdir().unwrap();
    let index = with_vectors(folder.path());
    assert_eq!(ids(&index.search(&dune(vec![])).unwrap()), [3, 4]);
    let of = |from, to| vec![Filter::number("year", Some(from), Some(to))];
    // Of what matches the later one; what does not match stays away.
    let response = index.search(&dune(vec![Preference::new(of(1966, 1990), 5.0)])).unwrap();
    assert_eq!((ids(&response), response.total), (vec![4, 3], 2));
    // Behind the others.
    let behind = Preference::new(vec![Filter::Ids(vec![id(3)])], -5.0);
    assert_eq!(ids(&index.search(&dune(vec![behind])).unwrap()), [4, 3]);
    // All of these, in an order of their own, whether they have the word or not.
    let order = Preference::new(of(1930, 1960), 5.0).bringing().by("sold", Curve::Log { full: 1_000.0 }, 1.0);
    let response = index.search(&dune(vec![order.clone()])).unwrap();
    assert_eq!((ids(&response), response.total), (vec![2, 1, 5, 3, 4], 5));
    let upside_down = Preference { by: order.by.clone().map(|by| Order { weight: -1.0, ..by }), ..order.clone() };
    assert_eq!(ids(&index.search(&dune(vec![upside_down])).unwrap())[..3], [5, 1, 2]);
    // Filters still hold, on both sides of the search, and pages follow each other.
    let meaning = Some(Meaning { minimum: 0.5, ..Meaning::new(vec![0.0, 0.0, 10.0, 1.0]) });
    let filters = vec![Filter::keyword("language", ["en"])];
    let request = Request { meaning, filters, ..dune(vec![order]) };
    let all = ids(&index.search(&request).unwrap());
    assert_eq!(all[..2], [2, 1], "{all:?}");
    assert!(!all.contains(&5));
    let pages =
        (0..all.len()).flat_map(|offset| ids(&index.search(&Request { offset, limit: 1, ..request.clone() }).unwrap()));
    assert_eq!(pages.collect::<Vec<_>>(), all);
}

#[test]
fn what_is_preferred_for_certain_is_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let index = with_vectors(folder.path());
    let words = Words::new("dune spice").sure(Sure::Share(1.0)).fuzziness(Fuzziness::Never);
    let brought = Preference::new(vec![Filter::Ids(vec![id(1)])], 5.0).bringing();
    let request = Request { text: Some(words.into()), preferences: vec![brought], ..Request::default() };
    let response = index.search(&request).unwrap();
    let sure: Vec<bool> = response.hits.iter().map(|hit| hit.sure).collect();
    assert_eq!((response.sure, sure[..2].to_vec(), ids(&response)[0]), (Some(2), vec![true, true], 1));
    let many = vec![Preference::new(vec![], 1.0); limits::PREFERENCES + 1];
    assert!(matches!(index.search(&dune(many)), Err(SearchError::TooMuch(_))));
    let unknown = Preference::new(vec![Filter::keyword("colour", ["red"])], 1.0);
    assert!(matches!(index.search(&dune(vec![unknown])), Err(SearchError::UnknownField { .. })));
}

#[test]
fn values_are_found_by_what_they_are_spelt_like() {
    let folder = tempfile::tempdir().unwrap();
    let index = with_vectors(folder.path());
    let like = |text: &str, edits| index.values_like("subject", text, edits).unwrap();
    assert_eq!(like("fantasy", 0), [("fantasy".to_owned(), 0)]);
    assert_eq!(like("fantsay", 1), [("fantasy".to_owned(), 1)]);
    assert_eq!(like("fantsay", 0), []);
    assert_eq!(like("sciencefiction", 2), [("science fiction".to_owned(), 1)]);
    index.apply(Batch { put: Vec::new(), remove: vec![id(3), id(4), id(6)] }, None).unwrap();
    assert_eq!(like("sciencefiction", 2), [], "of documents that are gone nothing is found");
    assert!(matches!(index.values_like("isbn", "1", 1), Err(SearchError::UnknownField { .. })));
}
