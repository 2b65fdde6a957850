//! The bytes of a file: what kind of file it is, how its letters are encoded, where its lines end.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use flate2::read::MultiGzDecoder;

use super::ImportError;

/// The most bytes of a line, and of a record.
pub(super) const MAX_LINE: usize = 1024 * 1024;
/// How much of a file is looked at to tell its kind.
const HEAD: usize = 64 * 1024;
const BUFFER: usize = 256 * 1024;

/// Where a file is.
#[derive(Debug, Clone)]
pub enum Source {
    /// In the file system.
    File(PathBuf),
    /// In memory, with the name that it had where it came from.
    Memory {
        /// The name.
        name: String,
        /// What is in it.
        bytes: Arc<[u8]>,
    },
    /// In memory, from somebody who may have compressed far more than they sent.
    Upload {
        /// The name.
        name: String,
        /// What is in it.
        bytes: Arc<[u8]>,
        /// The most bytes that it may have uncompressed.
        unpacked: u64,
    },
}

impl Source {
    /// Its name in lower case, without `.gz`.
    pub(super) fn name(&self) -> String {
        let name = match self {
            Self::File(path) => path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default(),
            Self::Memory { name, .. } | Self::Upload { name, .. } => name.to_lowercase(),
        };
        name.strip_suffix(".gz").unwrap_or(&name).to_owned()
    }

    /// Its size in bytes, compressed or not.
    pub(super) fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(path) => Ok(std::fs::metadata(path)?.len()),
            Self::Memory { bytes, .. } | Self::Upload { bytes, .. } => Ok(bytes.len() as u64),
        }
    }

    /// From its beginning, uncompressed. `read` counts the bytes of the file itself.
    fn open(&self, read: &Arc<AtomicU64>) -> io::Result<Box<dyn BufRead + Send>> {
        let raw: Box<dyn Read + Send> = match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Memory { bytes, .. } | Self::Upload { bytes, .. } => Box::new(io::Cursor::new(bytes.clone())),
        };
        let mut raw = BufReader::with_capacity(BUFFER, Counted { inner: raw, bytes: read.clone() });
        let gzip = raw.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let most = match self {
            Self::Upload { unpacked, .. } => *unpacked,
            Self::File(_) | Self::Memory { .. } => u64::MAX,
        };
        Ok(if gzip {
            let unpacked = Bounded { inner: MultiGzDecoder::new(raw), left: most, most };
            Box::new(BufReader::with_capacity(BUFFER, unpacked))
        } else {
            Box::new(raw)
        })
    }
}

/// Ends with an error when there are more bytes than allowed.
struct Bounded<R> {
    inner: R,
    left: u64,
    most: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!(
                "it is compressed and has more than {} MiB when it is unpacked; cut it in parts",
                self.most >> 20
            ))
        })?;
        Ok(read)
    }
}

/// Counts the bytes that were read.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// What a look at a file told.
pub(super) struct Surveyed {
    pub(super) encoding: &'static Encoding,
    /// A byte order mark said so.
    pub(super) marked: bool,
    /// The beginning, as text.
    pub(super) head: String,
}

/// Looks at a file: all of it, since a letter that decides how the others are encoded may stand in its last line.
///
/// # Errors
/// When it cannot be read, or is no text.
pub(super) fn survey(source: &Source, wanted: Option<&'static Encoding>) -> Result<Surveyed, ImportError> {
    let mut text = source.open(&Arc::default()).map_err(ImportError::Read)?;
    let head = head(&mut text).map_err(ImportError::Read)?;
    if let Some(reason) = refusal(&head) {
        return Err(ImportError::Format(reason));
    }
    let (encoding, marked) = match (wanted, Encoding::for_bom(&head)) {
        (_, Some((marked, _))) => (marked, true),
        (Some(wanted), None) => (wanted, false),
        (None, None) => match zeros(&head) {
            Some(Zeros::Odd) => (UTF_16LE, false),
            Some(Zeros::Even) => (UTF_16BE, false),
            Some(Zeros::Anywhere) => {
                let reason =
                    "This is not a text file. Export the catalogue as CSV (UTF-8) or JSON Lines, and import that.";
                return Err(ImportError::Format(reason.to_owned()));
            }
            None => (guess(&head, &mut *text), false),
        },
    };
    let (text, ..) = encoding.decode(&head);
    Ok(Surveyed { encoding, marked, head: text.into_owned() })
}

