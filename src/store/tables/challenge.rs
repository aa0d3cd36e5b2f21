//! Logins that wait for their second factor: in Redis alone.

use std::time::Duration;

use super::{EXPIRY_MARGIN, Table};
use crate::model::{Challenge, ChallengeId, Timestamp};
use crate::store::record::{Record, RecordId};

static CHALLENGES: Table = Table::fleeting("challenge");

impl RecordId for ChallengeId {
    type Record = Challenge;
}

impl Record for Challenge {
    type Id = ChallengeId;

    const TABLE: &'static Table = &CHALLENGES;

    fn id(&self) -> ChallengeId {
        self.id
    }

    fn stays(&self, now: Timestamp) -> Duration {
        self.expires_at.since(now) + EXPIRY_MARGIN
    }
}
