//! The program's spans, as a collector sees them.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use bookworm_testkit::{Collector, SpanKind};
use serde_json::Value;

use crate::program::{Program, ask, get};

fn ask_in(trace: &str) -> String {
    format!("GET /api/v1/books HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{trace}\r\n")
}

fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name}: {answer}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_in_logs_and_answers_are_those_of_the_spans_and_the_last_one_is_sent_at_the_end() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let settings = [
        ("BOOKWORM_TELEMETRY__OTLP_ENDPOINT", &*endpoint),
        ("BOOKWORM_TELEMETRY__TRACE_RATIO", "0"),
        ("BOOKWORM_TELEMETRY__LOG_FORMAT", "json"),
        ("BOOKWORM_FLEET__INSTANCE", "red"),
    ];
    let mut program = Program::start(1024, &settings).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (sampled, _) =
        ask(1, program.address, &ask_in(&format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n"))).await;
    let (unsampled, _) = ask(1, program.address, &ask_in("")).await;
    program.signal("TERM").await;
    assert!(program.ended().await.success());

    let spans = collector.spans();
    let place = header(&sampled, "traceparent");
    assert!(place.starts_with(&format!("00-{trace}-")) && place.ends_with("-01"), "{place}");
    let span = spans.iter().find(|span| place.contains(&span.id)).unwrap();
    assert_eq!((&*span.name, span.kind), ("GET /api/v1/books", SpanKind::Server));
    assert_eq!((&*span.trace, span.parent.as_deref()), (trace, Some("00f067aa0ba902b7")));
    assert_eq!((&*span.attributes["http.response.status_code"], &*span.instance), ("200", "red"));
    assert!(
        spans.iter().all(|span| span.trace == trace),
        "with a share of 0 only traces that others began: {spans:#?}"
    );
    let other = header(&unsampled, "traceparent");
    assert!(other.ends_with("-00") && other.len() == place.len(), "it has ids all the same: {other}");

    let log = program.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let answered: Vec<Value> = lines.filter(|line| line["message"] == "answered").collect();
    for (answer, line) in [(place, &answered[0]), (other, &answered[1])] {
        let logged = (line["trace_id"].as_str().unwrap(), line["span_id"].as_str().unwrap());
        assert_eq!((&answer[3..35], &answer[36..52]), logged);
    }
    assert_eq!(answered[0]["correlation_id"], span.attributes["bookworm.correlation_id"]);
}

/// A collector that is not there, and one that accepts connections and never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_does_not_answer_delays_nobody() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let absent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), absent] {
        let endpoint = format!("http://{address}");
        let mut program = Program::start(1024, &[("BOOKWORM_TELEMETRY__OTLP_ENDPOINT", &*endpoint)]).await;
        for _ in 0..50 {
            let (answer, took) = ask(1, program.address, &get("/api/v1/books")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            // The exporter waits for 5 s; nobody waits for the exporter.
            assert!(took < Duration::from_secs(4), "{took:?}");
        }
        let begun = Instant::now();
        program.signal("TERM").await;
        assert!(program.ended().await.success());
        assert!(begun.elapsed() < Duration::from_secs(40), "the end does not wait for it long: {:?}", begun.elapsed());
        assert!(program.log().matches("the collector does not take spans").count() <= 1, "it is said once");
    }
}
