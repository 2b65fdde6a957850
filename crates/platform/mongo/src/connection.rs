use std::{
    error::Error as _,
    fmt,
    future::IntoFuture,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bookworm_resilience::StartWait;
use mongodb::{
    Client, Collection, Database,
    bson::{Document, doc},
    error::{Error, ErrorKind},
    options::{
        Acknowledgment, ClientOptions, Credential, ReadConcern, ReadPreference, SelectionCriteria, Tls, TlsOptions,
        WriteConcern,
    },
};
use tokio::time::timeout;

use crate::MongoError;

/// The oldest release, and how the protocol calls it.
const OLDEST: (&str, i32) = ("5.0", 13);
/// The timeout of connecting, and of finding a server that takes writes.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of a call, all its attempts together.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often servers are looked at while all is well.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The timeout of the farewell.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How to reach the servers.
#[derive(Clone)]
pub struct Options {
    /// `mongodb://host:27017,host:27017/?replicaSet=rs0`, or `mongodb+srv://` with a name to look up.
    pub url: String,
    /// The database.
    pub database: String,
    /// Who signs in, in place of the user in `url`, and the password.
    pub login: Option<(String, String)>,
    /// A file with the certificates (PEM) of authorities to trust instead of the usual ones. Implies TLS.
    pub ca_file: Option<PathBuf>,
    /// A file with our certificate and its private key (PEM), for servers that want one. Implies TLS.
    pub certificate_key_file: Option<PathBuf>,
    /// How long to wait for the servers at start.
    pub connect_timeout: Duration,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("database", &self.database).finish_non_exhaustive()
    }
}

