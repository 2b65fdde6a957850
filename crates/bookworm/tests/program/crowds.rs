//! One address, and six, doing their worst: others are answered within a second. With the descriptors that shells and
//! service managers give by default, and with default limits.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::program::{Program, ask, connect, get};

/// How many connections each address tries to hold.
const EACH: usize = 160;
/// A line for each refused request would be most of the work.
const QUIET: [(&str, &str); 1] = [("BOOKWORM_TELEMETRY__LOG_FILTER", "warn")];
/// What others may wait for an answer, beside what the machine needs for it anyway.
const WITHIN: Duration = Duration::from_secs(1);
/// So many times as long as without an attack an answer may take beside: the attackers run on the same machine.
const LOADED: u32 = 10;

#[derive(Debug, Clone, Copy)]
enum Way {
    Idle,
    HalfHeads,
    SlowBodies,
    SlowBodiesOverHttp2,
    SlowReaders,
    SlowReadersOverHttp2,
    WebSockets,
    EventStreams,
    LongPolling,
}

impl Way {
    const ALL: [Self; 9] = [
        Self::Idle,
        Self::HalfHeads,
        Self::SlowBodies,
        Self::SlowBodiesOverHttp2,
        Self::SlowReaders,
        Self::SlowReadersOverHttp2,
        Self::WebSockets,
        Self::EventStreams,
        Self::LongPolling,
    ];

    /// Opens a connection, and does with it what uses most for longest. `None`: it was refused.
    async fn open(self, from: u8, to: SocketAddr) -> Option<Vec<TcpStream>> {
        let mut stream = connect(from, to).await.ok()?;
        let mut others = Vec::new();
        match self {
            Self::Idle => {}
            Self::HalfHeads => stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nX-Half: ").await.ok()?,
            Self::SlowBodies => {
                let head = "POST /api/v1/identity/password-reset HTTP/1.1\r\nHost: shop\r\n\
                            Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
                stream.write_all(head.as_bytes()).await.ok()?;
            }
            Self::SlowBodiesOverHttp2 => {
                let streams = (0..20).map(|n| http2::headers(2 * n + 1, "/api/v1/identity/password-reset", true));
                stream.write_all(&http2::opening(65_535)).await.ok()?;
                stream.write_all(&streams.collect::<Vec<_>>().concat()).await.ok()?;
            }
            Self::SlowReaders => stream.write_all(get_many("/api/v1/openapi.json", 4).as_bytes()).await.ok()?,
            Self::SlowReadersOverHttp2 => {
                let streams = (0..20).map(|n| http2::headers(2 * n + 1, "/api/v1/openapi.json", false));
                stream.write_all(&http2::opening(1)).await.ok()?;
                stream.write_all(&streams.collect::<Vec<_>>().concat()).await.ok()?;
            }
            Self::WebSockets => {
                let head = "GET /hubs/chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                stream.write_all(head.as_bytes()).await.ok()?;
                head_with(&mut stream, " 101 ").await?;
                for text in ["{\"protocol\":\"json\",\"version\":1}\u{1e}", "{\"type\":6}\u{1e}"] {
                    stream.write_all(&masked(text)).await.ok()?;
                }
            }
            Self::EventStreams | Self::LongPolling => {
                let id = negotiate(from, to).await?;
                let accept = if matches!(self, Self::EventStreams) { "text/event-stream" } else { "*/*" };
                let poll = format!("GET /hubs/chat?id={id} HTTP/1.1\r\nHost: shop\r\nAccept: {accept}\r\n\r\n");
                stream.write_all(poll.as_bytes()).await.ok()?;
                head_with(&mut stream, " 200 ").await?;
                if matches!(self, Self::LongPolling) {
                    // The first poll is answered at once; the second hangs.
                    let mut second = connect(from, to).await.ok()?;
                    second.write_all(poll.as_bytes()).await.ok()?;
                    others.push(second);
                }
            }
        }
        others.push(stream);
        Some(others)
    }

    /// Whether what was opened is still there: a refused connection is closed soon. Slow readers have an answer
    /// waiting, and everybody else nothing.
    async fn is_held(streams: &mut [TcpStream]) -> bool {
        for stream in streams {
            let mut response = [0; 64];
            match timeout(Duration::from_millis(20), stream.peek(&mut response)).await {
                Ok(Ok(0) | Err(_)) => return false,
                Ok(Ok(n))
                    if response[..n].starts_with(b"HTTP/1.1 429") || response[..n].starts_with(b"HTTP/1.1 503") =>
                {
                    return false;
                }
                _ => {}
            }
        }
        true
    }
}

fn get_many(path: &str, times: usize) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n").repeat(times)
}

async fn head_with(stream: &mut TcpStream, status: &str) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(Duration::from_secs(10), stream.read_u8()).await.ok()?.ok()?);
    }
    String::from_utf8_lossy(&head).lines().next()?.contains(status).then_some(())
}

async fn negotiate(from: u8, to: SocketAddr) -> Option<String> {
    let request = "POST /hubs/chat/negotiate?negotiateVersion=1 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\
                   Content-Length: 0\r\n\r\n";
    let (answer, _) = ask(from, to, request).await;
    let (_, token) = answer.split_once("\"connectionToken\":\"")?;
    Some(token.split('"').next()?.to_owned())
}

