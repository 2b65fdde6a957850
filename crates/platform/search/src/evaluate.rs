//! From a query to the documents that match it and what they are worth.
//!
//! Terms are taken one at a time, each adding to a number for every document (term-at-a-time with accumulators), so that
//! every word can be judged over all fields at once. This is done for a window of documents after the other, whose
//! numbers stay in the processor's nearest cache: a posting then takes a nanosecond or two.

use std::{collections::HashMap, sync::Arc};

use rust_stemmers::Stemmer;
use tantivy::{
    DocSet,
    postings::{Postings, SegmentPostings, TermInfo},
    schema::IndexRecordOption,
};

use crate::{
    Combine, Fuzziness, Minimum, Phrase, Query, Reason, Result, Schema, SearchError, Sure, Words,
    accumulate::{Cursor, LEAST, WINDOW, Window, take_before},
    analysis::{self, Word},
    bits::Bits,
    english,
    limits::{EXPANSIONS, FILTER_VALUES, QUERY_CHARACTERS, QUERY_DEPTH, QUERY_NODES, QUERY_WORDS},
    lock::read,
    snapshot::{Inverted, MISSING, Shared, Snapshot},
    tokens::WHOLE_BYTES,
    vocabulary::Alike,
};

/// Words of a query beyond which neighbours are no longer looked at: it is prose then, not a name.
const NEIGHBOURS: usize = 12;
/// Words of a query beyond which it is not looked for as it was typed.
const RUN_WORDS: usize = 32;
/// How many words in a row are no chance.
const LEAST_RUN: usize = 3;
/// What a stop word in such a row is worth.
const STOP_WORD: f32 = 0.5;
/// How many of the best are read for words in a row.
const RUN_DOCUMENTS: usize = 100;
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
/// Documents in order, and their scores.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matches {
    pub documents: Vec<u32>,
    pub scores: Vec<f32>,
}

impl Matches {
    pub(crate) fn score_of(&self, document: u32) -> Option<f32> {
        self.documents.binary_search(&document).ok().map(|at| self.scores[at])
    }

    /// All of both, each with the better score.
    pub(crate) fn or_better(&self, other: &Self) -> Self {
        let mut all = Self::default();
        let mut others = other.documents.iter().copied().zip(other.scores.iter().copied()).peekable();
        for (document, score) in self.documents.iter().copied().zip(self.scores.iter().copied()) {
            while let Some((before, score)) = others.next_if(|(other, _)| *other < document) {
                all.documents.push(before);
                all.scores.push(score);
            }
            let same = others.next_if(|(other, _)| *other == document);
            all.documents.push(document);
            all.scores.push(same.map_or(score, |(_, other)| score.max(other)));
        }
        let (documents, scores): (Vec<u32>, Vec<f32>) = others.unzip();
        all.documents.extend(documents);
        all.scores.extend(scores);
        all
    }

    /// Those that are in this set.
    pub(crate) fn within(&self, allowed: &Bits) -> Self {
        self.keep(|at| allowed.contains(self.documents[at]))
    }

    /// Those in these places.
    fn keep(&self, wanted: impl Fn(usize) -> bool) -> Self {
        let places = (0..self.documents.len()).filter(|at| wanted(*at));
        let (documents, scores) = places.map(|at| (self.documents[at], self.scores[at])).unzip();
        Self { documents, scores }
    }
}

/// Words whose occurrences a reader wants to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    pub words: Vec<String>,
    pub stems: Vec<String>,
}

/// Adds a word to a few.
fn add(words: &mut Vec<String>, word: &str) {
    if words.iter().all(|other| other != word) {
        words.push(word.to_owned());
    }
}

/// A term of a field that counts for a word.
struct Clause {
    field: usize,
    stems: bool,
    term: String,
    weight: f32,
    how: How,
    /// By segment, where the segment has it.
    lists: Vec<(usize, TermInfo)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Typed,
    Stem,
    Prefix,
    Fuzzy,
    Synonym,
}

/// A word in a row of words: how far behind the first one, and its terms in one field, by segment.
struct Slot {
    distance: u32,
    lists: Vec<(usize, TermInfo)>,
}

impl Slot {
    fn new(distance: usize, lists: Vec<(usize, TermInfo)>) -> Self {
        Self { distance: u32::try_from(distance).unwrap_or(u32::MAX), lists }
    }

    fn infos(&self, segment: usize) -> impl Iterator<Item = &TermInfo> {
        self.lists.iter().filter(move |(at, _)| *at == segment).map(|(_, info)| info)
    }
}

/// A word of the query and everything that counts for it.
struct Concept {
    word: String,
    clauses: Vec<Clause>,
    /// Phrases that stand for it: documents, weight, what they say.
    phrases: Vec<(Vec<u32>, f32, String)>,
    idf: f32,
    /// In how many documents of its commonest field, as typed or by synonym.
    frequency: u64,
}

impl Concept {
    /// The documents of each phrase that stands for the word, and what it is worth.
    fn said(&self) -> Vec<(&[u32], f32)> {
        self.phrases.iter().map(|(documents, weight, _)| (&**documents, weight.max(LEAST))).collect()
    }
}

