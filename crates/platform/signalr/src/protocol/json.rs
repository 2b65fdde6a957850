//! The `json` protocol: an object for each message, its members in any order, unknown members ignored.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::framing::RECORD_SEPARATOR;
use super::message::{Arguments, Headers, Invocation, Message, Outcome, Payload};
use super::{CompletionOf, Protocol, ProtocolError};

/// The error for text that is not JSON.
const UNREADABLE: &str = "Error reading JSON.";

#[derive(Default)]
struct Members<'a> {
    kind: Option<i64>,
    invocation_id: Option<String>,
    target: Option<String>,
    error: Option<String>,
    allow_reconnect: bool,
    item: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    arguments: Option<Vec<&'a RawValue>>,
    stream_ids: Vec<String>,
    headers: Headers,
    sequence_id: Option<i64>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Name {
    Type,
    InvocationId,
    Target,
    Error,
    AllowReconnect,
    Item,
    Result,
    Arguments,
    StreamIds,
    Headers,
    SequenceId,
    #[serde(other)]
    Other,
}

pub(super) fn parse(frame: &Bytes) -> Result<Option<Message>, ProtocolError> {
    let first = frame.iter().find(|byte| !byte.is_ascii_whitespace());
    let token = match first {
        Some(b'{') => None,
        Some(b'n') => Some("Null"),
        Some(b't') => Some("True"),
        Some(b'f') => Some("False"),
        Some(b'"') => Some("String"),
        Some(b'[') => Some("Array"),
        Some(b'-' | b'0'..=b'9') => Some("Number"),
        _ => return Err(ProtocolError::invalid(UNREADABLE)),
    };
    if let Some(token) = token {
        return Err(ProtocolError::invalid(format!("Unexpected JSON Token Type '{token}'. Expected a JSON Object.")));
    }
    // What follows the object is ignored, so the end of the input is not looked for.
    let mut error = None;
    let read = MembersReader { error: &mut error };
    match read.deserialize(&mut serde_json::Deserializer::from_slice(frame)) {
        Ok(members) => message(frame, members),
        Err(_) => Err(error.unwrap_or_else(|| ProtocolError::invalid(UNREADABLE))),
    }
}

/// Reads the members in their order and stops at the first that is wrong, with its error.
struct MembersReader<'e> {
    error: &'e mut Option<ProtocolError>,
}

impl<'de> DeserializeSeed<'de> for MembersReader<'_> {
    type Value = Members<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MembersReader<'_> {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hub message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<Name>()? {
            if matches!(name, Name::Other) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&'de RawValue>()?;
            if let Err(error) = members.take(&name, value) {
                *self.error = Some(error);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(members)
    }
}

impl<'a> Members<'a> {
    fn take(&mut self, name: &Name, value: &'a RawValue) -> Result<(), ProtocolError> {
        match name {
            Name::Type => self.kind = Some(number(value, "type")?),
            Name::SequenceId => self.sequence_id = Some(number(value, "sequenceId")?),
            Name::InvocationId => self.invocation_id = Some(string(value, "invocationId")?),
            Name::Target => self.target = Some(string(value, "target")?),
            Name::Error => self.error = Some(string(value, "error")?),
            Name::AllowReconnect => {
                self.allow_reconnect = read(value)
                    .ok_or_else(|| ProtocolError::invalid("Expected 'allowReconnect' to be true or false."))?;
            }
            Name::Item => self.item = Some(value),
            Name::Result => self.result = Some(value),
            Name::Arguments => self.arguments = Some(expect(value, '[', "arguments", "Array")?),
            Name::StreamIds => {
                let ids: Vec<Option<String>> = expect(value, '[', "streamIds", "Array")?;
                self.stream_ids = ids
                    .into_iter()
                    .collect::<Option<_>>()
                    .ok_or_else(|| ProtocolError::invalid("Null value for 'streamIds' is not valid."))?;
            }
            Name::Headers => self.headers = headers(value)?,
            Name::Other => {}
        }
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

fn expect<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    opening: char,
    name: &str,
    kind: &str,
) -> Result<T, ProtocolError> {
    if !value.get().starts_with(opening) {
        return Err(ProtocolError::invalid(format!("Expected '{name}' to be of type {kind}.")));
    }
    read(value).ok_or_else(|| ProtocolError::invalid(UNREADABLE))
}

fn string(value: &RawValue, name: &str) -> Result<String, ProtocolError> {
    expect(value, '"', name, "String")
}

fn number(value: &RawValue, name: &str) -> Result<i64, ProtocolError> {
    read(value).ok_or_else(|| ProtocolError::invalid(format!("Expected '{name}' to be of type Number.")))
}

/// Reads headers in their order, so that the first wrong one is reported.
fn headers(value: &RawValue) -> Result<Headers, ProtocolError> {
    struct HeadersReader<'e>(&'e mut Option<String>);

