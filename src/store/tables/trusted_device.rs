//! Trusted devices: table `trusted_devices`.

use std::time::Duration;

use super::{EXPIRY_MARGIN, KEPT_AFTER_END, Table};
use crate::model::{DeviceId, Timestamp, TrustedDevice, UserId};
use crate::store::record::{Owned, Record, RecordId};

pub(super) static TRUSTED_DEVICES: Table = Table::durable(
    "device",
    "trusted_devices",
    &[
        "id",
        "user_id",
        "epoch",
        "generation",
        "token_hash",
        "previous_hash",
        "successor",
        "rotated_at",
        "name",
        "ip_address",
        "user_agent",
        "created_at",
        "last_used_at",
        "expires_at",
        "deleted_at",
    ],
)
.owned_by("user_id")
.ends_at(&["expires_at"])
.purged_after(KEPT_AFTER_END);

impl RecordId for DeviceId {
    type Record = TrustedDevice;
}

impl Record for TrustedDevice {
    type Id = DeviceId;

    const TABLE: &'static Table = &TRUSTED_DEVICES;

    fn id(&self) -> DeviceId {
        self.id
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, now: Timestamp) -> Duration {
        self.expires_at.since(now) + EXPIRY_MARGIN
    }
}

impl Owned for TrustedDevice {
    fn owner(&self) -> UserId {
        self.user_id
    }
}
