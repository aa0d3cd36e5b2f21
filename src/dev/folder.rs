//! Folders of private servers: one that is kept and locked, one that is removed at the end.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Error;
use crate::clock;

/// Script that removes the folder when its pipe closes, which it does when this process ends, even by SIGKILL. The
/// servers inside are being ended at the same moment and may still write: hence the repetition.
const SWEEPER: &str = r#"
trap '' HUP INT QUIT TERM
read -r line
for try in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" && exit 0
    sleep 0.3
done
"#;

/// A folder that is removed when this process ends, even by SIGKILL.
#[derive(Debug)]
pub struct ThrowawayFolder {
    path: PathBuf,
    sweeper: Child,
}

impl ThrowawayFolder {
    /// Makes a new folder inside `base` (such as `/tmp`), which every user must be able to enter: the
    /// servers may run as another user.
    pub fn inside(base: &Path) -> Result<Self, Error> {
        let base = base
            .canonicalize()
            .map_err(Error::io(format!("finding {}", base.display())))?;
        let path = base.join(format!("sallyport-{}", hex::encode(clock::random::<8>())));
        DirBuilder::new()
            .mode(0o711)
            .create(&path)
            .map_err(Error::io(format!("making {}", path.display())))?;
        let sweeper = Command::new("/bin/sh")
            .args(["-c", SWEEPER, "sallyport-sweeper"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("starting /bin/sh"))?;
        Ok(Self { path, sweeper })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ThrowawayFolder {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// A folder that is kept, and used by one process at a time.
#[derive(Debug)]
pub struct LockedFolder {
    path: PathBuf,
    _lock: File,
}

impl LockedFolder {
    /// Makes the folder when it is not there, and locks it. The lock ends with the process.
    ///
    /// # Errors
    /// [`Error::Refused`] when another process holds it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        make(path, 0o711)?;
        let path = path
            .canonicalize()
            .map_err(Error::io(format!("finding {}", path.display())))?;
        let lock_file = path.join("lock");
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&lock_file)
            .map_err(Error::io(format!("opening {}", lock_file.display())))?;
        lock_or_refuse(&mut lock, &path)?;
        let written = lock
            .set_len(0)
            .and_then(|()| write!(lock, "{}", std::process::id()));
        written.map_err(Error::io(format!("writing {}", lock_file.display())))?;
        Ok(Self { path, _lock: lock })
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn lock_or_refuse(lock: &mut File, path: &Path) -> Result<(), Error> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            Err(Error::Refused(format!(
                "{} is in use by process {holder}: end that one first, or choose another folder",
                path.display()
            )))
        }
        Err(TryLockError::Error(error)) => {
            Err(Error::io(format!("locking {}", path.display()))(error))
        }
    }
}

/// Makes a folder and its parents when it is not there, with `mode`.
pub(super) fn make(path: &Path, mode: u32) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let what = format!("making {}", path.display());
    DirBuilder::new()
        .recursive(true)
        .create(path)
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)))
        .map_err(Error::io(what))
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::io(format!("writing {}", path.display())))
}

/// Text that an earlier start has written to `path`, or else what `first` makes, which is written there.
pub(super) fn read_or_create(path: &Path, first: impl FnOnce() -> String) -> Result<String, Error> {
    if let Ok(text) = std::fs::read_to_string(path) {
        return Ok(text.trim().to_owned());
    }
    let text = first();
    write_private(path, &text)?;
    Ok(text)
}

/// The last `count` lines of a text file, or nothing.
pub(super) fn tail(path: &Path, count: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throwaway_folder_goes_with_everything_in_it() {
        let base = tempfile::tempdir().unwrap();
        let folder = ThrowawayFolder::inside(base.path()).unwrap();
        std::fs::write(folder.path().join("file"), "text").unwrap();
        drop(folder);
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn second_holder_of_a_folder_is_told_who_has_it() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("kept");
        let first = LockedFolder::open(&path).unwrap();
        let error = LockedFolder::open(&path).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        LockedFolder::open(&path).unwrap();
    }

    #[test]
    fn what_was_remembered_stays_and_is_private() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("password");
        assert_eq!(read_or_create(&path, || "one".to_owned()).unwrap(), "one");
        assert_eq!(read_or_create(&path, || "two".to_owned()).unwrap(), "one");
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn tail_is_the_end() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("log");
        assert_eq!(tail(&path, 2), "");
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(tail(&path, 2), "b\nc");
    }
}
