//! Misspelt words, and texts that complete what is typed.

use super::*;

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
        let texts = |list: Vec<Suggestion>| list.into_iter().map(|found| (found.text, found.tolerated)).collect();
        found.into_iter().map(texts).collect()
    };
    let is = |text: &str, tolerated| (text.to_owned(), tolerated);
    assert_eq!(each("tolk"), [vec![], vec![is("J.R.R. Tolkien", false)]], "no likeness where one kind begins so");
    assert_eq!(each("hobib"), [vec![is("The Hobbit", true)], vec![]]);
    assert_eq!(each("the")[0].len(), 2);
    assert_eq!(each(" "), [vec![], vec![]]);
    assert!(ask("", &[]).is_empty() && ask("   ", &[]).is_empty() && ask("zzzz", &[]).is_empty());
}