/// Why there is no connection at start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The options are wrong.
    #[error("the options for MongoDB cannot be used")]
    Options(#[source] Box<Error>),
    /// It does not let us in.
    #[error("MongoDB at {0} refuses the user or the password")]
    Login(String, #[source] Box<Error>),
    /// It is older than what we need.
    #[error("MongoDB at {0} is release {1}; {oldest} or newer is needed", oldest = OLDEST.0)]
    TooOld(String, String),
    /// It takes no writes.
    #[error("MongoDB at {0} is a secondary, which takes no writes; name every server of the set, or its primary")]
    Secondary(String),
    /// Nobody answers.
    #[error("MongoDB at {0} does not answer, {1} s long")]
    Away(String, u64, #[source] Box<MongoError>),
}

impl ConnectError {
    fn is_unknown_name(&self) -> bool {
        matches!(self, Self::Options(error) if matches!(error.kind.as_ref(), ErrorKind::DnsResolve { .. }))
    }
}

/// A connection to one database. It is made anew for ever.
pub struct Mongo {
    client: Client,
    database: Database,
    /// For logs: without user and password.
    address: String,
    /// Since when it does not answer.
    away: Mutex<Option<Instant>>,
}

impl fmt::Debug for Mongo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mongo").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Mongo {
    /// Connects. Waits for servers that are not there yet, as long as the options say.
    ///
    /// # Errors
    /// When the options are wrong, the servers can never be used as they are, or do not come.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let mut wait = StartWait::new("MongoDB", options.connect_timeout);
        // The name of `mongodb+srv://` may not be known yet.
        let client_options = wait.until(|_| client_options(&options), ConnectError::is_unknown_name).await?;
        let hosts: Vec<String> = client_options.hosts.iter().map(ToString::to_string).collect();
        let address = hosts.join(",");
        let client = Client::with_options(client_options).map_err(|error| ConnectError::Options(error.into()))?;
        let database = client.database(&options.database);
        let mongo = Self { client, database, address, away: Mutex::default() };
        wait.until(|left| mongo.verify(left), |error| matches!(error, ConnectError::Away(..))).await?;
        Ok(mongo)
    }

    /// Whether the server can be used: lets us in, is new enough, takes writes.
    async fn verify(&self, within: Duration) -> Result<(), ConnectError> {
        let within = within.min(CALL_TIMEOUT);
        let silent = |_| self.unusable(MongoError::TimedOut(within));
        timeout(within, self.look()).await.map_err(silent)?
    }

    async fn look(&self) -> Result<(), ConnectError> {
        let hello = self.call(self.database.run_command(doc! { "hello": 1 })).await.map_err(|e| self.unusable(e))?;
        let release = || async {
            let info = self.call(self.database.run_command(doc! { "buildInfo": 1 })).await;
            let version = |info: Document| info.get_str("version").map(str::to_owned).ok();
            info.ok().and_then(version).unwrap_or_else(|| "unknown".to_owned())
        };
        if hello.get_i32("maxWireVersion").unwrap_or(0) < OLDEST.1 {
            return Err(ConnectError::TooOld(self.address.clone(), release().await));
        }
        if !hello.get_bool("isWritablePrimary").unwrap_or(false) {
            return Err(ConnectError::Secondary(self.address.clone()));
        }
        // `hello` needs no login, and not every server asks for one before the first command that does.
        let probe = self.database.collection::<Document>("login");
        self.call(probe.find_one(doc! { "_id": 0 })).await.map_err(|error| self.unusable(error))?;
        let release = release().await;
        tracing::info!(address = self.address, release, "MongoDB answers");
        Ok(())
    }

    fn unusable(&self, error: MongoError) -> ConnectError {
        let address = self.address.clone();
        match error {
            MongoError::Away(error) | MongoError::Failed(error) if is_login(&error) => {
                ConnectError::Login(address, error)
            }
            MongoError::Away(error) if is_beyond_the_driver(&error) => {
                ConnectError::TooOld(address, "older than 4.4".to_owned())
            }
            MongoError::Failed(error) => ConnectError::Options(error),
            error => ConnectError::Away(address, self.away_for().as_secs(), error.into()),
        }
    }

    /// A collection.
    #[must_use]
    pub fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.database.collection(name)
    }

    /// Makes a call, which may be repeated by the driver. It takes at most 10 s.
    ///
    /// # Errors
    /// When the servers do not answer, or refuse.
    pub async fn call<T>(&self, call: impl IntoFuture<Output = Result<T, Error>>) -> Result<T, MongoError> {
        let answer = match timeout(CALL_TIMEOUT, call.into_future()).await {
            Ok(answer) => answer.map_err(MongoError::from),
            Err(_) => Err(MongoError::TimedOut(CALL_TIMEOUT)),
        };
        match &answer {
            Err(error) if error.is_away() => self.left(error),
            Ok(_) | Err(_) => self.came(),
        }
        answer
    }

    /// Ends its connections.
    pub async fn close(&self) {
        let _ = timeout(CLOSE_TIMEOUT, self.client.clone().shutdown().immediate(true)).await;
    }

    fn away_for(&self) -> Duration {
        self.away().map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn came(&self) {
        if let Some(since) = self.away().take() {
            tracing::info!(address = self.address, away = ?since.elapsed(), "MongoDB answers again");
        }
        metrics::gauge!("mongodb_connected").set(1.0);
    }

    fn left(&self, error: &MongoError) {
        let mut away = self.away();
        if away.is_none() {
            *away = Some(Instant::now());
            let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            tracing::warn!(address = self.address, why, "MongoDB does not answer");
        }
        drop(away);
        metrics::gauge!("mongodb_connected").set(0.0);
    }

    fn away(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// AuthenticationFailed, Unauthorized.
fn is_login(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => true,
        ErrorKind::Command(error) => matches!(error.code, 13 | 18),
        _ => false,
    }
}

/// The driver speaks with 4.4 and newer, and says of older ones only in words why it finds no server.
fn is_beyond_the_driver(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::ServerSelection { message, .. } if message.contains("driver requires at least"))
}

async fn client_options(options: &Options) -> Result<ClientOptions, ConnectError> {
    let mut driver = ClientOptions::parse(&options.url).await.map_err(|error| ConnectError::Options(error.into()))?;
    driver.app_name = Some("bookworm".to_owned());
    driver.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    driver.read_concern = Some(ReadConcern::majority());
    driver.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    driver.retry_writes = Some(true);
    driver.retry_reads = Some(true);
    driver.server_selection_timeout = Some(SELECTION_TIMEOUT.min(options.connect_timeout));
    driver.connect_timeout = Some(SELECTION_TIMEOUT);
    driver.heartbeat_freq = Some(HEARTBEAT);
    if let Some((username, password)) = &options.login {
        let mut credential = driver.credential.take().unwrap_or_else(|| Credential::builder().build());
        credential.username = Some(username.clone());
        credential.password = Some(password.clone());
        driver.credential = Some(credential);
    }
    if options.ca_file.is_some() || options.certificate_key_file.is_some() {
        let mut tls = match driver.tls.take() {
            Some(Tls::Enabled(tls)) => tls,
            _ => TlsOptions::builder().build(),
        };
        tls.ca_file_path = options.ca_file.clone().or(tls.ca_file_path);
        tls.cert_key_file_path = options.certificate_key_file.clone().or(tls.cert_key_file_path);
        driver.tls = Some(Tls::Enabled(tls));
    }
    Ok(driver)
}
