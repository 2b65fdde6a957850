//! The `messagepack` protocol: an array for each message, its fields by position. Trailing fields are ignored.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::framing::prefixed;
use super::message::{Arguments, BindingError, Headers, Invocation, Message, Outcome, Payload};
use super::{CompletionOf, EncodeError, Protocol, ProtocolError};

/// How deep values may nest before they are refused: the same as JSON's.
const DEEPEST: usize = 128;

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    // Maps with names and text for ids and enums: what the clients of other languages expect.
    let mut bytes = Vec::with_capacity(64);
    value
        .serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map().with_human_readable())
        .map_err(|error| EncodeError(error.to_string()))?;
    Ok(bytes.into())
}

pub(super) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, BindingError> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(payload).with_human_readable();
    reader.set_max_depth(DEEPEST);
    T::deserialize(&mut reader).map_err(|error| BindingError::Type(error.to_string()))
}

/// Reads values one after another. `None`: the bytes end, or the value is of another type.
struct Reader<'a> {
    frame: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.frame.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn peek(&self) -> Option<u8> {
        self.frame.get(self.at).copied()
    }

    /// A big-endian number of that many bytes.
    fn unsigned(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        usize::try_from(self.unsigned(bytes)?).ok()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the widths are the format's")]
    fn integer(&mut self) -> Option<i64> {
        Some(match self.byte()? {
            small @ 0x00..=0x7F => i64::from(small),
            negative @ 0xE0..=0xFF => i64::from(negative as i8),
            0xCC => self.unsigned(1)? as i64,
            0xCD => self.unsigned(2)? as i64,
            0xCE => self.unsigned(4)? as i64,
            0xCF => i64::try_from(self.unsigned(8)?).ok()?,
            0xD0 => i64::from(self.unsigned(1)? as i8),
            0xD1 => i64::from(self.unsigned(2)? as i16),
            0xD2 => i64::from(self.unsigned(4)? as i32),
            0xD3 => self.unsigned(8)? as i64,
            _ => return None,
        })
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.byte()? {
            0xC2 => Some(false),
            0xC3 => Some(true),
            _ => None,
        }
    }

    /// A string or nil.
    fn nullable_string(&mut self) -> Option<Option<String>> {
        let length = match self.byte()? {
            0xC0 => return Some(None),
            short @ 0xA0..=0xBF => usize::from(short & 0x1F),
            0xD9 => self.length(1)?,
            0xDA => self.length(2)?,
            0xDB => self.length(4)?,
            _ => return None,
        };
        Some(Some(std::str::from_utf8(self.take(length)?).ok()?.to_owned()))
    }

    fn array(&mut self) -> Option<usize> {
        match self.byte()? {
            short @ 0x90..=0x9F => Some(usize::from(short & 0x0F)),
            0xDC => self.length(2),
            0xDD => self.length(4),
            _ => None,
        }
    }

    fn map(&mut self) -> Option<usize> {
        match self.byte()? {
            short @ 0x80..=0x8F => Some(usize::from(short & 0x0F)),
            0xDE => self.length(2),
            0xDF => self.length(4),
            _ => None,
        }
    }

    /// One whole value, whatever it is, without recursion: deep nesting costs nothing but its bytes.
    fn value(&mut self) -> Option<Bytes> {
        let start = self.at;
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            match self.peek()? {
                0x80..=0x8F | 0xDE | 0xDF => left += 2 * self.map()? as u64,
                0x90..=0x9F | 0xDC | 0xDD => left += self.array()? as u64,
                marker => {
                    self.at += 1;
                    let length = match marker {
                        0x00..=0x7F | 0xC0 | 0xC2 | 0xC3 | 0xE0..=0xFF => 0,
                        0xA0..=0xBF => usize::from(marker & 0x1F),
                        0xCC | 0xD0 => 1,
                        0xCD | 0xD1 => 2,
                        0xCA | 0xCE | 0xD2 => 4,
                        0xCB | 0xCF | 0xD3 => 8,
                        0xC4 | 0xD9 => self.length(1)?,
                        0xC5 | 0xDA => self.length(2)?,
                        0xC6 | 0xDB => self.length(4)?,
                        0xC7 => self.length(1)?.checked_add(1)?,
                        0xC8 => self.length(2)?.checked_add(1)?,
                        0xC9 => self.length(4)?.checked_add(1)?,
                        0xD4 => 2,
                        0xD5 => 3,
                        0xD6 => 5,
                        0xD7 => 9,
                        0xD8 => 17,
                        _ => return None,
                    };
                    self.take(length)?;
                }
            }
        }
        Some(self.frame.slice(start..self.at))
    }
}

/// [`Reader`], with the error for a field that is missing or of another type.
struct Fields<'a>(Reader<'a>);

