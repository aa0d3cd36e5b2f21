//! The key file: signing keys with validity windows, versioned sealing keys, and the master secret from which all
//! others are derived.
//!
//! A key signs from its `notBefore` until a newer one begins, and its tokens are accepted until its `notAfter`. A new
//! key begins a while after it was added, so that every instance and every other verifier has it by then, and the one
//! before ends only when its last token has expired: a rotation logs no user out. A sealing key seals likewise, and
//! opens without end what it sealed.

mod file;
mod rotation;
mod sealing;
mod signing;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

pub use self::rotation::Rotation;
pub(super) use self::sealing::{SealingKey, active as active_sealing};
pub(super) use self::signing::SigningKey;
pub use self::signing::Window;
use crate::clock;
use crate::model::Timestamp;

/// Signing keys, sealing keys and master secret of a deployment. Wiped on drop, never printed.
pub struct Keys {
    master: Zeroizing<[u8; 32]>,
    /// Oldest first. Never empty, without a gap, and the last one does not end.
    signing: Vec<Arc<SigningKey>>,
    /// Oldest first. Never empty.
    sealing: Vec<Arc<SealingKey>>,
}

/// Reason why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is not a key file, or has no key that is active now.
    #[error("{0}")]
    Invalid(String),
    /// Its newest keys have yet to begin.
    #[error("keys that were added before begin at {0}; only then can others be added")]
    Pending(Timestamp),
}

/// A signing key as `keys list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// PASERK `k4.pid.…`.
    pub kid: String,
    /// Validity window.
    pub window: Window,
    /// Whether it signs now.
    pub active: bool,
}

/// A sealing key as `keys list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealingKeyInfo {
    /// Version that sealed texts name.
    pub version: u32,
    /// Time from which it seals.
    pub not_before: Timestamp,
    /// Whether it seals now.
    pub active: bool,
}

impl Keys {
    /// Writes a new key file (mode 0600) with one signing key and one sealing key that are valid from `now`. Never
    /// overwrites one.
    ///
    /// # Errors
    /// [`KeyError::Io`] when the file exists or cannot be written.
    pub fn generate(path: &Path, now: Timestamp) -> Result<(), KeyError> {
        file::create(path, &Self::draw(now)?.to_text()?)
    }

    fn draw(now: Timestamp) -> Result<Self, KeyError> {
        Ok(Self {
            master: Zeroizing::new(clock::random()),
            signing: vec![Arc::new(SigningKey::generate(now)?)],
            sealing: vec![Arc::new(SealingKey::generate(1, now))],
        })
    }

    /// Reads a key file. Refuses one that others can read.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Invalid`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::from_text(&file::read(path)?)
    }

    /// Replaces the key file by this one, in one step: a reader sees the old or the new one.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        file::replace(path, &self.to_text()?)
    }

    /// Adds a key that begins at `begins` (later than every other); the one before it is accepted for
    /// `overlap` longer, which must be no less than the lifetime of a token.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] when `begins` is not later than every other key's beginning.
    pub fn add_signing_key(
        &mut self,
        begins: Timestamp,
        overlap: Duration,
    ) -> Result<(), KeyError> {
        let mut signing = self.signing.clone();
        if let Some(last) = signing.pop() {
            signing.push(Arc::new(last.ending(begins.after(overlap))));
        }
        signing.push(Arc::new(SigningKey::generate(begins)?));
        check(&signing)?;
        self.signing = signing;
        Ok(())
    }

    /// Forgets keys that have ended. Returns how many.
    pub fn prune(&mut self, now: Timestamp) -> usize {
        let before = self.signing.len();
        self.signing
            .retain(|key| key.window.not_after.is_none_or(|end| end > now));
        before - self.signing.len()
    }

    /// All signing keys, oldest first.
    #[must_use]
    pub fn list(&self, now: Timestamp) -> Vec<KeyInfo> {
        let active = self.active(now).kid.clone();
        let info = |key: &Arc<SigningKey>| KeyInfo {
            kid: key.kid.clone(),
            window: key.window,
            active: key.kid == active,
        };
        self.signing.iter().map(info).collect()
    }

    /// All sealing keys, oldest first.
    #[must_use]
    pub fn list_sealing(&self, now: Timestamp) -> Vec<SealingKeyInfo> {
        let active = active_sealing(&self.sealing, now).version;
        let info = |key: &Arc<SealingKey>| SealingKeyInfo {
            version: key.version,
            not_before: key.not_before,
            active: key.version == active,
        };
        self.sealing.iter().map(info).collect()
    }

    /// A key for one purpose: HKDF-SHA-256 (RFC 5869) of the master secret.
    ///
    /// # Panics
    /// Never: 32 bytes are far below what HKDF can give.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.master, purpose)
    }

    /// The key that signs at `now`.
    pub(super) fn active(&self, now: Timestamp) -> &Arc<SigningKey> {
        active(&self.signing, now)
    }

    /// All signing keys, oldest first. Never empty.
    pub(super) fn signing(&self) -> &[Arc<SigningKey>] {
        &self.signing
    }

    /// All sealing keys, oldest first. Never empty.
    pub(super) fn sealing(&self) -> &[Arc<SealingKey>] {
        &self.sealing
    }

    fn to_text(&self) -> Result<Zeroizing<String>, KeyError> {
        let signing = self.signing.iter().map(|key| key.to_entry());
        let sealing = self.sealing.iter().map(|key| key.to_entry());
        let signing = signing.collect::<Result<_, _>>()?;
        file::Content::new(&self.master, signing, sealing.collect()).to_text()
    }

    fn from_text(text: &str) -> Result<Self, KeyError> {
        let content = file::Content::parse(text)?;
        let master = content.master()?;
        Ok(Self {
            signing: signing_keys(&content)?,
            sealing: sealing_keys(&content, &master)?,
            master,
        })
    }
}

