//! Vectors: whole on disk, one byte a number in memory.

mod dot;
mod file;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock},
};

use uuid::Uuid;

use self::{
    dot::{Dot, LANES},
    file::{Found, Record},
};
use crate::{
    Result, SearchError, VectorModel, VectorsOpened,
    ids::Ids,
    limits::DIMENSIONS,
    lock::{lock, read, write},
};

/// Vectors in one piece of memory.
const CHUNK: usize = 1_024;
/// The largest number of a query's quantised vector.
const QUERY_STEPS: f32 = 4_000.0;
/// The file is written anew when more than half of it is dead, and that is more than this.
const COMPACT_BYTES: u64 = 4 << 20;

pub(crate) struct Vectors {
    path: PathBuf,
    dot: Dot,
    /// Whoever changes the file holds this.
    writing: Mutex<()>,
    store: RwLock<Option<Store>>,
    opened: RwLock<VectorsOpened>,
}

struct Store {
    model: VectorModel,
    file: Arc<File>,
    /// Where the next record goes.
    end: u64,
    memory: Memory,
}

/// All vectors, one byte a number.
struct Memory {
    dimensions: usize,
    padded: usize,
    live: usize,
    /// Bytes of records in the file that no longer count.
    dead: u64,
    /// By id number.
    chunks: Vec<Option<Box<Chunk>>>,
}

/// What is known of 1,024 ids in a row.
struct Chunk {
    rows: Box<[i8]>,
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// What one step of the row's bytes is worth; 0: there is no vector.
    scale: f32,
    fingerprint: u64,
    /// Where its numbers are in the file.
    at: u64,
}

/// A document's number and its similarity.
pub(crate) type Near = (u32, f32);

impl Memory {
    fn new(dimensions: usize) -> Self {
        Self { dimensions, padded: dimensions.next_multiple_of(LANES), live: 0, dead: 0, chunks: Vec::new() }
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        let chunk = self.chunks.get(number as usize / CHUNK)?.as_deref()?;
        Some(&chunk.slots[number as usize % CHUNK]).filter(|slot| slot.scale > 0.0)
    }

    fn put(&mut self, number: u32, fingerprint: u64, vector: &[f32], at: u64) {
        self.remove(number);
        let index = number as usize / CHUNK;
        if self.chunks.len() <= index {
            self.chunks.resize_with(index + 1, || None);
        }
        let padded = self.padded;
        let chunk = self.chunks[index].get_or_insert_with(|| {
            Box::new(Chunk {
                rows: vec![0; CHUNK * padded].into_boxed_slice(),
                slots: vec![Slot::default(); CHUNK].into_boxed_slice(),
            })
        });
        let place = number as usize % CHUNK;
        let scale = quantise(vector, &mut chunk.rows[place * padded..(place + 1) * padded]);
        chunk.slots[place] = Slot { scale, fingerprint, at };
        self.live += 1;
    }

    /// Whether there was one.
    fn remove(&mut self, number: u32) -> bool {
        let Some(Some(chunk)) = self.chunks.get_mut(number as usize / CHUNK) else { return false };
        let slot = &mut chunk.slots[number as usize % CHUNK];
        if slot.scale == 0.0 {
            return false;
        }
        *slot = Slot::default();
        self.live -= 1;
        self.dead += file::put_bytes(self.dimensions);
        true
    }
}

/// One byte for each number, -127 to 127; returns what one step is worth.
#[allow(clippy::cast_possible_truncation, reason = "rounded into range first")]
fn quantise(vector: &[f32], row: &mut [i8]) -> f32 {
    let largest = vector.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
    row.fill(0);
    for (byte, number) in row.iter_mut().zip(vector) {
        *byte = (number / scale).round().clamp(-127.0, 127.0) as i8;
    }
    scale
}

/// The vector at unit length.
///
/// # Errors
/// When it has the wrong length, a number that is not finite, or no direction.
fn unit(vector: &[f32], dimensions: usize) -> Result<Vec<f32>> {
    if vector.len() != dimensions {
        return Err(SearchError::Vector(format!("it has {} numbers, the model has {dimensions}", vector.len())));
    }
    let length = vector.iter().map(|number| f64::from(*number) * f64::from(*number)).sum::<f64>().sqrt();
    if !length.is_finite() || length < 1e-12 {
        return Err(SearchError::Vector("it has no direction".to_owned()));
    }
    #[allow(clippy::cast_possible_truncation, reason = "at most 1")]
    Ok(vector.iter().map(|number| (f64::from(*number) / length) as f32).collect())
}

