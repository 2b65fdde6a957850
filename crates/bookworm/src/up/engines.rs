//! The engines that a fleet stands on: found, set up in the data folder, and how each is started and reached.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use bookworm_config::{Settings, Up};
use bookworm_node::secret_file;
use rustix::process::geteuid;

use super::child::Child;

/// How long an engine may take to end, once nobody uses it any more.
const GRACE: Duration = Duration::from_secs(20);
/// Who PostgreSQL runs as when we are root, whom it refuses.
const POSTGRES_USER: &str = "postgres";
/// Connections beside those of the processes: `init`, migrations, whoever looks inside.
const SPARE_CONNECTIONS: u32 = 100;

/// An engine that is to be started.
#[derive(Debug)]
pub struct Engine {
    pub child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// The setting that says so to the shop's processes, and its value.
    pub setting: (&'static str, String),
}

/// Sets up, in `folder`, the engines that the settings have us start. `processes` is how many the fleet
/// has.
///
/// # Errors
/// When a program is not found, a folder cannot be written, or PostgreSQL cannot be set up.
pub async fn prepare(settings: &Settings, folder: &Path, processes: u32) -> anyhow::Result<Vec<Engine>> {
    let Up { nats, postgres: database, redis: cache, ferretdb: documents, .. } = &settings.up;
    let mut engines = Vec::new();
    if let Some(program) = database {
        let program = found("up.postgres", program, &debians_postgres())?;
        let connections = processes.saturating_mul(settings.database.max_connections).saturating_add(SPARE_CONNECTIONS);
        engines.push(postgres(program, &own(folder, "postgres")?, folder, connections).await?);
    }
    if let Some(program) = nats {
        engines.push(jetstream(found("up.nats", program, &[])?, &own(folder, "nats")?, settings.nats.max_mib)?);
    }
    if let Some(program) = cache {
        engines.push(redis(found("up.redis", program, &[])?, &own(folder, "redis")?)?);
    }
    if let Some(program) = documents {
        engines.push(ferretdb(found("up.ferretdb", program, &[])?, &own(folder, "ferretdb")?)?);
    }
    Ok(engines)
}

/// The folder of an engine, for its eyes only.
fn own(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let own = folder.join(name);
    let made = fs::create_dir_all(&own).and_then(|()| fs::set_permissions(&own, fs::Permissions::from_mode(0o700)));
    made.with_context(|| format!("cannot make the folder {}", own.display()))?;
    Ok(own)
}

/// A port of this machine that nobody has just now.
///
/// # Errors
/// When there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// The program at this path; of a mere name, that in PATH or in one of these folders.
fn found(key: &str, program: &Path, folders: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let is_program = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0);
    if program.components().count() > 1 {
        let path = std::path::absolute(program).with_context(|| format!("{key}: {}", program.display()))?;
        if is_program(&path) {
            return Ok(path);
        }
        bail!("{key}: there is no program {}", program.display());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(folders.iter().cloned());
    match places.map(|folder| folder.join(program)).find(|path| is_program(path)) {
        Some(path) => Ok(path),
        None => bail!(
            "{key}: there is no program {} in PATH. Install it, name it by its path, or leave {key} out and use one that \
             runs already",
            program.display()
        ),
    }
}

/// Where Debian puts PostgreSQL's programs, the newest release first.
fn debians_postgres() -> Vec<PathBuf> {
    let releases = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = releases
        .filter_map(|release| Some((release.file_name().to_str()?.parse().ok()?, release.path().join("bin"))))
        .collect();
    folders.sort_unstable_by(|one, other| other.cmp(one));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

fn child(name: &str, program: PathBuf, arguments: &[&str], folder: &Path) -> Child {
    Child {
        name: name.to_owned(),
        program,
        arguments: arguments.iter().map(Into::into).collect(),
        variables: Vec::new(),
        folder: Some(folder.to_owned()),
        user: None,
        interrupt: false,
        ready: None,
        grace: GRACE,
    }
}

fn jetstream(program: PathBuf, folder: &Path, stream_mib: u32) -> anyhow::Result<Engine> {
    let address = free_address()?;
    let (configuration, store) = (folder.join("nats.conf"), folder.join("data"));
    // Acknowledged means synced. What streams reserve must fit: the shop's, and its buckets.
    let text = format!(
        "listen: \"{address}\"\njetstream {{ store_dir: \"{}\", sync_interval: always, max_file_store: {}MB }}\n",
        store.display(),
        u64::from(stream_mib) + 1024
    );
    fs::write(&configuration, text).with_context(|| format!("cannot write {}", configuration.display()))?;
    let configuration = configuration.display().to_string();
    let ready = Some("Server is ready");
    Ok(Engine {
        child: Child { ready, ..child("nats", program, &["-c", &configuration], folder) },
        address,
        setting: ("nats.url", format!("nats://{address}")),
    })
}

fn redis(program: PathBuf, folder: &Path) -> anyhow::Result<Engine> {
    let address = free_address()?;
    let (port, dir) = (address.port().to_string(), folder.display().to_string());
    // Nothing in it is the only copy.
    let arguments = ["--bind", "127.0.0.1", "--port", &port, "--dir", &dir, "--save", "", "--appendonly", "no"];
    let ready = Some("Ready to accept connections");
    Ok(Engine {
        child: Child { ready, ..child("redis", program, &arguments, folder) },
        address,
        setting: ("redis.url", format!("redis://{address}")),
    })
}

fn ferretdb(program: PathBuf, folder: &Path) -> anyhow::Result<Engine> {
    let address = free_address()?;
    let (listen, data) = (address.to_string(), folder.display().to_string());
    Ok(Engine {
        child: child("ferretdb", program, &["-listen", &listen, "-data", &data], folder),
        address,
        setting: ("mongodb.url", format!("mongodb://{address}")),
    })
}

async fn postgres(program: PathBuf, folder: &Path, all: &Path, connections: u32) -> anyhow::Result<Engine> {
    let user = postgres_user()?;
    if let Some((uid, gid)) = user {
        chown(folder, Some(uid), Some(gid)).with_context(|| format!("cannot give {} away", folder.display()))?;
        // Its folder is inside of ours, which others may pass and not list.
        fs::set_permissions(all, fs::Permissions::from_mode(0o711))
            .with_context(|| format!("cannot open the way through {}", all.display()))?;
    }
    let password = secret_file(&all.join("postgres-password"))?;
    let data = folder.join("data");
    if !data.join("PG_VERSION").exists() {
        set_up_postgres(&program, folder, &data, &password, user).await?;
    }
    let address = free_address()?;
    let (port, dir, connections) = (address.port().to_string(), data.display().to_string(), connections.to_string());
    let most = format!("max_connections={connections}");
    let arguments =
        ["-D", &dir, "-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", &most];
    let started = Child {
        user,
        // SIGTERM would wait until every connection is closed.
        interrupt: true,
        ready: Some("database system is ready to accept connections"),
        ..child("postgres", program, &arguments, folder)
    };
    Ok(Engine {
        child: started,
        address,
        setting: ("database.url", format!("postgres://bookworm:{password}@{address}/postgres")),
    })
}

/// Makes the data folder, complete or not at all.
async fn set_up_postgres(
    program: &Path,
    folder: &Path,
    data: &Path,
    password: &str,
    user: Option<(u32, u32)>,
) -> anyhow::Result<()> {
    let initdb = program.with_file_name("initdb");
    if !initdb.is_file() {
        bail!("up.postgres: there is no program {} beside it", initdb.display());
    }
    let (half, file) = (folder.join("data.new"), folder.join("password"));
    if half.exists() {
        fs::remove_dir_all(&half).with_context(|| format!("cannot remove {}", half.display()))?;
    }
    fs::write(&file, password).with_context(|| format!("cannot write {}", file.display()))?;
    if let Some((uid, gid)) = user {
        chown(&file, Some(uid), Some(gid)).with_context(|| format!("cannot give {} away", file.display()))?;
    }
    let (dir, pwfile) = (half.display().to_string(), format!("--pwfile={}", file.display()));
    let arguments = [
        "-D",
        &dir,
        "-U",
        "bookworm",
        &pwfile,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
    ];
    let setting_up = Child { user, ..child("initdb", initdb.clone(), &arguments, folder) };
    let done = setting_up.command()?.output().await.with_context(|| format!("cannot run {}", initdb.display()))?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ");
        let hint = match user {
            Some(_) => {
                format!(". As root we run it as the user {POSTGRES_USER}, who must be able to reach that folder")
            }
            None => String::new(),
        };
        bail!("{} cannot set up {}: {why}{hint}", initdb.display(), folder.display());
    }
    fs::rename(&half, data).with_context(|| format!("cannot rename {}", half.display()))
}

/// Who PostgreSQL runs as, where it is not who we are.
fn postgres_user() -> anyhow::Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    match user(&users, POSTGRES_USER) {
        Some(user) => Ok(Some(user)),
        None => {
            bail!("PostgreSQL does not run as root, and there is no user {POSTGRES_USER}: start this as another user")
        }
    }
}

/// The ids of a user and their group.
fn user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = passwd
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut line| (line.next() == Some(name)).then(|| line.skip(1)))?;
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_path_or_its_name() {
        assert!(found("up.nats", Path::new("sh"), &[]).unwrap().ends_with("sh"));
        assert_eq!(found("up.nats", Path::new("/bin/sh"), &[]).unwrap(), Path::new("/bin/sh"));
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("an-engine-of-nobody");
        fs::write(&program, "").unwrap();
        let name = Path::new("an-engine-of-nobody");
        let missing = found("up.nats", name, &[folder.path().to_owned()]).unwrap_err().to_string();
        assert!(missing.starts_with("up.nats: there is no program an-engine-of-nobody in PATH"), "{missing}");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found("up.nats", name, &[folder.path().to_owned()]).unwrap(), program);
        let missing = found("up.redis", Path::new("./no/redis"), &[]).unwrap_err().to_string();
        assert_eq!(missing, "up.redis: there is no program ./no/redis");
    }

    #[test]
    fn a_user_has_the_ids_of_their_line() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(user(passwd, "postgres"), Some((101, 104)));
        assert_eq!(user(passwd, "post"), None);
    }
}
