//! What a search looks at: the segments of one commit, and beside them in memory what the engine would have to look up
//! for every hit: numbers, values by number, ids by number.

use std::{
    cmp::Ordering,
    collections::HashMap,
    sync::{Arc, Mutex, RwLock},
};

use tantivy::{
    DocAddress, Searcher, SegmentReader,
    columnar::BytesColumn,
    fieldnorm::FieldNormReader,
    index::{InvertedIndexReader, SegmentId},
    postings::TermInfo,
};
use uuid::Uuid;

use crate::{
    Result, Schema,
    bits::Bits,
    completions::Completions,
    ids::{Ids, NONE},
    likeness::Outline,
    lock::{lock, write},
    tokens::{COMPLETIONS, Handles, ID},
    vocabulary::Vocabulary,
};

/// A number that a document has not.
pub(crate) const MISSING: i64 = i64::MIN;

/// What all snapshots share: it grows, and nothing in it moves.
pub(crate) struct Shared {
    pub ids: Ids,
    pub vocabulary: RwLock<Vocabulary>,
    pub completions: RwLock<Completions>,
    /// For each keyword field its values by number.
    pub values: Vec<RwLock<Values>>,
    pub counts: Pool<Vec<u32>>,
}

/// What searches work on, as large as the collection, and used again while it is still in the processor's cache: the
/// last one given back is the first one taken. So there are as many as searches that ran at once.
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

impl<T: Default> Pool<T> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    pub(crate) fn take(&self) -> T {
        lock(&self.0).pop().unwrap_or_default()
    }

    /// Only what is as clean as it was taken: after an error it is dropped instead.
    pub(crate) fn give(&self, item: T) {
        lock(&self.0).push(item);
    }
}

#[derive(Default)]
pub(crate) struct Values {
    numbers: HashMap<Arc<str>, u32>,
    pub list: Vec<Arc<str>>,
    /// How each value begins, as a number that is ordered like it.
    heads: Vec<u64>,
    /// What likeness is judged by first, for each value.
    pub outlines: Vec<Outline>,
}

impl Values {
    fn intern(&mut self, value: &str) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = u32::try_from(self.list.len()).expect("memory holds fewer values than a u32 counts");
        let value: Arc<str> = value.into();
        let mut head = [0; 8];
        head.iter_mut().zip(value.bytes()).for_each(|(head, byte)| *head = byte);
        self.heads.push(u64::from_be_bytes(head));
        self.outlines.push(Outline::of(&value));
        self.list.push(Arc::clone(&value));
        self.numbers.insert(value, number);
        number
    }

    /// Byte by byte; most values differ so early that they need not be looked up.
    pub(crate) fn order(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        self.heads[a].cmp(&self.heads[b]).then_with(|| self.list[a].cmp(&self.list[b]))
    }
}

impl Shared {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            ids: Ids::default(),
            vocabulary: RwLock::default(),
            completions: RwLock::default(),
            values: schema.0.keywords.iter().map(|_| RwLock::default()).collect(),
            counts: Pool::new(),
        }
    }
}

/// Any number of small numbers for each document.
#[derive(Default)]
pub(crate) struct Rows {
    starts: Vec<u32>,
    values: Vec<u32>,
}

impl Rows {
    pub(crate) fn of(&self, document: u32) -> &[u32] {
        match self.starts.get(document as usize..document as usize + 2) {
            Some([from, to]) => &self.values[*from as usize..*to as usize],
            _ => &[],
        }
    }
}

/// What never changes about a segment.
pub(crate) struct SegmentData {
    /// By document: its id's number.
    pub ids: Vec<u32>,
    /// By number field and document.
    pub numbers: Vec<Vec<i64>>,
    /// By keyword field and document; empty for fields without facets.
    pub values: Vec<Rows>,
    completions: Rows,
    /// Words of the fuzzy fields and how often.
    words: Vec<(u32, u32)>,
    pub texts: Vec<TextView>,
    pub keywords: Vec<Arc<InvertedIndexReader>>,
}

/// One text field of a segment.
pub(crate) struct TextView {
    pub words: Inverted,
    pub stems: Option<Inverted>,
    pub whole: Option<Arc<InvertedIndexReader>>,
}

pub(crate) struct Inverted {
    pub terms: Arc<InvertedIndexReader>,
    /// By document: how many words it has there, as the byte that Lucene stores of it.
    pub lengths: Vec<u8>,
}

impl Inverted {
    pub(crate) fn find(&self, term: &str) -> Result<Option<TermInfo>> {
        Ok(self.terms.terms().get(term)?)
    }
}

pub(crate) struct Segment {
    id: SegmentId,
    deleted_at: Option<u64>,
    pub data: Arc<SegmentData>,
    /// The number of its first document in the snapshot.
    pub base: u32,
    pub documents: u32,
}

/// BM25's length table of one field: what is added to a term's frequency, by the byte that a length is stored as.
pub(crate) struct Lengths(pub [f32; 256]);

pub(crate) const K1: f32 = 1.2;

