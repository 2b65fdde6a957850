//! Where everything that an import has to say is written down.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::report::{Note, Reject};

/// The most bytes of a report that stays in memory.
const MOST: usize = 4 * 1024 * 1024;
/// First line of a report.
const HEADER: [&str; 5] = ["line", "what", "column", "value", "message"];

/// A rejected record, as the rejects file has it.
#[derive(Serialize)]
struct Rejected<'a> {
    line: u64,
    reason: &'a str,
    column: Option<&'a str>,
    value: &'a str,
    text: &'a str,
}

/// The rejected records to mend and import again, and the report of everything that was rejected or adjusted (CSV).
#[derive(Debug)]
pub struct Papers {
    rejects: Option<Paper>,
    report: Paper,
}

#[derive(Debug)]
enum Paper {
    /// Made with the first line.
    File {
        path: PathBuf,
        file: Option<BufWriter<File>>,
    },
    Memory {
        text: Vec<u8>,
        full: bool,
    },
}

impl Papers {
    /// Two files: rejected records as JSON Lines of `{"line", "reason", "column", "value", "text"}`, and the report as CSV.
    /// Without anything to say, no file is made and an old one is removed.
    #[must_use]
    pub fn files(rejects: &Path, report: &Path) -> Self {
        let paper = |path: &Path| Paper::File { path: path.to_owned(), file: None };
        Self { rejects: Some(paper(rejects)), report: paper(report) }
    }

    /// The report alone, in memory; a very long one is cut.
    #[must_use]
    pub fn memory() -> Self {
        Self { rejects: None, report: Paper::Memory { text: Vec::new(), full: false } }
    }

    /// The report that stayed in memory; empty when there is nothing to say.
    #[must_use]
    pub fn into_report(self) -> String {
        match self.report {
            Paper::Memory { text, .. } => String::from_utf8_lossy(&text).into_owned(),
            Paper::File { .. } => String::new(),
        }
    }

    pub(super) fn reject(&mut self, reject: &Reject) -> io::Result<()> {
        let note = &reject.note;
        if let Some(paper) = &mut self.rejects {
            let mut line = serde_json::to_vec(&Rejected {
                line: note.line,
                reason: &reject.reason(),
                column: note.column.as_deref(),
                value: &note.value,
                text: &reject.text,
            })?;
            line.push(b'\n');
            paper.write(&[], &line)?;
        }
        self.line("rejected", note)
    }

    pub(super) fn note(&mut self, note: &Note) -> io::Result<()> {
        self.line("adjusted", note)
    }

    fn line(&mut self, what: &str, note: &Note) -> io::Result<()> {
        let line = csv_line(&[
            &note.line.to_string(),
            what,
            note.column.as_deref().unwrap_or_default(),
            &note.value,
            &note.message,
        ])?;
        // Spreadsheet programs take a file for UTF-8 only with a mark.
        let header = ["\u{feff}".as_bytes(), &csv_line(&HEADER)?].concat();
        self.report.write(&header, &line)
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.rejects.iter_mut().chain([&mut self.report]).try_for_each(Paper::finish)
    }
}

impl Paper {
    fn write(&mut self, header: &[u8], line: &[u8]) -> io::Result<()> {
        match self {
            Self::File { path, file } => {
                let file = match file {
                    Some(file) => file,
                    none => {
                        let file = none.insert(BufWriter::new(File::create(path)?));
                        file.write_all(header)?;
                        file
                    }
                };
                file.write_all(line)
            }
            Self::Memory { full: true, .. } => Ok(()),
            Self::Memory { text, full } => {
                if text.is_empty() {
                    text.extend_from_slice(header);
                }
                if text.len() + line.len() > MOST {
                    *full = true;
                    text.extend_from_slice(&csv_line(&["", "", "", "", "There is more; mend this much first."])?);
                } else {
                    text.extend_from_slice(line);
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::File { file: Some(file), .. } => file.flush(),
            // That of an earlier import would be misleading.
            Self::File { path, file: None } => match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            Self::Memory { .. } => Ok(()),
        }
    }
}

fn csv_line(values: &[&str]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // A value that a spreadsheet program would take for a formula is shown as text.
    let safe = values.iter().map(|value| {
        if value.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{value}") } else { (*value).to_owned() }
    });
    writer.write_record(safe)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_safe_to_open_and_does_not_grow_without_end() {
        let mut papers = Papers::memory();
        let note = Note::new(7, Some("price".to_owned()), "=cmd|' /C calc'!A0", "is no amount");
        papers.note(&note).unwrap();
        papers.reject(&Reject::new(8, None, "", "there are 2 fields", "a,b")).unwrap();
        papers.finish().unwrap();
        let text = papers.into_report();
        assert!(text.starts_with("\u{feff}line,what,column,value,message\n7,adjusted,price,'=cmd"), "{text}");
        assert!(text.ends_with("8,rejected,,,there are 2 fields\n"), "{text}");

        let mut long = Papers::memory();
        let note = Note::new(1, None, &"x".repeat(200), "y".repeat(1_000));
        for _ in 0..10_000 {
            long.note(&note).unwrap();
        }
        let text = long.into_report();
        assert!(text.len() < MOST + 1_000 && text.contains("There is more"));
        assert_eq!(Papers::memory().into_report(), "");
    }
}
