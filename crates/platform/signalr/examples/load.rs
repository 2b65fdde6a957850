//! Load on a hub: memory of idle connections, echoed messages, broadcasts, slow readers.
//!
//! `cargo run --release -p bookworm-signalr --example load -- [memory|echo|broadcast|slow]...`
//!
//! The server runs in a process of its own, so that its memory is the server's alone; client and server share the
//! machine. Each part is bounded in time. The clients write plain WebSocket frames on TCP, one message in each frame.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::serve::ListenerExt as _;
use bookworm_signalr::{Context, Hub, Options};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const IDLE: usize = 10_000;
const ECHOING: usize = 1_000;
/// How many echoes each connection has on their way.
const WINDOW: usize = 8;
const LISTENING: usize = 5_000;
const BROADCASTS: usize = 30;
const SLOW: usize = 50;
/// A text as long as a chat message.
const TEXT: &str = "What do you think of the new edition, is it worth it?";

macro_rules! say {
    ($($what:tt)*) => { writeln!(std::io::stdout(), $($what)*)? };
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if asked.first().is_some_and(|first| first == "serve") {
        return serve().await;
    }
    let all = ["memory", "echo", "broadcast", "slow"].map(str::to_owned).to_vec();
    for part in if asked.is_empty() { all } else { asked } {
        let server = Server::start()?;
        match part.as_str() {
            "memory" => memory(&server).await?,
            "echo" => echo(&server).await?,
            "broadcast" => broadcast(&server).await?,
            "slow" => slow(&server).await?,
            other => return Err(format!("no part is called {other}").into()),
        }
    }
    Ok(())
}

// ---- the server ----------------------------------------------------------------------------------------------------

async fn serve() -> Result<(), AnyError> {
    let options = Options { maximum_connections: 50_000, ..Options::default() };
    let hub = Hub::builder("load", ())
        .on("Echo", async |_: Context<()>, text: String| Ok(text))
        .on("Broadcast", async |ctx: Context<()>, text: String| Ok(ctx.clients().all().send("said", (text,)).await?))
        .build(options);
    let listener = tokio::net::TcpSocket::new_v4()?;
    listener.bind("127.0.0.1:0".parse()?)?;
    let listener = listener.listen(4096)?;
    say!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, hub.router("/hub")).await?;
    Ok(())
}

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Result<Self, AnyError> {
        let mut process = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut address)?;
        Ok(Self { process, address: address.trim().to_owned() })
    }

    /// Resident memory in kB.
    fn resident(&self) -> Result<u64, AnyError> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// ---- clients -------------------------------------------------------------------------------------------------------

/// A masked text frame whose mask is zero.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(short @ 0..=125) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(text.len()).expect("messages here are short").to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

async fn connect(address: &str) -> Result<TcpStream, AnyError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /hub HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err("the upgrade was refused".into());
    }
    stream.write_all(&frame("{\"protocol\":\"json\",\"version\":1}\u{1e}")).await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    Ok(stream)
}

async fn connect_many(address: &str, count: usize) -> Result<Vec<TcpStream>, AnyError> {
    let at_once = Arc::new(Semaphore::new(100));
    let mut connecting = JoinSet::new();
    for _ in 0..count {
        let (address, at_once) = (address.to_owned(), Arc::clone(&at_once));
        connecting.spawn(async move {
            let _permit = at_once.acquire_owned().await?;
            connect(&address).await
        });
    }
    let mut streams = Vec::with_capacity(count);
    while let Some(stream) = connecting.join_next().await {
        streams.push(stream??);
    }
    Ok(streams)
}

