//! From a query to the documents that match it and what they are worth.
//!
//! Terms are taken one at a time, each adding to a number for every document (term-at-a-time with accumulators), so that
//! every word can be judged over all fields at once. This is done for a window of documents after the other, whose
//! numbers stay in the processor's nearest cache: a posting then takes a nanosecond or two.

mod rows;
mod score;
mod terms;

use std::collections::HashMap;

use tantivy::schema::IndexRecordOption;

use self::terms::Which;
pub(crate) use self::terms::cut;
use crate::{
    Fuzziness, Query, Reason, Result, Schema, SearchError, Words,
    bits::Bits,
    limits::{FILTER_VALUES, QUERY_DEPTH, QUERY_NODES},
    snapshot::{MISSING, Shared, Snapshot},
};

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
        self.select(|at| allowed.contains(self.documents[at]))
    }

    /// Those in these places.
    fn select(&self, wanted: impl Fn(usize) -> bool) -> Self {
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
        let mut matching: Vec<(u32, f32)> = counts
            .into_iter()
            .filter(|(_, (musts, shoulds, _))| *musts == must.len() && *shoulds >= minimum)
            .map(|(document, (_, _, score))| (document, score))
            .collect();
        matching.sort_unstable_by_key(|(document, _)| *document);
        let (documents, scores) = matching.into_iter().unzip();
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
        // Of several the first, which says what is looked for; the others help.
        if self.loose.documents.is_empty() {
            self.loose = loose;
        }
        if let Some(sure) = &words.sure {
            let known = self.sure(sure, &plan)?;
            self.sure = Some(known);
        }
        Ok(found)
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
    let mut scores_of_document = Vec::with_capacity(found.len());
    let mut all = Matches::default();
    for document in set.iter() {
        scores_of_document.clear();
        for (cursor, matches) in cursors.iter_mut().zip(found) {
            if matches.documents.get(*cursor) == Some(&document) {
                scores_of_document.push(matches.scores[*cursor]);
                *cursor += 1;
            }
        }
        all.documents.push(document);
        all.scores.push(score(&scores_of_document));
    }
    all
}
