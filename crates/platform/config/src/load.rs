use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use crate::{Settings, sections::ordering::default_shipping, validate::Invalid};

/// Before every environment variable of ours.
const PREFIX: &str = "BOOKWORM_";

/// Keys that were renamed, the earlier name first. Within one source the present name wins.
const RENAMED: [(&str, &str); 1] = [("ordering.currency", "shop.currency")];

/// Keys of the outermost level that have no default, and so do not show in the defaults.
const OPTIONAL: [&str; 1] = ["public_url"];

/// Why the configuration cannot be used. Its text names the key and the source.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A key is unknown, or its value is of the wrong type.
    #[error("{key}: {message} ({origin})")]
    Value {
        /// The key, e.g. `gateway.rate_limit.burst`.
        key: String,
        /// What is wrong.
        message: String,
        /// Where the value came from.
        origin: String,
    },
    /// Values break limits.
    #[error("the configuration is not valid:\n{}", lines(.0))]
    Invalid(Vec<(Invalid, String)>),
}

fn lines(invalid: &[(Invalid, String)]) -> String {
    invalid.iter().map(|(invalid, origin)| format!("  {invalid} ({origin})")).collect::<Vec<_>>().join("\n")
}

/// Where a value came from.
#[derive(Debug, Clone)]
enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    Flag(String),
    /// One of the above, under an earlier name of the key.
    Renamed(Box<Origin>, &'static str),
}

impl Origin {
    /// The kind of source, whatever the name of the key.
    fn source(&self) -> std::mem::Discriminant<Self> {
        match self {
            Self::Renamed(origin, _) => origin.source(),
            other => std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Renamed(origin, key) => write!(f, "{origin}, under its earlier name {key}"),
        }
    }
}

/// What a configuration is read from, beside the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    flags: Vec<(String, String, String)>,
}

impl Sources {
    /// The defaults only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads this TOML file, which must exist.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Reads the variables of this process.
    #[must_use]
    pub fn environment(self) -> Self {
        // What is not Unicode cannot be a setting.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        self.variables(variables)
    }

    /// Reads these variables; names without the prefix `BOOKWORM_` are passed over.
    #[must_use]
    pub fn variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Sets a key whatever the other sources say: `set("--listen", "listen", "127.0.0.1:0")`. `flag` is named when the
    /// value is wrong.
    #[must_use]
    pub fn set(mut self, flag: &str, key: &str, value: impl Into<String>) -> Self {
        self.flags.push((flag.to_owned(), key.to_owned(), value.into()));
        self
    }

    pub(crate) fn load(self) -> Result<Settings, ConfigError> {
        self.merge()?.settings()
    }

    fn merge(self) -> Result<Merged, ConfigError> {
        let shape = Value::try_from(Settings::default()).map_err(|error| ConfigError::Value {
            key: String::new(),
            message: error.to_string(),
            origin: Origin::Default.to_string(),
        })?;
        let mut merged = Merged { values: Table::new(), origins: BTreeMap::new(), shape };
        if let Some(path) = &self.file {
            merged.file(path)?;
        }
        for (name, value) in &self.environment {
            if let Some(rest) = name.strip_prefix(PREFIX) {
                let key = rest.to_ascii_lowercase().replace("__", ".");
                // A name of one part that is no key belongs to whoever runs us, like BOOKWORM_HOME in a script. With
                // sections in it, it can only be meant for us.
                if !key.contains('.') && !merged.is_key(&key) {
                    continue;
                }
                merged.text(&key, value, Origin::Environment(name.clone()))?;
            }
        }
        for (flag, key, value) in &self.flags {
            merged.text(key, value, Origin::Flag(flag.clone()))?;
        }
        Ok(merged)
    }

    /// The settings as TOML that can be read back, secrets hidden, each line with where its value is from; keys that
    /// are not set and have no default stand as comments.
    pub(crate) fn explain(self) -> Result<String, ConfigError> {
        let merged = self.merge()?;
        let origins = merged.origins.clone();
        let settings = merged.settings()?;
        Ok(annotate(&settings.redacted_toml(), &origins))
    }
}

