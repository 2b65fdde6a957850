//! WordPiece (Wu et al., 2016) as BERT's uncased models use it: text is cleaned, stripped of accents, lower-cased, cut
//! at spaces, punctuation and ideographs, and each word into the longest pieces that the vocabulary has.
//!
//! Token by token the same as the `tokenizers` library for the same `tokenizer.json`, except that what looks like a
//! special token in a text (`[MASK]`) is text.

use std::{collections::HashMap, path::Path};

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::LoadError;

#[derive(Deserialize)]
struct File {
    normalizer: Normalizer,
    model: Model,
}

#[derive(Deserialize)]
struct Normalizer {
    r#type: String,
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(Deserialize)]
struct Model {
    r#type: String,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: HashMap<String, u32>,
}

/// A vocabulary and its rules.
pub struct WordPiece {
    /// Pieces that begin a word.
    first: HashMap<Box<str>, u32>,
    /// Pieces that go on with one.
    further: HashMap<Box<str>, u32>,
    /// The longest piece, in bytes.
    longest_piece: usize,
    /// Longer words, in characters, are unknown.
    longest_word: usize,
    begin: u32,
    end: u32,
    unknown: u32,
}

impl WordPiece {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// When it cannot be read or follows other rules.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::parse(&std::fs::read(path)?)
    }

    fn parse(json: &[u8]) -> Result<Self, LoadError> {
        let malformed = |what: String| LoadError::Malformed(format!("its tokenizer {what}"));
        let File { normalizer, model } =
            serde_json::from_slice(json).map_err(|error| malformed(format!("cannot be read: {error}")))?;
        let uncased = normalizer.r#type == "BertNormalizer"
            && normalizer.clean_text
            && normalizer.handle_chinese_chars
            && normalizer.strip_accents.unwrap_or(normalizer.lowercase)
            && normalizer.lowercase;
        if !uncased || model.r#type != "WordPiece" {
            return Err(malformed("is not that of an uncased BERT".to_owned()));
        }
        let special =
            |token: &str| model.vocab.get(token).copied().ok_or_else(|| malformed(format!("has no token {token}")));
        let (begin, end, unknown) = (special("[CLS]")?, special("[SEP]")?, special(&model.unk_token)?);
        let longest_piece = model.vocab.keys().map(String::len).max().unwrap_or(0);
        let (mut first, mut further) = (HashMap::new(), HashMap::new());
        for (piece, token) in model.vocab {
            match piece.strip_prefix(&model.continuing_subword_prefix) {
                Some(rest) => further.insert(rest.into(), token),
                None => first.insert(piece.into(), token),
            };
        }
        Ok(Self { first, further, longest_piece, longest_word: model.max_input_chars_per_word, begin, end, unknown })
    }

    /// The tokens of a text between those that mark its begin and its end, `most` in all (at least 2): what follows is
    /// cut off, and not even looked at.
    pub fn tokens(&self, text: &str, most: usize) -> Vec<u32> {
        let most = most.saturating_sub(1).max(1);
        let mut tokens = vec![self.begin];
        let (mut word, mut length) = (String::new(), 0);
        let cleaned = text.chars().filter(|c| !is_dropped(*c)).nfd();
        let lowered = cleaned.filter(|c| !is_accent(*c)).flat_map(char::to_lowercase);
        for c in lowered {
            let alone = is_ideograph(c) || is_punctuation(c);
            if !alone && !c.is_whitespace() {
                length += 1;
                // A word that is too long is unknown as a whole; its characters need not be kept.
                if length <= self.longest_word {
                    word.push(c);
                }
                continue;
            }
            self.cut(&mut word, &mut length, &mut tokens);
            if alone {
                word.push(c);
                length = 1;
                self.cut(&mut word, &mut length, &mut tokens);
            }
            if tokens.len() >= most {
                break;
            }
        }
        self.cut(&mut word, &mut length, &mut tokens);
        tokens.truncate(most);
        tokens.push(self.end);
        tokens
    }

    /// Cuts a word into its pieces, and empties it.
    fn cut(&self, word: &mut String, length: &mut usize, tokens: &mut Vec<u32>) {
        let before = tokens.len();
        let mut start = 0;
        while start < word.len() && *length <= self.longest_word {
            let pieces = if start == 0 { &self.first } else { &self.further };
            let furthest = word.len().min(start + self.longest_piece);
            let found = (start + 1..=furthest).rev().find_map(|end| {
                let piece = word.get(start..end)?;
                Some((end, *pieces.get(piece)?))
            });
            let Some((end, token)) = found else { break };
            tokens.push(token);
            start = end;
        }
        if start < word.len() {
            tokens.truncate(before);
            tokens.push(self.unknown);
        }
        word.clear();
        *length = 0;
    }
}