/// A text in a WebSocket frame of a client; short, and masked with zeros.
fn masked(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// As much of HTTP/2 (RFC 9113, RFC 7541) as it takes to open streams.
mod http2 {
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// The preface, and settings that let the server send this many bytes on each stream.
    pub fn opening(window: u32) -> Vec<u8> {
        let initial_window = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &initial_window)].concat()
    }

    /// The head of a request, with a body to come or without one.
    pub fn headers(stream: u32, path: &str, body: bool) -> Vec<u8> {
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let mut block = vec![if body { 0x83 } else { 0x82 }, 0x86, 0x04];
        block.extend(text(path));
        block.push(0x01);
        block.extend(text("shop"));
        block.extend([0x0f, 0x10]);
        block.extend(text("application/json"));
        frame(1, if body { 0x4 } else { 0x5 }, stream, &block)
    }
}

/// Keeps as many connections open as it gets, from this address, until it is stopped.
async fn attack(way: Way, from: u8, to: SocketAddr, stop: Arc<AtomicBool>, tried: Arc<AtomicUsize>) {
    let mut open: Vec<Vec<TcpStream>> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut opening = JoinSet::new();
        for _ in 0..(EACH - open.len()).min(40) {
            opening.spawn(async move {
                let mut streams = way.open(from, to).await?;
                Way::is_held(&mut streams).await.then_some(streams)
            });
        }
        let before = open.len();
        while let Some(opened) = opening.join_next().await {
            tried.fetch_add(1, Ordering::Relaxed);
            open.extend(opened.unwrap());
        }
        // It is about connections, not about how much a machine can compute.
        tokio::time::sleep(Duration::from_millis(100)).await;
        if open.len() == before {
            // What the server has closed meanwhile is opened anew.
            let mut still = Vec::new();
            for mut streams in std::mem::take(&mut open) {
                if Way::is_held(&mut streams).await {
                    still.push(streams);
                }
            }
            open = still;
        }
    }
}

const QUESTION: &str = "/api/v1/books?limit=1";

/// How long a request takes while nobody attacks: the median of five.
async fn unloaded(program: &Program) -> Duration {
    let mut took = Vec::new();
    for _ in 0..5 {
        took.push(ask(99, program.address, &get(QUESTION)).await.1);
    }
    took.sort();
    took[2]
}

/// Attacks from these addresses, and asks from another one meanwhile.
async fn others_are_answered(
    program: &Program,
    way: Way,
    attackers: std::ops::RangeInclusive<u8>,
    other: u8,
    within: Duration,
) {
    let (stop, mut attacks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    let tried: Vec<_> = attackers.map(|from| (from, Arc::new(AtomicUsize::new(0)))).collect();
    for (from, tried) in &tried {
        attacks.spawn(attack(way, *from, program.address, Arc::clone(&stop), Arc::clone(tried)));
    }
    // Until everybody has all that they can get: a round beyond what they may hold.
    for _ in 0..1200 {
        if tried.iter().all(|(_, tried)| tried.load(Ordering::Relaxed) >= EACH) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let mut slow = Vec::new();
    for _ in 0..10 {
        let (answer, took) = ask(other, program.address, &get(QUESTION)).await;
        let status = answer.lines().next().unwrap_or_default();
        assert!(status.contains(" 200 "), "{way:?} from {} addresses: {status}", tried.len());
        if took > within {
            slow.push(took);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Some may fall into a pause of a busy machine; a shop that is taken away answers none.
    assert!(slow.len() <= 5, "{way:?} from {} addresses: {slow:?}", tried.len());
    stop.store(true, Ordering::Relaxed);
    attacks.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_takes_nothing_from_others() {
    let mut program = Program::start(1024, &QUIET).await;
    let within = WITHIN + LOADED * unloaded(&program).await;
    for (n, way) in (0..).zip(Way::ALL) {
        others_are_answered(&program, way, 2..=2, 100 + n, within).await;
    }
    end(&mut program).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_addresses_take_nothing_from_others() {
    let mut program = Program::start(1024, &QUIET).await;
    let within = WITHIN + LOADED * unloaded(&program).await;
    for (n, way) in (0..).zip(Way::ALL) {
        others_are_answered(&program, way, 1..=6, 100 + n, within).await;
    }
    let (metrics, _) = ask(120, program.address, &get("/metrics")).await;
    let refused = metrics.lines().find(|line| line.starts_with("http_connections_refused_total{reason=\"address\"}"));
    assert!(refused.is_some(), "refusals are counted");
    assert!(!program.log().contains("cannot accept a connection"), "descriptors are left");
    end(&mut program).await;
}

async fn end(program: &mut Program) {
    program.signal("TERM").await;
    assert!(program.ended().await.success());
}

#[tokio::test]
async fn the_limits_fit_into_the_descriptors_and_are_said() {
    let program = Program::start(1024, &[]).await;
    let log = program.log();
    let response = log.lines().find(|line| line.contains("limits of connections")).unwrap_or_default();
    for number in ["1024", "768", "256", "576", "288"] {
        assert!(response.contains(number), "{number} in {response}");
    }
}
