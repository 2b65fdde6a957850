//! Sentence vectors from a BERT model in this process: no server, no key, no library beside the program.

mod bert;
mod matrix;
mod quantised;
mod tensors;
mod tokens;

use std::{io, path::Path};

use bert::{Bert, Scratch};
use tokens::WordPiece;

/// The file with the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// The file with the vocabulary and its rules.
pub const TOKENIZER: &str = "tokenizer.json";

/// How exactly vectors are computed. It decides which form of the weights is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// In single precision.
    Exact,
    /// In 8-bit integers where the processor gains by it (AVX-512 VNNI), otherwise exactly: two to three times as fast,
    /// and the vector points almost the same way (a cosine of 0.98 or more).
    Quick,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A file is not what it should be.
    #[error("is not a model that this program understands: {0}")]
    Malformed(String),
}

/// A loaded model. Threads may share it; each brings its own [`Workspace`].
pub struct Model {
    bert: Bert,
    tokenizer: WordPiece,
    max_tokens: usize,
}

/// Memory that one thread works in, kept between calls.
#[derive(Default)]
pub struct Workspace(Scratch);

impl Model {
    /// Whether a folder has a model's files.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        [WEIGHTS, TOKENIZER].iter().all(|file| folder.join(file).is_file())
    }

    /// Loads a BERT model, e.g. all-MiniLM-L6-v2, from a folder with `model.safetensors` and `tokenizer.json`. Texts are
    /// cut after `max_tokens` tokens, or what the model can take if that is less.
    ///
    /// # Errors
    /// When a file cannot be read or is not such a model.
    pub fn load(folder: &Path, max_tokens: usize, precision: Precision) -> Result<Self, LoadError> {
        let bert = Bert::load(&folder.join(WEIGHTS), precision)?;
        let tokenizer = WordPiece::load(&folder.join(TOKENIZER))?;
        let max_tokens = max_tokens.clamp(2, bert.longest());
        Ok(Self { bert, tokenizer, max_tokens })
    }

    /// Numbers in a vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.bert.dimensions()
    }

    /// Tells models apart: the same for the same weights, almost surely another for others.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        self.bert.fingerprint()
    }

    /// One vector of length 1 for each text. The batch needs memory in proportion to its tokens: some 20 KB each.
    ///
    /// # Errors
    /// When the file with the weights, of which a part stays there, cannot be read any more.
    pub fn embed(&self, texts: &[&str], workspace: &mut Workspace) -> io::Result<Vec<Vec<f32>>> {
        let tokens: Vec<_> = texts.iter().map(|text| self.tokenizer.tokens(text, self.max_tokens)).collect();
        let tokens: Vec<_> = tokens.iter().map(Vec::as_slice).collect();
        self.bert.embed(&tokens, &mut workspace.0)
    }
}
