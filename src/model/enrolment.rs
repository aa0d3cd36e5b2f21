//! A second factor that is being set up: proposed by one session, and worth nothing until that session has
//! shown that it works.

use serde::{Deserialize, Serialize};

use super::{EnrolmentId, MethodId, MethodKind, Timestamp, UserId};

/// Tries at one enrolment.
const MOST_TRIES: u32 = 5;

/// A pending factor. Lives in Redis alone; a new one replaces the session's old one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Equals the id of the session that set it up; no other can finish it.
    pub id: EnrolmentId,
    /// Whose it is.
    pub user_id: UserId,
    /// The id that the method will have: its secret is sealed for it.
    pub method_id: MethodId,
    /// What is being set up.
    pub kind: MethodKind,
    /// TOTP secret, phone number or mail address, sealed.
    pub secret: String,
    /// The number or address, masked.
    pub hint: Option<String>,
    /// What must be shown to finish it.
    pub proof: Proof,
    /// Tries so far.
    pub tries: u32,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// How an enrolment is finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// By a code of the secret. Here are the backup codes that were shown with it, sealed.
    Totp {
        /// Ten codes, one a line, sealed.
        backup_codes: String,
    },
    /// By the code that was sent. Here is its keyed MAC.
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

    /// Counts a try, before its outcome is told.
    pub fn count_try(&mut self) {
        self.tries = self.tries.saturating_add(1);
    }
}
