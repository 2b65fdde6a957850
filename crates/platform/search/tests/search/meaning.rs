//! Vectors: what they find, and how they are stored.

use super::*;

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
