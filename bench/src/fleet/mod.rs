//! A whole shop as a fleet: every role in processes of its own, on engines of its own, behind a balancer.

mod engines;
mod proxy;
mod trial;

use std::{
    fs::DirBuilder,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures::future::{join_all, try_join_all};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

pub use self::{
    engines::Engine,
    proxy::{Front, Proxy, Way},
    trial::{Trial, Verdict},
};
use crate::{
    books,
    client::Client,
    crash, say,
    server::{self, Program},
};

/// Every role.
pub const ROLES: [&str; 12] = [
    "identity",
    "catalog",
    "basket",
    "notification",
    "finance",
    "ordering",
    "rating",
    "chat",
    "ai",
    "web",
    "monitor",
    "gateway",
];

/// How long a process may take until it is ready, on a machine where a whole fleet starts at once.
const READY: Duration = Duration::from_secs(240);
/// How long a process may take to end in good order: `shutdown_grace_seconds`, and a little.
const STOP: Duration = Duration::from_secs(60);
/// How often processes are looked after.
const TENDED_EACH: Duration = Duration::from_millis(250);

/// How a fleet is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    pub bin: PathBuf,
    /// Where all its data goes.
    pub folder: PathBuf,
    /// Processes of each role.
    pub instances: u8,
    /// Settings of every process.
    pub settings: Vec<(&'static str, String)>,
    /// Roles whose processes the others reach through proxies.
    pub behind_proxies: Vec<&'static str>,
    /// Roles whose processes reach NATS and PostgreSQL through proxies of their own.
    pub engines_behind_proxies: Vec<&'static str>,
    /// How many books it sells.
    pub books: u32,
    /// Whether conversations are in FerretDB.
    pub with_ferretdb: bool,
    /// Variables of the first instance of each role.
    pub of_first: Vec<(String, String)>,
}

impl Plan {
    /// So many processes of each role, and nothing in between.
    pub fn new(bin: &Path, folder: &Path, instances: u8) -> Self {
        Self {
            bin: bin.to_owned(),
            folder: folder.to_owned(),
            instances,
            books: crash::BOOKS,
            settings: Vec::new(),
            behind_proxies: Vec::new(),
            engines_behind_proxies: Vec::new(),
            with_ferretdb: false,
            of_first: Vec::new(),
        }
    }
}

/// A running shop.
#[derive(Debug)]
pub struct Fleet {
    pub postgres: Engine,
    pub nats: Engine,
    pub redis: Engine,
    pub ferretdb: Option<Engine>,
    pub members: Vec<Member>,
    pub front: Front,
    /// Runs the commands of operators.
    operator: Program,
    /// What should not have happened.
    pub violations: Vec<String>,
}

/// One process.
#[derive(Debug)]
pub struct Member {
    pub role: &'static str,
    /// `catalog-1`
    pub name: String,
    program: Program,
    arguments: Vec<String>,
    pub operations: SocketAddr,
    /// Where it answers people, if it is a gateway.
    pub public: SocketAddr,
    child: Option<Child>,
    /// What the others reach it through.
    behind: Option<Proxy>,
    /// What it reaches NATS and PostgreSQL through.
    to_nats: Option<Proxy>,
    to_postgres: Option<Proxy>,
    /// Whether it stands still.
    paused: bool,
}

impl Fleet {
    /// Starts engines, loads books, starts every process, and waits until all of them are ready.
    ///
    /// # Errors
    /// When an engine is missing, or anything does not start.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let folder = std::path::absolute(&plan.folder)?;
        let postgres = Engine::postgres(&folder, own_address()).await?;
        let nats = Engine::nats(&folder, own_address()).await?;
        let redis = Engine::redis(&folder, own_address()).await?;
        let ferretdb = match plan.with_ferretdb {
            true => Some(Engine::ferretdb(&folder, own_address()).await?),
            false => None,
        };
        let front = own_address();
        let mut common = vec![
            ("BOOKWORM_PUBLIC_URL", format!("http://{front}")),
            ("BOOKWORM_NATS__STREAM", "FAULTS".to_owned()),
            ("BOOKWORM_NATS__MAX_MIB", "256".to_owned()),
            ("BOOKWORM_REDIS__URL", format!("redis://{}", redis.address)),
            ("BOOKWORM_FLEET__TOKEN", "the-secret-of-the-fleet-under-attack".to_owned()),
            ("BOOKWORM_DATABASE__MAX_CONNECTIONS", "8".to_owned()),
            ("BOOKWORM_AI__PROVIDER", "off".to_owned()),
            // A machine that runs a whole fleet has no time for strong passwords.
            ("BOOKWORM_IDENTITY__ARGON2__MEMORY_KIB", "64".to_owned()),
            ("BOOKWORM_IDENTITY__ARGON2__ITERATIONS", "1".to_owned()),
            // All start at once.
            ("BOOKWORM_FLEET__START_WAIT_SECONDS", "180".to_owned()),
        ];
        common.extend(plan.settings.clone());
        let ferretdb_url = ferretdb.as_ref().map(|ferretdb| format!("mongodb://{}", ferretdb.address));
        common.extend(ferretdb_url.map(|url| ("BOOKWORM_MONGODB__URL", url)));
        let program = |name: &str, nats: SocketAddr, postgres: SocketAddr| -> Result<Program> {
            let data = folder.join(name);
            DirBuilder::new().recursive(true).mode(0o700).create(&data)?;
            let program = Program::new(&plan.bin, &data, Some(&Engine::database_url(postgres)))
                .with("BOOKWORM_NATS__URL", format!("nats://{nats}"));
            Ok(common.iter().fold(program, |program, (key, value)| program.with(key, value)))
        };
        let operator = program("operator", nats.address, postgres.address)?;
        let file = folder.join("books.jsonl");
        books::write(&file, plan.books, crash::PLENTY)?;
        operator.run(&["import", &file.to_string_lossy()]).await?;

        let (mut members, mut gateways) = (Vec::new(), Vec::new());
        for (role, n) in ROLES.iter().flat_map(|role| (1..=plan.instances).map(move |n| (*role, n))) {
            let name = format!("{role}-{n}");
            let (public, internal, operations) = (own_address(), own_address(), own_address());
            let (mut to_nats, mut to_postgres, mut behind) = (None, None, None);
            if plan.engines_behind_proxies.contains(&role) {
                to_nats = Some(Proxy::before(nats.address).await?);
                to_postgres = Some(Proxy::before(postgres.address).await?);
            }
            let through = |proxy: &Option<Proxy>, engine: &Engine| proxy.as_ref().map_or(engine.address, |p| p.address);
            let mut program = program(&name, through(&to_nats, &nats), through(&to_postgres, &postgres))?
                .with("BOOKWORM_FLEET__INTERNAL_LISTEN", internal)
                .with("BOOKWORM_FLEET__OPERATIONS_LISTEN", operations)
                .with("BOOKWORM_FLEET__INSTANCE", &name);
            if plan.behind_proxies.contains(&role) {
                let proxy = Proxy::before(internal).await?;
                program = program.with("BOOKWORM_FLEET__ADVERTISE", format!("http://{}", proxy.address));
                behind = Some(proxy);
            }
            if n == 1 {
                program = plan.of_first.iter().fold(program, |program, (key, value)| program.with(key, value));
            }
            if role == "gateway" {
                gateways.push((public, operations));
            }
            let listen = public.to_string();
            let arguments = ["serve", "--no-demo", "--roles", role, "--listen", &listen].map(str::to_owned).to_vec();
            members.push(Member {
                role,
                name,
                program,
                arguments,
                operations,
                public,
                child: None,
                behind,
                to_nats,
                to_postgres,
                paused: false,
            });
        }
        let front = Front::before(front, gateways).await?;
        let mut fleet = Self { postgres, nats, redis, ferretdb, members, front, operator, violations: Vec::new() };
        let began = Instant::now();
        fleet.members.iter_mut().try_for_each(Member::start)?;
        fleet.until_ready().await?;
        // The balancer asks now and then.
        let first = async {
            while !Client::new(fleet.front.address)
                .get("/api/v1/books?limit=1", &[])
                .await
                .is_ok_and(|a| a.status.is_success())
            {
                sleep(TENDED_EACH).await;
            }
        };
        timeout(READY, first).await.context("the fleet is ready and does not answer")?;
        say(&format!("{} processes, ready after {:.0?}", fleet.members.len(), began.elapsed()));
        Ok(fleet)
    }

    /// Where people reach the shop.
    pub fn address(&self) -> SocketAddr {
        self.front.address
    }

    /// The processes of a role.
    pub fn of(&mut self, role: &str) -> impl Iterator<Item = &mut Member> {
        self.members.iter_mut().filter(move |member| member.role == role)
    }

    /// The first process of each of these roles.
    pub fn first_of<'a>(&'a mut self, roles: &'a [&str]) -> impl Iterator<Item = &'a mut Member> {
        self.members.iter_mut().filter(|member| member.name.ends_with("-1") && roles.contains(&member.role))
    }

    /// Lets time pass, and starts again what has ended by itself, as an orchestrator does; that it ended is a violation.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn pass(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            for member in &mut self.members {
                if let Some(ended) = member.ended()? {
                    self.violations.push(ended);
                    member.start()?;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(TENDED_EACH)).await;
        }
    }

    /// Waits until every process is ready.
    ///
    /// # Errors
    /// When one does not become so.
    pub async fn until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            self.pass(TENDED_EACH).await?;
            let ready = join_all(self.members.iter().map(|member| is_ready(member.operations))).await;
            let unready: Vec<&Member> =
                self.members.iter().zip(ready).filter(|(_, ready)| !ready).map(|(member, _)| member).collect();
            let Some(first) = unready.first() else { return Ok(()) };
            if began.elapsed() > READY {
                let why = Client::new(first.operations).get("/health/ready", &[]).await;
                let why = why.map_or_else(|error| format!("{error:#}"), |answer| answer.excerpt());
                let names: Vec<&str> = unready.iter().map(|member| &*member.name).collect();
                bail!(
                    "{names:?} are not ready after {READY:?}: {why}; its log ends with:\n{}",
                    first.program.log_tail()
                );
            }
        }
    }

    /// Processor time that all processes of the shop used so far, and the engines.
    ///
    /// # Errors
    /// When one does not run.
    pub fn cpu(&self) -> Result<(Duration, Duration)> {
        let members = self.members.iter().map(|member| server::cpu(member.pid()?)).sum::<Result<Duration>>()?;
        let engines = [&self.postgres, &self.nats, &self.redis];
        Ok((members, engines.into_iter().map(Engine::cpu).sum::<Result<Duration>>()?))
    }

    /// A command of an operator, such as `reconcile`.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub async fn operate(&self, arguments: &[&str]) -> Result<String> {
        self.operator.run(arguments).await
    }

    /// Ends every process in good order: who does not is a violation.
    ///
    /// # Errors
    /// When a process cannot be asked.
    pub async fn stop(&mut self) -> Result<()> {
        // Whoever asks others before those that are asked.
        for role in ROLES.iter().rev() {
            let stopped = try_join_all(self.members.iter_mut().filter(|m| m.role == *role).map(Member::stop)).await;
            if let Err(error) = stopped {
                self.violations.push(format!("{error:#}"));
            }
        }
        Ok(())
    }

    /// The ends of the logs of everybody who wrote one.
    pub fn logs(&self) -> String {
        let tails = self.members.iter().map(|member| (&member.name, member.program.log_tail()));
        tails.filter(|(_, tail)| !tail.is_empty()).map(|(name, tail)| format!("--- {name}\n{tail}\n")).collect()
    }
}

