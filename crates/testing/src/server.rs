use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What a script such as `scripts/with-nats` put into this variable; `None`, with a line that says so, when nothing did.
///
/// # Panics
/// When there is nothing although `CI` is set.
pub(crate) fn named(variable: &str, engine: &str, script: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must test {engine}: set {variable}");
        eprintln!("SKIPPED on {engine}: run {script}, or set {variable}");
    }
    value
}

/// A server's process: it may be killed and started again on the same port.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Option<Child>,
}

impl Server {
    /// One that is to listen at a port of its own, and does not run yet.
    pub(crate) fn somewhere() -> Self {
        // Free at this moment; nobody else asks for this one by its number.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        Self { address, child: None }
    }

    /// Runs the command, and waits until it listens. `log` is what it writes, shown when it does not start.
    pub(crate) fn start(&mut self, command: &mut Command, log: &Path) {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err() {
            let ended = child.try_wait().unwrap().is_some();
            if ended || begun.elapsed() > START_TIMEOUT {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                drop(child.kill());
                panic!("{command:?} does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
    }

    /// Ends it at once (SIGKILL).
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Pauses it (SIGSTOP), or lets it go on (SIGCONT).
    pub(crate) fn pause(&self, pause: bool) {
        let process = self.child.as_ref().expect("it runs").id().to_string();
        let signal = if pause { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
