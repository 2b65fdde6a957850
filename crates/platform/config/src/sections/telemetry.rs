use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// Logs, metrics and traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// How log lines look. Default `pretty`.
    pub log_format: LogFormat,
    /// Which lines are written: a level, or levels for each module such as `info,bookworm_ordering=debug`. Default
    /// `info`.
    pub log_filter: String,
    /// What a scraper of another machine sends as `Authorization: Bearer ...` to read `/metrics`: 16 to 255 visible
    /// characters. Left out: only this machine itself may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_token: Option<Secret>,
    /// Where spans are sent by OTLP over gRPC: the address of an OpenTelemetry collector, such as
    /// `http://10.0.0.5:4317`, or `https://`. Left out: nowhere, and none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<Url>,
    /// Headers of each request to the collector, such as `authorization=Bearer 1234,x-tenant=shop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_headers: Option<Secret>,
    /// Which share of the traces that begin here is exported: 0 to 1. A request that brings a `traceparent` does as that
    /// says. Default 1.
    pub trace_ratio: f64,
    /// How much memory the recent traces take at most that this process keeps for staff, in MiB: 0 to 4,096; 0 keeps none.
    /// Default 32.
    pub recent_traces_mib: u32,
    /// How long they are kept, in minutes: 1 to 1,440. Traces with a failure, and slow ones, four times as long. Default
    /// 60.
    pub recent_traces_minutes: u32,
}

impl Telemetry {
    /// The names and values of `otlp_headers`.
    pub fn otlp_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.otlp_headers.as_ref().map_or("", Secret::expose);
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| (name.trim(), value.trim()))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object on each line.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Pretty,
            log_filter: "info".to_owned(),
            metrics_token: None,
            otlp_endpoint: None,
            otlp_headers: None,
            trace_ratio: 1.0,
            recent_traces_mib: 32,
            recent_traces_minutes: 60,
        }
    }
}

impl Validate for Telemetry {
    fn validate(&self, v: &mut Validation) {
        v.check("log_filter", !self.log_filter.trim().is_empty(), "must not be empty; `off` writes nothing");
        if let Some(token) = &self.metrics_token {
            let token = token.expose();
            let valid = (16..=255).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
            v.check("metrics_token", valid, "must be 16 to 255 visible ASCII characters");
        }
        let is_address = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/";
        v.check(
            "otlp_endpoint",
            self.otlp_endpoint.as_ref().is_none_or(is_address),
            "must be http:// or https:// and a host and port, without a path: http://10.0.0.5:4317",
        );
        let is_header = |(name, value): (&str, &str)| {
            let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
            let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
            !name.is_empty() && name.bytes().all(letters) && !value.is_empty() && value.bytes().all(visible)
        };
        v.check(
            "otlp_headers",
            self.otlp_headers().all(is_header),
            "must be name=value pairs with commas between them",
        );
        v.check("trace_ratio", (0.0..=1.0).contains(&self.trace_ratio), "must be 0 to 1");
        v.check("recent_traces_mib", self.recent_traces_mib <= 4096, "must be 0 to 4096");
        v.check("recent_traces_minutes", (1..=1440).contains(&self.recent_traces_minutes), "must be 1 to 1440");
    }
}

#[cfg(test)]
mod tests {
    use crate::{Settings, Sources};

    #[test]
    fn what_cannot_be_exported_to_is_refused_in_words() {
        for (key, value, words) in [
            ("telemetry.otlp_endpoint", "ftp://a:1", "telemetry.otlp_endpoint: must be http:// or https://"),
            ("telemetry.otlp_endpoint", "http://a:1/v1/traces", "telemetry.otlp_endpoint: must be http:// or https://"),
            ("telemetry.otlp_headers", "authorization", "telemetry.otlp_headers: must be name=value pairs"),
            ("telemetry.otlp_headers", "a b=c", "telemetry.otlp_headers: must be name=value pairs"),
            ("telemetry.trace_ratio", "1.5", "telemetry.trace_ratio: must be 0 to 1"),
            ("telemetry.trace_ratio", "NaN", "telemetry.trace_ratio: must be"),
            ("telemetry.recent_traces_mib", "5000", "telemetry.recent_traces_mib: must be 0 to 4096"),
            ("telemetry.recent_traces_minutes", "0", "telemetry.recent_traces_minutes: must be 1 to 1440"),
        ] {
            let error = Settings::load(Sources::new().set("a test", key, value)).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
        let headers = ("telemetry.otlp_headers", "authorization=Bearer a=b, x-tenant = shop,");
        let settings = Settings::load(Sources::new().set("a test", headers.0, headers.1)).unwrap();
        let read: Vec<_> = settings.telemetry.otlp_headers().collect();
        assert_eq!(read, [("authorization", "Bearer a=b"), ("x-tenant", "shop")]);
        assert!(!settings.redacted_toml().contains("Bearer"));
    }
}
