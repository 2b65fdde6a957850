//! The objects of a JSON file: one on each line, in an array, one after the other, or under the key of each.

use std::io;

use super::source::{Line, Lines, MAX_LINE, Text};

/// How the objects stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// JSON Lines.
    Lines,
    /// At this depth of brackets: 0 for objects that follow each other, 1 for those of an array, or of an object that has
    /// one for each key (LibraryThing), 2 for an array within an object: `{"books": [...]}`.
    Depth(usize),
}

/// Keys of an object that holds the list of books and nothing else of interest.
const LISTS: [&str; 10] =
    ["books", "items", "products", "data", "records", "results", "entries", "rows", "catalogue", "catalog"];

/// How the objects stand, by the beginning of the file.
pub(super) fn layout(head: &str, name: &str) -> Layout {
    let head = head.trim_start_matches('\u{feff}').trim_start();
    if head.starts_with('[') {
        // JSON Lines of arrays are no objects anyway; told line by line.
        return if name.ends_with(".jsonl") || name.ends_with(".ndjson") {
            lines_or(head, Layout::Depth(1))
        } else {
            Layout::Depth(1)
        };
    }
    if let Some((key, rest)) = first_key(head) {
        if rest.starts_with('[') && LISTS.contains(&key.to_lowercase().as_str()) {
            return Layout::Depth(2);
        }
        if rest.starts_with('{') && !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit()) {
            return Layout::Depth(1);
        }
    }
    lines_or(head, Layout::Depth(0))
}

/// JSON Lines when the first line is a whole object or array, or does not even begin one.
fn lines_or(head: &str, otherwise: Layout) -> Layout {
    let first = head.split(['\n', '\r']).next().unwrap_or_default().trim();
    let whole = serde_json::from_str::<serde_json::Value>(first).is_ok();
    // A line that is cut off is a bad line when the next one begins an object again.
    let next = head.split(['\n', '\r']).skip(1).map(str::trim).find(|line| !line.is_empty());
    let begins = next.is_none_or(|line| line.starts_with('{')) && first.len() > 1;
    if whole || begins || !first.starts_with(['{', '[']) { Layout::Lines } else { otherwise }
}

/// The first key of an object, and what follows its colon.
fn first_key(head: &str) -> Option<(&str, &str)> {
    let rest = head.strip_prefix('{')?.trim_start().strip_prefix('"')?;
    let (key, rest) = rest.split_once('"')?;
    Some((key, rest.trim_start().strip_prefix(':')?.trim_start()))
}

/// An object of the file, or what stands in place of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// The line where it begins.
    pub(super) line: u64,
    /// Its text, or why it cannot be read.
    pub(super) text: Result<String, (String, String)>,
}

/// The objects of a file.
pub(super) struct Objects {
    lines: Lines,
    layout: Layout,
    /// What is left of the line that is being read.
    rest: std::vec::IntoIter<char>,
    number: u64,
    cutter: Cutter,
    /// An object was cut off by the end of the file, or what follows the list cannot be read.
    ended: bool,
}

/// Where in the brackets the reader is.
#[derive(Default)]
struct Cutter {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The value that is being collected, and the line where it begins.
    value: String,
    begun: u64,
    collecting: bool,
    too_long: bool,
}

impl Objects {
    pub(super) fn new(lines: Lines, layout: Layout) -> Self {
        Self { lines, layout, rest: Vec::new().into_iter(), number: 0, cutter: Cutter::default(), ended: false }
    }

    /// The next object.
    pub(super) fn next(&mut self) -> io::Result<Option<Object>> {
        match self.layout {
            Layout::Lines => self.next_line(),
            Layout::Depth(base) => self.next_at(base),
        }
    }

    fn next_line(&mut self) -> io::Result<Option<Object>> {
        loop {
            let Some(Line { number, text }) = self.lines.next()? else { return Ok(None) };
            let text = match text {
                Text::Good(text) if text.trim().is_empty() => continue,
                Text::Good(text) => Ok(text.trim().to_owned()),
                Text::Bad(text) => Err((NOT_UTF8.to_owned(), text)),
                Text::TooLong(text) => Err((format!("a line has at most {MAX_LINE} bytes"), text)),
            };
            return Ok(Some(Object { line: number, text }));
        }
    }

    /// Values that begin at this depth. Brackets inside strings do not count.
    fn next_at(&mut self, base: usize) -> io::Result<Option<Object>> {
        loop {
            let Some(c) = self.rest.next() else {
                if self.ended {
                    return Ok(None);
                }
                match self.lines.next()? {
                    Some(Line { number, text: Text::Good(text) }) => {
                        self.number = number;
                        // Strings of JSON have no line breaks: a quote that is not closed ends with its line.
                        self.cutter.in_string = false;
                        self.cutter.escaped = false;
                        self.rest = format!("{text}\n").chars().collect::<Vec<_>>().into_iter();
                    }
                    Some(Line { number, text: Text::Bad(text) }) => {
                        self.number = number;
                        self.rest = format!("{text}\n").chars().collect::<Vec<_>>().into_iter();
                    }
                    Some(Line { number, text: Text::TooLong(text) }) => {
                        self.ended = true;
                        let reason =
                            format!("a line has at most {MAX_LINE} bytes: write each book on a line of its own");
                        return Ok(Some(Object { line: number, text: Err((reason, text)) }));
                    }
                    None => {
                        self.ended = true;
                        return Ok(self.cutter.take().map(|(line, text)| Object { line, text: Ok(text) }));
                    }
                }
                continue;
            };
            if let Some(object) = self.cutter.add(c, base, self.number) {
                return Ok(Some(object));
            }
        }
    }
}