fn head(text: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    match text.take(HEAD as u64).read_to_end(&mut head) {
        // Damage further on is met, and told, when the file is read.
        Err(error) if head.is_empty() => Err(error),
        _ => Ok(head),
    }
}

/// Why a file of another kind cannot be read, and what to do.
fn refusal(head: &[u8]) -> Option<String> {
    let spreadsheet = "Open it in your spreadsheet program, choose “Save as” and “CSV UTF-8”, and import that file.";
    let says = |what: &str, remedy: &str| Some(format!("This is {what}. {remedy}"));
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
        return if has(b"xl/") || has(b"[Content_Types].xml") {
            says("an Excel workbook (XLSX)", spreadsheet)
        } else if has(b"opendocument.spreadsheet") {
            says("a LibreOffice spreadsheet (ODS)", spreadsheet)
        } else {
            says("a ZIP archive", "Unpack it, and import the CSV or JSON file in it.")
        };
    }
    if starts(b"\xd0\xcf\x11\xe0") {
        return says("an old Excel workbook (XLS)", spreadsheet);
    }
    if starts(b"%PDF") {
        return says("a PDF document", "Ask for the list as CSV or as a spreadsheet, and import that as CSV.");
    }
    if starts(b"SQLite format 3\0") || starts(b"PAR1") {
        return says("a database file", "Export its table as CSV, and import that file.");
    }
    for (magic, name) in [
        (&b"BZh"[..], "bzip2"),
        (b"\xfd7zXZ", "xz"),
        (b"\x28\xb5\x2f\xfd", "Zstandard"),
        (b"7z\xbc\xaf", "7-Zip"),
        (b"Rar!", "RAR"),
    ] {
        if starts(magic) {
            return says(
                &format!("compressed with {name}"),
                "Unpack it first; of compressed files only gzip can be read.",
            );
        }
    }
    if starts(b"{\\rtf") {
        return says("a text document (RTF)", "Save the list as CSV, and import that file.");
    }
    if starts(b"\xff\xfe\0\0") || starts(b"\0\0\xfe\xff") {
        return says("encoded as UTF-32", "Save it as UTF-8.");
    }
    let start: Vec<u8> = head.iter().filter(|byte| **byte != 0).take(600).copied().collect();
    let start = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&start);
    let start = String::from_utf8_lossy(start).trim_start_matches(['\u{feff}', '\u{fffd}']).trim_start().to_lowercase();
    if start.starts_with('<') {
        return if start.contains("onixmessage") || start.contains("ns.editeur.org/onix") {
            says(
                "an ONIX message (XML)",
                "ONIX is not read yet: convert it to CSV with the columns isbn13, title, authors, price, stock, and import that.",
            )
        } else if start.starts_with("<!doctype html") || start.starts_with("<html") || start.starts_with("<table") {
            says(
                "a web page (HTML)",
                "Some programs export HTML under the name .xls. Open it in your spreadsheet program, and save it as CSV UTF-8.",
            )
        } else {
            says("an XML file", "Only CSV and JSON are read: export the list as one of them.")
        };
    }
    // ISO 2709: the record's length, then letters and blanks at fixed places.
    let bytes = start.as_bytes();
    let marc = bytes.get(20..24) == Some(b"4500") && bytes[..5].iter().all(u8::is_ascii_digit);
    if marc {
        return says("a library file (MARC)", "Convert it to CSV, for example with MarcEdit, and import that.");
    }
    None
}

enum Zeros {
    Even,
    Odd,
    Anywhere,
}

/// Where zero bytes stand: text of UTF-16 has them in every other place.
fn zeros(head: &[u8]) -> Option<Zeros> {
    let (mut even, mut odd) = (0_usize, 0_usize);
    for (at, _) in head.iter().enumerate().filter(|(_, byte)| **byte == 0) {
        if at % 2 == 0 { even += 1 } else { odd += 1 }
    }
    // A stray zero in a text is a control character like others.
    match (even, odd) {
        (even, odd) if even + odd == 0 || (even + odd) * 100 < head.len() => None,
        (even, odd) if odd > 9 * even => Some(Zeros::Odd),
        (even, odd) if even > 9 * odd => Some(Zeros::Even),
        _ => Some(Zeros::Anywhere),
    }
}

