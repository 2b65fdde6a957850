//! What the reviews of a book say together, in sentences that readers wrote.
//!
//! Extractive: no word is made up. Sentences are told apart by meaning (vectors of a sentence model, compared by cosine):
//! by how near they are to a few plain ones into praise and regret, and among each other into those that say the same.
//! The sentence that most reviews agree with stands for them (the centroid's neighbour, as in MEAD: Radev et al. 2004,
//! "Centroid-based summarization of multiple documents").

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// From so many reviews in one language on, with words that give nothing away, a book has a summary.
pub(crate) const FROM: usize = 5;
/// Points of each kind, and sentences that each shows.
const POINTS: usize = 3;
const SHOWN: usize = 5;
/// Characters of a sentence that can stand alone, and its fewest words.
const LENGTH: std::ops::RangeInclusive<usize> = 20..=220;
const WORDS: usize = 4;
/// From this cosine on two sentences say the same.
const SAME: f32 = 0.5;
/// By so much a sentence must be nearer to one side than to the other.
const MARGIN: f32 = 0.06;
/// What each star above or below three adds to the side of praise or regret: whoever gives one star rarely praises.
const PER_STAR: f32 = 0.05;

/// Plain sentences of praise, to compare with.
pub(crate) const PRAISE: [&str; 8] = [
    "I loved this book.",
    "The writing is beautiful.",
    "I could not put it down.",
    "The characters are wonderful and feel real.",
    "It is clear, well explained and very useful.",
    "The story is gripping from the first page.",
    "It made me laugh and moved me to tears.",
    "The edition is beautifully made.",
];
/// Plain sentences of regret, to compare with.
pub(crate) const REGRET: [&str; 8] = [
    "I was disappointed by this book.",
    "The writing is dull and clumsy.",
    "It is boring and much too long.",
    "The characters are flat and I did not care about them.",
    "It is confusing, superficial and out of date.",
    "The ending is weak and the plot makes no sense.",
    "I gave up half way through.",
    "The print is too small and the binding fell apart.",
];

/// A sentence that somebody wrote, before anything is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub review: Uuid,
    /// The stars of the review, in halves.
    pub halves: i64,
    pub text: String,
}

/// A sentence of the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sentence {
    pub review: Uuid,
    pub text: String,
}

/// What several sentences say; the first stands for them. Never empty, and no review twice.
pub(crate) type Point = Vec<Sentence>;

/// What readers praise and what they miss, most agreed with first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub praised: Vec<Point>,
    pub missed: Vec<Point>,
}

impl Summary {
    pub fn is_empty(&self) -> bool {
        self.praised.is_empty() && self.missed.is_empty()
    }
}

/// The sentences of a text that can stand alone: neither questions, nor scraps, nor endless.
pub(crate) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(split).map(str::trim).filter(|sentence| {
        LENGTH.contains(&sentence.chars().count())
            && sentence.split_whitespace().count() >= WORDS
            && !sentence.ends_with('?')
            && sentence.chars().any(char::is_alphabetic)
    })
}

/// Splits a line after the marks that end a sentence, where a blank and no small letter follow.
fn split(line: &str) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let mut chars = line.char_indices().peekable();
    while let Some((_, char)) = chars.next() {
        if !matches!(char, '.' | '!' | '?' | '…' | '。' | '！' | '？') {
            continue;
        }
        // What closes belongs to the sentence: `He said "never."`
        while chars.next_if(|(_, char)| matches!(char, '.' | '!' | '?' | '…' | '"' | '”' | '’' | '»' | ')')).is_some()
        {
        }
        let Some((end, next)) = chars.peek().copied() else { break };
        let after = line[end..].trim_start().chars().next();
        let ends = matches!(char, '。' | '！' | '？') || next.is_whitespace();
        if ends && !after.is_some_and(char::is_lowercase) {
            parts.push(&line[begin..end]);
            begin = end;
        }
    }
    parts.push(&line[begin..]);
    parts
}

/// Vectors of [`PRAISE`] and [`REGRET`].
#[derive(Debug)]
pub(crate) struct Poles<'a> {
    pub praise: &'a [Vec<f32>],
    pub regret: &'a [Vec<f32>],
}

/// Summarises. `vectors` has one of length 1 for each sentence.
pub(crate) fn summarize(said: &[Said], vectors: &[Vec<f32>], poles: &Poles<'_>) -> Summary {
    let leaning: Vec<f32> = said.iter().zip(vectors).map(|(said, vector)| leaning(said, vector, poles)).collect();
    let side =
        |wanted: fn(f32) -> bool| -> Vec<usize> { (0..said.len()).filter(|one| wanted(leaning[*one])).collect() };
    Summary {
        praised: points(said, vectors, side(|leaning| leaning > MARGIN)),
        missed: points(said, vectors, side(|leaning| leaning < -MARGIN)),
    }
}

/// Above zero: praise. Below: regret.
fn leaning(said: &Said, vector: &[f32], poles: &Poles<'_>) -> f32 {
    let nearest = |pole: &[Vec<f32>]| pole.iter().map(|one| cosine(one, vector)).fold(-1.0, f32::max);
    let stars = said.halves as f32 / 2.0 - 3.0;
    nearest(poles.praise) - nearest(poles.regret) + stars * PER_STAR
}

