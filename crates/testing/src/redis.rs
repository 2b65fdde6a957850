use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use uuid::Uuid;

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The Redis server that tests share. `None`, with a line that says so, when there is none.
///
/// # Panics
/// When there is none although `CI` is set.
#[must_use]
pub fn redis_url() -> Option<String> {
    named("BOOKWORM_TEST_REDIS_URL")
}

fn named(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must test Redis: set {variable}");
        eprintln!("SKIPPED on Redis: run scripts/with-redis, or set {variable}");
    }
    value
}

/// A prefix of keys that no other test has.
#[must_use]
pub fn redis_prefix() -> String {
    format!("t{}", Uuid::now_v7().simple())
}

/// A Redis server of one test, which may kill it, pause it, and start it again on the same data and the same port.
#[derive(Debug)]
pub struct RedisServer {
    program: String,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts the program that `BOOKWORM_TEST_REDIS_SERVER` names, with these arguments; `None` when it names none.
    ///
    /// # Panics
    /// When no program is named although `CI` is set, or when it does not start.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let program = named("BOOKWORM_TEST_REDIS_SERVER")?;
        let folder = tempfile::tempdir().unwrap();
        // Free at this moment; nobody else asks for this one by its number.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut server = Self { program, arguments, folder, address, child: None };
        server.start_again();
        Some(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it at once, as a crash does (SIGKILL).
    ///
    /// # Panics
    /// When the system does not end it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Pauses it (SIGSTOP), so that it accepts and never answers, or lets it go on (SIGCONT).
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self, pause: bool) {
        let process = self.child.as_ref().expect("it runs").id().to_string();
        let signal = if pause { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// Starts it on the same data and the same port, and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        let log = self.folder.path().join("log");
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string(), "--appendonly", "yes"]);
        command.args(["--appendfsync", "always", "--logfile"]).arg(&log).arg("--dir").arg(self.folder.path());
        let mut child = command.args(&self.arguments).stdin(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err() {
            let ended = child.try_wait().unwrap().is_some();
            if ended || begun.elapsed() > START_TIMEOUT {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                drop(child.kill());
                panic!("the Redis server does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