/// UTF-8 where the bytes beyond ASCII are mostly that; else what Excel writes in Western Europe and America.
fn guess(head: &[u8], rest: &mut dyn BufRead) -> &'static Encoding {
    let mut tally = Tally::default();
    tally.add(head);
    loop {
        let used = match rest.fill_buf() {
            Ok([]) | Err(_) => break,
            Ok(bytes) => {
                tally.add(bytes);
                bytes.len()
            }
        };
        rest.consume(used);
    }
    if tally.wrong > tally.right { WINDOWS_1252 } else { UTF_8 }
}

/// Counts letters beyond ASCII that are UTF-8, and bytes that are not.
#[derive(Default)]
struct Tally {
    right: usize,
    wrong: usize,
    /// A letter that the next piece goes on with.
    begun: Vec<u8>,
}

impl Tally {
    fn add(&mut self, bytes: &[u8]) {
        let joined = [std::mem::take(&mut self.begun).as_slice(), bytes].concat();
        let mut rest = joined.as_slice();
        loop {
            let (valid, error) = match std::str::from_utf8(rest) {
                Ok(text) => (text.len(), None),
                Err(error) => (error.valid_up_to(), Some(error.error_len())),
            };
            self.right += rest[..valid].iter().filter(|byte| **byte >= 0xc0).count();
            match error {
                None => return,
                Some(None) => {
                    self.begun = rest[valid..].to_vec();
                    return;
                }
                Some(Some(length)) => {
                    self.wrong += 1;
                    rest = &rest[valid + length..];
                }
            }
        }
    }
}

/// A line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) text: Text,
}

/// What a line says, or why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    Good(String),
    /// Its bytes are not of the file's encoding.
    Bad(String),
    /// Longer than [`MAX_LINE`]; its beginning.
    TooLong(String),
}

/// The lines of a file. A line ends with LF, CR LF or CR.
pub(super) struct Lines {
    bytes: Box<dyn BufRead + Send>,
    number: u64,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    first: bool,
}

impl Lines {
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn open(source: &Source, encoding: &'static Encoding, read: &Arc<AtomicU64>) -> io::Result<Self> {
        let raw = source.open(read)?;
        let bytes: Box<dyn BufRead + Send> = if encoding == UTF_8 {
            raw
        } else {
            let decoder = encoding.new_decoder_with_bom_removal();
            Box::new(BufReader::with_capacity(
                BUFFER,
                Transcoded { raw, decoder, ready: Vec::new(), at: 0, ended: false },
            ))
        };
        Ok(Self { bytes, number: 0, after_cr: false, first: true })
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let (mut line, mut length, mut any) = (Vec::new(), 0_usize, false);
        loop {
            let buffer = self.bytes.fill_buf()?;
            if std::mem::take(&mut self.after_cr) && buffer.first() == Some(&b'\n') {
                self.bytes.consume(1);
                continue;
            }
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &buffer[..end.unwrap_or(buffer.len())];
            length += piece.len();
            line.extend_from_slice(&piece[..piece.len().min((MAX_LINE + 1).saturating_sub(line.len()))]);
            let used = piece.len() + usize::from(end.is_some());
            self.after_cr = end.is_some_and(|end| buffer[end] == b'\r');
            self.bytes.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        if std::mem::take(&mut self.first) && line.starts_with("\u{feff}".as_bytes()) {
            line.drain(..3);
        }
        let text = if length > MAX_LINE {
            Text::TooLong(String::from_utf8_lossy(&line[..4096]).into_owned())
        } else {
            match String::from_utf8(line) {
                Ok(text) => Text::Good(text),
                // As the letters most likely were meant: the rejects file shows them so.
                Err(error) => Text::Bad(WINDOWS_1252.decode_without_bom_handling(error.as_bytes()).0.into_owned()),
            }
        };
        Ok(Some(Line { number: self.number, text }))
    }
}

/// Turns another encoding into UTF-8 while it is read.
struct Transcoded {
    raw: Box<dyn BufRead + Send>,
    decoder: Decoder,
    ready: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Transcoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.ready.len() && !self.ended {
            let input = self.raw.fill_buf()?;
            self.ended = input.is_empty();
            let used = input.len();
            let room = self.decoder.max_utf8_buffer_length(used).unwrap_or(BUFFER * 4);
            self.ready.resize(room, 0);
            let (_, read, written, _) = self.decoder.decode_to_utf8(input, &mut self.ready, self.ended);
            debug_assert_eq!(read, used, "there is room for all of it");
            self.ready.truncate(written);
            self.at = 0;
            self.raw.consume(used);
        }
        let n = buffer.len().min(self.ready.len() - self.at);
        buffer[..n].copy_from_slice(&self.ready[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(bytes: &[u8]) -> Source {
        Source::Memory { name: "books.csv".to_owned(), bytes: bytes.into() }
    }

    #[test]
    fn a_compressed_upload_unpacks_to_so_much_and_no_more() {
        use std::io::Write as _;

        let gzip = |bytes: usize| {
            let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            file.write_all(&vec![b'a'; bytes]).unwrap();
            let (name, bytes) = ("books.csv.gz".to_owned(), file.finish().unwrap().into());
            Source::Upload { name, bytes, unpacked: 2 << 20 }
        };
        let read = |source: Source| {
            let mut all = Vec::new();
            source.open(&Arc::default()).unwrap().read_to_end(&mut all).map_err(|error| error.to_string())
        };
        assert_eq!(read(gzip(2 << 20)), Ok(2 << 20));
        let error = read(gzip((2 << 20) + 1)).unwrap_err();
        assert!(error.contains("more than 2 MiB when it is unpacked"), "{error}");
        // What is not compressed is as large as it is.
        let plain = Source::Upload { name: "a".to_owned(), bytes: vec![b'a'; 3 << 20].into(), unpacked: 2 << 20 };
        assert_eq!(read(plain), Ok(3 << 20));
    }

    fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
        let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
        text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        let source = source(bytes);
        let surveyed = survey(&source, None).unwrap();
        let mut lines = Lines::open(&source, surveyed.encoding, &Arc::default()).unwrap();
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(match line.text {
                Text::Good(text) => text,
                Text::Bad(text) => format!("bad {text}"),
                Text::TooLong(_) => "long".to_owned(),
            });
        }
        all
    }

