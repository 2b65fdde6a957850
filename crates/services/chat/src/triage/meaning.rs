//! Classification by a text's vector: linear discriminant analysis.
//!
//! Each intent is taken as a cloud of vectors around its mean, all clouds of one shape. That has a closed solution, so
//! learning is deterministic and fast. See Hastie, Tibshirani and Friedman, *The Elements of Statistical
//! Learning*, 4.3; the shape is pulled towards a ball as in 4.3.1, since there are few examples for so many numbers.

use super::words::Scores;
use crate::domain::intent::Intent;

/// The shrinkage of the common covariance towards a multiple of the identity, 0 to 1.
const ROUNDER: f64 = 0.3;

/// The classifier that was learnt from the examples' vectors.
pub struct Meaning {
    /// Names the model whose vectors these were.
    model: String,
    dimensions: usize,
    /// The weights of each intent, one row after the other.
    directions: Vec<f32>,
    offsets: Scores,
}

impl Meaning {
    /// Learns from vectors of equal length and their intents. `None` without vectors, or when they have
    /// no variance.
    #[must_use]
    pub fn learn(model: &str, vectors: &[(Intent, Vec<f32>)]) -> Option<Self> {
        let size = vectors.first()?.1.len();
        let intents = Intent::ALL.len();
        let mut means = vec![vec![0.0_f64; size]; intents];
        let mut counts = vec![0_usize; intents];
        for (intent, vector) in vectors {
            if vector.len() != size {
                return None;
            }
            counts[*intent as usize] += 1;
            for (mean, value) in means[*intent as usize].iter_mut().zip(vector) {
                *mean += f64::from(*value);
            }
        }
        for (mean, count) in means.iter_mut().zip(&counts) {
            mean.iter_mut().for_each(|value| *value /= (*count).max(1) as f64);
        }
        let shape = shape(vectors, &means, size);
        let factor = cholesky(shape, size)?;
        let (mut directions, mut offsets) = (Vec::with_capacity(intents * size), [0.0; Intent::ALL.len()]);
        for (intent, mean) in means.iter().enumerate() {
            let direction = solve(&factor, mean, size);
            let reach: f64 = direction.iter().zip(mean).map(|(one, other)| one * other).sum();
            // An intent without examples is never chosen.
            offsets[intent] = if counts[intent] == 0 { -1e9 } else { (-0.5 * reach) as f32 };
            directions.extend(direction.iter().map(|value| *value as f32));
        }
        Some(Self { model: model.to_owned(), dimensions: size, directions, offsets })
    }

    /// Names the model whose vectors it knows.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The score of each intent; `None` for a vector of another length.
    #[must_use]
    pub fn scores(&self, vector: &[f32]) -> Option<Scores> {
        if vector.len() != self.dimensions {
            return None;
        }
        let mut scores = self.offsets;
        for (score, direction) in scores.iter_mut().zip(self.directions.chunks_exact(self.dimensions)) {
            *score += direction.iter().zip(vector).map(|(one, other)| one * other).sum::<f32>();
        }
        Some(scores)
    }
}

/// The common covariance around the intents' means, with shrinkage. Only the lower triangle is filled.
fn shape(vectors: &[(Intent, Vec<f32>)], means: &[Vec<f64>], size: usize) -> Vec<f64> {
    let mut shape = vec![0.0_f64; size * size];
    for (intent, vector) in vectors {
        let rest: Vec<f64> =
            vector.iter().zip(&means[*intent as usize]).map(|(value, mean)| f64::from(*value) - mean).collect();
        for (row, one) in rest.iter().enumerate() {
            for (cell, other) in shape[row * size..=row * size + row].iter_mut().zip(&rest) {
                *cell += one * other;
            }
        }
    }
    let count = vectors.len() as f64;
    let spread = (0..size).map(|at| shape[at * size + at]).sum::<f64>() / count / size as f64;
    shape.iter_mut().for_each(|cell| *cell *= (1.0 - ROUNDER) / count);
    for at in 0..size {
        shape[at * size + at] += ROUNDER * spread;
    }
    shape
}

/// The lower triangular factor of a symmetric positive definite matrix; `None` when it is not one.
fn cholesky(mut matrix: Vec<f64>, size: usize) -> Option<Vec<f64>> {
    for row in 0..size {
        for column in 0..=row {
            let (above, below) = matrix.split_at(row * size);
            let left = if column == row { &below[..column] } else { &above[column * size..column * size + column] };
            let dot: f64 = left.iter().zip(&below[..column]).map(|(one, other)| one * other).sum();
            let rest = matrix[row * size + column] - dot;
            matrix[row * size + column] = if column < row {
                rest / matrix[column * size + column]
            } else if rest > 1e-12 {
                rest.sqrt()
            } else {
                return None;
            };
        }
    }
    Some(matrix)
}

/// Solves for a vector with the factor of [`cholesky`].
fn solve(factor: &[f64], right: &[f64], size: usize) -> Vec<f64> {
    let mut result = right.to_vec();
    for row in 0..size {
        let dot: f64 = factor[row * size..row * size + row].iter().zip(&result).map(|(one, other)| one * other).sum();
        result[row] = (result[row] - dot) / factor[row * size + row];
    }
    for row in (0..size).rev() {
        result[row] /= factor[row * size + row];
        let known = result[row];
        for (value, cell) in result[..row].iter_mut().zip(&factor[row * size..row * size + row]) {
            *value -= known * cell;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved() {
        // [[4, 2], [2, 3]] x = [8, 7] has the solution [1.25, 1.5].
        let factor = cholesky(vec![4.0, 0.0, 2.0, 3.0], 2).unwrap();
        let solution = solve(&factor, &[8.0, 7.0], 2);
        assert!((solution[0] - 1.25).abs() < 1e-9 && (solution[1] - 1.5).abs() < 1e-9, "{solution:?}");
        assert!(cholesky(vec![1.0, 0.0, 2.0, 1.0], 2).is_none(), "not positive definite");
    }

    #[test]
    fn clouds_are_told_apart() {
        let cloud = |intent, x: f32, y: f32| {
            (0..40_u8).map(move |step| {
                let angle = f32::from(step) * 0.7;
                (intent, vec![x + 0.1 * angle.cos(), y + 0.1 * angle.sin()])
            })
        };
        let examples: Vec<_> = cloud(Intent::Greeting, 0.0, 1.0).chain(cloud(Intent::Thanks, 1.0, 0.0)).collect();
        let meaning = Meaning::learn("m", &examples).unwrap();
        for (vector, expected) in [([0.1, 0.9], Intent::Greeting), ([0.8, 0.1], Intent::Thanks)] {
            let scores = meaning.scores(&vector).unwrap();
            let best =
                Intent::ALL.iter().max_by(|one, other| scores[**one as usize].total_cmp(&scores[**other as usize]));
            assert_eq!(best, Some(&expected));
        }
        assert!(meaning.scores(&[1.0]).is_none());
        assert!(Meaning::learn("m", &[]).is_none());
    }
}
