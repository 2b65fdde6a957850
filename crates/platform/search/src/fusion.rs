//! Two rankings become one.

/// How the ranking by text and the ranking by meaning become one. Both forms depend on nothing but the two rankings:
/// not on the order in which documents are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fusion {
    /// Reciprocal rank fusion: the sum of `weight / (k + rank)` (Cormack, Clarke, Büttcher 2009, "Reciprocal Rank
    /// Fusion outperforms Condorcet and individual Rank Learning Methods"). Needs no scores that can be compared.
    Reciprocal {
        /// How flat: with a greater one, lower ranks count for more. The paper's is 60.
        k: f32,
        /// Weight of the text's ranks.
        text_weight: f32,
        /// Weight of the meaning's ranks.
        meaning_weight: f32,
    },
    /// The sum of `weight * score`, each side's scores brought to 0 to 1: the text's divided by its best, the
    /// similarities from the lowest candidate (0) to 1.
    Weighted {
        /// Weight of the text's scores.
        text_weight: f32,
        /// Weight of the similarities.
        meaning_weight: f32,
    },
}

impl Default for Fusion {
    fn default() -> Self {
        Self::Reciprocal { k: 60.0, text_weight: 1.0, meaning_weight: 1.0 }
    }
}

/// What one side says of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opinion {
    /// From 1; 0: ranked below the depth that is looked at, worth nothing in [`Fusion::Reciprocal`].
    pub rank: u32,
    /// The side's score.
    pub score: f32,
}

/// The span of one side's scores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// The lowest.
    pub low: f32,
    /// The highest.
    pub high: f32,
}

impl Fusion {
    /// The text's scores alone, brought to 0 to 1.
    pub const TEXT: Self = Self::Weighted { text_weight: 1.0, meaning_weight: 0.0 };

    /// The score of one document. `None` where a side did not find it. Spans are of all that the sides found.
    ///
    /// Monotonic: a better rank (a better score) on one side never lowers the result.
    #[must_use]
    pub fn score(self, text: Option<Opinion>, meaning: Option<Opinion>, text_span: Span, meaning_span: Span) -> f32 {
        match self {
            Self::Reciprocal { k, text_weight, meaning_weight } => {
                let side = |opinion: Option<Opinion>, weight: f32| match opinion {
                    #[allow(clippy::cast_precision_loss, reason = "ranks are small")]
                    Some(Opinion { rank, .. }) if rank > 0 => weight / (k.max(0.0) + rank as f32),
                    _ => 0.0,
                };
                side(text, text_weight) + side(meaning, meaning_weight)
            }
            Self::Weighted { text_weight, meaning_weight } => {
                let text = text.map_or(0.0, |opinion| {
                    if text_span.high > 0.0 { (opinion.score / text_span.high).clamp(0.0, 1.0) } else { 0.0 }
                });
                let meaning = meaning.map_or(0.0, |opinion| {
                    let width = 1.0_f32.max(meaning_span.high) - meaning_span.low;
                    if width > 0.0 { ((opinion.score - meaning_span.low) / width).clamp(0.0, 1.0) } else { 1.0 }
                });
                text_weight * text + meaning_weight * meaning
            }
        }
    }
}