/// Keys that have no default, and what they are for: shown as comments where they are not set.
const UNSET: [(&str, &str); 59] = [
    ("public_url", "the address under which customers reach the shop"),
    ("database.url", "postgres://user:password@host/database; until then SQLite files in data_dir"),
    ("nats.url", "nats://host:4222; until then the embedded bus"),
    ("nats.username", "who signs in to NATS"),
    ("nats.password", "the password for it"),
    ("nats.password_file", "a file with the password"),
    ("nats.token", "a token that signs in instead"),
    ("nats.token_file", "a file with the token"),
    ("nats.nkey", "the seed of an nkey that signs in instead"),
    ("nats.nkey_file", "a file with the seed"),
    ("nats.credentials_file", "a credentials file that signs in instead"),
    ("nats.ca_file", "certificates of authorities to trust instead of the system's"),
    ("nats.certificate_file", "our certificate, for a server that wants one"),
    ("nats.key_file", "its private key"),
    ("redis.url", "redis://host:6379 or rediss://host:6379; until then each process by itself"),
    ("redis.password", "the password for Redis"),
    ("redis.password_file", "a file with the password"),
    ("redis.ca_file", "certificates of authorities to trust instead of the usual ones"),
    ("redis.certificate_file", "our certificate, for a server that wants one"),
    ("redis.key_file", "its private key"),
    ("mongodb.url", "mongodb://host:27017; until then the chat is in the shop's own databases"),
    ("mongodb.username", "who signs in to MongoDB"),
    ("mongodb.password", "the password for it"),
    ("mongodb.password_file", "a file with the password"),
    ("mongodb.ca_file", "certificates of authorities to trust instead of the usual ones"),
    ("mongodb.certificate_key_file", "our certificate and its private key, for a server that wants one"),
    ("telemetry.metrics_token", "with it /metrics can be read from other machines"),
    ("telemetry.otlp_endpoint", "the OpenTelemetry collector that traces are sent to"),
    ("telemetry.otlp_headers", "headers of each request to it: name=value, with commas"),
    ("admin.email", "the first administrator; until then one is made at the first start"),
    ("admin.password", "the first administrator's password"),
    ("identity.issuer", "the issuer that tokens name; until then public_url"),
    ("ordering.guest_link_secret", "signs guests' links to their orders; until then made at the first start"),
    (
        "rating.invite_after_days",
        "days from a completed order to the mail that asks for a review; until then 7, with demo 0",
    ),
    ("payment.webhook_secret", "signs the provider's webhooks; until then made at the first start"),
    ("mail.smtp.username", "who signs in to the mail server"),
    ("mail.smtp.password", "the password for it"),
    ("ai.model_dir", "a folder with model.safetensors and tokenizer.json"),
    ("ai.url", "an OpenAI-compatible endpoint for embeddings"),
    ("ai.model", "the model that the endpoint is asked for"),
    ("ai.api_key", "the key for the endpoint"),
    ("ai.chat_url", "an OpenAI-compatible endpoint that words the bot's answers"),
    ("ai.chat_model", "the model that it is asked for"),
    ("ai.chat_api_key", "the key for it"),
    ("chat.policies_dir", "a folder with the shop's own policies"),
    ("fleet.internal_listen", "where this process answers the shop's other processes"),
    ("fleet.advertise", "the address under which they reach it"),
    ("fleet.token", "the secret that they share"),
    ("fleet.token_file", "a file with it"),
    ("fleet.certificate_file", "this process's certificate; until then plain HTTP between processes"),
    ("fleet.key_file", "its private key"),
    ("fleet.ca_file", "the certificate of the fleet's own authority"),
    ("fleet.instance", "this process's name; until then made at each start"),
    ("fleet.zone", "where it runs"),
    ("fleet.operations_listen", "where it answers operators: health and metrics"),
    ("up.nats", "the nats-server that `bookworm up` starts; until then nats.url"),
    ("up.postgres", "the postgres that it starts; until then database.url"),
    ("up.redis", "the redis-server that it starts; until then redis.url"),
    ("up.ferretdb", "the FerretDB that it starts; until then mongodb.url"),
];

