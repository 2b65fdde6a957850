//! Values of a keyword field that are spelt like a text: a scan over all of them, which a few numbers for each cut short.
//!
//! A tree or an automaton would have to allow for up to eight edits, where neither is quicker than looking at everything:
//! 100,000 values take about a millisecond, and the outlines 16 bytes each.

/// Of a value what is compared before its letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Which letters it has: the bit of a letter's code modulo 64.
    letters: u64,
    /// How many characters.
    length: u32,
}

impl Outline {
    pub(crate) fn of(text: &str) -> Self {
        let mut outline = Self { letters: 0, length: 0 };
        for c in text.chars() {
            outline.letters |= 1 << (u32::from(c) % 64);
            outline.length += 1;
        }
        outline
    }

    /// Whether texts of these outlines may be so few edits apart: each edit changes the length by one at most, and takes
    /// away one letter and brings another.
    pub(crate) fn may_be(self, other: Self, edits: u32) -> bool {
        self.length.abs_diff(other.length) <= edits && (self.letters ^ other.letters).count_ones() <= 2 * edits
    }
}

/// Insertions, deletions, substitutions and exchanges of two neighbours that turn one text into the other, no part of it
/// edited twice (optimal string alignment distance); `None` when it takes more than `most`.
pub(crate) fn edits(a: &[char], b: &[char], most: u32) -> Option<u32> {
    if a.len().abs_diff(b.len()) > most as usize {
        return None;
    }
    let far = most + 1;
    let band = most as usize;
    let mut before_last: Vec<u32> = vec![far; b.len() + 1];
    let mut last: Vec<u32> = (0..).take(b.len() + 1).map(|at: u32| at.min(far)).collect();
    let mut row: Vec<u32> = vec![far; b.len() + 1];
    for i in 1..=a.len() {
        // Farther from the diagonal it would be too many.
        let (from, to) = (i.saturating_sub(band).max(1), (i + band).min(b.len()));
        row.fill(far);
        if i <= band {
            row[0] = u32::try_from(i).unwrap_or(far).min(far);
        }
        let mut best = row[0];
        for j in from..=to {
            let substituted = last[j - 1] + u32::from(a[i - 1] != b[j - 1]);
            let mut cost = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before_last[j - 2] + 1);
            }
            row[j] = cost.min(far);
            best = best.min(row[j]);
        }
        if best >= far && last.iter().all(|cost| *cost >= far) {
            return None;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    Some(last[b.len()]).filter(|cost| *cost <= most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn between(a: &str, b: &str, most: u32) -> Option<u32> {
        edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>(), most)
    }

    #[test]
    fn edits_are_counted_up_to_a_bound() {
        for (a, b, most, found) in [
            ("", "", 0, Some(0)),
            ("", "ab", 2, Some(2)),
            ("ab", "", 1, None),
            ("theoldmanandthesee", "theoldmanandthesea", 2, Some(1)),
            ("hitchikersgide", "hitchhikersguide", 2, Some(2)),
            ("hitchikersgide", "hitchhikersguide", 1, None),
            ("brids", "birds", 1, Some(1)),
            ("gonegirl", "gonegirl", 0, Some(0)),
            ("abcdef", "fedcba", 3, None),
        ] {
            assert_eq!(between(a, b, most), found, "{a} / {b}");
        }
    }

    proptest! {
        #[test]
        fn a_bound_changes_nothing_below_it_and_outlines_never_exclude(a in "[a-e]{0,12}", b in "[a-e]{0,12}", most in 0_u32..8) {
            let whole = between(&a, &b, 30).expect("so many edits turn anything into anything");
            prop_assert_eq!(between(&a, &b, most), (whole <= most).then_some(whole));
            prop_assert_eq!(between(&b, &a, 30), Some(whole));
            prop_assert!(Outline::of(&a).may_be(Outline::of(&b), whole));
        }
    }
}
