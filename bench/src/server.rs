//! The real program as a process: started, measured, killed, stopped.

use std::{
    fs::OpenOptions,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bookworm_db::{Pool, Sql};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use url::Url;
use uuid::Uuid;

use crate::client::Client;

/// The first administrator's name and password.
pub const ADMIN: (&str, &str) = ("admin@bookworm.example", "correct horse battery staple");

/// The longest that a start, a stop or an import may take.
const START: Duration = Duration::from_secs(120);
/// Clock ticks in a second in `/proc/PID/stat`: fixed at 100 for every program on Linux.
const TICKS: u64 = 100;

/// How to start the program.
#[derive(Debug, Clone)]
pub struct Program {
    bin: PathBuf,
    data_dir: PathBuf,
    environment: Vec<(String, String)>,
}

/// A running shop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// From `exec` to the first answer.
    pub took: Duration,
}

impl Program {
    /// The program with its data in this folder. What it logs goes to `server.log` there.
    pub fn new(bin: &Path, data_dir: &Path, database_url: Option<&str>) -> Self {
        let mut environment = vec![
            ("BOOKWORM_GATEWAY__RATE_LIMIT__ENABLED".to_owned(), "false".to_owned()),
            // Everybody comes from this one address.
            ("BOOKWORM_GATEWAY__CONNECTIONS__PER_ADDRESS".to_owned(), "1000000".to_owned()),
            ("BOOKWORM_CHAT__MAX_CONNECTIONS_PER_ADDRESS".to_owned(), "1000000".to_owned()),
            ("BOOKWORM_CHAT__MAX_GUEST_CONNECTIONS_PER_ADDRESS".to_owned(), "1000000".to_owned()),
            ("BOOKWORM_ADMIN__EMAIL".to_owned(), ADMIN.0.to_owned()),
            ("BOOKWORM_ADMIN__PASSWORD".to_owned(), ADMIN.1.to_owned()),
            // Many accounts sign in from this one address.
            ("BOOKWORM_IDENTITY__LOCKOUT__PER_ADDRESS_PER_MINUTE".to_owned(), "10000".to_owned()),
            ("BOOKWORM_TELEMETRY__LOG_FILTER".to_owned(), "warn".to_owned()),
        ];
        // And write to few mailboxes.
        for mails in ["ACCOUNT", "CHAT", "ORDER"] {
            for limit in ["SENDER_HOUR", "SENDER_DAY", "RECIPIENT_HOUR", "RECIPIENT_DAY", "ALL_HOUR", "ALL_DAY"] {
                environment.push((format!("BOOKWORM_MAIL__LIMITS__{mails}__{limit}"), "1000000".to_owned()));
            }
        }
        if let Some(url) = database_url {
            environment.push(("BOOKWORM_DATABASE__URL".to_owned(), url.to_owned()));
        }
        Self { bin: bin.to_owned(), data_dir: data_dir.to_owned(), environment }
    }