/// Takes the sentence that most reviews agree with, then the next among those that say something else. What only one
/// review says is taken only when no two agree on anything.
fn points(said: &[Said], vectors: &[Vec<f32>], mut left: Vec<usize>) -> Vec<Point> {
    let mut points = Vec::new();
    while points.len() < POINTS {
        let best = left.iter().map(|one| (agreement(said, vectors, *one, &left), *one));
        let Some((agreed, best)) = best.max_by(|(a, first), (b, second)| {
            a.reviews.cmp(&b.reviews).then(a.nearness.total_cmp(&b.nearness)).then(second.cmp(first))
        }) else {
            break;
        };
        if agreed.reviews < 2 && !points.is_empty() {
            break;
        }
        let same = |one: &usize| cosine(&vectors[*one], &vectors[best]) >= SAME;
        let mut near: Vec<usize> = left.iter().copied().filter(|one| *one != best && same(one)).collect();
        near.sort_by(|a, b| {
            cosine(&vectors[*b], &vectors[best]).total_cmp(&cosine(&vectors[*a], &vectors[best])).then(a.cmp(b))
        });
        let mut known = BTreeSet::new();
        let each_once = std::iter::once(best).chain(near).filter(|one| known.insert(said[*one].review));
        let sentences =
            each_once.take(SHOWN).map(|one| Sentence { review: said[one].review, text: said[one].text.clone() });
        points.push(sentences.collect());
        left.retain(|one| *one != best && !same(one));
    }
    points
}

struct Agreement {
    /// Reviews with a sentence that says the same, its own among them.
    reviews: usize,
    /// The sum of their cosines.
    nearness: f32,
}

fn agreement(said: &[Said], vectors: &[Vec<f32>], one: usize, among: &[usize]) -> Agreement {
    let near = among
        .iter()
        .map(|other| (other, cosine(&vectors[one], &vectors[*other])))
        .filter(|(_, cosine)| *cosine >= SAME);
    let (mut reviews, mut nearness) = (BTreeSet::from([said[one].review]), 0.0);
    for (other, cosine) in near {
        reviews.insert(said[*other].review);
        nearness += cosine;
    }
    Agreement { reviews: reviews.len(), nearness }
}

/// Of vectors of length 1.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(review: u128, halves: i64, text: &str) -> Said {
        Said { review: Uuid::from_u128(review), halves, text: text.to_owned() }
    }

    /// What a sentence is about (one of three axes), and how it leans (the fourth).
    fn vector(about: usize, leaning: f32) -> Vec<f32> {
        let mut vector = vec![0.0; 4];
        vector[about] = (1.0 - leaning * leaning).sqrt();
        vector[3] = leaning;
        vector
    }

    fn summary(said: &[(Said, Vec<f32>)]) -> Summary {
        let (said, vectors): (Vec<_>, Vec<_>) = said.iter().cloned().unzip();
        let (praise, regret) = (vec![vec![0.0, 0.0, 0.0, 1.0]], vec![vec![0.0, 0.0, 0.0, -1.0]]);
        summarize(&said, &vectors, &Poles { praise: &praise, regret: &regret })
    }

    #[test]
    fn sentences_stand_alone() {
        let of = |text| sentences(text).collect::<Vec<_>>();
        assert_eq!(
            of(
                "A quiet book about loss. Read it? You should, all of you!\nGreat.  The end, e.g. the last page, is weak…"
            ),
            ["A quiet book about loss.", "You should, all of you!", "The end, e.g. the last page, is weak…"]
        );
        assert_eq!(
            of("He said “never again.” I agree with him on that."),
            ["He said “never again.”", "I agree with him on that."]
        );
        assert_eq!(of("12.99 is what I paid for it there"), ["12.99 is what I paid for it there"]);
        let endless = "word ".repeat(80);
        assert_eq!(of(&endless), [""; 0]);
        assert_eq!(of("1 2 3 4 5 6 7 8 9 10 11 12"), [""; 0]);
        assert_eq!(of(""), [""; 0]);
    }

    #[test]
    fn what_most_agree_with_comes_first_and_each_review_counts_once() {
        let summary = summary(&[
            (said(1, 10, "the writing"), vector(0, 0.3)),
            (said(1, 10, "the writing, said again"), vector(0, 0.3)),
            (said(2, 9, "the story"), vector(1, 0.3)),
            (said(3, 9, "the story too"), vector(1, 0.3)),
            (said(4, 8, "the story as well"), vector(1, 0.3)),
            (said(5, 8, "the writing too"), vector(0, 0.3)),
            (said(6, 2, "the ending"), vector(2, -0.3)),
            (said(7, 7, "nothing in particular"), vector(2, -0.02)),
        ]);
        let texts = |points: &[Point]| -> Vec<Vec<String>> {
            points.iter().map(|point| point.iter().map(|one| one.text.clone()).collect()).collect()
        };
        assert_eq!(
            texts(&summary.praised),
            [vec!["the story", "the story too", "the story as well"], vec!["the writing", "the writing too"]]
        );
        assert_eq!(texts(&summary.missed), [["the ending"]], "one reader is enough where no two agree");
    }

    #[test]
    fn stars_decide_what_words_leave_open() {
        let summary =
            summary(&[(said(1, 10, "it is what it is"), vector(0, 0.0)), (said(2, 2, "so so"), vector(1, 0.0))]);
        assert_eq!((summary.praised.len(), summary.missed.len()), (1, 1));
        assert!(super::summarize(&[], &[], &Poles { praise: &[], regret: &[] }).is_empty());
    }
}
