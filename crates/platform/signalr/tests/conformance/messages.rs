//! Every kind of message in both protocols: how it is written, and what is refused.

use bookworm_signalr::protocol::{Arguments, Framing, Headers, Invocation, Message, Outcome, Payload, Protocol};
use bytes::Bytes;
use proptest::prelude::*;

pub fn parse(protocol: Protocol, framed: &[u8]) -> Result<Option<Message>, String> {
    let mut framing = Framing::new(protocol, 1 << 20);
    framing.push(framed);
    let frame = framing.next_frame().map_err(|error| error.to_string())?.expect("a whole frame");
    protocol.parse(&frame).map_err(|error| error.to_string())
}

pub fn json(text: &str) -> Result<Option<Message>, String> {
    parse(Protocol::Json, format!("{text}\u{1e}").as_bytes())
}

pub fn packed(body: &[u8]) -> Result<Option<Message>, String> {
    assert!(body.len() < 128);
    parse(Protocol::MessagePack, &[&[u8::try_from(body.len()).unwrap()], body].concat())
}

fn payload(protocol: Protocol, value: &serde_json::Value) -> Payload {
    Payload { protocol, bytes: protocol.encode(value).unwrap() }
}

fn call(
    protocol: Protocol,
    id: Option<&str>,
    streaming: bool,
    arguments: &[serde_json::Value],
    streams: &[&str],
) -> Message {
    Message::Invocation(Invocation {
        headers: Headers::new(),
        invocation_id: id.map(str::to_owned),
        streaming,
        target: "Ask".to_owned(),
        arguments: Arguments::new(protocol, arguments.iter().map(|value| protocol.encode(value).unwrap()).collect()),
        stream_ids: streams.iter().map(|&id| id.to_owned()).collect(),
    })
}

