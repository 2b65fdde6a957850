//! The index: one folder, opened once.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};
use tantivy::{
    IndexReader, IndexSettings, IndexWriter, ReloadPolicy, TantivyDocument, Term,
    indexer::{IndexWriterOptions, LogMergePolicy},
    store::Compressor,
};
use uuid::Uuid;

use crate::{
    Batch, Document, Filter, Request, Response, Result, Schema, SearchError, Similar, Suggestion, Words, completions,
    evaluate::{Evaluator, cut},
    limits::{KEYWORD_BYTES, SUGGESTIONS},
    lock::{lock, read, write},
    search::Searching,
    snapshot::{Shared, Snapshot},
    tokens::{Handles, engine_schema},
    vectors::Vectors,
};

/// Spellings of one word that are proposed.
const SPELLINGS: usize = 4;

/// The model whose vectors an index stores.
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
    folder: PathBuf,
    schema: Schema,
    options: Options,
    handles: Handles,
    shared: Shared,
    engine: tantivy::Index,
    reader: IndexReader,
    opened: Opened,
    snapshot: RwLock<Arc<Snapshot>>,
    checkpoint: RwLock<Option<String>>,
    writer: Mutex<Writer>,
    /// Whether a bulk is on its way, and the bell for those who wait for its end.
    bulk: (Mutex<bool>, Condvar),
    vectors: Vectors,
    /// Locked as long as the index is open.
    _lock: File,
}

/// The engine's writer, made when it is first needed.
#[derive(Default)]
struct Writer {
    engine: Option<IndexWriter>,
    bulk: bool,
}

/// What a commit says of itself.
#[derive(Serialize, Deserialize)]
struct Payload {
    /// The analysis' and the caller's versions.
    version: String,
    checkpoint: Option<String>,
}

/// Raised whenever the analysis, or what is stored of a document, changes.
const FORMAT: u32 = 2;
/// What the engine gathers before it writes out, in small batches.
const SMALL_MEMORY: usize = 16 << 20;
/// Bytes of stored texts that are read together. They are not compressed: unpacking those of a page of hits took a tenth
/// of a search, and the vectors take more of the disk.
const STORED_BLOCK: usize = 4 << 10;
/// Such blocks that are cached.
const STORED_KEPT: usize = 128;

fn version(schema: &Schema) -> String {
    format!("{FORMAT}.{}", schema.0.version)
}

/// A text index that can be used.
struct Engine {
    shared: Shared,
    engine: tantivy::Index,
    reader: IndexReader,
    snapshot: Snapshot,
    checkpoint: Option<String>,
    /// It has been committed to.
    used: bool,
}

impl Engine {
    fn open(path: &Path, schema: &Schema, verify: bool) -> std::result::Result<(Self, Handles), String> {
        let attempt = std::panic::catch_unwind(|| Self::try_open(path, schema, verify));
        match attempt {
            Ok(Ok(engine)) => Ok(engine),
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err("reading it made the engine stop".to_owned()),
        }
    }

    fn try_open(path: &Path, schema: &Schema, verify: bool) -> std::result::Result<(Self, Handles), String> {
        let reason = |error: &dyn std::fmt::Display| error.to_string();
        let (handles, tokenizers) = engine_schema(schema);
        let mut engine = tantivy::Index::open_in_dir(path).map_err(|error| reason(&error))?;
        engine.set_tokenizers(tokenizers);
        let metas = engine.load_metas().map_err(|error| reason(&error))?;
        if engine.schema() != handles.schema {
            return Err("its fields are others".to_owned());
        }
        let (checkpoint, used) = match &metas.payload {
            None if metas.segments.is_empty() => (None, false),
            None => return Err("its last commit does not say what it is".to_owned()),
            Some(payload) => {
                let payload: Payload = serde_json::from_str(payload).map_err(|error| reason(&error))?;
                if payload.version != version(schema) {
                    return Err(format!("it is of version {}, and {} is wanted", payload.version, version(schema)));
                }
                (payload.checkpoint, true)
            }
        };
        if verify {
            let damaged = engine.validate_checksum().map_err(|error| reason(&error))?;
            if let Some(file) = damaged.iter().min() {
                return Err(format!("{} is damaged", file.display()));
            }
        }
        // A process that was killed leaves files of a commit that never was, and the next commit, which counts from the
        // same number, would find one of its own names taken.
        let mut living = metas.list_segment_files();
        living.insert(PathBuf::from("meta.json"));
        engine.directory_mut().garbage_collect(|| living).map_err(|error| reason(&error))?;
        let found = Self::from(engine, schema, &handles, checkpoint, used).map_err(|error| reason(&error))?;
        Ok((found, handles))
    }

