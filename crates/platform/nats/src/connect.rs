use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, ConnectErrorKind, Event, ServerAddr, ServerError,
    connection::State,
    jetstream::{
        self,
        context::{AccountErrorKind, ContextBuilder},
    },
};
use bookworm_resilience::{Note, Outage, StartWait};
use futures::TryStreamExt;
use tokio::time::{Instant, timeout};

use crate::stream::is_passing;

/// The oldest server: those before silently ignore a consumer's `filter_subjects`.
const OLDEST: (i64, i64) = (2, 11);
/// After how long an unanswered request to the server has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the server is asked whether it is still there. After the third question without an answer a connection is
/// given up: one that was lost on the way without a word says so in no other way.
const PING_EACH: Duration = Duration::from_secs(5);
/// How often to look whether the first connection is there, and for how long before the log hears that it is not.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOK_FOR: Duration = Duration::from_secs(2);

/// Who connects, and how.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// The servers of one cluster, such as `nats://host:4222`, or `tls://host:4222`.
    pub servers: Vec<String>,
    /// What the server's own lists call this connection.
    pub name: String,
    /// Who signs in.
    pub login: Option<Login>,
    /// Certificates (PEM) of authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A certificate (PEM) and its private key, for a server that wants one.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Whether the connection must be TLS. A `tls://` address implies it.
    pub tls: bool,
    /// How long to wait for the first connection and JetStream's first answer, together.
    pub connect_timeout: Duration,
}

/// Who signs in to a server.
#[derive(Clone)]
pub enum Login {
    /// A user and a password.
    User(String, String),
    /// A token.
    Token(String),
    /// The seed of an nkey.
    Nkey(String),
    /// The text of a credentials file: a JWT and its seed.
    Credentials(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User(..) => "User(..)",
            Self::Token(_) => "Token(..)",
            Self::Nkey(_) => "Nkey(..)",
            Self::Credentials(_) => "Credentials(..)",
        })
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// An address is not one.
    #[error("this is no address of a NATS server, which looks like nats://host:4222 or tls://host:4222")]
    Address(#[source] std::io::Error),
    /// Key, credentials or certificates cannot be used.
    #[error("the credentials for NATS cannot be used")]
    Credentials(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No connection in time.
    #[error("no connection to NATS at {servers} within {} s: {why}", after.as_secs())]
    Unreachable {
        /// Where.
        servers: String,
        /// How long it was tried.
        after: Duration,
        /// What the last try met.
        why: String,
    },
    /// The server does not let us in.
    #[error("the NATS server at {servers} refuses who signs in ({why})")]
    Login {
        /// Where.
        servers: String,
        /// What it says.
        why: String,
    },
    /// The server is of an old release.
    #[error("the NATS server at {servers} is release {version}; 2.11 or newer is needed")]
    TooOld {
        /// Where.
        servers: String,
        /// Its release.
        version: String,
    },
    /// The server does not store messages, or not for this account.
    #[error(
        "the NATS server at {servers} has no JetStream for this account: its configuration needs `jetstream {{ .. }}` \
         ({why})"
    )]
    NoJetStream {
        /// Where.
        servers: String,
        /// What it says.
        why: String,
    },
}

/// A connection to NATS. Cheap to clone; once made it reconnects for ever.
#[derive(Clone, Debug)]
pub struct Nats {
    pub(crate) client: Client,
    pub(crate) context: jetstream::Context,
}

/// The account's streams are not known.
#[derive(Debug, thiserror::Error)]
#[error("NATS does not say which streams there are")]
pub struct StreamsError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// It is not connected at this moment.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection to NATS at this moment")]
pub(crate) struct NotConnected;

impl Nats {
    /// Connects, and makes sure that the server can do what is asked of it.
    ///
    /// # Errors
    /// When the options cannot be used, when no server answers in time, or when the one that does cannot be used.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        let addresses = options.servers.iter().map(|server| server.parse()).collect::<Result<Vec<ServerAddr>, _>>();
        let addresses = addresses.map_err(ConnectError::Address)?;
        // Only host and port: an address may carry a password.
        let named = addresses.iter().map(|address| format!("{}:{}", address.host(), address.port()));
        let servers = named.collect::<Vec<_>>().join(", ");
        let mut wait = StartWait::new(format!("NATS at {servers}"), options.connect_timeout);
        let seen = Seen::default();
        let client = configure(options, seen.clone())?;
        let client = client.connect(addresses).await.map_err(|error| ConnectError::Credentials(Box::new(error)))?;
        let trial = Trial { servers: &servers, client: &client, seen: &seen, total: wait.total() };
        wait.until(|left| trial.connection(left), ConnectError::may_pass).await?;
        let version = client.server_info().version;
        if !client.is_server_compatible(OLDEST.0, OLDEST.1, 0) {
            return Err(ConnectError::TooOld { servers, version });
        }
        let context = ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        wait.until(|left| trial.jetstream(&context, left), ConnectError::may_pass).await?;
        tracing::info!(%servers, version, "connected to NATS");
        Ok(Self { client, context })
    }

    /// Whether there is a connection at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The release of the server that it is connected to, such as `2.15.1`.
    #[must_use]
    pub fn release(&self) -> String {
        self.client.server_info().version
    }

    /// The names of the account's streams. A bucket is one, with `KV_` before its name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn streams(&self) -> Result<BTreeSet<String>, StreamsError> {
        self.context.stream_names().try_collect().await.map_err(|error| StreamsError(Box::new(error)))
    }

    /// Refuses at once what would wait for a timeout, and be sent when it is no longer meant.
    pub(crate) fn connected(&self) -> Result<(), NotConnected> {
        if self.is_connected() { Ok(()) } else { Err(NotConnected) }
    }
}