fn checked(model: &VectorModel) -> Result<()> {
    if !(1..=DIMENSIONS).contains(&model.dimensions) || model.name.is_empty() || model.name.len() > 200 {
        return Err(SearchError::Vector(format!(
            "a model has 1 to {DIMENSIONS} dimensions and a name of 1 to 200 bytes"
        )));
    }
    Ok(())
}

impl Vectors {
    /// Opens the folder's vectors; of any model when `model` is `None`.
    pub(crate) fn open(folder: &Path, model: Option<&VectorModel>, ids: &Ids) -> Result<Self> {
        let path = folder.join("vectors.bin");
        let mut filling: Option<Memory> = None;
        let found = file::replay(&path, |found, record| {
            if model.is_some_and(|wanted| wanted != found) {
                return;
            }
            let memory = filling.get_or_insert_with(|| Memory::new(found.dimensions));
            match record {
                Record::Put { id, fingerprint, vector, at } => {
                    let number = ids.intern([id])[0];
                    memory.put(number, fingerprint, vector, at);
                }
                Record::Remove { id } => {
                    let number = ids.intern([id])[0];
                    memory.remove(number);
                    memory.dead += file::REMOVE_BYTES;
                }
            }
        })?;
        let vectors = Self {
            path,
            dot: dot::fastest(),
            writing: Mutex::new(()),
            store: RwLock::new(None),
            opened: RwLock::new(VectorsOpened::Created),
        };
        let opened = match found {
            Found::Nothing => None,
            Found::Unusable(reason) => Some(VectorsOpened::Discarded { reason }),
            Found::Whole(replayed) if model.is_some_and(|wanted| *wanted != replayed.model) => {
                Some(VectorsOpened::Discarded { reason: format!("they are of the model {}", replayed.model.name) })
            }
            Found::Whole(replayed) => {
                let memory = filling.unwrap_or_else(|| Memory::new(replayed.model.dimensions));
                let opened = VectorsOpened::Resumed { vectors: memory.live, cut: replayed.cut };
                let file::Replayed { file, model, end, .. } = replayed;
                *write(&vectors.store) = Some(Store { model, file: Arc::new(file), end, memory });
                *write(&vectors.opened) = opened;
                return Ok(vectors);
            }
        };
        match model {
            Some(model) => vectors.begin(model)?,
            None if opened.is_some() => std::fs::remove_file(&vectors.path)?,
            None => {}
        }
        if let Some(opened) = opened {
            *write(&vectors.opened) = opened;
        }
        Ok(vectors)
    }

    fn begin(&self, model: &VectorModel) -> Result<()> {
        checked(model)?;
        let (file, end) = file::create(&self.path, model)?;
        let memory = Memory::new(model.dimensions);
        *write(&self.store) = Some(Store { model: model.clone(), file: Arc::new(file), end, memory });
        Ok(())
    }

    pub(crate) fn opened(&self) -> VectorsOpened {
        read(&self.opened).clone()
    }

    pub(crate) fn model(&self) -> Option<VectorModel> {
        read(&self.store).as_ref().map(|store| store.model.clone())
    }

    pub(crate) fn use_model(&self, model: &VectorModel) -> Result<VectorsOpened> {
        checked(model)?;
        let _writing = lock(&self.writing);
        let present = self.model();
        if present.as_ref() == Some(model) {
            return Ok(self.opened());
        }
        self.begin(model)?;
        let opened = match present {
            None => VectorsOpened::Created,
            Some(other) => VectorsOpened::Discarded { reason: format!("they were of the model {}", other.name) },
        };
        *write(&self.opened) = opened.clone();
        Ok(opened)
    }

