//! Cutting a stream of bytes into frames. A transport promises order, and no boundaries at all.

use bytes::{Buf, Bytes, BytesMut};

use super::{Protocol, ProtocolError};

/// Ends every JSON message: the ASCII record separator.
pub(crate) const RECORD_SEPARATOR: u8 = 0x1E;

/// A length prefix has at most five bytes (LEB128 of 31 bits).
const LONGEST_PREFIX: usize = 5;

/// Collects bytes and gives them back message by message.
///
/// It never allocates for bytes that did not arrive: a length prefix is a promise, not an allocation.
#[derive(Debug)]
pub struct Framing {
    protocol: Protocol,
    limit: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to have no record separator.
    scanned: usize,
}

impl Framing {
    /// `limit`: the largest message in bytes, framing included. A handshake is framed as JSON always.
    pub fn new(protocol: Protocol, limit: usize) -> Self {
        Self { protocol, limit, buffer: BytesMut::new(), scanned: 0 }
    }

    /// The rest of the stream is of that protocol.
    pub fn switch_to(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.scanned = 0;
    }

    /// Adds bytes to the end.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Forgets what waits: half a message of a socket that is gone.
    pub fn clear(&mut self) {
        self.buffer = BytesMut::new();
        self.scanned = 0;
    }

    /// The next whole message without its framing, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`ProtocolError`] for a message over the limit or a length that cannot be.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let frame = match self.protocol {
            Protocol::Json => self.next_record(),
            Protocol::MessagePack => self.next_prefixed(),
        };
        if self.buffer.is_empty() {
            // An idle connection has no buffer.
            self.buffer = BytesMut::new();
        }
        frame
    }

    fn next_record(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        let too_large = ProtocolError::TooLarge { limit: self.limit };
        let Some(separator) = self.buffer[self.scanned..].iter().position(|&byte| byte == RECORD_SEPARATOR) else {
            self.scanned = self.buffer.len();
            return if self.scanned >= self.limit { Err(too_large) } else { Ok(None) };
        };
        let length = self.scanned + separator;
        if length + 1 > self.limit {
            return Err(too_large);
        }
        self.scanned = 0;
        let frame = self.buffer.split_to(length).freeze();
        self.buffer.advance(1);
        Ok(Some(frame))
    }

    fn next_prefixed(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        let mut length = 0_usize;
        for (index, &byte) in self.buffer.iter().take(LONGEST_PREFIX).enumerate() {
            if index == LONGEST_PREFIX - 1 && byte > 7 {
                return Err(ProtocolError::BadLength);
            }
            length |= usize::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                let prefix = index + 1;
                if prefix + length > self.limit {
                    return Err(ProtocolError::TooLarge { limit: self.limit });
                }
                if self.buffer.len() < prefix + length {
                    return Ok(None);
                }
                self.buffer.advance(prefix);
                return Ok(Some(self.buffer.split_to(length).freeze()));
            }
        }
        Ok(None)
    }
}

/// Puts the length of `body` before it.
pub(super) fn prefixed(body: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(body.len() + LONGEST_PREFIX);
    let mut rest = body.len();
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        let byte = (rest & 0x7F) as u8;
        rest >>= 7;
        if rest == 0 {
            framed.push(byte);
            break;
        }
        framed.push(byte | 0x80);
    }
    framed.extend_from_slice(body);
    framed.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(framing: &mut Framing) -> Result<Vec<Bytes>, ProtocolError> {
        let mut frames = Vec::new();
        while let Some(frame) = framing.next_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn several_messages_and_parts_of_messages_arrive_in_one_chunk() {
        let mut framing = Framing::new(Protocol::Json, 100);
        framing.push(b"{}\x1e{\"a\"");
        assert_eq!(all(&mut framing).unwrap(), ["{}"]);
        framing.push(b":1}\x1e\x1e");
        assert_eq!(all(&mut framing).unwrap(), ["{\"a\":1}", ""]);
        assert!(framing.is_empty());
    }

    #[test]
    fn the_limit_includes_the_framing() {
        let mut framing = Framing::new(Protocol::Json, 3);
        framing.push(b"{}\x1e");
        assert_eq!(all(&mut framing).unwrap(), ["{}"]);
        framing.push(b"{ }");
        assert_eq!(framing.next_frame(), Err(ProtocolError::TooLarge { limit: 3 }));
        let mut framing = Framing::new(Protocol::MessagePack, 3);
        framing.push(&[2, 0x91, 6]);
        assert_eq!(all(&mut framing).unwrap().len(), 1);
        framing.push(&[3]);
        assert_eq!(framing.next_frame(), Err(ProtocolError::TooLarge { limit: 3 }));
    }

    #[test]
    fn a_length_over_two_gigabytes_is_refused() {
        for prefix in [[0xFF, 0xFF, 0xFF, 0xFF, 0x08], [0x80, 0x80, 0x80, 0x80, 0x80]] {
            let mut framing = Framing::new(Protocol::MessagePack, usize::MAX);
            framing.push(&prefix);
            assert_eq!(framing.next_frame(), Err(ProtocolError::BadLength));
        }
        let mut framing = Framing::new(Protocol::MessagePack, usize::MAX);
        framing.push(&[0xFF, 0xFF, 0xFF, 0xFF, 0x07]);
        assert_eq!(framing.next_frame(), Ok(None), "the largest length that may be waits for its bytes");
        assert!(framing.buffer.capacity() < 1024, "and allocates nothing for them");
    }

    proptest! {
        #[test]
        fn cutting_does_not_depend_on_where_the_chunks_end(
            bodies in prop::collection::vec(prop::collection::vec(0_u8..0x1E, 0..200), 1..10),
            cuts in prop::collection::vec(1_usize..50, 1..20),
            binary: bool,
        ) {
            let protocol = if binary { Protocol::MessagePack } else { Protocol::Json };
            let mut stream = Vec::new();
            for body in &bodies {
                if binary {
                    stream.extend_from_slice(&prefixed(body));
                } else {
                    stream.extend_from_slice(body);
                    stream.push(RECORD_SEPARATOR);
                }
            }
            let mut framing = Framing::new(protocol, 1000);
            let mut found = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                framing.push(now);
                found.extend(all(&mut framing).unwrap());
                rest = later;
            }
            prop_assert_eq!(found, bodies);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), binary: bool) {
            let mut framing = Framing::new(if binary { Protocol::MessagePack } else { Protocol::Json }, 100);
            framing.push(&bytes);
            let _ = all(&mut framing);
        }
    }
}
