use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, bail};
use uuid::Uuid;

/// Reads 32 secret bytes from a file that only its owner can read; makes it the first time.
///
/// # Errors
/// When the file cannot be read or written, or has other contents.
pub fn load_or_make(file: &Path) -> anyhow::Result<[u8; 32]> {
    if let Ok(bytes) = std::fs::read(file) {
        return match bytes.try_into() {
            Ok(secret) => Ok(secret),
            Err(_) => bail!("{} is damaged: it should hold 32 bytes. Delete it to have a new one made", file.display()),
        };
    }
    let mut secret = [0; 32];
    // Two random UUIDs: 244 bits from the system's generator.
    secret[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    secret[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    let write = || {
        let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        open.write_all(&secret)?;
        open.sync_all()
    };
    write().with_context(|| format!("cannot write {}", file.display()))?;
    Ok(secret)
}
