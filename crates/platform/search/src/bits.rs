//! Sets of documents.

#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn none(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    pub(crate) fn insert(&mut self, at: u32) {
        self.0[at as usize / 64] |= 1 << (at % 64);
    }

    pub(crate) fn remove(&mut self, at: u32) {
        self.0[at as usize / 64] &= !(1 << (at % 64));
    }

    pub(crate) fn contains(&self, at: u32) -> bool {
        self.0.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
    }

    pub(crate) fn unite(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// All of `whole` that are not here.
    pub(crate) fn complement(&self, whole: &Self) -> Self {
        Self(whole.0.iter().zip(&self.0).map(|(whole, word)| whole & !word).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.0).flat_map(|(index, word)| ones(index, *word))
    }

    /// All of them in order; it is empty afterwards.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&mut self.0).flat_map(|(index, word)| ones(index, std::mem::take(word)))
    }
}

/// The bits of one word.
fn ones(index: u32, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            index * 64 + bit
        })
    })
}