    fn create(path: &Path, schema: &Schema) -> Result<(Self, Handles)> {
        std::fs::create_dir_all(path)?;
        let (handles, tokenizers) = engine_schema(schema);
        let settings = IndexSettings {
            docstore_compress_dedicated_thread: false,
            docstore_blocksize: STORED_BLOCK,
            docstore_compression: Compressor::None,
            ..IndexSettings::default()
        };
        let engine = tantivy::Index::builder()
            .schema(handles.schema.clone())
            .settings(settings)
            .tokenizers(tokenizers)
            .create_in_dir(path)?;
        Ok((Self::from(engine, schema, &handles, None, false)?, handles))
    }

    fn from(
        engine: tantivy::Index,
        schema: &Schema,
        handles: &Handles,
        checkpoint: Option<String>,
        used: bool,
    ) -> Result<Self> {
        let reader = engine
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(STORED_KEPT)
            .try_into()?;
        let shared = Shared::new(schema);
        let snapshot = Snapshot::build(reader.searcher(), schema, handles, &shared, None)?;
        Ok(Self { shared, engine, reader, snapshot, checkpoint, used })
    }
}

impl Index {
    /// Opens the folder, or makes it.
    ///
    /// A text index of another schema, or one that cannot be read, is thrown away, and [`opened`](Self::opened) says
    /// so: the caller puts everything again. Vectors live in a file of their own and stay.
    ///
    /// # Errors
    /// [`SearchError::Locked`] when the folder is open elsewhere, [`SearchError::Io`] when the folder cannot be made or
    /// written.
    pub fn open(folder: &Path, schema: Schema, options: Options) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SearchError::Locked(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let path = folder.join("text");
        let (found, handles, opened) = if path.exists() {
            match Engine::open(&path, &schema, options.verify) {
                Ok((engine, handles)) => {
                    let opened = if engine.used { Opened::Resumed } else { Opened::Created };
                    (engine, handles, opened)
                }
                Err(reason) => {
                    std::fs::remove_dir_all(&path)?;
                    let (engine, handles) = Engine::create(&path, &schema)?;
                    (engine, handles, Opened::Rebuilt { reason })
                }
            }
        } else {
            let (engine, handles) = Engine::create(&path, &schema)?;
            (engine, handles, Opened::Created)
        };
        let Engine { shared, engine, reader, snapshot, checkpoint, .. } = found;
        let vectors = Vectors::open(folder, options.model.as_ref(), &shared.ids)?;
        Ok(Self {
            inner: Arc::new(Inner {
                folder: folder.to_owned(),
                schema,
                options,
                handles,
                shared,
                engine,
                reader,
                opened,
                snapshot: RwLock::new(Arc::new(snapshot)),
                checkpoint: RwLock::new(checkpoint),
                writer: Mutex::default(),
                bulk: (Mutex::new(false), Condvar::new()),
                vectors,
                _lock: lock,
            }),
        })
    }