impl Member {
    /// Starts it; it is ready later.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(&mut self) -> Result<()> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.child = Some(self.program.spawn_with(&arguments)?);
        self.paused = false;
        Ok(())
    }

    /// Takes another program from its next start on.
    pub fn becomes(&mut self, bin: &Path) {
        self.program.becomes(bin);
    }

    fn ended(&mut self) -> Result<Option<String>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let Some(status) = child.try_wait()? else { return Ok(None) };
        Ok(Some(format!(
            "{} ended by itself with {status}; its log ends with:\n{}",
            self.name,
            self.program.log_tail()
        )))
    }

    /// Resident memory in MiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn memory(&self) -> Result<f64> {
        server::memory(self.pid()?)
    }

    fn pid(&self) -> Result<u32> {
        self.child.as_ref().and_then(Child::id).with_context(|| format!("{} does not run", self.name))
    }

    /// Ends it as a power cut does.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} does not run", self.name))?;
        child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Ends it in good order.
    ///
    /// # Errors
    /// When it does not end with 0 in time.
    pub async fn stop(&mut self) -> Result<()> {
        let pid = self.pid()?;
        let mut child = self.child.take().with_context(|| format!("{} does not run", self.name))?;
        if self.paused {
            signal(pid, "CONT").await?;
        }
        signal(pid, "TERM").await?;
        let status = timeout(STOP, child.wait()).await.with_context(|| format!("{} does not stop", self.name))??;
        ensure!(status.success(), "{} stopped with {status}: {}", self.name, self.program.log_tail());
        Ok(())
    }

    /// Stops its clock: it keeps its connections and does nothing.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&mut self) -> Result<()> {
        self.paused = true;
        signal(self.pid()?, "STOP").await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn resume(&mut self) -> Result<()> {
        self.paused = false;
        signal(self.pid()?, "CONT").await
    }

    /// How the others reach it from now on, if the plan puts a proxy there.
    pub fn is_reached(&mut self, way: Way) {
        self.behind.iter().for_each(|proxy| proxy.make(way));
    }

    /// Loses its connections to NATS and PostgreSQL without a word, if the plan puts proxies there.
    pub fn loses_engines(&mut self) {
        self.to_nats.iter().chain(&self.to_postgres).for_each(Proxy::lose);
    }

    /// How it reaches NATS and PostgreSQL from now on, if the plan puts proxies there.
    pub fn reaches_engines(&mut self, nats: Way, postgres: Way) {
        self.to_nats.iter().for_each(|proxy| proxy.make(nats));
        self.to_postgres.iter().for_each(|proxy| proxy.make(postgres));
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or takes too long.
    pub async fn until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        while !is_ready(self.operations).await {
            if let Some(ended) = self.ended()? {
                bail!("{ended}");
            }
            ensure!(began.elapsed() < READY, "{} is not ready after {READY:?}: {}", self.name, self.program.log_tail());
            sleep(TENDED_EACH).await;
        }
        Ok(())
    }

    /// The sum of a counter of `/metrics` over all labels that `wanted` says yes to; 0 when nothing was counted.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn counted(&self, counter: &str, wanted: impl Fn(&str) -> bool) -> Result<u64> {
        let answer = Client::new(self.operations).get("/metrics", &[]).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let lines = text.lines().filter_map(|line| line.strip_prefix(counter)?.strip_prefix('{')?.rsplit_once("} "));
        let values = lines.filter(|(labels, _)| wanted(labels)).map(|(_, value)| value.parse::<f64>());
        Ok(values.sum::<Result<f64, _>>()? as u64)
    }
}

