//! Synonyms, ready to be looked up by the words of a query.

use std::collections::HashMap;

use bookworm_search::Synonym;

use crate::domain::text::query_words;

/// The most synonyms that one query is given.
const MOST: usize = 16;

/// Groups by the first word of each of their members.
#[derive(Debug, Default)]
pub(crate) struct Synonyms {
    /// First word to the members that begin with it: their words, and the place of their group.
    members: HashMap<String, Vec<(Vec<String>, usize)>>,
    groups: Vec<Vec<String>>,
}

impl Synonyms {
    /// From groups of words and phrases that mean the same.
    pub(crate) fn new(groups: &[Vec<String>]) -> Self {
        let mut members: HashMap<String, Vec<(Vec<String>, usize)>> = HashMap::new();
        for (place, group) in groups.iter().enumerate() {
            for member in group {
                let words = query_words(member);
                if let Some(first) = words.first() {
                    members.entry(first.clone()).or_default().push((words, place));
                }
            }
        }
        Self { members, groups: groups.to_vec() }
    }

    /// What may stand for words of the query, given all its folded words in order.
    pub(crate) fn of(&self, words: &[String]) -> Vec<Synonym> {
        let mut found: Vec<Synonym> = Vec::new();
        if self.members.is_empty() {
            return found;
        }
        for at in 0..words.len() {
            for (member, place) in self.members.get(&words[at]).into_iter().flatten() {
                if !words[at..].starts_with(member) || found.len() == MOST {
                    continue;
                }
                let own = member.join(" ");
                if found.iter().any(|known| known.words == own) {
                    continue;
                }
                let others = self.groups[*place].iter().filter(|other| query_words(other) != *member);
                found.push(Synonym { alternatives: others.cloned().collect(), words: own });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_words_and_phrases_of_a_query() {
        let groups = [vec!["sci-fi", "science fiction", "SF"], vec!["whodunit", "detective story"]];
        let groups: Vec<Vec<String>> =
            groups.iter().map(|group| group.iter().map(|word| (*word).to_owned()).collect()).collect();
        let synonyms = Synonyms::new(&groups);
        let of = |query: &str| synonyms.of(&query_words(query));
        assert_eq!(
            of("good sci fi"),
            [Synonym { words: "sci fi".into(), alternatives: vec!["science fiction".into(), "SF".into()] }]
        );
        assert_eq!(of("a Whodunit in science-fiction").len(), 2);
        assert!(of("science").is_empty());
    }
}
