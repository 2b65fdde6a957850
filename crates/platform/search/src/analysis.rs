//! From text to words: Unicode words, lower case, diacritics folded.
//!
//! - Letters are brought to lower case and lose their marks (Latin, Greek, Cyrillic); `ß` becomes `ss`, `æ` `ae`, `ø`
//!   `o`, `ł` `l` and so on; compatibility forms (ligatures, full width) become plain (Unicode NFKD).
//! - A word with an apostrophe is found joined and in its parts: `l'étranger` as `letranger` and `etranger`, `ender's`
//!   as `enders` and `ender`. Parts of one letter are left out.
//! - Words joined by a hyphen, a slash, an ampersand, or a dot before a short ending are words of their own; the first
//!   is also found as the whole (`spider-man`: `spider` or `spiderman`, then `man`; `AC/DC`: `ac` or `acdc`, then `dc`;
//!   `Node.js`). Single letters around an ampersand are one word: `R&B` and `R & B` as `r&b` or `rb`.
//! - Initials are found one by one and together: `J.R.R.` and `J. R. R.` as `j` or `jrr`, then `r`, `r`.
//! - Symbols that are part of a name stay: `C#` as `c#` or `csharp`, `C++` as `c++`, `cplusplus` or `cpp`, `.NET` as
//!   `.net`, `dotnet` or `net`. A single letter with its symbols is never the letter alone.
//! - Soft hyphens and joiners vanish.
//! - What is written without blanks (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan) and Korean, whose words carry
//!   endings, becomes overlapping pairs of characters, and single characters when indexed, so that a query of one
//!   character finds too.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

use crate::limits::WORD_BYTES;

/// One word of a text and the forms under which it can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Folded forms; the first is the word itself.
    pub forms: Vec<String>,
    /// Which word of the text it is, from 0.
    pub position: usize,
    /// Where it begins in the text, in bytes.
    pub start: usize,
    /// Where it ends in the text, in bytes.
    pub end: usize,
}

/// The words of a query.
#[must_use]
pub fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    scan(text, false, &mut found);
    found
}

/// The words of a text of which a form may begin like that: at least those; of the others most are left out. Their
/// positions count from the white space before them.
///
/// Most words of most texts begin otherwise. They are passed over by looking at two bytes of each; what may be one of
/// interest is taken apart from the white space before it to that after it, for no word reaches over white space but
/// initials and letters around an ampersand.
pub(crate) fn words_beginning(text: &str, beginnings: &Beginnings) -> Vec<Word> {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(b' ');
    let mut found = Vec::new();
    let (mut at, mut before) = (0, b' ');
    while at < bytes.len() {
        let first = bytes[at];
        if !beginnings.may_begin(before, first, byte(at + 1)) {
            before = first;
            at += 1;
            continue;
        }
        let start = (0..at).rev().find(|place| is_border(bytes, *place)).map_or(0, |space| space + 1);
        let end = (at..bytes.len()).find(|place| is_border(bytes, *place)).unwrap_or(bytes.len());
        let known = found.len();
        scan(&text[start..end], false, &mut found);
        for word in &mut found[known..] {
            word.start += start;
            word.end += start;
        }
        (at, before) = (end, b' ');
    }
    found
}

/// Whether no word reaches over this byte.
fn is_border(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| bytes[before]);
    let reaches = bytes[at] == b' ' && (matches!(before, Some(b'&' | b'.')) || bytes.get(at + 1) == Some(&b'&'));
    bytes[at].is_ascii_whitespace() && !reaches
}

/// The words of a text that is put in: also the single characters of Chinese, Japanese and Korean.
#[must_use]
pub fn indexed_words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    scan(text, true, &mut found);
    found
}

/// How words of interest begin: whoever looks for a few words in many texts need not take those apart that begin
/// otherwise. For each first byte the second ones, a bit for each that falls together in 6 bits.
pub(crate) struct Beginnings([u64; 256]);

