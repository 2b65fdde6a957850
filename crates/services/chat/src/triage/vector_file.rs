//! Vectors of the examples on disk, so that they are not computed again after a restart.

use std::{collections::HashMap, fs, io, path::Path};

use sha2::{Digest, Sha256};

const MAGIC: &[u8] = b"BookWorm chat vectors 1\n";
/// Bytes of a text's fingerprint.
const KEY: usize = 16;

type Key = [u8; KEY];

/// Vectors of one model by their texts' fingerprints.
#[derive(Debug, Default, PartialEq)]
pub struct VectorFile {
    vectors: HashMap<Key, Vec<f32>>,
}

/// The model's name is part of it: another model makes other vectors of the same text.
fn key(model: &str, text: &str) -> Key {
    let digest = Sha256::new().chain_update(model).chain_update([0]).chain_update(text).finalize();
    digest[..KEY].try_into().expect("the digest is longer than the key")
}

impl VectorFile {
    /// Reads the file; empty when it is not there or not complete: then the vectors are computed again.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        fs::read(file).ok().and_then(|bytes| Self::parse(&bytes)).unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size) as usize;
        let entry = size.checked_mul(4)?.checked_add(KEY)?;
        if size == 0 || rest.len() % entry != 0 {
            return None;
        }
        let vectors = rest.chunks_exact(entry).filter_map(|entry| {
            let (key, values) = entry.split_first_chunk::<KEY>()?;
            let values: Vec<f32> = values.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            values.iter().all(|value| value.is_finite()).then_some((*key, values))
        });
        Some(Self { vectors: vectors.collect() })
    }

    /// The vector of a text, if a model of this name made one.
    #[must_use]
    pub fn get(&self, model: &str, text: &str) -> Option<&Vec<f32>> {
        self.vectors.get(&key(model, text))
    }

    /// Writes these vectors of one model, all of the same length, in place of those before. A reader sees the old file
    /// or the new one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write<'a>(file: &Path, model: &str, vectors: impl Iterator<Item = (&'a str, &'a [f32])>) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        for (index, (text, vector)) in vectors.enumerate() {
            if index == 0 {
                let size = u32::try_from(vector.len()).map_err(io::Error::other)?;
                bytes.extend(size.to_le_bytes());
            }
            bytes.extend(key(model, text));
            bytes.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let fresh = file.with_extension("new");
        fs::write(&fresh, bytes)?;
        fs::rename(fresh, file)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_only_for_its_model() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/vectors.bin");
        assert_eq!(VectorFile::read(&file), VectorFile::default());
        VectorFile::write(&file, "m", [("one", &[0.5, 1.0][..]), ("two", &[2.0, 3.0][..])].into_iter()).unwrap();
        let read = VectorFile::read(&file);
        assert_eq!(read.get("m", "two"), Some(&vec![2.0, 3.0]));
        assert_eq!(read.get("other", "two"), None);
        assert_eq!(read.get("m", "three"), None);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(VectorFile::read(&file), VectorFile::default(), "cut off");
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(bytes: Vec<u8>) {
            let _ = VectorFile::parse(&[MAGIC, &bytes].concat());
            let _ = VectorFile::parse(&bytes);
        }
    }
}