/// Control, format and private characters, and what stands for an error.
fn is_dropped(c: char) -> bool {
    let other = || {
        matches!(c.general_category(), GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse)
    };
    match c {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        c if c.is_ascii_graphic() || c == ' ' => false,
        _ => other(),
    }
}

fn is_accent(c: char) -> bool {
    !c.is_ascii() && c.general_category() == GeneralCategory::NonspacingMark
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// The blocks that BERT cuts character by character.
fn is_ideograph(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0xF900..=0xFAFF
            | 0x2F800..=0x2FA1F
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: [&str; 14] =
        ["[UNK]", "[CLS]", "[SEP]", "the", "light", "##house", "##s", "!", "a", "##b", "月", "ecole", "oe", "[MASK]"];

    fn small() -> WordPiece {
        let vocab: HashMap<_, _> = PIECES.iter().enumerate().map(|(id, piece)| (*piece, id)).collect();
        let json = serde_json::json!({
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
                "lowercase": true,
            },
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 12, "vocab": vocab,
            },
        });
        WordPiece::parse(json.to_string().as_bytes()).unwrap()
    }

    fn pieces(text: &str, most: usize) -> Vec<&'static str> {
        small().tokens(text, most).into_iter().map(|token| PIECES[token as usize]).collect()
    }

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        assert_eq!(pieces("The lighthouses!", 16), ["[CLS]", "the", "light", "##house", "##s", "!", "[SEP]"]);
        assert_eq!(pieces("ab", 16), ["[CLS]", "a", "##b", "[SEP]"]);
    }

    #[test]
    fn case_accents_and_control_characters_do_not_matter() {
        assert_eq!(pieces("\u{feff}É\u{301}cole\u{0}\tTHE", 16), ["[CLS]", "ecole", "the", "[SEP]"]);
    }

    #[test]
    fn ideographs_stand_alone() {
        assert_eq!(pieces("a月月b", 16), ["[CLS]", "a", "月", "月", "[UNK]", "[SEP]"]);
    }

    #[test]
    fn what_the_vocabulary_lacks_is_one_unknown_token() {
        assert_eq!(pieces("lightzz 🦀 the", 16), ["[CLS]", "[UNK]", "[UNK]", "the", "[SEP]"]);
        assert_eq!(pieces(&"a".repeat(20_000), 16), ["[CLS]", "[UNK]", "[SEP]"]);
    }

    #[test]
    fn a_special_token_in_a_text_is_text() {
        assert_eq!(pieces("[MASK]", 16), ["[CLS]", "[UNK]", "[UNK]", "[UNK]", "[SEP]"]);
    }

    #[test]
    fn what_is_too_long_is_cut_at_its_end() {
        assert_eq!(pieces(&"the ".repeat(100), 5), ["[CLS]", "the", "the", "the", "[SEP]"]);
        assert_eq!(pieces("lighthouses", 4), ["[CLS]", "light", "##house", "[SEP]"]);
        assert_eq!(pieces("", 5), ["[CLS]", "[SEP]"]);
        assert_eq!(pieces("the", 2), ["[CLS]", "[SEP]"]);
    }

    #[test]
    fn other_tokenizers_are_refused() {
        assert!(WordPiece::parse(b"{}").is_err());
        assert!(WordPiece::parse(b"not json").is_err());
    }
}
