use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, Event, ServerAddr,
    connection::State,
    jetstream::{self, context::ContextBuilder},
};
use futures::TryStreamExt;
use tokio::time::Instant;

/// The oldest server: those before silently ignore a consumer's `filter_subjects`.
const OLDEST: (i64, i64) = (2, 11);
/// After how long an unanswered request to the server has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the server is asked whether it is still there. After the third question without an answer a connection is
/// given up: one that was lost on the way without a word says so in no other way.
const PING_EACH: Duration = Duration::from_secs(5);
/// How often to look whether the first connection is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    /// How long to wait for the first connection.
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
        let wait = options.connect_timeout;
        let last_error: Arc<Mutex<String>> = Arc::new(Mutex::new("no answer".to_owned()));
        let client = configure(options, last_error.clone())?;
        let client = client.connect(addresses).await.map_err(|error| ConnectError::Credentials(Box::new(error)))?;
        let until = Instant::now() + wait;
        let unreachable = || {
            let why = last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ConnectError::Unreachable { servers: servers.clone(), after: wait, why }
        };
        while client.connection_state() != State::Connected {
            if Instant::now() >= until {
                return Err(unreachable());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let version = client.server_info().version;
        if !client.is_server_compatible(OLDEST.0, OLDEST.1, 0) {
            return Err(ConnectError::TooOld { servers, version });
        }
        let context = ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        // A cluster that just starts has no leader for a while.
        while let Err(error) = context.query_account().await {
            let timed_out = matches!(error.kind(), jetstream::context::AccountErrorKind::TimedOut);
            if !timed_out {
                return Err(ConnectError::NoJetStream { servers, why: error.to_string() });
            }
            if Instant::now() >= until {
                return Err(unreachable());
            }
        }
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

fn configure(
    options: ConnectOptions,
    last_error: Arc<Mutex<String>>,
) -> Result<async_nats::ConnectOptions, ConnectError> {
    let mut connecting = async_nats::ConnectOptions::new()
        .name(options.name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_EACH)
        .require_tls(options.tls)
        .event_callback(move |event| {
            let last_error = last_error.clone();
            async move {
                match event {
                    Event::Connected => tracing::info!("NATS is connected"),
                    Event::Disconnected => tracing::warn!("NATS is away; messages wait"),
                    Event::ServerError(_) | Event::ClientError(_) => {
                        tracing::warn!(%event, "NATS");
                        *last_error.lock().unwrap_or_else(PoisonError::into_inner) = event.to_string();
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
