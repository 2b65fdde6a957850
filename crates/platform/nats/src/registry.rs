use std::time::Duration;

use async_nats::{
    header::HeaderMap,
    jetstream::{
        consumer::{AckPolicy, DeliverPolicy, pull},
        kv,
    },
};
use async_trait::async_trait;
use bookworm_registry::{
    Change, Changes, Grant, Instance, Key, Leases, Listing, Registry, RegistryError, Revised, Verdict,
};
use futures::{StreamExt, stream};
use serde::{Serialize, de::DeserializeOwned};

use crate::{OpenError, connect::Nats, names::durable, stream::open_bucket};

/// The most that a bucket stores.
const MAX_BYTES: i64 = 16 << 20;
/// How many entries are listed with one request.
const PAGE: usize = 500;
/// After this time the server forgets the consumer of a list that was not read to its end.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

const INSTANCE: &str = "instance.";
const VERDICT: &str = "verdict.";

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RegistryError {
    RegistryError::Unavailable(error.into())
}

async fn bucket(nats: &Nats, name: String, lifetime: Duration, replicas: usize) -> Result<kv::Store, OpenError> {
    let config = kv::Config {
        bucket: name,
        // The bucket's age and never a key's own: an update of a key would lose that.
        max_age: lifetime,
        max_bytes: MAX_BYTES,
        num_replicas: replicas,
        ..kv::Config::default()
    };
    open_bucket(&nats.context, config).await
}

/// A [`Registry`] in a key-value bucket of JetStream. Cheap to clone.
#[derive(Clone)]
pub struct NatsRegistry {
    nats: Nats,
    bucket: kv::Store,
}

impl std::fmt::Debug for NatsRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NatsRegistry").field(&self.bucket.name).finish()
    }
}

impl NatsRegistry {
    /// Opens the bucket `<stream>_registry`, or makes it with entries that live for `lifetime`.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn open(nats: Nats, stream: &str, lifetime: Duration, replicas: usize) -> Result<Self, OpenError> {
        let bucket = bucket(&nats, format!("{stream}_registry"), lifetime, replicas).await?;
        Ok(Self { nats, bucket })
    }

    async fn put(&self, key: String, value: &impl Serialize) -> Result<(), RegistryError> {
        self.nats.connected().map_err(unavailable)?;
        let value = serde_json::to_vec(value).map_err(unavailable)?;
        self.bucket.put(key, value.into()).await.map_err(unavailable)?;
        Ok(())
    }

    async fn delete(&self, key: String) -> Result<(), RegistryError> {
        self.nats.connected().map_err(unavailable)?;
        self.bucket.delete(key).await.map_err(unavailable)
    }
}

/// What an entry's key is about.
enum About {
    Instance(Key),
    Verdict(Key),
}

fn about(key: &str) -> Option<About> {
    match key.strip_prefix(INSTANCE) {
        Some(key) => key.parse().ok().map(About::Instance),
        None => key.strip_prefix(VERDICT)?.parse().ok().map(About::Verdict),
    }
}

/// `None` when another release wrote it, in a way that this one cannot read.
fn read<T: DeserializeOwned>(revision: u64, value: &[u8]) -> Option<Revised<T>> {
    Some(Revised { revision, value: serde_json::from_slice(value).ok()? })
}

fn is_deletion(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| headers.get("KV-Operation").is_some_and(|operation| operation.as_str() != "PUT"))
}

fn change(entry: &kv::Entry) -> Option<Change> {
    let written = entry.operation == kv::Operation::Put;
    Some(match (about(&entry.key)?, written) {
        (About::Instance(_), true) => Change::Announced(read(entry.revision, &entry.value)?),
        (About::Instance(key), false) => Change::Withdrawn(key),
        (About::Verdict(_), true) => Change::Judged(read(entry.revision, &entry.value)?),
        (About::Verdict(key), false) => Change::Acquitted(key),
    })
}

#[async_trait]
impl Registry for NatsRegistry {
    async fn announce(&self, instance: &Instance) -> Result<(), RegistryError> {
        self.put(format!("{INSTANCE}{}", instance.key), instance).await
    }

    async fn withdraw(&self, key: &Key) -> Result<(), RegistryError> {
        self.delete(format!("{INSTANCE}{key}")).await
    }

    async fn judge(&self, verdict: &Verdict) -> Result<(), RegistryError> {
        self.put(format!("{VERDICT}{}", verdict.key), verdict).await
    }

