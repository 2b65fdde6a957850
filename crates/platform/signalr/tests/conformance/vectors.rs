//! Runs a folder of conformance vectors, when there is one: `SIGNALR_VECTORS=/path cargo test -p bookworm-signalr vectors`.
//! The folder has `vectors-json.json` and `vectors-messagepack.json`, each with the lists `valid`, `invalid`,
//! `binding_failure` and `sizes`.

use bookworm_signalr::protocol::{Arguments, BindingError, Headers, Invocation, Message, Outcome, Payload, Protocol};
use serde_json::{Value, json};

use super::messages::parse;

/// What the vectors write for their three headers.
const HEADERS: &str =
    r#""headers":{"Foo":"Bar","KeyWith\nNew\r\nLines":"Still Works","ValueWithNewLines":"Also\nWorks\r\nFine"}"#;

struct Vectors {
    protocol: Protocol,
    passed: usize,
    failed: Vec<String>,
}

impl Vectors {
    fn note(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(why) => self.failed.push(format!("{} {name}: {why}", self.protocol)),
        }
    }

    fn framed(&self, vector: &Value) -> Vec<u8> {
        match self.protocol {
            Protocol::Json => {
                format!("{}\u{1e}", vector["json"].as_str().unwrap().replace("@@H@@", HEADERS)).into_bytes()
            }
            Protocol::MessagePack => {
                let hex = vector["body_hex"].as_str().unwrap();
                let body: Vec<u8> =
                    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
                let (low, high) = (body.len() & 0x7F, body.len() >> 7);
                let mut framed = if high == 0 { vec![low as u8] } else { vec![low as u8 | 0x80, high as u8] };
                framed.extend(body);
                framed
            }
        }
    }

    fn valid(&self, vector: &Value) -> Result<(), String> {
        let framed = self.framed(vector);
        let message = parse(self.protocol, &framed)?.ok_or("ignored")?;
        let kind = match &message {
            Message::Invocation(invocation) if invocation.streaming => "StreamInvocationMessage",
            Message::Invocation(_) => "InvocationMessage",
            Message::StreamItem { .. } => "StreamItemMessage",
            Message::Completion { .. } => "CompletionMessage",
            Message::CancelInvocation { .. } => "CancelInvocationMessage",
            Message::Ping => "PingMessage",
            Message::Close { .. } => "CloseMessage",
            Message::Ack { .. } => "AckMessage",
            Message::Sequence { .. } => "SequenceMessage",
        };
        let code = vector["csharp"].as_str().unwrap();
        let named = code.split([' ', '.', '(']).find(|word| word.ends_with("Message"));
        if named != Some(kind) {
            return Err(format!("read as {kind}: {code}"));
        }
        let written = self.protocol.write(&message);
        let loosely = |bytes: &[u8]| serde_json::from_slice::<Value>(&bytes[..bytes.len() - 1]).unwrap();
        let loose = self.protocol == Protocol::Json && framed.starts_with(b"{ ");
        if if loose { loosely(&written) == loosely(&framed) } else { written[..] == framed[..] } {
            Ok(())
        } else {
            Err(format!("written as {}", String::from_utf8_lossy(&written)))
        }
    }

    fn invalid(&self, vector: &Value) -> Result<(), String> {
        match parse(self.protocol, &self.framed(vector)) {
            Err(error) if vector["error"] == error => Ok(()),
            other => Err(format!("{other:?} and not {}", vector["error"])),
        }
    }

    /// The target of the vectors takes a number and a text in JSON, a text in MessagePack.
    fn binding_failure(&self, vector: &Value) -> Result<(), String> {
        let Some(Message::Invocation(invocation)) = parse(self.protocol, &self.framed(vector))? else {
            return Err("no invocation".to_owned());
        };
        let bound = match self.protocol {
            Protocol::Json => invocation.arguments.values(2).and_then(|values| {
                self.protocol.decode::<i32>(&values[0])?;
                self.protocol.decode::<String>(&values[1])
            }),
            Protocol::MessagePack => {
                invocation.arguments.values(1).and_then(|values| self.protocol.decode::<String>(&values[0]))
            }
        };
        match bound.map_err(|error: BindingError| error.to_string()) {
            Err(error) if vector["error"] == error => Ok(()),
            other => Err(format!("{other:?} and not {}", vector["error"])),
        }
    }

    fn size(&self, vector: &Value) -> Result<(), String> {
        let protocol = self.protocol;
        let payload = |value: Value| Payload { protocol, bytes: protocol.encode(&value).unwrap() };
        let call = |id: Option<&str>, streaming, target: &str, arguments: &[i32], streams: &[&str]| {
            Message::Invocation(Invocation {
                headers: Headers::new(),
                invocation_id: id.map(str::to_owned),
                streaming,
                target: target.to_owned(),
                arguments: Arguments::new(
                    protocol,
                    arguments.iter().map(|value| protocol.encode(value).unwrap()).collect(),
                ),
                stream_ids: streams.iter().map(|&id| id.to_owned()).collect(),
            })
        };
        let item = |value| Message::StreamItem {
            headers: Headers::new(),
            invocation_id: "1".to_owned(),
            item: payload(value),
        };
        let completion =
            |outcome| Message::Completion { headers: Headers::new(), invocation_id: "1".to_owned(), outcome };
        let message = match vector["name"].as_str().unwrap() {
            "InvocationMessage_WithoutInvocationId" => call(None, false, "Target", &[1], &[]),
            "InvocationMessage_WithInvocationId" => call(Some("1"), false, "Target", &[1], &[]),
            "InvocationMessage_WithInvocationIdAndStreamId" => call(Some("1"), false, "Target", &[1], &["2"]),
            "StreamInvocationMessage" => call(Some("1"), true, "target", &[], &[]),
            "StreamInvocationMessage_WithStreamId" => call(Some("1"), true, "target", &[], &["2"]),
            "StreamItemMessage_WithNullItem" => item(json!(null)),
            "StreamItemMessage_WithItem" => item(json!(1)),
            "CompletionMessage_Empty" => completion(Outcome::Void),
            "CompletionMessage_WithResult" => completion(Outcome::Result(payload(json!(1)))),
            "CompletionMessage_WithError" => completion(Outcome::Error("error".to_owned())),
            "CancelInvocationMessage" => {
                Message::CancelInvocation { headers: Headers::new(), invocation_id: "1".to_owned() }
            }
            "CloseMessage_Empty" => Message::Close { error: None, allow_reconnect: false },
            "CloseMessage_WithError" => Message::Close { error: Some("error".to_owned()), allow_reconnect: false },
            "PingMessage" => Message::Ping,
            other => return Err(format!("no message is called {other}")),
        };
        let length = protocol.write(&message).len();
        if vector["framed_len"] == length { Ok(()) } else { Err(format!("{length} bytes")) }
    }
}

#[test]
fn vectors() {
    let Ok(folder) = std::env::var("SIGNALR_VECTORS") else { return };
    let (mut passed, mut failed) = (0, Vec::new());
    for protocol in Protocol::ALL {
        let text = std::fs::read_to_string(format!("{folder}/vectors-{protocol}.json")).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let mut vectors = Vectors { protocol, passed: 0, failed: Vec::new() };
        type Check = fn(&Vectors, &Value) -> Result<(), String>;
        let lists: [(&str, Check); 4] = [
            ("valid", Vectors::valid),
            ("invalid", Vectors::invalid),
            ("binding_failure", Vectors::binding_failure),
            ("sizes", Vectors::size),
        ];
        for (list, check) in lists {
            for (index, vector) in file[list].as_array().unwrap().iter().enumerate() {
                let name = vector["name"].as_str().map_or_else(|| format!("{list} {index}"), str::to_owned);
                let result = check(&vectors, vector);
                vectors.note(&name, result);
            }
        }
        passed += vectors.passed;
        failed.extend(vectors.failed);
    }
    eprintln!("conformance vectors: {passed} of {} passed", passed + failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(passed > 0, "there are no vectors in {folder}");
}
