//! Rows of a delimited file (RFC 4180, and what programs write instead).

use std::{collections::VecDeque, io};

use super::source::{Line, Lines, MAX_LINE, Text};

/// What may stand between two values.
pub(super) const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];
/// The most lines that a value in quotes goes over: a quote that nobody closes costs no more than this.
const MOST_LINES: usize = 2_000;
/// And the most bytes.
const MOST_BYTES: usize = 256 * 1024;

/// A row, or why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its first line.
    pub(super) line: u64,
    pub(super) values: Result<Vec<String>, String>,
    /// As it stands in the file.
    pub(super) text: String,
}

/// How far a row has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a value.
    Start,
    Plain,
    Quoted,
    /// Behind a quote that ends the value, or is the first of two.
    Closed,
}

/// Takes rows apart, line by line.
struct Splitter {
    delimiter: char,
    values: Vec<String>,
    value: String,
    state: State,
}

/// What a line did to the row.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The row ends with it.
    Done,
    /// A value in quotes goes on in the next line.
    Open,
    /// Something else than a delimiter follows a closing quote, in this value (from 1).
    Malformed(usize),
}

impl Splitter {
    fn new(delimiter: char) -> Self {
        Self { delimiter, values: Vec::new(), value: String::new(), state: State::Start }
    }

    fn feed(&mut self, line: &str) -> Step {
        if self.state == State::Quoted {
            self.value.push('\n');
        }
        for c in line.chars() {
            match (self.state, c) {
                (State::Start | State::Plain | State::Closed, c) if c == self.delimiter => {
                    self.values.push(std::mem::take(&mut self.value));
                    self.state = State::Start;
                }
                // Blanks before an opening quote do not count.
                (State::Start, ' ') => self.value.push(' '),
                (State::Start, '"') => {
                    self.value.clear();
                    self.state = State::Quoted;
                }
                (State::Start | State::Plain, c) => {
                    self.value.push(c);
                    self.state = State::Plain;
                }
                (State::Quoted, '"') => self.state = State::Closed,
                (State::Quoted, c) => self.value.push(c),
                (State::Closed, '"') => {
                    self.value.push('"');
                    self.state = State::Quoted;
                }
                (State::Closed, ' ') => {}
                (State::Closed, _) => return Step::Malformed(self.values.len() + 1),
            }
        }
        if self.state == State::Quoted {
            return Step::Open;
        }
        self.values.push(std::mem::take(&mut self.value));
        Step::Done
    }
}

/// The values of a line on its own, or of the beginning of a row.
pub(super) fn split(line: &str, delimiter: char) -> Vec<String> {
    let mut splitter = Splitter::new(delimiter);
    if splitter.feed(line) != Step::Done {
        splitter.values.push(splitter.value);
    }
    splitter.values
}

/// The delimiter that a first line of `sep=;` names, as Excel writes it.
pub(super) fn named_delimiter(line: &str) -> Option<char> {
    let line = line.trim().trim_matches('"');
    let rest = line.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).map(|_| &line[4..])?;
    match rest {
        "" | "\\t" => Some('\t'),
        rest => rest.chars().next().filter(|_| rest.chars().count() == 1),
    }
}

/// Rows of a file.
pub(super) struct Rows {
    lines: Lines,
    delimiter: char,
    /// Values of the header; every row must have as many.
    width: usize,
    /// Lines that were read ahead.
    ahead: VecDeque<Line>,
}

impl Rows {
    pub(super) fn new(lines: Lines, delimiter: char) -> Self {
        Self { lines, delimiter, width: 0, ahead: VecDeque::new() }
    }

    /// How many values every row must have.
    pub(super) fn expect(&mut self, width: usize) {
        self.width = width;
    }

    /// The next line, taken as it is.
    pub(super) fn line(&mut self) -> io::Result<Option<Line>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(),
        }
    }

    /// The next row that is not blank. A quote that is not closed spoils the row that it stands in, and no other.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        let (first, text) = loop {
            let Some(line) = self.line()? else { return Ok(None) };
            match line.text {
                Text::Good(text) if text.trim().is_empty() => {}
                Text::Good(text) => break (line.number, text),
                Text::Bad(text) => {
                    let reason = "the line has letters in another encoding than the rest of the file; save the whole file as UTF-8";
                    return Ok(Some(Row { line: line.number, values: Err(reason.to_owned()), text }));
                }
                Text::TooLong(text) => {
                    let reason = format!("a line has at most {MAX_LINE} bytes");
                    return Ok(Some(Row { line: line.number, values: Err(reason), text }));
                }
            }
        };
        let mut splitter = Splitter::new(self.delimiter);
        let mut step = splitter.feed(&text);
        // Lines that a value in quotes goes on in.
        let (mut more, mut bytes) = (Vec::new(), text.len());
        while step == Step::Open && more.len() < MOST_LINES && bytes < MOST_BYTES {
            let Some(line) = self.line()? else { break };
            step = match &line.text {
                Text::Good(text) => {
                    bytes += text.len() + 1;
                    splitter.feed(text)
                }
                Text::Bad(_) | Text::TooLong(_) => Step::Malformed(splitter.values.len() + 1),
            };
            more.push(line);
        }
        let opened = splitter.values.len() + 1;
        let mut values = splitter.values;
        let blank_tail = |values: &[String]| values.iter().all(|value| value.trim().is_empty());
        if step == Step::Done && values.len() > self.width && blank_tail(&values[self.width..]) {
            values.truncate(self.width);
        }
        let reason = match step {
            Step::Done if values.len() == self.width => None,
            Step::Done if more.is_empty() => Some(self.wrong_width(values.len())),
            Step::Malformed(value) if more.is_empty() => Some(format!(
                "the quotation marks in value {value} do not match: one within quotes is written twice (\"\")"
            )),
            Step::Done | Step::Open | Step::Malformed(_) => Some(format!(
                "a quotation mark opens value {} and is not closed",
                unclosed(&text, self.delimiter).unwrap_or(opened)
            )),
        };
        match reason {
            None => {
                let texts = more.into_iter().filter_map(|line| match line.text {
                    Text::Good(text) => Some(text),
                    Text::Bad(_) | Text::TooLong(_) => None,
                });
                let text = std::iter::once(text).chain(texts).collect::<Vec<_>>().join("\n");
                Ok(Some(Row { line: first, values: Ok(values), text }))
            }
            Some(reason) => {
                more.into_iter().rev().for_each(|line| self.ahead.push_front(line));
                Ok(Some(Row { line: first, values: Err(reason), text }))
            }
        }
    }

    fn wrong_width(&self, found: usize) -> String {
        let hint = match self.delimiter {
            _ if found < self.width => "",
            ',' => "; a value with a comma in it must stand in quotation marks",
            ';' => "; a value with a semicolon in it must stand in quotation marks",
            _ => "",
        };
        format!("there are {found} fields instead of {}{hint}", self.width)
    }
}

