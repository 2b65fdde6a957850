//! The forward pass of a BERT encoder (Devlin et al., 2018) for sentence vectors (Reimers and Gurevych, 2019): the mean
//! of the last layer over a text's tokens, scaled to length 1.
//!
//! Texts of a batch lie one after the other without padding: linear layers see one tall matrix, attention sees each
//! text alone. So a batch costs what its tokens cost, and no text's vector depends on its neighbours.

use std::{io, path::Path};

use super::{
    LoadError, Precision,
    matrix::{Packed, add_and_normalise, gelu, multiply, padded, softmax},
    quantised::Quantised,
    tensors::{Rows, Tensors},
};

/// The size of an attention head in every BERT: hidden size / heads.
const HEAD: usize = 32;

struct Linear {
    weights: Weights,
    bias: Vec<f32>,
}

enum Weights {
    Exact(Packed),
    Quick(Quantised),
}

struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct Layer {
    /// Queries, keys and values side by side.
    project: Linear,
    join: Linear,
    attention_norm: Norm,
    widen: Linear,
    narrow: Linear,
    output_norm: Norm,
}

/// The weights.
pub struct Bert {
    hidden: usize,
    inner: usize,
    words: Rows,
    /// Position embeddings with the token type's embedding added: there is one type here.
    positions: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
}

/// Room for the numbers between layers, kept from batch to batch.
#[derive(Default)]
pub struct Scratch {
    state: Vec<f32>,
    projected: Vec<f32>,
    context: Vec<f32>,
    joined: Vec<f32>,
    wide: Vec<f32>,
    scores: Vec<f32>,
    keys: Packed,
    values: Packed,
    bytes: Vec<u8>,
}

impl Bert {
    /// Reads the weights from a safetensors file with the names that PyTorch's BERT gives them.
    ///
    /// # Errors
    /// When the file cannot be read or holds another kind of model.
    pub fn load(path: &Path, precision: Precision) -> Result<Self, LoadError> {
        let mut file = Tensors::open(path)?;
        let words = file.shape("embeddings.word_embeddings.weight")?.to_vec();
        let &[vocabulary, hidden] = &words[..] else {
            return Err(LoadError::Malformed("its word embeddings are not a matrix".to_owned()));
        };
        if hidden == 0 || !hidden.is_multiple_of(HEAD) {
            return Err(LoadError::Malformed(format!("its hidden size {hidden} is not a multiple of {HEAD}")));
        }
        let longest = file.shape("embeddings.position_embeddings.weight")?.first().copied().unwrap_or(0);
        let inner = file.shape("encoder.layer.0.intermediate.dense.weight")?.first().copied().unwrap_or(0);
        let words = file.rows("embeddings.word_embeddings.weight", vocabulary, hidden)?;
        let mut positions = file.read("embeddings.position_embeddings.weight", &[longest, hidden])?;
        let types = file.read("embeddings.token_type_embeddings.weight", &[2, hidden])?;
        for row in positions.chunks_exact_mut(hidden) {
            add(row, &types[..hidden]);
        }
        let embedding_norm = norm(&mut file, "embeddings.LayerNorm", hidden)?;
        let mut layers = Vec::new();
        while file.shape(&format!("encoder.layer.{}.output.dense.weight", layers.len())).is_ok() {
            layers.push(layer(&mut file, &format!("encoder.layer.{}", layers.len()), hidden, inner, precision)?);
        }
        Ok(Self { hidden, inner, words, positions, embedding_norm, layers })
    }

    /// Numbers in a vector.
    pub fn dimensions(&self) -> usize {
        self.hidden
    }

