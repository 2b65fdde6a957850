//! Server-sent events (WHATWG HTML, 9.2) as chat endpoints send them: lines of `data:`, ended by an empty line.

/// The longest line, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// The stream is not what was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {LONGEST_LINE} bytes")]
pub struct TooLong;

/// Cuts a stream of bytes into the data of its events.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    data: String,
    has_data: bool,
    /// A carriage return ended the last line: a line feed after it belongs to it.
    after_return: bool,
}

impl Events {
    /// The data of the events that these bytes complete.
    ///
    /// # Errors
    /// When a line, or an event, is too long.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    events.extend(self.end_of_line());
                }
                _ if self.line.len() + self.data.len() >= LONGEST_LINE => return Err(TooLong),
                byte => self.line.push(*byte),
            }
        }
        Ok(events)
    }

    fn end_of_line(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then_some(data);
        }
        // Other fields, and comments that keep the connection open, are ignored.
        if let Some(value) = line.strip_prefix("data:") {
            if self.has_data {
                self.data.push('\n');
            }
            self.has_data = true;
            self.data.push_str(value.strip_prefix(' ').unwrap_or(value));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_bytes_are_cut() {
        let stream =
            ": hello\n\ndata: {\"a\":1}\r\n\r\nevent: x\ndata:two\ndata: lines\n\nid: 7\n\ndata: ü\r\rdata: [DONE]\n\n";
        let expected = ["{\"a\":1}", "two\nlines", "ü", "[DONE]"];
        for size in 1..stream.len() {
            let mut events = Events::default();
            let found: Vec<String> =
                stream.as_bytes().chunks(size).flat_map(|chunk| events.feed(chunk).unwrap()).collect();
            assert_eq!(found, expected, "cut every {size} bytes");
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut events = Events::default();
        let piece = [b'x'; 4096];
        assert!((0..17).any(|_| events.feed(&piece).is_err()));
    }
}