impl Fields<'_> {
    fn nullable_string(&mut self, field: &str) -> Result<Option<String>, ProtocolError> {
        self.0.nullable_string().ok_or_else(|| failed(field, "String"))
    }

    fn integer(&mut self, field: &str) -> Result<i64, ProtocolError> {
        self.0.integer().ok_or_else(|| failed(field, "Int64"))
    }

    fn int32(&mut self, field: &str) -> Result<i32, ProtocolError> {
        self.0.integer().and_then(|number| i32::try_from(number).ok()).ok_or_else(|| failed(field, "Int32"))
    }

    fn filled(&mut self, field: &str, what: &str) -> Result<String, ProtocolError> {
        self.nullable_string(field)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| ProtocolError::invalid(format!("Null or empty {what}.")))
    }

    fn headers(&mut self) -> Result<Headers, ProtocolError> {
        let count = self.0.map().ok_or_else(|| ProtocolError::invalid("Reading map length for 'headers' failed."))?;
        let mut headers = Headers::new();
        for index in 0..count {
            let name = self.filled(&format!("headers[{index}].Key"), "key in header")?;
            let value = self.filled(&format!("headers[{index}].Value"), "value in header")?;
            headers.push((name, value));
        }
        Ok(headers)
    }

    fn payload(&mut self, field: &str) -> Result<Payload, ProtocolError> {
        let bytes = self.0.value().ok_or_else(|| failed(field, "Object"))?;
        Ok(Payload { protocol: Protocol::MessagePack, bytes })
    }

    fn arguments(&mut self) -> Result<Vec<Bytes>, BindingError> {
        let count = self.0.array().ok_or(BindingError::List("Reading array length for 'arguments' failed."))?;
        (0..count).map(|_| self.0.value().ok_or_else(|| BindingError::Type("the bytes end".to_owned()))).collect()
    }

    fn invocation(&mut self, items: usize, streaming: bool) -> Result<Invocation, ProtocolError> {
        let headers = self.headers()?;
        let kind = if streaming { "StreamInvocation" } else { "Invocation" };
        let invocation_id = if streaming {
            Some(self.filled("invocationId", &format!("invocation ID for {kind} message"))?)
        } else {
            self.nullable_string("invocationId")?.filter(|id| !id.is_empty())
        };
        let target = self.filled("target", &format!("target for {kind} message"))?;
        let values = self.arguments();
        let mut stream_ids = Vec::new();
        // Older clients send five items. A broken argument list leaves no place to read on from.
        if items > 5 && values.is_ok() {
            let count =
                self.0.array().ok_or_else(|| ProtocolError::invalid("Reading array length for 'streamIds' failed."))?;
            for _ in 0..count {
                stream_ids.push(self.filled("streamIds", "value in streamIds received")?);
            }
        }
        let arguments = Arguments { protocol: Protocol::MessagePack, values };
        Ok(Invocation { headers, invocation_id, streaming, target, arguments, stream_ids })
    }
}

fn failed(field: &str, kind: &str) -> ProtocolError {
    ProtocolError::invalid(format!("Reading '{field}' as {kind} failed."))
}

pub(super) fn parse(frame: &Bytes) -> Result<Option<Message>, ProtocolError> {
    let mut fields = Fields(Reader { frame, at: 0 });
    let items = fields.0.array().ok_or_else(|| ProtocolError::invalid("Reading array length for 'message' failed."))?;
    let message = match fields.int32("messageType")? {
        1 => Message::Invocation(fields.invocation(items, false)?),
        4 => Message::Invocation(fields.invocation(items, true)?),
        2 => Message::StreamItem {
            headers: fields.headers()?,
            invocation_id: fields.filled("invocationId", "invocation ID for StreamItem message")?,
            item: fields.payload("item")?,
        },
        3 => Message::Completion {
            headers: fields.headers()?,
            invocation_id: fields.filled("invocationId", "invocation ID for Completion message")?,
            outcome: match fields.int32("resultKind")? {
                1 => Outcome::Error(fields.nullable_string("error")?.ok_or_else(|| failed("error", "String"))?),
                2 => Outcome::Void,
                3 => Outcome::Result(fields.payload("result")?),
                _ => return Err(ProtocolError::invalid("Invalid invocation result kind.")),
            },
        },
        5 => Message::CancelInvocation {
            headers: fields.headers()?,
            invocation_id: fields.filled("invocationId", "invocation ID for CancelInvocation message")?,
        },
        6 => Message::Ping,
        7 => Message::Close {
            error: fields.nullable_string("error")?,
            allow_reconnect: items > 2 && fields.0.boolean().ok_or_else(|| failed("allowReconnect", "Boolean"))?,
        },
        8 => Message::Ack { sequence_id: fields.integer("sequenceId")? },
        9 => Message::Sequence { sequence_id: fields.integer("sequenceId")? },
        _ => return Ok(None),
    };
    Ok(Some(message))
}

/// A message being written.
struct Writer(Vec<u8>);

