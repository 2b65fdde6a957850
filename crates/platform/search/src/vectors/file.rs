//! The file of vectors: a header, then records that are only ever appended.
//!
//! ```text
//! header  magic "BWVECT01" | dimensions u32 | length of the name u32 | name | crc32 of all before
//! record  crc32 of the rest u32 | kind u8: 1 put, 2 remove | id 16 bytes | put only: fingerprint u64, dimensions * f32
//! ```
//! Numbers are little-endian. The last record of an id counts. A record that is not whole, and everything after it, is
//! cut off when the file is opened: a crash can only have torn the tail.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use uuid::Uuid;

use crate::{Result, VectorModel};

const MAGIC: &[u8; 8] = b"BWVECT01";
const PUT: u8 = 1;
const REMOVE: u8 = 2;
/// crc, kind, id.
const HEAD: usize = 4 + 1 + 16;

/// What a record says.
pub(super) enum Record<'a> {
    /// The vector of an id, at unit length; its numbers begin at this byte of the file.
    Put {
        id: Uuid,
        fingerprint: u64,
        vector: &'a [f32],
        at: u64,
    },
    Remove {
        id: Uuid,
    },
}

/// Bytes of one remove record.
pub(super) const REMOVE_BYTES: u64 = HEAD as u64;

/// Bytes of one put record.
pub(super) fn put_bytes(dimensions: usize) -> u64 {
    (HEAD + 8 + 4 * dimensions) as u64
}

pub(super) struct Replayed {
    pub file: File,
    pub model: VectorModel,
    /// Where the next record goes.
    pub end: u64,
    /// Bytes that were cut off.
    pub cut: u64,
}

pub(super) enum Found {
    Nothing,
    Unusable(String),
    Whole(Replayed),
}

/// The header of a file of this model's vectors.
pub(super) fn header_bytes(model: &VectorModel) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((model.dimensions as u32).to_le_bytes());
    bytes.extend((model.name.len() as u32).to_le_bytes());
    bytes.extend(model.name.as_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// Makes a new file in the place of the one that may be there, durably.
pub(super) fn create(path: &Path, model: &VectorModel) -> Result<(File, u64)> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&fresh)?;
    let bytes = header_bytes(model);
    file.write_all(&bytes)?;
    replace(&file, &fresh, path)?;
    Ok((file, bytes.len() as u64))
}

/// Puts a complete file in the place of another, durably.
pub(super) fn replace(file: &File, from: &Path, to: &Path) -> Result<()> {
    file.sync_all()?;
    std::fs::rename(from, to)?;
    if let Some(folder) = to.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Reads the file, calls `each` for every whole record in order, and cuts off the rest.
pub(super) fn replay(path: &Path, mut each: impl FnMut(&VectorModel, Record<'_>)) -> Result<Found> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 20, &file);
    let Some((model, mut end)) = read_header(&mut reader) else {
        return Ok(Found::Unusable("it does not begin as a file of vectors does".to_owned()));
    };
    let mut head = [0; HEAD];
    let mut body = vec![0; 8 + 4 * model.dimensions];
    let mut vector = vec![0.0_f32; model.dimensions];
    while reader.read_exact(&mut head).is_ok() {
        let crc = u32::from_le_bytes(head[..4].try_into().expect("four bytes are four bytes"));
        let id = Uuid::from_bytes(head[5..].try_into().expect("sixteen bytes are sixteen bytes"));
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[4..]);
        match head[4] {
            PUT => {
                if reader.read_exact(&mut body).is_err() {
                    break;
                }
                hasher.update(&body);
                if hasher.finalize() != crc {
                    break;
                }
                let fingerprint = u64::from_le_bytes(body[..8].try_into().expect("eight bytes are eight bytes"));
                decode(&body[8..], &mut vector);
                each(&model, Record::Put { id, fingerprint, vector: &vector, at: end + HEAD as u64 + 8 });
                end += put_bytes(model.dimensions);
            }
            REMOVE if hasher.finalize() == crc => {
                each(&model, Record::Remove { id });
                end += HEAD as u64;
            }
            _ => break,
        }
    }
    drop(reader);
    let cut = length - end;
    if cut > 0 {
        file.set_len(end)?;
        file.sync_all()?;
    }
    Ok(Found::Whole(Replayed { file, model, end, cut }))
}

fn read_header(reader: &mut impl Read) -> Option<(VectorModel, u64)> {
    let mut fixed = [0; 16];
    reader.read_exact(&mut fixed).ok()?;
    let dimensions = u32::from_le_bytes(fixed[8..12].try_into().ok()?) as usize;
    let length = u32::from_le_bytes(fixed[12..].try_into().ok()?) as usize;
    if &fixed[..8] != MAGIC || !(1..=crate::limits::DIMENSIONS).contains(&dimensions) || length > 200 {
        return None;
    }
    let mut rest = vec![0; length + 4];
    reader.read_exact(&mut rest).ok()?;
    let (name, crc) = rest.split_at(length);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&fixed);
    hasher.update(name);
    if hasher.finalize().to_le_bytes() != crc {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?.to_owned();
    Some((VectorModel { name, dimensions }, (16 + length + 4) as u64))
}

fn decode(bytes: &[u8], vector: &mut [f32]) {
    for (number, bytes) in vector.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = f32::from_le_bytes(bytes.try_into().expect("four bytes are four bytes"));
    }
}

pub(super) fn encode_put(out: &mut Vec<u8>, id: Uuid, fingerprint: u64, vector: &[f32]) {
    let begin = out.len();
    out.extend([0; 4]);
    out.push(PUT);
    out.extend(id.as_bytes());
    out.extend(fingerprint.to_le_bytes());
    for number in vector {
        out.extend(number.to_le_bytes());
    }
    seal(out, begin);
}

pub(super) fn encode_remove(out: &mut Vec<u8>, id: Uuid) {
    let begin = out.len();
    out.extend([0; 4]);
    out.push(REMOVE);
    out.extend(id.as_bytes());
    seal(out, begin);
}

fn seal(out: &mut [u8], begin: usize) {
    let crc = crc32fast::hash(&out[begin + 4..]);
    out[begin..begin + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Appends whole records, durably. When that fails, the file is brought back to where it was.
pub(super) fn append(mut file: &File, end: u64, records: &[u8]) -> Result<()> {
    let written = file.seek(SeekFrom::Start(end)).and_then(|_| file.write_all(records)).and_then(|()| file.sync_data());
    if let Err(error) = written {
        file.set_len(end)?;
        return Err(error.into());
    }
    Ok(())
}

/// The numbers of one vector.
pub(super) fn read_vector(file: &File, at: u64, dimensions: usize, bytes: &mut Vec<u8>) -> Result<Vec<f32>> {
    bytes.resize(4 * dimensions, 0);
    file.read_exact_at(bytes, at)?;
    let mut vector = vec![0.0; dimensions];
    decode(bytes, &mut vector);
    Ok(vector)
}
