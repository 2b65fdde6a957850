//! Pieces of a text, those that match marked.

use std::collections::HashMap;

use rust_stemmers::Stemmer;

use crate::{
    Highlighted, Language, Piece,
    analysis::{self, Beginnings, Word},
    evaluate::Marks,
};

/// Marks words in many texts of one field.
pub(crate) struct Marker<'a> {
    field: &'a str,
    marks: &'a Marks,
    stemmer: Option<Stemmer>,
    /// Of the words that can be marked, where those of their stems are known.
    beginnings: Option<Beginnings>,
    /// Whether the stem of a word is marked: texts that match one query have many words in common.
    known: HashMap<String, bool>,
    /// How many characters are returned of a text at most.
    most: usize,
}

impl<'a> Marker<'a> {
    pub(crate) fn new(field: &'a str, stems: Option<Language>, marks: &'a Marks, most: usize) -> Self {
        // Stemmers of other languages take beginnings away as well: there every word is stemmed.
        let keeps_beginnings = stems.is_none_or(|language| language == Language::English);
        let beginnings = keeps_beginnings.then(|| Beginnings::of(marks.words.iter().chain(&marks.stems)));
        let stemmer = stems.map(Stemmer::create);
        Self { field, marks, stemmer, beginnings, known: HashMap::new(), most: most.max(1) }
    }

    fn is_marked(&mut self, form: &str) -> bool {
        // They are few: comparing is faster than hashing.
        if self.marks.words.iter().any(|word| word == form) {
            return true;
        }
        let (Some(stemmer), stems) = (&self.stemmer, &self.marks.stems) else { return false };
        if self.beginnings.is_some() && !stems.iter().any(|stem| may_become(form, stem)) {
            return false;
        }
        if let Some(known) = self.known.get(form) {
            return *known;
        }
        let stem = stemmer.stem(form);
        let marked = stems.iter().any(|other| *other == stem);
        self.known.insert(form.to_owned(), marked);
        marked
    }

    /// A document's text with its matching words marked; of a long one the passage with the most different ones.
    pub(crate) fn mark(&mut self, text: &str) -> Highlighted {
        let mut words = match &self.beginnings {
            Some(beginnings) => analysis::words_beginning(text, beginnings),
            None => analysis::words(text),
        };
        words.retain(|word| word.forms.iter().any(|form| self.is_marked(form)));
        cut_out(self.field, text, &words, self.most)
    }
}

/// The passage with the most different hits, in pieces.
fn cut_out(field: &str, text: &str, hits: &[Word], most: usize) -> Highlighted {
    let (from, to) = passage(text, hits, most);
    let mut pieces = Vec::new();
    let mut at = from;
    let mut push = |text: &str, hit: bool| {
        if !text.is_empty() {
            pieces.push(Piece { text: text.to_owned(), hit });
        }
    };
    for hit in hits.iter().filter(|hit| hit.start >= from && hit.end <= to) {
        // Pairs of Chinese characters overlap.
        let start = hit.start.max(at);
        if start >= hit.end {
            continue;
        }
        push(&text[at..start], false);
        push(&text[start..hit.end], true);
        at = hit.end;
    }
    push(&text[at..to], false);
    Highlighted { field: field.to_owned(), pieces, cut_before: from > 0, cut_after: to < text.len() }
}

/// Whether a word may have this stem: a stemmer for English changes two of the letters that it leaves at most, the last
/// ones (ability, abl; dying, die). Asking first is many times as fast as stemming every word of a text.
fn may_become(word: &str, stem: &str) -> bool {
    let length = stem.len().saturating_sub(2).max(1).min(stem.len());
    word.as_bytes().starts_with(&stem.as_bytes()[..length])
}

/// The bytes of the passage, at borders of words where there are any.
fn passage(text: &str, hits: &[Word], most: usize) -> (usize, usize) {
    if text.len() <= most || text.chars().nth(most).is_none() {
        return (0, text.len());
    }
    // Bytes for characters: right for Latin, and shorter than allowed elsewhere.
    let mut best = (0, 0);
    for (at, first) in hits.iter().enumerate() {
        let mut different: Vec<&str> = Vec::new();
        let mut score = 0;
        for hit in hits[at..].iter().take_while(|hit| hit.end - first.start <= most * 3 / 4) {
            let word = hit.forms[0].as_str();
            score += if different.contains(&word) { 1 } else { 4 };
            different.push(word);
        }
        if score > best.0 {
            best = (score, first.start);
        }
    }
    let wanted = best.1.saturating_sub(most / 8);
    let mut from = if wanted == 0 { 0 } else { text.ceil_char_boundary(wanted) };
    if from > 0
        && let Some(space) = text[from..best.1.max(from)].find(' ')
    {
        from += space + 1;
    }
    let mut to = text[from..].char_indices().nth(most).map_or(text.len(), |(at, _)| from + at);
    if to < text.len()
        && let Some(space) = text[from..to].rfind(' ').filter(|space| *space > most / 2)
    {
        to = from + space;
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn highlight(field: &str, text: &str, stems: Option<Language>, marks: &Marks, most: usize) -> Highlighted {
        Marker::new(field, stems, marks, most).mark(text)
    }

    fn marks(words: &[&str]) -> Marks {
        Marks { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Marks::default() }
    }

    #[test]
    fn a_long_text_is_cut_around_its_matches() {
        let text = format!("{} the lighthouse keeper lived alone {}", "word ".repeat(200), "more ".repeat(200));
        let found = highlight("about", &text, None, &marks(&["lighthouse", "keeper"]), 80);
        assert!(found.cut_before && found.cut_after);
        let whole: String = found.pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert!(text.contains(&whole) && whole.chars().count() <= 80, "{whole:?}");
        let hits: Vec<&str> = found.pieces.iter().filter(|piece| piece.hit).map(|piece| piece.text.as_str()).collect();
        assert_eq!(hits, ["lighthouse", "keeper"]);
    }

    #[test]
    fn what_is_asked_before_stemming_leaves_no_stem_out() {
        let stemmer = Stemmer::create(Language::English);
        let beginnings = ["", "d", "di", "sk", "hop", "abil", "conform", "y", "by", "qu", "eed", "generat"];
        let endings = [
            "", "y", "ying", "ied", "ies", "ational", "ization", "iviti", "ity", "fulness", "ously", "bli", "ably",
            "ency", "ogy", "icate", "edly", "ingly", "s", "sses", "ability", "eed", "ement", "ll", "e",
        ];
        for word in beginnings.iter().flat_map(|start| endings.map(|end| format!("{start}{end}"))) {
            let stem = stemmer.stem(&word);
            assert!(may_become(&word, &stem), "{word}: {stem}");
            let found = analysis::words_beginning(&word, &Beginnings::of([stem.to_string()].iter()));
            assert_eq!(found, analysis::words(&word), "{word}: {stem}");
        }
    }

    #[test]
    fn a_stemmer_may_take_a_beginning_away() {
        let marks = Marks { stems: ["كتاب".to_owned()].into(), ..Marks::default() };
        let found = highlight("title", "الكتاب", Some(Language::Arabic), &marks, 80);
        assert_eq!(found.pieces, [Piece { text: "الكتاب".to_owned(), hit: true }]);
    }

    #[test]
    fn a_short_text_is_whole_and_accents_stay() {
        let found = highlight("title", "L'Étranger <b>", None, &marks(&["etranger"]), 80);
        assert_eq!(
            found.pieces,
            [Piece { text: "L'Étranger".to_owned(), hit: true }, Piece { text: " <b>".to_owned(), hit: false }]
        );
    }
}
