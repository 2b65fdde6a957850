//! What counts for each word of a query: the terms that stand for it, by field, and how much the word weighs.

use std::{collections::HashMap, sync::Arc};

use rust_stemmers::Stemmer;
use tantivy::postings::TermInfo;

use super::{Evaluator, add};
use crate::{
    Fuzziness, Result, Words,
    analysis::{self, Word},
    english,
    limits::{EXPANSIONS, QUERY_CHARACTERS, QUERY_WORDS},
    lock::read,
    vocabulary::Alike,
};

/// What a match by a form that is not the word itself is worth: a part of a word with an apostrophe, a hyphenated whole.
const FORM: f32 = 0.9;
/// What a match by the beginning of a longer word is worth.
const PREFIX: f32 = 0.7;
/// What a match by likeness is worth before its edits are counted; always less than an exact one.
const FUZZY: f32 = 0.85;
/// Letters of the shortest word that two may stand for, when documents have those two.
const JOINED: usize = 6;
/// Of so many documents one may have a word by mistake.
const RARE: u64 = 10_000;
/// Terms that are looked through for the commonest ones with a prefix.
const PREFIX_SCAN: usize = 2_000;

/// A term of a field that counts for a word.
pub(super) struct Clause {
    pub(super) field: usize,
    pub(super) stems: bool,
    pub(super) term: String,
    pub(super) weight: f32,
    pub(super) how: How,
    /// By segment, where the segment has it.
    pub(super) lists: Vec<(usize, TermInfo)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Typed,
    Stem,
    Prefix,
    Fuzzy,
    Synonym,
}

/// A word of the query and everything that counts for it.
pub(super) struct Concept {
    pub(super) word: String,
    pub(super) clauses: Vec<Clause>,
    /// Phrases that stand for it: documents, weight, text.
    pub(super) phrases: Vec<(Vec<u32>, f32, String)>,
    pub(super) idf: f32,
    /// In how many documents of its commonest field, as typed or by synonym.
    pub(super) frequency: u64,
}

pub(super) struct Plan {
    pub(super) typed: Vec<Word>,
    pub(super) fields: Vec<(usize, f32)>,
    pub(super) concepts: Vec<Concept>,
}

/// Which words may be misspelt.
#[derive(Clone, Copy)]
pub(super) enum Which {
    /// Those that no fuzzy field has, and hardly another.
    Unknown,
    /// Those that nothing has, in any form.
    Missing,
    /// Every one that is long enough.
    All,
}