/// Reads, and counts the messages: no text here contains the separator.
async fn read_messages(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, AnyError> {
    let length = stream.read(buffer).await?;
    if length == 0 {
        return Err("the server closed the connection".into());
    }
    Ok(buffer[..length].iter().filter(|&&byte| byte == 0x1E).count())
}

fn percentile(sorted: &[Duration], percent: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((sorted.len() as f64 * percent) as usize).min(sorted.len() - 1);
    sorted[index]
}

// ---- the parts -----------------------------------------------------------------------------------------------------

async fn memory(server: &Server) -> Result<(), AnyError> {
    drop(connect_many(&server.address, 100).await?);
    let before = server.resident()?;
    let began = Instant::now();
    let streams = connect_many(&server.address, IDLE).await?;
    let took = began.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = server.resident()? - before;
    say!(
        "memory: {IDLE} connections in {:.1} s; {:.1} kB each when idle",
        took.as_secs_f64(),
        idle as f64 / IDLE as f64
    );
    let mut echoed = JoinSet::new();
    for mut stream in streams {
        echoed.spawn(async move {
            stream
                .write_all(&frame(&format!(
                    r#"{{"type":1,"invocationId":"1","target":"Echo","arguments":["{TEXT}"]}}{}"#,
                    '\u{1e}'
                )))
                .await?;
            read_messages(&mut stream, &mut [0; 512]).await?;
            Ok::<_, AnyError>(stream)
        });
    }
    let streams = echoed.join_all().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = server.resident()? - before;
    say!("memory: {:.1} kB each after one echo on every connection", used as f64 / IDLE as f64);
    drop(streams);
    Ok(())
}

async fn echo(server: &Server) -> Result<(), AnyError> {
    let streams = connect_many(&server.address, ECHOING).await?;
    let message: Arc<[u8]> =
        frame(&format!(r#"{{"type":1,"invocationId":"1","target":"Echo","arguments":["{TEXT}"]}}{}"#, '\u{1e}')).into();
    let (echoed, ends) = (Arc::new(AtomicU64::new(0)), Instant::now() + Duration::from_secs(12));
    let mut running = JoinSet::new();
    for mut stream in streams {
        let (message, echoed) = (Arc::clone(&message), Arc::clone(&echoed));
        running.spawn(async move {
            let mut buffer = vec![0; 4096];
            stream.write_all(&message.repeat(WINDOW)).await?;
            while Instant::now() < ends {
                let count = read_messages(&mut stream, &mut buffer).await?;
                echoed.fetch_add(count as u64, Ordering::Relaxed);
                stream.write_all(&message.repeat(count)).await?;
            }
            Ok::<_, AnyError>(())
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (began, before) = (Instant::now(), echoed.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(8)).await;
    let count = echoed.load(Ordering::Relaxed) - before;
    say!(
        "echo: {:.0} messages/s over {ECHOING} connections with {WINDOW} on their way each; server at {} MB",
        count as f64 / began.elapsed().as_secs_f64(),
        server.resident()? / 1024
    );
    running.shutdown().await;
    Ok(())
}

/// Sends broadcasts from one client to many, and tells how long each delivery took.
async fn broadcasts(
    server: &Server,
    streams: Vec<TcpStream>,
    count: usize,
    text: &str,
    pause: Duration,
) -> Result<Vec<Duration>, AnyError> {
    let listening = streams.len();
    let sent: Arc<Vec<std::sync::OnceLock<Instant>>> =
        Arc::new((0..count).map(|_| std::sync::OnceLock::new()).collect());
    let arrived = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for mut stream in streams {
        let (sent, arrived) = (Arc::clone(&sent), Arc::clone(&arrived));
        readers.spawn(async move {
            let mut times = Vec::with_capacity(count);
            let mut buffer = vec![0; 16 * 1024];
            while times.len() < count {
                let messages = read_messages(&mut stream, &mut buffer).await?;
                let now = Instant::now();
                for _ in 0..messages {
                    if let Some(at) = sent.get(times.len()).and_then(|sent| sent.get()) {
                        times.push(now - *at);
                        arrived.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            // Kept open: the end of many connections is not what is timed.
            Ok::<_, AnyError>((times, stream))
        });
    }
    let mut speaker = connect(&server.address).await?;
    let call = frame(&format!(r#"{{"type":1,"target":"Broadcast","arguments":["{text}"]}}{}"#, '\u{1e}'));
    for (index, sent) in sent.iter().enumerate() {
        let _ = sent.set(Instant::now());
        speaker.write_all(&call).await?;
        // One at a time: the next goes out when everybody has this one.
        let deadline = Instant::now() + Duration::from_secs(10);
        while arrived.load(Ordering::Relaxed) < (index + 1) * listening && Instant::now() < deadline {
            // The speaker hears it too.
            let _ = tokio::time::timeout(pause, read_messages(&mut speaker, &mut [0; 16 * 1024])).await;
        }
    }
    let (mut times, mut still_open) = (Vec::new(), Vec::new());
    while let Some(reader) = readers.join_next().await {
        let (heard, stream) = reader??;
        times.extend(heard);
        still_open.push(stream);
    }
    times.sort_unstable();
    Ok(times)
}

async fn broadcast(server: &Server) -> Result<(), AnyError> {
    let streams = connect_many(&server.address, LISTENING).await?;
    let times = broadcasts(server, streams, BROADCASTS, TEXT, Duration::from_millis(20)).await?;
    say!(
        "broadcast: {} deliveries to {LISTENING} connections; p50 {:.0?}, p99 {:.0?}, most {:.0?}",
        times.len(),
        percentile(&times, 0.50),
        percentile(&times, 0.99),
        times[times.len() - 1]
    );
    Ok(())
}

async fn slow(server: &Server) -> Result<(), AnyError> {
    let text = "x".repeat(8 * 1024);
    let quick = connect_many(&server.address, 500).await?;
    let times = broadcasts(server, quick, 50, &text, Duration::from_millis(2)).await?;
    let (alone, before) = (percentile(&times, 0.99), server.resident()?);
    // These never read. A hundred times 8 kB fills what the kernel and the server hold for them.
    let never_read = connect_many(&server.address, SLOW).await?;
    let quick = connect_many(&server.address, 500).await?;
    let times = broadcasts(server, quick, 1500, &text, Duration::from_millis(2)).await?;
    let after = server.resident()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut closed = 0;
    for mut stream in never_read {
        let mut rest = vec![0; 64 * 1024];
        let drained = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                match stream.read(&mut rest).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
        });
        closed += usize::from(drained.await.is_ok());
    }
    say!(
        "slow: p99 of 500 others {alone:.0?} without slow readers, {:.0?} with {SLOW}; {closed} of {SLOW} were closed; \
         server {} MB before, {} MB after 12 MB for each",
        percentile(&times, 0.99),
        before / 1024,
        after / 1024
    );
    Ok(())
}