    /// In what state the text index was found.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.inner.opened
    }

    /// In what state the vectors were found, when they were opened last (see [`use_model`](Self::use_model)).
    #[must_use]
    pub fn vectors_opened(&self) -> VectorsOpened {
        self.inner.vectors.opened()
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Where the last commit reason its caller was. `None` when everything must be put again.
    #[must_use]
    pub fn checkpoint(&self) -> Option<String> {
        read(&self.inner.checkpoint).clone()
    }

    /// Makes changes: they are durable and visible when this returns, with the checkpoint. After a crash, all of them
    /// are there or none.
    ///
    /// `checkpoint` is any short text that says up to where the caller's source is now in the index; `None` leaves the
    /// one that is there.
    ///
    /// # Errors
    /// [`SearchError::UnknownField`] when a document has a field that the schema has not (nothing is changed then);
    /// [`SearchError::Io`] and [`SearchError::Engine`] when writing failed: nothing is changed then, and what a bulk
    /// has not committed is lost.
    pub fn apply(&self, batch: Batch, checkpoint: Option<&str>) -> Result<()> {
        let mut writer = lock(&self.inner.writer);
        self.inner.stage(&mut writer, batch)?;
        self.inner.commit(&mut writer, checkpoint)
    }

    /// Begins to put many documents: what is added becomes durable and visible with [`Bulk::commit`].
    ///
    /// Meanwhile [`apply`](Self::apply) goes on as always; it then commits what the bulk has added so far too, with
    /// its own checkpoint. One bulk at a time: a second one waits.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn bulk(&self) -> Result<Bulk> {
        let (busy, bell) = &self.inner.bulk;
        let mut taken = lock(busy);
        while *taken {
            taken = bell.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        drop(taken);
        let bulk = Bulk { index: self.clone() };
        let mut writer = lock(&self.inner.writer);
        self.inner.settle(&mut writer)?;
        writer.bulk = true;
        drop(writer);
        Ok(bulk)
    }

    /// Removes every document and the checkpoint. Vectors stay.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn clear(&self) -> Result<()> {
        let mut writer = lock(&self.inner.writer);
        self.inner.engine(&mut writer)?.delete_all_documents()?;
        *write(&self.inner.checkpoint) = None;
        self.inner.commit(&mut writer, None)
    }

    /// Whether the document is there.
    #[must_use]
    pub fn contains(&self, id: Uuid) -> bool {
        let snapshot = self.inner.snapshot();
        self.inner.shared.ids.get(id).and_then(|number| snapshot.document(number)).is_some()
    }

    /// All documents' ids, in no order.
    #[must_use]
    pub fn ids(&self) -> Vec<Uuid> {
        let snapshot = self.inner.snapshot();
        let numbers = snapshot.alive.iter().map(|document| snapshot.id_number(document));
        self.inner.shared.ids.with(|ids| numbers.map(|number| ids[number as usize]).collect())
    }

    /// What is in the index.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let snapshot = self.inner.snapshot();
        let (vectors, vector_bytes) = self.inner.vectors.size();
        Stats {
            documents: snapshot.living,
            vectors,
            segments: snapshot.segments.len(),
            vector_bytes,
            vocabulary: read(&self.inner.shared.vocabulary).len(),
        }
    }

    /// The model whose vectors are stored.
    #[must_use]
    pub fn model(&self) -> Option<VectorModel> {
        self.inner.vectors.model()
    }

    /// Stores this model's vectors from now on. Does nothing when it is the present one; else the present vectors are
    /// thrown away.
    ///
    /// # Errors
    /// [`SearchError::Vector`] when the model's numbers are out of range, and [`SearchError::Io`].
    pub fn use_model(&self, model: &VectorModel) -> Result<VectorsOpened> {
        self.inner.vectors.use_model(model)
    }

    /// Stores vectors: durable and used when this returns. Each takes the place of the one with the same id; the
    /// document need not be there (yet). They are stored at unit length. Give many at once: each call waits for the disk.
    ///
    /// A fingerprint is the caller's mark of what the vector was made from, so that an unchanged text is not embedded
    /// again.
    ///
    /// # Errors
    /// [`SearchError::Vector`] when there is no model yet or a vector is not usable (nothing is stored then), and
    /// [`SearchError::Io`].
    pub fn put_vectors(&self, vectors: &[(Uuid, u64, Vec<f32>)]) -> Result<()> {
        self.inner.vectors.put(vectors, &self.inner.shared.ids)
    }

    /// Forgets vectors. Those of documents that are removed stay until this is called.
    ///
    /// # Errors
    /// [`SearchError::Io`].
    pub fn remove_vectors(&self, ids: &[Uuid]) -> Result<()> {
        self.inner.vectors.remove(ids, &self.inner.shared.ids)
    }

    /// The mark of what the document's vector was made from.
    #[must_use]
    pub fn fingerprint(&self, id: Uuid) -> Option<u64> {
        self.inner.vectors.fingerprint(self.inner.shared.ids.get(id)?)
    }

    /// The document's vector, at unit length.
    ///
    /// # Errors
    /// [`SearchError::Io`].
    pub fn vector(&self, id: Uuid) -> Result<Option<Vec<f32>>> {
        self.inner.shared.ids.get(id).map_or(Ok(None), |number| self.inner.vectors.vector(number))
    }

    /// Searches.
    ///
    /// # Errors
    /// [`SearchError::UnknownField`] when the request names a field that is not there with that kind,
    /// [`SearchError::TooMuch`] when it is over a limit, [`SearchError::Vector`] when its vector is not usable. What
    /// people type is never an error.
    pub fn search(&self, request: &Request) -> Result<Response> {
        self.inner.searching(&self.inner.snapshot()).search(request)
    }

    /// What was probably meant ("did you mean"), likeliest first, at most so many: the same text with each word that
    /// nothing has in any form replaced by a known one that is spelt like it, folded. Words that documents have, stop
    /// words and [`known`](Words::known) ones are left as they are. Empty when there is nothing to correct. Whether a
    /// proposal finds anything better is for the caller to see.
    ///
    /// Likeness is Damerau-Levenshtein distance (one edit for 3 or 4 letters, two for longer words) with cheaper vowels
    /// and doubled letters; the commoner word wins among equals.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn corrections(&self, words: &Words, most: usize) -> Result<Vec<String>> {
        let snapshot = self.inner.snapshot();
        let searching = self.inner.searching(&snapshot);
        let text = cut(&words.text);
        let misspelt = Evaluator::new(&snapshot, searching.schema, searching.shared).misspelt(words)?;
        if misspelt.is_empty() {
            return Ok(Vec::new());
        }
        // A word that is misspelt twice is misspelt alike.
        let mut different: Vec<&str> = misspelt.iter().map(|(word, _)| word.forms[0].as_str()).collect();
        different.sort_unstable();
        different.dedup();
        let mut ways: Vec<(f32, HashMap<&str, &str>)> = vec![(0.0, HashMap::new())];
        for word in different {
            let Some((_, alike)) = misspelt.iter().find(|(other, _)| other.forms[0] == word) else { continue };
            let mut more = Vec::new();
            for (rank, other) in alike.iter().take(SPELLINGS).enumerate() {
                for (cost, way) in &ways {
                    let mut way = way.clone();
                    way.insert(word, other.word.as_str());
                    #[allow(clippy::cast_precision_loss, reason = "a weight")]
                    more.push((cost + other.cost + 0.1 * rank as f32, way));
                }
            }
            more.sort_by(|a, b| a.0.total_cmp(&b.0));
            more.truncate(most.max(SPELLINGS));
            ways = more;
        }
        let spell = |way: &HashMap<&str, &str>| {
            let mut corrected = String::with_capacity(text.len());
            let mut at = 0;
            for (word, _) in &misspelt {
                if word.start < at {
                    continue;
                }
                corrected.push_str(&text[at..word.start]);
                corrected.push_str(way.get(word.forms[0].as_str()).copied().unwrap_or(&text[word.start..word.end]));
                at = word.end;
            }
            corrected.push_str(&text[at..]);
            corrected
        };
        Ok(ways.iter().take(most).map(|(_, way)| spell(way)).collect())
    }

    /// Documents like this one: by meaning when there is a vector, and by the words that mark it out among the others.
    /// At most 100. Empty when the document is not there.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn more_like(&self, id: Uuid, limit: usize, filters: &[Filter]) -> Result<Vec<Similar>> {
        self.inner.searching(&self.inner.snapshot()).more_like(id, limit, filters)
    }

    /// The values of a keyword field (with facets) that some document has and that are at most so many edits from a text:
    /// insertions, deletions, substitutions, and exchanges of neighbours. Each with its edits, the nearest first, then
    /// byte by byte; at most [`ALIKE`](crate::limits::ALIKE). More than [`EDITS`](crate::limits::EDITS) are not allowed for.
    ///
    /// # Errors
    /// [`SearchError::UnknownField`].
    pub fn values_like(&self, field: &str, text: &str, edits: u32) -> Result<Vec<(String, u32)>> {
        let snapshot = self.inner.snapshot();
        self.inner.searching(&snapshot).values_like(field, text, edits)
    }

    /// Completions of what was typed so far, of these kinds (empty: of all): those that begin with it first, then those
    /// where another word does, heavier ones first. When there is none, those that begin with something like it.
    /// At most [`SUGGESTIONS`]. Texts of one kind that read the same are proposed once.
    #[must_use]
    pub fn suggest(&self, typed: &str, kinds: &[u8], limit: usize) -> Vec<Suggestion> {
        let wanted = [(kinds, limit.min(SUGGESTIONS))];
        read(&self.inner.shared.completions).suggest(typed, &wanted).into_iter().flatten().collect()
    }

    /// The same for several kinds at once, at most so many of each: a list for each kind, in the order they are given.
    /// What is only like it is proposed when none of the kinds has anything that begins as typed.
    #[must_use]
    pub fn suggest_each(&self, typed: &str, wanted: &[(u8, usize)]) -> Vec<Vec<Suggestion>> {
        let wanted: Vec<(&[u8], usize)> =
            wanted.iter().map(|(kind, most)| (std::slice::from_ref(kind), (*most).min(SUGGESTIONS))).collect();
        read(&self.inner.shared.completions).suggest(typed, &wanted)
    }
}