/// Puts the source behind each value of the TOML, and unset keys at the end of their section.
fn annotate(toml: &str, origins: &BTreeMap<String, Origin>) -> String {
    let (mut out, mut section, mut seen) = (String::new(), String::new(), Vec::new());
    let unset = |section: &str, seen: &[String]| {
        let missing = UNSET.iter().filter(|(key, _)| {
            let (of, _) = key.rsplit_once('.').unwrap_or(("", key));
            of == section && !seen.iter().any(|known| known == key)
        });
        missing
            .map(|(key, why)| format!("# {} = not set: {why}\n", key.rsplit('.').next().unwrap_or(key)))
            .collect::<String>()
    };
    let mut lines = toml.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            // The blank line before a section goes behind what is unset in the one that ends.
            let blank = out.ends_with("\n\n");
            if blank {
                out.pop();
            }
            out.push_str(&unset(&section, &seen));
            if blank {
                out.push('\n');
            }
            section = name.trim_matches(['[', ']']).to_owned();
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let key =
            line.split_once(" = ").map(|(key, _)| key.trim()).filter(|key| !key.is_empty() && !line.starts_with(' '));
        out.push_str(line);
        if let Some(key) = key {
            let whole = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            // A list over several lines gets its note where it ends.
            if line.ends_with('[') {
                out.push('\n');
                for line in lines.by_ref() {
                    out.push_str(line);
                    if line == "]" {
                        break;
                    }
                    out.push('\n');
                }
            }
            out.push_str(&format!("  # {}", origin_of(origins, &whole)));
            seen.push(whole);
        }
        out.push('\n');
    }
    out.push_str(&unset(&section, &seen));
    out
}

