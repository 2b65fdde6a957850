//! What postings add up to, for a window of documents after the other: their numbers stay in the processor's nearest
//! cache, where those of a whole collection would push everything else out.

use tantivy::postings::BlockSegmentPostings;

use crate::{Combine, bits::Bits, snapshot::K1};

/// Postings that are scored together, so that the processor takes several at once: as many as are packed together.
const BLOCK: usize = 128;
/// Documents whose words are added up together: their numbers take 32 kB.
pub(crate) const WINDOW: usize = 2_048;
/// What a word is worth at least: a document that has nothing is one that has not the word.
pub(crate) const LEAST: f32 = f32::MIN_POSITIVE;

/// What the documents of one window have. All zero between windows.
pub(crate) struct Window {
    of_word: [OfWord; WINDOW],
    whole: [Whole; WINDOW],
    /// The documents of one word, and room for one more.
    touched: [u32; WINDOW + 1],
    matched: Bits,
}

/// What a document has of one word: in its best field, and in all.
#[derive(Clone, Copy, Default)]
struct OfWord {
    best: f32,
    sum: f32,
}

/// What a document has of all words: their worth, and what counts towards the minimum.
#[derive(Clone, Copy, Default)]
struct Whole {
    score: f32,
    mass: f32,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            of_word: [OfWord::default(); WINDOW],
            whole: [Whole::default(); WINDOW],
            touched: [0; WINDOW + 1],
            matched: Bits::none(WINDOW),
        }
    }

    /// What comes next belongs to one word, until it is finished.
    pub(crate) fn next_word(&mut self) -> WordWindow<'_> {
        WordWindow { window: self, count: 0 }
    }

    /// Adds to what matches anyway.
    pub(crate) fn bonus(&mut self, document: u32, score: f32) {
        let whole = &mut self.whole[document as usize];
        if whole.mass > 0.0 {
            whole.score += score;
        }
    }

    /// Calls with every document that has a word, in order, its score, and its words' mass.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(u32, f32, f32)) {
        for document in self.matched.drain() {
            let Whole { score, mass } = std::mem::take(&mut self.whole[document as usize]);
            each(document, score, mass);
        }
    }
}

/// A window while one word is added up.
pub(crate) struct WordWindow<'a> {
    window: &'a mut Window,
    count: usize,
}

impl WordWindow<'_> {
    /// A field of the document, numbered from the window's first, has the word, and is worth this by it.
    pub(crate) fn add(&mut self, document: u32, score: f32) {
        let OfWord { best, sum } = &mut self.window.of_word[document as usize];
        // Without a branch: whether a document had the word in another field already is anybody's guess.
        self.window.touched[self.count] = document;
        self.count += usize::from(*sum == 0.0);
        *sum += score;
        *best = if score > *best { score } else { *best };
    }

    /// Every document with the word gets what it is worth, and its weight towards the minimum.
    pub(crate) fn finish(self, idf: f32, weight: f32, combine: Combine) {
        for document in &self.window.touched[..self.count] {
            self.window.matched.insert(*document);
            let OfWord { best, sum } = std::mem::take(&mut self.window.of_word[*document as usize]);
            let whole = &mut self.window.whole[*document as usize];
            whole.score += idf * combine.word(best, sum);
            whole.mass += weight;
        }
    }
}

/// A list of postings on its way through the documents of a segment.
pub(crate) struct Cursor<'a> {
    block: BlockSegmentPostings,
    /// What each of the block's postings is worth.
    scores: [f32; BLOCK],
    /// How many of the block's are done.
    done: usize,
    lengths: &'a [u8],
    norms: &'a [f32; 256],
    weight: f32,
    combine: Combine,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(
        block: BlockSegmentPostings,
        lengths: &'a [u8],
        norms: &'a [f32; 256],
        weight: f32,
        combine: Combine,
    ) -> Self {
        let mut cursor = Self { block, scores: [0.0; BLOCK], done: 0, lengths, norms, weight, combine };
        cursor.score();
        cursor
    }

    fn score(&mut self) {
        // Copied, so that nothing but the scores changes within the loops, and the processor takes several at once.
        let (combine, weight) = (self.combine, self.weight);
        for (score, document) in self.scores.iter_mut().zip(self.block.docs()) {
            *score = self.norms[usize::from(self.lengths[*document as usize])];
        }
        for (score, frequency) in self.scores.iter_mut().zip(self.block.freqs()) {
            *score = (weight * combine.field(*frequency, *score)).max(LEAST);
        }
    }

    /// Calls with the documents that are left before this one, and what they are worth.
    pub(crate) fn until(&mut self, end: u32, mut each: impl FnMut(u32, f32)) {
        while self.block.block_len() > 0 {
            let left = &self.block.docs()[self.done..];
            for (document, score) in left.iter().zip(&self.scores[self.done..]) {
                if *document >= end {
                    return;
                }
                each(*document, *score);
                self.done += 1;
            }
            self.block.advance();
            self.done = 0;
            self.score();
        }
    }
}

impl Combine {
    /// What a field with a word so many times is worth.
    #[allow(clippy::cast_precision_loss, reason = "frequencies are small")]
    pub(crate) fn field(self, frequency: u32, norm: f32) -> f32 {
        let frequency = frequency as f32;
        match self {
            Self::Best { .. } => saturated(frequency, norm),
            Self::Together => frequency * K1 / norm,
        }
    }

    /// What a word is worth of which the best field is worth this, and all together that.
    pub(crate) fn word(self, best: f32, sum: f32) -> f32 {
        match self {
            Self::Best { tie } => best + clamped(tie) * (sum - best),
            Self::Together => saturated(sum, K1),
        }
    }

    /// How much of that one field brings, of which there is one best: all fields' parts add up to the word's worth.
    pub(crate) fn part(self, score: f32, is_best: bool, sum: f32) -> f32 {
        match self {
            Self::Best { .. } if is_best => score,
            Self::Best { tie } => clamped(tie) * score,
            Self::Together => saturated(sum, K1) * score / sum,
        }
    }
}

fn clamped(tie: f32) -> f32 {
    if tie.is_finite() { tie.clamp(0.0, 1.0) } else { 0.0 }
}

/// The documents before this one, which are taken away.
pub(crate) fn take_before<'a>(documents: &mut &'a [u32], end: u32) -> &'a [u32] {
    let (before, rest) = documents.split_at(documents.partition_point(|document| *document < end));
    *documents = rest;
    before
}

/// BM25's saturated frequency.
fn saturated(frequency: f32, norm: f32) -> f32 {
    frequency * (K1 + 1.0) / (frequency + norm)
}
