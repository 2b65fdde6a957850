//! Every call between services, with a callee that accepts it and never answers. In virtual time.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use bookworm_contracts::grpc::methods::ALL;
use bookworm_registry::{Directory, contract::instance};
use bookworm_rpc::{Balancer, Edge, Protocol, Transport, local, remote};
use http::{Request, Response};
use tokio::time::Instant;
use tonic::{Code, body::Body};
use tower::ServiceExt;

/// A callee that accepts every question and answers none.
fn silent() -> Transport {
    local(tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>()))
}

/// The way to these instances of a role in other processes, all of them silent.
fn elsewhere(ids: &[&str]) -> Transport {
    let directory = Directory::fixed(ids.iter().map(|id| instance("callee", id)));
    let balancer = Balancer::new("callee", Protocol::Grpc, directory, |_| Some(silent()));
    remote(balancer, Arc::new(|_: &mut http::request::Parts| {}))
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_method_allows_whatever_the_callee_does() {
    let ways = [silent(), elsewhere(&["one"]), elsewhere(&["one", "two", "three"]), elsewhere(&[])];
    for (method, methods) in ALL.iter().flat_map(|table| table.iter().map(move |method| (method, *table))) {
        for way in &ways {
            let edge = Edge::new("test.callee", way.clone(), methods);
            // Until the breaker opens, and beyond.
            for call in 0..15 {
                let began = Instant::now();
                let request = Request::post(method.path).body(Body::empty()).unwrap();
                let status = edge.clone().oneshot(request).await.unwrap_err();
                assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Unavailable), "{status:?}");
                // The timers of tokio count whole milliseconds.
                let most = method.timeout + Duration::from_millis(2);
                assert!(began.elapsed() <= most, "{} took {:?} in call {call}", method.path, began.elapsed());
            }
        }
    }
}
