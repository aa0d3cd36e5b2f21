//! A rotating token that a client presents, and its successor: for refresh tokens and for trusted devices.

use crate::core::{Client, Core};
use crate::crypto::{InvalidToken, Opened, TokenKind};
use crate::model::{ClientInfo, Presented, Successor, Timestamp};

/// A presented token, and the next of its family.
pub(crate) struct PresentedToken {
    pub(crate) opened: Opened,
    pub(crate) hash: String,
    pub(crate) next: Opened,
    /// The next, readable with the presented one alone.
    pub(crate) wrapped_next: String,
    pub(crate) client: ClientInfo,
    pub(crate) now: Timestamp,
}

impl PresentedToken {
    /// Opens a token and draws the secret of the next.
    ///
    /// # Errors
    /// [`InvalidToken`] when it is forged or of another kind.
    pub(crate) fn open(
        core: &Core,
        kind: TokenKind,
        client: &Client,
        token: &str,
    ) -> Result<Self, InvalidToken> {
        let tokens = &core.opaque_tokens;
        let opened = tokens.open(kind, token)?;
        let generation = opened.generation.saturating_add(1);
        let next = tokens.mint(kind, opened.id, generation);
        Ok(Self {
            hash: opened.hash(),
            wrapped_next: tokens.wrap(&opened, &next),
            opened,
            next,
            client: client.info(),
            now: core.clock.now(),
        })
    }

    /// The newest token of the family, unwrapped with the presented one. `None` when they do not match.
    pub(crate) fn newest(
        &self,
        core: &Core,
        successor: Option<&str>,
        newest_hash: &str,
    ) -> Option<Opened> {
        let newest = core.opaque_tokens.unwrap(&self.opened, successor?).ok()?;
        (newest.hash() == newest_hash).then_some(newest)
    }

    /// Generation and hash, by which a family judges it.
    pub(crate) fn presented(&self) -> Presented<'_> {
        Presented {
            generation: self.opened.generation,
            hash: &self.hash,
        }
    }

    /// The next token, as the family stores it.
    pub(crate) fn successor(&self) -> Successor {
        Successor {
            hash: self.next.hash(),
            wrapped: self.wrapped_next.clone(),
        }
    }
}
