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
    /// Bytes in the file.
    length: u64,
}

/// A matrix of which a row is read when it is asked for: an embedding table is most of a small model's weights, and a
/// text needs few of its rows. The operating system keeps those in memory that are asked for often.
pub struct Rows {
    file: File,
    from: u64,
    rows: usize,
    width: usize,
}

impl Rows {
    /// Reads a row; the first one when there is none of that number.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When `out` has another width than the matrix.
    pub fn read(&self, row: usize, out: &mut [f32], bytes: &mut Vec<u8>) -> std::io::Result<()> {
        assert_eq!(out.len(), self.width, "a row of another width");
        let row = if row < self.rows { row } else { 0 };
        bytes.resize(self.width * 4, 0);
        read_at(&self.file, bytes, self.from + (row * self.width * 4) as u64)?;
        out.iter_mut().zip(floats(bytes)).for_each(|(out, number)| *out = number);
        Ok(())
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], from: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, from)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut from: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, bytes, from)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        from += count as u64;
    }
    Ok(())
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
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
        let whole = file.metadata()?.len();
        if length > MAX_HEADER.min(whole) {
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
        Ok(Self { file, entries, data: 8 + length, length: whole })
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
        let (from, count) = self.place(name, shape)?;
        self.file.seek(SeekFrom::Start(from))?;
        let mut numbers = Vec::with_capacity(count);
        let mut bytes = vec![0; 64 * 1024];
        let mut left = count * 4;
        while left > 0 {
            let part = &mut bytes[..left.min(64 * 1024)];
            self.file.read_exact(part)?;
            numbers.extend(floats(part));
            left -= part.len();
        }
        Ok(numbers)
    }

    /// The rows of a matrix, which stay in the file.
    ///
    /// # Errors
    /// When there is no matrix of that name and shape, or its numbers are not 32-bit floats.
    pub fn rows(&self, name: &str, rows: usize, width: usize) -> Result<Rows, LoadError> {
        let (from, _) = self.place(name, &[rows, width])?;
        Ok(Rows { file: self.file.try_clone()?, from, rows, width })
    }

    /// Where a tensor begins in the file, and how many numbers it has.
    fn place(&self, name: &str, shape: &[usize]) -> Result<(u64, usize), LoadError> {
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
        let end = self.data.checked_add(until).filter(|end| *end <= self.length);
        if end.is_none() {
            return Err(LoadError::Malformed(format!("{name} ends after the file")));
        }
        Ok((self.data + from, count))
    }

    fn entry(&self, name: &str) -> Result<&Entry, LoadError> {
        self.entries.get(name).ok_or_else(|| LoadError::Malformed(format!("it has no tensor {name}")))
    }
}
