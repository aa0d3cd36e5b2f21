//! Rotation: a new signing key and a new sealing key that begin together, later than now.
//!
//! Later, so that every instance has been restarted with them by then: one that does not know them would refuse the
//! tokens and could not open the secrets of those that do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::sealing::SealingKey;
use super::{KeyError, Keys, file};
use crate::model::Timestamp;

/// Result of a rotation of a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Time at which the new keys begin.
    pub begins: Timestamp,
    /// The new signing key: PASERK `k4.pid.…`.
    pub kid: String,
    /// Time at which the signing key before it ends.
    pub ends: Timestamp,
    /// Version of the new sealing key.
    pub sealing_version: u32,
    /// Number of signing keys that had ended and were removed.
    pub forgotten: usize,
}

impl Keys {
    /// Adds keys to the file at `path` that begin after `delay`, and removes signing keys that have ended. The signing
    /// key before is accepted for `overlap` longer, which must be no less than the lifetime of a token. The file
    /// changes in one step; commands that come at the same time wait for each other.
    ///
    /// # Errors
    /// [`KeyError::Pending`] when keys of the file have yet to begin; [`KeyError::Io`], [`KeyError::Invalid`]. The
    /// file is as it was.
    pub fn rotate(
        path: &Path,
        now: Timestamp,
        delay: Duration,
        overlap: Duration,
    ) -> Result<Rotation, KeyError> {
        // A link stays a link, and its target changes.
        let path = path.canonicalize()?;
        let _lock = file::lock(&path)?;
        let mut keys = Self::load(&path)?;
        let rotation = keys.add_pair(now, delay, overlap)?;
        keys.save(&path)?;
        Ok(rotation)
    }

    fn add_pair(
        &mut self,
        now: Timestamp,
        delay: Duration,
        overlap: Duration,
    ) -> Result<Rotation, KeyError> {
        if let Some(begins) = self.begins_after(now) {
            return Err(KeyError::Pending(begins));
        }
        let begins = now.after(delay);
        let forgotten = self.prune(now);
        self.add_signing_key(begins, overlap)?;
        let sealing_version = self.add_sealing_key(begins)?;
        Ok(Rotation {
            begins,
            kid: self.active(begins).kid.clone(),
            ends: begins.after(overlap),
            sealing_version,
            forgotten,
        })
    }

    /// Time at which the last key begins that has not begun.
    fn begins_after(&self, now: Timestamp) -> Option<Timestamp> {
        let signing = self.signing.iter().map(|key| key.window.not_before);
        let sealing = self.sealing.iter().map(|key| key.not_before);
        signing.chain(sealing).max().filter(|begins| *begins > now)
    }

    fn add_sealing_key(&mut self, begins: Timestamp) -> Result<u32, KeyError> {
        let newest = self.sealing.iter().map(|key| key.version).max();
        let version = newest.unwrap_or(0).checked_add(1);
        let version = version.ok_or_else(|| KeyError::Invalid("no version is left".to_owned()))?;
        self.sealing
            .push(Arc::new(SealingKey::generate(version, begins)));
        super::sealing::check(&self.sealing)?;
        Ok(version)
    }
}

#[cfg(test)]
mod tests;
