//! The key file: signing keys with validity windows, and the master secret that derives all others.

use std::path::Path;

use zeroize::Zeroizing;

use crate::model::Timestamp;

/// Signing keys and master secret of a deployment.
pub struct Keys;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is not a key file, or has no key that is active now.
    #[error("{0}")]
    Invalid(String),
}

impl Keys {
    /// Writes a new key file (mode 0600). Never overwrites one.
    pub fn generate(_path: &Path, _now: Timestamp) -> Result<(), KeyError> {
        Ok(())
    }

    /// Reads a key file. Refuses one that others can read.
    pub fn load(_path: &Path) -> Result<Self, KeyError> {
        Err(KeyError::Invalid("not built yet".to_owned()))
    }

    /// A key for one purpose: HKDF-SHA-256 of the master secret.
    #[must_use]
    pub fn derive(&self, _purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new([0; 32])
    }
}
