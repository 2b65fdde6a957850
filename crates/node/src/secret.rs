use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

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
    let secret = random();
    write(file, &secret).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(secret)
}

/// Writes the secret of a fleet, 64 hexadecimal digits, to a file that only its owner can read. Returns `false` when the
/// file is there already, also when another process makes it at the same time.
///
/// # Errors
/// When it cannot be written.
pub fn make_token(file: &Path) -> io::Result<bool> {
    if file.try_exists()? {
        return Ok(false);
    }
    let digits: String = random().iter().map(|byte| format!("{byte:02x}")).collect();
    // Complete or not at all: others may be looking for it.
    let mut half = file.as_os_str().to_owned();
    half.push(format!(".{}", Uuid::new_v4().simple()));
    write(Path::new(&half), format!("{digits}\n").as_bytes())?;
    let linked = fs::hard_link(&half, file);
    fs::remove_file(&half)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        other => other.map(|()| true),
    }
}

/// The secret in this file, of visible characters; made the first time.
///
/// # Errors
/// When the file cannot be read or written.
pub fn secret_file(file: &Path) -> anyhow::Result<String> {
    make_token(file).with_context(|| format!("cannot write {}", file.display()))?;
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

fn random() -> [u8; 32] {
    let mut secret = [0; 32];
    // Two random UUIDs: 244 bits from the system's generator.
    secret[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    secret[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    secret
}

fn write(file: &Path, contents: &[u8]) -> io::Result<()> {
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    open.write_all(contents)?;
    open.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(make_token(&file).unwrap());
        let made = fs::read_to_string(&file).unwrap();
        assert_eq!(made.trim().len(), 64);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!make_token(&file).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), made);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else stays behind");
        assert!(make_token(&folder.path().join("no/such/folder")).is_err());
    }
}
