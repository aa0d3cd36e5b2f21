//! A rotating token that comes in, and what would follow it: for refresh tokens and for trusted devices.

use super::{Auth, Client};
use crate::crypto::{InvalidToken, Opened, TokenKind};
use crate::model::{Presented, Seen, Successor, Timestamp};

/// A token as it came in, and the next of its family.
pub(super) struct Arrival {
    pub(super) presented: Opened,
    pub(super) hash: String,
    pub(super) next: Opened,
    pub(super) wrapped: String,
    pub(super) seen: Seen,
    pub(super) now: Timestamp,
}

impl Auth {
    /// Opens a token and draws the secret of the next.
    pub(super) fn arrival(
        &self,
        kind: TokenKind,
        client: &Client,
        token: &str,
    ) -> Result<Arrival, InvalidToken> {
        let tokens = &self.opaque_tokens;
        let presented = tokens.open(kind, token)?;
        let generation = presented.generation.saturating_add(1);
        let next = tokens.mint(kind, presented.id, generation);
        Ok(Arrival {
            hash: presented.hash(),
            wrapped: tokens.wrap(&presented, &next),
            presented,
            next,
            seen: client.seen(),
            now: self.clock.now(),
        })
    }

    /// The newest token of a family, unmasked by the one before. `None` when they do not fit together.
    pub(super) fn newest_again(
        &self,
        arrival: &Arrival,
        successor: Option<&str>,
        newest_hash: &str,
    ) -> Option<Opened> {
        let newest = self
            .opaque_tokens
            .unwrap(&arrival.presented, successor?)
            .ok()?;
        (newest.hash() == newest_hash).then_some(newest)
    }
}

impl Arrival {
    /// As a family judges it.
    pub(super) fn presented(&self) -> Presented<'_> {
        Presented {
            generation: self.presented.generation,
            hash: &self.hash,
        }
    }

    /// What takes its place.
    pub(super) fn successor(&self) -> Successor {
        Successor {
            hash: self.next.hash(),
            wrapped: self.wrapped.clone(),
        }
    }
}
