//! One key that seals secrets at rest, and the time from which it does.
//!
//! It has no end: texts sealed with it, in the stores or in a copy of them, open for as long as the file has it.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::KeyError;
use super::file::{SealingEntry, Secret};
use crate::clock;
use crate::model::Timestamp;

/// A key and the version that sealed texts name. Wiped on drop, never printed.
pub(in crate::crypto) struct SealingKey {
    /// Version, counted from 1.
    pub(in crate::crypto) version: u32,
    pub(in crate::crypto) secret: Zeroizing<[u8; 32]>,
    /// Time from which it seals, until a newer key begins.
    pub(in crate::crypto) not_before: Timestamp,
}

impl SealingKey {
    /// A new key that seals from `not_before`.
    pub(super) fn generate(version: u32, not_before: Timestamp) -> Self {
        Self {
            version,
            secret: Zeroizing::new(clock::random()),
            not_before,
        }
    }

    /// The key of a file that has none: derived from its master secret, and in use from the beginning.
    pub(super) fn derived(secret: Zeroizing<[u8; 32]>) -> Self {
        Self {
            version: 1,
            secret,
            not_before: Timestamp::from_micros(0),
        }
    }

    pub(super) fn to_entry(&self) -> SealingEntry {
        SealingEntry {
            version: self.version,
            secret: Secret::of(&self.secret),
            not_before: self.not_before,
        }
    }

    pub(super) fn from_entry(entry: &SealingEntry) -> Result<Self, KeyError> {
        let version = entry.version;
        Ok(Self {
            version,
            secret: entry.secret.bytes(&format!("sealing key {version}"))?,
            not_before: entry.not_before,
        })
    }
}

/// The newest of `keys` that has begun; before the first begins, the first.
pub(in crate::crypto) fn active(keys: &[Arc<SealingKey>], now: Timestamp) -> &SealingKey {
    let begun = keys.iter().rev().find(|key| key.not_before <= now);
    begun.unwrap_or(&keys[0])
}

/// Checks that versions count upwards from 1 at least, and that beginnings do, too.
pub(super) fn check(keys: &[Arc<SealingKey>]) -> Result<(), KeyError> {
    let invalid = |text: String| Err(KeyError::Invalid(text));
    match keys.first() {
        None => return invalid("has no sealing key".to_owned()),
        Some(first) if first.version == 0 => {
            return invalid("sealing keys are counted from 1".to_owned());
        }
        Some(_) => {}
    }
    for pair in keys.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        if new.version <= old.version || new.not_before <= old.not_before {
            return invalid(format!(
                "sealing key {} must begin later than sealing key {}",
                new.version, old.version
            ));
        }
    }
    Ok(())
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.version)
    }
}
