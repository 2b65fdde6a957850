use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{Open, stall::StallTimer};

/// What bytes come from and go to.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Each of the ways to read and write, whichever stream it is.
macro_rules! on_stream {
    ($stream:expr, $pinned:ident => $call:expr) => {
        match $stream {
            Stream::Plain(stream) => {
                let $pinned = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $pinned = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

/// A connection's socket. It owns the connection's place for as long as the descriptor is open, whoever uses it then:
/// HTTP hands it on to WebSockets. A peer that does not read what is written is given up.
pub struct Socket {
    stream: Stream,
    reading: StallTimer,
    heads: Heads,
    _open: Open,
}

/// What the heads of a connection's requests showed so far.
#[derive(Debug, Clone, Default)]
pub struct Framing(Arc<AtomicBool>);

impl Framing {
    /// Whether any head had both `Content-Length` and `Transfer-Encoding`. The HTTP library takes the second and hides
    /// the first, so nobody behind it could tell.
    pub fn is_ambiguous(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Socket {
    pub fn new(stream: Stream, open: Open, framing: Framing) -> Self {
        Self { stream, reading: StallTimer::new(), heads: Heads::new(framing), _open: open }
    }

    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(bytes)) => self.reading.progress(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                ready!(self.reading.poll_stalled(cx));
                metrics::counter!("http_slow_clients_total", "what" => "response").increment(1);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")));
            }
        }
        result
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(on_stream!(&mut self.stream, stream => stream.poll_read(cx, buf)))?;
        self.heads.read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = on_stream!(&mut self.stream, stream => stream.poll_write(cx, bytes));
        self.written(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = on_stream!(&mut self.stream, stream => stream.poll_write_vectored(cx, slices));
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

/// Looks at the lines that come in, bodies too: what it says is only asked about a request in chunks, and a body with
/// such lines before it on the same connection costs that request, nothing else.
#[derive(Debug)]
struct Heads {
    /// The line's beginning, in lower case.
    line: [u8; Self::LONGEST],
    length: usize,
    has_length: bool,
    has_encoding: bool,
    framing: Framing,
}

impl Heads {
    const LENGTH: &[u8] = b"content-length:";
    const ENCODING: &[u8] = b"transfer-encoding:";
    const LONGEST: usize = Self::ENCODING.len();

    fn new(framing: Framing) -> Self {
        Self { line: [0; Self::LONGEST], length: 0, has_length: false, has_encoding: false, framing }
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let room = part.len().min(Self::LONGEST - self.length.min(Self::LONGEST));
            let at = self.length.min(Self::LONGEST);
            for (to, byte) in self.line[at..at + room].iter_mut().zip(part) {
                *to = byte.to_ascii_lowercase();
            }
            self.length = self.length.saturating_add(part.len());
            let Some(end) = end else { return };
            self.end_line();
            bytes = &bytes[end + 1..];
        }
    }

    fn end_line(&mut self) {
        let line = &self.line[..self.length.min(Self::LONGEST)];
        match line {
            [] | [b'\r'] => (self.has_length, self.has_encoding) = (false, false),
            line => {
                self.has_length |= line.starts_with(Self::LENGTH);
                self.has_encoding |= line.starts_with(Self::ENCODING);
            }
        }
        if self.has_length && self.has_encoding {
            self.framing.0.store(true, Ordering::Relaxed);
        }
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the head is ambiguous, read in parts of this many bytes.
    fn ambiguous(text: &str, part: usize) -> bool {
        let framing = Framing::default();
        let mut heads = Heads::new(framing.clone());
        text.as_bytes().chunks(part).for_each(|bytes| heads.read(bytes));
        framing.is_ambiguous()
    }

    #[test]
    fn two_lengths_in_one_head_are_seen_however_they_come() {
        for part in [1, 2, 7, 1000] {
            for both in [
                "POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                "POST / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\ncontent-length:3\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\nContent-Length: 3\ntransfer-encoding:chunked\n\n",
            ] {
                assert!(ambiguous(both, part), "{part} {both}");
            }
            for fine in [
                "POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\n\r\nabc",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
                "POST / HTTP/1.1\r\nX-Content-Length: 3\r\nX: transfer-encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
            ] {
                assert!(!ambiguous(fine, part), "{part} {fine}");
            }
        }
    }
}
