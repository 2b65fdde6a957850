//! One process of a fleet: started, logged, started again when it ends, and ended.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child as Running, Command},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use super::log::Log;

/// Before the first new start, and at most before a later one; each doubles the one before.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Who ran for so long has not failed to start.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// What to start, and how to end it.
#[derive(Debug, Clone)]
pub struct Child {
    /// What the log calls it.
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// Variables beside those of this process.
    pub variables: Vec<(String, String)>,
    /// Where it runs.
    pub folder: Option<PathBuf>,
    /// User and group that it runs as, where these are not ours.
    pub user: Option<(u32, u32)>,
    /// Whether SIGINT ends it, and not SIGTERM.
    pub interrupt: bool,
    /// What one of its lines has in it once it can be used.
    pub ready: Option<&'static str>,
    /// How long it may take to end; then it is killed.
    pub grace: Duration,
}

/// How a child is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Starting,
    Ready,
    /// How it ended; it will be started again.
    Ended(String),
}

/// How all children are told to end.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// In good order.
    pub stop: CancellationToken,
    /// At once.
    pub kill: CancellationToken,
}

impl Child {
    /// The command, tied to this process.
    ///
    /// # Errors
    /// When this program does not find itself.
    pub fn command(&self) -> anyhow::Result<Command> {
        let ourselves = std::env::current_exe().context("this program does not find itself")?;
        let mut command = Command::new(ourselves);
        command.arg("tied").arg(format!("--parent={}", std::process::id()));
        if let Some((uid, gid)) = self.user {
            command.arg(format!("--uid={uid}")).arg(format!("--gid={gid}"));
        }
        if self.interrupt {
            command.arg("--interrupt");
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        // A group of its own: Ctrl-C in a terminal is for this process, which ends the others in their order.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }

    /// Runs it until it is told to end, and starts it again whenever it ends by itself.
    pub async fn keep(self, log: Log, standing: watch::Sender<Standing>, ending: Ending) {
        let mut pause = PAUSES.0;
        loop {
            let started = Instant::now();
            standing.send_replace(Standing::Starting);
            let ended = match self.run(&log, &standing, &ending).await {
                Some(ended) => ended,
                None => return,
            };
            if started.elapsed() >= WELL_AFTER {
                pause = PAUSES.0;
            }
            log.line("up", &format!("{} ended: {ended}; it is started again in {} s", self.name, pause.as_secs()));
            standing.send_replace(Standing::Ended(ended));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = ending.stop.cancelled() => return,
                () = ending.kill.cancelled() => return,
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// One run: how it ended, or `None` when it was told to.
    async fn run(&self, log: &Log, standing: &watch::Sender<Standing>, ending: &Ending) -> Option<String> {
        let started = self.command().and_then(|mut command| command.spawn().context("it cannot be started"));
        let mut child = match started {
            Ok(child) => child,
            Err(error) => return Some(format!("{error:#}")),
        };
        let out = child.stdout.take().map(|out| self.lines(out, log, standing));
        let err = child.stderr.take().map(|err| self.lines(err, log, standing));
        let output = async {
            tokio::join!(optional(out), optional(err));
        };
        let ended = async {
            tokio::select! {
                status = child.wait() => Some(status.map_or_else(|error| error.to_string(), |status| status.to_string())),
                () = ending.stop.cancelled() => {
                    self.end(&mut child, log, ending).await;
                    None
                }
                () = ending.kill.cancelled() => {
                    kill(&mut child).await;
                    None
                }
            }
        };
        tokio::pin!(output, ended);
        tokio::select! {
            () = &mut output => ended.await,
            result = &mut ended => {
                // What it wrote last is the most interesting. A grandchild could keep the pipe open for ever.
                let _ = tokio::time::timeout(Duration::from_secs(1), output).await;
                result
            }
        }
    }

    /// Asks it to end; kills it when it takes too long.
    async fn end(&self, child: &mut Running, log: &Log, ending: &Ending) {
        let signal = if self.interrupt { Signal::INT } else { Signal::TERM };
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            // One that is gone already is waited for below.
            let _ = kill_process(pid, signal);
        }
        let failed = tokio::select! {
            status = child.wait() => match status {
                Ok(status) if status.success() => return,
                Ok(status) => format!("ended with {status} when it was asked to"),
                Err(error) => error.to_string(),
            },
            () = tokio::time::sleep(self.grace) => format!("did not end in {} s and is killed", self.grace.as_secs()),
            () = ending.kill.cancelled() => "is killed".to_owned(),
        };
        log.line("up", &format!("{} {failed}", self.name));
        kill(child).await;
    }

    async fn lines(&self, output: impl AsyncRead + Unpin, log: &Log, standing: &watch::Sender<Standing>) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while matches!(output.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&line);
            log.line(&self.name, text.trim_end());
            if self.ready.is_some_and(|ready| text.contains(ready)) {
                standing.send_replace(Standing::Ready);
            }
            line.clear();
        }
    }
}

async fn optional(future: Option<impl Future<Output = ()>>) {
    if let Some(future) = future {
        future.await;
    }
}

/// Kills it and waits for the system to say so. One that has ended already is fine.
async fn kill(child: &mut Running) {
    let _ = child.kill().await;
}