    #[test]
    fn every_usual_encoding_is_read() {
        let text = "title;price\nÉmile Zola – “Nana”;12,99 €";
        let expected: Vec<&str> = text.lines().collect();
        let windows = WINDOWS_1252.encode(text).0.into_owned();
        for bytes in [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            utf16(text, true, true),
            utf16(text, false, true),
            utf16(text, true, false),
            utf16(text, false, false),
            windows,
        ] {
            assert_eq!(lines(&bytes), expected);
        }
        // One wrong byte in a file of UTF-8 is a fault of its line, not of the file.
        assert_eq!(lines("Zoë\nZo\u{eb}\nCaf\u{e9}".as_bytes()).len(), 3);
        let mixed = ["Zoë and Chloë\n".as_bytes(), b"Caf\xe9\n", "Brontë".as_bytes()].concat();
        assert_eq!(lines(&mixed), ["Zoë and Chloë", "bad Café", "Brontë"]);
    }

    #[test]
    fn a_line_ends_in_three_ways() {
        assert_eq!(lines(b"a\r\nb\rc\n\nd"), ["a", "b", "c", "", "d"]);
        assert_eq!(lines(b"a\r\r\n"), ["a", ""]);
        assert_eq!(lines(b""), Vec::<String>::new());
        let long = [vec![b'x'; MAX_LINE + 1], b"\nshort".to_vec()].concat();
        assert_eq!(lines(&long), ["long", "short"]);
    }

    #[test]
    fn other_kinds_of_files_are_refused_with_what_to_do() {
        for (bytes, says) in [
            (&b"PK\x03\x04....xl/workbook.xml"[..], "XLSX"),
            (b"PK\x03\x04....books.csv", "ZIP"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1", "XLS"),
            (b"%PDF-1.7", "PDF"),
            (b"<?xml version=\"1.0\"?>\n<ONIXMessage release=\"3.0\">", "ONIX"),
            (b"\xef\xbb\xbf<ONIXMessage>", "ONIX"),
            (b"<catalog><book/></catalog>", "XML"),
            (b"<html><table>", "HTML"),
            (b"Rar!\x1a\x07", "RAR"),
            (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
            (b"SQLite format 3\0", "database"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0", "not a text"),
            (b"00714cam a2200205 a 4500001001300000", "MARC"),
        ] {
            let Err(ImportError::Format(reason)) = survey(&source(bytes), None).map(|_| ()) else {
                panic!("{says} was taken")
            };
            assert!(reason.contains(says), "{reason}");
        }
        let onix = utf16("<?xml version=\"1.0\"?><ONIXMessage>", true, true);
        assert!(matches!(survey(&source(&onix), None), Err(ImportError::Format(reason)) if reason.contains("ONIX")));
    }
}