impl ConnectError {
    /// Whether it may be another way later: the server does not answer, and did not refuse.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// What the connection said of its attempts.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Attempts>>);

#[derive(Default)]
struct Attempts {
    /// Why the last one failed.
    why: Option<String>,
    /// Whether the server refused who signs in.
    refused: bool,
}

impl Seen {
    fn failed(&self, event: &Event) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.why = Some(event.to_string());
        attempts.refused = is_refusal(event);
    }
}

/// An attempt to connect fails with this text and no more, a connection ends with this error.
fn is_refusal(event: &Event) -> bool {
    match event {
        Event::ServerError(error) => *error == ServerError::AuthorizationViolation,
        Event::ClientError(error) => error.to_string().ends_with(&ConnectErrorKind::AuthorizationViolation.to_string()),
        _ => false,
    }
}

/// What is tried of a server before it is used.
struct Trial<'t> {
    servers: &'t str,
    client: &'t Client,
    seen: &'t Seen,
    total: Duration,
}

impl Trial<'_> {
    /// Looks for the connection for a while; the client makes the attempts by itself.
    async fn connection(&self, left: Duration) -> Result<(), ConnectError> {
        let until = Instant::now() + left.min(LOOK_FOR);
        while self.client.connection_state() != State::Connected {
            let (why, refused) = {
                let attempts = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
                (attempts.why.clone().unwrap_or_else(|| "no answer".to_owned()), attempts.refused)
            };
            if refused {
                return Err(ConnectError::Login { servers: self.servers.to_owned(), why });
            }
            if Instant::now() >= until {
                return Err(self.unreachable(why));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Whether JetStream answers. That of a cluster that has just started has no leader for a while.
    async fn jetstream(&self, context: &jetstream::Context, left: Duration) -> Result<(), ConnectError> {
        let silent = || self.unreachable("JetStream does not answer".to_owned());
        let Ok(answer) = timeout(left, context.query_account()).await else { return Err(silent()) };
        let Err(error) = answer else { return Ok(()) };
        match error.kind() {
            AccountErrorKind::TimedOut | AccountErrorKind::Other => Err(silent()),
            AccountErrorKind::JetStream(error) if is_passing(&error) => Err(self.unreachable(error.to_string())),
            AccountErrorKind::JetStream(_) | AccountErrorKind::JetStreamUnavailable => {
                Err(ConnectError::NoJetStream { servers: self.servers.to_owned(), why: error.to_string() })
            }
        }
    }

    fn unreachable(&self, why: String) -> ConnectError {
        ConnectError::Unreachable { servers: self.servers.to_owned(), after: self.total, why }
    }
}

fn configure(options: ConnectOptions, seen: Seen) -> Result<async_nats::ConnectOptions, ConnectError> {
    // A lost connection is tried again ten times in the first seconds, by each process.
    let outage = Arc::new(Outage::default());
    let mut connecting = async_nats::ConnectOptions::new()
        .name(options.name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_EACH)
        .require_tls(options.tls)
        .event_callback(move |event| {
            let (seen, outage) = (seen.clone(), outage.clone());
            async move {
                match event {
                    Event::Connected => tracing::info!("NATS is connected"),
                    Event::Disconnected => {
                        // What failed before it was connected is over.
                        outage.answered();
                        tracing::warn!("NATS is away; messages wait");
                    }
                    Event::ServerError(_) | Event::ClientError(_) => {
                        seen.failed(&event);
                        match outage.failed() {
                            Some(Note::GoesOn { failed }) => tracing::warn!(%event, failed, "NATS is still away"),
                            Some(_) => tracing::warn!(%event, "NATS cannot be reached, and is tried again and again"),
                            None => {}
                        }
                    }
                    other => tracing::info!(event = %other, "NATS"),
                }
            }
        });
    connecting = match options.login {
        None => connecting,
        Some(Login::User(user, password)) => connecting.user_and_password(user, password),
        Some(Login::Token(token)) => connecting.token(token),
        Some(Login::Nkey(seed)) => connecting.nkey(seed),
        Some(Login::Credentials(text)) => {
            connecting.credentials(&text).map_err(|error| ConnectError::Credentials(Box::new(error)))?
        }
    };
    if let Some(file) = options.ca_file {
        connecting = connecting.add_root_certificates(file);
    }
    if let Some((certificate, key)) = options.client_certificate {
        connecting = connecting.add_client_certificate(certificate, key);
    }
    Ok(connecting)
}