impl Inner {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&read(&self.snapshot))
    }

    fn searching<'a>(&'a self, snapshot: &'a Snapshot) -> Searching<'a> {
        Searching {
            snapshot,
            schema: &self.schema,
            handles: &self.handles,
            shared: &self.shared,
            vectors: &self.vectors,
        }
    }

    /// The engine's writer of the present kind.
    fn engine<'a>(&self, writer: &'a mut Writer) -> Result<&'a mut IndexWriter> {
        if writer.engine.is_none() {
            let options = if writer.bulk {
                let threads = self.options.bulk_threads.clamp(1, 8);
                let each = (self.options.bulk_memory / threads).clamp(SMALL_MEMORY, 1 << 30);
                IndexWriterOptions::builder().num_worker_threads(threads).memory_budget_per_thread(each)
            } else {
                IndexWriterOptions::builder().num_worker_threads(1).memory_budget_per_thread(SMALL_MEMORY)
            };
            let engine = self.engine.writer_with_options(options.num_merge_threads(1).build())?;
            engine.set_merge_policy(Box::new(merge_policy(writer.bulk)));
            writer.engine = Some(engine);
        }
        Ok(writer.engine.as_mut().expect("it was made a moment ago"))
    }

    /// Ends the engine's writer once its merges are done.
    fn settle(&self, writer: &mut Writer) -> Result<()> {
        if let Some(engine) = writer.engine.take() {
            engine.wait_merging_threads()?;
        }
        Ok(())
    }

    /// Gives the engine the changes; nothing is durable or visible yet.
    fn stage(&self, writer: &mut Writer, batch: Batch) -> Result<()> {
        let put = batch.put.iter().map(|document| self.document(document)).collect::<Result<Vec<_>>>()?;
        let engine = self.engine(writer)?;
        let result = (|| -> Result<()> {
            for (document, put) in batch.put.iter().zip(put) {
                engine.delete_term(Term::from_field_bytes(self.handles.id, document.id.as_bytes()));
                engine.add_document(put)?;
            }
            for id in &batch.remove {
                engine.delete_term(Term::from_field_bytes(self.handles.id, id.as_bytes()));
            }
            Ok(())
        })();
        if result.is_err() {
            // Dropping the writer forgets what it was given.
            writer.engine = None;
        }
        result
    }

    fn document(&self, document: &Document) -> Result<TantivyDocument> {
        let mut out = TantivyDocument::new();
        out.add_bytes(self.handles.id, document.id.as_bytes());
        for (field, value) in &document.texts {
            let handles = &self.handles.texts[self.schema.text(field)?];
            out.add_text(handles.words, value);
            if let Some(stems) = handles.stems {
                out.add_text(stems, value);
            }
            if let Some(whole) = handles.whole {
                out.add_text(whole, value);
            }
        }
        for (field, value) in &document.keywords {
            let field = self.schema.keyword(field)?;
            if value.len() <= KEYWORD_BYTES {
                out.add_text(self.handles.keywords[field], value);
            }
        }
        let mut numbers: Vec<Option<i64>> = vec![None; self.handles.numbers.len()];
        for (field, value) in &document.numbers {
            numbers[self.schema.number(field)?] = Some(*value);
        }
        for (field, number) in self.handles.numbers.iter().zip(numbers) {
            if let Some(number) = number {
                out.add_i64(*field, number);
            }
        }
        for completion in &document.completions {
            out.add_bytes(self.handles.completions, &completions::encode(completion));
        }
        Ok(out)
    }

    /// Makes what was staged durable and visible.
    fn commit(&self, writer: &mut Writer, checkpoint: Option<&str>) -> Result<()> {
        let checkpoint = checkpoint.map_or_else(|| read(&self.checkpoint).clone(), |text| Some(text.to_owned()));
        let payload = Payload { version: version(&self.schema), checkpoint: checkpoint.clone() };
        let payload = serde_json::to_string(&payload).map_err(|error| SearchError::Engine(error.to_string()))?;
        let engine = self.engine(writer)?;
        let committed = engine.prepare_commit().and_then(|mut prepared| {
            prepared.set_payload(&payload);
            prepared.commit()
        });
        if let Err(error) = committed {
            writer.engine = None;
            return Err(error.into());
        }
        *write(&self.checkpoint) = checkpoint;
        self.look()
    }

    /// Makes the last commit visible. The caller holds the writer.
    fn look(&self) -> Result<()> {
        self.reader.reload()?;
        let before = self.snapshot();
        let now = Snapshot::build(self.reader.searcher(), &self.schema, &self.handles, &self.shared, Some(&before))?;
        *write(&self.snapshot) = Arc::new(now);
        Ok(())
    }
}