    impl<'de> Visitor<'de> for HeadersReader<'_> {
        type Value = Headers;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("headers")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
            let mut headers = Headers::new();
            while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                let Some(value) = read::<String>(value) else {
                    *self.0 = Some(name);
                    return Err(A::Error::custom("refused"));
                };
                headers.push((name, value));
            }
            Ok(headers)
        }
    }

    if !value.get().starts_with('{') {
        return Err(ProtocolError::invalid("Expected 'headers' to be of type StartObject."));
    }
    let mut wrong = None;
    serde_json::Deserializer::from_str(value.get()).deserialize_map(HeadersReader(&mut wrong)).map_err(
        |_| match wrong {
            Some(name) => ProtocolError::invalid(format!("Expected header '{name}' to be of type String.")),
            None => ProtocolError::invalid(UNREADABLE),
        },
    )
}

fn missing(name: &str) -> ProtocolError {
    ProtocolError::invalid(format!("Missing required property '{name}'."))
}

fn message(frame: &Bytes, members: Members<'_>) -> Result<Option<Message>, ProtocolError> {
    let payload = |value: &RawValue| frame.slice_ref(value.get().as_bytes());
    let valued = |value: &RawValue| Payload { protocol: Protocol::Json, bytes: payload(value) };
    let Members { kind, headers, .. } = members;
    // An empty id counts as none.
    let id = members.invocation_id.filter(|id| !id.is_empty());
    let message = match kind.ok_or_else(|| missing("type"))? {
        kind @ (1 | 4) => {
            let target = members.target.filter(|target| !target.is_empty()).ok_or_else(|| missing("target"))?;
            let arguments = members.arguments.ok_or_else(|| missing("arguments"))?;
            if kind == 4 && id.is_none() {
                return Err(missing("invocationId"));
            }
            Message::Invocation(Invocation {
                headers,
                invocation_id: id,
                streaming: kind == 4,
                target,
                arguments: Arguments::new(Protocol::Json, arguments.into_iter().map(payload).collect()),
                stream_ids: members.stream_ids,
            })
        }
        2 => Message::StreamItem {
            headers,
            invocation_id: id.ok_or_else(|| missing("invocationId"))?,
            item: valued(members.item.ok_or_else(|| missing("item"))?),
        },
        3 => Message::Completion {
            headers,
            invocation_id: id.ok_or_else(|| missing("invocationId"))?,
            outcome: match (members.error, members.result) {
                (Some(_), Some(_)) => {
                    return Err(ProtocolError::invalid("The 'error' and 'result' properties are mutually exclusive."));
                }
                (Some(error), None) => Outcome::Error(error),
                (None, Some(result)) => Outcome::Result(valued(result)),
                (None, None) => Outcome::Void,
            },
        },
        5 => Message::CancelInvocation { headers, invocation_id: id.ok_or_else(|| missing("invocationId"))? },
        6 => Message::Ping,
        7 => Message::Close { error: members.error, allow_reconnect: members.allow_reconnect },
        8 => Message::Ack { sequence_id: members.sequence_id.ok_or_else(|| missing("sequenceId"))? },
        9 => Message::Sequence { sequence_id: members.sequence_id.ok_or_else(|| missing("sequenceId"))? },
        _ => return Ok(None),
    };
    Ok(Some(message))
}

