//! The data folder: whose it is, who may read it, and who runs on it.

use std::{
    fs::{self, DirBuilder, File, Metadata},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, bail};

/// What the group and everybody else may do.
const OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;
/// What the shop stores in its folder beside databases. Other files there are the owner's and stay as they are.
const OURS: [&str; 4] = ["lock", "web-secret", "search", "chat"];

/// Makes the folder when it is missing, and sees to it that nobody but its owner can read what the shop stores there:
/// the key that signs tokens, password hashes, addresses, mails.
///
/// # Errors
/// When it cannot be made or read, or is a folder that other users share, such as `/tmp`.
pub fn prepare(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    let meta = fs::metadata(folder).with_context(|| format!("cannot read the data folder {}", folder.display()))?;
    if meta.mode() & STICKY != 0 || fs::canonicalize(folder).is_ok_and(|path| path.parent().is_none()) {
        bail!("{} is shared with others: give the shop a folder of its own with --data-dir", folder.display());
    }
    let mut closed = Closed::default();
    closed.close(folder, &meta);
    closed.inside(folder, true)?;
    if closed.files > 0 {
        tracing::warn!(
            folder = %folder.display(),
            files = closed.files,
            "other users of this machine could read the shop's data; now only its owner can"
        );
    }
    if let Some((path, error)) = closed.refused {
        tracing::warn!(
            %path,
            %error,
            "other users of this machine can read the shop's data, and the permissions cannot be changed"
        );
    }
    Ok(())
}

/// What was closed to others.
#[derive(Default)]
struct Closed {
    files: usize,
    /// The first that belongs to somebody else, as on a volume that an orchestrator mounts.
    refused: Option<(String, io::Error)>,
}

impl Closed {
    fn inside(&mut self, folder: &Path, outermost: bool) -> anyhow::Result<()> {
        let failed = || format!("cannot read the data folder {}", folder.display());
        for entry in fs::read_dir(folder).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if outermost && !(name.contains(".db") || OURS.contains(&&*name)) {
                continue;
            }
            // A file may have gone meanwhile: another process imports books, or the index has merged a segment.
            let Ok(meta) = entry.metadata() else { continue };
            self.close(&entry.path(), &meta);
            if meta.is_dir() {
                self.inside(&entry.path(), false)?;
            }
        }
        Ok(())
    }

    /// Leaves symbolic links alone: where they lead is the owner's choice.
    fn close(&mut self, path: &Path, meta: &Metadata) {
        if meta.is_symlink() || meta.mode() & OTHERS == 0 {
            return;
        }
        match fs::set_permissions(path, fs::Permissions::from_mode(meta.mode() & 0o7700)) {
            Ok(()) => self.files += 1,
            Err(error) => drop(self.refused.get_or_insert_with(|| (path.display().to_string(), error))),
        }
    }
}

/// A lock for as long as this process owns the data folder.
#[derive(Debug)]
pub struct Lock {
    /// The folder itself: it cannot be deleted while there is data in it, as a file in it can.
    _folder: File,
    /// What releases before this one lock.
    _file: File,
}

/// Takes the folder for this process.
///
/// # Errors
/// When another process has it, or its lock cannot be written.
pub fn lock(folder: &Path) -> anyhow::Result<Lock> {
    let path = folder.join("lock");
    let directory = File::open(folder).with_context(|| format!("cannot read the data folder {}", folder.display()))?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if directory.try_lock().is_err() || file.try_lock().is_err() {
        bail!("another bookworm is running on the data folder {}", folder.display());
    }
    Ok(Lock { _folder: directory, _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_the_shop_keeps_is_closed_to_others_and_nothing_else_is_touched() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("shop/data");
        prepare(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        fs::create_dir_all(folder.join("search/index")).unwrap();
        let files =
            ["identity.db", "identity.db-wal", "identity.db-shm", "web-secret", "search/index/segment", "notes.txt"];
        for file in files {
            fs::write(folder.join(file), "x").unwrap();
            fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::write(home.path().join("outside"), "x").unwrap();
        fs::set_permissions(home.path().join("outside"), fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(home.path().join("outside"), folder.join("linked.db")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        prepare(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        for file in &files[..5] {
            assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
        }
        assert_eq!(mode(&folder.join("search/index")), 0o700);
        assert_eq!(mode(&folder.join("notes.txt")), 0o644, "what the owner put there stays as it is");
        assert_eq!(mode(&home.path().join("outside")), 0o644, "links are not followed");
    }

    #[test]
    fn a_folder_that_others_share_is_refused() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let refused = prepare(home.path()).unwrap_err().to_string();
        assert!(refused.contains("shared with others"), "{refused}");
        assert!(prepare(Path::new("/")).is_err());
    }

    #[test]
    fn the_lock_holds_also_when_its_file_is_deleted() {
        let home = tempfile::tempdir().unwrap();
        let locked = lock(home.path()).unwrap();
        assert!(lock(home.path()).is_err());
        fs::remove_file(home.path().join("lock")).unwrap();
        assert!(lock(home.path()).unwrap_err().to_string().contains("another bookworm is running"));
        drop(locked);
        lock(home.path()).unwrap();
    }
}
