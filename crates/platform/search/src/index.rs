//! The index: one folder, opened once.

use std::{path::Path, sync::Arc};

use uuid::Uuid;

use crate::{Batch, Filter, Request, Response, Result, Schema, Similar, StopWords, Suggestion};

/// The model whose vectors an index keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorModel {
    /// Its name; vectors of differently named models are never compared. At most 200 bytes.
    pub name: String,
    /// Numbers in each vector, 1 to [`DIMENSIONS`](crate::limits::DIMENSIONS).
    pub dimensions: usize,
}

/// How an index is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The vectors' model, when it is known already; `None` takes the model that the folder's vectors are of, if any.
    pub model: Option<VectorModel>,
    /// Check every file's checksum while opening (at about a gigabyte a second). On by default: a file that is not
    /// what was written is then found before it answers.
    pub verify: bool,
    /// Bytes that a [`Bulk`] may gather before it writes them out. 96 MiB by default, at least 16 MiB.
    pub bulk_memory: usize,
    /// Threads of a [`Bulk`]. 2 by default.
    pub bulk_threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { model: None, verify: true, bulk_memory: 96 << 20, bulk_threads: 2 }
    }
}

/// In what state the text index was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There was none.
    Created,
    /// It continues where its last commit left it.
    Resumed,
    /// What was there could not be used and is thrown away; everything must be put again.
    Rebuilt {
        /// Why, for the log.
        reason: String,
    },
}

/// In what state the vectors were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VectorsOpened {
    /// There were none.
    Created,
    /// So many vectors are there.
    Resumed {
        /// How many.
        vectors: usize,
        /// Bytes at the end of the file that were not whole records and were cut off.
        cut: u64,
    },
    /// What was there is of another model, or is no file of vectors, and is thrown away.
    Discarded {
        /// Why, for the log.
        reason: String,
    },
}

/// What is in an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Documents that can be found.
    pub documents: usize,
    /// Vectors, whether their documents are there or not.
    pub vectors: usize,
    /// Parts of the text index; searching looks at each.
    pub segments: usize,
    /// Bytes of the file of vectors.
    pub vector_bytes: u64,
    /// Different words that misspellings are compared with.
    pub vocabulary: usize,
}

/// A hybrid index of documents. Cheap to clone; all clones are one index. Every call blocks: call it where blocking is
/// allowed. Searches run on the caller's thread and side by side; writes take turns.
#[derive(Clone)]
pub struct Index {
    inner: Arc<Inner>,
}

struct Inner {
    opened: Opened,
}