/// Why a line of JSON cannot be read.
const NOT_UTF8: &str = "the line is not UTF-8; save the whole file as UTF-8";

impl Cutter {
    fn add(&mut self, c: char, base: usize, line: u64) -> Option<Object> {
        if self.in_string {
            self.collect(c);
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => self.in_string = false,
                _ => {}
            }
            return None;
        }
        match c {
            '"' => {
                self.begin(line, self.depth == base);
                self.collect(c);
                self.in_string = true;
            }
            '{' | '[' => {
                if self.depth == base {
                    // What came before is a key.
                    if self.value.trim_end().ends_with(':') {
                        self.value.clear();
                        self.collecting = false;
                    }
                    self.begin(line, true);
                }
                self.depth += 1;
                self.collect(c);
            }
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == base && self.collecting {
                    self.collect(c);
                    return self.finish();
                }
                if self.depth < base {
                    return self.finish();
                }
                self.collect(c);
            }
            ',' if self.depth == base => return self.finish(),
            c if c.is_whitespace() => self.collect(c),
            c => {
                self.begin(line, self.depth == base);
                self.collect(c);
            }
        }
        None
    }

    fn begin(&mut self, line: u64, at_base: bool) {
        if at_base && !self.collecting {
            self.collecting = true;
            self.begun = line;
        }
    }

    fn collect(&mut self, c: char) {
        if !self.collecting {
            return;
        }
        if self.value.len() + c.len_utf8() > MAX_LINE {
            self.too_long = true;
        } else {
            self.value.push(c);
        }
    }

    fn take(&mut self) -> Option<(u64, String)> {
        let value = std::mem::take(&mut self.value);
        self.collecting = false;
        (!value.trim().is_empty()).then(|| (self.begun, value.trim().to_owned()))
    }

    fn finish(&mut self) -> Option<Object> {
        let too_long = std::mem::take(&mut self.too_long);
        let (line, text) = self.take()?;
        if too_long {
            let shown = text.chars().take(1_000).collect();
            return Some(Object { line, text: Err((format!("a book has at most {MAX_LINE} bytes"), shown)) });
        }
        Some(Object { line, text: Ok(text) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::{super::source::Source, *};

    fn objects(text: &str, name: &str) -> Vec<(u64, String)> {
        let source = Source::Memory { name: name.to_owned(), bytes: text.as_bytes().into() };
        let lines = Lines::open(&source, encoding_rs::UTF_8, &Arc::default()).unwrap();
        let mut objects = Objects::new(lines, layout(text, name));
        let mut all = Vec::new();
        while let Some(object) = objects.next().unwrap() {
            all.push((object.line, object.text.unwrap_or_else(|(reason, _)| reason)));
        }
        all
    }

    fn parsed(text: &str, name: &str) -> Vec<(u64, serde_json::Value)> {
        let value = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
        objects(text, name).into_iter().map(|(line, text)| (line, value(&text))).collect()
    }

    #[test]
    fn objects_are_found_in_every_layout() {
        let (one, two) = (r#"{"title":"On[e]","price":1}"#, r#"{"title":"\"}","authors":["x"]}"#);
        let pretty = "{\n  \"title\": \"On[e]\",\n  \"price\": 1\n}";
        let expected = |lines: [u64; 2]| {
            vec![(lines[0], serde_json::from_str(one).unwrap()), (lines[1], serde_json::from_str(two).unwrap())]
        };
        for (text, name, lines) in [
            (format!("{one}\n\n{two}\n"), "a.jsonl", [1, 3]),
            (format!("[{one},{two}]"), "a.json", [1, 1]),
            (format!("[\n{one},\n{two}\n]\n"), "a.json", [2, 3]),
            (format!("[{pretty}, {two}]"), "a", [1, 4]),
            (format!("{pretty}\n{two}"), "a.json", [1, 5]),
            (format!("\u{feff}{{\"books\": [\n{pretty},\n{two}]}}"), "a.json", [2, 6]),
            (format!("{{\"17\":{one},\n\"18\":{two}}}"), "export.json", [1, 2]),
        ] {
            assert_eq!(parsed(&text, name), expected(lines), "{text}");
        }
        assert_eq!(objects("[]", "a.json"), []);
        assert_eq!(objects("", "a.json"), []);
        assert_eq!(objects("[ ]\n", "a.json"), []);
    }

    #[test]
    fn a_bad_object_is_the_only_one_lost() {
        let all = parsed("[\n{\"title\":\"A\"},\n{\"title\" \"B\"},\n7,\n{\"title\":\"C\"}\n]", "a.json");
        assert_eq!(all.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!((all[1].1.is_null(), &all[3].1["title"]), (true, &"C".into()));
        let all = parsed("{\"title\":\"A\"}\nnot json\n{\"title\":\"B\"", "a.jsonl");
        assert_eq!(all.iter().map(|(_, value)| value.is_null()).collect::<Vec<_>>(), [false, true, true]);
        // The file ends in the middle.
        assert_eq!(parsed("[{\"title\":\"A\"},{\"title\":", "a.json").len(), 2);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}\",:a1 \\n\\\\]{0,120}") {
            for name in ["a.json", "a.jsonl"] {
                let _ = objects(&text, name);
            }
        }

        #[test]
        fn every_element_of_an_array_is_one_object(titles in proptest::collection::vec("\\PC{0,8}", 0..6), pretty: bool) {
            let list: Vec<_> = titles.iter().map(|title| serde_json::json!({"title": title})).collect();
            let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
            let all: Vec<_> = parsed(&text, "a.json").into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(all, list);
        }
    }
}
