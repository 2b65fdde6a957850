//! TLS between the processes of one shop, both ways: each shows a certificate of the shop's own authority, and believes no
//! other. What an address is called does not matter, whom it belongs to does: every certificate has the same name.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use sha2::{Digest, Sha256};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, CertificateError, ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig,
        ServerConnection, SideData,
        client::Resumption,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::{NoServerSessionStorage, WebPkiClientVerifier},
    },
    server::TlsStream,
};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// The name (a DNS name among the subject's alternative names) that the certificate of every process has.
pub const NAME: &str = "bookworm-fleet";
/// How often the files are looked at.
const LOOK_EACH: Duration = Duration::from_secs(30);
/// How long a greeting may take.
const GREETING: Duration = Duration::from_secs(10);
/// The same for the one who connects.
const CONNECT: Duration = Duration::from_secs(2);
/// How often the log says that connections are refused.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// Where certificates are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// This process's certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority's certificate, or several.
    pub authorities: PathBuf,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// A file has not in it what it should.
    #[error("{} has no {what} in it (PEM)", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// What is looked for.
        what: &'static str,
    },
    /// Certificate, key and authority are none, or not of each other.
    #[error("certificate, key and authority do not belong together")]
    Unfit(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another process would refuse the certificate.
    #[error(
        "another process would refuse {}: it must be of the authority in {}, be valid now, have the name DNS:{NAME}, and \
         be for servers and clients both", certificate.display(), authorities.display()
    )]
    Refused {
        /// The certificate.
        certificate: PathBuf,
        /// Whose it should be.
        authorities: PathBuf,
        /// What is wrong with it.
        #[source]
        why: rustls::Error,
    },
}

/// What a process shows to others, and asks of them. Cheap to clone; clones change together.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: Files,
    current: RwLock<Current>,
    log: Mutex<Log>,
}

#[derive(Clone)]
struct Current {
    server: Arc<ServerConfig>,
    connector: HttpsConnector<HttpConnector>,
    /// Of the files' contents.
    hash: [u8; 32],
}

#[derive(Default)]
struct Log {
    last: Option<Instant>,
    /// Since the last line.
    refused: u64,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used, or other processes would refuse the certificate.
    pub fn open(files: Files) -> Result<Self, TlsError> {
        let current = load(&files)?;
        Ok(Self(Arc::new(Inner { files, current: RwLock::new(current), log: Mutex::default() })))
    }

    fn current(&self) -> Current {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what is new in the files, each 30 s until `stop`. What cannot be used is told once, and what was there
    /// before stays in use; a certificate that others would refuse from now on is told too.
    pub async fn follow(self, stop: CancellationToken) {
        let mut told = None;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EACH)).await.is_some() {
            told = self.refresh(told);
        }
    }

    /// Looks at the files once. `told` is what the log heard last; returns what it has heard now.
    fn refresh(&self, told: Option<String>) -> Option<String> {
        let outcome = load(&self.0.files);
        match outcome {
            Ok(new) => {
                if new.hash != self.current().hash {
                    *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = new;
                    tracing::info!("the certificates of the fleet were changed, and are in use");
                }
                None
            }
            Err(error) => {
                let why = chain(&error);
                if told.as_ref() != Some(&why) {
                    tracing::error!(why, "the certificates of the fleet cannot be used; those of before are tried");
                }
                Some(why)
            }
        }
    }

    /// Greets who connects. `None` when it is none of ours, which is counted, and logged at most once a minute.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let peer = stream.peer_addr().map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
        let greeting = TlsAcceptor::from(self.current().server).accept(stream);
        let (reason, why) = match tokio::time::timeout(GREETING, greeting).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => (reason(&error), error.to_string()),
            Err(_) => ("late", "no greeting in time".to_owned()),
        };
        metrics::counter!("tls_connections_refused_total", "reason" => reason).increment(1);
        let mut log = self.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.refused += 1;
        if log.last.is_none_or(|last| last.elapsed() >= LOGGED_EVERY) {
            let refused = log.refused;
            tracing::warn!(peer, reason, why, refused, "connections to the internal listener are refused");
            *log = Log { last: Some(Instant::now()), refused: 0 };
        }
        None
    }
}

