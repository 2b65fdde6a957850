//! Classification by a text's words: naive Bayes over words, pairs of words and pieces of words.

use std::collections::HashMap;

use super::examples::Example;
use crate::domain::intent::Intent;

/// Additive smoothing: the count of a feature that was never seen.
const UNSEEN: f32 = 0.05;
/// The length of character n-grams, which survive typos and endings.
const PIECE: usize = 4;

/// One number for each intent, in the order of [`Intent::ALL`].
pub type Scores = [f32; Intent::ALL.len()];

/// Counts of features for each intent. Learning them is one pass over the examples.
pub struct Words {
    known: HashMap<u64, Scores>,
}

impl Words {
    /// Counts the features of the examples.
    #[must_use]
    pub fn learn(examples: &[Example]) -> Self {
        let mut known: HashMap<u64, Scores> = HashMap::new();
        let mut totals = [0.0_f32; Intent::ALL.len()];
        for example in examples {
            let intent = example.intent as usize;
            for feature in features(&example.text) {
                known.entry(feature).or_insert([0.0; Intent::ALL.len()])[intent] += 1.0;
                totals[intent] += 1.0;
            }
        }
        let all = known.len() as f32;
        for counts in known.values_mut() {
            for (count, total) in counts.iter_mut().zip(totals) {
                *count = ((*count + UNSEEN) / (total + UNSEEN * all)).ln();
            }
            let mean = counts.iter().sum::<f32>() / counts.len() as f32;
            counts.iter_mut().for_each(|count| *count -= mean);
        }
        Self { known }
    }

    /// The score of each intent. Divided by the root of the number of features: they are not independent, and long texts
    /// would otherwise always be certain.
    #[must_use]
    pub fn scores(&self, text: &str) -> Scores {
        let mut scores = [0.0; Intent::ALL.len()];
        let mut known = 0;
        for feature in features(text) {
            let Some(weights) = self.known.get(&feature) else { continue };
            known += 1;
            for (score, weight) in scores.iter_mut().zip(weights) {
                *score += weight;
            }
        }
        let scale = (known.max(1) as f32).sqrt();
        scores.map(|score| score / scale)
    }
}

/// Each once, and always in the same order: sums of floating point numbers depend on it.
fn features(text: &str) -> Vec<u64> {
    let lower = text.to_lowercase();
    let words: Vec<String> = lower
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .filter(|word| !word.is_empty())
        // Numbers carry no intent: all count as one word.
        .map(|word| word.chars().map(|letter| if letter.is_numeric() { '0' } else { letter }).collect())
        .collect();
    let mut features = Vec::new();
    for word in &words {
        features.push(hash(&["w", word]));
        let letters: Vec<char> = ['<'].into_iter().chain(word.chars()).chain(['>']).collect();
        for piece in letters.windows(PIECE) {
            features.push(hash(&["p", &piece.iter().collect::<String>()]));
        }
    }
    for pair in words.windows(2) {
        features.push(hash(&["b", &pair[0], &pair[1]]));
    }
    features.sort_unstable();
    features.dedup();
    features
}

/// FNV-1a: the same in every process and version.
fn hash(parts: &[&str]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