impl Lengths {
    #[allow(clippy::cast_precision_loss, reason = "an average")]
    fn new(tokens: u64, documents: usize, b: f32) -> Self {
        let average = (tokens as f32 / documents.max(1) as f32).max(1.0);
        let mut table = [0.0; 256];
        for (id, norm) in (0..=u8::MAX).zip(&mut table) {
            let length = FieldNormReader::id_to_fieldnorm(id) as f32;
            *norm = K1 * (1.0 - b + b * length / average);
        }
        Self(table)
    }
}

/// The documents of one commit, numbered through all segments.
pub(crate) struct Snapshot {
    pub searcher: Searcher,
    pub segments: Vec<Segment>,
    pub alive: Bits,
    /// How many numbers there are, living or dead.
    pub length: usize,
    pub living: usize,
    /// By id number: the living document, or [`NONE`].
    pub by_id: Vec<u32>,
    /// By text field: for words and for stems.
    pub lengths: Vec<(Lengths, Lengths)>,
}

impl Snapshot {
    /// Looks at the searcher's segments, takes what it knows of them from the snapshot before, and updates what all share
    /// what came and what went.
    pub(crate) fn build(
        searcher: Searcher,
        schema: &Schema,
        handles: &Handles,
        shared: &Shared,
        before: Option<&Snapshot>,
    ) -> Result<Self> {
        let mut segments = Vec::new();
        let mut base = 0;
        for reader in searcher.segment_readers() {
            let known = before.and_then(|before| before.segments.iter().find(|known| known.id == reader.segment_id()));
            let data = match known {
                Some(known) => Arc::clone(&known.data),
                None => Arc::new(SegmentData::load(reader, schema, handles, shared)?),
            };
            segments.push(Segment {
                id: reader.segment_id(),
                deleted_at: reader.delete_opstamp(),
                data,
                base,
                documents: reader.max_doc(),
            });
            base += reader.max_doc();
        }
        let length = base as usize;
        let mut alive = Bits::none(length);
        let mut living = 0;
        let numbers = segments.iter().flat_map(|segment| segment.data.ids.iter().copied()).filter(|n| *n != NONE);
        let mut by_id = vec![NONE; numbers.max().map_or(0, |most| most as usize + 1)];
        for (segment, reader) in segments.iter().zip(searcher.segment_readers()) {
            for document in reader.doc_ids_alive() {
                let number = segment.data.ids[document as usize];
                if number != NONE {
                    alive.insert(segment.base + document);
                    by_id[number as usize] = segment.base + document;
                    living += 1;
                }
            }
        }
        let lengths = (schema.0.texts.iter().enumerate())
            .map(|(field, text)| {
                let tokens = |pick: fn(&TextView) -> Option<&Inverted>| {
                    segments.iter().filter_map(|s| pick(&s.data.texts[field])).map(|i| i.terms.total_num_tokens()).sum()
                };
                let words: u64 = tokens(|view| Some(&view.words));
                let stems: u64 = tokens(|view| view.stems.as_ref());
                let b = text.options.length;
                (Lengths::new(words, length, b), Lengths::new(stems, length, b))
            })
            .collect();
        let snapshot = Self { searcher, segments, alive, length, living, by_id, lengths };
        snapshot.update_shared(shared, before);
        Ok(snapshot)
    }

    /// Counts the words and completions that came and went since the snapshot before.
    fn update_shared(&self, shared: &Shared, before: Option<&Snapshot>) {
        let mut vocabulary = write(&shared.vocabulary);
        let mut completions = write(&shared.completions);
        for segment in &self.segments {
            let known = before.and_then(|before| Some((before, before.segments.iter().find(|s| s.id == segment.id)?)));
            match known {
                None => {
                    for (word, count) in &segment.data.words {
                        vocabulary.add(*word, *count);
                    }
                    for document in (0..segment.documents).filter(|d| self.alive.contains(segment.base + d)) {
                        segment.data.completions.of(document).iter().for_each(|number| completions.add(*number));
                    }
                }
                Some((before, known)) if known.deleted_at != segment.deleted_at => {
                    for document in 0..segment.documents {
                        let (was, is) = (
                            before.alive.contains(known.base + document),
                            self.alive.contains(segment.base + document),
                        );
                        if was && !is {
                            segment.data.completions.of(document).iter().for_each(|n| completions.subtract(*n));
                        }
                    }
                }
                Some(_) => {}
            }
        }
        let gone = before.iter().flat_map(|before| {
            let gone = before.segments.iter().filter(|known| self.segments.iter().all(|s| s.id != known.id));
            gone.map(move |segment| (before, segment))
        });
        for (before, segment) in gone {
            for (word, count) in &segment.data.words {
                vocabulary.subtract(*word, *count);
            }
            for document in (0..segment.documents).filter(|d| before.alive.contains(segment.base + d)) {
                segment.data.completions.of(document).iter().for_each(|number| completions.subtract(*number));
            }
        }
        completions.settle();
    }

    /// The segment that a document is in, and its number there.
    pub(crate) fn locate(&self, document: u32) -> (usize, u32) {
        let index = self.segments.partition_point(|segment| segment.base <= document) - 1;
        (index, document - self.segments[index].base)
    }

