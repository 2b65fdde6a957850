use std::{fmt, sync::Arc};

/// The labels of a series without its name, sorted by theirs. An empty value is none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(N, V)> for Labels {
    /// Of two with the same name the later one counts.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut all: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match all.binary_search_by(|(known, _)| known.cmp(&name)) {
                Ok(at) => all[at].1 = value,
                Err(at) => all.insert(at, (name, value)),
            }
        }
        all.retain(|(_, value)| !value.is_empty());
        Self(all.into())
    }
}

impl Labels {
    /// The value of a label; empty where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        match self.0.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => &self.0[at].1,
            Err(_) => "",
        }
    }

    /// Each of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Those with such names alone.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// These, and others, which count where both have the name.
    #[must_use]
    pub fn with<'a>(&'a self, others: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.iter().chain(others).collect()
    }

    /// What they take in memory, roughly, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // Two pointers with lengths, and the counts of what they point to.
        self.0.iter().map(|(name, value)| name.len() + value.len() + 64).sum()
    }
}