impl Writer {
    fn new(items: u8, kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(&[0x90 | items, kind]);
        Self(bytes)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    fn length(&mut self, length: usize, fixed: (u8, usize), wide: [Option<u8>; 3]) -> &mut Self {
        match (length, wide) {
            (short, _) if short < fixed.1 => self.0.push(fixed.0 | short as u8),
            (byte @ 0..=0xFF, [Some(marker), ..]) => self.0.extend_from_slice(&[marker, byte as u8]),
            (word @ 0..=0xFFFF, [_, Some(marker), _]) => {
                self.0.push(marker);
                self.0.extend_from_slice(&(word as u16).to_be_bytes());
            }
            (long, [.., marker]) => {
                self.0.push(marker.expect("every family has a form of four bytes"));
                self.0.extend_from_slice(&(long as u32).to_be_bytes());
            }
        }
        self
    }

    fn string(&mut self, text: &str) -> &mut Self {
        self.length(text.len(), (0xA0, 32), [Some(0xD9), Some(0xDA), Some(0xDB)]);
        self.raw(text.as_bytes())
    }

    fn array(&mut self, length: usize) -> &mut Self {
        self.length(length, (0x90, 16), [None, Some(0xDC), Some(0xDD)])
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The server always writes a map, be it empty.
    fn headers(&mut self, headers: &Headers) -> &mut Self {
        self.length(headers.len(), (0x80, 16), [None, Some(0xDE), Some(0xDF)]);
        for (name, value) in headers {
            self.string(name).string(value);
        }
        self
    }

    fn nullable(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.string(text),
            None => self.raw(&[0xC0]),
        }
    }

    fn integer(&mut self, number: i64) -> &mut Self {
        match number {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
            0..=0x7F => self.raw(&[number as u8]),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
            0x80..=0xFF => self.raw(&[0xCC, number as u8]),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
            0x100..=0xFFFF => self.raw(&[0xCD]).raw(&(number as u16).to_be_bytes()),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
            0x1_0000..=0xFFFF_FFFF => self.raw(&[0xCE]).raw(&(number as u32).to_be_bytes()),
            _ => self.raw(&[0xD3]).raw(&number.to_be_bytes()),
        }
    }

    fn finish(&self) -> Bytes {
        prefixed(&self.0)
    }
}

pub(super) fn write_invocation(id: Option<&str>, target: &str, arguments: &[u8]) -> Bytes {
    Writer::new(6, 1).raw(&[0x80]).nullable(id).string(target).raw(arguments).array(0).finish()
}

pub(super) fn write_stream_item(id: &str, item: &[u8]) -> Bytes {
    Writer::new(4, 2).raw(&[0x80]).string(id).raw(item).finish()
}

pub(super) fn write_completion(id: &str, outcome: CompletionOf<'_>) -> Bytes {
    write_headed_completion(&Headers::new(), id, outcome)
}

fn write_headed_completion(headers: &Headers, id: &str, outcome: CompletionOf<'_>) -> Bytes {
    let items = if matches!(outcome, CompletionOf::Void) { 4 } else { 5 };
    let mut writer = Writer::new(items, 3);
    writer.headers(headers).string(id);
    match outcome {
        CompletionOf::Error(error) => writer.raw(&[1]).string(error),
        CompletionOf::Void => writer.raw(&[2]),
        CompletionOf::Result(payload) => writer.raw(&[3]).raw(payload),
    };
    writer.finish()
}

/// Joins values that are written already into one array.
pub(super) fn array(values: &[Bytes]) -> Vec<u8> {
    let mut writer = Writer(Vec::new());
    writer.array(values.len()).raw(&values.concat());
    writer.0
}

pub(super) fn write(message: &Message) -> Bytes {
    match message {
        Message::Invocation(invocation) => {
            let values = invocation.arguments.values.as_deref().unwrap_or_default();
            let mut writer = Writer::new(6, if invocation.streaming { 4 } else { 1 });
            writer
                .headers(&invocation.headers)
                .nullable(invocation.invocation_id.as_deref())
                .string(&invocation.target)
                .raw(&array(values))
                .array(invocation.stream_ids.len());
            for id in &invocation.stream_ids {
                writer.string(id);
            }
            writer.finish()
        }
        Message::StreamItem { headers, invocation_id, item } => {
            Writer::new(4, 2).headers(headers).string(invocation_id).raw(&item.bytes).finish()
        }
        Message::Completion { headers, invocation_id, outcome } => {
            write_headed_completion(headers, invocation_id, outcome.borrow())
        }
        Message::CancelInvocation { headers, invocation_id } => {
            Writer::new(3, 5).headers(headers).string(invocation_id).finish()
        }
        Message::Ping => Writer::new(1, 6).finish(),
        Message::Close { error, allow_reconnect } => {
            Writer::new(3, 7).nullable(error.as_deref()).raw(&[if *allow_reconnect { 0xC3 } else { 0xC2 }]).finish()
        }
        Message::Ack { sequence_id } => Writer::new(2, 8).integer(*sequence_id).finish(),
        Message::Sequence { sequence_id } => Writer::new(2, 9).integer(*sequence_id).finish(),
    }
}
