//! Passwords to Argon2id hashes (RFC 9106) and back.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use tokio::{sync::Semaphore, task::JoinError};

use crate::domain::{forms, prepare};

/// Hashes as many passwords at once as there are cores: each takes a core, and memory that many at once would not
/// find. The others wait.
pub(crate) struct Hasher {
    argon2: Argon2<'static>,
    slots: Arc<Semaphore>,
    /// Looks like a hash made with these parameters, but of no password that anybody knows.
    nobodys: String,
}

/// What came of checking a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It is another one, or there is no account.
    Wrong,
    /// It is the one. `outdated` when its hash was made with other parameters than are wanted now, or of another form
    /// of the same characters.
    Right {
        /// Whether to hash it again: with the costs that are wanted now, and prepared.
        outdated: bool,
    },
}

/// A fault of ours while hashing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    #[error("the password cannot be hashed: {0}")]
    Hash(password_hash::Error),
    #[error("the hashing task did not end")]
    Task(#[from] JoinError),
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// A hasher with these costs.
    ///
    /// # Errors
    /// When the costs are outside of what Argon2 takes.
    pub fn new(costs: &bookworm_config::Argon2) -> Result<Self, argon2::Error> {
        let params = Params::new(costs.memory_kib, costs.iterations, costs.parallelism, None)?;
        let nobodys = format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            costs.memory_kib,
            costs.iterations,
            costs.parallelism,
            STANDARD_NO_PAD.encode(rand::random::<[u8; 16]>()),
            STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>()),
        );
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            slots: Arc::new(Semaphore::new(cores)),
            nobodys,
        })
    }

    /// A hash with a salt of its own, in PHC notation, of the prepared password.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub async fn hash(&self, password: String) -> Result<String, HashError> {
        let argon2 = self.argon2.clone();
        self.work(move || {
            argon2.hash_password(prepare(&password).as_bytes()).map(|hash: PasswordHash| hash.to_string())
        })
        .await
    }

    /// Whether this is the password of that hash. Without a hash it is wrong, and takes as long: how long it takes
    /// reveals to nobody whether there is an account. Each form that an older hash may have been made of is tried.
    ///
    /// # Errors
    /// When the stored hash cannot be read, or there is no memory.
    pub async fn check(&self, password: String, hash: Option<String>) -> Result<Checked, HashError> {
        let (argon2, known) = (self.argon2.clone(), hash.is_some());
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        self.work(move || {
            let hash = PasswordHash::new(&hash)?;
            for (tried, form) in forms(&password).into_iter().enumerate() {
                match argon2.verify_password(form.as_bytes(), &hash) {
                    Ok(()) if known => {
                        let (used, wanted) = (Params::try_from(&hash)?, argon2.params());
                        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
                        return Ok(Checked::Right { outdated: tried > 0 || costs(&used) != costs(wanted) });
                    }
                    Ok(()) | Err(password_hash::Error::PasswordInvalid) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(Checked::Wrong)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, password_hash::Error> + Send + 'static,
    ) -> Result<T, HashError> {
        // Never closed. The permit goes into the task: who stops waiting does not free a core that is still at work.
        let slot = self.slots.clone().acquire_owned().await.ok();
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        });
        task.await?.map_err(HashError::Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(memory_kib: u32) -> Hasher {
        Hasher::new(&bookworm_config::Argon2 { memory_kib, iterations: 1, parallelism: 1 }).unwrap()
    }

    #[tokio::test]
    async fn knows_its_own_hash_and_one_of_other_costs() {
        let (cheap, dear) = (hasher(8), hasher(16));
        let hash = cheap.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert_ne!(cheap.hash("correct horse".to_owned()).await.unwrap(), hash, "each has a salt of its own");
        let check = async |hasher: &Hasher, password: &str| {
            hasher.check(password.to_owned(), Some(hash.clone())).await.unwrap()
        };
        assert_eq!(check(&cheap, "correct horse").await, Checked::Right { outdated: false });
        assert_eq!(check(&dear, "correct horse").await, Checked::Right { outdated: true });
        assert_eq!(check(&cheap, "correct horsf").await, Checked::Wrong);
        assert_eq!(cheap.check("anything".to_owned(), None).await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_another_form_is_known_and_made_anew() {
        let (hasher, nfd) = (hasher(8), "man\u{303}ana u\u{308}ber 1!");
        // As it was made when passwords were hashed as they came.
        let old = hasher.argon2.hash_password(nfd.as_bytes()).map(|hash: PasswordHash| hash.to_string()).unwrap();
        for typed in [nfd, "ma\u{f1}ana \u{fc}ber 1!"] {
            let checked = hasher.check(typed.to_owned(), Some(old.clone())).await.unwrap();
            assert_eq!(checked, Checked::Right { outdated: true }, "{typed:?}");
        }
        let new = hasher.hash(nfd.to_owned()).await.unwrap();
        let checked = hasher.check("ma\u{f1}ana \u{fc}ber 1!".to_owned(), Some(new)).await.unwrap();
        assert_eq!(checked, Checked::Right { outdated: false });
    }

    #[test]
    fn costs_outside_of_the_standard_are_refused() {
        assert!(Hasher::new(&bookworm_config::Argon2 { memory_kib: 1, iterations: 1, parallelism: 1 }).is_err());
    }
}