/// Small batches make small segments, which are merged five at a time, each layer four times the one below; a segment
/// of which three in ten documents are dead is written anew.
fn merge_policy(bulk: bool) -> LogMergePolicy {
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(if bulk { 4 } else { 5 });
    policy.set_min_layer_size(if bulk { 10_000 } else { 100 });
    policy.set_level_log_size(2.0);
    policy.set_del_docs_ratio_before_merge(0.3);
    policy
}

/// Many documents on their way in. Dropping it forgets what is not committed.
pub struct Bulk {
    index: Index,
}

impl Bulk {
    /// Adds changes; they are neither durable nor visible yet.
    ///
    /// # Errors
    /// As [`Index::apply`].
    pub fn add(&mut self, batch: Batch) -> Result<()> {
        let inner = &self.index.inner;
        inner.stage(&mut lock(&inner.writer), batch)
    }

    /// Makes what was added so far durable and visible, with the checkpoint (`None`: the one that is there). Every
    /// call leaves another segment or so behind: commit every 10,000 documents, not every 100.
    ///
    /// # Errors
    /// As [`Index::apply`].
    pub fn commit(&mut self, checkpoint: Option<&str>) -> Result<()> {
        let inner = &self.index.inner;
        inner.commit(&mut lock(&inner.writer), checkpoint)
    }

    /// Commits, and goes back to small batches: merges what is worth it and gives the memory back.
    ///
    /// # Errors
    /// As [`Index::apply`].
    pub fn finish(self, checkpoint: Option<&str>) -> Result<()> {
        let inner = &self.index.inner;
        let mut writer = lock(&inner.writer);
        inner.commit(&mut writer, checkpoint)?;
        inner.settle(&mut writer)?;
        inner.look()
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        let inner = &self.index.inner;
        let mut writer = lock(&inner.writer);
        // Dropping the engine's writer forgets what it was given.
        writer.engine = None;
        writer.bulk = false;
        drop(writer);
        *lock(&inner.bulk.0) = false;
        inner.bulk.1.notify_one();
    }
}
