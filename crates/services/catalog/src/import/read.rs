//! Reads a file line by line, on a thread of its own.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bookworm_kernel::Currency;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use tokio::sync::mpsc::Sender;

use super::{
    BATCH, ImportError,
    record::{Columns, Entry, Record},
};

/// The most bytes of a line.
const MAX_LINE: usize = 1024 * 1024;
/// How much of a bad line goes to the rejects file.
const SHOWN: usize = 4096;

/// A file to read.
pub(super) struct Job {
    pub(super) path: PathBuf,
    pub(super) rejects: PathBuf,
    pub(super) currency: Currency,
    /// Counts up while the file is read.
    pub(super) read_bytes: Arc<AtomicU64>,
    /// Counts lines that are not valid.
    pub(super) rejected: Arc<AtomicU64>,
}

impl Job {
    /// Reads the file to its end, or until nobody wants its batches any more.
    pub(super) fn run(self, batches: &Sender<Vec<Entry>>) -> Result<(), ImportError> {
        let file = File::open(&self.path).map_err(ImportError::Read)?;
        let mut raw = BufReader::with_capacity(256 * 1024, Counted { inner: file, bytes: self.read_bytes.clone() });
        let gzip = raw.fill_buf().map_err(ImportError::Read)?.starts_with(&[0x1f, 0x8b]);
        let mut text: Box<dyn BufRead> =
            if gzip { Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(raw))) } else { Box::new(raw) };
        let csv = is_csv(&self.path, text.fill_buf().map_err(ImportError::Read)?);
        let mut sink = Sink {
            batches,
            batch: Vec::with_capacity(BATCH),
            rejects: Rejects::new(&self.rejects),
            rejected: &self.rejected,
        };
        if csv {
            self.read_csv(text, &mut sink)?
        } else {
            self.read_json(text, &mut sink)?
        }
        sink.finish()
    }

    fn read_json(&self, mut text: Box<dyn BufRead>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            let read = (&mut text).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).map_err(ImportError::Read)?;
            if read == 0 {
                return Ok(());
            }
            number += 1;
            if number == 1 && line.starts_with("\u{feff}".as_bytes()) {
                line.drain(..3);
            }
            if line.len() > MAX_LINE {
                sink.reject(number, &format!("a line has at most {MAX_LINE} bytes"), &line)?;
                skip_line(&mut *text).map_err(ImportError::Read)?;
                continue;
            }
            let content = line.trim_ascii();
            if content.is_empty() {
                continue;
            }
            match Record::from_json(content).and_then(|record| record.check(number, self.currency)) {
                Ok(entry) => {
                    if !sink.take(entry) {
                        return Ok(());
                    }
                }
                Err(reason) => sink.reject(number, &reason, content)?,
            }
        }
    }

    fn read_csv(&self, text: Box<dyn BufRead>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(text);
        let header = rows.byte_headers().map_err(|error| csv_error(error).unwrap_or(ImportError::Header))?.clone();
        let columns: Columns = header
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let name = String::from_utf8_lossy(name);
                (name.trim_start_matches('\u{feff}').trim().to_lowercase(), i)
            })
            .collect();
        if !columns.contains_key("title") {
            return Err(ImportError::Header);
        }
        let mut row = csv::ByteRecord::new();
        loop {
            match rows.read_byte_record(&mut row) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(csv_error(error).unwrap_or(ImportError::Header)),
            }
            let number = row.position().map_or(0, csv::Position::line);
            let shown = || row.iter().collect::<Vec<_>>().join(&b","[..]);
            if row.as_slice().len() > MAX_LINE {
                sink.reject(number, &format!("a line has at most {MAX_LINE} bytes"), &shown())?;
                continue;
            }
            if row.len() != header.len() {
                let reason = format!("there are {} fields instead of {}", row.len(), header.len());
                sink.reject(number, &reason, &shown())?;
                continue;
            }
            let record = csv::StringRecord::from_byte_record(row.clone())
                .map_err(|_| "the line is not UTF-8".to_owned())
                .and_then(|row| Record::from_csv(&columns, &row))
                .and_then(|record| record.check(number, self.currency));
            match record {
                Ok(entry) => {
                    if !sink.take(entry) {
                        return Ok(());
                    }
                }
                Err(reason) => sink.reject(number, &reason, &shown())?,
            }
        }
    }
}

fn csv_error(error: csv::Error) -> Option<ImportError> {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Some(ImportError::Read(error)),
        _ => None,
    }
}

/// JSON Lines begin with an object; else the name decides, and a file without a telling name is CSV if it does not begin
/// with one.
fn is_csv(path: &Path, start: &[u8]) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if name.ends_with(".csv") {
        return true;
    }
    if name.ends_with(".jsonl") || name.ends_with(".ndjson") || name.ends_with(".json") {
        return false;
    }
    let start = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start).trim_ascii_start();
    !start.is_empty() && !start.starts_with(b"{")
}

fn skip_line(text: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = text.fill_buf()?;
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        text.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// Counts the bytes of the file itself, compressed or not.
struct Counted {
    inner: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Where lines go.
struct Sink<'a> {
    batches: &'a Sender<Vec<Entry>>,
    batch: Vec<Entry>,
    rejects: Rejects<'a>,
    rejected: &'a AtomicU64,
}

impl Sink<'_> {
    /// `false` when nobody wants more.
    fn take(&mut self, entry: Entry) -> bool {
        self.batch.push(entry);
        self.batch.len() < BATCH || self.send()
    }

    fn send(&mut self) -> bool {
        let full = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.batches.blocking_send(full).is_ok()
    }

    fn reject(&mut self, line: u64, reason: &str, text: &[u8]) -> Result<(), ImportError> {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        self.rejects.write(line, reason, text).map_err(ImportError::Rejects)
    }

    fn finish(mut self) -> Result<(), ImportError> {
        if !self.batch.is_empty() {
            self.send();
        }
        self.rejects.finish().map_err(ImportError::Rejects)
    }
}

/// A bad line.
#[derive(Serialize)]
struct Reject<'a> {
    line: u64,
    reason: &'a str,
    text: &'a str,
}

/// The file of bad lines, made with the first of them.
struct Rejects<'a> {
    path: &'a Path,
    file: Option<BufWriter<File>>,
}

impl<'a> Rejects<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path, file: None }
    }

    fn write(&mut self, line: u64, reason: &str, text: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(File::create(self.path)?)),
        };
        let text = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]);
        serde_json::to_writer(&mut *file, &Reject { line, reason, text: &text })?;
        file.write_all(b"\n")
    }

    fn finish(self) -> io::Result<()> {
        match self.file {
            Some(mut file) => file.flush(),
            // Those of an earlier import would be misleading.
            None => match std::fs::remove_file(self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_or_the_first_byte_tells_the_format() {
        for (name, start, csv) in [
            ("books.csv", "{", true),
            ("books.CSV.gz", "title", true),
            ("books.jsonl", "title", false),
            ("books.jsonl.gz", "", false),
            ("books", "  {\"title\"", false),
            ("books", "\u{feff}{", false),
            ("books.txt", "title,authors", true),
            ("books", "", false),
        ] {
            assert_eq!(is_csv(Path::new(name), start.as_bytes()), csv, "{name} {start}");
        }
    }
}
