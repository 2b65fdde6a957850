use std::{cell::Cell, fmt};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CorrelationId, MessageId};

/// W3C Trace Context `traceparent`, version 00: `00-<trace id>-<span id>-<flags>`.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    /// False for a trace that nothing is recorded of yet.
    is_span: bool,
}

impl TraceParent {
    /// A new trace, sampled, for something that starts by itself.
    #[must_use]
    pub fn start() -> Self {
        Self { trace_id: Uuid::new_v4().as_u128(), span_id: random_span(), flags: 1, is_span: false }
    }

    /// The place with these ids; `None` where one is zero.
    #[must_use]
    pub fn of(trace_id: u128, span_id: u64, flags: u8) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags, is_span: true })
    }

    /// Reads the header's value.
    ///
    /// Returns `None` for anything that is not a valid version-00 value, all-zero ids included: the caller then
    /// starts a trace of its own, as section 3.2 of the recommendation asks.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |s: &str, len: usize| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if version != "00" || parts.next().is_some() || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
            return None;
        }
        let (trace_id, span_id) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
        Self::of(trace_id, span_id, u8::from_str_radix(flags, 16).ok()?)
    }

    /// The same trace, one hop further.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span_id: random_span(), is_span: true, ..self }
    }

    /// Whether somebody has made a span of it. The first spans of a trace that has just started are roots.
    #[must_use]
    pub fn is_span(self) -> bool {
        self.is_span
    }

    /// Trace id, span id and flags, as numbers.
    #[must_use]
    pub fn bits(self) -> (u128, u64, u8) {
        (self.trace_id, self.span_id, self.flags)
    }

    /// The trace's id as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The id of the span, which is our place in the trace, as 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span_id)
    }
}

impl PartialEq for TraceParent {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for TraceParent {}

/// Not zero. Each step of a request takes one, so it costs no system call: a sequence that SplitMix64 (Steele, Lea and
/// Flood 2014) makes of one random number for each thread.
fn random_span() -> u64 {
    thread_local! {
        static SEED: Cell<u64> = Cell::new((Uuid::new_v4().as_u128() >> 64) as u64);
    }
    let next = SEED.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    SEED.set(next);
    let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) | 1
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for TraceParent {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("must be a W3C traceparent of version 00")
    }
}

impl From<TraceParent> for String {
    fn from(value: TraceParent) -> Self {
        value.to_string()
    }
}

/// Why something happens: handed from the request through every command and event that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The same for everything that one request set in motion.
    pub correlation_id: CorrelationId,
    /// The message, or for a request the correlation, that directly led to this.
    pub causation_id: Uuid,
    /// The trace this belongs to.
    pub trace: TraceParent,
}

impl Cause {
    /// Something that starts by itself: a timer, a command line.
    #[must_use]
    pub fn start() -> Self {
        Self::request(CorrelationId::new(), TraceParent::start())
    }

    /// A request from outside.
    #[must_use]
    pub fn request(correlation_id: CorrelationId, trace: TraceParent) -> Self {
        Self { correlation_id, causation_id: correlation_id.uuid(), trace }
    }

    /// What follows from a message that was received, at this place in its trace.
    #[must_use]
    pub fn by(self, message: MessageId, trace: TraceParent) -> Self {
        Self { causation_id: message.uuid(), trace, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_recommendation() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = TraceParent::parse(text).expect("the recommendation's own example");
        assert_eq!(parent.to_string(), text);
        assert_eq!(parent.span_id(), "00f067aa0ba902b7");
        assert_eq!(parent.child().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(parent.child().span_id(), parent.span_id());
        assert!(parent.is_span() && !TraceParent::start().is_span() && TraceParent::start().child().is_span());
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}