    async fn acquit(&self, key: &Key) -> Result<(), RegistryError> {
        self.delete(format!("{VERDICT}{key}")).await
    }

    async fn list(&self) -> Result<Listing, RegistryError> {
        self.nats.connected().map_err(unavailable)?;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::LastPerSubject,
            filter_subject: format!("{}>", self.bucket.prefix),
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = self.bucket.stream.create_consumer(config).await.map_err(unavailable)?;
        let mut listing = Listing::default();
        loop {
            // Without an expiry the server answers at once that there are no more.
            let mut page = consumer.fetch().max_messages(PAGE).messages().await.map_err(unavailable)?;
            let mut count = 0;
            while let Some(message) = page.next().await {
                let message = message.map_err(unavailable)?;
                count += 1;
                let revision = message.info().map_err(unavailable)?.stream_sequence;
                let key = message.subject.strip_prefix(self.bucket.prefix.as_str());
                if is_deletion(message.headers.as_ref()) {
                    continue;
                }
                match key.and_then(about) {
                    Some(About::Instance(_)) => listing.instances.extend(read(revision, &message.payload)),
                    Some(About::Verdict(_)) => listing.verdicts.extend(read(revision, &message.payload)),
                    None => {}
                }
            }
            if count < PAGE {
                break;
            }
        }
        let name = consumer.cached_info().name.clone();
        let stream = self.bucket.stream.clone();
        // Nobody waits for it: the server would forget the consumer by itself.
        tokio::spawn(async move { stream.delete_consumer(&name).await });
        Ok(listing)
    }

    async fn watch(&self) -> Result<Changes, RegistryError> {
        self.nats.connected().map_err(unavailable)?;
        let watch = self.bucket.watch_all().await.map_err(unavailable)?;
        // An error means that some may have been missed: the stream ends.
        let entries = stream::unfold(watch, |mut watch| async move { Some((watch.next().await?.ok()?, watch)) });
        Ok(entries.filter_map(|entry| async move { change(&entry) }).boxed())
    }
}

/// [`Leases`] in a key-value bucket of JetStream. Cheap to clone.
#[derive(Clone)]
pub struct NatsLeases {
    nats: Nats,
    bucket: kv::Store,
}

impl std::fmt::Debug for NatsLeases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NatsLeases").field(&self.bucket.name).finish()
    }
}

impl NatsLeases {
    /// Opens the bucket `<stream>_leases`, or makes it with leases that live for `lifetime`.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn open(nats: Nats, stream: &str, lifetime: Duration, replicas: usize) -> Result<Self, OpenError> {
        let bucket = bucket(&nats, format!("{stream}_leases"), lifetime, replicas).await?;
        Ok(Self { nats, bucket })
    }

    /// Writes when nobody has written since this revision; 0 for a key that is not there.
    async fn write(&self, name: &str, holder: &str, since: u64) -> Result<Option<u64>, RegistryError> {
        match self.bucket.update(durable(name), holder.to_owned().into(), since).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }
}

#[async_trait]
impl Leases for NatsLeases {
    async fn acquire(&self, name: &str, holder: &str) -> Result<Option<Grant>, RegistryError> {
        self.nats.connected().map_err(unavailable)?;
        let since = match self.bucket.entry(durable(name)).await.map_err(unavailable)? {
            None => 0,
            Some(entry) if entry.operation == kv::Operation::Put => return Ok(None),
            // What is left of one that was given back.
            Some(entry) => entry.revision,
        };
        let revision = self.write(name, holder, since).await?;
        let (name, holder) = (name.to_owned(), holder.to_owned());
        Ok(revision.map(|revision| Grant { name, holder, fence: revision, revision }))
    }

    async fn renew(&self, grant: &Grant) -> Result<Option<Grant>, RegistryError> {
        self.nats.connected().map_err(unavailable)?;
        let revision = self.write(&grant.name, &grant.holder, grant.revision).await?;
        Ok(revision.map(|revision| Grant { revision, ..grant.clone() }))
    }

    async fn release(&self, grant: &Grant) -> Result<(), RegistryError> {
        self.nats.connected().map_err(unavailable)?;
        match self.bucket.delete_expect_revision(durable(&grant.name), Some(grant.revision)).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == kv::DeleteErrorKind::WrongLastRevision => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }
}
