//! A real Prometheus, with the configuration of `deploy/`, reads the program's metrics and evaluates the rules.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
};

use bookworm_testkit::until;
use serde_json::Value;
use tokio::process::Command;

use crate::program::{Program, ask, get};

/// What Prometheus answers to this question; `None` until it does.
async fn answer(prometheus: SocketAddr, path: &str) -> Option<Value> {
    // Not chunked, as an HTTP/1.0 answer is.
    let request = get(path).replace("HTTP/1.1", "HTTP/1.0");
    let (answer, _) = ask(1, prometheus, &request).await;
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    (body["status"] == "success").then(|| body["data"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_the_program_and_evaluates_the_rules() {
    if !Command::new("prometheus").arg("--version").output().await.is_ok_and(|version| version.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI must test this: scripts/test-alerts installs Prometheus");
        eprintln!("SKIPPED: no prometheus here; scripts/test-alerts installs it");
        return;
    }
    let program = Program::start(1024, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus");
    let configuration = std::fs::read_to_string(deploy.join("prometheus.yml")).unwrap();
    let configuration =
        configuration.replace("127.0.0.1:8080", &program.address.to_string()).replace("interval: 15s", "interval: 1s");
    std::fs::write(folder.path().join("prometheus.yml"), configuration).unwrap();
    std::fs::copy(deploy.join("rules.yml"), folder.path().join("rules.yml")).unwrap();
    // Free at this moment; nobody else asks for this one by its number.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let _prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();

    ask(1, program.address, &get("/api/v1/books")).await;
    until("what was asked of the program is in Prometheus", async || {
        let counted =
            answer(address, "/api/v1/query?query=http_requests_total%7Broute%3D%22%2Fapi%2Fv1%2Fbooks%22%7D").await?;
        counted["result"].as_array().filter(|series| !series.is_empty()).map(drop)
    })
    .await;
    let rules = until("every rule was evaluated", async || {
        let groups = answer(address, "/api/v1/rules").await?;
        let groups = groups["groups"].as_array()?;
        let rules: Vec<Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        (!rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown")).then_some(rules)
    })
    .await;
    for rule in &rules {
        assert_eq!((&rule["health"], rule.get("lastError")), (&"ok".into(), None), "{rule:#}");
        // One slow scrape of a busy machine makes some of them pending.
        assert!(rule["type"] != "alerting" || rule["state"] != "firing", "a well program raises none: {rule:#}");
    }
    assert!(rules.len() > 30, "all of them: {}", rules.len());
}