/// The value of this line that a quote opens and does not close.
fn unclosed(line: &str, delimiter: char) -> Option<usize> {
    let mut splitter = Splitter::new(delimiter);
    (splitter.feed(line) == Step::Open).then_some(splitter.values.len() + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::{super::source::Source, *};

    fn rows(text: &str, delimiter: char, width: usize) -> Vec<Row> {
        let source = Source::Memory { name: "a.csv".to_owned(), bytes: text.as_bytes().into() };
        let lines = Lines::open(&source, encoding_rs::UTF_8, &Arc::default()).unwrap();
        let mut rows = Rows::new(lines, delimiter);
        rows.expect(width);
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            all.push(row);
        }
        all
    }

    fn values(row: &Row) -> Vec<&str> {
        row.values.as_ref().map(|values| values.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    #[test]
    fn quotes_hold_delimiters_quotes_and_line_breaks() {
        let all = rows("1,\"a, b\",\"say \"\"so\"\"\"\r\n2,\"two\r\nlines\", \"x\" \n3,5\" disk,c\n", ',', 3);
        assert_eq!(values(&all[0]), ["1", "a, b", "say \"so\""]);
        assert_eq!((values(&all[1]), all[1].line), (vec!["2", "two\nlines", "x"], 2));
        assert_eq!((values(&all[2]), all[2].line), (vec!["3", "5\" disk", "c"], 4));
    }

    #[test]
    fn a_stray_quote_loses_one_row_wherever_it_stands() {
        let row = |i: usize| format!("z{i},Book {i},Ann");
        let quoted = |i: usize| format!("\"z{i}\",\"Book {i}\",\"Ann\"");
        for (line, bad) in [
            (row as fn(usize) -> String, "z100,\"Book 100,Ann"),
            (row, "z100,Book 100,\"Ann"),
            (row, "\"z100,Book 100,Ann"),
            (row, "z100,\"Book\" 100,Ann"),
            (quoted, "\"z100\",\"Book 100,\"Ann\""),
            (quoted, "\"z100\",\"Book 100\",\"Ann"),
            (quoted, "\"z100\",\"The \"best\" book\",\"Ann\""),
            (quoted, "z100\",\"Book 100\",\"Ann\""),
        ] {
            let lines: Vec<String> = (0..500).map(|i| if i == 100 { bad.to_owned() } else { line(i) }).collect();
            let all = rows(&lines.join("\n"), ',', 3);
            let wrong: Vec<u64> = all.iter().filter(|row| row.values.is_err()).map(|row| row.line).collect();
            assert!(wrong.is_empty() || wrong == [101], "{bad}: {wrong:?}");
            assert_eq!(all.len(), 500, "{bad}");
        }
        // In the last line, and before one that has quotes of its own.
        assert_eq!(rows("1,a\n2,\"b", ',', 2).len(), 2);
        let all = rows("1,\"a\n2,\"b, c\"\n3,\"d\"", ',', 2);
        assert_eq!(all.iter().map(|row| row.values.is_ok()).collect::<Vec<_>>(), [false, true, true]);
        assert!(all[0].values.as_ref().unwrap_err().contains("opens value 2"), "{all:?}");
    }

    #[test]
    fn too_few_and_too_many_values_are_told_with_their_number() {
        let all = rows("a;b\na;b;;\na;b;c\na", ';', 2);
        assert_eq!((values(&all[0]), values(&all[1])), (vec!["a", "b"], vec!["a", "b"]));
        assert!(
            all[2]
                .values
                .as_ref()
                .unwrap_err()
                .starts_with("there are 3 fields instead of 2; a value with a semicolon")
        );
        assert_eq!(all[3].values, Err("there are 1 fields instead of 2".to_owned()));
    }

    #[test]
    fn excel_names_its_delimiter() {
        for (line, delimiter) in [
            ("sep=;", Some(';')),
            ("SEP=,", Some(',')),
            ("sep=\t", Some('\t')),
            ("\"sep=;\"", Some(';')),
            ("sep", None),
            ("title", None),
            ("sépé", None),
        ] {
            assert_eq!(named_delimiter(line), delimiter, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_line_is_lost(text in "[a,;\"\\n\\r =é\\x00]{0,200}", width in 1_usize..4) {
            let all = rows(&text, ',', width);
            prop_assert!(all.is_sorted_by(|a, b| a.line < b.line));
            let filled = text.split(['\n', '\r']).filter(|line| !line.trim().is_empty()).count();
            prop_assert!(all.len() <= filled);
            prop_assert!(filled == 0 || !all.is_empty());
        }
    }
}