    pub(crate) fn put(&self, vectors: &[(Uuid, u64, Vec<f32>)], ids: &Ids) -> Result<()> {
        let _writing = lock(&self.writing);
        let (model, file, end) = match &*read(&self.store) {
            Some(store) => (store.model.clone(), Arc::clone(&store.file), store.end),
            None => return Err(SearchError::Vector("there is no model yet".to_owned())),
        };
        let units: Vec<Vec<f32>> =
            vectors.iter().map(|(_, _, vector)| unit(vector, model.dimensions)).collect::<Result<_>>()?;
        let mut records =
            Vec::with_capacity(vectors.len() * usize::try_from(file::put_bytes(model.dimensions)).unwrap_or(0));
        for ((id, fingerprint, _), unit) in vectors.iter().zip(&units) {
            file::encode_put(&mut records, *id, *fingerprint, unit);
        }
        file::append(&file, end, &records)?;
        let numbers = ids.intern(vectors.iter().map(|(id, _, _)| *id));
        {
            let mut guard = write(&self.store);
            let store = guard.as_mut().expect("whoever takes it away holds the writing lock");
            let length = file::put_bytes(model.dimensions);
            for (index, (number, (_, fingerprint, _))) in numbers.into_iter().zip(vectors).enumerate() {
                let at = store.end + index as u64 * length + (length - 4 * model.dimensions as u64);
                store.memory.put(number, *fingerprint, &units[index], at);
            }
            store.end += records.len() as u64;
        }
        self.compact_when_due()
    }

    pub(crate) fn remove(&self, gone: &[Uuid], ids: &Ids) -> Result<()> {
        let _writing = lock(&self.writing);
        let mut records = Vec::new();
        let mut numbers = Vec::new();
        let (file, end) = {
            let guard = read(&self.store);
            let Some(store) = &*guard else { return Ok(()) };
            for id in gone {
                if let Some(number) = ids.get(*id).filter(|number| store.memory.slot(*number).is_some()) {
                    file::encode_remove(&mut records, *id);
                    numbers.push(number);
                }
            }
            (Arc::clone(&store.file), store.end)
        };
        if numbers.is_empty() {
            return Ok(());
        }
        file::append(&file, end, &records)?;
        {
            let mut guard = write(&self.store);
            let store = guard.as_mut().expect("whoever takes it away holds the writing lock");
            for number in numbers {
                store.memory.remove(number);
            }
            store.end += records.len() as u64;
            store.memory.dead += records.len() as u64;
        }
        self.compact_when_due()
    }

    /// Writes the living records into a new file. Searches go on meanwhile. The caller holds the writing lock.
    fn compact_when_due(&self) -> Result<()> {
        let (model, old, living) = {
            let guard = read(&self.store);
            let Some(store) = &*guard else { return Ok(()) };
            if store.memory.dead <= COMPACT_BYTES || store.memory.dead * 2 <= store.end {
                return Ok(());
            }
            let mut living: Vec<(u32, u64)> = Vec::with_capacity(store.memory.live);
            for (index, chunk) in store.memory.chunks.iter().enumerate() {
                let Some(chunk) = chunk else { continue };
                for (place, slot) in chunk.slots.iter().enumerate().filter(|(_, slot)| slot.scale > 0.0) {
                    #[allow(clippy::cast_possible_truncation, reason = "id numbers are u32")]
                    living.push(((index * CHUNK + place) as u32, slot.at));
                }
            }
            (store.model.clone(), Arc::clone(&store.file), living)
        };
        self.rewrite(&model, &old, &living)
    }

