use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bookworm_config::Settings;
use bookworm_kernel::Timestamp;
use bookworm_registry::{Directory, Member, State};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bus;

/// How long the registry may take to say who is there.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The processes of the shop.
#[derive(Debug)]
pub struct Fleet(Vec<Member>);

impl Fleet {
    /// Whether a process's role is ready, by the role's and the process's name.
    #[must_use]
    pub fn is_ready(&self, role: &str, process: &str) -> bool {
        self.0.iter().any(|Member { instance, .. }| {
            instance.role() == role && instance.id() == process && instance.state == State::Ready
        })
    }

    /// For programs: `{"instances": [...]}`, each as in `GET /api/v1/fleet`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let instance = |Member { instance, verdict }: &Member| {
            let mut shown = json!({
                "role": instance.role(),
                "instance": instance.id(),
                "version": instance.version,
                "started_at": Timestamp::from_micros(instance.generation),
                "zone": instance.zone,
                "state": instance.state.name(),
                "requests": instance.load.requests,
                "open_breakers": instance.load.open_breakers,
                "ejected": instance.load.ejected,
            });
            if let Some(address) = &instance.grpc {
                shown["address"] = json!(address);
            }
            if let Some(verdict) = verdict {
                shown["verdict"] = json!({"reason": verdict.reason, "since": verdict.since});
            }
            shown
        };
        json!({"instances": self.0.iter().map(instance).collect::<Vec<_>>()})
    }
}

const HEADINGS: [&str; 8] = ["ROLE", "PROCESS", "STATE", "REQUESTS", "RELEASE", "STARTED", "ZONE", "ADDRESS"];

impl fmt::Display for Fleet {
    /// A table, and below it what is wrong with whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "no process of the shop announces itself");
        }
        let row = |Member { instance, verdict }: &Member| {
            let state = if verdict.is_some() { "out" } else { instance.state.name() };
            let started = Timestamp::from_micros(instance.generation / 1_000_000 * 1_000_000);
            let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
            [
                instance.role().to_owned(),
                instance.id().to_owned(),
                state.to_owned(),
                instance.load.requests.to_string(),
                instance.version.clone(),
                started.to_string(),
                or_dash(&instance.zone),
                or_dash(instance.grpc.as_deref().unwrap_or_default()),
            ]
        };
        let rows: Vec<[String; 8]> = [HEADINGS.map(str::to_owned)].into_iter().chain(self.0.iter().map(row)).collect();
        let mut widths = [0; 8];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &rows {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        for Member { instance, verdict } in &self.0 {
            if let Some(verdict) = verdict {
                writeln!(f, "{} is out since {}: {}", instance.key, verdict.since, verdict.reason)?;
            }
            if !instance.load.open_breakers.is_empty() {
                writeln!(f, "{} does not reach: {}", instance.key, instance.load.open_breakers.join(", "))?;
            }
            if !instance.load.ejected.is_empty() {
                writeln!(f, "{} leaves alone: {}", instance.key, instance.load.ejected.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Who announces itself in the registry that the shop's processes share.
///
/// # Errors
/// When the settings name none, or it does not answer.
pub async fn fleet(settings: &Settings) -> anyhow::Result<Fleet> {
    if settings.nats.url.is_none() {
        bail!(
            "the settings name no registry that processes share: set nats.url to that of the shop (--config, or \
             BOOKWORM_NATS__URL). Processes that share none do not announce themselves"
        );
    }
    let registry = bus::registry(&settings.nats).await?;
    let (directory, follower) = Directory::following(Arc::new(registry));
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let stop = stop.clone();
        async move { follower.run(stop).await }
    });
    let view = tokio::time::timeout(TIMEOUT, directory.wait_until(|view| view.current)).await;
    stop.cancel();
    let _ = following.await;
    let view = view.with_context(|| format!("the registry does not answer within {} seconds", TIMEOUT.as_secs()))?;
    Ok(Fleet(view.members.clone()))
}

#[cfg(test)]
mod tests {
    use bookworm_registry::{Instance, Key, Load, Verdict};

    use super::*;

    fn member(role: &str, verdict: bool) -> Member {
        let key = Key::new(role, "a1b2").unwrap();
        let instance = Instance {
            key: key.clone(),
            generation: 1_772_366_400_123_456,
            grpc: Some("http://10.0.0.5:9000".to_owned()),
            http: None,
            version: "1.2.3".to_owned(),
            zone: String::new(),
            state: State::Ready,
            capabilities: Vec::new(),
            load: Load {
                requests: 3,
                open_breakers: if verdict { vec!["x.y".to_owned()] } else { Vec::new() },
                ejected: if verdict { vec!["catalog.a1b2".to_owned()] } else { Vec::new() },
            },
        };
        let reason = "it cannot be reached".to_owned();
        let verdict = verdict.then(|| Verdict {
            key,
            generation: instance.generation,
            reason,
            since: Timestamp::from_micros(1_772_366_460_000_000),
        });
        Member { instance, verdict }
    }

    #[test]
    fn the_table_has_a_line_for_each_role_of_each_process_and_says_what_is_wrong() {
        let fleet = Fleet(vec![member("catalog", false), member("ai", true)]);
        let lines: Vec<String> = fleet.to_string().lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "ROLE     PROCESS  STATE  REQUESTS  RELEASE  STARTED               ZONE  ADDRESS",
                "catalog  a1b2     ready  3         1.2.3    2026-03-01T12:00:00Z  -     http://10.0.0.5:9000",
                "ai       a1b2     out    3         1.2.3    2026-03-01T12:00:00Z  -     http://10.0.0.5:9000",
                "ai.a1b2 is out since 2026-03-01T12:01:00Z: it cannot be reached",
                "ai.a1b2 does not reach: x.y",
                "ai.a1b2 leaves alone: catalog.a1b2",
            ]
        );
        assert!(fleet.is_ready("catalog", "a1b2"));
        assert!(!fleet.is_ready("catalog", "b2c3") && !fleet.is_ready("chat", "a1b2"));
        assert_eq!(Fleet(Vec::new()).to_string(), "no process of the shop announces itself\n");
    }

    #[test]
    fn programs_read_the_same() {
        let json = Fleet(vec![member("catalog", false), member("ai", true)]).to_json();
        assert_eq!(json["instances"][0]["address"], "http://10.0.0.5:9000");
        assert_eq!(json["instances"][0].get("verdict"), None);
        assert_eq!(json["instances"][1]["ejected"][0], "catalog.a1b2");
        assert_eq!(json["instances"][1]["verdict"]["since"], "2026-03-01T12:01:00Z");
    }
}
