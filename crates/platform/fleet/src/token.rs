use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bookworm_kernel::{Clock, Timestamp};
use hmac::{Hmac, Mac};
use http::{HeaderName, HeaderValue, Method, Uri};
use sha2::Sha256;

use crate::replay::Window;

/// The header with a request's pass.
pub const HEADER: HeaderName = HeaderName::from_static("bookworm-fleet");
/// How far a pass's time may be from ours, either way: machines' clocks may be a minute and a half apart.
pub const VALIDITY: Duration = Duration::from_secs(120);
/// How many senders are remembered; each takes 8 KiB.
const MAX_SENDERS: usize = 1024;

/// The secret that all processes of a fleet share. A request to another process carries a pass: an HMAC-SHA256 over its
/// method, its path, the time, and a number that is used once. Whoever reads a pass can neither change what it is for nor
/// use it again.
pub struct FleetToken {
    key: Hmac<Sha256>,
    clock: Arc<dyn Clock>,
    /// Names this process among the senders.
    sender: u64,
    number: AtomicU64,
    seen: Mutex<HashMap<u64, Sender>>,
}

struct Sender {
    window: Window,
    last: Timestamp,
}

/// Why a pass is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none, or more than one.
    #[error("no fleet token")]
    Missing,
    /// Not of our form, or made with another secret, or for another request.
    #[error("a wrong fleet token")]
    Wrong,
    /// Its time is further from ours than [`VALIDITY`].
    #[error("a fleet token of another time: it is too old, or the clocks of two machines differ")]
    Expired,
    /// It was used before.
    #[error("a fleet token that was used before")]
    Replayed,
}

impl Refusal {
    /// For metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
        }
    }
}

impl fmt::Debug for FleetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetToken").finish_non_exhaustive()
    }
}

/// What a pass says, beside its signature.
struct Pass {
    seconds: i64,
    sender: u64,
    number: u64,
}

impl Pass {
    fn read(text: &str) -> Option<(Self, Vec<u8>)> {
        let mut parts = text.split('.');
        let (version, seconds, sender, number, mac) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version != "v1" || parts.next().is_some() {
            return None;
        }
        let pass = Self {
            seconds: seconds.parse().ok()?,
            sender: u64::from_str_radix(sender, 16).ok()?,
            number: number.parse().ok()?,
        };
        Some((pass, URL_SAFE_NO_PAD.decode(mac).ok()?))
    }

    /// The HMAC over everything that the pass vouches for.
    fn mac(&self, key: &Hmac<Sha256>, method: &Method, uri: &Uri) -> Hmac<Sha256> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let Self { seconds, sender, number } = self;
        let mut mac = key.clone();
        mac.update(format!("v1\n{method}\n{path}\n{seconds}\n{sender:x}\n{number}").as_bytes());
        mac
    }
}

