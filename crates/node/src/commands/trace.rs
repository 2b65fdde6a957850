use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use axum::body::Body;
use bookworm_config::{Secret, Settings};
use bookworm_contracts::rest::operations::Trace;
use bookworm_http::outbound;
use http::{Request, StatusCode, header};

/// How long the shop may take to gather the steps from its processes.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The longest answer that is read.
const LONGEST: usize = 64 << 20;

/// What is known of a trace, as a tree of its steps.
#[derive(Debug)]
pub struct ShownTrace(Trace);

impl ShownTrace {
    /// The same as a Mermaid sequence diagram.
    #[must_use]
    pub fn mermaid(&self) -> &str {
        &self.0.diagram.mermaid
    }
}

impl fmt::Display for ShownTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trace { started_at, steps, expected, unreachable, .. } = &self.0;
        writeln!(f, "began {started_at}, {} steps", steps.len())?;
        for step in steps {
            let ms = |micros: u64| micros as f64 / 1000.0;
            let failed = if step.failed { " FAILED" } else { "" };
            let indent = "  ".repeat(step.depth as usize);
            writeln!(
                f,
                "{:>10.1} ms {:>9.1} ms  {indent}{}{failed}",
                ms(step.offset_us),
                ms(step.duration_us),
                step.name
            )?;
        }
        if let Some(expected) = expected {
            let missing: Vec<_> = expected.arrows.iter().filter(|arrow| !arrow.seen && !arrow.optional).collect();
            if missing.is_empty() {
                writeln!(f, "{}: everything happened as it is written down", expected.name)?;
            }
            for arrow in missing {
                writeln!(f, "{}: missing: {} to {}: {}", expected.name, arrow.from, arrow.to, arrow.label)?;
            }
        }
        if !unreachable.is_empty() {
            writeln!(f, "these processes did not answer, so their steps are missing: {}", unreachable.join(", "))?;
        }
        Ok(())
    }
}

/// Asks the running shop of these settings for a trace, or for everything about an order or a conversation: its operations
/// listener where it has one, otherwise its public address, which believes this machine and `telemetry.metrics_token`.
///
/// # Errors
/// When no shop answers there, it refuses, or it does not know the trace any more.
pub async fn trace(settings: &Settings, of: &str) -> anyhow::Result<ShownTrace> {
    if of.is_empty() || !of.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        bail!("`{of}` is neither the id of a trace nor that of an order or a conversation");
    }
    let address = reachable(settings.fleet.operations_listen.unwrap_or(settings.listen));
    let mut request = Request::get(format!("http://{address}/traces/{of}")).header(header::ACCEPT, "application/json");
    if let Some(token) = &settings.telemetry.metrics_token {
        let value = outbound::bearer(Secret::expose(token)).map_err(anyhow::Error::msg)?;
        request = request.header(header::AUTHORIZATION, value);
    }
    let asked = async {
        let answer = outbound::client(TIMEOUT).request(request.body(Default::default())?).await?;
        let status = answer.status();
        let body = axum::body::to_bytes(Body::new(answer.into_body()), LONGEST).await?;
        anyhow::Ok((status, body))
    };
    let answer = tokio::time::timeout(TIMEOUT, asked).await.context("it takes too long").and_then(|answer| answer);
    let (status, body) = answer.with_context(|| format!("the shop was not reached at {address}"))?;
    match status {
        StatusCode::OK => Ok(ShownTrace(serde_json::from_slice(&body).context("the answer is of another release")?)),
        StatusCode::NOT_FOUND => {
            bail!("the shop knows nothing of {of} any more: recent traces are kept for a while only")
        }
        StatusCode::FORBIDDEN => bail!("the shop refuses: ask on its own machine, or set telemetry.metrics_token"),
        other => bail!("the shop at {address} answered {other}"),
    }
}

/// Where a listener is reached that listens everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip().is_unspecified() {
        true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
        false => listen,
    }
}