/// An object being written.
struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: u8) -> Self {
        let mut text = Vec::with_capacity(64);
        text.extend_from_slice(b"{\"type\":");
        text.push(b'0' + kind);
        Self(text)
    }

    fn raw(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self.0.extend_from_slice(value);
        self
    }

    fn string(&mut self, name: &str, value: &str) -> &mut Self {
        let text = serde_json::to_vec(value).expect("a string is always JSON");
        self.raw(name, &text)
    }

    fn headers(&mut self, headers: &Headers) -> &mut Self {
        if headers.is_empty() {
            return self;
        }
        let members: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{}:{}", serde_json::json!(name), serde_json::json!(value)))
            .collect();
        self.raw("headers", format!("{{{}}}", members.join(",")).as_bytes())
    }

    fn id(&mut self, id: Option<&str>) -> &mut Self {
        match id {
            Some(id) => self.string("invocationId", id),
            None => self,
        }
    }

    fn outcome(&mut self, outcome: CompletionOf<'_>) -> &mut Self {
        match outcome {
            CompletionOf::Void => self,
            CompletionOf::Result(payload) => self.raw("result", payload),
            CompletionOf::Error(error) => self.string("error", error),
        }
    }

    fn finish(&mut self) -> Bytes {
        self.0.extend_from_slice(&[b'}', RECORD_SEPARATOR]);
        std::mem::take(&mut self.0).into()
    }
}

pub(super) fn write_invocation(id: Option<&str>, target: &str, arguments: &[u8]) -> Bytes {
    Writer::new(1).id(id).string("target", target).raw("arguments", arguments).finish()
}

pub(super) fn write_stream_item(id: &str, item: &[u8]) -> Bytes {
    Writer::new(2).id(Some(id)).raw("item", item).finish()
}

pub(super) fn write_completion(id: &str, outcome: CompletionOf<'_>) -> Bytes {
    Writer::new(3).id(Some(id)).outcome(outcome).finish()
}

/// Joins values that are written already into one array.
pub(super) fn array(values: &[Bytes]) -> Vec<u8> {
    let mut text = vec![b'['];
    text.extend_from_slice(&values.join(&b','));
    text.push(b']');
    text
}

pub(super) fn write(message: &Message) -> Bytes {
    match message {
        Message::Invocation(invocation) => {
            let values = invocation.arguments.values.as_deref().unwrap_or_default();
            let mut writer = Writer::new(if invocation.streaming { 4 } else { 1 });
            writer
                .headers(&invocation.headers)
                .id(invocation.invocation_id.as_deref())
                .string("target", &invocation.target)
                .raw("arguments", &array(values));
            if !invocation.stream_ids.is_empty() {
                writer.raw("streamIds", serde_json::json!(invocation.stream_ids).to_string().as_bytes());
            }
            writer.finish()
        }
        Message::StreamItem { headers, invocation_id, item } => {
            Writer::new(2).headers(headers).id(Some(invocation_id)).raw("item", &item.bytes).finish()
        }
        Message::Completion { headers, invocation_id, outcome } => {
            Writer::new(3).headers(headers).id(Some(invocation_id)).outcome(outcome.borrow()).finish()
        }
        Message::CancelInvocation { headers, invocation_id } => {
            Writer::new(5).headers(headers).id(Some(invocation_id)).finish()
        }
        Message::Ping => Writer::new(6).finish(),
        Message::Close { error, allow_reconnect } => {
            let mut writer = Writer::new(7);
            if let Some(error) = error {
                writer.string("error", error);
            }
            if *allow_reconnect {
                writer.raw("allowReconnect", b"true");
            }
            writer.finish()
        }
        Message::Ack { sequence_id } => Writer::new(8).raw("sequenceId", sequence_id.to_string().as_bytes()).finish(),
        Message::Sequence { sequence_id } => {
            Writer::new(9).raw("sequenceId", sequence_id.to_string().as_bytes()).finish()
        }
    }
}

impl Outcome {
    pub(super) fn borrow(&self) -> CompletionOf<'_> {
        match self {
            Self::Void => CompletionOf::Void,
            Self::Result(payload) => CompletionOf::Result(&payload.bytes),
            Self::Error(error) => CompletionOf::Error(error),
        }
    }
}
