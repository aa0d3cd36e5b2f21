//! Opaque tokens: `<kind>_` + base64url of id ‖ generation ‖ 256-bit secret ‖ MAC. Only a hash of the
//! secret is stored, and a forged token is refused before any store is asked.

use zeroize::Zeroizing;

use super::{InvalidToken, Keys};
use crate::model::Id;

/// What a token is for. A token of one kind never passes as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Renews a session.
    Refresh,
}

/// A token whose MAC was right, or that was just minted.
#[derive(Clone)]
pub struct Opened {
    /// The record that it belongs to.
    pub id: Id,
    /// Its place in a rotating family, from 1.
    pub generation: i64,
    /// Its 256-bit secret.
    pub secret: Zeroizing<[u8; 32]>,
}

impl Opened {
    /// SHA-256 of the secret, hex: what is stored.
    #[must_use]
    pub fn hash(&self) -> String {
        String::new()
    }
}

/// Mints and opens opaque tokens.
pub struct OpaqueTokens;

impl OpaqueTokens {
    /// With MAC keys derived from the master secret, one for each kind.
    #[must_use]
    pub fn new(_keys: &Keys) -> Self {
        Self
    }

    /// A token with a fresh secret.
    #[must_use]
    pub fn mint(&self, _kind: TokenKind, id: Id, generation: i64) -> Opened {
        Opened {
            id,
            generation,
            secret: Zeroizing::new(crate::clock::random()),
        }
    }

    /// The text of a token, to hand to its owner.
    #[must_use]
    pub fn encode(&self, _kind: TokenKind, _token: &Opened) -> String {
        String::new()
    }

    /// Checks form and MAC.
    pub fn open(&self, _kind: TokenKind, _text: &str) -> Result<Opened, InvalidToken> {
        Err(InvalidToken)
    }

    /// Masks `next`'s secret with a pad that only the holder of `before` can make (hex).
    #[must_use]
    pub fn wrap(&self, _before: &Opened, _next: &Opened) -> String {
        String::new()
    }

    /// Undoes [`OpaqueTokens::wrap`]: the token after `before`.
    pub fn unwrap(&self, _before: &Opened, _wrapped: &str) -> Result<Opened, InvalidToken> {
        Err(InvalidToken)
    }
}