/// For each byte the bit by which it is known as a second one. The end of a word is one of its own; behind what may join
/// parts of a word, anything may follow.
static SECOND: [u64; 256] = {
    let mut seconds = [1; 256];
    let mut byte = 0;
    while byte < 256 {
        let lower = (byte as u8).to_ascii_lowercase();
        seconds[byte] = match lower {
            // The one second letter that an English stemmer changes: dying, die.
            b'y' => 1 << (b'i' % 64),
            b'a'..=b'z' | b'0'..=b'9' => 1 << (lower % 64),
            b'\'' | b'`' | b'-' | b'.' | b'/' | b'&' | b'+' | b'#' | b' ' | 128.. => u64::MAX,
            _ => 1,
        };
        byte += 1;
    }
    seconds
};

impl Beginnings {
    /// Those of these folded words or stems.
    pub(crate) fn of<'a>(words: impl Iterator<Item = &'a String>) -> Self {
        // What is not ASCII may fold to anything.
        let mut beginnings = std::array::from_fn(|first| if first < 128 { 0 } else { u64::MAX });
        let words = words.map(|word| word.trim_start_matches('.').as_bytes());
        for word in words.filter(|word| word.first().is_some_and(u8::is_ascii_alphanumeric)) {
            // A stem of one letter says nothing of the second one.
            let second = word.get(1).map_or(u64::MAX, |second| SECOND[usize::from(*second)]);
            beginnings[usize::from(word[0].to_ascii_uppercase())] |= second;
            beginnings[usize::from(word[0])] |= second;
        }
        Self(beginnings)
    }

    /// Whether a word of interest may begin with these two bytes, the first of them after this one.
    fn may_begin(&self, before: u8, first: u8, second: u8) -> bool {
        self.0[usize::from(first)] & SECOND[usize::from(second)] != 0 && !PLAIN[usize::from(before)]
    }
}

/// The text's words, folded and joined by single spaces; apostrophes leave no gap. Two texts that a reader would call
/// the same have the same.
#[must_use]
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.chars() {
        if is_word(c) {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            fold_char(c, &mut out);
        } else if !is_apostrophe(c) {
            gap = true;
        }
    }
    out
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2018}' | '\u{2bc}' | '\u{ff07}' | '`' | '\u{b4}')
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '/' | '\u{2010}' | '\u{2011}' | '\u{2044}')
}

/// The soft hyphen, the joiners and the word joiner: they shape a word and are no part of it.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
}

fn is_word(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() || is_combining_mark(c) || is_joiner(c) }
}

/// Whether a character is of a word in a script that is written without spaces between words, or of Hangul, whose words
/// carry endings.
pub(crate) fn is_unspaced(c: char) -> bool {
    is_cjk(c) && is_word(c)
}

fn is_cjk(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0fff | 0x1000..=0x109f | 0x1780..=0x17ff
        | 0x1100..=0x11ff | 0x2e80..=0x2fdf | 0x3005..=0x3007 | 0x3040..=0x30ff | 0x3100..=0x318f | 0x31a0..=0x31ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xa960..=0xa97f | 0xac00..=0xd7ff | 0xf900..=0xfaff
        | 0xff66..=0xff9f | 0x20000..=0x3ffff)
}

fn fold_char(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
        return;
    }
    if is_joiner(c) {
        return;
    }
    if matches!(u32::from(c), 0xac00..=0xd7a3 | 0x3040..=0x30ff) {
        out.push(c);
        return;
    }
    decompose_compatible(c, |part| {
        if is_folded_mark(part) {
            return;
        }
        for lower in part.to_lowercase() {
            match lower {
                'ß' => out.push_str("ss"),
                'æ' => out.push_str("ae"),
                'œ' => out.push_str("oe"),
                'ø' => out.push('o'),
                'đ' | 'ð' => out.push('d'),
                'þ' => out.push_str("th"),
                'ł' => out.push('l'),
                'ħ' => out.push('h'),
                'ı' => out.push('i'),
                'ŋ' => out.push('n'),
                'ŧ' => out.push('t'),
                'ĸ' => out.push('k'),
                'ς' => out.push('σ'),
                'ə' => out.push('e'),
                other if is_folded_mark(other) => {}
                other => out.push(other),
            }
        }
    });
}

/// Marks that readers leave out when they type: accents, and the points of Hebrew and Arabic.
fn is_folded_mark(c: char) -> bool {
    matches!(u32::from(c),
        0x300..=0x36f | 0x483..=0x487 | 0x591..=0x5bd | 0x5bf | 0x5c1..=0x5c2 | 0x5c4..=0x5c5 | 0x5c7
        | 0x610..=0x61a | 0x64b..=0x65f | 0x670 | 0x640 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff
        | 0xfe20..=0xfe2f)
}

/// A part of a word between apostrophes or hyphens.
#[derive(Default)]
struct Part {
    folded: String,
    start: usize,
    end: usize,
    /// `#` or `++` behind it.
    symbol: &'static str,
    /// A dot before it, as in `.NET`.
    dotted: bool,
}

