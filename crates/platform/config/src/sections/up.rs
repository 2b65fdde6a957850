use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::validate::{Validate, Validation};

/// The most processes of one role on one machine.
const MOST: u32 = 16;

/// A whole fleet on one machine: what `bookworm up` starts. Other commands do not look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Up {
    /// How many processes of each role: 0 to 16. Default 1.
    pub each: u32,
    /// How many of a role, where that is another number than `each`, by role: `catalog = 2`. 0: it runs elsewhere, or
    /// nowhere.
    #[serde(deserialize_with = "counts")]
    pub roles: BTreeMap<String, u32>,
    /// The program `nats-server` to start, by its path or by a name to look for in PATH. Left out: `nats.url` is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<PathBuf>,
    /// The program `postgres` to start; `initdb` must stand beside it. A name is also looked for where Debian puts it. Left
    /// out: `database.url` is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PathBuf>,
    /// The program `redis-server` to start. Left out: `redis.url` is used, if set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<PathBuf>,
    /// The FerretDB to start for the chat's conversations: a program that takes `-listen ADDRESS -data FOLDER`, as the one in
    /// `tests/ferretdb` does. Left out: `mongodb.url` is used, if set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ferretdb: Option<PathBuf>,
}

/// A variable's value is a text: the names of roles have no defaults that would say otherwise.
fn counts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "must be how many processes of the role: 0 to 16")]
    enum Written {
        Number(u32),
        Text(String),
    }
    let written = BTreeMap::<String, Written>::deserialize(deserializer)?;
    let count = |(role, written)| match written {
        Written::Number(count) => Ok((role, count)),
        Written::Text(text) => match text.trim().parse() {
            Ok(count) => Ok((role, count)),
            Err(_) => Err(D::Error::custom("must be how many processes of the role: 0 to 16")),
        },
    };
    written.into_iter().map(count).collect()
}

impl Default for Up {
    fn default() -> Self {
        Self { each: 1, roles: BTreeMap::new(), nats: None, postgres: None, redis: None, ferretdb: None }
    }
}

impl Up {
    /// How many processes of this role.
    #[must_use]
    pub fn processes(&self, role: &str) -> u32 {
        self.roles.get(role).copied().unwrap_or(self.each)
    }
}

impl Validate for Up {
    fn validate(&self, v: &mut Validation) {
        v.range("each", self.each, 0..=MOST);
        for (role, count) in &self.roles {
            v.range(&format!("roles.{role}"), *count, 0..=MOST);
        }
        let programs =
            [("nats", &self.nats), ("postgres", &self.postgres), ("redis", &self.redis), ("ferretdb", &self.ferretdb)];
        for (key, program) in programs {
            let named = program.as_ref().is_none_or(|program| !program.as_os_str().is_empty());
            v.check(key, named, "must be a program; leave it out to use one that runs already");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use crate::{Settings, Sources};

    #[test]
    fn how_many_processes_of_a_role_is_its_own_number_or_that_of_each() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "[up]\neach = 2\nnats = \"nats-server\"\n[up.roles]\nai = 1").unwrap();
        let variable = ("BOOKWORM_UP__ROLES__CHAT".to_owned(), "3".to_owned());
        let up = Settings::load(Sources::new().file(file.path()).variables([variable])).unwrap().up;
        assert_eq!(["ai", "chat", "web"].map(|role| up.processes(role)), [1, 3, 2]);
        assert_eq!(up.nats.unwrap().to_str(), Some("nats-server"));
    }

    #[test]
    fn what_cannot_be_started_is_refused_in_words() {
        for (key, value, words) in [
            ("up.each", "17", "up.each: must be 0 to 16, not 17"),
            ("up.roles.chat", "17", "up.roles.chat: must be 0 to 16, not 17"),
            ("up.roles.chat", "many", "must be how many processes of the role"),
            ("up.nats", "", "up.nats: must be a program"),
        ] {
            let error = Settings::load(Sources::new().set("a test", key, value)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