impl Index {
    /// Opens the folder, or makes it.
    ///
    /// A text index of another schema, or one that cannot be read, is thrown away, and [`opened`](Self::opened) says
    /// so: the caller puts everything again. Vectors live in a file of their own and stay.
    ///
    /// # Errors
    /// [`SearchError::Locked`](crate::SearchError::Locked) when the folder is open elsewhere,
    /// [`SearchError::Io`](crate::SearchError::Io) when the folder cannot be made or written.
    pub fn open(folder: &Path, schema: Schema, options: Options) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let _ = (schema, options);
        Ok(Self { inner: Arc::new(Inner { opened: Opened::Created }) })
    }

    /// In what state the text index was found.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.inner.opened
    }

    /// In what state the vectors were found, when they were opened last (see [`use_model`](Self::use_model)).
    #[must_use]
    pub fn vectors_opened(&self) -> VectorsOpened {
        VectorsOpened::Created
    }

    /// Where the last commit said its caller was. `None` when everything must be put again.
    #[must_use]
    pub fn checkpoint(&self) -> Option<String> {
        None
    }

    /// Makes changes: they are durable and visible when this returns, with the checkpoint. After a crash, all of them
    /// are there or none.
    ///
    /// `checkpoint` is any short text that says up to where the caller's source is now in the index; `None` leaves the
    /// one that is there.
    ///
    /// # Errors
    /// [`SearchError::UnknownField`](crate::SearchError::UnknownField) when a document has a field that the schema has
    /// not (nothing is changed then); [`SearchError::Io`](crate::SearchError::Io) and
    /// [`SearchError::Engine`](crate::SearchError::Engine) when writing failed.
    pub fn apply(&self, batch: Batch, checkpoint: Option<&str>) -> Result<()> {
        let _ = (batch, checkpoint);
        Ok(())
    }

    /// Begins to put many documents: what is added becomes durable and visible with [`Bulk::commit`].
    ///
    /// Meanwhile [`apply`](Self::apply) goes on as always; it then commits what the bulk has added so far too, with
    /// its own checkpoint. One bulk at a time: a second one waits.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn bulk(&self) -> Result<Bulk> {
        Ok(Bulk { index: self.clone() })
    }

    /// Removes every document and the checkpoint. Vectors stay.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn clear(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the document is there.
    #[must_use]
    pub fn contains(&self, id: Uuid) -> bool {
        let _ = id;
        false
    }

    /// All documents' ids, in no order.
    #[must_use]
    pub fn ids(&self) -> Vec<Uuid> {
        Vec::new()
    }

    /// What is in the index.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// The model whose vectors are kept.
    #[must_use]
    pub fn model(&self) -> Option<VectorModel> {
        None
    }

    /// Keeps this model's vectors from now on. Does nothing when it is the present one; else the present vectors are
    /// thrown away.
    ///
    /// # Errors
    /// [`SearchError::Vector`](crate::SearchError::Vector) when the model's numbers are out of range, and
    /// [`SearchError::Io`](crate::SearchError::Io).
    pub fn use_model(&self, model: &VectorModel) -> Result<VectorsOpened> {
        let _ = model;
        Ok(VectorsOpened::Created)
    }

    /// Keeps vectors: durable and used when this returns. Each takes the place of the one with the same id; the
    /// document need not be there (yet). They are kept at unit length.
    ///
    /// A fingerprint is the caller's mark of what the vector was made from, so that an unchanged text is not embedded
    /// again.
    ///
    /// # Errors
    /// [`SearchError::Vector`](crate::SearchError::Vector) when there is no model yet or a vector is not usable
    /// (nothing is kept then), and [`SearchError::Io`](crate::SearchError::Io).
    pub fn put_vectors(&self, vectors: &[(Uuid, u64, Vec<f32>)]) -> Result<()> {
        let _ = vectors;
        Ok(())
    }

    /// Forgets vectors. Those of documents that are removed stay until this is called.
    ///
    /// # Errors
    /// [`SearchError::Io`](crate::SearchError::Io).
    pub fn remove_vectors(&self, ids: &[Uuid]) -> Result<()> {
        let _ = ids;
        Ok(())
    }

    /// The mark of what the document's vector was made from.
    #[must_use]
    pub fn fingerprint(&self, id: Uuid) -> Option<u64> {
        let _ = id;
        None
    }

    /// The document's vector, at unit length.
    ///
    /// # Errors
    /// [`SearchError::Io`](crate::SearchError::Io).
    pub fn vector(&self, id: Uuid) -> Result<Option<Vec<f32>>> {
        let _ = id;
        Ok(None)
    }

    /// Searches.
    ///
    /// # Errors
    /// [`SearchError::UnknownField`](crate::SearchError::UnknownField) when the request names a field that is not there
    /// with that kind, [`SearchError::TooMuch`](crate::SearchError::TooMuch) when it is over a limit,
    /// [`SearchError::Vector`](crate::SearchError::Vector) when its vector is not usable. What people type is never an
    /// error.
    pub fn search(&self, request: &Request) -> Result<Response> {
        let _ = request;
        Ok(Response::default())
    }

    /// What was probably meant ("did you mean"): the same text with words that no fuzzy field knows replaced by the
    /// likeliest known ones. `None` when there is nothing to correct.
    ///
    /// Likeness is Damerau-Levenshtein distance (one edit for 3 to 5 letters, two for longer words) with cheaper vowels
    /// and doubled letters; the commoner word wins among equals.
    #[must_use]
    pub fn correct(&self, text: &str, stop_words: &StopWords) -> Option<String> {
        let _ = (text, stop_words);
        None
    }

    /// Documents like this one: by meaning when there is a vector, and by the words that mark it out among the others.
    /// Empty when the document is not there.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn more_like(&self, id: Uuid, limit: usize, filters: &[Filter]) -> Result<Vec<Similar>> {
        let _ = (id, limit, filters);
        Ok(Vec::new())
    }

    /// Completions of what was typed so far, of these kinds (empty: of all): those that begin with it first, then those
    /// where another word does, heavier ones first. When there is none, those that begin with something like it.
    #[must_use]
    pub fn suggest(&self, typed: &str, kinds: &[u8], limit: usize) -> Vec<Suggestion> {
        let _ = (typed, kinds, limit);
        Vec::new()
    }
}

/// Many documents on their way in. Dropping it leaves what is not committed to the next commit.
pub struct Bulk {
    index: Index,
}

impl Bulk {
    /// Adds changes; they are neither durable nor visible yet.
    ///
    /// # Errors
    /// As [`Index::apply`].
    pub fn add(&mut self, batch: Batch) -> Result<()> {
        let _ = (batch, &self.index);
        Ok(())
    }

    /// Makes what was added so far durable and visible, with the checkpoint (`None`: the one that is there). Every
    /// call leaves another segment or so behind: commit every 10,000 documents, not every 100.
    ///
    /// # Errors
    /// As [`Index::apply`].
    pub fn commit(&mut self, checkpoint: Option<&str>) -> Result<()> {
        let _ = checkpoint;
        Ok(())
    }

    /// Commits, and goes back to small batches: gives the memory back.
    ///
    /// # Errors
    /// As [`Index::apply`].
    pub fn finish(mut self, checkpoint: Option<&str>) -> Result<()> {
        self.commit(checkpoint)
    }
}