/// The longest word after a dot that is taken for an ending (`Node.js`, `ASP.NET`), and before one (`.NET`).
const ENDING: usize = 3;
/// The longest parts around an ampersand that are one word.
const AMPERSAND: usize = 2;

/// Which bytes are ASCII letters and digits: looked up, for most of the time goes to asking it.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        plain[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    plain
};

/// The bytes of a word of ASCII letters and digits at the beginning, if nothing that may belong to it comes after.
fn plain_word(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(bytes.len());
    let ends = match bytes.get(end) {
        None => true,
        Some(b'\'' | b'`' | b'-' | b'/' | b'&' | b'+' | b'#') => false,
        Some(b'.') => end > 1 && !bytes.get(end + 1).is_some_and(|next| PLAIN[usize::from(*next)] || !next.is_ascii()),
        // "R & B"
        Some(b' ') => end > AMPERSAND || bytes.get(end + 1) != Some(&b'&'),
        Some(other) => other.is_ascii(),
    };
    (ends && (1..=WORD_BYTES).contains(&end)).then_some(end)
}

fn scan(text: &str, singles: bool, found: &mut Vec<Word>) {
    let mut position = 0;
    let mut next = 0;
    let mut run: Vec<(usize, char)> = Vec::new();
    while let Some(byte) = text.as_bytes().get(next) {
        if byte.is_ascii() && !PLAIN[usize::from(*byte)] {
            next += 1;
            continue;
        }
        let start = next;
        let Some(c) = text[next..].chars().next() else { break };
        if !is_word(c) {
            next += c.len_utf8();
            continue;
        }
        let dotted = is_dotted(text, start);
        // Most words of most texts need no more.
        if !dotted && let Some(length) = plain_word(&text[start..]) {
            next += length;
            found.push(Word { forms: vec![text[start..next].to_ascii_lowercase()], position, start, end: next });
            position += 1;
            continue;
        }
        let mut chars = text[start..].char_indices().map(move |(at, c)| (start + at, c)).peekable();
        if is_unspaced(c) {
            run.clear();
            while let Some(&(at, c)) = chars.peek() {
                if !is_unspaced(c) && !is_joiner(c) {
                    break;
                }
                if !is_joiner(c) {
                    run.push((at, c));
                }
                chars.next();
            }
            push_run(&run, singles, &mut position, found);
            next = chars.peek().map_or(text.len(), |(at, _)| *at);
            continue;
        }
        // Words that hyphens hold together, each in parts that apostrophes hold together.
        let mut compound: Vec<Vec<Part>> = vec![Vec::new()];
        let mut part = Part { start, end: start, dotted, ..Part::default() };
        let is_letter = |c: char| is_word(c) && !is_cjk(c);
        let mut at = start;
        loop {
            let rest = &text[at..];
            let Some(c) = rest.chars().next() else { break };
            if is_letter(c) {
                fold_char(c, &mut part.folded);
                at += c.len_utf8();
                part.end = at;
                continue;
            }
            if let Some((symbol, length)) = symbol(&part.folded, rest) {
                part.symbol = symbol;
                at += length;
                part.end = at;
                break;
            }
            let Some(length) = joint(&part.folded, rest) else { break };
            if !text[at + length..].chars().next().is_some_and(is_letter) {
                break;
            }
            at += length;
            let parts = compound.last_mut().expect("it begins with one and only grows");
            let ampersand = rest[..length].contains('&') && part.folded.chars().count() <= AMPERSAND;
            if ampersand && text[at..].chars().take_while(|c| is_letter(*c)).count() <= AMPERSAND {
                part.folded.push('&');
                continue;
            }
            parts.push(std::mem::replace(&mut part, Part { start: at, end: at, ..Part::default() }));
            if !is_apostrophe(c) {
                compound.push(Vec::new());
            }
        }
        if !part.folded.is_empty() {
            compound.last_mut().expect("it begins with one and only grows").push(part);
        }
        push_compound(&compound, &mut position, found);
        next = at.max(start + c.len_utf8());
    }
}

