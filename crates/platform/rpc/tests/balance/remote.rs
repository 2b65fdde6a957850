//! Calls through an edge to several instances: what a caller notices of one that is away, slow or silent.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bookworm_http::Problem;
use bookworm_kernel::ErrorCode;
use bookworm_registry::Directory;
use bookworm_rpc::{Balancer, Edge, Method, Protocol, local, remote};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tonic::{Status, body::Body};
use tower::ServiceExt;

use super::{ROLE, instance};

const READ: &str = "/test.Shelf/Read";
const METHODS: &[Method] = &[Method::repeatable(READ, Duration::from_secs(2))];

/// How an instance answers.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Answers(Duration),
    Fails,
    Hangs,
}

/// Instances by id, how they answer, and how often they were asked.
#[derive(Clone, Default)]
struct Shelves(Arc<Mutex<BTreeMap<String, (Manner, usize)>>>);

impl Shelves {
    fn of(shelves: &[(&str, Manner)]) -> Self {
        let shelves = shelves.iter().map(|(id, manner)| ((*id).to_owned(), (*manner, 0)));
        Self(Arc::new(Mutex::new(shelves.collect())))
    }

    fn set(&self, id: &str, manner: Manner) {
        self.0.lock().unwrap().get_mut(id).unwrap().0 = manner;
    }

    fn asked(&self, id: &str) -> usize {
        self.0.lock().unwrap()[id].1
    }

    fn edge(&self) -> Edge {
        let ids: Vec<String> = self.0.lock().unwrap().keys().cloned().collect();
        let shelves = self.clone();
        let balancer =
            Balancer::new(ROLE, Protocol::Grpc, Directory::fixed(ids.iter().map(|id| instance(id))), move |instance| {
                let (shelves, id) = (shelves.clone(), instance.id().to_owned());
                Some(local(tower::service_fn(move |request: Request<Body>| {
                    let (shelves, id) = (shelves.clone(), id.clone());
                    async move {
                        assert_eq!(request.headers()["x-fleet"], "signed");
                        Ok::<_, Infallible>(shelves.answer(&id).await)
                    }
                })))
            });
        let sign = Arc::new(|head: &mut http::request::Parts| {
            head.headers.insert("x-fleet", HeaderValue::from_static("signed"));
        });
        Edge::new("test.catalog", remote(balancer, sign), METHODS)
    }

    async fn answer(&self, id: &str) -> Response<Body> {
        let manner = {
            let mut shelves = self.0.lock().unwrap();
            let shelf = shelves.get_mut(id).unwrap();
            shelf.1 += 1;
            shelf.0
        };
        match manner {
            Manner::Answers(after) => {
                tokio::time::sleep(after).await;
                Response::new(Body::new(Full::new(Bytes::from_static(b"read"))))
            }
            Manner::Fails => Status::unavailable("down").into_http(),
            Manner::Hangs => std::future::pending().await,
        }
    }
}

async fn call(edge: &Edge) -> Result<Bytes, Status> {
    let request = Request::post(READ).body(Body::empty()).unwrap();
    Ok(edge.clone().oneshot(request).await?.into_body().collect().await?.to_bytes())
}

const FAST: Manner = Manner::Answers(Duration::from_millis(5));

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_at_one_instance_is_made_at_another() {
    for sick in [Manner::Fails, Manner::Hangs] {
        let shelves = Shelves::of(&[("sick", sick), ("well", FAST)]);
        let edge = shelves.edge();
        for _ in 0..100 {
            call(&edge).await.unwrap();
        }
        assert!(shelves.asked("sick") < 10, "asked {} times: it is avoided", shelves.asked("sick"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_slow_instance_of_two_is_hardly_noticed() {
    let shelves = Shelves::of(&[("one", FAST), ("two", FAST)]);
    let edge = shelves.edge();
    for _ in 0..100 {
        call(&edge).await.unwrap();
    }
    shelves.set("two", Manner::Answers(Duration::from_millis(800)));
    let mut slow = 0;
    for _ in 0..1_000 {
        let began = Instant::now();
        call(&edge).await.unwrap();
        slow += usize::from(began.elapsed() > Duration::from_millis(20));
    }
    assert!(slow <= 10, "{slow} of 1000 were slow");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_well_again_gets_its_share_again() {
    let shelves = Shelves::of(&[("one", FAST), ("two", Manner::Fails)]);
    let edge = shelves.edge();
    for _ in 0..2_000 {
        call(&edge).await.unwrap();
    }
    shelves.set("two", FAST);
    let before = shelves.asked("two");
    let callers = (0..8).map(|_| {
        let edge = edge.clone();
        tokio::spawn(async move {
            for _ in 0..10_000 {
                call(&edge).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let again = shelves.asked("two") - before;
    assert!(again > 20_000, "{again} of 80000");
}

#[tokio::test(start_paused = true)]
async fn when_all_hang_the_caller_waits_no_longer_than_the_method_allows() {
    let shelves = Shelves::of(&[("one", Manner::Hangs), ("two", Manner::Hangs)]);
    let edge = shelves.edge();
    for _ in 0..30 {
        let began = Instant::now();
        let problem = Problem::from(call(&edge).await.unwrap_err());
        assert!(began.elapsed() <= Duration::from_secs(2));
        assert!(matches!(problem.code(), ErrorCode::Timeout | ErrorCode::Unavailable));
    }
    assert!(shelves.asked("one") + shelves.asked("two") <= 39, "no storm of retries: {}", shelves.asked("one"));
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_there_the_caller_hears_it_soon() {
    let edge = Shelves::default().edge();
    let began = Instant::now();
    let problem = Problem::from(call(&edge).await.unwrap_err());
    assert!(matches!(problem.code(), ErrorCode::Unavailable | ErrorCode::Timeout));
    assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
}
