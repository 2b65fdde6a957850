//! A whole fleet on this machine: engines, then a process for each role; all of them end with this one.

mod child;
mod engines;
mod log;
mod plan;
mod tie;

use std::{
    fs::{self, DirBuilder, File},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use bookworm_config::{Settings, Sources};
use bookworm_node::commands;
use tokio::{net::TcpStream, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::tie::become_program;
use self::{
    child::{Child, Ending, Standing},
    engines::Engine,
    log::Log,
    plan::Plan,
};
use crate::serve;

/// How long an engine may take until it can be used: PostgreSQL replays its log after a power cut.
const ENGINE_STARTS_WITHIN: Duration = Duration::from_secs(120);
/// How long the shop's processes may take until all are ready, on a busy machine with a debug build.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// After how many looks to say who is missing.
const LOOKS_BEFORE_A_WORD: u32 = 50;
/// What a process may take beyond its own budget before it is killed.
const BEYOND_BUDGET: Duration = Duration::from_secs(5);

/// Starts the fleet, and runs it until it is told to stop. `sources` and `file` are where the settings are from.
///
/// # Errors
/// When an engine, `init` or a process does not come up.
pub async fn run(settings: &Settings, sources: Sources, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (stop, processes, engines) = (CancellationToken::new(), Ending::default(), Ending::default());
    let kill = CancellationToken::new();
    let (processes, engines) = (Ending { kill: kill.clone(), ..processes }, Ending { kill: kill.clone(), ..engines });
    serve::signals(stop.clone(), {
        let kill = kill.clone();
        move || kill.cancel()
    })?;
    let folder = std::path::absolute(&settings.data_dir).context("the data folder has no absolute path")?;
    let _lock = take(&folder)?;
    let mut fleet = Fleet {
        log: Log::new(plan::names(settings)?.iter().map(String::as_str)),
        processes: JoinSet::new(),
        engines: JoinSet::new(),
        ending: processes.clone(),
        engines_ending: engines.clone(),
    };
    let started = tokio::select! {
        started = fleet.start(settings, sources, file, &folder) => started,
        () = stop.cancelled() => Ok(()),
    };
    if started.is_ok() {
        stop.cancelled().await;
    }
    fleet.log.line("up", "stopping the fleet; a second signal kills it");
    processes.stop.cancel();
    while fleet.processes.join_next().await.is_some() {}
    engines.stop.cancel();
    while fleet.engines.join_next().await.is_some() {}
    fleet.log.line("up", "stopped");
    started?;
    Ok(if kill.is_cancelled() { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

/// What runs.
struct Fleet {
    log: Log,
    processes: JoinSet<()>,
    engines: JoinSet<()>,
    ending: Ending,
    engines_ending: Ending,
}

impl Fleet {
    async fn start(
        &mut self,
        settings: &Settings,
        sources: Sources,
        file: Option<PathBuf>,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let wanted = plan::names(settings)?.len();
        let processes = u32::try_from(wanted).unwrap_or(u32::MAX);
        let engines = engines::prepare(settings, folder, processes).await?;
        let plan = plan::make(settings, &engines, folder, file.as_deref())?;
        // Refused before anything is started.
        let settings = Settings::load(
            plan.shared.iter().fold(sources, |sources, (key, value)| sources.set("bookworm up", key, value)),
        )?;
        for engine in engines {
            self.start_engine(engine).await?;
        }
        write_settings(&plan, folder)?;
        let mut of_init = settings.clone();
        of_init.data_dir = folder.join("init");
        let log = self.log.clone();
        let done = commands::init(of_init, |step| log.line("init", &step.to_string())).await?;
        let home = plan.shop.clone();
        if let Some(admin) = done.first_admin {
            crate::print(&serve::once(&admin, &home));
        }
        let grace = settings.shutdown_grace() + BEYOND_BUDGET;
        for process in &plan.processes {
            let child = process.child(grace)?;
            let (standing, _) = watch::channel(Standing::Starting);
            self.processes.spawn(child.keep(self.log.clone(), standing, self.ending.clone()));
        }
        self.wait_until_ready(&settings, &plan).await?;
        crate::print(&format!("the shop is at {home}\n"));
        for other in &plan.other_gateways {
            crate::print(&format!("another gateway is at http://{other}/\n"));
        }
        let shown = folder.join("fleet.toml");
        crate::print(&format!("see who is there with: bookworm fleet --config {}\n", shown.display()));
        Ok(())
    }

    /// Starts an engine and waits until it can be used.
    async fn start_engine(&mut self, engine: Engine) -> anyhow::Result<()> {
        let Engine { child, address, .. } = engine;
        let (name, says_so) = (child.name.clone(), child.ready.is_some());
        let (standing, mut seen) = watch::channel(Standing::Starting);
        self.engines.spawn(child.keep(self.log.clone(), standing, self.engines_ending.clone()));
        let up = async {
            loop {
                match &*seen.borrow_and_update() {
                    Standing::Ready => return Ok(()),
                    Standing::Ended(how) => bail!("{name} ended: {how}; see what it wrote above"),
                    Standing::Starting => {}
                }
                if !says_so && TcpStream::connect(address).await.is_ok() {
                    return Ok(());
                }
                let _ = tokio::time::timeout(LOOK_EVERY, seen.changed()).await;
            }
        };
        let up = tokio::time::timeout(ENGINE_STARTS_WITHIN, up).await;
        up.with_context(|| format!("{name} cannot be used after {} s", ENGINE_STARTS_WITHIN.as_secs()))??;
        self.log.line("up", &format!("{name} is at {address}"));
        Ok(())
    }

    async fn wait_until_ready(&self, settings: &Settings, plan: &Plan) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + READY_WITHIN;
        let mut look = 0_u32;
        loop {
            look += 1;
            // On a busy machine the registry may not answer in time: then it is asked again.
            let (there, why) = match commands::fleet(settings).await {
                Ok(there) => (Some(there), String::new()),
                Err(error) => (None, format!(" ({error:#})")),
            };
            let is_ready = |process: &plan::Process| {
                there.as_ref().is_some_and(|there| there.is_ready(process.role.name(), &process.name))
            };
            let missing: Vec<&str> =
                plan.processes.iter().filter(|process| !is_ready(process)).map(|process| &*process.name).collect();
            if missing.is_empty() {
                return Ok(());
            }
            let missing = missing.join(", ");
            if tokio::time::Instant::now() >= until {
                bail!("not ready after {} s: {missing}{why}", READY_WITHIN.as_secs());
            }
            if look.is_multiple_of(LOOKS_BEFORE_A_WORD) {
                self.log.line("up", &format!("waiting for {missing}{why}"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl plan::Process {
    /// The process, as it is started.
    fn child(&self, grace: Duration) -> anyhow::Result<Child> {
        Ok(Child {
            name: self.name.clone(),
            program: std::env::current_exe().context("this program does not find itself")?,
            arguments: self.arguments.clone(),
            variables: self.variables.clone(),
            folder: None,
            user: None,
            interrupt: false,
            ready: None,
            grace,
        })
    }
}

/// Takes the data folder for this fleet.
fn take(folder: &Path) -> anyhow::Result<File> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another bookworm is running on the data folder {}", folder.display());
    }
    Ok(file)
}

/// Writes down how to reach the fleet, for `bookworm fleet` and other commands; for its owner's eyes only.
fn write_settings(plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join("fleet.toml");
    let lines: Vec<String> = plan
        .shared
        .iter()
        .chain(&plan.of_commands)
        .map(|(key, value)| format!("{key} = {}\n", toml::Value::from(value.as_str())))
        .collect();
    let text = format!("# Made by `bookworm up` at each start: how commands reach this fleet.\n{}", lines.concat());
    let half = folder.join("fleet.toml.new");
    let write = || {
        let mut open = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
        open.write_all(text.as_bytes())?;
        fs::rename(&half, &path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