/// Whether a dot before this place belongs to the word, as in `.NET`: it begins a word of a few letters.
fn is_dotted(text: &str, start: usize) -> bool {
    let before = &text.as_bytes()[..start];
    let [others @ .., b'.'] = before else { return false };
    let alone = others.last().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b'"' | b'/'));
    let letters = text[start..].chars().take_while(|c| c.is_ascii_alphanumeric()).count();
    alone && (2..=ENDING + 1).contains(&letters) && text[start..].starts_with(|c: char| c.is_ascii_alphabetic())
}

/// The symbol behind a word that is part of its name, and its length: `#`, `+` or `++`.
fn symbol(word: &str, rest: &str) -> Option<(&'static str, usize)> {
    if !word.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let first = rest.as_bytes().first().filter(|byte| matches!(byte, b'#' | b'+'))?;
    let length = rest.bytes().take_while(|byte| byte == first).count();
    let symbol = match (first, length) {
        (b'#', 1) => "#",
        (b'+', 1) => "+",
        (b'+', 2) => "++",
        _ => return None,
    };
    let ends = !rest[length..].chars().next().is_some_and(is_word);
    // "C++17", but not "a+b".
    let is_name = word.len() == 1 && symbol != "+";
    (ends || is_name).then_some((symbol, length))
}

/// How many bytes of the rest join this word to the next one, if any.
fn joint(word: &str, rest: &str) -> Option<usize> {
    let c = rest.chars().next()?;
    if word.is_empty() {
        return None;
    }
    if is_apostrophe(c) || is_hyphen(c) || c == '&' {
        return Some(c.len_utf8());
    }
    let short = |word: &str, most: usize| word.chars().nth(most).is_none();
    match c {
        // Initials: J.R.R., J. R. R.
        '.' if short(word, 1) => {
            let mut ahead = rest[1..].chars();
            let spaced = ahead.next() == Some(' ') && ahead.next().is_some_and(char::is_alphabetic);
            Some(if spaced && ahead.next() == Some('.') { 2 } else { 1 })
        }
        // Endings: Node.js
        '.' => {
            let ending = rest[1..].chars().take_while(|c| is_word(*c)).count();
            let then = rest[1..].chars().nth(ending);
            ((1..=ENDING).contains(&ending) && then != Some('.')).then_some(1)
        }
        ' ' if short(word, AMPERSAND) && !word.ends_with('&') => {
            let next = rest.strip_prefix(" & ")?;
            let letters = next.chars().take_while(|c| is_word(*c)).count();
            (1..=AMPERSAND).contains(&letters).then_some(3)
        }
        _ => None,
    }
}

