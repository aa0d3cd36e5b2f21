//! One Ed25519 key for PASETO v4.public, and its validity window.

use std::time::Duration;

use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate};
use pasetors::paserk::{FormatAsPaserk, Id};
use pasetors::version4::V4;

use super::KeyError;
use super::file::Entry;
use crate::model::Timestamp;

/// Validity window of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Time from which it signs, until a newer key begins.
    pub not_before: Timestamp,
    /// Time until which its tokens are accepted; `None`: until a newer key replaces it.
    pub not_after: Option<Timestamp>,
}

impl Window {
    /// Whether tokens of the key are accepted at `now`, by clocks that may differ by `leeway`.
    #[must_use]
    pub fn holds(&self, now: Timestamp, leeway: Duration) -> bool {
        self.not_before <= now.after(leeway)
            && self.not_after.is_none_or(|end| now < end.after(leeway))
    }
}

/// A key pair. The secret half is wiped on drop.
#[derive(Clone)]
pub(in crate::crypto) struct SigningKey {
    /// PASERK `k4.pid.…` of the public half.
    pub(in crate::crypto) kid: String,
    pub(in crate::crypto) secret: AsymmetricSecretKey<V4>,
    pub(in crate::crypto) public: AsymmetricPublicKey<V4>,
    pub(in crate::crypto) window: Window,
}

impl SigningKey {
    /// A new key that is valid from `not_before`.
    pub(super) fn generate(not_before: Timestamp) -> Result<Self, KeyError> {
        let pair = AsymmetricKeyPair::<V4>::generate().map_err(|_| invalid("no key was made"))?;
        let window = Window {
            not_before,
            not_after: None,
        };
        Self::new(pair.secret, window)
    }

    fn new(secret: AsymmetricSecretKey<V4>, window: Window) -> Result<Self, KeyError> {
        let public = AsymmetricPublicKey::try_from(&secret).map_err(|_| invalid("bad key"))?;
        Ok(Self {
            kid: paserk(&Id::from(&public)),
            secret,
            public,
            window,
        })
    }

    /// The same key, valid until `end`.
    pub(super) fn ending(&self, end: Timestamp) -> Self {
        let mut key = self.clone();
        key.window.not_after = Some(end);
        key
    }

    /// PASERK `k4.public.…`.
    pub(in crate::crypto) fn public_paserk(&self) -> String {
        paserk(&self.public)
    }

    pub(super) fn to_entry(&self) -> Result<Entry, KeyError> {
        let mut secret = String::with_capacity(128);
        self.secret
            .fmt(&mut secret)
            .map_err(|_| invalid("a key could not be written"))?;
        Ok(Entry {
            kid: self.kid.clone(),
            secret,
            not_before: self.window.not_before,
            not_after: self.window.not_after,
        })
    }

    pub(super) fn from_entry(entry: &Entry) -> Result<Self, KeyError> {
        let window = Window {
            not_before: entry.not_before,
            not_after: entry.not_after,
        };
        if window.not_after.is_some_and(|end| end <= window.not_before) {
            return Err(invalid(&format!("{} ends before it begins", entry.kid)));
        }
        let wrong = || invalid(&format!("{} has no valid k4.secret", entry.kid));
        // An all-zero seed makes the library panic, and is never a real key.
        if entry.secret.starts_with("k4.secret.AAAAAAAAAAAAAAAAAAAAAA") {
            return Err(wrong());
        }
        let secret = AsymmetricSecretKey::try_from(entry.secret.as_str()).map_err(|_| wrong())?;
        let key = Self::new(secret, window)?;
        if key.kid != entry.kid {
            return Err(invalid(&format!("{} is not the id of its key", entry.kid)));
        }
        Ok(key)
    }
}

fn invalid(text: &str) -> KeyError {
    KeyError::Invalid(text.to_owned())
}

fn paserk(key: &impl FormatAsPaserk) -> String {
    let mut text = String::new();
    if key.fmt(&mut text).is_err() {
        unreachable!("writing to a string does not fail, and neither does base64 of 32 bytes");
    }
    text
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}
