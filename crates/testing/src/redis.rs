use std::process::Command;

use uuid::Uuid;

use crate::server::{Server, named};

const SCRIPT: &str = "scripts/with-redis";

/// The Redis server that tests share. `None`, with a line that says so, when there is none.
///
/// # Panics
/// When there is none although `CI` is set.
#[must_use]
pub fn redis_url() -> Option<String> {
    named("BOOKWORM_TEST_REDIS_URL", "Redis", SCRIPT)
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
    server: Server,
}

impl RedisServer {
    /// Starts the program that `BOOKWORM_TEST_REDIS_SERVER` names, with these arguments; `None` when it names none.
    ///
    /// # Panics
    /// When no program is named although `CI` is set, or when it does not start.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let program = named("BOOKWORM_TEST_REDIS_SERVER", "Redis", SCRIPT)?;
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut redis = Self { program, arguments, folder, server: Server::somewhere() };
        redis.start_again();
        Some(redis)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.server.address)
    }

    /// Ends it at once, as a crash does (SIGKILL).
    ///
    /// # Panics
    /// When the system does not end it.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Pauses it (SIGSTOP), so that it accepts and never answers, or lets it go on (SIGCONT).
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self, pause: bool) {
        self.server.pause(pause);
    }

    /// Starts it on the same data and the same port, and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        let log = self.folder.path().join("log");
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--port", &self.server.address.port().to_string(), "--appendonly", "yes"]);
        command.args(["--appendfsync", "always", "--logfile"]).arg(&log).arg("--dir").arg(self.folder.path());
        self.server.start(command.args(&self.arguments), &log);
    }
}