/// A message, its JSON text, its MessagePack bytes.
fn cases(protocol: Protocol) -> Vec<(Message, &'static str, Vec<u8>)> {
    use serde_json::json;
    let headers: Headers = vec![("A".to_owned(), "1\r\n2".to_owned()), ("b\n".to_owned(), "ü".to_owned())];
    let packed_headers = b"\x82\xA1A\xA41\r\n2\xA2b\n\xA2\xC3\xBC";
    let id = "7".to_owned();
    let completion =
        |headers: Headers, outcome| Message::Completion { headers, invocation_id: "7".to_owned(), outcome };
    vec![
        (
            call(protocol, Some("7"), false, &[json!(1), json!("x")], &[]),
            r#"{"type":1,"invocationId":"7","target":"Ask","arguments":[1,"x"]}"#,
            b"\x96\x01\x80\xA17\xA3Ask\x92\x01\xA1x\x90".to_vec(),
        ),
        (
            call(protocol, None, false, &[json!(null), json!(true), json!(2.5)], &["s", "t"]),
            r#"{"type":1,"target":"Ask","arguments":[null,true,2.5],"streamIds":["s","t"]}"#,
            b"\x96\x01\x80\xC0\xA3Ask\x93\xC0\xC3\xCB\x40\x04\0\0\0\0\0\0\x92\xA1s\xA1t".to_vec(),
        ),
        (
            call(protocol, Some("7"), true, &[], &["s"]),
            r#"{"type":4,"invocationId":"7","target":"Ask","arguments":[],"streamIds":["s"]}"#,
            b"\x96\x04\x80\xA17\xA3Ask\x90\x91\xA1s".to_vec(),
        ),
        (
            Message::StreamItem {
                headers: headers.clone(),
                invocation_id: id.clone(),
                item: payload(protocol, &json!({ "a": [1] })),
            },
            r#"{"type":2,"headers":{"A":"1\r\n2","b\n":"ü"},"invocationId":"7","item":{"a":[1]}}"#,
            [b"\x94\x02", &packed_headers[..], b"\xA17\x81\xA1a\x91\x01"].concat(),
        ),
        (
            completion(Headers::new(), Outcome::Void),
            r#"{"type":3,"invocationId":"7"}"#,
            b"\x94\x03\x80\xA17\x02".to_vec(),
        ),
        (
            completion(headers.clone(), Outcome::Error("No \"way\"".to_owned())),
            r#"{"type":3,"headers":{"A":"1\r\n2","b\n":"ü"},"invocationId":"7","error":"No \"way\""}"#,
            [b"\x95\x03", &packed_headers[..], b"\xA17\x01\xA8No \"way\""].concat(),
        ),
        (
            completion(Headers::new(), Outcome::Result(payload(protocol, &json!(null)))),
            r#"{"type":3,"invocationId":"7","result":null}"#,
            b"\x95\x03\x80\xA17\x03\xC0".to_vec(),
        ),
        (
            Message::CancelInvocation { headers, invocation_id: id },
            r#"{"type":5,"headers":{"A":"1\r\n2","b\n":"ü"},"invocationId":"7"}"#,
            [b"\x93\x05", &packed_headers[..], b"\xA17"].concat(),
        ),
        (Message::Ping, r#"{"type":6}"#, b"\x91\x06".to_vec()),
        (Message::Close { error: None, allow_reconnect: false }, r#"{"type":7}"#, b"\x93\x07\xC0\xC2".to_vec()),
        (
            Message::Close { error: Some("Bad".to_owned()), allow_reconnect: true },
            r#"{"type":7,"error":"Bad","allowReconnect":true}"#,
            b"\x93\x07\xA3Bad\xC3".to_vec(),
        ),
        (Message::Ack { sequence_id: 300 }, r#"{"type":8,"sequenceId":300}"#, b"\x92\x08\xCD\x01\x2C".to_vec()),
        (Message::Sequence { sequence_id: 5 }, r#"{"type":9,"sequenceId":5}"#, b"\x92\x09\x05".to_vec()),
    ]
}

#[test]
fn messages_are_written_and_read_in_both_protocols() {
    for (message, text, _) in cases(Protocol::Json) {
        assert_eq!(Protocol::Json.write(&message), format!("{text}\u{1e}"));
        assert_eq!(json(text).unwrap().as_ref(), Some(&message), "{text}");
    }
    for (message, text, body) in cases(Protocol::MessagePack) {
        let framed = [&[u8::try_from(body.len()).unwrap()], &body[..]].concat();
        assert_eq!(Protocol::MessagePack.write(&message)[..], framed, "{text}");
        assert_eq!(packed(&body).unwrap().as_ref(), Some(&message), "{text}");
    }
}

#[test]
fn members_come_in_any_order_and_unknown_ones_are_ignored() {
    let same = [
        (r#"{"arguments":[1],"target":"T","type":1}"#, r#"{"type":1,"target":"T","arguments":[1]}"#),
        (r#"{"result":{"x":1},"invocationId":"1","type":3}"#, r#"{"type":3,"invocationId":"1","result":{"x":1}}"#),
        (r#"{"item":"i","type":2,"invocationId":"1"}"#, r#"{"type":2,"invocationId":"1","item":"i"}"#),
        (r#" {"type":6,"extra":{"deep":[{}]},"Type":9}"#, r#"{"type":6}"#),
        (r#"{"type":9,"type":6}"#, r#"{"type":6}"#),
        (r#"{"type":1,"invocationId":"","target":"T","arguments":[]}"#, r#"{"type":1,"target":"T","arguments":[]}"#),
        ("{\"t\\u0079pe\":6} what follows", r#"{"type":6}"#),
    ];
    for (sent, canonical) in same {
        assert_eq!(json(sent).unwrap(), json(canonical).unwrap(), "{sent}");
        assert!(json(sent).unwrap().is_some());
    }
    assert_eq!(json(r#"{"type":77,"new":1}"#), Ok(None), "message types of the future are ignored");
    assert_eq!(packed(b"\x92\x4D\x01"), Ok(None));
    let five = packed(b"\x95\x01\x80\xA0\xA1T\x91\x01").unwrap();
    assert_eq!(five, packed(b"\x97\x01\x80\xC0\xA1T\x91\x01\x90\x01").unwrap(), "five items, or more than six");
}

#[test]
fn what_breaks_the_json_protocol() {
    let refused = [
        ("null", "Unexpected JSON Token Type 'Null'. Expected a JSON Object."),
        ("true", "Unexpected JSON Token Type 'True'. Expected a JSON Object."),
        ("-1", "Unexpected JSON Token Type 'Number'. Expected a JSON Object."),
        ("\"x\"", "Unexpected JSON Token Type 'String'. Expected a JSON Object."),
        ("[]", "Unexpected JSON Token Type 'Array'. Expected a JSON Object."),
        ("", "Error reading JSON."),
        ("{", "Error reading JSON."),
        ("{\"type\":6", "Error reading JSON."),
        ("{type:6}", "Error reading JSON."),
        ("{}", "Missing required property 'type'."),
        (r#"{"type":"1"}"#, "Expected 'type' to be of type Number."),
        (r#"{"type":1,"headers":[]}"#, "Expected 'headers' to be of type StartObject."),
        (r#"{"type":1,"headers":{"a":"b","c":7},oops"#, "Expected header 'c' to be of type String."),
        (r#"{"type":1,"arguments":[]}"#, "Missing required property 'target'."),
        (r#"{"type":1,"target":"","arguments":[]}"#, "Missing required property 'target'."),
        (r#"{"type":1,"target":null,"arguments":[]}"#, "Expected 'target' to be of type String."),
        (r#"{"type":1,"invocationId":1,"target":"T","arguments":[]}"#, "Expected 'invocationId' to be of type String."),
        (r#"{"type":1,"target":"T"}"#, "Missing required property 'arguments'."),
        (r#"{"type":4,"invocationId":"1","target":"T","arguments":{}}"#, "Expected 'arguments' to be of type Array."),
        (r#"{"type":4,"target":"T","arguments":[]}"#, "Missing required property 'invocationId'."),
        (r#"{"type":1,"target":"T","arguments":[],"streamIds":1}"#, "Expected 'streamIds' to be of type Array."),
        (r#"{"type":1,"target":"T","arguments":[],"streamIds":[null]}"#, "Null value for 'streamIds' is not valid."),
        (r#"{"type":2,"item":1}"#, "Missing required property 'invocationId'."),
        (r#"{"type":2,"invocationId":"1"}"#, "Missing required property 'item'."),
        (r#"{"type":3}"#, "Missing required property 'invocationId'."),
        (r#"{"type":3,"invocationId":"1","error":1}"#, "Expected 'error' to be of type String."),
        (
            r#"{"type":3,"invocationId":"1","error":"a","result":1}"#,
            "The 'error' and 'result' properties are mutually exclusive.",
        ),
        (r#"{"type":5}"#, "Missing required property 'invocationId'."),
        (r#"{"type":7,"allowReconnect":1}"#, "Expected 'allowReconnect' to be true or false."),
        (r#"{"type":8}"#, "Missing required property 'sequenceId'."),
        (r#"{"type":9,"sequenceId":"1"}"#, "Expected 'sequenceId' to be of type Number."),
    ];
    for (text, error) in refused {
        assert_eq!(json(text), Err(error.to_owned()), "{text}");
    }
}

#[test]
fn what_breaks_the_messagepack_protocol() {
    let refused: [(&[u8], &str); 24] = [
        (b"\xA1x", "Reading array length for 'message' failed."),
        (b"\x91\xA1x", "Reading 'messageType' as Int32 failed."),
        (b"\x92\x01\x90", "Reading map length for 'headers' failed."),
        (b"\x92\x01\x81\x01\xA1x", "Reading 'headers[0].Key' as String failed."),
        (b"\x92\x01\x82\xA1x\xA1y\xA1z\xC3", "Reading 'headers[1].Value' as String failed."),
        (b"\x92\x01\x81\xA0\xA1x", "Null or empty key in header."),
        (b"\x92\x01\x81\xA1x\xA0", "Null or empty value in header."),
        (b"\x92\x01\x80", "Reading 'invocationId' as String failed."),
        (b"\x93\x01\x80\x05", "Reading 'invocationId' as String failed."),
        (b"\x94\x01\x80\xC0\x05", "Reading 'target' as String failed."),
        (b"\x94\x01\x80\xC0\xA0", "Null or empty target for Invocation message."),
        (b"\x96\x01\x80\xC0\xA1T\x90\x91\xA0", "Null or empty value in streamIds received."),
        (b"\x93\x04\x80\xA0", "Null or empty invocation ID for StreamInvocation message."),
        (b"\x94\x04\x80\xA17\xA0", "Null or empty target for StreamInvocation message."),
        (b"\x93\x02\x80\xC0", "Null or empty invocation ID for StreamItem message."),
        (b"\x94\x03\x80\xA0\x02", "Null or empty invocation ID for Completion message."),
        (b"\x94\x03\x80\xA17\xA1x", "Reading 'resultKind' as Int32 failed."),
        (b"\x94\x03\x80\xA17\x04", "Invalid invocation result kind."),
        (b"\x94\x03\x80\xA17\x01", "Reading 'error' as String failed."),
        (b"\x93\x05\x80\xA0", "Null or empty invocation ID for CancelInvocation message."),
        (b"\x93\x07\xC0\x01", "Reading 'allowReconnect' as Boolean failed."),
        (b"\x91\x08", "Reading 'sequenceId' as Int64 failed."),
        (b"\x92\x09\xC0", "Reading 'sequenceId' as Int64 failed."),
        (b"\x95\x03\x80\xA17\x03\xDD\xFF\xFF\xFF\xFF", "Reading 'result' as Object failed."),
    ];
    for (body, error) in refused {
        assert_eq!(packed(body), Err(error.to_owned()), "{body:x?}");
    }
}

#[test]
fn arguments_that_do_not_fit_fail_the_invocation_alone() {
    let broken = [
        (&b"\x94\x01\x80\xA17\xA1T"[..], "Reading array length for 'arguments' failed."),
        (b"\x95\x01\x80\xA17\xA1T\x2A", "Reading array length for 'arguments' failed."),
        (b"\x95\x01\x80\xA17\xA1T\x90", "Invocation provides 0 argument(s) but target expects 1."),
        (b"\x95\x01\x80\xA17\xA1T\x92\x01\x02", "Invocation provides 2 argument(s) but target expects 1."),
    ];
    for (body, error) in broken {
        let Ok(Some(Message::Invocation(invocation))) = packed(body) else { panic!("{body:x?}") };
        assert_eq!(invocation.arguments.values(1).unwrap_err().to_string(), error);
    }
    let wrong = Protocol::Json.decode::<String>(b"42").unwrap_err().to_string();
    assert!(wrong.starts_with("Error binding arguments. Make sure that the types"), "{wrong}");
    assert!(Protocol::MessagePack.decode::<String>(&[42]).is_err());
    assert!(Protocol::MessagePack.decode::<i32>(&[42]).is_ok());
}

#[test]
fn deep_values_are_refused_and_do_not_overflow_the_stack() {
    let depth = 100_000;
    let deep = format!(r#"{{"type":2,"invocationId":"1","item":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let Ok(Some(Message::StreamItem { item, .. })) = json(&deep) else { panic!("nesting alone breaks nothing") };
    assert!(item.decode::<serde_json::Value>().is_err());
    let body = [&b"\x94\x02\x80\xA11"[..], &vec![0x91; depth], b"\xC0"].concat();
    let frame = Bytes::from(body);
    let Ok(Some(Message::StreamItem { item, .. })) = Protocol::MessagePack.parse(&frame) else { panic!() };
    assert!(item.decode::<serde_json::Value>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for protocol in Protocol::ALL {
            if let Ok(Some(message)) = protocol.parse(&Bytes::from(bytes.clone())) {
                let _ = protocol.write(&message);
            }
            let _ = protocol.decode::<serde_json::Value>(&bytes);
            let _ = protocol.decode::<(String, Vec<u64>, bookworm_signalr::DateTime)>(&bytes);
        }
    }

    #[test]
    fn nearly_right_messages_never_panic(
        case in 0_usize..13,
        place in any::<prop::sample::Index>(),
        byte: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        for protocol in Protocol::ALL {
            let (message, ..) = cases(protocol).swap_remove(case);
            let mut bytes = protocol.write(&message).to_vec();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            bytes.truncate(cut.index(bytes.len()) + 1);
            let mut framing = Framing::new(protocol, 1 << 10);
            framing.push(&bytes);
            while let Ok(Some(frame)) = framing.next_frame() {
                if let Ok(Some(message)) = protocol.parse(&frame) {
                    let _ = protocol.write(&message);
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read(id in "\\PC{1,40}", target in "\\PC{1,300}", text in ".*", number: i64) {
        for protocol in Protocol::ALL {
            let message = Message::Invocation(Invocation {
                headers: Headers::new(),
                invocation_id: Some(id.clone()),
                streaming: false,
                target: target.clone(),
                arguments: Arguments::new(
                    protocol,
                    vec![protocol.encode(&text).unwrap(), protocol.encode(&number).unwrap()],
                ),
                stream_ids: vec![id.clone()],
            });
            let read = parse(protocol, &protocol.write(&message)).unwrap().unwrap();
            prop_assert_eq!(&read, &message);
            let Message::Invocation(read) = read else { unreachable!() };
            let values = read.arguments.values(2).unwrap();
            prop_assert_eq!(&protocol.decode::<String>(&values[0]).unwrap(), &text);
            prop_assert_eq!(protocol.decode::<i64>(&values[1]).unwrap(), number);
        }
    }
}