fn signing_keys(content: &file::Content) -> Result<Vec<Arc<SigningKey>>, KeyError> {
    let keys = content.signing_keys.iter().map(SigningKey::from_entry);
    let mut keys = keys
        .map(|key| key.map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    keys.sort_by_key(|key| key.window.not_before);
    check(&keys)?;
    Ok(keys)
}

fn sealing_keys(
    content: &file::Content,
    master: &[u8; 32],
) -> Result<Vec<Arc<SealingKey>>, KeyError> {
    if content.derives_sealing_key() {
        let secret = derive(master, "sealing 1");
        return Ok(vec![Arc::new(SealingKey::derived(secret))]);
    }
    let keys = content.sealing_keys.iter().map(SealingKey::from_entry);
    let mut keys = keys
        .map(|key| key.map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    keys.sort_by_key(|key| key.version);
    sealing::check(&keys)?;
    Ok(keys)
}

fn derive(master: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::new(Some(b"sallyport"), master);
    if hkdf.expand(purpose.as_bytes(), &mut *key).is_err() {
        unreachable!("HKDF-SHA-256 gives up to 8160 bytes");
    }
    key
}

/// The newest of `keys` that has begun; before the first begins, the first.
pub(super) fn active(keys: &[Arc<SigningKey>], now: Timestamp) -> &Arc<SigningKey> {
    let begun = keys.iter().rev().find(|key| key.window.not_before <= now);
    begun.unwrap_or(&keys[0])
}

/// With no gap between the windows, and none at the end, some key is active at any time.
fn check(keys: &[Arc<SigningKey>]) -> Result<(), KeyError> {
    let invalid = |text: String| Err(KeyError::Invalid(text));
    let Some(last) = keys.last() else {
        return invalid("has no signing key".to_owned());
    };
    if last.window.not_after.is_some() {
        return invalid(format!("the newest key {} must have no notAfter", last.kid));
    }
    for pair in keys.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        if new.window.not_before <= old.window.not_before {
            return invalid(format!("{} and {} begin together", old.kid, new.kid));
        }
        let covered = old.window.not_after;
        if covered.is_none_or(|end| end < new.window.not_before) {
            return invalid(format!(
                "{} must have a notAfter, no earlier than {} begins",
                old.kid, new.kid
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

/// Keys that were never in a file.
#[cfg(test)]
pub(in crate::crypto) fn for_tests(now: Timestamp) -> Keys {
    Keys::draw(now).expect("generates")
}

/// Keys as read from a file of the format without sealing keys.
#[cfg(test)]
pub(in crate::crypto) fn of_version_1(master: [u8; 32]) -> Keys {
    let mut keys = Keys::draw(Timestamp::from_micros(0)).expect("generates");
    keys.master = Zeroizing::new(master);
    let text = keys.to_text().expect("writes");
    let mut file: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    file["version"] = 1.into();
    file.as_object_mut()
        .expect("an object")
        .remove("sealingKeys");
    Keys::from_text(&file.to_string()).expect("loads")
}

#[cfg(test)]
impl Keys {
    /// The same keys with one more sealing key.
    pub(in crate::crypto) fn with_sealing_key(&self, begins: Timestamp) -> Self {
        let version = u32::try_from(self.sealing.len() + 1).expect("few");
        let added = Arc::new(SealingKey::generate(version, begins));
        Self {
            master: self.master.clone(),
            signing: self.signing.clone(),
            sealing: self.sealing.iter().cloned().chain([added]).collect(),
        }
    }
}