/// Why a greeting failed, for the metric.
fn reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::NoCertificatesPresented) => "no_certificate",
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "expired",
        Some(rustls::Error::InvalidCertificate(_)) => "wrong_certificate",
        Some(rustls::Error::AlertReceived(_)) => "they_refused",
        Some(rustls::Error::InvalidMessage(_)) => "no_tls",
        _ => "broken",
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::Read(file.to_owned(), error))
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let empty = || TlsError::Empty { file: file.to_owned(), what: "certificate" };
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| empty())?;
    if all.is_empty() { Err(empty()) } else { Ok(all) }
}

fn load(files: &Files) -> Result<Current, TlsError> {
    let [certificate, key, authorities] = [read(&files.certificate)?, read(&files.key)?, read(&files.authorities)?];
    let mut hash = Sha256::new();
    for part in [&certificate, &key, &authorities] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let no_key = |_| TlsError::Empty { file: files.key.clone(), what: "private key" };
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(no_key)?;
    let chain = certificates(&files.certificate, &certificate)?;
    let mut roots = RootCertStore::empty();
    for authority in certificates(&files.authorities, &authorities)? {
        roots.add(authority).map_err(unfit)?;
    }
    let roots = Arc::new(roots);
    let provider = Arc::new(ring::default_provider());
    let versions = [&rustls::version::TLS13];
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build().map_err(unfit)?;
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .and_then(|server| server.with_client_cert_verifier(verifier).with_single_cert(chain.clone(), key.clone_key()))
        .map_err(unfit)?;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .and_then(|client| client.with_root_certificates(roots).with_client_auth_cert(chain, key))
        .map_err(unfit)?;
    // A resumed session takes the certificate of the first one for granted, though it may have ended since.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    client.resumption = Resumption::disabled();
    let (server, client) = (Arc::new(server), Arc::new(client));
    greet(&server, &client).map_err(|why| TlsError::Refused {
        certificate: files.certificate.clone(),
        authorities: files.authorities.clone(),
        why,
    })?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config((*client).clone())
        .https_or_http()
        .with_server_name_resolver(FixedServerNameResolver::new(name()))
        .enable_http1()
        .wrap_connector(http);
    Ok(Current { server, connector, hash: hash.finalize().into() })
}