impl FleetToken {
    /// The token with this secret, 32 bytes or more.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn new(secret: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            key: Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length"),
            clock,
            sender: rand::random(),
            number: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }

    /// Another secret for one purpose, the same in every process of the fleet.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = self.key.clone();
        // No pass begins like this, so that neither can stand for the other.
        mac.update(format!("derive\n{purpose}").as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// A pass for one request.
    ///
    /// # Panics
    /// Never: digits, letters, dots and dashes are a header's value.
    #[must_use]
    pub fn pass(&self, method: &Method, uri: &Uri) -> HeaderValue {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let pass = Pass { seconds: self.clock.now().seconds(), sender: self.sender, number };
        let mac = URL_SAFE_NO_PAD.encode(pass.mac(&self.key, method, uri).finalize().into_bytes());
        let text = format!("v1.{}.{:x}.{number}.{mac}", pass.seconds, pass.sender);
        let mut value = HeaderValue::try_from(text).expect("digits, letters, dots and dashes");
        value.set_sensitive(true);
        value
    }

    /// Checks a request's pass, and uses it up.
    ///
    /// # Errors
    /// When it is not one of this fleet for this request, now, for the first time.
    pub fn check(&self, pass: &HeaderValue, method: &Method, uri: &Uri) -> Result<(), Refusal> {
        let (pass, mac) = pass.to_str().ok().and_then(Pass::read).ok_or(Refusal::Wrong)?;
        // In constant time. Only what carries our signature costs memory.
        pass.mac(&self.key, method, uri).verify_slice(&mac).map_err(|_| Refusal::Wrong)?;
        let now = self.clock.now();
        if now.seconds().abs_diff(pass.seconds) > VALIDITY.as_secs() {
            return Err(Refusal::Expired);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains_key(&pass.sender) && seen.len() >= MAX_SENDERS {
            make_room(&mut seen, now);
        }
        let sender = seen.entry(pass.sender).or_insert_with(|| Sender { window: Window::new(), last: now });
        sender.last = now;
        if sender.window.take(pass.number) { Ok(()) } else { Err(Refusal::Replayed) }
    }
}

/// Forgets senders whose passes have all expired, or else the one that was silent for longest.
fn make_room(seen: &mut HashMap<u64, Sender>, now: Timestamp) {
    seen.retain(|_, sender| now.since(sender.last) <= 2 * VALIDITY);
    if seen.len() >= MAX_SENDERS
        && let Some(oldest) = seen.iter().min_by_key(|(_, sender)| sender.last).map(|(id, _)| *id)
    {
        seen.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use bookworm_testing::clock;

    use super::*;

    const SECRET: &str = "a secret of thirty-two characters";

    fn uri(text: &'static str) -> Uri {
        Uri::from_static(text)
    }

    #[test]
    fn a_pass_is_good_once_for_its_request() {
        let clock = clock();
        let (sender, receiver) = (FleetToken::new(SECRET, clock.clone()), FleetToken::new(SECRET, clock));
        let (method, path) = (Method::POST, uri("/api/v1/orders?x=1"));
        let pass = sender.pass(&method, &path);
        assert_eq!(receiver.check(&pass, &Method::GET, &path), Err(Refusal::Wrong), "another method");
        assert_eq!(receiver.check(&pass, &method, &uri("/api/v1/orders?x=2")), Err(Refusal::Wrong), "another path");
        assert_eq!(receiver.check(&pass, &method, &path), Ok(()));
        assert_eq!(receiver.check(&pass, &method, &path), Err(Refusal::Replayed));
        let absolute = uri("http://127.0.0.1:9000/api/v1/orders?x=1");
        assert_eq!(
            receiver.check(&sender.pass(&method, &absolute), &method, &path),
            Ok(()),
            "the authority is no part"
        );
    }

    #[test]
    fn another_secret_and_another_text_are_refused() {
        let clock = clock();
        let receiver = FleetToken::new(SECRET, clock.clone());
        let other = FleetToken::new("another secret of 32 characters or more", clock);
        let path = uri("/");
        assert_eq!(receiver.check(&other.pass(&Method::GET, &path), &Method::GET, &path), Err(Refusal::Wrong));
        let good = receiver.pass(&Method::GET, &path).to_str().unwrap().to_owned();
        let mut texts = vec![String::new(), "v1".to_owned(), "v1.1.1.1.".to_owned(), "x".repeat(10_000)];
        texts.extend([
            good.replace("v1", "v2"),
            format!("{good}."),
            format!("{good}A"),
            good[..good.len() - 1].to_owned(),
        ]);
        // One more second, another sender, another number.
        let parts: Vec<&str> = good.split('.').collect();
        for changed in 1..4 {
            let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            parts[changed] = format!("{}1", parts[changed]);
            texts.push(parts.join("."));
        }
        for text in texts {
            let value = HeaderValue::from_str(&text).unwrap();
            assert_eq!(receiver.check(&value, &Method::GET, &path), Err(Refusal::Wrong), "{text}");
        }
        assert_eq!(
            receiver.check(&HeaderValue::from_bytes(b"\xff").unwrap(), &Method::GET, &path),
            Err(Refusal::Wrong)
        );
    }

    #[test]
    fn clocks_may_be_apart_by_its_validity_and_no_more() {
        let (ours, theirs) = (clock(), clock());
        let (sender, receiver) = (FleetToken::new(SECRET, theirs.clone()), FleetToken::new(SECRET, ours.clone()));
        let (method, path) = (Method::GET, uri("/x"));
        let early = sender.pass(&method, &path);
        theirs.advance(VALIDITY);
        assert_eq!(receiver.check(&sender.pass(&method, &path), &method, &path), Ok(()), "ahead");
        theirs.advance(Duration::from_secs(1));
        assert_eq!(
            receiver.check(&sender.pass(&method, &path), &method, &path),
            Err(Refusal::Expired),
            "too far ahead"
        );
        ours.advance(VALIDITY + Duration::from_secs(1));
        assert_eq!(receiver.check(&early, &method, &path), Err(Refusal::Expired), "too old");
    }

    #[test]
    fn senders_are_forgotten_when_their_passes_have_expired() {
        let clock = clock();
        let receiver = FleetToken::new(SECRET, clock.clone());
        for _ in 0..MAX_SENDERS + 10 {
            let sender = FleetToken::new(SECRET, clock.clone());
            assert_eq!(receiver.check(&sender.pass(&Method::GET, &uri("/")), &Method::GET, &uri("/")), Ok(()));
        }
        assert_eq!(receiver.seen.lock().unwrap().len(), MAX_SENDERS);
        clock.advance(3 * VALIDITY);
        let sender = FleetToken::new(SECRET, clock.clone());
        assert_eq!(receiver.check(&sender.pass(&Method::GET, &uri("/")), &Method::GET, &uri("/")), Ok(()));
        assert_eq!(receiver.seen.lock().unwrap().len(), 1);
    }

    #[test]
    fn purposes_have_secrets_of_their_own() {
        let (one, two) = (FleetToken::new(SECRET, clock()), FleetToken::new(SECRET, clock()));
        assert_eq!(one.derive("forms"), two.derive("forms"));
        assert_ne!(one.derive("forms"), one.derive("other"));
    }
}
