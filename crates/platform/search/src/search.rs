//! One search over one snapshot.

use std::{cmp::Ordering, collections::HashMap, ops::RangeInclusive, sync::Arc};

use tantivy::schema::{
    Field,
    document::{DeserializeError, DocumentDeserialize, DocumentDeserializer},
};
use uuid::Uuid;

use crate::{
    Facet, FacetCounts, FacetOf, Feedback, Filter, Hit, Preference, Prior, Reason, Related, Request, Response, Result,
    Schema, SearchError, Side, Similar, Sort,
    bits::Bits,
    evaluate::{Evaluator, Marks, Matches},
    fusion::{Fusion, Opinion, Span},
    highlight::Marker,
    likeness::{Outline, edits},
    limits::{self, CANDIDATES, EDITS, FACET_VALUES, FEEDBACK, FILTER_VALUES, PREFERENCES, RELATED, WINDOW},
    lock::read,
    snapshot::{MISSING, Segment, Shared, Snapshot},
    tokens::Handles,
    vectors::Vectors,
};

/// The documents that a preference is for, what it adds, and the number field it orders them by.
type Preferred<'p> = (Bits, &'p Preference, Option<usize>);

/// How deep the text's ranking goes into the fusion at least: pages within it never disagree.
const DEPTH: usize = 1_000;
/// What a floor of scores is lowered by, so that rounding leaves nobody out.
const ROUNDING: f32 = 1.0 - 1e-5;
/// So many of a long list are sorted in one by one; more are cheaper to sort out together.
const FEW: usize = 64;
/// Documents whose facets are looked up together.
const BATCH: usize = 64;
/// Words that mark a document out, for likeness by text.
const ALIKE_TERMS: usize = 25;
/// Neighbours that each side of a likeness proposes.
const ALIKE: usize = 100;

/// What a search needs.
pub(crate) struct Searching<'a> {
    pub snapshot: &'a Snapshot,
    pub schema: &'a Schema,
    pub handles: &'a Handles,
    pub shared: &'a Shared,
    pub vectors: &'a Vectors,
}

/// What is stored of a document: its texts by field.
struct Stored(Vec<(Field, String)>);

impl Stored {
    fn of(&self, field: Field) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(other, _)| *other == field).map(|(_, text)| text.as_str())
    }
}

impl DocumentDeserialize for Stored {
    fn deserialize<'de, D: DocumentDeserializer<'de>>(mut document: D) -> Result<Self, DeserializeError> {
        let mut texts = Vec::with_capacity(document.size_hint());
        while let Some(text) = document.next_field()? {
            texts.push(text);
        }
        Ok(Self(texts))
    }
}

/// A document in the run for a place.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    document: u32,
    score: f32,
    text: Option<Opinion>,
    meaning: Option<Opinion>,
}

