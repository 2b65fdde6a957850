//! Texts to propose while somebody types: every word of a text, with what follows it, in order.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use crate::{
    Completion, Suggestion,
    analysis::{folded, is_unspaced},
};

/// Characters of a completion's text that are stored.
const TEXT: usize = 200;
/// Characters of what was typed that are looked at.
const TYPED: usize = 100;
/// New keys are gathered apart until there are so many: then they are merged into the great list.
const RECENT: usize = 4_096;
/// Words into a text at which a proposal may begin.
const WORDS: usize = 24;
/// Letters that must be there before one may be wrong.
const TOLERATED: usize = 4;

/// The bytes by which a completion is stored in the index: kind, weight, id, text.
pub(crate) fn encode(completion: &Completion) -> Vec<u8> {
    let text: String = completion.text.chars().take(TEXT).collect();
    let mut bytes = Vec::with_capacity(21 + text.len());
    bytes.push(completion.kind);
    bytes.extend(if completion.weight.is_finite() { completion.weight } else { 0.0 }.to_le_bytes());
    bytes.extend(completion.id.as_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// All completions of all documents, each once, and how many living documents have it.
#[derive(Default)]
pub(crate) struct Completions {
    numbers: HashMap<Arc<[u8]>, u32>,
    hot: Vec<Hot>,
    cold: Vec<Cold>,
    sorted: Vec<Key>,
    recent: Vec<Key>,
}

/// What is looked at for each candidate.
struct Hot {
    documents: u32,
    weight: f32,
    kind: u8,
}

struct Cold {
    encoded: Arc<[u8]>,
    folded: Box<str>,
}

/// A text from one of its words on.
#[derive(Clone, Copy)]
struct Key {
    completion: u32,
    start: u16,
}

impl Completions {
    /// The completion's number; a new one gets a new number. Call [`settle`](Self::settle) when all are in.
    pub(crate) fn intern(&mut self, encoded: &[u8]) -> Option<u32> {
        if let Some(number) = self.numbers.get(encoded) {
            return Some(*number);
        }
        let text = std::str::from_utf8(encoded.get(21..)?).ok()?;
        let weight = f32::from_le_bytes(encoded[1..5].try_into().ok()?);
        let number = u32::try_from(self.hot.len()).ok()?;
        let encoded: Arc<[u8]> = encoded.into();
        let folded: Box<str> = folded(text).into();
        // Where nothing parts words, any character may begin one.
        let mut before = ' ';
        let starts = folded.char_indices().filter_map(|(at, c)| {
            let begins = before == ' ' || is_unspaced(c);
            before = c;
            begins.then_some(at)
        });
        for start in starts.take(WORDS) {
            if let Ok(start) = u16::try_from(start) {
                self.recent.push(Key { completion: number, start });
            }
        }
        self.hot.push(Hot { documents: 0, weight, kind: encoded[0] });
        self.cold.push(Cold { encoded: Arc::clone(&encoded), folded });
        self.numbers.insert(encoded, number);
        Some(number)
    }

    pub(crate) fn add(&mut self, number: u32) {
        self.hot[number as usize].documents += 1;
    }

    pub(crate) fn subtract(&mut self, number: u32) {
        let hot = &mut self.hot[number as usize];
        hot.documents = hot.documents.saturating_sub(1);
    }

    /// Puts new keys in order.
    pub(crate) fn settle(&mut self) {
        let mut recent = std::mem::take(&mut self.recent);
        recent.sort_unstable_by(|a, b| self.text(*a).cmp(self.text(*b)));
        if recent.len() <= RECENT {
            self.recent = recent;
            return;
        }
        let old = std::mem::take(&mut self.sorted);
        let mut merged = Vec::with_capacity(old.len() + recent.len());
        let (mut a, mut b) = (old.into_iter().peekable(), recent.into_iter().peekable());
        loop {
            match (a.peek(), b.peek()) {
                (Some(x), Some(y)) => {
                    merged.push(if self.text(*x) <= self.text(*y) { a.next() } else { b.next() });
                }
                (Some(_), None) => merged.push(a.next()),
                (None, Some(_)) => merged.push(b.next()),
                (None, None) => break,
            }
        }
        self.sorted = merged.into_iter().flatten().collect();
    }

    fn text(&self, key: Key) -> &str {
        &self.cold[key.completion as usize].folded[usize::from(key.start)..]
    }

    /// For each of these sets of kinds (empty: all) at most so many. Of what is only like it something is proposed when
    /// none of them has anything that begins as typed.
    pub(crate) fn suggest(&self, typed: &str, wanted: &[(&[u8], usize)]) -> Vec<Vec<Suggestion>> {
        let typed: String = typed.chars().take(TYPED).collect();
        let prefix = folded(&typed);
        if prefix.is_empty() {
            return vec![Vec::new(); wanted.len()];
        }
        let each = |ranges: &[&[Key]], tolerated: bool| -> Vec<Vec<Suggestion>> {
            wanted.iter().map(|(kinds, limit)| self.best(ranges, kinds, *limit, tolerated)).collect()
        };
        let lists = [self.sorted.as_slice(), self.recent.as_slice()];
        let exact: Vec<&[Key]> = lists.iter().map(|list| self.narrow(list, 0, &prefix)).collect();
        let found = each(&exact, false);
        if found.iter().any(|list| !list.is_empty()) || prefix.chars().count() < TOLERATED {
            return found;
        }
        let letters: Vec<char> = prefix.chars().collect();
        let mut near = Vec::new();
        for list in lists {
            self.walk(list, 0, &letters, &mut near);
        }
        each(&near, true)
    }

    /// The keys that go on with `next` after their first `depth` bytes, in which all of the list agree.
    fn narrow<'a>(&self, list: &'a [Key], depth: usize, next: &str) -> &'a [Key] {
        let rest = |key: &Key| &self.text(*key).as_bytes()[depth..];
        let next = next.as_bytes();
        let from = list.partition_point(|key| rest(key) < next);
        let list = &list[from..];
        // Most go on with nothing, or with little: the end is looked for from here, in steps that double.
        let goes_on = |key: &Key| rest(key).starts_with(next);
        let mut step = 1;
        while list.get(step - 1).is_some_and(goes_on) {
            step *= 2;
        }
        let known = step / 2;
        let until = list.len().min(step - 1).max(known);
        &list[..known + list[known..until].partition_point(goes_on)]
    }

    /// The keys that begin with the letters but for one edit.
    fn walk<'a>(&self, list: &'a [Key], depth: usize, letters: &[char], out: &mut Vec<&'a [Key]>) {
        if list.is_empty() {
            return;
        }
        let [first, rest @ ..] = letters else {
            out.push(list);
            return;
        };
        let text = |letters: &[char]| letters.iter().collect::<String>();
        let mut finish = |list: &'a [Key], depth, letters: &[char]| {
            let found = self.narrow(list, depth, &text(letters));
            if !found.is_empty() {
                out.push(found);
            }
        };
        // One letter too many.
        finish(list, depth, rest);
        // Two letters the wrong way round.
        if let [second, rest @ ..] = rest
            && second != first
        {
            let swapped: Vec<char> = [*second, *first].into_iter().chain(rest.iter().copied()).collect();
            finish(list, depth, &swapped);
        }
        // Another letter, or one too few: every letter that some key has here.
        let mut remaining = list;
        while let Some(key) = remaining.first() {
            let Some(next) = self.text(*key)[depth..].chars().next() else {
                remaining = &remaining[1..];
                continue;
            };
            let mut buffer = [0; 4];
            let with = self.narrow(remaining, depth, next.encode_utf8(&mut buffer));
            if next != *first {
                finish(with, depth + next.len_utf8(), rest);
            }
            finish(with, depth + next.len_utf8(), letters);
            remaining = &remaining[with.len()..];
        }
        let mut buffer = [0; 4];
        let same = self.narrow(list, depth, first.encode_utf8(&mut buffer));
        self.walk(same, depth + first.len_utf8(), rest, out);
    }

    fn best(&self, ranges: &[&[Key]], kinds: &[u8], limit: usize, tolerated: bool) -> Vec<Suggestion> {
        if limit == 0 {
            return Vec::new();
        }
        // Somewhat more than asked for, because equal texts become one.
        let room = limit * 4 + 16;
        let mut best: Vec<(bool, f32, u32)> = Vec::with_capacity(room * 2);
        let better = |a: &(bool, f32, u32), b: &(bool, f32, u32)| {
            b.0.cmp(&a.0)
                .then(b.1.total_cmp(&a.1))
                .then_with(|| self.cold[a.2 as usize].folded.cmp(&self.cold[b.2 as usize].folded))
                .then_with(|| self.cold[a.2 as usize].encoded.cmp(&self.cold[b.2 as usize].encoded))
        };
        let mut floor: Option<(bool, f32)> = None;
        for key in ranges.iter().copied().flatten() {
            let hot = &self.hot[key.completion as usize];
            if hot.documents == 0 || (!kinds.is_empty() && !kinds.contains(&hot.kind)) {
                continue;
            }
            let start = key.start == 0;
            if floor.is_some_and(|(at_start, weight)| (start, hot.weight) < (at_start, weight)) {
                continue;
            }
            best.push((start, hot.weight, key.completion));
            if best.len() >= room * 2 {
                best.sort_unstable_by(better);
                best.dedup_by_key(|candidate| candidate.2);
                best.truncate(room);
                floor = (best.len() == room).then(|| best.last().map(|last| (last.0, last.1))).flatten();
            }
        }
        best.sort_unstable_by(better);
        let mut seen: Vec<(u8, &str)> = Vec::new();
        let mut suggestions = Vec::new();
        for (_, weight, number) in best {
            let (hot, cold) = (&self.hot[number as usize], &self.cold[number as usize]);
            if seen.contains(&(hot.kind, &cold.folded)) {
                continue;
            }
            seen.push((hot.kind, &cold.folded));
            let (Ok(id), Ok(text)) = (Uuid::from_slice(&cold.encoded[5..21]), std::str::from_utf8(&cold.encoded[21..]))
            else {
                continue;
            };
            suggestions.push(Suggestion { text: text.to_owned(), kind: hot.kind, id, weight, tolerated });
            if suggestions.len() == limit {
                break;
            }
        }
        suggestions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_goes_on_like_that_is_found_and_nothing_else() {
        for count in (0..70_u8).chain([127, 128, 129]) {
            let mut completions = Completions::default();
            let texts = (0..count).map(|n| format!("sea {n:03}")).chain(["saw".to_owned(), "see".to_owned()]);
            for (n, text) in texts.enumerate() {
                let completion = Completion { kind: 0, text, id: Uuid::from_u128(n as u128), weight: 1.0 };
                let number = completions.intern(&encode(&completion)).unwrap();
                completions.add(number);
            }
            completions.settle();
            let found = completions.suggest("sea", &[(&[], 200)]);
            let begins = found[0].iter().filter(|found| !found.tolerated && found.text.starts_with("sea ")).count();
            assert_eq!((begins, found[0].len()), (usize::from(count), usize::from(count)));
        }
    }
}
