use std::{path::Path, process::Command};

use uuid::Uuid;

use crate::server::{Server, named};

const SCRIPT: &str = "scripts/with-nats";

/// The NATS server that tests share. `None`, with a line that says so, when there is none.
///
/// # Panics
/// When there is none although `CI` is set.
#[must_use]
pub fn nats_url() -> Option<String> {
    named("BOOKWORM_TEST_NATS_URL", "NATS", SCRIPT)
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
    server: Server,
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
        let program = named("BOOKWORM_TEST_NATS_SERVER", "NATS", SCRIPT)?;
        let folder = tempfile::tempdir().unwrap();
        let server = Server::somewhere();
        let configuration = configuration.replace("DATA", folder.path().to_str().unwrap());
        let all = format!("listen: \"{}\"\n{configuration}\n", server.address);
        std::fs::write(folder.path().join("nats.conf"), all).unwrap();
        let mut nats = Self { program, folder, server };
        nats.start_again();
        Some(nats)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.server.address)
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
        self.server.kill();
    }

    /// Starts it on the same data and the same port, and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        let configuration = self.folder.path().join("nats.conf");
        let log = self.folder.path().join("log");
        self.server.start(Command::new(&self.program).arg("-c").arg(configuration).arg("-l").arg(&log), &log);
    }
}
