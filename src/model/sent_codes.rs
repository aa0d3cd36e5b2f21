//! Codes sent by SMS or e-mail for logins and re-authentications.
//!
//! They belong to the account, not to a challenge: a new code replaces the one before it, and neither a new
//! code nor a new challenge gives new tries.

use serde::{Deserialize, Serialize};

use super::{CodesId, Id, MethodKind, Timestamp};

/// Tries at the codes of one method, across resends.
const MOST_TRIES: u32 = 5;

/// The codes that were sent to an account. Lives in Redis alone, for as long as the newest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentCodes {
    /// Equals the account's id.
    pub id: CodesId,
    /// At most one for each method.
    pub sent: Vec<SentCode>,
}

/// A code and its tries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentCode {
    /// Method that it was sent by.
    pub kind: MethodKind,
    /// The only challenge that it can complete, or the only session that it can re-authenticate.
    #[serde(rename = "challenge_id")]
    pub sent_for: Id,
    /// Keyed MAC of the code.
    pub mac: String,
    /// Tries at this code and those that it replaced.
    pub tries: u32,
    /// Time of sending.
    pub sent_at: Timestamp,
    /// Time of expiry, at which its tries are forgotten, too.
    pub expires_at: Timestamp,
}

impl SentCodes {
    /// The record of an account to which nothing was sent.
    #[must_use]
    pub fn none(id: CodesId) -> Self {
        Self {
            id,
            sent: Vec::new(),
        }
    }

    /// The live code of a method, even if no tries are left.
    pub fn live(&mut self, kind: MethodKind, now: Timestamp) -> Option<&mut SentCode> {
        let live = |code: &&mut SentCode| code.kind == kind && now < code.expires_at;
        self.sent.iter_mut().find(live)
    }

    /// The method whose code was sent last for this challenge or session and is live.
    #[must_use]
    pub fn latest_for(&self, sent_for: Id, now: Timestamp) -> Option<MethodKind> {
        let live = |code: &&SentCode| code.sent_for == sent_for && now < code.expires_at;
        let latest = self
            .sent
            .iter()
            .filter(live)
            .max_by_key(|code| code.sent_at);
        latest.map(|code| code.kind)
    }

    /// Replaces the code of a method. The new code inherits the tries of the old one while that is live.
    pub fn replace(&mut self, mut code: SentCode, now: Timestamp) {
        code.tries = self.live(code.kind, now).map_or(0, |old| old.tries);
        self.drop_code(code.kind);
        self.sent.push(code);
    }

    /// Removes the code of a method: it was used.
    pub fn drop_code(&mut self, kind: MethodKind) {
        self.sent.retain(|code| code.kind != kind);
    }

    /// Time at which the last of them expires.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        let ends = self.sent.iter().map(|code| code.expires_at);
        ends.max().unwrap_or(Timestamp::from_micros(0))
    }
}

impl SentCode {
    /// Whether tries are left.
    #[must_use]
    pub fn has_tries(&self) -> bool {
        self.tries < MOST_TRIES
    }

    /// Counts a try, before its outcome is shown.
    pub fn count_try(&mut self) {
        self.tries = self.tries.saturating_add(1);
    }
}
