//! What a document is worth by the words of a query, which documents have enough of them, and which are what was asked for.

use std::collections::HashMap;

use tantivy::{DocSet, postings::Postings, schema::IndexRecordOption};

use super::{
    Evaluator, Matches,
    rows::{LEAST_RUN, NEIGHBOURS, RUN_WORDS},
    terms::{Clause, Concept, How, Plan, idf},
};
use crate::{
    Combine, Minimum, Reason, Result, Sure, Words,
    accumulate::{Cursor, LEAST, WINDOW, Window, take_before},
    analysis::{self, Word},
    bits::Bits,
    snapshot::Inverted,
};

impl Concept {
    /// The documents of each phrase that stands for the word, and what it is worth.
    fn whole_phrases(&self) -> Vec<(&[u32], f32)> {
        self.phrases.iter().map(|(documents, weight, _)| (&**documents, weight.max(LEAST))).collect()
    }
}

impl Evaluator<'_> {
    /// The documents that match; and where the best of few words were taken, all that have so few, those included.
    pub(super) fn run(&self, words: &Words, plan: &Plan) -> Result<(Matches, Matches)> {
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
        let mut phrases: Vec<Vec<(&[u32], f32)>> = plan.concepts.iter().map(Concept::whole_phrases).collect();
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
            let matches = found.select(|at| firm[at] || found.scores[at] >= floor);
            return Ok((matches, found));
        }
        Ok((found, Matches::default()))
    }

    /// What a segment has of a word.
    pub(super) fn cursors(&self, concept: &Concept, segment: usize, combine: Combine) -> Result<Vec<Cursor<'_>>> {
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

    pub(super) fn view(&self, segment: usize, clause: &Clause) -> &Inverted {
        let text = &self.snapshot.segments[segment].data.texts[clause.field];
        match &text.stems {
            Some(stems) if clause.stems => stems,
            _ => &text.words,
        }
    }

    /// What an occurrence is worth: read together, one of the word itself is one of its stem too.
    pub(super) fn weight(&self, clause: &Clause, combine: Combine) -> f32 {
        let options = &self.schema.0.texts[clause.field].options;
        // What is only spelt alike or begins alike is looked for without its stem.
        let has_stem = !clause.stems && matches!(clause.how, How::Typed | How::Synonym) && options.stem.is_some();
        if combine == Combine::Together && has_stem {
            clause.weight * (1.0 - options.stem_weight).max(0.0)
        } else {
            clause.weight
        }
    }

    pub(super) fn norms(&self, clause: &Clause) -> &[f32; 256] {
        let (words, stems) = &self.snapshot.lengths[clause.field];
        if clause.stems { &stems.0 } else { &words.0 }
    }

    /// The living documents that are what was asked for. What is only spelt alike or begins alike does not count.
    pub(super) fn sure(&self, sure: &Sure, plan: &Plan) -> Result<Bits> {
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

    pub(super) fn word_reasons(
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
            for (documents, weight, phrase) in &concept.phrases {
                if documents.binary_search(&document).is_ok() {
                    found.push((format!("{} = {phrase}", concept.word), weight.max(LEAST)));
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