/// Whether a process says that requests may come.
async fn is_ready(operations: SocketAddr) -> bool {
    let mut client = Client::new(operations);
    let asked = timeout(Duration::from_secs(2), client.get("/health/ready", &[])).await;
    asked.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status.is_success()))
}

async fn signal(pid: u32, what: &str) -> Result<()> {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{what} {pid}")).status().await?;
    ensure!(status.success(), "cannot send {what} to process {pid}");
    Ok(())
}

/// The variables that put a process's clock so far ahead; a library for that is compiled into the folder.
///
/// # Errors
/// When there is no C compiler.
pub async fn clock_ahead(folder: &Path, seconds: u32) -> Result<Vec<(String, String)>> {
    let folder = std::path::absolute(folder)?;
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, include_str!("clock.c"))?;
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().await;
    ensure!(compiled.context("cannot run cc")?.success(), "cc cannot compile {}", source.display());
    let library = library.display().to_string();
    Ok(vec![("LD_PRELOAD".to_owned(), library), ("CLOCK_AHEAD_SECONDS".to_owned(), seconds.to_string())])
}

/// An address that nobody else has, to be listened on again and again: of a loopback network of this process's own, and
/// below the ports that the system gives to outgoing connections.
pub fn own_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    (Ipv4Addr::new(127, 64 | high, middle, low), PORT.fetch_add(1, Ordering::Relaxed)).into()
}