    /// A hash (FNV-1a) of the weights that every training changes: the layers' norms and biases.
    pub fn fingerprint(&self) -> u32 {
        let norms = self.layers.iter().flat_map(|layer| [&layer.output_norm.scale, &layer.output_norm.shift]);
        let biases = self.layers.iter().map(|layer| &layer.narrow.bias);
        let bytes = norms.chain(biases).flatten().flat_map(|value| value.to_le_bytes());
        bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    /// The most tokens of a text.
    pub fn longest(&self) -> usize {
        self.positions.len() / self.hidden
    }

    /// One vector of length 1 for each text, given as its tokens: at least one and at most [`longest`](Self::longest).
    /// A token that the vocabulary does not have counts as its first.
    ///
    /// # Errors
    /// When the file with the word embeddings cannot be read any more.
    ///
    /// # Panics
    /// When a text has no tokens or too many.
    pub fn embed(&self, texts: &[&[u32]], scratch: &mut Scratch) -> io::Result<Vec<Vec<f32>>> {
        assert!(texts.iter().all(|text| (1..=self.longest()).contains(&text.len())), "a text of a wrong length");
        let hidden = self.hidden;
        let tokens: usize = texts.iter().map(|text| text.len()).sum();
        let Scratch { state, projected, context, joined, wide, bytes, .. } = &mut *scratch;
        for (numbers, width) in
            [(&mut *state, hidden), (projected, 3 * hidden), (context, hidden), (joined, hidden), (wide, self.inner)]
        {
            numbers.resize(tokens * width, 0.0);
        }
        let placed = texts.iter().flat_map(|text| text.iter().enumerate());
        for ((position, token), row) in placed.zip(state.chunks_exact_mut(hidden)) {
            self.words.read(*token as usize, row, bytes)?;
            add(row, &self.positions[position * hidden..][..hidden]);
        }
        let norm = &self.embedding_norm;
        // There is nothing to add here yet.
        joined.fill(0.0);
        add_and_normalise(state, joined, &norm.scale, &norm.shift);
        for layer in &self.layers {
            self.forward(layer, texts, tokens, scratch);
        }
        let mut rows = scratch.state.chunks_exact(hidden);
        let vectors = texts.iter().map(|text| {
            let mut mean = vec![0.0; hidden];
            rows.by_ref().take(text.len()).for_each(|row| add(&mut mean, row));
            unit(mean)
        });
        Ok(vectors.collect())
    }

    fn forward(&self, layer: &Layer, texts: &[&[u32]], tokens: usize, scratch: &mut Scratch) {
        let hidden = self.hidden;
        let Scratch { state, projected, context, joined, wide, scores, keys, values, .. } = scratch;
        layer.project.apply(state, tokens, projected);
        let mut from = 0;
        for text in texts {
            let (length, stride, columns) = (text.len(), 3 * hidden, padded(text.len()));
            scores.resize(length * columns, 0.0);
            let rows = &projected[from * stride..][..length * stride];
            for head in (0..hidden).step_by(HEAD) {
                keys.transposed(&rows[hidden + head..], stride, length, HEAD);
                values.rows(&rows[2 * hidden + head..], stride, length, HEAD);
                multiply(&rows[head..], stride, length, keys, None, scores, columns);
                for row in scores.chunks_exact_mut(columns) {
                    softmax(&mut row[..length]);
                }
                multiply(scores, columns, length, values, None, &mut context[from * hidden + head..], hidden);
            }
            from += length;
        }
        layer.join.apply(context, tokens, joined);
        add_and_normalise(state, joined, &layer.attention_norm.scale, &layer.attention_norm.shift);
        layer.widen.apply(state, tokens, wide);
        gelu(wide);
        layer.narrow.apply(wide, tokens, joined);
        add_and_normalise(state, joined, &layer.output_norm.scale, &layer.output_norm.shift);
    }
}

impl Linear {
    fn new(weights: &[f32], bias: Vec<f32>, depth: usize, precision: Precision) -> Self {
        let quick = match precision {
            Precision::Exact => None,
            Precision::Quick => Quantised::transposed(weights, depth),
        };
        let weights = quick.map_or_else(
            || {
                let mut packed = Packed::with_capacity(depth, bias.len());
                packed.transposed(weights, depth, bias.len(), depth);
                Weights::Exact(packed)
            },
            Weights::Quick,
        );
        Self { weights, bias }
    }

    fn apply(&self, rows: &[f32], count: usize, out: &mut [f32]) {
        match &self.weights {
            Weights::Quick(weights) => weights.multiply(rows, count, &self.bias, out),
            Weights::Exact(weights) => {
                multiply(rows, rows.len() / count, count, weights, Some(&self.bias), out, self.bias.len());
            }
        }
    }
}

fn layer(
    file: &mut Tensors,
    name: &str,
    hidden: usize,
    inner: usize,
    precision: Precision,
) -> Result<Layer, LoadError> {
    let (mut weights, mut bias) = (Vec::new(), Vec::new());
    for part in ["query", "key", "value"] {
        // Scores are divided by the root of the head's size; doing so to the queries' weights saves doing it later.
        let factor = if part == "query" { 1.0 / (HEAD as f32).sqrt() } else { 1.0 };
        let name = format!("{name}.attention.self.{part}");
        weights.extend(file.read(&format!("{name}.weight"), &[hidden, hidden])?.into_iter().map(|w| w * factor));
        bias.extend(file.read(&format!("{name}.bias"), &[hidden])?.into_iter().map(|b| b * factor));
    }
    Ok(Layer {
        project: Linear::new(&weights, bias, hidden, precision),
        join: linear(file, &format!("{name}.attention.output.dense"), hidden, hidden, precision)?,
        attention_norm: norm(file, &format!("{name}.attention.output.LayerNorm"), hidden)?,
        widen: linear(file, &format!("{name}.intermediate.dense"), inner, hidden, precision)?,
        narrow: linear(file, &format!("{name}.output.dense"), hidden, inner, precision)?,
        output_norm: norm(file, &format!("{name}.output.LayerNorm"), hidden)?,
    })
}

fn linear(
    file: &mut Tensors,
    name: &str,
    columns: usize,
    depth: usize,
    precision: Precision,
) -> Result<Linear, LoadError> {
    let weights = file.read(&format!("{name}.weight"), &[columns, depth])?;
    Ok(Linear::new(&weights, file.read(&format!("{name}.bias"), &[columns])?, depth, precision))
}

fn norm(file: &mut Tensors, name: &str, width: usize) -> Result<Norm, LoadError> {
    Ok(Norm {
        scale: file.read(&format!("{name}.weight"), &[width])?,
        shift: file.read(&format!("{name}.bias"), &[width])?,
    })
}

fn add(to: &mut [f32], what: &[f32]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += what;
    }
}

/// The vector of the same direction and length 1; zeros stay zeros.
fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}
