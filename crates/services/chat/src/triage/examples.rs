//! The sentences that the classifiers learn from.

use std::{collections::HashSet, fs, io::ErrorKind, path::Path};

use crate::domain::intent::Intent;

/// The built-in examples.
const BUILT_IN: &str = include_str!("../../data/intents.tsv");
/// The longest sentence, in characters.
const LONGEST: usize = 500;
/// The most sentences that staff may add: each costs a vector at the first start.
const MOST: usize = 20_000;

/// A sentence and its intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The sentence.
    pub text: String,
    /// Its intent.
    pub intent: Intent,
}

/// A line that is no example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// The error.
    pub problem: String,
}

/// Reads `sentence<TAB>intent`, one a line; empty lines and those that begin with `#` are skipped. A bad line does
/// not affect the others.
#[must_use]
pub fn parse(text: &str) -> (Vec<Example>, Vec<BadLine>) {
    let (mut examples, mut bad) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match example(line) {
            Ok(_) if examples.len() == MOST => {
                bad.push(BadLine { line: index + 1, problem: format!("only {MOST} sentences are read") });
                break;
            }
            Ok(example) => examples.push(example),
            Err(problem) => bad.push(BadLine { line: index + 1, problem }),
        }
    }
    (examples, bad)
}

fn example(line: &str) -> Result<Example, String> {
    let (text, intent) = line.rsplit_once('\t').ok_or("must be a sentence, a tab and an intent")?;
    let text = text.trim();
    if text.is_empty() || text.chars().nth(LONGEST).is_some() {
        return Err(format!("the sentence must have 1 to {LONGEST} characters"));
    }
    let intent = intent.trim().parse().map_err(|error: crate::domain::intent::UnknownIntent| error.to_string())?;
    Ok(Example { text: text.to_owned(), intent })
}

/// Staff's own examples. Lines of the file that cannot be used are logged with their numbers.
#[must_use]
pub fn own(file: &Path) -> Vec<Example> {
    match fs::read_to_string(file) {
        Ok(text) => {
            let (examples, bad) = parse(&text);
            for line in bad {
                tracing::warn!(file = %file.display(), "an example for the chat cannot be used: {line}");
            }
            examples
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "the examples for the chat cannot be read");
            Vec::new()
        }
    }
}

/// These examples, and the built-in ones for sentences that are not among them.
#[must_use]
pub fn with_built_in(mut own: Vec<Example>) -> Vec<Example> {
    let (built_in, _) = parse(BUILT_IN);
    own.extend(built_in);
    let mut seen = HashSet::new();
    own.retain(|example| seen.insert(example.text.to_lowercase()));
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_examples_cover_every_intent_and_have_no_bad_line() {
        let (examples, bad) = parse(BUILT_IN);
        assert_eq!(bad, []);
        for intent in Intent::ALL {
            let count = examples.iter().filter(|example| example.intent == *intent).count();
            assert!(count >= 30, "{intent} has only {count} examples");
        }
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_counts() {
        let text = "# ours\n\nwhere is it\ttrack_order\nno tab\nx\tno_such_intent\n\tgreeting\nhi\tgreeting\n";
        let (examples, bad) = parse(text);
        assert_eq!(examples.len(), 2);
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [4, 5, 6]);
        assert!(bad[1].problem.contains("no_such_intent"), "{}", bad[1].problem);
    }

    #[test]
    fn staffs_own_examples_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("intents.tsv");
        fs::write(&file, "HELLO\tstore_information\nflibbertigibbet\tfind_book\n").unwrap();
        let all = with_built_in(super::own(&file));
        let of = |text: &str| all.iter().filter(|one| one.text.eq_ignore_ascii_case(text)).collect::<Vec<_>>();
        assert_eq!(of("hello").len(), 1);
        assert_eq!(of("hello")[0].intent, Intent::StoreInformation);
        assert_eq!(of("flibbertigibbet")[0].intent, Intent::FindBook);
    }
}
