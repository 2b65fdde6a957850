//! The analysis as the engine's tokenizers, and the engine's schema.

use std::collections::HashMap;

use rust_stemmers::Stemmer;
use tantivy::{
    schema::{
        BytesOptions, FAST, Field, INDEXED, IndexRecordOption, NumericOptions, TextFieldIndexing, TextOptions as Engine,
    },
    tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager},
};

use crate::{
    Language, Schema,
    analysis::{folded, indexed_words},
    english,
    limits::WORD_BYTES,
};

/// Bytes of a whole value that is one term; longer values are never said exactly.
pub(crate) const WHOLE_BYTES: usize = 255;

/// What becomes of a text.
#[derive(Clone, Copy)]
enum Kind {
    Words,
    Stems(Language),
    Whole,
}

#[derive(Clone)]
struct Analyser(Kind);

struct Tokens {
    tokens: Vec<Token>,
    /// The next one; the present one is before it.
    next: usize,
}

impl TokenStream for Tokens {
    fn advance(&mut self) -> bool {
        self.next += 1;
        self.next <= self.tokens.len()
    }

    fn token(&self) -> &Token {
        &self.tokens[self.next - 1]
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.tokens[self.next - 1]
    }
}

impl Tokenizer for Analyser {
    type TokenStream<'a> = Tokens;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Tokens {
        let mut tokens = Vec::new();
        let mut push = |text: String, offset_from, offset_to, position| {
            if text.len() <= WORD_BYTES.max(WHOLE_BYTES) {
                tokens.push(Token { offset_from, offset_to, position, text, position_length: 1 });
            }
        };
        match self.0 {
            Kind::Whole => {
                let whole = folded(text);
                if !whole.is_empty() && whole.len() <= WHOLE_BYTES {
                    push(whole, 0, text.len(), 0);
                }
            }
            Kind::Words => {
                for word in indexed_words(text) {
                    for form in word.forms.into_iter().filter(|form| form.len() <= WORD_BYTES) {
                        push(form, word.start, word.end, word.position);
                    }
                }
            }
            Kind::Stems(language) => {
                let stemmer = Stemmer::create(language);
                for word in indexed_words(text) {
                    let mut stems: Vec<String> = Vec::with_capacity(1);
                    for form in word.forms.iter().filter(|form| form.len() <= WORD_BYTES) {
                        for stem in english::stems(&stemmer, language, form) {
                            if !stems.contains(&stem) {
                                stems.push(stem);
                            }
                        }
                    }
                    for stem in stems {
                        push(stem, word.start, word.end, word.position);
                    }
                }
            }
        }
        Tokens { tokens, next: 0 }
    }
}

/// A text field as the engine knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextHandles {
    pub words: Field,
    pub stems: Option<Field>,
    pub whole: Option<Field>,
}

/// The engine's fields, in the order of the schema.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    pub schema: tantivy::schema::Schema,
    pub id: Field,
    pub completions: Field,
    pub texts: Vec<TextHandles>,
    pub keywords: Vec<Field>,
    pub numbers: Vec<Field>,
}

pub(crate) const ID: &str = "_id";
pub(crate) const COMPLETIONS: &str = "_completions";

/// The engine's schema for ours, and the tokenizers it names.
pub(crate) fn engine_schema(schema: &Schema) -> (Handles, TokenizerManager) {
    let tokenizers = TokenizerManager::default();
    tokenizers.register("words", Analyser(Kind::Words));
    tokenizers.register("whole", Analyser(Kind::Whole));
    let mut stemmers: HashMap<String, ()> = HashMap::new();
    let mut builder = tantivy::schema::Schema::builder();
    let id = builder.add_bytes_field(ID, BytesOptions::from(INDEXED | FAST));
    let completions = builder.add_bytes_field(COMPLETIONS, BytesOptions::from(FAST));
    let indexing = |tokenizer: &str, record, norms| {
        Engine::default().set_indexing_options(
            TextFieldIndexing::default().set_tokenizer(tokenizer).set_index_option(record).set_fieldnorms(norms),
        )
    };
    let texts = schema
        .0
        .texts
        .iter()
        .map(|field| {
            let record = if field.options.positions {
                IndexRecordOption::WithFreqsAndPositions
            } else {
                IndexRecordOption::WithFreqs
            };
            let mut words = indexing("words", record, true);
            if field.options.stored {
                words = words.set_stored();
            }
            let stems = field.options.stem.map(|language| {
                let tokenizer = format!("stems-{language:?}").to_lowercase();
                stemmers.entry(tokenizer.clone()).or_insert_with(|| {
                    tokenizers.register(&tokenizer, Analyser(Kind::Stems(language)));
                });
                let name = format!("{}.stems", field.name);
                builder.add_text_field(&name, indexing(&tokenizer, IndexRecordOption::WithFreqs, true))
            });
            let whole = field.options.exact.then(|| {
                let name = format!("{}.whole", field.name);
                builder.add_text_field(&name, indexing("whole", IndexRecordOption::Basic, false))
            });
            TextHandles { words: builder.add_text_field(&field.name, words), stems, whole }
        })
        .collect();
    let keywords = schema
        .0
        .keywords
        .iter()
        .map(|field| {
            let mut options = indexing("raw", IndexRecordOption::Basic, false);
            if field.facet {
                options = options.set_fast("raw");
            }
            builder.add_text_field(&field.name, options)
        })
        .collect();
    let numbers =
        schema.0.numbers.iter().map(|name| builder.add_i64_field(name, NumericOptions::default().set_fast())).collect();
    tokenizers.register("raw", tantivy::tokenizer::RawTokenizer::default());
    (Handles { schema: builder.build(), id, completions, texts, keywords, numbers }, tokenizers)
}
