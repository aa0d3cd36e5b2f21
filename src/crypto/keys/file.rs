//! The key file on disk: JSON, mode 0600, written completely or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::KeyError;
use crate::clock;
use crate::model::Timestamp;

/// Version of the file's format.
const VERSION: u32 = 2;
/// Version of the format before, without sealing keys.
const VERSION_BEFORE: u32 = 1;
/// Bytes of the longest key file: enough for two thousand keys.
const MAX_BYTES: u64 = 1024 * 1024;

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Content {
    version: u32,
    master_secret: Secret,
    pub(super) signing_keys: Vec<Entry>,
    #[serde(default)]
    pub(super) sealing_keys: Vec<SealingEntry>,
}

/// 32 bytes in base64url, wiped on drop.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn of(bytes: &[u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn bytes(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        match URL_SAFE_NO_PAD.decode_slice(&self.0, &mut *bytes) {
            Ok(32) => Ok(bytes),
            _ => Err(KeyError::Invalid(format!(
                "{name} must be 32 bytes in base64url"
            ))),
        }
    }
}

/// One signing key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) kid: String,
    /// PASERK `k4.secret.…`.
    pub(super) secret: String,
    pub(super) not_before: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_after: Option<Timestamp>,
}

/// One sealing key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SealingEntry {
    pub(super) version: u32,
    pub(super) secret: Secret,
    pub(super) not_before: Timestamp,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Content {
    pub(super) fn new(
        master: &[u8; 32],
        signing_keys: Vec<Entry>,
        sealing_keys: Vec<SealingEntry>,
    ) -> Self {
        Self {
            version: VERSION,
            master_secret: Secret::of(master),
            signing_keys,
            sealing_keys,
        }
    }

    pub(super) fn to_text(&self) -> Result<Zeroizing<String>, KeyError> {
        // Of the full size at once: growing would leave copies in freed memory.
        let entries = self.signing_keys.len() + self.sealing_keys.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(512 + 512 * entries));
        serde_json::to_writer_pretty(&mut *bytes, self).map_err(io::Error::from)?;
        bytes.push(b'\n');
        let text = String::from_utf8(std::mem::take(&mut *bytes));
        text.map(Zeroizing::new)
            .map_err(|_| KeyError::Invalid("not UTF-8".to_owned()))
    }

    /// Parses the file. The parser's own message is not passed on: it would quote the text, which may be a secret.
    pub(super) fn parse(text: &str) -> Result<Self, KeyError> {
        let content: Self = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            KeyError::Invalid(format!("not a key file (line {line}, column {column})"))
        })?;
        match (content.version, content.sealing_keys.is_empty()) {
            (VERSION, _) | (VERSION_BEFORE, true) => Ok(content),
            (VERSION_BEFORE, false) => Err(KeyError::Invalid(format!(
                "a key file of version {VERSION_BEFORE} has no sealingKeys"
            ))),
            (version, _) => Err(KeyError::Invalid(format!(
                "key file of version {version}, this build reads versions {VERSION_BEFORE} and {VERSION}"
            ))),
        }
    }

    /// Whether the file has the format without sealing keys.
    pub(super) fn derives_sealing_key(&self) -> bool {
        self.version == VERSION_BEFORE
    }

    pub(super) fn master(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.master_secret.bytes("masterSecret")
    }
}

/// Writes a file that did not exist; a failed attempt leaves no file.
pub(super) fn create(path: &Path, text: &str) -> Result<(), KeyError> {
    let file = open_new(path)?;
    write_all(file, text)
        .and_then(|()| sync_folder(path))
        .inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(())
}

/// Locks the file against changes by other processes until the result is dropped.
pub(super) fn lock(path: &Path) -> Result<File, KeyError> {
    let file = File::open(path)?;
    file.lock()?;
    Ok(file)
}

/// Writes beside the file and renames over it. The owner of the file stays the same.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), KeyError> {
    let mut name = OsString::from(path);
    let suffix: [u8; 8] = clock::random();
    name.push(format!(".{}", hex::encode(suffix)));
    let beside = PathBuf::from(name);
    let file = open_new(&beside)?;
    keep_owner(&file, path)
        .and_then(|()| write_all(file, text))
        .and_then(|()| fs::rename(&beside, path))
        .inspect_err(|_| drop(fs::remove_file(&beside)))?;
    Ok(sync_folder(path)?)
}

/// Reads a file that only its owner can read.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Invalid(format!(
            "others can read it (mode {mode:04o}): chmod 600 it"
        )));
    }
    let too_long = || KeyError::Invalid("not a key file: too long".to_owned());
    let length = usize::try_from(about.len().min(MAX_BYTES)).map_err(|_| too_long())?;
    let mut text = Zeroizing::new(String::with_capacity(length + 1));
    file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(too_long());
    }
    Ok(text)
}

fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Keeps the owner of the file: an administrator rotates keys, and the service must still be able to read them.
fn keep_owner(file: &File, before: &Path) -> io::Result<()> {
    let owner = fs::metadata(before)?.uid();
    if file.metadata()?.uid() == owner {
        return Ok(());
    }
    fchown(file, Some(owner), None)
}

fn write_all(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Syncs the folder of the file: a new name is only durable once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