/// Turns words into terms that count, and terms into scores.
pub(crate) struct Evaluator<'a> {
    pub snapshot: &'a Snapshot,
    pub schema: &'a Schema,
    pub shared: &'a Shared,
    pub marks: Marks,
    pub tolerated: Vec<(String, Vec<String>)>,
    /// What the words are worth also in documents that have too few of them to match.
    pub loose: Matches,
    /// The documents that are what was asked for, when the query says how they are known.
    pub sure: Option<Bits>,
    nodes: usize,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, schema: &'a Schema, shared: &'a Shared) -> Self {
        let (marks, tolerated, loose) = (Marks::default(), Vec::new(), Matches::default());
        Self { snapshot, schema, shared, marks, tolerated, loose, sure: None, nodes: 0 }
    }

    /// Every living document that matches.
    pub(crate) fn evaluate(&mut self, query: &Query) -> Result<Matches> {
        self.node(query, 0)
    }

    fn node(&mut self, query: &Query, depth: usize) -> Result<Matches> {
        self.nodes += 1;
        if depth > QUERY_DEPTH || self.nodes > QUERY_NODES {
            return Err(SearchError::TooMuch(format!(
                "a query is at most {QUERY_DEPTH} deep and has at most {QUERY_NODES} parts"
            )));
        }
        match query {
            Query::All => Ok(constant(self.snapshot.alive.iter().collect(), 1.0)),
            Query::None => Ok(Matches::default()),
            Query::Words(words) => self.words(words),
            Query::Phrase(phrase) => self.phrase(phrase),
            Query::Keyword { field, any_of } => {
                let documents = self.keyword(self.schema.keyword(field)?, any_of)?;
                Ok(constant(documents.iter().collect(), 1.0))
            }
            Query::Number { field, range } => {
                let documents = self.number(self.schema.number(field)?, *range.start(), *range.end());
                Ok(constant(documents.iter().collect(), 1.0))
            }
            Query::DisMax { queries, tie } => {
                let found = queries.iter().map(|query| self.node(query, depth + 1)).collect::<Result<Vec<_>>>()?;
                Ok(combine(&found, self.snapshot.length, |scores| {
                    let best = scores.iter().copied().fold(0.0_f32, f32::max);
                    best + tie.clamp(0.0, 1.0) * (scores.iter().sum::<f32>() - best)
                }))
            }
            Query::Bool { must, should, must_not, minimum_should } => {
                self.boolean(must, should, must_not, *minimum_should, depth)
            }
            Query::Boost(inner, factor) => {
                let mut found = self.node(inner, depth + 1)?;
                let factor = if factor.is_finite() { factor.max(0.0) } else { 0.0 };
                found.scores.iter_mut().for_each(|score| *score *= factor);
                Ok(found)
            }
            Query::Constant(inner, score) => {
                let mut found = self.node(inner, depth + 1)?;
                found.scores.fill(if score.is_finite() { score.max(0.0) } else { 0.0 });
                Ok(found)
            }
        }
    }

    fn boolean(
        &mut self,
        must: &[Query],
        should: &[Query],
        must_not: &[Query],
        minimum: usize,
        depth: usize,
    ) -> Result<Matches> {
        let minimum = if must.is_empty() { minimum.max(1) } else { minimum };
        let musts = must.iter().map(|query| self.node(query, depth + 1)).collect::<Result<Vec<_>>>()?;
        let shoulds = should.iter().map(|query| self.node(query, depth + 1)).collect::<Result<Vec<_>>>()?;
        let nots = must_not.iter().map(|query| self.node(query, depth + 1)).collect::<Result<Vec<_>>>()?;
        let mut counts: HashMap<u32, (usize, usize, f32)> = HashMap::new();
        for found in &musts {
            for (document, score) in found.documents.iter().zip(&found.scores) {
                let entry = counts.entry(*document).or_default();
                entry.0 += 1;
                entry.2 += score;
            }
        }
        for found in &shoulds {
            for (document, score) in found.documents.iter().zip(&found.scores) {
                let entry = counts.entry(*document).or_default();
                entry.1 += 1;
                entry.2 += score;
            }
        }
        for document in nots.iter().flat_map(|found| &found.documents) {
            counts.remove(document);
        }
        let mut kept: Vec<(u32, f32)> = counts
            .into_iter()
            .filter(|(_, (musts, shoulds, _))| *musts == must.len() && *shoulds >= minimum)
            .map(|(document, (_, _, score))| (document, score))
            .collect();
        kept.sort_unstable_by_key(|(document, _)| *document);
        let (documents, scores) = kept.into_iter().unzip();
        Ok(Matches { documents, scores })
    }

    /// The living documents with one of these values.
    pub(crate) fn keyword(&self, field: usize, any_of: &[String]) -> Result<Bits> {
        if any_of.len() > FILTER_VALUES {
            return Err(SearchError::TooMuch(format!("a filter has at most {FILTER_VALUES} values")));
        }
        let mut found = Bits::none(self.snapshot.length);
        for segment in &self.snapshot.segments {
            let terms = &segment.data.keywords[field];
            for value in any_of {
                let Some(info) = terms.terms().get(value)? else { continue };
                let mut block = terms.read_block_postings_from_terminfo(&info, IndexRecordOption::Basic)?;
                while block.block_len() > 0 {
                    block.docs().iter().for_each(|document| found.insert(segment.base + document));
                    block.advance();
                }
            }
        }
        found.intersect(&self.snapshot.alive);
        Ok(found)
    }

    /// The living documents with a number in the range, both ends included.
    pub(crate) fn number(&self, field: usize, from: i64, to: i64) -> Bits {
        let mut found = Bits::none(self.snapshot.length);
        for segment in &self.snapshot.segments {
            for (document, number) in (segment.base..).zip(&segment.data.numbers[field]) {
                if *number != MISSING && (from..=to).contains(number) {
                    found.insert(document);
                }
            }
        }
        found.intersect(&self.snapshot.alive);
        found
    }

    /// Fields and their boosts, or all with the schema's.
    fn fields(&self, asked: &[(String, f32)]) -> Result<Vec<(usize, f32)>> {
        if asked.is_empty() {
            return Ok(self.schema.0.texts.iter().enumerate().map(|(at, text)| (at, text.options.boost)).collect());
        }
        let mut fields = Vec::new();
        for (name, boost) in asked {
            let field = self.schema.text(name)?;
            if boost.is_finite() && *boost > 0.0 {
                fields.push((field, *boost));
            }
        }
        Ok(fields)
    }

    // ------------------------------------------------------------------------------------------------- phrases

    fn phrase(&mut self, phrase: &Phrase) -> Result<Matches> {
        let words = analysis::words(cut(&phrase.text));
        let words = &words[..words.len().min(QUERY_WORDS)];
        if words.is_empty() {
            return Ok(Matches::default());
        }
        words.iter().flat_map(|word| &word.forms).for_each(|form| add(&mut self.marks.words, form));
        let mut found = Vec::new();
        for (field, boost) in self.fields(&phrase.fields)? {
            if !self.schema.0.texts[field].options.positions {
                continue;
            }
            let mut documents = self.in_a_row(field, &self.row(field, words)?)?;
            documents.retain(|document| self.snapshot.alive.contains(*document));
            #[allow(clippy::cast_precision_loss, reason = "a weight")]
            let idf = idf(self.snapshot.length, documents.len() as u64);
            found.push(constant(documents, boost * idf));
        }
        Ok(combine(&found, self.snapshot.length, |scores| scores.iter().copied().fold(0.0, f32::max)))
    }

    /// Where these words are in the field, one after the other.
    fn row(&self, field: usize, words: &[Word]) -> Result<Vec<Slot>> {
        let first = words.first().map_or(0, |word| word.position);
        words.iter().map(|word| self.slot(field, &word.forms, word.position - first)).collect()
    }

    /// Where each form of the word is in the field.
    fn slot(&self, field: usize, forms: &[String], distance: usize) -> Result<Slot> {
        let mut lists = Vec::new();
        for (at, segment) in self.snapshot.segments.iter().enumerate() {
            for form in forms {
                lists.extend(segment.data.texts[field].words.find(form)?.map(|info| (at, info)));
            }
        }
        Ok(Slot::new(distance, lists))
    }

    /// The documents in whose field words stand at these distances from the first one, in order.
    fn in_a_row(&self, field: usize, slots: &[Slot]) -> Result<Vec<u32>> {
        self.in_a_row_before(field, slots, u32::MAX)
    }

    /// The same where the first one is among the first so many words of the field.
    fn in_a_row_before(&self, field: usize, slots: &[Slot], end: u32) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        for (at, segment) in self.snapshot.segments.iter().enumerate() {
            let terms = &segment.data.texts[field].words.terms;
            let frequency = |slot: &&Slot| slot.infos(at).map(|info| u64::from(info.doc_freq)).sum::<u64>();
            let Some(rarest) = slots.iter().min_by_key(frequency).filter(|slot| frequency(slot) > 0) else { continue };
            let mut candidates = Vec::new();
            for info in rarest.infos(at) {
                let mut block = terms.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?;
                while block.block_len() > 0 {
                    candidates.extend_from_slice(block.docs());
                    block.advance();
                }
            }
            candidates.sort_unstable();
            candidates.dedup();
            let mut postings: Vec<Vec<SegmentPostings>> = Vec::with_capacity(slots.len());
            for slot in slots {
                let open = |info| terms.read_postings_from_terminfo(info, IndexRecordOption::WithFreqsAndPositions);
                postings.push(slot.infos(at).map(open).collect::<Result<_, _>>()?);
            }
            let (mut starts, mut here, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
            for document in candidates {
                // Positions are costly to read: only where every word is.
                let stands_in = |slot: &mut Vec<SegmentPostings>| {
                    for list in slot.iter_mut().filter(|list| list.doc() < document) {
                        list.seek(document);
                    }
                    slot.iter().any(|list| list.doc() == document)
                };
                if !postings.iter_mut().all(stands_in) {
                    continue;
                }
                starts.clear();
                for (index, (slot, Slot { distance, .. })) in postings.iter_mut().zip(slots).enumerate() {
                    here.clear();
                    for list in slot.iter_mut().filter(|list| list.doc() == document) {
                        list.positions(&mut buffer);
                        here.extend(buffer.iter().filter_map(|position| position.checked_sub(*distance)));
                    }
                    if index == 0 {
                        starts.extend(here.iter().copied().filter(|start| *start < end));
                    } else {
                        starts.retain(|start| here.contains(start));
                    }
                    if starts.is_empty() {
                        break;
                    }
                }
                if !starts.is_empty() {
                    found.push(segment.base + document);
                }
            }
        }
        Ok(found)
    }

    // --------------------------------------------------------------------------------------------------- words

    fn words(&mut self, words: &Words) -> Result<Matches> {
        let Some(mut plan) = self.plan(words)? else { return Ok(Matches::default()) };
        let (mut found, mut loose) = self.run(words, &plan)?;
        let too_few = match words.fuzziness {
            Fuzziness::WhenFewer(enough) => found.documents.len() < enough,
            Fuzziness::Never | Fuzziness::Always => false,
        };
        if too_few && self.tolerate(words, &mut plan, Which::Missing)? {
            (found, loose) = self.run(words, &plan)?;
        }
        self.mark(&plan);
        self.add_runs(words, &plan, &mut found)?;
        self.loose = loose;
        if let Some(sure) = &words.sure {
            let known = self.sure(sure, &plan)?;
            self.sure = Some(known);
        }
        Ok(found)
    }

    /// The living documents that are what was asked for. What is only spelt alike or begins alike does not count.
    fn sure(&self, sure: &Sure, plan: &Plan) -> Result<Bits> {
        let (share, names, mentions, opening) = match sure {
            Sure::Share(share) => (if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 }, None, 0, 0),
            Sure::Named { fields, mentions, opening } => {
                let names = fields.iter().map(|field| self.schema.text(field)).collect::<Result<Vec<_>>>()?;
                (1.0, Some(names), *mentions, *opening)
            }
        };
        let counts = |clause: &&Clause| {
            !matches!(clause.how, How::Fuzzy | How::Prefix)
                && names.as_ref().is_none_or(|names| names.contains(&clause.field))
        };
        let mut masses = vec![0.0_f32; self.snapshot.length];
        for concept in &plan.concepts {
            let mut has = Bits::none(self.snapshot.length);
            for clause in concept.clauses.iter().filter(counts) {
                for (at, info) in &clause.lists {
                    let base = self.snapshot.segments[*at].base;
                    let terms = &self.view(*at, clause).terms;
                    let mut block = terms.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?;
                    while block.block_len() > 0 {
                        block.docs().iter().for_each(|document| has.insert(base + document));
                        block.advance();
                    }
                }
            }
            concept.phrases.iter().flat_map(|(documents, ..)| documents).for_each(|document| has.insert(*document));
            has.iter().for_each(|document| masses[document as usize] += concept.idf);
        }
        let needed = share * plan.concepts.iter().map(|concept| concept.idf).sum::<f32>() - 1e-4;
        let mut known = Bits::none(self.snapshot.length);
        if !plan.concepts.is_empty() {
            let enough = (0..).zip(&masses).filter(|(_, mass)| **mass > 0.0 && **mass >= needed);
            enough.for_each(|(document, _)| known.insert(document));
        }
        if let Some(names) = names
            && plan.typed.len() <= NEIGHBOURS
        {
            let counts = |word: &&Word| plan.concepts.iter().any(|concept| concept.word == word.forms[0]);
            let words: Vec<Word> = plan.typed.iter().filter(counts).cloned().collect();
            let mut mentioned = Bits::none(self.snapshot.length);
            for (field, _) in plan.fields.iter().filter(|(field, _)| !names.contains(field)) {
                if self.schema.0.texts[*field].options.positions {
                    let row = self.row(*field, &words)?;
                    let begun = self.in_a_row_before(*field, &row, opening)?;
                    begun.into_iter().for_each(|document| known.insert(document));
                    self.in_a_row(*field, &row)?.into_iter().for_each(|document| mentioned.insert(document));
                }
            }
            mentioned.intersect(&self.snapshot.alive);
            if mentioned.iter().nth(mentions.saturating_sub(1)).is_some() {
                mentioned.iter().for_each(|document| known.insert(document));
            }
        }
        known.intersect(&self.snapshot.alive);
        Ok(known)
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
    fn parted(&self, words: &Words, pairs: Vec<Alike>) -> Result<Vec<Alike>> {
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

    /// Whether a word may be misspelt: nothing says it is a word, and no document has it, or hardly one of many.
    fn is_unknown(&self, words: &Words, concept: &Concept) -> bool {
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

    /// Why a document has the score that it has from these words.
    pub(crate) fn explain(&mut self, query: &Query, document: u32) -> Result<Vec<Reason>> {
        let mut reasons = Vec::new();
        self.reasons(query, document, 1.0, &mut reasons)?;
        Ok(reasons)
    }

    fn reasons(&mut self, query: &Query, document: u32, factor: f32, out: &mut Vec<Reason>) -> Result<()> {
        match query {
            Query::Words(words) => {
                let Some(mut plan) = self.plan(words)? else { return Ok(()) };
                if let Fuzziness::WhenFewer(enough) = words.fuzziness
                    && self.run(words, &plan)?.0.documents.len() < enough
                {
                    self.tolerate(words, &mut plan, Which::Missing)?;
                }
                self.word_reasons(words, &plan, document, factor, out)
            }
            Query::Boost(inner, by) => self.reasons(inner, document, factor * by, out),
            Query::DisMax { queries, .. } => {
                queries.iter().try_for_each(|query| self.reasons(query, document, factor, out))
            }
            Query::Bool { must, should, .. } => {
                must.iter().chain(should).try_for_each(|query| self.reasons(query, document, factor, out))
            }
            leaf => {
                if let Some(score) = self.node(leaf, 0)?.score_of(document) {
                    let what = match leaf {
                        Query::All => "everything".to_owned(),
                        Query::Keyword { field, .. } | Query::Number { field, .. } => field.clone(),
                        Query::Phrase(phrase) => format!("phrase {:?}", phrase.text),
                        _ => "constant".to_owned(),
                    };
                    out.push(Reason { what, score: score * factor });
                }
                Ok(())
            }
        }
    }

    fn word_reasons(
        &self,
        words: &Words,
        plan: &Plan,
        document: u32,
        factor: f32,
        out: &mut Vec<Reason>,
    ) -> Result<()> {
        let (segment, local) = self.snapshot.locate(document);
        for concept in &plan.concepts {
            let mut found: Vec<(String, f32)> = Vec::new();
            for clause in &concept.clauses {
                for (at, info) in clause.lists.iter().filter(|(at, _)| *at == segment) {
                    let view = self.view(*at, clause);
                    let mut list = view.terms.read_postings_from_terminfo(info, IndexRecordOption::WithFreqs)?;
                    if list.doc() < local {
                        list.seek(local);
                    }
                    if list.doc() != local {
                        continue;
                    }
                    let norm = self.norms(clause)[usize::from(view.lengths[local as usize])];
                    let name = &self.schema.0.texts[clause.field].name;
                    let what = match clause.how {
                        How::Typed => format!("{name}: {}", clause.term),
                        How::Stem => format!("{name}: {} (stem {})", concept.word, clause.term),
                        How::Prefix => format!("{name}: {}... {}", concept.word, clause.term),
                        How::Fuzzy => format!("{name}: {} ~ {}", concept.word, clause.term),
                        How::Synonym => format!("{name}: {} = {}", concept.word, clause.term),
                    };
                    let score = self.weight(clause, words.combine) * words.combine.field(list.term_freq(), norm);
                    found.push((what, score.max(LEAST)));
                }
            }
            for (documents, weight, says) in &concept.phrases {
                if documents.binary_search(&document).is_ok() {
                    found.push((format!("{} = {says}", concept.word), weight.max(LEAST)));
                }
            }
            found.sort_by(|a, b| b.1.total_cmp(&a.1));
            let sum: f32 = found.iter().map(|(_, score)| score).sum();
            for (at, (what, score)) in found.into_iter().enumerate() {
                let score = words.combine.part(score, at == 0, sum);
                out.push(Reason { what, score: score * concept.idf * factor });
            }
        }
        if words.run > 0.0 && (LEAST_RUN..=RUN_WORDS).contains(&plan.typed.len()) {
            let score: f32 = self.runs(words, plan, &[document])?.iter().sum();
            if score > 0.0 {
                out.push(Reason { what: "words in a row".to_owned(), score: score * factor });
            }
        }
        for (what, documents, score) in &self.bonuses(words, plan)? {
            if documents.binary_search(&document).is_ok() {
                out.push(Reason { what: what.clone(), score: score * factor });
            }
        }
        Ok(())
    }

    /// Everything that counts for the words. `None` when there are no words.
    fn plan(&mut self, words: &Words) -> Result<Option<Plan>> {
        let typed = analysis::words(cut(&words.text));
        let fields = self.fields(&words.fields)?;
        if typed.is_empty() || fields.is_empty() {
            return Ok(None);
        }
        let is_stop = |word: &Word| words.stop_words.contains(&word.forms[0]);
        let only_stops = typed.iter().all(is_stop);
        let mut kept: Vec<usize> = Vec::new();
        for (at, word) in typed.iter().enumerate() {
            let said = kept.iter().any(|other: &usize| typed[*other].forms == word.forms);
            if (only_stops || !is_stop(word)) && !said {
                kept.push(at);
            }
        }
        let mut concepts = Vec::with_capacity(kept.len());
        for at in &kept {
            concepts.push(self.concept(&typed[*at], &fields)?);
        }
        self.expand_synonyms(words, &typed, &kept, &fields, &mut concepts)?;
        self.join(&typed, &fields, &mut concepts)?;
        for concept in &mut concepts {
            self.part(&fields, concept)?;
        }
        if words.prefix
            && let (Some(last), Some(concept)) = (typed.last(), concepts.last_mut())
            && kept.last() == Some(&(typed.len() - 1))
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

    fn commonest(&self, clauses: &[Clause]) -> u64 {
        let frequency = |clause: &Clause| clause.lists.iter().map(|(_, info)| u64::from(info.doc_freq)).sum::<u64>();
        clauses.iter().map(frequency).max().unwrap_or(0)
    }

    fn concept(&self, word: &Word, fields: &[(usize, f32)]) -> Result<Concept> {
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
    fn clauses(
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

    fn expand_synonyms(
        &self,
        words: &Words,
        typed: &[Word],
        kept: &[usize],
        fields: &[(usize, f32)],
        concepts: &mut [Concept],
    ) -> Result<()> {
        for synonym in &words.synonyms {
            let said = analysis::words(cut(&synonym.words));
            if said.is_empty() || said.len() > typed.len() {
                continue;
            }
            let same = |window: &[Word]| window.iter().zip(&said).all(|(a, b)| a.forms[0] == b.forms[0]);
            for at in (0..=typed.len() - said.len()).filter(|at| same(&typed[*at..at + said.len()])) {
                let spans: Vec<usize> =
                    (0..kept.len()).filter(|index| (at..at + said.len()).contains(&kept[*index])).collect();
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
    fn join(&self, typed: &[Word], fields: &[(usize, f32)], concepts: &mut [Concept]) -> Result<()> {
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
    fn part(&self, fields: &[(usize, f32)], concept: &mut Concept) -> Result<()> {
        if !concept.clauses.is_empty() || !concept.phrases.is_empty() {
            return Ok(());
        }
        let ways = read(&self.shared.vocabulary).parts(&concept.word);
        for way in ways {
            let says = way.join(" ");
            let words = analysis::words(&says);
            for (field, boost) in fields {
                let options = &self.schema.0.texts[*field].options;
                if !options.positions || !(options.fuzzy || options.exact) {
                    continue;
                }
                let documents = self.in_a_row(*field, &self.row(*field, &words)?)?;
                if !documents.is_empty() {
                    concept.phrases.push((documents, boost * FORM, says.clone()));
                }
            }
        }
        Ok(())
    }

    fn expand_prefix(&self, prefix: &str, fields: &[(usize, f32)], concept: &mut Concept) -> Result<()> {
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
    fn tolerate(&mut self, words: &Words, plan: &mut Plan, which: Which) -> Result<bool> {
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
    fn weigh(&self, words: &Words, plan: &mut Plan) {
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

    fn mark(&mut self, plan: &Plan) {
        for concept in &plan.concepts {
            add(&mut self.marks.words, &concept.word);
            for clause in &concept.clauses {
                let marks = if clause.stems { &mut self.marks.stems } else { &mut self.marks.words };
                add(marks, &clause.term);
                if clause.stems {
                    english::irregular(&clause.term).iter().for_each(|form| add(&mut self.marks.words, form));
                }
            }
            for (_, _, says) in &concept.phrases {
                let said = analysis::words(says);
                said.iter().flat_map(|word| &word.forms).for_each(|form| add(&mut self.marks.words, form));
            }
        }
    }

    fn view(&self, segment: usize, clause: &Clause) -> &Inverted {
        let text = &self.snapshot.segments[segment].data.texts[clause.field];
        match &text.stems {
            Some(stems) if clause.stems => stems,
            _ => &text.words,
        }
    }

    /// What an occurrence is worth: read together, one of the word itself is one of its stem too.
    fn weight(&self, clause: &Clause, combine: Combine) -> f32 {
        let options = &self.schema.0.texts[clause.field].options;
        // What is only spelt alike or begins alike is looked for without its stem.
        let has_stem = !clause.stems && matches!(clause.how, How::Typed | How::Synonym) && options.stem.is_some();
        if combine == Combine::Together && has_stem {
            clause.weight * (1.0 - options.stem_weight).max(0.0)
        } else {
            clause.weight
        }
    }

    fn norms(&self, clause: &Clause) -> &[f32; 256] {
        let (words, stems) = &self.snapshot.lengths[clause.field];
        if clause.stems { &stems.0 } else { &words.0 }
    }

    /// What is added to documents in which words stand together, or which say exactly this: what it is, the documents
    /// in order, how much.
    fn bonuses(&self, words: &Words, plan: &Plan) -> Result<Vec<(String, Vec<u32>, f32)>> {
        let mut bonuses = Vec::new();
        let boost = plan.fields.iter().map(|(_, boost)| *boost).fold(0.0_f32, f32::max);
        if plan.typed.len() > NEIGHBOURS || boost == 0.0 {
            return Ok(bonuses);
        }
        let idf_of = |word: &Word| {
            let concept = plan.concepts.iter().find(|concept| concept.word == word.forms[0]);
            concept.map_or(0.1, |concept| concept.idf)
        };
        let options = |field: usize| &self.schema.0.texts[field].options;
        if words.phrase > 0.0 {
            for pair in plan.typed.windows(2) {
                let [left, right] = pair else { continue };
                let distance = right.position - left.position;
                for (field, boost) in &plan.fields {
                    if !options(*field).positions || !(options(*field).fuzzy || options(*field).exact) {
                        continue;
                    }
                    let slots =
                        [self.known_slot(plan, *field, left, 0)?, self.known_slot(plan, *field, right, distance)?];
                    let documents = self.in_a_row(*field, &slots)?;
                    if !documents.is_empty() {
                        let name = &self.schema.0.texts[*field].name;
                        let what = format!("{name}: {} {} in a row", left.forms[0], right.forms[0]);
                        bonuses.push((what, documents, words.phrase * boost * 0.5 * (idf_of(left) + idf_of(right))));
                    }
                }
            }
        }
        if words.exact > 0.0 {
            let whole = analysis::folded(cut(&words.text));
            let sum: f32 = plan.typed.iter().map(idf_of).sum();
            for (field, boost) in plan.fields.iter().filter(|_| whole.len() <= WHOLE_BYTES) {
                let documents = self.saying_exactly(*field, &whole)?;
                if !documents.is_empty() {
                    let name = &self.schema.0.texts[*field].name;
                    bonuses.push((format!("{name}: exactly {whole}"), documents, words.exact * boost * sum));
                }
            }
        }
        Ok(bonuses)
    }

    /// A word's slot, of what the plan has looked up already.
    fn known_slot(&self, plan: &Plan, field: usize, word: &Word, distance: usize) -> Result<Slot> {
        let Some(concept) = plan.concepts.iter().find(|concept| concept.word == word.forms[0]) else {
            return self.slot(field, &word.forms, distance);
        };
        let typed = |clause: &&Clause| clause.field == field && clause.how == How::Typed;
        let lists = concept.clauses.iter().filter(typed).flat_map(|clause| clause.lists.iter().cloned()).collect();
        Ok(Slot::new(distance, lists))
    }

    fn saying_exactly(&self, field: usize, whole: &str) -> Result<Vec<u32>> {
        let mut documents = Vec::new();
        for segment in &self.snapshot.segments {
            let Some(terms) = &segment.data.texts[field].whole else { continue };
            let Some(info) = terms.terms().get(whole)? else { continue };
            let mut block = terms.read_block_postings_from_terminfo(&info, IndexRecordOption::Basic)?;
            while block.block_len() > 0 {
                documents.extend(block.docs().iter().map(|document| segment.base + document));
                block.advance();
            }
        }
        Ok(documents)
    }

    /// Adds to the best what they are worth by words that they say as typed.
    fn add_runs(&self, words: &Words, plan: &Plan, found: &mut Matches) -> Result<()> {
        if words.run <= 0.0 || !(LEAST_RUN..=RUN_WORDS).contains(&plan.typed.len()) {
            return Ok(());
        }
        let floor = match found.scores.len().checked_sub(RUN_DOCUMENTS) {
            Some(1..) => {
                let mut scores = found.scores.clone();
                *scores.select_nth_unstable_by(RUN_DOCUMENTS - 1, |a, b| b.total_cmp(a)).1
            }
            _ => f32::NEG_INFINITY,
        };
        let places: Vec<usize> = (0..found.scores.len()).filter(|place| found.scores[*place] >= floor).collect();
        let documents: Vec<u32> = places.iter().map(|place| found.documents[*place]).collect();
        for (place, worth) in places.into_iter().zip(self.runs(words, plan, &documents)?) {
            found.scores[place] += worth;
        }
        Ok(())
    }

    /// What each of these documents, in order, is worth by words that it says as typed, three or more in a row.
    fn runs(&self, words: &Words, plan: &Plan, documents: &[u32]) -> Result<Vec<f32>> {
        let mut worth = vec![0.0_f32; documents.len()];
        let concept = |word: &Word| plan.concepts.iter().find(|concept| concept.word == word.forms[0]);
        let tells: Vec<bool> = plan.typed.iter().map(|word| concept(word).is_some()).collect();
        let weights: Vec<f32> = plan.typed.iter().map(|word| concept(word).map_or(STOP_WORD, |c| c.idf)).collect();
        let all: f32 = weights.iter().sum();
        for (field, _) in plan.fields.iter().filter(|(field, _)| self.schema.0.texts[*field].options.positions) {
            for (at, segment) in self.snapshot.segments.iter().enumerate() {
                let first = documents.partition_point(|document| *document < segment.base);
                let last = documents.partition_point(|document| *document < segment.base + segment.documents);
                if first == last {
                    continue;
                }
                let terms = &segment.data.texts[*field].words.terms;
                let mut lists = Vec::with_capacity(plan.typed.len());
                for word in &plan.typed {
                    let slot = self.slot(*field, &word.forms, 0)?;
                    let open = |info| terms.read_postings_from_terminfo(info, IndexRecordOption::WithFreqsAndPositions);
                    lists.push(slot.infos(at).map(open).collect::<Result<Vec<_>, _>>()?);
                }
                let (mut before, mut here, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
                for place in first..last {
                    let document = documents[place] - segment.base;
                    let mut longest = vec![0_usize; plan.typed.len()];
                    before.clear();
                    for (index, lists) in lists.iter_mut().enumerate() {
                        here.clear();
                        let step = match index.checked_sub(1) {
                            Some(previous) => plan.typed[index].position - plan.typed[previous].position,
                            None => 0,
                        };
                        for list in lists.iter_mut() {
                            if list.doc() < document {
                                list.seek(document);
                            }
                            if list.doc() == document {
                                list.positions(&mut buffer);
                                here.extend(buffer.iter().map(|position| {
                                    let previous = position.checked_sub(u32::try_from(step).unwrap_or(u32::MAX));
                                    let run = before.iter().find(|(at, _)| Some(*at) == previous);
                                    (*position, run.map_or(1, |(_, length)| length + 1))
                                }));
                            }
                        }
                        longest[index] = here.iter().map(|(_, length)| *length).max().unwrap_or(0);
                        std::mem::swap(&mut before, &mut here);
                    }
                    // Every word of a run counts once, whichever run is longest.
                    let mut covered = vec![false; plan.typed.len()];
                    for (index, length) in longest.iter().enumerate().filter(|(_, length)| **length >= LEAST_RUN) {
                        let run = index + 1 - length..=index;
                        // "in the house" is said everywhere.
                        if tells[run.clone()].iter().filter(|tells| **tells).count() >= 2 {
                            covered[run].fill(true);
                        }
                    }
                    let sum: f32 = weights.iter().zip(&covered).filter(|(_, is)| **is).map(|(weight, _)| weight).sum();
                    worth[place] = worth[place].max(words.run * sum * sum / all);
                }
            }
        }
        Ok(worth)
    }

    /// The documents that match; and where the best of few words were taken, all that have so few, those included.
    fn run(&self, words: &Words, plan: &Plan) -> Result<(Matches, Matches)> {
        let bonuses = self.bonuses(words, plan)?;
        let combine = words.combine;
        let by_rarity = matches!(words.minimum, Minimum::Share(_) | Minimum::ShareOrBest { .. });
        let (needed, loosely, best) = match words.minimum {
            Minimum::ShareOrBest { share, loosely, best } => {
                let [needed, loosely] = [share, loosely].map(|share| needed(Minimum::Share(share), &plan.concepts));
                (needed, loosely, best)
            }
            minimum => {
                let needed = needed(minimum, &plan.concepts);
                (needed, needed, 0)
            }
        };
        let mut bonuses: Vec<(&[u32], f32)> = bonuses.iter().map(|(_, found, score)| (&**found, *score)).collect();
        let mut phrases: Vec<Vec<(&[u32], f32)>> = plan.concepts.iter().map(Concept::said).collect();
        let mut window = Window::new();
        let mut found = Matches::default();
        let mut firm = Vec::new();
        for (at, segment) in self.snapshot.segments.iter().enumerate() {
            let mut cursors =
                plan.concepts.iter().map(|concept| self.cursors(concept, at, combine)).collect::<Result<Vec<_>>>()?;
            for start in (0..segment.documents).step_by(WINDOW) {
                let end = segment.documents.min(start + WINDOW as u32);
                let (first, last) = (segment.base + start, segment.base + end);
                for ((concept, cursors), phrases) in plan.concepts.iter().zip(&mut cursors).zip(&mut phrases) {
                    let mut of_word = window.next_word();
                    for cursor in cursors {
                        cursor.until(end, |document, score| of_word.add(document - start, score));
                    }
                    for (documents, weight) in phrases {
                        take_before(documents, last).iter().for_each(|document| of_word.add(document - first, *weight));
                    }
                    of_word.finish(concept.idf, if by_rarity { concept.idf } else { 1.0 }, combine);
                }
                for (documents, score) in &mut bonuses {
                    for document in take_before(documents, last) {
                        window.bonus(document - first, *score);
                    }
                }
                window.drain(|document, score, mass| {
                    let document = first + document;
                    if mass >= needed.min(loosely) && self.snapshot.alive.contains(document) {
                        found.documents.push(document);
                        found.scores.push(score);
                        firm.push(mass >= needed);
                    }
                });
            }
        }
        if loosely < needed && found.scores.len() > best {
            let floor = best.checked_sub(1).map_or(f32::INFINITY, |last| {
                *found.scores.clone().select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1
            });
            let matches = found.keep(|at| firm[at] || found.scores[at] >= floor);
            return Ok((matches, found));
        }
        Ok((found, Matches::default()))
    }

    /// What a segment has of a word.
    fn cursors(&self, concept: &Concept, segment: usize, combine: Combine) -> Result<Vec<Cursor<'_>>> {
        let mut cursors = Vec::new();
        for clause in &concept.clauses {
            for (_, info) in clause.lists.iter().filter(|(at, _)| *at == segment) {
                let view = self.view(segment, clause);
                let block = view.terms.read_block_postings_from_terminfo(info, IndexRecordOption::WithFreqs)?;
                let weight = self.weight(clause, combine);
                cursors.push(Cursor::new(block, &view.lengths, self.norms(clause), weight, combine));
            }
        }
        Ok(cursors)
    }

    /// Documents that share the words that mark this one out, by the texts that are stored of it.
    pub(crate) fn alike(&self, texts: &[(usize, &str)], terms: usize) -> Result<Matches> {
        let mut weights: HashMap<(usize, String), f32> = HashMap::new();
        for (field, text) in texts {
            for word in analysis::words(text) {
                let form = word.forms.into_iter().next().unwrap_or_default();
                *weights.entry((*field, form)).or_default() += 1.0;
            }
        }
        let mut concepts = Vec::new();
        for ((field, term), count) in weights {
            let boost = self.schema.0.texts[field].options.boost;
            let mut clauses = Vec::new();
            self.clauses(&term, &[(field, boost)], 1.0, How::Typed, false, &mut clauses)?;
            let frequency = self.commonest(&clauses);
            // A word that only this document has leads nowhere.
            if frequency < 2 {
                continue;
            }
            let idf = idf(self.snapshot.length, frequency);
            concepts.push((
                idf * boost * (1.0 + f32::ln(count)),
                Concept { word: term, clauses, phrases: Vec::new(), idf, frequency },
            ));
        }
        concepts.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.word.cmp(&b.1.word)));
        let concepts = concepts.into_iter().take(terms).map(|(_, concept)| concept).collect();
        let words = Words { minimum: Minimum::Any, combine: Combine::Best { tie: 1.0 }, ..Words::new("") };
        let plan = Plan { typed: Vec::new(), fields: Vec::new(), concepts };
        Ok(self.run(&words, &plan)?.0)
    }
}

/// Which words may be misspelt.
#[derive(Clone, Copy)]
enum Which {
    /// Those that no fuzzy field has, and hardly another.
    Unknown,
    /// Those that nothing has, in any form.
    Missing,
    /// Every one that is long enough.
    All,
}

struct Plan {
    typed: Vec<Word>,
    fields: Vec<(usize, f32)>,
    concepts: Vec<Concept>,
}

/// What a document's words must weigh together.
#[allow(clippy::cast_precision_loss, reason = "words are few")]
fn needed(minimum: Minimum, concepts: &[Concept]) -> f32 {
    let known = |concept: &&Concept| !concept.clauses.is_empty() || !concept.phrases.is_empty();
    let needed = match minimum {
        Minimum::Any => 0.0,
        Minimum::All => concepts.len() as f32,
        Minimum::Count(count) => count.min(concepts.len()) as f32,
        Minimum::Share(share) | Minimum::ShareOrBest { share, .. } => {
            let all: f32 = concepts.iter().filter(known).map(|concept| concept.idf).sum();
            all * if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
        }
    };
    needed - 1e-4
}

/// The text up to the limit.
pub(crate) fn cut(text: &str) -> &str {
    text.char_indices().nth(QUERY_CHARACTERS).map_or(text, |(at, _)| &text[..at])
}

/// The weight of a word that so many of all documents have (Robertson and Zaragoza 2009, with 1 added so that it is
/// never negative, as Lucene does).
#[allow(clippy::cast_precision_loss, reason = "a weight")]
fn idf(documents: usize, frequency: u64) -> f32 {
    let (documents, frequency) = (documents as f32, (frequency as f32).min(documents as f32));
    (1.0 + (documents - frequency + 0.5) / (frequency + 0.5)).ln()
}

fn constant(documents: Vec<u32>, score: f32) -> Matches {
    let scores = vec![score; documents.len()];
    Matches { documents, scores }
}

/// The documents of all, with a score made of what each says.
fn combine(found: &[Matches], length: usize, score: impl Fn(&[f32]) -> f32) -> Matches {
    if let [only] = found {
        return only.clone();
    }
    let mut set = Bits::none(length);
    found.iter().flat_map(|matches| &matches.documents).for_each(|document| set.insert(*document));
    let mut cursors = vec![0; found.len()];
    let mut said = Vec::with_capacity(found.len());
    let mut all = Matches::default();
    for document in set.iter() {
        said.clear();
        for (cursor, matches) in cursors.iter_mut().zip(found) {
            if matches.documents.get(*cursor) == Some(&document) {
                said.push(matches.scores[*cursor]);
                *cursor += 1;
            }
        }
        all.documents.push(document);
        all.scores.push(score(&said));
    }
    all
}
