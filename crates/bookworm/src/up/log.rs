//! One log of many processes.

use std::{
    io::{IsTerminal, Write},
    sync::Arc,
};

/// Colours of names, one after the other.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// Writes lines to standard error, each with the name of who wrote it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log(Arc<Shape>);

#[derive(Debug)]
struct Shape {
    /// Of the longest name.
    width: usize,
    coloured: bool,
}

impl Log {
    /// For these names.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self(Arc::new(Shape { width: names.map(str::len).max().unwrap_or_default(), coloured }))
    }

    /// Writes a line. A reader that has gone away is no error.
    pub fn line(&self, name: &str, line: &str) {
        let text = self.0.text(name, line);
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

impl Shape {
    fn text(&self, name: &str, line: &str) -> String {
        let width = self.width;
        if !self.coloured {
            return format!("{name:width$} | {line}\n");
        }
        // The same name has the same colour in every run.
        let place = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        format!("\x1b[{}m{name:width$}\x1b[0m | {line}\n", COLOURS[place % COLOURS.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_wrote_it() {
        let plain = Shape { width: 9, coloured: false };
        assert_eq!(plain.text("chat-1", "ready"), "chat-1    | ready\n");
        let coloured = Shape { width: 6, coloured: true }.text("chat-1", "ready");
        assert!(coloured.ends_with("mchat-1\x1b[0m | ready\n"), "{coloured:?}");
    }
}
