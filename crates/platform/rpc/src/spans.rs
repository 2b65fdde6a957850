//! Calls as spans: names and attributes of both sides (semantic conventions for gRPC).

use std::borrow::Cow;

use bookworm_trace::{KeyValue, Span};
use tonic::Code;

/// The name and attributes of a call of this path, `/<package>.<service>/<method>`.
pub(crate) fn describe(path: &str) -> (Cow<'static, str>, Vec<KeyValue>) {
    let name = path.trim_start_matches('/');
    let (service, method) = name.split_once('/').unwrap_or((name, ""));
    let attributes = vec![
        KeyValue::new("rpc.system", "grpc"),
        KeyValue::new("rpc.service", service.to_owned()),
        KeyValue::new("rpc.method", method.to_owned()),
    ];
    (name.to_owned().into(), attributes)
}

/// How the call ended.
pub(crate) fn answered(step: &mut Span, code: Code, failed: bool) {
    step.set("rpc.grpc.status_code", i64::from(i32::from(code)));
    if failed {
        step.fail(format!("{code:?}"));
    }
}

/// Whether the callee is to blame. For a caller every answer but `Ok` is a failure.
pub(crate) fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