    fn rewrite(&self, model: &VectorModel, old: &File, living: &[(u32, u64)]) -> Result<()> {
        use std::os::unix::fs::FileExt;
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&fresh)?;
        let header = file::header_bytes(model);
        file.write_all(&header)?;
        let length = usize::try_from(file::put_bytes(model.dimensions)).expect("a record is small");
        let before = (length - 4 * model.dimensions) as u64;
        let mut end = header.len() as u64;
        let mut moved = Vec::with_capacity(living.len());
        let mut buffer = Vec::with_capacity(1 << 20);
        let mut record = vec![0; length];
        for (number, at) in living {
            old.read_exact_at(&mut record, at - before)?;
            buffer.extend_from_slice(&record);
            moved.push((*number, end + before));
            end += length as u64;
            if buffer.len() >= 1 << 20 {
                file.write_all(&buffer)?;
                buffer.clear();
            }
        }
        file.write_all(&buffer)?;
        file::replace(&file, &fresh, &self.path)?;
        let mut guard = write(&self.store);
        let store = guard.as_mut().expect("whoever takes it away holds the writing lock");
        for (number, at) in moved {
            if let Some(Some(chunk)) = store.memory.chunks.get_mut(number as usize / CHUNK) {
                chunk.slots[number as usize % CHUNK].at = at;
            }
        }
        store.file = Arc::new(file);
        store.end = end;
        store.memory.dead = 0;
        Ok(())
    }

    pub(crate) fn fingerprint(&self, number: u32) -> Option<u64> {
        read(&self.store).as_ref()?.memory.slot(number).map(|slot| slot.fingerprint)
    }

    pub(crate) fn vector(&self, number: u32) -> Result<Option<Vec<f32>>> {
        let guard = read(&self.store);
        let Some(store) = &*guard else { return Ok(None) };
        let Some(slot) = store.memory.slot(number) else { return Ok(None) };
        file::read_vector(&store.file, slot.at, store.model.dimensions, &mut Vec::new()).map(Some)
    }

    /// How many, and the bytes of the file.
    pub(crate) fn size(&self) -> (usize, u64) {
        read(&self.store).as_ref().map_or((0, 0), |store| (store.memory.live, store.end))
    }

    /// The `count` nearest of those that `allowed` lets pass, best first, ties by number, with exact similarities.
    pub(crate) fn nearest(&self, query: &[f32], count: usize, allowed: impl Fn(u32) -> bool) -> Result<Vec<Near>> {
        let guard = read(&self.store);
        let Some(store) = &*guard else { return Ok(Vec::new()) };
        let query = unit(query, store.model.dimensions)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let (steps, scale) = query_steps(&query, store.memory.padded);
        let mut best: BinaryHeap<Reverse<Ranked>> = BinaryHeap::with_capacity(count + 1);
        for (index, chunk) in store.memory.chunks.iter().enumerate() {
            let Some(chunk) = chunk else { continue };
            for (place, slot) in chunk.slots.iter().enumerate() {
                #[allow(clippy::cast_possible_truncation, reason = "id numbers are u32")]
                let number = (index * CHUNK + place) as u32;
                if slot.scale == 0.0 || !allowed(number) {
                    continue;
                }
                let row = &chunk.rows[place * store.memory.padded..(place + 1) * store.memory.padded];
                #[allow(clippy::cast_precision_loss, reason = "an estimate")]
                let score = (self.dot)(&steps, row) as f32 * slot.scale * scale;
                let candidate = Ranked(score, Reverse(number));
                if best.len() < count {
                    best.push(Reverse(candidate));
                } else if best.peek().is_some_and(|worst| candidate > worst.0) {
                    best.pop();
                    best.push(Reverse(candidate));
                }
            }
        }
        let mut bytes = Vec::new();
        let mut near = Vec::with_capacity(best.len());
        for Reverse(Ranked(_, Reverse(number))) in best {
            let slot = store.memory.slot(number).expect("it was there a moment ago, and the lock is held");
            let vector = file::read_vector(&store.file, slot.at, store.model.dimensions, &mut bytes)?;
            near.push((number, vector.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>()));
        }
        near.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(near)
    }
}

/// An estimated similarity; greater is better, smaller numbers win ties.
#[derive(PartialEq)]
struct Ranked(f32, Reverse<u32>);

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then_with(|| self.1.cmp(&other.1))
    }
}

/// The query in steps of an i16, padded, and what one step is worth.
#[allow(clippy::cast_possible_truncation, reason = "rounded into range first")]
fn query_steps(query: &[f32], padded: usize) -> (Vec<i16>, f32) {
    let largest = query.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let scale = (largest / QUERY_STEPS).max(f32::MIN_POSITIVE);
    let mut steps = vec![0; padded];
    for (step, number) in steps.iter_mut().zip(query) {
        *step = (number / scale).round().clamp(-QUERY_STEPS, QUERY_STEPS) as i16;
    }
    (steps, scale)
}
