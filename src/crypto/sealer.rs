//! Sealing of secrets at rest: XChaCha20-Poly1305 under a versioned key, bound to the context where the
//! secret is stored, so that a sealed value moved to another row or column does not open there.
//!
//! Form: `s1.` + base64url of nonce (24 bytes) ‖ ciphertext ‖ tag (16 bytes); 1 is the version of the key. The tag
//! covers the part before the dot, too.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::Keys;
use super::keys::{SealingKey, active_sealing};
use crate::clock;
use crate::model::{Id, Timestamp};

const NONCE: usize = 24;

/// Location of a sealed secret in the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext {
    /// Table, as PostgreSQL names it.
    pub table: &'static str,
    /// Id of the row.
    pub row: Id,
    /// Column.
    pub column: &'static str,
}

impl SealContext {
    /// Associated data: each part with its length before it, so that no two contexts have the same.
    fn associated_data(&self, version: u32) -> Vec<u8> {
        let mut data = Vec::with_capacity(64);
        let row = self.row.to_bytes();
        for part in [
            prefix(version).as_bytes(),
            self.table.as_bytes(),
            &row,
            self.column.as_bytes(),
        ] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// The text was not sealed for this context with a known key, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed secret does not open")]
pub struct SealError;

/// Seals and opens secrets. Never printed; keys are wiped on drop.
pub struct Sealer {
    /// Oldest first. Never empty.
    keys: Vec<Arc<SealingKey>>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// Seals and opens with the sealing keys of the key file.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self {
            keys: keys.sealing().to_vec(),
        }
    }

    /// Seals `secret` for `context` with the newest key that has begun at `now`.
    ///
    /// # Errors
    /// [`SealError`] when it is longer than the cipher can take (256 GiB).
    pub fn seal(
        &self,
        context: SealContext,
        secret: &[u8],
        now: Timestamp,
    ) -> Result<String, SealError> {
        let key = active_sealing(&self.keys, now);
        let nonce: [u8; NONCE] = clock::random();
        let payload = Payload {
            msg: secret,
            aad: &context.associated_data(key.version),
        };
        let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload);
        let mut text = prefix(key.version);
        let whole = [nonce.as_slice(), &sealed.map_err(|_| SealError)?].concat();
        URL_SAFE_NO_PAD.encode_string(whole, &mut text);
        Ok(text)
    }

    /// Opens a text that was sealed for `context`, with whichever key.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(
        &self,
        context: SealContext,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (key, encoded) = self.split(sealed).ok_or(SealError)?;
        let whole = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| SealError)?;
        let (nonce, msg) = whole.split_first_chunk::<NONCE>().ok_or(SealError)?;
        let payload = Payload {
            msg,
            aad: &context.associated_data(key.version),
        };
        let opened = cipher(key).decrypt(&XNonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| SealError)
    }

    /// Version of the key that seals at `now`: a text of another [`Sealer::version_of`] is to be sealed anew.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> u32 {
        active_sealing(&self.keys, now).version
    }

    /// Version of the key that `sealed` names; `None` when it is no sealed text, or of a key that is not known here.
    #[must_use]
    pub fn version_of(&self, sealed: &str) -> Option<u32> {
        self.split(sealed).map(|(key, _)| key.version)
    }

    /// The key that a text names, and the rest of the text.
    fn split<'a>(&self, sealed: &'a str) -> Option<(&SealingKey, &'a str)> {
        self.keys
            .iter()
            .find_map(|key| Some((&**key, sealed.strip_prefix(&prefix(key.version))?)))
    }
}

/// Prefix of a text sealed with the key of this version.
fn prefix(version: u32) -> String {
    format!("s{version}.")
}

/// The cipher of a key; wipes its copy on drop.
fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.secret).into())
}

#[cfg(test)]
mod tests;