fn unfit(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TlsError {
    TlsError::Unfit(error.into())
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("it is a DNS name")
}

/// Lets a process with these certificates greet itself: what it would refuse, others would.
fn greet(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<(), rustls::Error> {
    let mut server = ServerConnection::new(server.clone())?;
    let mut client = ClientConnection::new(client.clone(), name())?;
    // It takes two rounds.
    for _ in 0..10 {
        hand_over(&mut client, &mut server)?;
        hand_over(&mut server, &mut client)?;
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
    }
    Err(rustls::Error::HandshakeNotComplete)
}

fn hand_over<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<(), rustls::Error> {
    let mut bytes = Vec::new();
    let broken = |error: io::Error| rustls::Error::General(error.to_string());
    while from.wants_write() {
        from.write_tls(&mut bytes).map_err(broken)?;
    }
    let mut unread = &bytes[..];
    while !unread.is_empty() {
        to.read_tls(&mut unread).map_err(broken)?;
        to.process_new_packets()?;
    }
    Ok(())
}

/// An error with what led to it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// A process has no certificates, and is to reach one that wants some.
#[derive(Debug, thiserror::Error)]
#[error("the other process speaks TLS, and this one has no certificates (fleet.certificate_file)")]
struct NoCertificates;

/// Makes connections to other processes: with TLS to those whose address says `https`.
#[derive(Clone, Debug)]
pub struct Connector {
    tls: Option<Tls>,
    plain: HttpConnector,
    /// TLS whatever an address says.
    always: bool,
}

impl Connector {
    /// One that gives a connection without TLS this long to be made. With TLS it has two seconds, and two for the greeting.
    #[must_use]
    pub fn new(tls: Option<Tls>, connect: Duration) -> Self {
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_nodelay(true);
        plain.set_connect_timeout(Some(connect));
        Self { tls, plain, always: false }
    }

    /// The same with TLS whatever an address says: for those who do not tell it.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let secure = self.always || address.scheme() == Some(&Scheme::HTTPS);
        if !secure {
            let connecting = self.plain.call(address);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) });
        }
        let Some(tls) = &self.tls else { return Box::pin(async { Err(NoCertificates.into()) }) };
        let mut connector = tls.current().connector;
        let mut parts = address.into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        Box::pin(async move {
            let connecting = connector.call(Uri::from_parts(parts)?);
            // The first half is for TCP, which has a limit of its own.
            tokio::time::timeout(2 * CONNECT, connecting).await?
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{Router, body::Body, routing::get};
    use http::{Request, StatusCode};
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{Connections, serve};

    /// An authority, and what it signs.
    struct Authority {
        pem: String,
        issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    }

    /// A certificate and its key.
    struct Issued {
        certificate: String,
        key: String,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self { pem, issuer: rcgen::Issuer::new(params, key) }
        }

        fn issue(&self, name: &str, last_year: i32) -> Issued {
            use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
            let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
            params.extended_key_usages = vec![ServerAuth, ClientAuth];
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
            Issued { certificate, key: key.serialize_pem() }
        }
    }

    /// The files of one process.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(issued: &Issued, authority: &Authority) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.write(issued, authority);
            folder
        }

        fn write(&self, issued: &Issued, authority: &Authority) {
            let Files { certificate, key, authorities } = self.files();
            std::fs::write(certificate, &issued.certificate).unwrap();
            std::fs::write(key, &issued.key).unwrap();
            std::fs::write(authorities, &authority.pem).unwrap();
        }

        fn files(&self) -> Files {
            let file = |name: &str| self.0.path().join(name);
            Files { certificate: file("certificate.pem"), key: file("key.pem"), authorities: file("ca.pem") }
        }

        fn open(&self) -> Tls {
            Tls::open(self.files()).unwrap()
        }
    }

    async fn listen(tls: Tls) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "ours" }));
        let (never, grace) = (CancellationToken::new(), Duration::ZERO);
        tokio::spawn(serve(listener, Some(tls), router, Connections::MANY, never, grace));
        address
    }

    /// What a process with these certificates is answered.
    async fn ask(tls: Option<Tls>, address: SocketAddr) -> Result<StatusCode, String> {
        let client = Client::builder(TokioExecutor::new()).build(Connector::new(tls, Duration::from_secs(5)));
        let request = Request::get(format!("https://{address}/")).body(Body::empty()).unwrap();
        client.request(request).await.map(|answer| answer.status()).map_err(|error| chain(&error))
    }

    #[tokio::test]
    async fn processes_with_certificates_of_one_authority_reach_each_other_at_any_address() {
        let authority = Authority::new();
        let (one, two) = (authority.issue(NAME, 2100), authority.issue(NAME, 2100));
        let (one, two) = (Folder::with(&one, &authority), Folder::with(&two, &authority));
        let address = listen(one.open()).await;
        assert_eq!(ask(Some(two.open()), address).await, Ok(StatusCode::OK));
    }

    #[tokio::test]
    async fn whoever_has_none_of_the_authority_is_refused_and_does_no_harm() {
        let (authority, other) = (Authority::new(), Authority::new());
        let ours = Folder::with(&authority.issue(NAME, 2100), &authority);
        let tls = ours.open();
        let address = listen(tls.clone()).await;

        let strangers = Folder::with(&other.issue(NAME, 2100), &other);
        let error = ask(Some(strangers.open()), address).await.unwrap_err();
        assert!(error.contains("invalid peer certificate"), "they do not believe us either: {error}");
        let error = ask(None, address).await.unwrap_err();
        assert!(error.contains("has no certificates"), "{error}");

        // Those who believe us, and show nothing good.
        let roots = |authority: &Authority| {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            roots
        };
        let believing = || {
            let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
            builder
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_root_certificates(roots(&authority))
        };
        let showing = |issued: &Issued| {
            let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
            believing()
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap())
                .unwrap()
        };
        for (what, config) in [
            ("no certificate", believing().with_no_client_auth()),
            ("one of another authority", showing(&other.issue(NAME, 2100))),
            ("one that has expired", showing(&authority.issue(NAME, 2021))),
        ] {
            let stream = TcpStream::connect(address).await.unwrap();
            let answer = async {
                let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name(), stream).await?;
                stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await?;
                io::Result::Ok(answer)
            };
            assert!(answer.await.is_err(), "{what}");
        }
        // No TLS at all.
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));

        assert!(tls.0.log.lock().unwrap().last.is_some(), "it was logged");
        assert!(tls.0.log.lock().unwrap().refused >= 4, "and the others were only counted");
        assert_eq!(ask(Some(tls), address).await, Ok(StatusCode::OK), "ours are answered as before");
    }

    #[test]
    fn what_others_would_refuse_is_refused_at_once_and_in_words() {
        let (authority, other) = (Authority::new(), Authority::new());
        let open = |issued: &Issued, authority: &Authority| {
            chain(&Tls::open(Folder::with(issued, authority).files()).unwrap_err())
        };
        let expired = open(&authority.issue(NAME, 2021), &authority);
        assert!(expired.contains("would refuse") && expired.to_lowercase().contains("expired"), "{expired}");
        let elsewhere = open(&authority.issue("shop.test", 2100), &authority);
        assert!(elsewhere.contains("would refuse") && elsewhere.contains(NAME), "{elsewhere}");
        let stranger = open(&other.issue(NAME, 2100), &authority);
        assert!(stranger.contains("would refuse") && stranger.contains("invalid peer certificate"), "{stranger}");
        let (one, two) = (authority.issue(NAME, 2100), authority.issue(NAME, 2100));
        let mixed = open(&Issued { certificate: one.certificate, key: two.key }, &authority);
        assert!(mixed.contains("do not belong together"), "{mixed}");
        let empty = open(&Issued { certificate: String::new(), key: String::new() }, &authority);
        assert!(empty.contains("has no private key in it (PEM)"), "{empty}");
        let gone = Files { certificate: "/nowhere/at/all".into(), ..Folder(tempfile::tempdir().unwrap()).files() };
        assert!(chain(&Tls::open(gone).unwrap_err()).contains("cannot read /nowhere/at/all"));
    }

    #[test]
    fn what_the_operators_script_makes_is_taken() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/fleet-certificates");
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new(script).arg(folder.path()).args(["one", "two"]).status().unwrap();
        assert!(made.success(), "it needs bash and openssl");
        for name in ["one", "two"] {
            let file = |ending: &str| folder.path().join(format!("{name}.{ending}"));
            let authorities = folder.path().join("ca.pem");
            Tls::open(Files { certificate: file("pem"), key: file("key"), authorities }).unwrap();
        }
    }

    #[tokio::test]
    async fn new_certificates_are_taken_over_and_bad_ones_are_not() {
        let (before, after) = (Authority::new(), Authority::new());
        let ours = Folder::with(&before.issue(NAME, 2100), &before);
        let tls = ours.open();
        let address = listen(tls.clone()).await;
        let old = Folder::with(&before.issue(NAME, 2100), &before);
        let new = Folder::with(&after.issue(NAME, 2100), &after);
        assert_eq!(ask(Some(old.open()), address).await, Ok(StatusCode::OK));

        std::fs::write(ours.files().key, "no key").unwrap();
        let told = tls.refresh(None);
        assert!(told.as_ref().is_some_and(|why| why.contains("has no private key")), "{told:?}");
        assert_eq!(tls.refresh(told.clone()), told, "told once");
        assert_eq!(ask(Some(old.open()), address).await, Ok(StatusCode::OK), "those of before stay in use");

        ours.write(&after.issue(NAME, 2100), &after);
        assert_eq!(tls.refresh(told), None);
        assert_eq!(ask(Some(new.open()), address).await, Ok(StatusCode::OK));
        assert!(ask(Some(old.open()), address).await.is_err());
    }
}
