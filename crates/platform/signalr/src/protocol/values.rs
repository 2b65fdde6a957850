//! Values that the two protocols write differently: bytes and points in time.

use std::cell::Cell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Protocol;

thread_local! {
    /// The protocol that is being read or written on this thread. Serde tells a value whether its format is for people,
    /// and here both must say yes: ids and enums are text in MessagePack too.
    static CURRENT: Cell<Protocol> = const { Cell::new(Protocol::Json) };
}

/// Runs `work` with values written the way of that protocol.
pub(super) fn encoding<T>(protocol: Protocol, work: impl FnOnce() -> T) -> T {
    struct Restore(Protocol);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(protocol));
    work()
}

/// The extension type of MessagePack's timestamps.
const TIMESTAMP: i8 = -1;

/// Bytes: base64 text in JSON, `bin` in MessagePack. (A plain `Vec<u8>` is a list of numbers in both.)
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ByteArray(pub Vec<u8>);

impl Serialize for ByteArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match CURRENT.get() {
            Protocol::Json => serializer.serialize_str(&STANDARD.encode(&self.0)),
            Protocol::MessagePack => serializer.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = ByteArray;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteArray, E> {
                STANDARD.decode(text).map(ByteArray).map_err(E::custom)
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<ByteArray, E> {
                Ok(ByteArray(bytes.to_vec()))
            }
        }
        match CURRENT.get() {
            Protocol::Json => deserializer.deserialize_str(Bytes),
            Protocol::MessagePack => deserializer.deserialize_bytes(Bytes),
        }
    }
}

/// A point in time: ISO 8601 text in JSON, the timestamp extension in MessagePack. Without an offset it is taken as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(pub OffsetDateTime);

struct Extension<'a>(&'a [u8]);

impl Serialize for Extension<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match CURRENT.get() {
            Protocol::Json => serializer.serialize_str(&self.0.format(&Rfc3339).map_err(serde::ser::Error::custom)?),
            Protocol::MessagePack => {
                let (seconds, nanoseconds) = (self.0.unix_timestamp(), self.0.nanosecond());
                let bytes = match (u32::try_from(seconds), u64::try_from(seconds)) {
                    (Ok(seconds), _) if nanoseconds == 0 => seconds.to_be_bytes().to_vec(),
                    (_, Ok(seconds)) if seconds < 1 << 34 => {
                        (u64::from(nanoseconds) << 34 | seconds).to_be_bytes().to_vec()
                    }
                    _ => [&nanoseconds.to_be_bytes()[..], &seconds.to_be_bytes()[..]].concat(),
                };
                serializer.serialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, &(TIMESTAMP, Extension(&bytes)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match CURRENT.get() {
            Protocol::Json => {
                let text = String::deserialize(deserializer)?;
                OffsetDateTime::parse(&text, &Rfc3339)
                    .or_else(|error| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339).map_err(|_| error))
                    .map(Self)
                    .map_err(D::Error::custom)
            }
            Protocol::MessagePack => {
                deserializer.deserialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, TimestampReader)
            }
        }
    }
}

struct TimestampReader;

impl<'de> Visitor<'de> for TimestampReader {
    type Value = DateTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timestamp")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<DateTime, D::Error> {
        deserializer.deserialize_tuple(2, self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<DateTime, A::Error> {
        let tag: Option<i8> = fields.next_element()?;
        let bytes: ByteArray = fields.next_element()?.ok_or_else(|| A::Error::custom("no timestamp"))?;
        if tag != Some(TIMESTAMP) {
            return Err(A::Error::custom("an extension that is no timestamp"));
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        #[expect(clippy::cast_possible_wrap, reason = "two's complement is how it is written")]
        let (seconds, nanoseconds) = match bytes.0.as_slice() {
            short @ [_, _, _, _] => (number(short) as i64, 0),
            medium @ [_, _, _, _, _, _, _, _] => {
                let both = number(medium);
                ((both & ((1 << 34) - 1)) as i64, both >> 34)
            }
            long if long.len() == 12 => (number(&long[4..]) as i64, number(&long[..4])),
            _ => return Err(A::Error::custom("a timestamp of a length that is not known")),
        };
        OffsetDateTime::from_unix_timestamp(seconds)
            .and_then(|at| at.replace_nanosecond(u32::try_from(nanoseconds).unwrap_or(u32::MAX)))
            .map(DateTime)
            .map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn bytes_and_times_come_back_in_both_protocols() {
        let values = [
            datetime!(2000-01-01 00:00 UTC),
            datetime!(2018-01-01 11:24:42.123_456_7 UTC),
            datetime!(1969-12-31 23:59:59.5 UTC),
            datetime!(9999-12-31 00:00 UTC),
        ];
        for protocol in Protocol::ALL {
            for value in values {
                let written = protocol.encode(&(DateTime(value), ByteArray(vec![0, 1, 255]))).unwrap();
                let (time, bytes): (DateTime, ByteArray) = protocol.decode(&written).unwrap();
                assert_eq!((time.0, bytes.0.as_slice()), (value, &[0, 1, 255][..]), "{protocol}");
            }
        }
    }

    #[test]
    fn they_look_like_what_other_clients_expect() {
        let value = (DateTime(datetime!(2000-01-01 00:00 UTC)), ByteArray(vec![1, 2, 3]));
        assert_eq!(Protocol::Json.encode(&value).unwrap(), r#"["2000-01-01T00:00:00Z","AQID"]"#);
        let packed = Protocol::MessagePack.encode(&value).unwrap();
        assert_eq!(packed[..], [0x92, 0xD6, 0xFF, 0x38, 0x6D, 0x43, 0x80, 0xC4, 3, 1, 2, 3]);
        assert!(Protocol::Json.decode::<DateTime>(br#""2000-01-01T00:00:00""#).is_ok(), "no offset is UTC");
        assert!(Protocol::MessagePack.decode::<DateTime>(&[0xC7, 3, 0xFF, 1, 2, 3]).is_err());
        assert!(Protocol::Json.decode::<ByteArray>(br#""%""#).is_err());
    }
}