impl Searching<'_> {
    pub(crate) fn search(&self, request: &Request) -> Result<Response> {
        let window = request.offset.saturating_add(request.limit);
        if window > WINDOW {
            return Err(SearchError::TooMuch(format!("offset and limit are at most {WINDOW} together")));
        }
        let filters = request.filters.iter().map(|filter| self.filter(filter)).collect::<Result<Vec<_>>>()?;
        let mut allowed = self.snapshot.alive.clone();
        filters.iter().for_each(|filter| allowed.intersect(filter));
        let priors = self.priors(&request.priors)?;

        let mut evaluator = Evaluator::new(self.snapshot, self.schema, self.shared);
        let everything = request.text.is_none() && request.meaning.is_none();
        let unfiltered = match &request.text {
            Some(query) => evaluator.evaluate(query)?,
            None if everything => {
                Matches { documents: self.snapshot.alive.iter().collect(), scores: vec![1.0; self.snapshot.living] }
            }
            None => Matches::default(),
        };
        // Before the filters, like everything that decides what matches.
        let related = match request.related.as_ref().filter(|_| request.text.is_some()) {
            Some(related) => self.related(related, &unfiltered, &evaluator)?,
            None => Matches::default(),
        };
        let unfiltered = if related.documents.is_empty() { unfiltered } else { unfiltered.or_better(&related) };
        let preferred = self.preferred(&request.preferences)?;
        let unfiltered = brought(unfiltered, &preferred);
        let mut sure = evaluator.sure.take();
        if let Some(sure) = &mut sure {
            preferred.iter().filter(|(_, preference, _)| preference.sure).for_each(|(of, ..)| sure.unite(of));
        }
        // Sorted otherwise, what is only like it would come first as well.
        let only_sure = sure.as_ref().filter(|_| request.sort != Sort::Relevance);
        let unfiltered = match only_sure.map(|sure| unfiltered.within(sure)) {
            Some(only) if !only.documents.is_empty() => only,
            _ => unfiltered,
        };
        let needs_unfiltered = !filters.is_empty() && request.facets.iter().any(|facet| facet.without_own_filters);
        let (matches, unfiltered) = if filters.is_empty() {
            (unfiltered, None)
        } else {
            (unfiltered.within(&allowed), needs_unfiltered.then_some(unfiltered))
        };
        // What is only spelt like the query says nothing of what it means.
        let is_certain = evaluator.tolerated.is_empty();
        let near = self.near(request, &matches, is_certain, &allowed, &priors)?;
        let only_near: Vec<u32> =
            near.iter().map(|(document, _)| *document).filter(|d| matches.score_of(*d).is_none()).collect();
        let found: Vec<u32> = matches.documents.iter().chain(&only_near).copied().collect();
        let is_sure = |document: &u32| sure.as_ref().is_none_or(|sure| sure.contains(*document));
        let counted: Vec<u32> = found.iter().copied().filter(is_sure).collect();
        let mut response = Response {
            total: found.len(),
            text_total: matches.documents.len(),
            meaning_only: only_near.len(),
            sure: sure.is_some().then_some(counted.len()),
            ..Response::default()
        };
        let unfiltered = unfiltered.map(|all| sure.as_ref().map_or_else(|| all.clone(), |sure| all.within(sure)));
        let near_counted: Vec<u32> = only_near.iter().copied().filter(is_sure).collect();
        for facet in &request.facets {
            response.facets.push(self.facet(facet, request, &filters, &counted, unfiltered.as_ref(), &near_counted)?);
        }

        let page = match &request.sort {
            Sort::Relevance => {
                self.by_relevance(request, &matches, &evaluator.loose, &near, (&priors, &preferred), window)
            }
            sort => self.by_field(sort, &matches, &near, found, &priors, window)?,
        };
        let mut markers = self.markers(request, &evaluator.marks)?;
        for candidate in page.into_iter().skip(request.offset).take(request.limit) {
            let mut hit = self.hit(request, &mut markers, &priors, candidate)?;
            let lift = self.preference(&preferred, candidate.document);
            if request.explain && lift != 0.0 {
                hit.reasons.push(Reason { what: "preferred".to_owned(), score: lift });
            }
            hit.sure = is_sure(&candidate.document);
            response.hits.push(hit);
        }
        if let Some(query) = request.text.as_ref().filter(|_| request.explain) {
            for hit in &mut response.hits {
                let document = self.shared.ids.get(hit.id).and_then(|number| self.snapshot.document(number));
                if let (Some(document), Some(_)) = (document, hit.text) {
                    let mut reasons = evaluator.explain(query, document)?;
                    let own: f32 = reasons.iter().map(|reason| reason.score).sum();
                    if let (Some(related), Some(score)) =
                        (&request.related, related.score_of(document).filter(|s| *s > own))
                    {
                        reasons = vec![Reason { what: format!("{} of the best", related.field), score }];
                    }
                    reasons.append(&mut hit.reasons);
                    hit.reasons = reasons;
                }
            }
        }
        response.tolerated = evaluator.tolerated;
        Ok(response)
    }

    // ------------------------------------------------------------------------------------------- filters, priors

    /// The living documents that pass.
    fn filter(&self, filter: &Filter) -> Result<Bits> {
        match filter {
            Filter::Keyword { field, any_of } => {
                let evaluator = Evaluator::new(self.snapshot, self.schema, self.shared);
                evaluator.keyword(self.schema.keyword(field)?, any_of)
            }
            Filter::Number { field, range } => {
                let evaluator = Evaluator::new(self.snapshot, self.schema, self.shared);
                Ok(evaluator.number(self.schema.number(field)?, *range.start(), *range.end()))
            }
            Filter::Ids(ids) => {
                if ids.len() > FILTER_VALUES {
                    return Err(SearchError::TooMuch(format!("a filter has at most {FILTER_VALUES} values")));
                }
                let mut found = Bits::none(self.snapshot.length);
                for id in ids {
                    if let Some(document) = self.shared.ids.get(*id).and_then(|n| self.snapshot.document(n)) {
                        found.insert(document);
                    }
                }
                Ok(found)
            }
            Filter::Not(inner) => {
                if matches!(**inner, Filter::Not(_)) {
                    return Err(SearchError::TooMuch("a filter is negated once at most".to_owned()));
                }
                Ok(self.filter(inner)?.complement(&self.snapshot.alive))
            }
        }
    }

    /// Documents that belong to the best of these, and what they are worth by that.
    fn related(&self, related: &Related, matches: &Matches, evaluator: &Evaluator<'_>) -> Result<Matches> {
        if related.documents > RELATED {
            return Err(SearchError::TooMuch(format!("at most {RELATED} documents bring related ones")));
        }
        let weight = if related.weight.is_finite() { related.weight.clamp(0.0, 1.0) } else { 0.0 };
        let field = self.schema.facet(&related.field)?;
        let shared = |document: u32| {
            let (segment, local) = self.snapshot.locate(document);
            self.snapshot.segments[segment].data.values[field].of(local)
        };
        let mut worth: HashMap<u32, f32> = HashMap::new();
        for (document, score) in self.best_by_text(matches, &[], related.documents) {
            for value in shared(document) {
                let best = worth.entry(*value).or_default();
                *best = best.max(score * weight);
            }
        }
        let mut found = Matches::default();
        if worth.is_empty() {
            return Ok(found);
        }
        let values = read(&self.shared.values[field]);
        let names: Vec<String> = worth.keys().map(|value| values.list[*value as usize].to_string()).collect();
        for document in evaluator.keyword(field, &names)?.iter() {
            let score = shared(document).iter().filter_map(|value| worth.get(value)).copied().fold(0.0, f32::max);
            if score > 0.0 {
                found.documents.push(document);
                found.scores.push(score);
            }
        }
        Ok(found)
    }

    fn preferred<'p>(&self, preferences: &'p [Preference]) -> Result<Vec<Preferred<'p>>> {
        if preferences.len() > PREFERENCES {
            return Err(SearchError::TooMuch(format!("at most {PREFERENCES} preferences")));
        }
        let of = |preference: &'p Preference| {
            let mut of = self.snapshot.alive.clone();
            for filter in &preference.of {
                of.intersect(&self.filter(filter)?);
            }
            let field = preference.by.as_ref().map(|by| self.schema.number(&by.field)).transpose()?;
            Ok((of, preference, field))
        };
        preferences.iter().map(of).collect()
    }

    /// What the preferences add to a document's score.
    fn preference(&self, preferred: &[Preferred<'_>], document: u32) -> f32 {
        let of_document = preferred.iter().filter(|(of, ..)| of.contains(document));
        let worth = of_document.map(|(_, preference, field)| {
            let order = preference
                .by
                .as_ref()
                .zip(*field)
                .map_or(0.0, |(by, field)| by.weight * by.curve.at(self.snapshot.number(field, document)));
            preference.weight + order
        });
        worth.filter(|worth| worth.is_finite()).sum()
    }

    fn priors<'p>(&self, priors: &'p [Prior]) -> Result<Vec<(usize, &'p Prior)>> {
        priors.iter().map(|prior| Ok((self.schema.number(&prior.field)?, prior))).collect()
    }

    fn prior(&self, priors: &[(usize, &Prior)], document: u32, weight: impl Fn(&Prior) -> f32) -> f32 {
        priors.iter().fold(1.0, |product, (field, prior)| {
            product * (1.0 + weight(prior) * prior.curve.at(self.snapshot.number(*field, document)))
        })
    }

    /// What the document's match by text is worth under the priors.
    fn text_score(&self, matches: &Matches, priors: &[(usize, &Prior)], document: u32) -> Option<f32> {
        Some(matches.score_of(document)? * self.prior(priors, document, |prior| prior.text))
    }

    // ------------------------------------------------------------------------------------------------- rankings

    /// The candidates by meaning, best first, with their similarities under the priors.
    fn near(
        &self,
        request: &Request,
        matches: &Matches,
        is_certain: bool,
        allowed: &Bits,
        priors: &[(usize, &Prior)],
    ) -> Result<Vec<(u32, f32)>> {
        let Some(meaning) = &request.meaning else { return Ok(Vec::new()) };
        if meaning.candidates > CANDIDATES {
            return Err(SearchError::TooMuch(format!("at most {CANDIDATES} candidates by meaning")));
        }
        if meaning.feedback.is_some_and(|feedback| feedback.documents > FEEDBACK) {
            return Err(SearchError::TooMuch(format!("at most {FEEDBACK} documents of feedback")));
        }
        let vector = match meaning.feedback.filter(|_| is_certain) {
            Some(feedback) => self.moved(&meaning.vector, feedback, matches, priors)?,
            None => meaning.vector.clone(),
        };
        let passes = |number: u32| self.snapshot.document(number).is_some_and(|document| allowed.contains(document));
        let mut near: Vec<(u32, f32)> = self
            .vectors
            .nearest(&vector, meaning.candidates, passes)?
            .into_iter()
            .filter_map(|(number, similarity)| Some((self.snapshot.document(number)?, similarity)))
            .filter(|(document, similarity)| *similarity >= meaning.minimum || matches.score_of(*document).is_some())
            .collect();
        for (document, similarity) in &mut near {
            *similarity *= self.prior(priors, *document, |prior| prior.meaning);
        }
        self.shared.ids.with(|ids| {
            near.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| self.by_id(ids, a.0, b.0)));
        });
        Ok(near)
    }

    /// The query's vector, moved towards those of the best by text. Each counts by its score, so that a clear winner
    /// decides alone and a crowd together.
    fn moved(
        &self,
        query: &[f32],
        feedback: Feedback,
        matches: &Matches,
        priors: &[(usize, &Prior)],
    ) -> Result<Vec<f32>> {
        let mut mean = vec![0.0; query.len()];
        for (document, score) in self.best_by_text(matches, priors, feedback.documents) {
            let Some(vector) = self.vectors.vector(self.snapshot.id_number(document))? else { continue };
            mean.iter_mut().zip(&vector).for_each(|(mean, number)| *mean += score * number);
        }
        let length = |vector: &[f32]| vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let (own, others) = (length(query), length(&mean));
        if own == 0.0 || others == 0.0 || !feedback.weight.is_finite() {
            return Ok(query.to_vec());
        }
        let weight = feedback.weight.max(0.0) / others;
        Ok(query.iter().zip(&mean).map(|(query, mean)| query / own + weight * mean).collect())
    }

    fn by_id(&self, ids: &[Uuid], a: u32, b: u32) -> Ordering {
        ids[self.snapshot.id_number(a) as usize].cmp(&ids[self.snapshot.id_number(b) as usize])
    }

    /// The best `depth` of the text's side under the priors, best first.
    fn best_by_text(&self, matches: &Matches, priors: &[(usize, &Prior)], depth: usize) -> Vec<(u32, f32)> {
        if depth == 0 {
            return Vec::new();
        }
        // A prior lifts a score by a bounded factor: what is too far behind without one need not be looked up.
        let bounds = priors.iter().fold((1.0_f32, 1.0_f32), |(low, high), (_, prior)| {
            (low * (1.0 + prior.text.min(0.0)), high * (1.0 + prior.text.max(0.0)))
        });
        let mut floor = f32::NEG_INFINITY;
        if matches.scores.len() > depth && bounds.0 > 0.0 {
            let mut scores = matches.scores.clone();
            let (_, last, _) = scores.select_nth_unstable_by(depth - 1, |a, b| b.total_cmp(a));
            floor = *last * bounds.0 / bounds.1 * ROUNDING;
        }
        let mut ranked: Vec<(u32, f32)> = (matches.documents.iter().zip(&matches.scores))
            .filter(|(_, score)| **score >= floor)
            .map(|(document, score)| (*document, score * self.prior(priors, *document, |prior| prior.text)))
            .collect();
        self.shared.ids.with(|ids| {
            first(&mut ranked, depth, |a, b| b.1.total_cmp(&a.1).then_with(|| self.by_id(ids, a.0, b.0)));
        });
        ranked
    }

    #[allow(clippy::cast_possible_truncation, reason = "ranks are small")]
    fn by_relevance(
        &self,
        request: &Request,
        matches: &Matches,
        loose: &Matches,
        near: &[(u32, f32)],
        (priors, preferred): (&[(usize, &Prior)], &[Preferred<'_>]),
        window: usize,
    ) -> Vec<Candidate> {
        if request.meaning.is_none() && preferred.is_empty() {
            return (1..)
                .zip(self.best_by_text(matches, priors, window))
                .map(|(rank, (document, score))| Candidate {
                    document,
                    score,
                    text: Some(Opinion { rank, score }),
                    meaning: None,
                })
                .collect();
        }
        let text = self.best_by_text(matches, priors, window.max(DEPTH));
        let span = |low: Option<f32>, high: Option<f32>| Span { low: low.unwrap_or(0.0), high: high.unwrap_or(0.0) };
        let text_span = span(text.last().map(|last| last.1), text.first().map(|first| first.1));
        let near_span = span(near.last().map(|last| last.1), near.first().map(|first| first.1));
        let mut candidates: HashMap<u32, (Option<Opinion>, Option<Opinion>)> =
            HashMap::with_capacity(text.len() + near.len());
        for (rank, (document, score)) in (1..).zip(text) {
            candidates.entry(document).or_default().0 = Some(Opinion { rank, score });
        }
        for (rank, (document, score)) in (1..).zip(near) {
            let entry = candidates.entry(*document).or_default();
            entry.1 = Some(Opinion { rank, score: *score });
            if entry.0.is_none() {
                // What meaning found has a few of the words, maybe.
                let score = self.text_score(matches, priors, *document);
                let score = score.or_else(|| self.text_score(loose, priors, *document));
                entry.0 = score.map(|score| Opinion { rank: 0, score });
            }
        }
        // However far behind their words would put them.
        for (of, ..) in preferred.iter().filter(|(_, preference, _)| preference.brings) {
            for document in of.iter().filter(|document| !candidates.contains_key(document)).collect::<Vec<_>>() {
                if let Some(score) = self.text_score(matches, priors, document) {
                    candidates.insert(document, (Some(Opinion { rank: 0, score }), None));
                }
            }
        }
        // Of one side alone the order is its own, whatever the weights.
        let fusion = if request.meaning.is_some() { request.fusion } else { Fusion::TEXT };
        let mut ranked: Vec<Candidate> = candidates
            .into_iter()
            .map(|(document, (text, meaning))| Candidate {
                document,
                score: fusion.score(text, meaning, text_span, near_span) + self.preference(preferred, document),
                text,
                meaning,
            })
            .collect();
        self.shared.ids.with(|ids| {
            ranked.sort_unstable_by(|a, b| {
                b.score.total_cmp(&a.score).then_with(|| self.by_id(ids, a.document, b.document))
            });
        });
        ranked.truncate(window);
        ranked
    }

    fn by_field(
        &self,
        sort: &Sort,
        matches: &Matches,
        near: &[(u32, f32)],
        mut documents: Vec<u32>,
        priors: &[(usize, &Prior)],
        window: usize,
    ) -> Result<Vec<Candidate>> {
        match sort {
            Sort::Number { field, descending } => {
                let field = self.schema.number(field)?;
                let key = |document: u32| {
                    let number = self.snapshot.number(field, document);
                    // The missing ones last, either way.
                    (number == MISSING, if *descending { number.saturating_neg() } else { number })
                };
                self.shared.ids.with(|ids| {
                    first(&mut documents, window, |a, b| key(*a).cmp(&key(*b)).then_with(|| self.by_id(ids, *a, *b)));
                });
            }
            Sort::Keyword { field, descending } => {
                let field = self.schema.facet(field)?;
                let values = read(&self.shared.values[field]);
                let key = |document: u32| {
                    let (segment, local) = self.snapshot.locate(document);
                    let numbers = self.snapshot.segments[segment].data.values[field].of(local);
                    numbers.first().map(|number| &values.list[*number as usize])
                };
                self.shared.ids.with(|ids| {
                    first(&mut documents, window, |a, b| {
                        let order = match (key(*a), key(*b)) {
                            (Some(a), Some(b)) if *descending => b.cmp(a),
                            (Some(a), Some(b)) => a.cmp(b),
                            (None, None) => Ordering::Equal,
                            (None, Some(_)) => Ordering::Greater,
                            (Some(_), None) => Ordering::Less,
                        };
                        order.then_with(|| self.by_id(ids, *a, *b))
                    });
                });
            }
            Sort::Relevance => {}
        }
        let page = documents.into_iter().map(|document| {
            let text = self.text_score(matches, priors, document).map(|score| Opinion { rank: 0, score });
            let meaning = (1..).zip(near).find(|(_, (other, _))| *other == document);
            let meaning = meaning.map(|(rank, (_, score))| Opinion { rank, score: *score });
            Candidate { document, score: text.or(meaning).map_or(0.0, |opinion| opinion.score), text, meaning }
        });
        Ok(page.collect())
    }

    // ---------------------------------------------------------------------------------------------------- facets

    fn facet(
        &self,
        facet: &Facet,
        request: &Request,
        filters: &[Bits],
        found: &[u32],
        unfiltered: Option<&Matches>,
        only_near: &[u32],
    ) -> Result<FacetCounts> {
        let own = |filter: &Filter| filter.field() == Some(facet.field.as_str());
        let widened = unfiltered.filter(|_| facet.without_own_filters && request.filters.iter().any(own));
        match widened {
            None => self.count(facet, found),
            Some(unfiltered) => {
                let others: Vec<&Bits> = request
                    .filters
                    .iter()
                    .zip(filters)
                    .filter(|(filter, _)| !own(filter))
                    .map(|(_, bits)| bits)
                    .collect();
                let passes = |document: &u32| others.iter().all(|bits| bits.contains(*document));
                let unfiltered = unfiltered.documents.iter().copied().filter(passes);
                let documents: Vec<u32> = unfiltered.chain(only_near.iter().copied()).collect();
                self.count(facet, &documents)
            }
        }
    }

    fn count(&self, facet: &Facet, documents: &[u32]) -> Result<FacetCounts> {
        let mut counted = FacetCounts { field: facet.field.clone(), values: Vec::new(), ranges: Vec::new() };
        match &facet.counts {
            FacetOf::Values { limit } => {
                let field = self.schema.facet(&facet.field)?;
                let values = read(&self.shared.values[field]);
                // By the value's number, all zero between facets: a catalogue has far more authors than a search finds.
                let mut counts = self.shared.counts.take();
                counts.resize(counts.len().max(values.list.len()), 0);
                let mut seen = Vec::new();
                // Step by step, so that the processor waits for the memory of many documents at once.
                let mut rows = Vec::with_capacity(BATCH);
                for (segment, documents) in self.by_segment(documents) {
                    let values = &segment.data.values[field];
                    for batch in documents.chunks(BATCH) {
                        rows.extend(batch.iter().map(|document| values.of(document - segment.base)));
                        for row in rows.drain(..) {
                            for value in row {
                                let count = &mut counts[*value as usize];
                                if *count == 0 {
                                    seen.push(*value);
                                }
                                *count += 1;
                            }
                        }
                    }
                }
                let take = |value: u32| (std::mem::take(&mut counts[value as usize]), value);
                let mut found: Vec<(u32, u32)> = seen.into_iter().map(take).collect();
                self.shared.counts.give(counts);
                let limit = (*limit).min(FACET_VALUES);
                first(&mut found, limit, |a, b| b.0.cmp(&a.0).then_with(|| values.order(a.1, b.1)));
                let name = |value: u32| values.list[value as usize].to_string();
                let named = found.into_iter().map(|(count, value)| (name(value), u64::from(count)));
                counted.values = named.collect();
            }
            FacetOf::Ranges(ranges) => {
                let field = self.schema.number(&facet.field)?;
                let mut present = Vec::with_capacity(documents.len());
                for (segment, documents) in self.by_segment(documents) {
                    let numbers = &segment.data.numbers[field];
                    let numbers = documents.iter().map(|document| numbers[(document - segment.base) as usize]);
                    present.extend(numbers.filter(|number| *number != MISSING));
                }
                let within =
                    |range: &RangeInclusive<i64>| present.iter().filter(|number| range.contains(number)).count();
                counted.ranges = ranges.iter().map(|range| within(range) as u64).collect();
            }
        }
        Ok(counted)
    }

    /// Documents that follow each other in one segment, with it: few parts where they are in order.
    fn by_segment<'d>(&self, documents: &'d [u32]) -> impl Iterator<Item = (&Segment, &'d [u32])> {
        let mut left = documents;
        std::iter::from_fn(move || {
            let segment = &self.snapshot.segments[self.snapshot.locate(*left.first()?).0];
            let places = segment.base..segment.base + segment.documents;
            let end = left.iter().position(|document| !places.contains(document)).unwrap_or(left.len());
            let (documents, rest) = left.split_at(end);
            left = rest;
            Some((segment, documents))
        })
    }

    // ------------------------------------------------------------------------------------------------------ hits

    /// For each text that is wanted with the hits its field and what marks words in it.
    fn markers<'r>(&self, request: &'r Request, marks: &'r Marks) -> Result<Vec<(usize, Marker<'r>)>> {
        let wanted = request.highlight.iter().flat_map(|wanted| &wanted.fields);
        let marker = |(name, most): &'r (String, usize)| {
            let field = self.schema.text(name)?;
            Ok((field, Marker::new(name, self.schema.0.texts[field].options.stem, marks, *most)))
        };
        wanted.map(marker).collect()
    }

    fn hit(
        &self,
        request: &Request,
        markers: &mut [(usize, Marker<'_>)],
        priors: &[(usize, &Prior)],
        candidate: Candidate,
    ) -> Result<Hit> {
        let document = candidate.document;
        let side = |opinion: Opinion| Side { rank: opinion.rank, score: opinion.score };
        let mut hit = Hit {
            id: self.shared.ids.id(self.snapshot.id_number(document)),
            score: candidate.score,
            text: candidate.text.map(side),
            meaning: candidate.meaning.map(side),
            sure: true,
            highlights: Vec::new(),
            reasons: Vec::new(),
        };
        if !markers.is_empty() {
            let stored: Stored = self.snapshot.searcher.doc(self.snapshot.address(document))?;
            for (field, marker) in markers {
                let texts = stored.of(self.handles.texts[*field].words);
                hit.highlights.extend(texts.map(|text| marker.mark(text)));
            }
        }
        if request.explain {
            for (field, prior) in priors {
                let value = prior.curve.at(self.snapshot.number(*field, document));
                let mut add_reason = |side: &str, weight: f32| {
                    if weight != 0.0 {
                        let what = format!("prior {} on {side}", prior.field);
                        hit.reasons.push(Reason { what, score: 1.0 + weight * value });
                    }
                };
                if hit.text.is_some() {
                    add_reason("text", prior.text);
                }
                if hit.meaning.is_some() {
                    add_reason("meaning", prior.meaning);
                }
            }
        }
        Ok(hit)
    }

    // -------------------------------------------------------------------------------------------------- likeness

    pub(crate) fn values_like(&self, field: &str, text: &str, most: u32) -> Result<Vec<(String, u32)>> {
        let field = self.schema.facet(field)?;
        let most = most.min(EDITS);
        let evaluator = Evaluator::new(self.snapshot, self.schema, self.shared);
        let lives =
            |value: &str| Ok::<_, SearchError>(evaluator.keyword(field, &[value.to_owned()])?.iter().next().is_some());
        if most == 0 {
            return Ok(if lives(text)? { vec![(text.to_owned(), 0)] } else { Vec::new() });
        }
        let (outline, letters) = (Outline::of(text), text.chars().collect::<Vec<_>>());
        let mut found: Vec<(u32, Arc<str>)> = Vec::new();
        {
            let values = read(&self.shared.values[field]);
            let mut other = Vec::new();
            for (value, its) in values.list.iter().zip(&values.outlines) {
                if its.may_be(outline, most) {
                    other.clear();
                    other.extend(value.chars());
                    found.extend(edits(&letters, &other, most).map(|edits| (edits, Arc::clone(value))));
                }
            }
        }
        found.sort_unstable();
        let mut living = Vec::new();
        // A value stays known when the last document that had it is gone.
        for (edits, value) in found {
            if lives(&value)? {
                living.push((value.to_string(), edits));
                if living.len() == limits::ALIKE {
                    break;
                }
            }
        }
        Ok(living)
    }

    pub(crate) fn more_like(&self, id: Uuid, limit: usize, filters: &[Filter]) -> Result<Vec<Similar>> {
        let limit = limit.min(ALIKE);
        let number = self.shared.ids.get(id);
        let Some((number, document)) = number.and_then(|number| Some((number, self.snapshot.document(number)?))) else {
            return Ok(Vec::new());
        };
        let mut allowed = self.snapshot.alive.clone();
        for filter in filters {
            allowed.intersect(&self.filter(filter)?);
        }
        allowed.remove(document);

        let near = match self.vectors.vector(number)? {
            Some(vector) => self.vectors.nearest(&vector, ALIKE, |number| {
                self.snapshot.document(number).is_some_and(|document| allowed.contains(document))
            })?,
            None => Vec::new(),
        };
        let stored: Stored = self.snapshot.searcher.doc(self.snapshot.address(document))?;
        let texts = self.handles.texts.iter().enumerate();
        let texts: Vec<(usize, &str)> =
            texts.flat_map(|(field, handle)| stored.of(handle.words).map(move |text| (field, text))).collect();
        let matches = Evaluator::new(self.snapshot, self.schema, self.shared).alike(&texts, ALIKE_TERMS)?;
        let mut candidates: HashMap<u32, (Option<Opinion>, Option<Opinion>)> = HashMap::new();
        for (rank, (document, score)) in (1..).zip(self.best_by_text(&matches.within(&allowed), &[], ALIKE)) {
            candidates.entry(document).or_default().0 = Some(Opinion { rank, score });
        }
        for (rank, (number, score)) in (1..).zip(near) {
            if let Some(document) = self.snapshot.document(number) {
                candidates.entry(document).or_default().1 = Some(Opinion { rank, score });
            }
        }
        let fusion = Fusion::default();
        let span = Span::default();
        let mut similar: Vec<Similar> = candidates
            .into_iter()
            .map(|(document, (text, meaning))| Similar {
                id: self.shared.ids.id(self.snapshot.id_number(document)),
                score: fusion.score(text, meaning, span, span),
                similarity: meaning.map(|opinion| opinion.score),
            })
            .collect();
        first(&mut similar, limit, |a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        Ok(similar)
    }
}

/// The matches with those that are brought; these are worth nothing by their words.
fn brought(matches: Matches, preferred: &[Preferred<'_>]) -> Matches {
    let mut matches = matches;
    for (of, ..) in preferred.iter().filter(|(_, preference, _)| preference.brings) {
        let documents: Vec<u32> = of.iter().collect();
        let scores = vec![0.0; documents.len()];
        matches = matches.or_better(&Matches { documents, scores });
    }
    matches
}

/// Cuts to the first `count` in order.
fn first<T>(items: &mut Vec<T>, count: usize, order: impl Fn(&T, &T) -> Ordering) {
    if items.len() > count && count <= FEW {
        // Most are compared with the last of the best so far, and only once.
        let (best, rest) = items.split_at_mut(count);
        best.sort_unstable_by(&order);
        for item in rest {
            let Some(last) = best.last_mut() else { break };
            if order(item, last) == Ordering::Less {
                std::mem::swap(item, last);
                let place = best.partition_point(|other| order(other, &best[count - 1]) == Ordering::Less);
                best[place..].rotate_right(1);
            }
        }
        items.truncate(count);
        return;
    }
    if items.len() > count {
        items.select_nth_unstable_by(count, &order);
    }
    items.truncate(count);
    items.sort_unstable_by(order);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_those_of_the_sorted_list() {
        let mut state = 7_u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        };
        for length in [0, 1, 2, 5, 64, 65, 500] {
            for count in [0, 1, 3, FEW, FEW + 1, 1_000] {
                let items: Vec<(u32, usize)> = (0..length).map(|at| (next(), at)).collect();
                let mut sorted = items.clone();
                sorted.sort_unstable();
                sorted.truncate(count);
                let mut found = items;
                first(&mut found, count, Ord::cmp);
                assert_eq!(found, sorted, "{count} of {length}");
            }
        }
    }
}
