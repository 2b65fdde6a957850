use std::{path::Path, process::Command};

use uuid::Uuid;

use crate::server::{Server, named};

const SCRIPT: &str = "scripts/with-ferretdb";

/// The server with MongoDB's protocol that tests share. `None`, with a line that says so, when there is none.
///
/// # Panics
/// When there is none although `CI` is set.
#[must_use]
pub fn mongodb_url() -> Option<String> {
    named("BOOKWORM_TEST_MONGODB_URL", "MongoDB", SCRIPT)
}

/// A database's name that no other test has.
#[must_use]
pub fn mongodb_database() -> String {
    format!("t{}", Uuid::now_v7().simple())
}

/// A FerretDB of one test, which may kill it, pause it, and start it again on the same data and the same port.
#[derive(Debug)]
pub struct FerretDb {
    program: String,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    server: Server,
}

impl FerretDb {
    /// Starts the program that `BOOKWORM_TEST_FERRETDB` names; `None` when it names none.
    ///
    /// # Panics
    /// When no program is named although `CI` is set, or when it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with(|_| Vec::new())
    }

    /// The same with further arguments, which may name files that are put into its folder.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn with(arguments: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let program = named("BOOKWORM_TEST_FERRETDB", "MongoDB", SCRIPT)?;
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments(folder.path());
        let mut ferretdb = Self { program, arguments, folder, server: Server::somewhere() };
        ferretdb.start_again();
        Some(ferretdb)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mongodb://{}", self.server.address)
    }

    /// Its folder.
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
        let output = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["-listen", &self.server.address.to_string(), "-data"]).arg(self.folder.path());
        self.server.start(command.args(&self.arguments).stderr(output), &log);
    }
}
