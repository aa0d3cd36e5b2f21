//! Sessions: table `sessions`.

use std::time::Duration;

use super::{EXPIRY_MARGIN, KEPT_AFTER_END, Table};
use crate::model::{Session, SessionId, Timestamp, UserId};
use crate::store::record::{Owned, Record, RecordId};

pub(super) static SESSIONS: Table = Table::durable(
    "session",
    "sessions",
    &[
        "id",
        "user_id",
        "epoch",
        "generation",
        "refresh_hash",
        "previous_hash",
        "successor",
        "rotated_at",
        "newest_used_at",
        "proof_epoch",
        "amr",
        "auth_time",
        "second_factor_at",
        "ip_address",
        "user_agent",
        "created_at",
        "last_used_at",
        "idle_expires_at",
        "expires_at",
        "deleted_at",
    ],
)
.owned_by("user_id")
.ends_at(&["expires_at", "idle_expires_at"])
.purged_after(KEPT_AFTER_END)
.checked_from_memory();

impl RecordId for SessionId {
    type Record = Session;
}

impl Record for Session {
    type Id = SessionId;

    const TABLE: &'static Table = &SESSIONS;

    fn id(&self) -> SessionId {
        self.id
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, now: Timestamp) -> Duration {
        self.idle_expires_at.min(self.expires_at).since(now) + EXPIRY_MARGIN
    }
}

impl Owned for Session {
    fn owner(&self) -> UserId {
        self.user_id
    }
}
