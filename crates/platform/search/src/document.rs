//! What goes in.

use uuid::Uuid;

/// One thing that can be found.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub(crate) id: Uuid,
    pub(crate) texts: Vec<(String, String)>,
    pub(crate) keywords: Vec<(String, String)>,
    pub(crate) numbers: Vec<(String, i64)>,
    pub(crate) completions: Vec<Completion>,
}

/// A text that [`suggest`](crate::Index::suggest) may propose as long as one of its documents is in the index.
/// Documents may share one (books by one author): it is proposed once, with its highest weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// What kind of thing it names; the caller's numbering.
    pub kind: u8,
    /// The text to propose. At most 200 characters are stored.
    pub text: String,
    /// The thing it names, for links: the document, an author.
    pub id: Uuid,
    /// Heavier ones are proposed first. Finite.
    pub weight: f32,
}

impl Document {
    /// An empty document. Putting it replaces the one of the same id.
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        Self { id, texts: Vec::new(), keywords: Vec::new(), numbers: Vec::new(), completions: Vec::new() }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Adds a value to a text field. Words of two values of one field are never a phrase.
    #[must_use]
    pub fn text(mut self, field: &str, value: impl Into<String>) -> Self {
        self.texts.push((field.to_owned(), value.into()));
        self
    }

    /// Adds a value to a keyword field.
    #[must_use]
    pub fn keyword(mut self, field: &str, value: impl Into<String>) -> Self {
        self.keywords.push((field.to_owned(), value.into()));
        self
    }

    /// Sets a number field. The last value counts.
    #[must_use]
    pub fn number(mut self, field: &str, value: i64) -> Self {
        self.numbers.push((field.to_owned(), value));
        self
    }

    /// Adds a completion.
    #[must_use]
    pub fn completion(mut self, kind: u8, text: impl Into<String>, id: Uuid, weight: f32) -> Self {
        self.completions.push(Completion { kind, text: text.into(), id, weight });
        self
    }
}

/// Changes that become visible together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Documents to add, or to put in the place of those with the same ids.
    pub put: Vec<Document>,
    /// Documents to remove. Removing what is not there is no error. A document that is both put and removed is removed.
    pub remove: Vec<Uuid>,
}

impl Batch {
    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty()
    }
}
