//! The servers below a fleet, as processes of ours: killed, paused, started again on the same data.

use std::{
    env,
    fs::{self, File, Permissions},
    net::SocketAddr,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bookworm_db::{Pool, Sql};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::signal;
use crate::server;

/// How long a server may take to start or to stop.
const START: Duration = Duration::from_secs(60);

const POSTGRES: &str = "PostgreSQL";

/// One server.
#[derive(Debug)]
pub struct Engine {
    name: &'static str,
    pub address: SocketAddr,
    program: PathBuf,
    arguments: Vec<String>,
    /// User and group to run as, where it refuses to be root.
    user: Option<(u32, u32)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Engine {
    /// PostgreSQL, in a folder of its own; the address of its one database is [`database_url`](Self::database_url).
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn postgres(folder: &Path, address: SocketAddr) -> Result<Self> {
        let bin = program("BOOKWORM_TEST_POSTGRES_BIN", "with-postgres")?;
        let folder = folder.join("postgres");
        fs::create_dir(&folder)?;
        let mut user = None;
        if fs::metadata(&folder)?.uid() == 0 {
            // It must get there.
            fs::set_permissions(folder.parent().unwrap_or(&folder), Permissions::from_mode(0o711))?;
            let id = |what| async move {
                let output = Command::new("id").args([what, "postgres"]).output().await?;
                String::from_utf8_lossy(&output.stdout).trim().parse().context("there is no user postgres")
            };
            let (uid, gid) = (id("-u").await?, id("-g").await?);
            chown(&folder, Some(uid), Some(gid))?;
            user = Some((uid, gid));
        }
        let data = folder.join("data").display().to_string();
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args(["-D", &data, "-A", "trust", "-U", "postgres"]).current_dir(&folder).stdin(Stdio::null());
        if let Some((uid, gid)) = user {
            initdb.uid(uid).gid(gid);
        }
        let output = initdb.output().await?;
        ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let listen = format!("listen_addresses={}", address.ip());
        let port = address.port().to_string();
        let arguments = ["-D", &data, "-p", &port, "-k", "", "-c", &listen, "-c", "max_connections=800"];
        let mut postgres = Self::new(POSTGRES, address, bin.join("postgres"), &arguments, &folder);
        postgres.user = user;
        postgres.start().await?;
        Ok(postgres)
    }

    /// NATS with JetStream, which syncs before it acknowledges.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn nats(folder: &Path, address: SocketAddr) -> Result<Self> {
        let server = program("BOOKWORM_TEST_NATS_SERVER", "with-nats")?;
        let folder = folder.join("nats");
        fs::create_dir(&folder)?;
        let file = folder.join("nats.conf");
        let data = folder.join("data");
        let settings = format!(
            "listen: \"{address}\"\njetstream {{ store_dir: {:?}, sync_interval: always, max_file_store: 8GB }}\n",
            data.display().to_string()
        );
        fs::write(&file, settings)?;
        let mut nats = Self::new("NATS", address, server, &["-c", &file.display().to_string()], &folder);
        nats.start().await?;
        Ok(nats)
    }

    /// Redis, which remembers nothing when it ends.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn redis(folder: &Path, address: SocketAddr) -> Result<Self> {
        let server = program("BOOKWORM_TEST_REDIS_SERVER", "with-redis")?;
        let folder = folder.join("redis");
        fs::create_dir(&folder)?;
        let (ip, port, dir) = (address.ip().to_string(), address.port().to_string(), folder.display().to_string());
        let arguments = ["--bind", &ip, "--port", &port, "--dir", &dir, "--save", ""];
        let mut redis = Self::new("Redis", address, server, &arguments, &folder);
        redis.start().await?;
        Ok(redis)
    }

    /// FerretDB, which speaks MongoDB's protocol.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn ferretdb(folder: &Path, address: SocketAddr) -> Result<Self> {
        let server = program("BOOKWORM_TEST_FERRETDB", "with-ferretdb")?;
        let folder = folder.join("ferretdb");
        fs::create_dir(&folder)?;
        let arguments = ["-listen", &address.to_string(), "-data", &folder.display().to_string()];
        let mut ferretdb = Self::new("FerretDB", address, server, &arguments, &folder);
        ferretdb.start().await?;
        Ok(ferretdb)
    }

    fn new(name: &'static str, address: SocketAddr, program: PathBuf, arguments: &[&str], folder: &Path) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { name, address, program, arguments, user: None, log: folder.join("log"), child: None }
    }

    /// Where PostgreSQL's database is, for somebody who reaches the server at `address`.
    pub fn database_url(address: SocketAddr) -> String {
        format!("postgres://postgres@{address}/postgres")
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        if let Some(folder) = self.log.parent() {
            command.current_dir(folder);
        }
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let began = Instant::now();
        while !self.answers().await {
            if let Some(status) = child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, fs::read_to_string(&self.log)?);
            }
            ensure!(began.elapsed() < START, "{} does not answer: {}", self.name, fs::read_to_string(&self.log)?);
            sleep(Duration::from_millis(50)).await;
        }
        self.child = Some(child);
        Ok(())
    }

    async fn answers(&self) -> bool {
        // PostgreSQL takes connections before it answers.
        if self.name == POSTGRES {
            let Ok(pool) = Pool::connect(&Self::database_url(self.address)).await else { return false };
            let answers = pool.exec("SELECT 1", []).await.is_ok();
            pool.close().await;
            return answers;
        }
        TcpStream::connect(self.address).await.is_ok()
    }

    /// Processor time that it used so far.
    ///
    /// # Errors
    /// When it does not run.
    pub fn cpu(&self) -> Result<Duration> {
        let child = self.child.as_ref().and_then(Child::id);
        server::cpu_of_family(child.with_context(|| format!("{} does not run", self.name))?)
    }

    /// Ends it as a power cut does; PostgreSQL by its immediate shutdown, which leaves as much to recover.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        let how = if self.name == POSTGRES { "QUIT" } else { "KILL" };
        signal(child.id().context("it has ended")?, how).await?;
        timeout(START, child.wait()).await.with_context(|| format!("{} does not end", self.name))??;
        Ok(())
    }

    /// Stops its clock: connections stay, and nothing is answered.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self) -> Result<()> {
        self.send("STOP").await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn resume(&self) -> Result<()> {
        self.send("CONT").await
    }

    async fn send(&self, what: &str) -> Result<()> {
        let child = self.child.as_ref().and_then(Child::id);
        signal(child.with_context(|| format!("{} does not run", self.name))?, what).await
    }
}

/// The program that a script of ours installs and names.
fn program(variable: &str, script: &str) -> Result<PathBuf> {
    let named =
        env::var_os(variable).with_context(|| format!("{variable} is not set: run it with scripts/{script}"))?;
    Ok(named.into())
}
