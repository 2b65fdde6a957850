use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use uuid::Uuid;

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The NATS server that tests share. `None`, with a line that says so, when there is none.
///
/// # Panics
/// When there is none although `CI` is set.
#[must_use]
pub fn nats_url() -> Option<String> {
    named("BOOKWORM_TEST_NATS_URL")
}

fn named(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must test NATS: set {variable}");
        eprintln!("SKIPPED on NATS: run scripts/with-nats, or set {variable}");
    }
    value
}

/// A stream's name that no other test has.
#[must_use]
pub fn nats_stream() -> String {
    format!("T{}", Uuid::now_v7().simple())
}

/// A NATS server of one test, which may kill it and start it again on the same data and the same port.
#[derive(Debug)]
pub struct NatsServer {
    program: String,
    folder: tempfile::TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts the program that `BOOKWORM_TEST_NATS_SERVER` names, with JetStream; `None` when it names none.
    ///
    /// # Panics
    /// When no program is named although `CI` is set, or when it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with("jetstream { store_dir: \"DATA/jetstream\", sync_interval: always }")
    }

    /// The same with a configuration of the test's own, in which `DATA` stands for a folder.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn with(configuration: &str) -> Option<Self> {
        let program = named("BOOKWORM_TEST_NATS_SERVER")?;
        let folder = tempfile::tempdir().unwrap();
        // Free at this moment; nobody else asks for this one by its number.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let configuration = configuration.replace("DATA", folder.path().to_str().unwrap());
        let all = format!("listen: \"{address}\"\n{configuration}\n");
        std::fs::write(folder.path().join("nats.conf"), all).unwrap();
        let mut server = Self { program, folder, address, child: None };
        server.start_again();
        Some(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// A folder for the test's other files, such as certificates: `DATA` of the configuration.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
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

    /// Starts it on the same data and the same port, and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        let configuration = self.folder.path().join("nats.conf");
        let log = self.folder.path().join("log");
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(configuration).arg("-l").arg(&log).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        while TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err() {
            let ended = child.try_wait().unwrap().is_some();
            if ended || begun.elapsed() > START_TIMEOUT {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                drop(child.kill());
                panic!("the NATS server does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
