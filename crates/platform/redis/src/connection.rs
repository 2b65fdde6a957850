use std::{
    convert::Infallible,
    error::Error,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bookworm_resilience::StartWait;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    PushInfo, RedisError, RedisResult, ServerErrorKind, TlsCertificates, aio::MultiplexedConnection,
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

/// The oldest release whose scripts can ask for two sections of INFO at once, and whose replicas store no scripts.
const OLDEST: u32 = 7;
/// The timeout of connecting, and of each look at the server's state.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection that works is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Between attempts to connect: from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How to reach a server.
#[derive(Clone)]
pub struct Options {
    /// `redis://user:password@host:port/database`, or `rediss://` for TLS.
    pub url: String,
    /// The password, in place of that in `url`.
    pub password: Option<String>,
    /// Certificates (PEM) of authorities to trust instead of the usual ones.
    pub authorities: Option<Vec<u8>>,
    /// A certificate and its private key (PEM), for a server that wants one.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
    /// Before every key.
    pub prefix: String,
}

/// Why a server cannot be used at all: nothing that waiting would mend.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The options are wrong.
    #[error("the options for Redis cannot be used")]
    Options(#[source] RedisError),
    /// It does not let us in.
    #[error("Redis at {0} refuses the user or the password")]
    Login(String, #[source] RedisError),
    /// It is older than what we need.
    #[error("Redis at {0} is release {1}; {OLDEST}.0 or newer is needed")]
    TooOld(String, String),
    /// It does not take writes.
    #[error("Redis at {0} is a replica, which takes no writes; name the master")]
    Replica(String),
}

/// Why there is no connection after a wait for it.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The server can never be used as it is.
    #[error(transparent)]
    Refused(#[from] ConnectError),
    /// It did not answer in time.
    #[error("it does not answer: {0}")]
    Away(String),
}

/// The server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// There is no connection at this moment.
    #[error("there is no connection to Redis at this moment")]
    NotConnected,
    /// It did not answer in time.
    #[error("Redis did not answer within {0:?}")]
    TimedOut(Duration),
    /// The call failed.
    #[error("a call of Redis failed")]
    Failed(#[source] RedisError),
}

/// Why one attempt to connect, or one look at the server, failed.
enum Attempt {
    /// For good.
    Refused(ConnectError),
    /// Another may succeed.
    Away(String),
}

/// A connection to one server, which is made anew for ever. [`run`](Self::run) must run for that.
///
/// After a failure no call waits until [`run`](Self::run) has seen the server answer.
pub struct Redis {
    client: Client,
    /// For logs: without user and password.
    address: String,
    prefix: String,
    state: Mutex<State>,
    /// A call failed: look at the server at once.
    suspected: Notify,
}

struct State {
    connection: Option<MultiplexedConnection>,
    /// Whether calls may use the connection.
    usable: bool,
    /// Since when there is no use in calling, and why.
    away: Option<(Instant, String)>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects. A server that does not answer is no error: it may come later.
    ///
    /// # Errors
    /// When the options are wrong, or the server can never be used as it is.
    pub async fn open(options: Options) -> Result<Self, ConnectError> {
        let info = options.url.as_str().into_connection_info().map_err(ConnectError::Options)?;
        let mut login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        if let Some(password) = &options.password {
            login = login.set_password(password);
        }
        let info = with_user_timeout(info.set_redis_settings(login));
        let address = info.addr().to_string();
        let client = if options.authorities.is_some() || options.certificate.is_some() {
            let client_tls =
                options.certificate.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
            Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: options.authorities })
        } else {
            Client::open(info)
        };
        let redis = Self {
            client: client.map_err(ConnectError::Options)?,
            address,
            prefix: options.prefix,
            state: Mutex::new(State { connection: None, usable: false, away: None }),
            suspected: Notify::new(),
        };
        match redis.connect().await {
            Ok(connection) => redis.came(connection),
            Err(Attempt::Refused(error)) => return Err(error),
            Err(Attempt::Away(why)) => redis.left(why),
        }
        Ok(redis)
    }

    /// Waits until the server answers, `within` at most. For those who cannot go on by themselves, and before
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// When it does not answer in time, or can never be used as it is.
    pub async fn wait(&self, within: Duration) -> Result<(), WaitError> {
        let attempt = |_| async {
            if self.away().is_none() {
                return Ok(());
            }
            match self.connect().await {
                Ok(connection) => self.came(connection),
                Err(Attempt::Refused(error)) => return Err(WaitError::Refused(error)),
                Err(Attempt::Away(why)) => return Err(WaitError::Away(why)),
            }
            Ok(())
        };
        let may_pass = |error: &WaitError| matches!(error, WaitError::Away(_));
        StartWait::new("Redis", within).until(attempt, may_pass).await
    }

    /// A key of ours.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Makes a call. It fails at once while there is no connection, and when it takes longer than `limit`.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn call<T>(
        &self,
        limit: Duration,
        call: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Away> {
        let connection = {
            let state = self.state();
            state.connection.clone().filter(|_| state.usable).ok_or(Away::NotConnected)?
        };
        let failure = match timeout(limit, call(connection)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Away::Failed(error),
            Err(_) => Away::TimedOut(limit),
        };
        self.state().usable = false;
        self.suspected.notify_one();
        Err(failure)
    }

    /// Connects again and again until `stop`, and looks at the connection in between.
    pub async fn run(&self, stop: CancellationToken) {
        let work = async {
            let mut pause = FIRST_PAUSE;
            loop {
                if self.refresh().await {
                    pause = FIRST_PAUSE;
                    tokio::select! {
                        () = self.suspected.notified() => {}
                        () = tokio::time::sleep(CHECK_INTERVAL) => {}
                    }
                } else {
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        tokio::select! { () = work => {}, () = stop.cancelled() => {} }
    }

    /// `None` while the server answers; otherwise since when it does not, and why.
    #[must_use]
    pub fn away(&self) -> Option<(Duration, String)> {
        self.state().away.as_ref().map(|(since, why)| (since.elapsed(), why.clone()))
    }

    /// Looks at the connection, or makes one. Whether there is one now.
    async fn refresh(&self) -> bool {
        let present = self.state().connection.clone();
        let result = match present {
            Some(connection) => self.verify(connection).await,
            None => self.connect().await,
        };
        match result {
            Ok(connection) => {
                self.came(connection);
                true
            }
            Err(Attempt::Refused(error)) => {
                self.left(error.to_string());
                false
            }
            Err(Attempt::Away(why)) => {
                self.left(why);
                false
            }
        }
    }

    /// Another connection to the server, for messages. `each` gets what the server sends by itself; it must not wait.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn connect_for_messages(
        &self,
        each: impl Fn(PushInfo) -> Result<(), Infallible> + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, String> {
        let connected = self.connect_with(AsyncConnectionConfig::new().set_push_sender(each)).await;
        connected.map_err(|attempt| match attempt {
            Attempt::Refused(error) => error.to_string(),
            Attempt::Away(why) => why,
        })
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Attempt> {
        self.connect_with(AsyncConnectionConfig::new()).await
    }

    async fn connect_with(&self, config: AsyncConnectionConfig) -> Result<MultiplexedConnection, Attempt> {
        let config = config.set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(Some(CONNECT_TIMEOUT));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => self.verify(connection).await,
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(Attempt::Away(format!("no connection within {CONNECT_TIMEOUT:?}"))),
        }
    }

    /// Whether the server can be used: new enough, and a master.
    async fn verify(&self, mut connection: MultiplexedConnection) -> Result<MultiplexedConnection, Attempt> {
        let mut command = redis::cmd("INFO");
        let asked = command.arg("server").query_async::<String>(&mut connection);
        let server = self.answer(asked).await?;
        let release = field(&server, "redis_version:").unwrap_or("unknown").to_owned();
        let major = release.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST) {
            return Err(Attempt::Refused(ConnectError::TooOld(self.address.clone(), release)));
        }
        let mut command = redis::cmd("INFO");
        let asked = command.arg("replication").query_async::<String>(&mut connection);
        let replication = self.answer(asked).await?;
        if field(&replication, "role:") != Some("master") {
            return Err(Attempt::Refused(ConnectError::Replica(self.address.clone())));
        }
        Ok(connection)
    }

    async fn answer(&self, asked: impl Future<Output = RedisResult<String>>) -> Result<String, Attempt> {
        match timeout(CONNECT_TIMEOUT, asked).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(Attempt::Away(format!("no answer within {CONNECT_TIMEOUT:?}"))),
        }
    }

    fn failed(&self, error: RedisError) -> Attempt {
        let refused = error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
            || error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm);
        if refused {
            return Attempt::Refused(ConnectError::Login(self.address.clone(), error));
        }
        let (mut why, mut cause) = (error.to_string(), error.source());
        while let Some(inner) = cause {
            why = format!("{why}: {inner}");
            cause = inner.source();
        }
        Attempt::Away(why)
    }

    fn came(&self, connection: MultiplexedConnection) {
        let before = {
            let mut state = self.state();
            let new = state.connection.is_none();
            (state.connection, state.usable) = (Some(connection), true);
            (state.away.take(), new)
        };
        metrics::gauge!("redis_connected").set(1.0);
        match before {
            (Some((since, _)), _) => {
                tracing::info!(address = self.address, away = ?since.elapsed(), "Redis answers again");
            }
            (None, true) => tracing::info!(address = self.address, "Redis answers"),
            (None, false) => {}
        }
    }

    fn left(&self, why: String) {
        let mut state = self.state();
        (state.connection, state.usable) = (None, false);
        if state.away.is_none() {
            tracing::warn!(address = self.address, why, "Redis cannot be used: this process goes on by itself");
            state.away = Some((Instant::now(), why));
        }
        drop(state);
        metrics::gauge!("redis_connected").set(0.0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn field<'t>(info: &'t str, name: &str) -> Option<&'t str> {
    info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// A server that vanished without a word is noticed by the system, too.
fn with_user_timeout(info: ConnectionInfo) -> ConnectionInfo {
    #[cfg(target_os = "linux")]
    {
        let tcp = info.tcp_settings().clone().set_user_timeout(Duration::from_secs(10));
        info.set_tcp_settings(tcp)
    }
    #[cfg(not(target_os = "linux"))]
    info
}