impl Evaluator<'_> {
    /// Everything that counts for the words. `None` when there are no words.
    pub(super) fn plan(&mut self, words: &Words) -> Result<Option<Plan>> {
        let typed = analysis::words(cut(&words.text));
        let fields = self.fields(&words.fields)?;
        if typed.is_empty() || fields.is_empty() {
            return Ok(None);
        }
        let is_stop = |word: &Word| words.stop_words.contains(&word.forms[0]);
        let only_stops = typed.iter().all(is_stop);
        let mut counted: Vec<usize> = Vec::new();
        for (at, word) in typed.iter().enumerate() {
            let is_repeat = counted.iter().any(|other: &usize| typed[*other].forms == word.forms);
            if (only_stops || !is_stop(word)) && !is_repeat {
                counted.push(at);
            }
        }
        let mut concepts = Vec::with_capacity(counted.len());
        for at in &counted {
            concepts.push(self.concept(&typed[*at], &fields)?);
        }
        self.expand_synonyms(words, &typed, &counted, &fields, &mut concepts)?;
        self.join(&typed, &fields, &mut concepts)?;
        for concept in &mut concepts {
            self.part(&fields, concept)?;
        }
        if words.prefix
            && let (Some(last), Some(concept)) = (typed.last(), concepts.last_mut())
            && counted.last() == Some(&(typed.len() - 1))
        {
            self.expand_prefix(&last.forms[0], &fields, concept)?;
        }
        if concepts.len() > QUERY_WORDS {
            concepts.sort_by_key(|concept| (concept.frequency == 0, concept.frequency));
            concepts.truncate(QUERY_WORDS);
        }
        let mut plan = Plan { typed, fields, concepts };
        match words.fuzziness {
            Fuzziness::Never => {}
            Fuzziness::Always => {
                self.tolerate(words, &mut plan, Which::All)?;
            }
            Fuzziness::WhenFewer(_) => {
                self.tolerate(words, &mut plan, Which::Unknown)?;
            }
        }
        self.weigh(words, &mut plan);
        Ok(Some(plan))
    }

    pub(super) fn commonest(&self, clauses: &[Clause]) -> u64 {
        let frequency = |clause: &Clause| clause.lists.iter().map(|(_, info)| u64::from(info.doc_freq)).sum::<u64>();
        clauses.iter().map(frequency).max().unwrap_or(0)
    }

    pub(super) fn concept(&self, word: &Word, fields: &[(usize, f32)]) -> Result<Concept> {
        let mut clauses = Vec::new();
        for (at, form) in word.forms.iter().enumerate() {
            let weight = if at == 0 { 1.0 } else { FORM };
            self.clauses(form, fields, weight, How::Typed, true, &mut clauses)?;
        }
        let typed: Vec<&Clause> = clauses.iter().filter(|clause| !clause.stems).collect();
        let frequency = |clause: &Clause| clause.lists.iter().map(|(_, info)| u64::from(info.doc_freq)).sum::<u64>();
        let frequency = typed.into_iter().map(frequency).max().unwrap_or(0);
        Ok(Concept { word: word.forms[0].clone(), clauses, phrases: Vec::new(), idf: 0.0, frequency })
    }

    /// The term in every field, by the word and by its stem.
    pub(super) fn clauses(
        &self,
        term: &str,
        fields: &[(usize, f32)],
        weight: f32,
        how: How,
        with_stems: bool,
        out: &mut Vec<Clause>,
    ) -> Result<()> {
        for (field, boost) in fields {
            let options = &self.schema.0.texts[*field].options;
            let mut lists = Vec::new();
            for (at, segment) in self.snapshot.segments.iter().enumerate() {
                lists.extend(segment.data.texts[*field].words.find(term)?.map(|info| (at, info)));
            }
            if !lists.is_empty() {
                let term = term.to_owned();
                out.push(Clause { field: *field, stems: false, term, weight: weight * boost, how, lists });
            }
            let Some(language) = options.stem.filter(|_| with_stems) else { continue };
            for stem in english::stems(&Stemmer::create(language), language, term) {
                let mut lists = Vec::new();
                for (at, segment) in self.snapshot.segments.iter().enumerate() {
                    if let Some(stems) = &segment.data.texts[*field].stems {
                        lists.extend(stems.find(&stem)?.map(|info| (at, info)));
                    }
                }
                let same = out.iter().any(|clause| clause.stems && clause.field == *field && clause.term == stem);
                if !lists.is_empty() && !same {
                    let how = if how == How::Typed { How::Stem } else { how };
                    let weight = weight * boost * options.stem_weight;
                    out.push(Clause { field: *field, stems: true, term: stem, weight, how, lists });
                }
            }
        }
        Ok(())
    }

    pub(super) fn expand_synonyms(
        &self,
        words: &Words,
        typed: &[Word],
        counted: &[usize],
        fields: &[(usize, f32)],
        concepts: &mut [Concept],
    ) -> Result<()> {
        for synonym in &words.synonyms {
            let replaced = analysis::words(cut(&synonym.words));
            if replaced.is_empty() || replaced.len() > typed.len() {
                continue;
            }
            let same = |window: &[Word]| window.iter().zip(&replaced).all(|(a, b)| a.forms[0] == b.forms[0]);
            for at in (0..=typed.len() - replaced.len()).filter(|at| same(&typed[*at..at + replaced.len()])) {
                let spans: Vec<usize> =
                    (0..counted.len()).filter(|index| (at..at + replaced.len()).contains(&counted[*index])).collect();
                for alternative in &synonym.alternatives {
                    let other = analysis::words(cut(alternative));
                    let Some(first) = other.first() else { continue };
                    if other.len() == 1 {
                        for index in &spans {
                            let clauses = &mut concepts[*index].clauses;
                            self.clauses(&first.forms[0], fields, words.synonym_weight, How::Synonym, true, clauses)?;
                        }
                        continue;
                    }
                    for (field, boost) in fields {
                        if !self.schema.0.texts[*field].options.positions {
                            continue;
                        }
                        let documents = self.in_a_row(*field, &self.row(*field, &other)?)?;
                        if documents.is_empty() {
                            continue;
                        }
                        for index in &spans {
                            let weight = boost * words.synonym_weight;
                            concepts[*index].phrases.push((documents.clone(), weight, alternative.clone()));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets two or three words stand for one that a name has in their place: "half hyphenated", "slaughter house".
    pub(super) fn join(&self, typed: &[Word], fields: &[(usize, f32)], concepts: &mut [Concept]) -> Result<()> {
        for window in [2, 3].into_iter().flat_map(|count| typed.windows(count)) {
            let joined: String = window.iter().map(|word| word.forms[0].as_str()).collect();
            let places = window.iter().map(|word| concepts.iter().position(|concept| concept.word == word.forms[0]));
            // Not with stop words.
            let Some(places) = places.collect::<Option<Vec<usize>>>() else { continue };
            let long_enough = joined.chars().nth(JOINED - 1).is_some();
            let unknown = || places.iter().any(|place| concepts[*place].clauses.is_empty());
            if !(long_enough || unknown()) || read(&self.shared.vocabulary).count(&joined) == 0 {
                continue;
            }
            for place in places {
                let clauses = &mut concepts[place].clauses;
                self.clauses(&joined, fields, FORM, How::Synonym, true, clauses)?;
            }
        }
        Ok(())
    }

    /// Lets a word that nothing has stand for words that a name has in its place: "harrypotter".
    pub(super) fn part(&self, fields: &[(usize, f32)], concept: &mut Concept) -> Result<()> {
        if !concept.clauses.is_empty() || !concept.phrases.is_empty() {
            return Ok(());
        }
        let ways = read(&self.shared.vocabulary).parts(&concept.word);
        for way in ways {
            let phrase = way.join(" ");
            let words = analysis::words(&phrase);
            for (field, boost) in fields {
                let options = &self.schema.0.texts[*field].options;
                if !options.positions || !(options.fuzzy || options.exact) {
                    continue;
                }
                let documents = self.in_a_row(*field, &self.row(*field, &words)?)?;
                if !documents.is_empty() {
                    concept.phrases.push((documents, boost * FORM, phrase.clone()));
                }
            }
        }
        Ok(())
    }

    pub(super) fn expand_prefix(&self, prefix: &str, fields: &[(usize, f32)], concept: &mut Concept) -> Result<()> {
        let mut counts: HashMap<String, u64> = HashMap::new();
        let fields: Vec<(usize, f32)> =
            fields.iter().copied().filter(|(field, _)| self.schema.0.texts[*field].options.prefix).collect();
        for (field, _) in &fields {
            for segment in &self.snapshot.segments {
                let terms = segment.data.texts[*field].words.terms.terms();
                let mut stream = terms.range().ge(prefix).into_stream()?;
                let mut looked = 0;
                while looked < PREFIX_SCAN
                    && let Some((term, info)) = stream.next()
                    && term.starts_with(prefix.as_bytes())
                {
                    looked += 1;
                    if let Ok(term) = std::str::from_utf8(term)
                        && term != prefix
                    {
                        *counts.entry(term.to_owned()).or_default() += u64::from(info.doc_freq);
                    }
                }
            }
        }
        let mut common: Vec<(String, u64)> = counts.into_iter().collect();
        common.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        for (term, _) in common.into_iter().take(EXPANSIONS) {
            self.clauses(&term, &fields, PREFIX, How::Prefix, false, &mut concept.clauses)?;
        }
        Ok(())
    }

    /// Lets words that are alike count too. Whether any came in.
    pub(super) fn tolerate(&mut self, words: &Words, plan: &mut Plan, which: Which) -> Result<bool> {
        let fields: Vec<(usize, f32)> =
            plan.fields.iter().copied().filter(|(field, _)| self.schema.0.texts[*field].options.fuzzy).collect();
        if fields.is_empty() {
            return Ok(false);
        }
        let mut any = false;
        for at in 0..plan.concepts.len() {
            let concept = &plan.concepts[at];
            if concept.clauses.iter().any(|clause| clause.how == How::Fuzzy) {
                continue;
            }
            let due = match which {
                Which::Unknown => self.is_unknown(words, concept),
                Which::Missing => {
                    concept.clauses.is_empty() && concept.phrases.is_empty() && !words.known.contains(&concept.word)
                }
                Which::All => true,
            };
            let alike = due.then(|| read(&self.shared.vocabulary).alike(&concept.word));
            let mut stood = Vec::new();
            for other in alike.as_deref().unwrap_or_default() {
                let weight = FUZZY / (1.0 + 0.5 * other.cost);
                let clauses = &mut plan.concepts[at].clauses;
                let before = clauses.len();
                self.clauses(&other.word, &fields, weight, How::Fuzzy, false, clauses)?;
                if clauses.len() > before {
                    stood.push(other.word.clone());
                }
            }
            if !stood.is_empty() {
                any = true;
                let word = plan.concepts[at].word.clone();
                self.tolerated.retain(|(other, _)| *other != word);
                self.tolerated.push((word, stood));
            }
        }
        self.weigh(words, plan);
        Ok(any)
    }

    /// Sets every word's weight by how many documents its commonest term has, and by whether it is a name.
    pub(super) fn weigh(&self, words: &Words, plan: &mut Plan) {
        for concept in &mut plan.concepts {
            // What is only alike decides where nothing is as typed.
            let commonest = if concept.frequency > 0 { concept.frequency } else { self.commonest(&concept.clauses) };
            let by_phrase = concept.phrases.iter().map(|(documents, ..)| documents.len() as u64).max().unwrap_or(0);
            let more = if words.names.is_finite() && !words.known.contains(&concept.word) {
                words.names.max(0.0)
            } else {
                0.0
            };
            concept.idf = idf(self.snapshot.length, commonest.max(by_phrase)) * (1.0 + more);
        }
    }

    pub(super) fn mark(&mut self, plan: &Plan) {
        for concept in &plan.concepts {
            add(&mut self.marks.words, &concept.word);
            for clause in &concept.clauses {
                let marks = if clause.stems { &mut self.marks.stems } else { &mut self.marks.words };
                add(marks, &clause.term);
                if clause.stems {
                    english::irregular(&clause.term).iter().for_each(|form| add(&mut self.marks.words, form));
                }
            }
            for (_, _, phrase) in &concept.phrases {
                let words = analysis::words(phrase);
                words.iter().flat_map(|word| &word.forms).for_each(|form| add(&mut self.marks.words, form));
            }
        }
    }

    /// The words of a text that nothing has, with what each may have been, likeliest first.
    pub(crate) fn misspelt(&mut self, words: &Words) -> Result<Vec<(Word, Arc<[Alike]>)>> {
        let words = Words { fuzziness: Fuzziness::Never, ..words.clone() };
        let Some(plan) = self.plan(&words)? else { return Ok(Vec::new()) };
        let unknown = plan.concepts.iter().filter(|concept| self.is_unknown(&words, concept));
        let unknown: Vec<&str> = unknown.map(|concept| concept.word.as_str()).collect();
        let vocabulary = read(&self.shared.vocabulary);
        let mut found = Vec::new();
        for word in plan.typed.iter().filter(|word| unknown.contains(&word.forms[0].as_str())) {
            let mut alike = vocabulary.alike(&word.forms[0]);
            let parted = self.parted(&words, vocabulary.nearly_parts(&word.forms[0]))?;
            if !parted.is_empty() {
                let mut all = alike.to_vec();
                for other in parted {
                    let place = all.iter().position(|before| before.cost > other.cost).unwrap_or(all.len());
                    all.insert(place, other);
                }
                alike = all.into();
            }
            if !alike.is_empty() {
                found.push((word.clone(), alike));
            }
        }
        Ok(found)
    }

    /// Of words in pairs those that stand together in a name.
    pub(super) fn parted(&self, words: &Words, pairs: Vec<Alike>) -> Result<Vec<Alike>> {
        let fields: Vec<usize> = self.fields(&words.fields)?.into_iter().map(|(field, _)| field).collect();
        let mut found = Vec::new();
        for pair in pairs {
            let row = analysis::words(&pair.word);
            for field in &fields {
                let options = &self.schema.0.texts[*field].options;
                if options.positions
                    && (options.fuzzy || options.exact)
                    && !self.in_a_row(*field, &self.row(*field, &row)?)?.is_empty()
                {
                    found.push(pair);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Whether a word may be misspelt: nothing phrase it is a word, and no document has it, or hardly one of many.
    pub(super) fn is_unknown(&self, words: &Words, concept: &Concept) -> bool {
        let rare = self.snapshot.length as u64 / RARE;
        let stems = || {
            concept
                .clauses
                .iter()
                .filter(|clause| clause.how != How::Fuzzy)
                .map(|clause| clause.lists.iter().map(|(_, info)| u64::from(info.doc_freq)).sum::<u64>())
        };
        concept.frequency <= rare
            && stems().all(|frequency| frequency <= rare)
            && concept.phrases.is_empty()
            && !words.known.contains(&concept.word)
            && read(&self.shared.vocabulary).count(&concept.word) == 0
    }
}

/// The text up to the limit.
pub(crate) fn cut(text: &str) -> &str {
    text.char_indices().nth(QUERY_CHARACTERS).map_or(text, |(at, _)| &text[..at])
}

/// The weight of a word that so many of all documents have (Robertson and Zaragoza 2009, with 1 added so that it is
/// never negative, as Lucene does).
#[allow(clippy::cast_precision_loss, reason = "a weight")]
pub(super) fn idf(documents: usize, frequency: u64) -> f32 {
    let (documents, frequency) = (documents as f32, (frequency as f32).min(documents as f32));
    (1.0 + (documents - frequency + 0.5) / (frequency + 0.5)).ln()
}
