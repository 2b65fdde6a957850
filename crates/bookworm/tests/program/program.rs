//! Starts and stops the program, and speaks HTTP to it from any address of this machine.

use std::{
    net::{IpAddr, SocketAddr},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpSocket, TcpStream},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// The longest that a start or an end may take, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Program {
    child: Child,
    pub address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Program {
    /// Starts the shop with this many descriptors, empty, and with default limits.
    pub async fn start(descriptors: u32, settings: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), descriptors, settings).await
    }

    /// Kills it (SIGKILL) and starts it again over the same data.
    pub async fn killed_and_started(mut self, descriptors: u32, settings: &[(&str, &str)]) -> Self {
        self.signal("KILL").await;
        self.ended().await;
        Self::start_in(self.folder, descriptors, settings).await
    }

    async fn start_in(folder: tempfile::TempDir, descriptors: u32, settings: &[(&str, &str)]) -> Self {
        Starting::begin_in(folder, descriptors, settings).listening().await
    }

    pub fn log(&self) -> String {
        log(&self.folder)
    }

    pub async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    pub async fn ended(&mut self) -> ExitStatus {
        ended(&mut self.child).await
    }
}

/// A shop whose start may not be over.
pub struct Starting {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    folder: tempfile::TempDir,
}

impl Starting {
    pub fn begin(settings: &[(&str, &str)]) -> Self {
        Self::begin_in(tempfile::tempdir().unwrap(), 1024, settings)
    }

    fn begin_in(folder: tempfile::TempDir, descriptors: u32, settings: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_bookworm"))
            .args(["serve", "--listen", "127.0.0.1:0", "--no-demo", "--data-dir"])
            .arg(folder.path().join("data"))
            .env("BOOKWORM_AI__PROVIDER", "off")
            .env("BOOKWORM_ADMIN__EMAIL", "admin@shop.test")
            .env("BOOKWORM_ADMIN__PASSWORD", "a long admin password")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, folder }
    }

    /// Waits until it says where it listens.
    pub async fn listening(mut self) -> Program {
        let address = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once("http://127.0.0.1:") {
                    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
                    return SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
                }
            }
            panic!("the program ended: {}", log(&self.folder));
        };
        let address = timeout(TIMEOUT, address).await.expect("it says where it listens");
        let Self { child, mut lines, folder } = self;
        // Nobody else reads on, and a full pipe would stop the program.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Program { child, address, folder }
    }

    pub fn log(&self) -> String {
        log(&self.folder)
    }

    pub async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    pub async fn ended(&mut self) -> ExitStatus {
        ended(&mut self.child).await
    }
}

fn log(folder: &tempfile::TempDir) -> String {
    String::from_utf8_lossy(&std::fs::read(folder.path().join("log")).unwrap()).into_owned()
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap().success());
}

async fn ended(child: &mut Child) -> ExitStatus {
    timeout(TIMEOUT, child.wait()).await.expect("it ends").unwrap()
}

/// A connection that comes from 127.0.0.`from`.
pub async fn connect(from: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::from([127, 0, 0, from]), 0))?;
    // Little is read ahead of whoever reads slowly.
    socket.set_recv_buffer_size(4096)?;
    socket.connect(to).await
}

/// A request on a connection of its own: the whole answer, and how long it took.
pub async fn ask(from: u8, to: SocketAddr, request: &str) -> (String, Duration) {
    let began = Instant::now();
    let answer = async {
        let mut stream = connect(from, to).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = timeout(TIMEOUT, answer)
        .await
        .map_or_else(|late| late.to_string(), |text| text.unwrap_or_else(|e| e.to_string()));
    (answer, began.elapsed())
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
}
