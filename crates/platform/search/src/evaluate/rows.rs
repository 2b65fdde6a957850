//! Words that stand together: phrases, neighbours, whole fields, and texts that say a query as it was typed.

use tantivy::{
    DocSet,
    postings::{Postings, SegmentPostings, TermInfo},
    schema::IndexRecordOption,
};

use super::terms::Clause;
use super::{
    Evaluator, Matches, add, combine, constant,
    terms::{How, Plan, cut, idf},
};
use crate::{
    Phrase, Result, Words,
    analysis::{self, Word},
    limits::QUERY_WORDS,
    tokens::WHOLE_BYTES,
};

/// Words of a query beyond which neighbours are no longer looked at: it is prose then, not a name.
pub(super) const NEIGHBOURS: usize = 12;
/// Words of a query beyond which it is not looked for as it was typed.
pub(super) const RUN_WORDS: usize = 32;
/// How many words in a row are no chance.
pub(super) const LEAST_RUN: usize = 3;
/// What a stop word in such a row is worth.
const STOP_WORD: f32 = 0.5;
/// How many of the best are read for words in a row.
const RUN_DOCUMENTS: usize = 100;

/// A word in a row of words: how far behind the first one, and its terms in one field, by segment.
pub(super) struct Slot {
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

impl Evaluator<'_> {
    pub(super) fn phrase(&mut self, phrase: &Phrase) -> Result<Matches> {
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
    pub(super) fn row(&self, field: usize, words: &[Word]) -> Result<Vec<Slot>> {
        let first = words.first().map_or(0, |word| word.position);
        words.iter().map(|word| self.slot(field, &word.forms, word.position - first)).collect()
    }

    /// Where each form of the word is in the field.
    pub(super) fn slot(&self, field: usize, forms: &[String], distance: usize) -> Result<Slot> {
        let mut lists = Vec::new();
        for (at, segment) in self.snapshot.segments.iter().enumerate() {
            for form in forms {
                lists.extend(segment.data.texts[field].words.find(form)?.map(|info| (at, info)));
            }
        }
        Ok(Slot::new(distance, lists))
    }

    /// The documents in whose field words stand at these distances from the first one, in order.
    pub(super) fn in_a_row(&self, field: usize, slots: &[Slot]) -> Result<Vec<u32>> {
        self.in_a_row_before(field, slots, u32::MAX)
    }

    /// The same where the first one is among the first so many words of the field.
    pub(super) fn in_a_row_before(&self, field: usize, slots: &[Slot], end: u32) -> Result<Vec<u32>> {
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

    /// What is added to documents in which words stand together, or which say exactly this: what it is, the documents
    /// in order, how much.
    pub(super) fn bonuses(&self, words: &Words, plan: &Plan) -> Result<Vec<(String, Vec<u32>, f32)>> {
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
    pub(super) fn known_slot(&self, plan: &Plan, field: usize, word: &Word, distance: usize) -> Result<Slot> {
        let Some(concept) = plan.concepts.iter().find(|concept| concept.word == word.forms[0]) else {
            return self.slot(field, &word.forms, distance);
        };
        let typed = |clause: &&Clause| clause.field == field && clause.how == How::Typed;
        let lists = concept.clauses.iter().filter(typed).flat_map(|clause| clause.lists.iter().cloned()).collect();
        Ok(Slot::new(distance, lists))
    }

    pub(super) fn saying_exactly(&self, field: usize, whole: &str) -> Result<Vec<u32>> {
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
    pub(super) fn add_runs(&self, words: &Words, plan: &Plan, found: &mut Matches) -> Result<()> {
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
    pub(super) fn runs(&self, words: &Words, plan: &Plan, documents: &[u32]) -> Result<Vec<f32>> {
        let mut worth = vec![0.0_f32; documents.len()];
        let concept = |word: &Word| plan.concepts.iter().find(|concept| concept.word == word.forms[0]);
        let distinctive: Vec<bool> = plan.typed.iter().map(|word| concept(word).is_some()).collect();
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
                        if distinctive[run.clone()].iter().filter(|distinctive| **distinctive).count() >= 2 {
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
}
