//! The stream and the buckets: made when they are not there, and widened, never narrowed.

use std::{error::Error, time::Duration};

use async_nats::jetstream::{
    self, Context, ErrorCode,
    context::{
        AccountError, AccountErrorKind, CreateKeyValueErrorKind, CreateStreamError, CreateStreamErrorKind,
        GetStreamErrorKind,
    },
    kv,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};

use crate::{
    bus::{OpenError, Settings},
    names::Names,
};

/// For how long the server remembers message ids.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(3600);
/// The size of the buckets.
const SUBJECTS_BYTES: i64 = 1 << 20;
const PUT_BACK_BYTES: i64 = 16 << 20;

fn wanted(settings: &Settings, names: &Names) -> Config {
    Config {
        name: settings.stream.clone(),
        description: Some("messages between the services of a shop".to_owned()),
        subjects: vec![names.all()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        // A full stream refuses: the messages wait in the outboxes, and none is dropped.
        discard: DiscardPolicy::New,
        max_age: settings.max_age,
        max_bytes: settings.max_bytes,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        ..Config::default()
    }
}

/// Both limits' wider one, where `unlimited` is wider than all.
fn wider<T: PartialOrd>(one: T, other: T, unlimited: impl Fn(&T) -> bool) -> T {
    if unlimited(&one) || (!unlimited(&other) && one >= other) { one } else { other }
}

/// What is there, widened by what is wanted.
fn widened(there: &Config, wanted: Config) -> Config {
    let mut config = there.clone();
    config.subjects.extend(wanted.subjects);
    config.subjects.sort();
    config.subjects.dedup();
    config.num_replicas = there.num_replicas.max(wanted.num_replicas);
    config.max_age = wider(there.max_age, wanted.max_age, Duration::is_zero);
    config.max_bytes = wider(there.max_bytes, wanted.max_bytes, |bytes| *bytes <= 0);
    config.duplicate_window = there.duplicate_window.max(wanted.duplicate_window);
    config.discard = DiscardPolicy::New;
    config.allow_direct = true;
    config
}

pub(crate) async fn open(context: &Context, settings: &Settings, names: &Names) -> Result<Stream, OpenError> {
    let refused = |passing: bool, error: &dyn std::error::Error| failed(&settings.stream, passing, error);
    let wanted = wanted(settings, names);
    // Another process may make it at the same time, with other limits: then it is there at the second look.
    for _ in 0..2 {
        match context.get_stream(&settings.stream).await {
            Ok(stream) => {
                let there = stream.cached_info().config.clone();
                if there.storage != StorageType::File || there.retention != RetentionPolicy::Limits {
                    return Err(OpenError::Stream {
                        stream: settings.stream.clone(),
                        why: "it is there, and its storage is not `file` or its retention not `limits`".to_owned(),
                    });
                }
                let wider = widened(&there, wanted.clone());
                if wider != there {
                    let updated = context.update_stream(&wider).await;
                    updated.map_err(|error| refused(may_pass(&error.kind()), &error))?;
                }
                return Ok(stream);
            }
            Err(error) if is_absent(&error.kind()) => {}
            Err(error) => return Err(refused(is_unanswered(&error.kind()), &error)),
        }
        match context.create_stream(&wanted).await {
            Ok(stream) => return Ok(stream),
            Err(error) if is_taken(&error.kind()) => {}
            Err(error) => return Err(refused(may_pass(&error.kind()), &error)),
        }
    }
    let found = context.get_stream(&settings.stream).await;
    found.map_err(|error| refused(is_unanswered(&error.kind()), &error))
}

fn failed(stream: &str, passing: bool, error: &dyn std::error::Error) -> OpenError {
    let (stream, why) = (stream.to_owned(), chain(error));
    if passing { OpenError::Away { stream, why } } else { OpenError::Stream { stream, why } }
}

/// Whether JetStream is on its way, or has no leader: a cluster that is starting, or that lost a server. Each of these is
/// 503, as is JetStream that is not switched on.
pub(crate) fn is_passing(error: &jetstream::Error) -> bool {
    let off = [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];
    let no_peers = error.error_code() == ErrorCode::CLUSTER_NO_PEERS;
    (error.code() == 503 || no_peers) && !off.contains(&error.error_code())
}

fn is_unanswered(kind: &GetStreamErrorKind) -> bool {
    match kind {
        GetStreamErrorKind::Request => true,
        GetStreamErrorKind::JetStream(error) => is_passing(error),
        _ => false,
    }
}

fn may_pass(kind: &CreateStreamErrorKind) -> bool {
    match kind {
        CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::JetStreamUnavailable => true,
        CreateStreamErrorKind::JetStream(error) => is_passing(error),
        _ => false,
    }
}

fn is_absent(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn is_taken(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

/// The buckets beside the stream: subjects of consumers, and how often messages were put back.
pub(crate) async fn buckets(context: &Context, settings: &Settings) -> Result<(kv::Store, kv::Store), OpenError> {
    let bucket = |suffix: &str, description: &str, max_age, max_bytes| kv::Config {
        bucket: format!("{}_{suffix}", settings.stream),
        description: description.to_owned(),
        max_age,
        max_bytes,
        num_replicas: settings.replicas,
        ..kv::Config::default()
    };
    let subjects = bucket("subjects", "what each consumer of the bus wants", Duration::ZERO, SUBJECTS_BYTES);
    let put_back = bucket("put_back", "deliveries that are not attempts", settings.max_age, PUT_BACK_BYTES);
    Ok((open_bucket(context, subjects).await?, open_bucket(context, put_back).await?))
}

pub(crate) async fn open_bucket(context: &Context, config: kv::Config) -> Result<kv::Store, OpenError> {
    let name = config.bucket.clone();
    if let Ok(bucket) = context.get_key_value(&name).await {
        return Ok(bucket);
    }
    let error = match context.create_key_value(config).await {
        Ok(bucket) => return Ok(bucket),
        Err(error) => error,
    };
    // Another process was first.
    if let Ok(bucket) = context.get_key_value(&name).await {
        return Ok(bucket);
    }
    let source = error.source();
    let passing = match error.kind() {
        CreateKeyValueErrorKind::TimedOut => true,
        CreateKeyValueErrorKind::BucketCreate => {
            source.and_then(|e| e.downcast_ref::<CreateStreamError>()).is_some_and(|error| may_pass(&error.kind()))
        }
        CreateKeyValueErrorKind::JetStream => {
            source.and_then(|e| e.downcast_ref::<AccountError>()).is_some_and(|error| match error.kind() {
                AccountErrorKind::JetStream(error) => is_passing(&error),
                AccountErrorKind::TimedOut | AccountErrorKind::Other | AccountErrorKind::JetStreamUnavailable => true,
            })
        }
        _ => false,
    };
    Err(failed(&format!("KV_{name}"), passing, &error))
}

/// An error with what led to it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Some repeat their source's text.
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_bytes: i64, days: u64, replicas: usize) -> Config {
        Config {
            max_bytes,
            max_age: Duration::from_secs(days * 86_400),
            num_replicas: replicas,
            subjects: vec!["shop.>".to_owned()],
            ..Config::default()
        }
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_somebody_must_change() {
        let error = |code: u32, err_code: u64| -> jetstream::Error {
            serde_json::from_value(serde_json::json!({ "code": code, "err_code": err_code })).unwrap()
        };
        // Temporarily unavailable, no leader, no peers yet.
        for passing in [error(503, 10_008), error(503, 10_009), error(400, 10_005)] {
            assert!(is_passing(&passing), "{passing}");
        }
        // Not enabled, not for this account, replicas without a cluster, no room.
        for lasting in [error(503, 10_076), error(503, 10_039), error(500, 10_074), error(500, 10_047)] {
            assert!(!is_passing(&lasting), "{lasting}");
        }
    }

    #[test]
    fn a_stream_is_widened_and_never_narrowed() {
        let cases = [
            ((100, 14, 1), (200, 7, 3), (200, 14, 3)),
            ((200, 7, 3), (100, 14, 1), (200, 14, 3)),
            ((-1, 0, 1), (100, 14, 1), (-1, 0, 1)),
            ((100, 14, 1), (-1, 0, 1), (-1, 0, 1)),
        ];
        for ((a, b, c), (d, e, f), (bytes, days, replicas)) in cases {
            let wider = widened(&limits(a, b, c), limits(d, e, f));
            let expected = Config { discard: DiscardPolicy::New, allow_direct: true, ..limits(bytes, days, replicas) };
            assert_eq!(wider, expected);
        }
        let others = Config { subjects: vec!["other.>".to_owned()], ..limits(1, 1, 1) };
        assert_eq!(widened(&others, limits(1, 1, 1)).subjects, ["other.>", "shop.>"]);
    }
}
