//! Where the chat's conversations are: in a database like the other services', or in MongoDB, when the settings name one.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bookworm_chat::{
    ChatService,
    store::{ChatStore, MongoStore, SqlStore, StoreError},
};
use bookworm_config::{Mongodb as Settings, Secret};
use bookworm_mongo::{Mongo, Options};
use bookworm_resilience::StartWait;

use crate::{foundation::Foundation, inventory::Claim};

/// What the list of the shop's databases calls the one in MongoDB.
const MONGODB: &str = "chat-mongodb";

/// Opens the store that the settings name.
///
/// # Errors
/// When it cannot be used, belongs to another shop, or is not where this shop's conversations are.
pub(crate) async fn open(foundation: &Foundation) -> anyhow::Result<Arc<dyn ChatStore>> {
    let (settings, inventory) = (&foundation.settings.mongodb, &foundation.inventory);
    let clock = foundation.clock.clone();
    let in_mongodb = inventory.lists(MONGODB);
    let Some(url) = &settings.url else {
        if in_mongodb {
            bail!("this shop's conversations are in MongoDB, and mongodb.url is not set: they would be missing");
        }
        let db = inventory.database(ChatService::NAME).await?;
        return Ok(Arc::new(SqlStore::open(db, clock).await?));
    };
    if !in_mongodb && inventory.lists(ChatService::NAME) {
        bail!(
            "mongodb.url is set, and this shop has its conversations in its database {name}: they would be missing. A shop \
             chooses MongoDB before its chat is started for the first time",
            name = ChatService::NAME
        );
    }
    let mut wait = StartWait::new("MongoDB", Duration::from_secs(settings.connect_timeout_seconds));
    let mongo = Mongo::connect(options(settings, url)?)
        .await
        .context("MongoDB, which the section [mongodb] names, cannot be used")?;
    let mongo = Arc::new(mongo);
    let is_away = |error: &StoreError| matches!(error, StoreError::Busy(_));
    let store = wait.until(|_| MongoStore::open(mongo.clone(), clock.clone()), is_away).await?;
    let place = format!("the database {} in MongoDB", settings.database);
    let found = store.owner().await?;
    // First the mark, then the list, as for a database.
    let Claim { shop, marked } = inventory.elsewhere(MONGODB, &place, found)?;
    if !marked {
        store.claim(shop).await?;
    }
    if !in_mongodb {
        inventory.enlist(MONGODB).await?;
    }
    Ok(Arc::new(store))
}

fn options(settings: &Settings, url: &Secret) -> anyhow::Result<Options> {
    let password = match (&settings.password, &settings.password_file) {
        (Some(password), _) => Some(password.expose().to_owned()),
        (None, Some(file)) => Some(read(file)?.trim_end_matches(['\r', '\n']).to_owned()),
        (None, None) => None,
    };
    for file in [&settings.ca_file, &settings.certificate_key_file].into_iter().flatten() {
        read(file)?;
    }
    Ok(Options {
        url: url.expose().to_owned(),
        database: settings.database.clone(),
        login: settings.username.clone().zip(password),
        ca_file: settings.ca_file.clone(),
        certificate_key_file: settings.certificate_key_file.clone(),
        connect_timeout: Duration::from_secs(settings.connect_timeout_seconds),
    })
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}, which the section [mongodb] names", file.display()))
}
