#![allow(clippy::unwrap_used)]
use std::{sync::{Arc, atomic::{AtomicU64, Ordering}}, time::{Duration, Instant}};
use axum::{Json, response::IntoResponse, routing::get, Router};
use bookworm_config::Gateway;
use bookworm_db::Databases;
use bookworm_gateway::*;
use bookworm_http::auth::TokenVerifier;
use bookworm_kernel::{Clock, SystemClock};
use bookworm_messaging::{DbBus, SharedBus};
use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn perf() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let db = Databases::Sqlite(folder.path().to_owned()).open("bus").await.unwrap();
    let bus: SharedBus = Arc::new(DbBus::open(db, clock.clone(), Duration::from_secs(30)).await.unwrap());
    let mut s = Gateway::default(); s.rate_limit.enabled = false;
    let g = GatewayService::new(s, Arc::new(TokenVerifier::new(None, "b", clock.clone())), bus, clock, None);
    let body = serde_json::json!({"items": vec!["x".repeat(1000); 30]});
    let services = OpenApiRouter::new().route("/search", get(move || { let b = body.clone(); async move { Json(b).into_response() } }));
    let api = g.api(services);
    let t0 = Instant::now();
    for _ in 0..50_000 {
        use tower::ServiceExt;
        let r = api.clone().oneshot(http::Request::get("/api/v1/search?q=the+sea").body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(r.status(), 200);
    }
    println!("PERF in process {:.2} us a hit", t0.elapsed().as_secs_f64() * 1e6 / 50_000.0);
    let front = g.front(api, Backends { pages: None, others: Router::new(), health: Health::new(vec![], CancellationToken::new()), metrics: Metrics::new(|| Box::pin(async { String::new() })) });
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let a = l.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(l, front).await.unwrap() });
    let n = Arc::new(AtomicU64::new(0));
    let t = Instant::now();
    let mut js = vec![];
    for _ in 0..16 { let n = n.clone(); js.push(tokio::spawn(async move {
        let mut c = TcpStream::connect(a).await.unwrap(); c.set_nodelay(true).unwrap();
        let mut buf = vec![0u8; 1 << 16];
        while t.elapsed() < Duration::from_secs(5) {
            c.write_all(b"GET /api/v1/search?q=the+sea HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut got = 0; let mut need = usize::MAX;
            while got < need { got += c.read(&mut buf[got..]).await.unwrap();
                if need == usize::MAX && let Some(p) = buf[..got].windows(4).position(|w| w == b"\r\n\r\n") {
                    let h = std::str::from_utf8(&buf[..p]).unwrap().to_ascii_lowercase();
                    let len: usize = h.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
                    need = p + 4 + len; } }
            n.fetch_add(1, Ordering::Relaxed);
        } })); }
    for j in js { j.await.unwrap(); }
    println!("PERF {:.0}/s", n.load(Ordering::Relaxed) as f64 / t.elapsed().as_secs_f64());
}