fn push_run(run: &[(usize, char)], singles: bool, position: &mut usize, found: &mut Vec<Word>) {
    let folded: Vec<String> = run
        .iter()
        .map(|(_, c)| {
            let mut out = String::new();
            fold_char(*c, &mut out);
            out
        })
        .collect();
    for (index, (start, c)) in run.iter().enumerate() {
        let end = start + c.len_utf8();
        let mut word = Word { forms: Vec::new(), position: *position, start: *start, end };
        if let Some((next_start, next)) = run.get(index + 1) {
            word.forms.push(format!("{}{}", folded[index], folded[index + 1]));
            if singles {
                word.forms.push(folded[index].clone());
            } else {
                word.end = next_start + next.len_utf8();
            }
        } else if singles || run.len() == 1 {
            word.forms.push(folded[index].clone());
        } else {
            continue;
        }
        word.forms.retain(|form| !form.is_empty());
        if !word.forms.is_empty() {
            found.push(word);
            *position += 1;
        }
    }
}

fn push_compound(compound: &[Vec<Part>], position: &mut usize, found: &mut Vec<Word>) {
    let whole = (compound.len() > 1 && compound.len() <= 4)
        .then(|| compound.iter().flatten().map(|part| part.folded.as_str()).collect::<String>());
    for (index, parts) in compound.iter().enumerate() {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { continue };
        let mut forms: Vec<String> = Vec::with_capacity(1);
        let mut add = |form: String| {
            if !form.is_empty() && form.len() <= WORD_BYTES && !forms.contains(&form) {
                forms.push(form);
            }
        };
        let joined: String = parts.iter().map(|part| part.folded.as_str()).collect();
        if last.symbol.is_empty() {
            if first.dotted {
                add(format!(".{joined}"));
                add(format!("dot{joined}"));
            }
            add(joined.clone());
            if joined.contains('&') {
                add(joined.replace('&', ""));
            }
        } else {
            add(format!("{joined}{}", last.symbol));
            match last.symbol {
                "#" => add(format!("{joined}sharp")),
                "++" => {
                    add(format!("{joined}plusplus"));
                    add(format!("{joined}pp"));
                }
                _ => add(format!("{joined}plus")),
            }
            if joined.chars().nth(1).is_some() {
                add(joined.clone());
            }
        }
        if parts.len() > 1 {
            for part in parts.iter().filter(|part| part.folded.chars().nth(1).is_some()) {
                add(part.folded.clone());
            }
        }
        if index == 0
            && let Some(whole) = &whole
        {
            add(whole.clone());
        }
        if forms.is_empty() {
            continue;
        }
        found.push(Word { forms, position: *position, start: first.start, end: last.end });
        *position += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::vec,
        prelude::{prop_assert_eq, proptest},
    };

    use super::*;

    fn forms(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.forms.join("|")).collect()
    }

    #[test]
    fn words_have_the_forms_that_people_type() {
        assert_eq!(forms("L'Étranger, d’hiver"), ["letranger|etranger", "dhiver|hiver"]);
        assert_eq!(forms("Ender's GAME"), ["enders|ender", "game"]);
        assert_eq!(forms("Spider-Man (2nd ed.)"), ["spider|spiderman", "man", "2nd", "ed"]);
        assert_eq!(forms("J.R.R. Tolkien"), ["j|jrr", "r", "r", "tolkien"]);
        assert_eq!(forms("end.Start 3.14"), ["end", "start", "3|314", "14"]);
        assert_eq!(forms("Straße Œuvre Ærø Łódź Øre"), ["strasse", "oeuvre", "aero", "lodz", "ore"]);
        assert_eq!(forms("Ἀθῆναι Ёлка ΛΟΓΟΣ"), ["αθηναι", "елка", "λογοσ"]);
        assert_eq!(forms("ﬁn ＡＢＣ"), ["fin", "abc"]);
        assert_eq!(forms("猫 吾輩は 日本"), ["猫", "吾輩", "輩は", "日本"]);
        assert_eq!(forms("แมวดำ"), ["แม", "มว", "วด", "ดํา"]);
        assert_eq!(forms("モーリス・センダック")[..4], ["モー", "ーリ", "リス", "セン"]);
        assert_eq!(forms(" -- ' \0 "), [""; 0]);
    }

    #[test]
    fn symbols_that_are_part_of_a_name_stay() {
        assert_eq!(forms("C# in Depth"), ["c#|csharp", "in", "depth"]);
        assert_eq!(forms("C++ Primer, C++17"), ["c++|cplusplus|cpp", "primer", "c++|cplusplus|cpp", "17"]);
        assert_eq!(forms("The C Programming Language"), ["the", "c", "programming", "language"]);
        assert_eq!(forms("F# (.NET)"), ["f#|fsharp", ".net|dotnet|net"]);
        assert_eq!(forms("R&B, R & B, AT&T"), ["r&b|rb", "r&b|rb", "at&t|att"]);
        assert_eq!(forms("AC/DC: Maximum Rock"), ["ac|acdc", "dc", "maximum", "rock"]);
        assert_eq!(forms("Node.js ASP.NET 9/11"), ["node|nodejs", "js", "asp|aspnet", "net", "9|911", "11"]);
        assert_eq!(
            forms("Notepad++ A+ a+b 1+2"),
            ["notepad++|notepadplusplus|notepadpp|notepad", "a+|aplus", "a", "b", "1", "2"]
        );
        assert_eq!(forms("J. K. Rowling"), ["j|jk", "k", "rowling"]);
        assert_eq!(forms("Half\u{ad}hyphen\u{ad}ated na\u{200d}me \u{ad}"), ["halfhyphenated", "name"]);
        assert_eq!(forms("...And Justice ... the end."), ["and", "justice", "the", "end"]);
        assert_eq!(forms("War & Peace, Q & A #1"), ["war", "peace", "q&a|qa", "1"]);
    }

    #[test]
    fn words_of_interest_are_among_those_that_begin_like_them() {
        let text = "A plain End-Of-Line, éclair l'Étranger 1984 J.R.R. 猫";
        let some = words_beginning(text, &Beginnings::of(["end", "étranger", "1984"].map(str::to_owned).iter()));
        let places: Vec<_> = words(text).into_iter().map(|word| (word.forms, word.start, word.end)).collect();
        assert!(some.iter().all(|word| places.contains(&(word.forms.clone(), word.start, word.end))), "{some:?}");
        let found = |form: &str| some.iter().any(|word| word.forms.iter().any(|other| other == form));
        assert!(found("end") && found("etranger") && found("1984") && !found("plain"));
        let stems = words_beginning("dying of it", &Beginnings::of(["die".to_owned()].iter()));
        assert_eq!(stems.len(), 1, "{stems:?}");
    }

    proptest! {
        #[test]
        fn no_word_of_interest_is_passed_over(
            text in "[ aAbéßy1'’.ー猫\\-&/#+\u{ad}ม\n]{0,40}", sought in vec("[abeysi1]{1,4}", 0..4),
        ) {
            let is_sought = |word: &Word| word.forms.iter().any(|form| sought.contains(form));
            let place = |word: Word| (word.forms, word.start, word.end);
            let all: Vec<_> = words(&text).into_iter().filter(is_sought).map(place).collect();
            let some = words_beginning(&text, &Beginnings::of(sought.iter()));
            prop_assert_eq!(some.into_iter().filter(is_sought).map(place).collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn words_know_where_they_stand() {
        let text = "«Le L'Étranger»";
        let found = words(text);
        assert_eq!(&text[found[1].start..found[1].end], "L'Étranger");
        assert_eq!(found[1].position, 1);
        assert_eq!(folded(text), "le letranger");
    }
}
