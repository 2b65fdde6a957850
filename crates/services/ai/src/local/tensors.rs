//! Reads model files in the safetensors format: eight bytes with the header's length (little-endian), a JSON header
//! that names each tensor's type, shape and place, then the numbers.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use serde::Deserialize;

use super::LoadError;

/// The longest header that is read, in bytes; the format's own limit.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// An open model file.
pub struct Tensors {
    file: File,
    entries: BTreeMap<String, Entry>,
    /// Where the numbers begin.
    data: u64,
}

impl Tensors {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read or is not of the format.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let mut file = File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER.min(file.metadata()?.len()) {
            return Err(LoadError::Malformed("its header is longer than the file".to_owned()));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header)?;
        let malformed = |error: serde_json::Error| LoadError::Malformed(format!("its header cannot be read: {error}"));
        let mut header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header).map_err(malformed)?;
        header.remove("__metadata__");
        let entries = header
            .into_iter()
            .map(|(name, entry)| Ok((name, serde_json::from_value(entry)?)))
            .collect::<Result<_, _>>()
            .map_err(malformed)?;
        Ok(Self { file, entries, data: 8 + length })
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn shape(&self, name: &str) -> Result<&[usize], LoadError> {
        Ok(&self.entry(name)?.shape)
    }

    /// The numbers of a tensor, row after row.
    ///
    /// # Errors
    /// When there is none of that name, it has another shape, or its numbers are not 32-bit floats.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let entry = self.entry(name)?;
        if entry.dtype != "F32" || entry.shape != shape {
            let (dtype, found) = (&entry.dtype, &entry.shape);
            return Err(LoadError::Malformed(format!("{name} is {dtype} {found:?} instead of F32 {shape:?}")));
        }
        let (from, until) = entry.data_offsets;
        let count = shape.iter().product::<usize>();
        if until.checked_sub(from) != Some(count as u64 * 4) {
            return Err(LoadError::Malformed(format!("{name} does not have the bytes that its shape needs")));
        }
        self.file.seek(SeekFrom::Start(self.data + from))?;
        let mut numbers = Vec::with_capacity(count);
        let mut bytes = vec![0; 64 * 1024];
        let mut left = count * 4;
        while left > 0 {
            let part = &mut bytes[..left.min(64 * 1024)];
            self.file.read_exact(part)?;
            let (four, _) = part.as_chunks::<4>();
            numbers.extend(four.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            left -= part.len();
        }
        Ok(numbers)
    }

    fn entry(&self, name: &str) -> Result<&Entry, LoadError> {
        self.entries.get(name).ok_or_else(|| LoadError::Malformed(format!("it has no tensor {name}")))
    }
}