    /// Sets a configuration key.
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.environment.push((key.to_owned(), value.to_string()));
        self
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(self.data_dir.join("server.log"))?;
        let mut command = Command::new(&self.bin);
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(&self.data_dir)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a command such as `import FILE` to its end.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = timeout(START * 5, self.command(arguments)?.output()).await.context("it takes too long")??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "bookworm {} ended with {}: {text}{stderr}",
            arguments.join(" "),
            output.status
        );
        Ok(text)
    }

    /// Spawns the program without waiting for it.
    pub fn spawn(&self) -> Result<Child> {
        self.spawn_on(&["serve", "--listen", "127.0.0.1:0", "--no-demo"], Stdio::piped())
    }

    /// Spawns it with these arguments. Nobody reads what it prints.
    pub fn spawn_with(&self, arguments: &[&str]) -> Result<Child> {
        self.spawn_on(arguments, Stdio::null())
    }

    fn spawn_on(&self, arguments: &[&str], output: Stdio) -> Result<Child> {
        let mut command = self.command(arguments)?;
        command.stdout(output).spawn().with_context(|| format!("cannot start {}", self.bin.display()))
    }

    /// Is another program on the same data from now on.
    pub fn becomes(&mut self, bin: &Path) {
        bin.clone_into(&mut self.bin);
    }

    /// Starts the shop and waits for its first answer.
    ///
    /// # Errors
    /// When it ends, or does not answer in time.
    pub async fn start(&self) -> Result<Server> {
        let began = Instant::now();
        let mut child = self.spawn()?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = timeout(START, lines.next_line()).await.context("it does not say that it listens")??;
        let Some(first) = first else { bail!("the program ended with {}:\n{}", child.wait().await?, self.log_tail()) };
        let address =
            first.strip_prefix("listening on http://").with_context(|| format!("unexpected: {first}"))?.parse()?;
        // Nobody else reads on, and a full pipe would stop the program.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let answer = Client::new(address).get("/api/v1/books?limit=1", &[]).await?;
        ensure!(answer.status.is_success(), "the first answer is {}", answer.excerpt());
        Ok(Server { child, address, took: began.elapsed() })
    }

    /// The end of the log, for messages.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.data_dir.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Server {
    /// Ends it at once, as a power cut would end the process.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill the program")
    }

    /// Asks it to stop and waits until it has. Returns how long that took.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub async fn stop(mut self) -> Result<Duration> {
        let began = Instant::now();
        let pid = self.pid()?;
        Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().await?;
        let status = timeout(START, self.child.wait()).await.context("it does not stop")??;
        ensure!(status.success(), "it stopped with {status}");
        Ok(began.elapsed())
    }

    fn pid(&self) -> Result<u32> {
        self.child.id().context("the program has ended")
    }

    /// Resident memory in MiB.
    pub fn memory(&self) -> Result<f64> {
        memory(self.pid()?)
    }

    /// Processor time used so far, by all its threads.
    pub fn cpu(&self) -> Result<Duration> {
        cpu(self.pid()?)
    }
}

/// Resident memory of a process in MiB.
///
/// # Errors
/// When there is no such process.
pub fn memory(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// Processor time of a process so far.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; the fields after it are numbers. utime and stime are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok()).context("no processor time");
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS))
}

/// Processor time of a process so far, with that of the children that it has now.
///
/// # Errors
/// When there is no such process.
pub fn cpu_of_family(pid: u32) -> Result<Duration> {
    let mut time = cpu(pid)?;
    for entry in std::fs::read_dir("/proc")?.filter_map(Result::ok) {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may end while we look.
        let parent = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let parent = parent.rsplit(") ").next().and_then(|fields| fields.split(' ').nth(1)?.parse::<u32>().ok());
        if parent == Some(pid) {
            time += cpu(child).unwrap_or_default();
        }
    }
    Ok(time)
}

/// A PostgreSQL database of its own for one run, removed at its end.
#[derive(Debug)]
pub struct OwnDatabase {
    server: Url,
    name: String,
}

impl OwnDatabase {
    /// Makes one on this server.
    ///
    /// # Errors
    /// When the server does not let us.
    pub async fn create(server: &str) -> Result<Self> {
        let own = Self { server: server.parse()?, name: format!("bookworm_bench_{}", Uuid::now_v7().simple()) };
        own.on_server(&format!("CREATE DATABASE {}", own.name)).await?;
        Ok(own)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.into()
    }

    /// Removes it, with whoever is still connected.
    ///
    /// # Errors
    /// When the server does not let us.
    pub async fn remove(self) -> Result<()> {
        self.on_server(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }

    async fn on_server(&self, sql: &str) -> Result<()> {
        let server = Pool::connect(self.server.as_str()).await?;
        server.exec(sql, []).await?;
        server.close().await;
        Ok(())
    }
}
