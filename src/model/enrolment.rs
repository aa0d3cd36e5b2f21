//! A second factor that is being set up: proposed by one session, and not valid until that session has
//! proven that it works.

use serde::{Deserialize, Serialize};

use super::{EnrolmentId, MethodId, MethodKind, Timestamp, UserId};

/// Tries at one enrolment.
const MOST_TRIES: u32 = 5;

/// A pending factor. Lives in Redis alone; a new one replaces the session's old one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Equals the id of the session that set it up; no other can finish it.
    pub id: EnrolmentId,
    /// Owner.
    pub user_id: UserId,
    /// The id that the method will have: its secret is sealed for it.
    pub method_id: MethodId,
    /// Kind of the method.
    pub kind: MethodKind,
    /// TOTP secret, phone number or mail address, sealed.
    pub secret: String,
    /// The number or address, masked.
    pub hint: Option<String>,
    /// Proof that finishes the enrolment.
    pub proof: Proof,
    /// Tries so far.
    pub tries: u32,
    /// Time of expiry.
    pub expires_at: Timestamp,
}

/// Proof that finishes an enrolment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A code of the TOTP secret.
    Totp {
        /// The ten backup codes that were shown with the secret, one a line, sealed.
        backup_codes: String,
    },
    /// The code that was sent.
    SentCode {
        /// Keyed MAC of the code.
        mac: String,
    },
}

impl Enrolment {
    /// Whether the enrolment of this kind can still be finished.
    #[must_use]
    pub fn is_open(&self, kind: MethodKind, user_id: UserId, now: Timestamp) -> bool {
        self.kind == kind
            && self.user_id == user_id
            && now < self.expires_at
            && self.tries < MOST_TRIES
    }

    /// Counts a try, before its outcome is shown.
    pub fn count_try(&mut self) {
        self.tries = self.tries.saturating_add(1);
    }
}
