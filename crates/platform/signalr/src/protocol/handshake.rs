//! The first message each way: always JSON with a record separator, whatever protocol it asks for.

use bytes::Bytes;
use serde::Deserialize;

use super::{Protocol, framing::RECORD_SEPARATOR};

/// The newest protocol version this crate speaks. Version 2 is version 1 with stateful reconnect.
const NEWEST_VERSION: i64 = 2;

/// What a client asks for in its first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeRequest {
    /// The protocol of everything after the handshake.
    pub protocol: Protocol,
    /// 1, or 2 when stateful reconnect was negotiated.
    pub version: i64,
}

/// Why a handshake failed; the texts are those that clients show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// No such protocol.
    #[error("The protocol '{0}' is not supported.")]
    UnknownProtocol(String),
    /// A version that is not spoken yet.
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    UnknownVersion {
        /// The protocol as asked for.
        protocol: String,
        /// The version asked for.
        version: i64,
    },
    /// MessagePack over a transport of text.
    #[error(
        "Cannot use the '{0}' protocol on the current transport. The transport does not support 'Binary' transfer format."
    )]
    NeedsBinary(Protocol),
    /// The request did not come in time, or is larger than a message may be.
    #[error("Handshake was canceled.")]
    Canceled,
    /// The first message is no handshake.
    #[error("An unexpected error occurred during connection handshake.")]
    Unreadable(String),
}

impl HandshakeError {
    /// The text for the client; with `detailed`, also what was wrong inside.
    pub fn text(&self, detailed: bool) -> String {
        match self {
            Self::Unreadable(detail) if detailed => format!("{self} InvalidDataException: {detail}"),
            _ => self.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    protocol: std::borrow::Cow<'a, str>,
    version: i64,
}

impl HandshakeRequest {
    /// Parses the first frame. Unknown members and whatever follows the object are ignored; of a repeated member the last
    /// counts.
    ///
    /// # Errors
    /// [`HandshakeError`]; its text is the answer.
    pub fn parse(frame: &[u8]) -> Result<Self, HandshakeError> {
        let unreadable = |text: String| HandshakeError::Unreadable(text);
        // A map first: the derived reader refuses repeated members.
        let mut reader = serde_json::Deserializer::from_slice(frame);
        let members = serde_json::Map::<String, serde_json::Value>::deserialize(&mut reader)
            .map_err(|error| unreadable(format!("Invalid handshake request: {error}")))?;
        let members = serde_json::Value::Object(members);
        if let Some(protocol) = members.get("protocol").filter(|protocol| !protocol.is_string()) {
            return Err(unreadable(format!("Expected 'protocol' to be of type String, not {protocol}.")));
        }
        for name in ["protocol", "version"] {
            if members.get(name).is_none() {
                return Err(unreadable(format!(
                    "Missing required property '{name}'. Message content: {}",
                    String::from_utf8_lossy(frame)
                )));
            }
        }
        let Wire { protocol, version } =
            Wire::deserialize(&members).map_err(|error| unreadable(format!("Invalid handshake request: {error}")))?;
        let known =
            Protocol::from_name(&protocol).ok_or_else(|| HandshakeError::UnknownProtocol(protocol.to_string()))?;
        if !(0..=NEWEST_VERSION).contains(&version) {
            return Err(HandshakeError::UnknownVersion { protocol: protocol.into_owned(), version });
        }
        Ok(Self { protocol: known, version })
    }
}

/// The answer that lets the client begin.
pub fn write_handshake_success() -> Bytes {
    Bytes::from_static(b"{}\x1e")
}

/// The answer before the connection is closed.
pub fn write_handshake_error(text: &str) -> Bytes {
    let mut answer = serde_json::json!({ "error": text }).to_string().into_bytes();
    answer.push(RECORD_SEPARATOR);
    answer.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handshake_may_look_like() {
        let accepted = [
            (r#"{"protocol":"json","version":1}"#, Protocol::Json, 1),
            (r#"{"version":2,"protocol":"MessagePack"}"#, Protocol::MessagePack, 2),
            (r#"{"protocol":"no","protocol":"json","version":7,"version":1,"more":[{}]}"#, Protocol::Json, 1),
            ("{\"pro\\u0074ocol\":\"json\",\"version\":1} junk", Protocol::Json, 1),
        ];
        for (text, protocol, version) in accepted {
            assert_eq!(HandshakeRequest::parse(text.as_bytes()), Ok(HandshakeRequest { protocol, version }), "{text}");
        }
    }

    #[test]
    fn why_a_handshake_fails() {
        let refused = [
            (r#"{"protocol":"dummy","version":1}"#, "The protocol 'dummy' is not supported."),
            (r#"{"protocol":"json","version":9}"#, "The server does not support version 9 of the 'json' protocol."),
            (r#"{"protocol":"json"}"#, "An unexpected error occurred during connection handshake."),
            (r#"{"version":1}"#, "An unexpected error occurred during connection handshake."),
            (r#"{"protocol":null,"version":1}"#, "An unexpected error occurred during connection handshake."),
            (r#"{"protocol":"json","version":"1"}"#, "An unexpected error occurred during connection handshake."),
            ("[]", "An unexpected error occurred during connection handshake."),
            ("", "An unexpected error occurred during connection handshake."),
        ];
        for (text, error) in refused {
            assert_eq!(HandshakeRequest::parse(text.as_bytes()).unwrap_err().text(false), error, "{text}");
        }
        let detail = HandshakeRequest::parse(b"{}").unwrap_err().text(true);
        assert!(detail.contains("InvalidDataException: Missing required property 'protocol'."), "{detail}");
        assert_eq!(write_handshake_error("a \"b\""), "{\"error\":\"a \\\"b\\\"\"}\u{1e}");
    }
}
