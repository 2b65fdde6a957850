//! What a document is made of.

use std::{collections::HashMap, sync::Arc};

pub use rust_stemmers::Algorithm as Language;

use crate::{Result, SearchError};

/// How a text field is analysed and weighed.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// Weight of this field's matches among the other fields', when the query does not say otherwise. 1 by default.
    pub boost: f32,
    /// BM25's `b`: how much a long text is held against a match, 0 to 1. 0.75 by default.
    pub length: f32,
    /// Also index the stems of the words, of this language. `None` by default.
    pub stem: Option<Language>,
    /// What a match by stem alone is worth, of a match by the word itself. 0.7 by default.
    pub stem_weight: f32,
    /// Misspelt words may match this field, and its words are proposed as corrections. Off by default.
    pub fuzzy: bool,
    /// The last word of a query may be the beginning of a word of this field. Off by default.
    pub prefix: bool,
    /// Remember where words stand, for phrases and for the bonus of words that stand together. On by default.
    pub positions: bool,
    /// Also index the whole value as one term, for the bonus of a query that says exactly that. Off by default.
    pub exact: bool,
    /// Keep the text, for highlights and for [`more_like`](crate::Index::more_like). Off by default.
    pub stored: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            boost: 1.0,
            length: 0.75,
            stem: None,
            stem_weight: 0.7,
            fuzzy: false,
            prefix: false,
            positions: true,
            exact: false,
            stored: false,
        }
    }
}

impl TextOptions {
    /// A short text that names the thing: a title, a person's name. Fuzzy, prefix, exact and stored, with little
    /// regard to its length.
    #[must_use]
    pub fn name(boost: f32) -> Self {
        Self { boost, length: 0.5, fuzzy: true, prefix: true, exact: true, stored: true, ..Self::default() }
    }

    /// A long text that tells about the thing, stored for highlights.
    #[must_use]
    pub fn prose(boost: f32) -> Self {
        Self { boost, stored: true, ..Self::default() }
    }

    /// The same with stems of a language.
    #[must_use]
    pub fn stemmed(mut self, language: Language) -> Self {
        self.stem = Some(language);
        self
    }
}

/// A text field of the schema.
#[derive(Clone, Debug)]
pub(crate) struct TextField {
    pub name: String,
    pub options: TextOptions,
}

/// A keyword field of the schema.
#[derive(Clone, Debug)]
pub(crate) struct KeywordField {
    pub name: String,
    pub facet: bool,
}

#[derive(Debug)]
pub(crate) struct Fields {
    pub version: u32,
    pub texts: Vec<TextField>,
    pub keywords: Vec<KeywordField>,
    pub numbers: Vec<String>,
    by_name: HashMap<String, FieldRef>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldRef {
    Text(usize),
    Keyword(usize),
    Number(usize),
}

/// The fields of an index. Cheap to clone.
///
/// Its version is the caller's: raise it whenever what is put into the fields changes, so that an older index is
/// rebuilt. A change of the fields themselves is noticed without it.
#[derive(Clone, Debug)]
pub struct Schema(pub(crate) Arc<Fields>);

impl Schema {
    /// Begins a schema.
    #[must_use]
    pub fn builder(version: u32) -> SchemaBuilder {
        SchemaBuilder { version, texts: Vec::new(), keywords: Vec::new(), numbers: Vec::new() }
    }

    pub(crate) fn text(&self, name: &str) -> Result<usize> {
        match self.0.by_name.get(name) {
            Some(FieldRef::Text(index)) => Ok(*index),
            _ => Err(SearchError::UnknownField { field: name.to_owned(), kind: "text" }),
        }
    }

    pub(crate) fn keyword(&self, name: &str) -> Result<usize> {
        match self.0.by_name.get(name) {
            Some(FieldRef::Keyword(index)) => Ok(*index),
            _ => Err(SearchError::UnknownField { field: name.to_owned(), kind: "keyword" }),
        }
    }

    /// A keyword field that can be counted and sorted by.
    pub(crate) fn facet(&self, name: &str) -> Result<usize> {
        let index = self.keyword(name)?;
        if self.0.keywords[index].facet {
            Ok(index)
        } else {
            Err(SearchError::UnknownField { field: name.to_owned(), kind: "keyword (with facets)" })
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<usize> {
        match self.0.by_name.get(name) {
            Some(FieldRef::Number(index)) => Ok(*index),
            _ => Err(SearchError::UnknownField { field: name.to_owned(), kind: "number" }),
        }
    }
}

/// Collects the fields of a [`Schema`]. Names have 1 to 64 characters of `a-z0-9_` and begin with a letter.
#[derive(Clone, Debug)]
pub struct SchemaBuilder {
    version: u32,
    texts: Vec<TextField>,
    keywords: Vec<KeywordField>,
    numbers: Vec<String>,
}

impl SchemaBuilder {
    /// A field of analysed text. A document may give it several values.
    #[must_use]
    pub fn text(mut self, name: &str, options: TextOptions) -> Self {
        self.texts.push(TextField { name: name.to_owned(), options });
        self
    }

    /// A field of exact values, any number for each document: to filter by, to count (facets), to sort by.
    #[must_use]
    pub fn keyword(mut self, name: &str) -> Self {
        self.keywords.push(KeywordField { name: name.to_owned(), facet: true });
        self
    }

    /// A field of exact values only to look documents up by, such as numbers that name one document: without facets
    /// and sorting it needs no memory.
    #[must_use]
    pub fn identifier(mut self, name: &str) -> Self {
        self.keywords.push(KeywordField { name: name.to_owned(), facet: false });
        self
    }

    /// A field of one `i64` for each document: to filter by range, to count in ranges, to sort by, for priors.
    #[must_use]
    pub fn number(mut self, name: &str) -> Self {
        self.numbers.push(name.to_owned());
        self
    }

    /// The schema.
    ///
    /// # Errors
    /// [`SearchError::Schema`] when a name is not allowed or stands twice, when there is no text field, or when a
    /// weight is not a finite number of at least 0.
    pub fn build(self) -> Result<Schema> {
        let mut by_name = HashMap::new();
        let names = (self.texts.iter().enumerate().map(|(i, f)| (&f.name, FieldRef::Text(i))))
            .chain(self.keywords.iter().enumerate().map(|(i, f)| (&f.name, FieldRef::Keyword(i))))
            .chain(self.numbers.iter().enumerate().map(|(i, name)| (name, FieldRef::Number(i))));
        for (name, field) in names {
            let sound = name.len() <= 64
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !sound {
                return Err(SearchError::Schema(format!("{name:?} is no name for a field")));
            }
            if by_name.insert(name.clone(), field).is_some() {
                return Err(SearchError::Schema(format!("{name:?} stands twice")));
            }
        }
        if self.texts.is_empty() {
            return Err(SearchError::Schema("there is no text field".to_owned()));
        }
        for TextField { name, options } in &self.texts {
            let weights = [options.boost, options.length, options.stem_weight];
            if !weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) || options.length > 1.0 {
                return Err(SearchError::Schema(format!("{name:?} has a weight out of range")));
            }
        }
        let Self { version, texts, keywords, numbers } = self;
        Ok(Schema(Arc::new(Fields { version, texts, keywords, numbers, by_name })))
    }
}