    pub(crate) fn address(&self, document: u32) -> DocAddress {
        let (segment, document) = self.locate(document);
        DocAddress::new(u32::try_from(segment).expect("segments are few"), document)
    }

    /// The number of the document's id.
    pub(crate) fn id_number(&self, document: u32) -> u32 {
        let (segment, document) = self.locate(document);
        self.segments[segment].data.ids[document as usize]
    }

    /// The living document with this id number.
    pub(crate) fn document(&self, id_number: u32) -> Option<u32> {
        self.by_id.get(id_number as usize).copied().filter(|document| *document != NONE)
    }

    /// A number of the document, [`MISSING`] when it has none.
    pub(crate) fn number(&self, field: usize, document: u32) -> i64 {
        let (segment, document) = self.locate(document);
        self.segments[segment].data.numbers[field][document as usize]
    }
}

impl SegmentData {
    fn load(reader: &SegmentReader, schema: &Schema, handles: &Handles, shared: &Shared) -> Result<Self> {
        let documents = reader.max_doc();
        let fast = reader.fast_fields();
        let mut ids = vec![NONE; documents as usize];
        if let Some(column) = fast.bytes(ID)? {
            let mut found = Vec::with_capacity(column.num_terms());
            let mut stream = column.dictionary().stream()?;
            while stream.advance() {
                found.push(Uuid::from_slice(stream.key()).unwrap_or_default());
            }
            let numbers = shared.ids.intern(found);
            for (document, id) in (0..documents).zip(&mut ids) {
                if let Some(number) =
                    column.ords().first(document).and_then(|ord| numbers.get(usize::try_from(ord).ok()?))
                {
                    *id = *number;
                }
            }
        }
        let mut numbers = Vec::with_capacity(schema.0.numbers.len());
        for name in &schema.0.numbers {
            let column = fast.i64(name)?;
            numbers.push((0..documents).map(|document| column.first(document).unwrap_or(MISSING)).collect());
        }
        let mut values = Vec::with_capacity(schema.0.keywords.len());
        for (field, keyword) in schema.0.keywords.iter().enumerate() {
            let column = if keyword.facet { fast.str(&keyword.name)? } else { None };
            values.push(match column {
                None => Rows::default(),
                Some(column) => {
                    let mut table = write(&shared.values[field]);
                    rows(documents, &column, |bytes| std::str::from_utf8(bytes).ok().map(|value| table.intern(value)))?
                }
            });
        }
        let completions = match fast.bytes(COMPLETIONS)? {
            None => Rows::default(),
            Some(column) => {
                let mut table = write(&shared.completions);
                rows(documents, &column, |bytes| table.intern(bytes))?
            }
        };
        let norms = |field| -> Result<Vec<u8>> {
            let norms = reader.get_fieldnorms_reader(field)?;
            Ok((0..documents).map(|document| norms.fieldnorm_id(document)).collect())
        };
        let mut texts = Vec::with_capacity(handles.texts.len());
        for handle in &handles.texts {
            let words = Inverted { terms: reader.inverted_index(handle.words)?, lengths: norms(handle.words)? };
            let stems = match handle.stems {
                Some(field) => Some(Inverted { terms: reader.inverted_index(field)?, lengths: norms(field)? }),
                None => None,
            };
            let whole = handle.whole.map(|field| reader.inverted_index(field)).transpose()?;
            texts.push(TextView { words, stems, whole });
        }
        let mut words = Vec::new();
        for (text, view) in schema.0.texts.iter().zip(&texts).filter(|(text, _)| text.options.fuzzy) {
            let mut vocabulary = write(&shared.vocabulary);
            debug_assert!(text.options.fuzzy);
            let mut stream = view.words.terms.terms().stream()?;
            while let Some((term, info)) = stream.next() {
                if let Ok(word) = std::str::from_utf8(term) {
                    words.push((vocabulary.intern(word), info.doc_freq));
                }
            }
        }
        let keywords =
            handles.keywords.iter().map(|field| Ok(reader.inverted_index(*field)?)).collect::<Result<Vec<_>>>()?;
        Ok(Self { ids, numbers, values, completions, words, texts, keywords })
    }
}

/// A column of values by their numbers.
fn rows(documents: u32, column: &BytesColumn, mut intern: impl FnMut(&[u8]) -> Option<u32>) -> Result<Rows> {
    let mut numbers = Vec::with_capacity(column.num_terms());
    let mut stream = column.dictionary().stream()?;
    while stream.advance() {
        numbers.push(intern(stream.key()));
    }
    let mut rows = Rows { starts: Vec::with_capacity(documents as usize + 1), values: Vec::new() };
    rows.starts.push(0);
    for document in 0..documents {
        for ord in column.ords().values_for_doc(document) {
            if let Some(Some(number)) = usize::try_from(ord).ok().and_then(|ord| numbers.get(ord)) {
                rows.values.push(*number);
            }
        }
        rows.starts.push(u32::try_from(rows.values.len()).expect("memory holds fewer values than a u32 counts"));
    }
    Ok(rows)
}