/// The source of a key, of what holds it (an array), or of something in it.
fn origin_of(origins: &BTreeMap<String, Origin>, key: &str) -> Origin {
    let contains = |outer: &str, inner: &str| {
        inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['))
    };
    let found = origins.iter().find(|(known, _)| contains(known, key) || contains(key, known));
    found.map_or(Origin::Default, |(_, origin)| origin.clone())
}

/// The sources so far, later ones over earlier ones.
struct Merged {
    values: Table,
    /// Which source set each leaf.
    origins: BTreeMap<String, Origin>,
    /// The defaults, which tell the type of each key.
    shape: Value,
}

impl Merged {
    fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let table: Table = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.into(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        self.table("", table, &Origin::File(path.into()))
    }

    fn table(&mut self, prefix: &str, table: Table, origin: &Origin) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(inner) => self.table(&key, inner, origin)?,
                value => self.put(&key, value, origin.clone())?,
            }
        }
        Ok(())
    }

    /// A value written as text, read as the type that the key's default has. Keys without a default are texts.
    fn text(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let bad = |expected: &str| ConfigError::Value {
            key: key.to_owned(),
            message: format!("invalid value, expected {expected}"),
            origin: origin.to_string(),
        };
        let trimmed = text.trim();
        let value = match self.shape_of(key) {
            Some(Value::Integer(_)) => Value::Integer(trimmed.parse().map_err(|_| bad("a whole number"))?),
            Some(Value::Float(_)) => Value::Float(trimmed.parse().map_err(|_| bad("a number"))?),
            Some(Value::Boolean(_)) => Value::Boolean(match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => return Err(bad("true or false")),
            }),
            Some(Value::Array(_)) if trimmed.starts_with('[') => {
                let mut table: Table =
                    toml::from_str(&format!("value = {trimmed}")).map_err(|_| bad("a TOML array"))?;
                table.remove("value").ok_or_else(|| bad("a TOML array"))?
            }
            Some(Value::Array(_)) => {
                let words = trimmed.split(',').map(str::trim).filter(|word| !word.is_empty());
                Value::Array(words.map(|word| Value::String(word.to_owned())).collect())
            }
            Some(Value::Table(_)) => return Err(bad("one of its keys to be set instead")),
            Some(Value::String(_) | Value::Datetime(_)) | None => Value::String(text.to_owned()),
        };
        self.put(key, value, origin)
    }

    /// Whether a name is a key of the outermost level.
    fn is_key(&self, name: &str) -> bool {
        self.shape.get(name).is_some() || OPTIONAL.contains(&name)
    }

    fn shape_of(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.shape, |value, name| value.get(name))
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let (key, origin) = match RENAMED.iter().find(|(earlier, _)| *earlier == key) {
            None => (key, origin),
            Some((earlier, present)) => {
                let origin = Origin::Renamed(Box::new(origin), earlier);
                let known = self.origins.get(*present);
                if known.is_some_and(|known| !matches!(known, Origin::Renamed(..)) && known.source() == origin.source())
                {
                    return Ok(());
                }
                (*present, origin)
            }
        };
        let (sections, name) = key.rsplit_once('.').map_or((None, key), |(sections, name)| (Some(sections), name));
        let mut table = &mut self.values;
        for section in sections.into_iter().flat_map(|sections| sections.split('.')) {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().ok_or_else(|| ConfigError::Value {
                key: key.to_owned(),
                message: format!("`{section}` is set to a single value and has no keys"),
                origin: origin.to_string(),
            })?;
        }
        table.insert(name.to_owned(), value);
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    fn settings(self) -> Result<Settings, ConfigError> {
        let mut settings: Settings =
            serde_path_to_error::deserialize(Value::Table(self.values.clone())).map_err(|error| {
                let mut key = error.path().to_string();
                if key == "." {
                    key.clear();
                }
                let message = error.inner().to_string();
                // The key is named already.
                let message = message.split("\nin `").next().unwrap_or_default().trim();
                if let Some((name, rest)) =
                    message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'))
                {
                    if key != name && !key.ends_with(&format!(".{name}")) {
                        key = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
                    }
                    let known = rest.split('`').skip(1).step_by(2);
                    let hint =
                        meant(name, known).map(|known| format!(" (did you mean `{known}`?)")).unwrap_or_default();
                    let message = format!("unknown key{hint}{rest}");
                    return ConfigError::Value { origin: self.origin(&key).to_string(), key, message };
                }
                ConfigError::Value { origin: self.origin(&key).to_string(), key, message: hide_value(message) }
            })?;
        if !self.origins.keys().any(|key| key.starts_with("ordering.shipping_methods")) {
            settings.ordering.shipping_methods = default_shipping(settings.shop.currency);
        }
        settings.validate().map_err(|invalid| {
            let named = invalid.into_iter().map(|invalid| {
                let origin = self.origin(&invalid.key).to_string();
                (invalid, origin)
            });
            ConfigError::Invalid(named.collect())
        })?;
        Ok(settings)
    }

    fn origin(&self, key: &str) -> Origin {
        origin_of(&self.origins, key)
    }
}

/// The known name that this one was most likely meant to be: at most one letter in three is wrong.
fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|known| (strsim::damerau_levenshtein(name, known), known)).min()?;
    (near.0 <= (name.len() / 3).max(1)).then_some(near.1)
}

/// serde repeats the value that it does not like; it may be a secret put under the wrong key.
fn hide_value(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((got, expected)) if got.starts_with("invalid type: ") || got.starts_with("invalid value: ") => {
            let expected = match expected {
                "u8" | "u16" | "u32" | "u64" => "a whole number of 0 or more",
                "i64" => "a whole number",
                other => other,
            };
            format!("invalid value, expected {expected}")
        }
        _ => message.to_owned(),
    }
}
