//! API keys: table `api_keys`.

use std::time::Duration;

use super::{ACCOUNT_STAYS, KEPT_AFTER_END, Table};
use crate::model::{ApiKey, ApiKeyId, Timestamp, UserId};
use crate::store::record::{Owned, Record, RecordId};

pub(super) static API_KEYS: Table = Table::durable(
    "apikey",
    "api_keys",
    &[
        "id",
        "user_id",
        "name",
        "key_prefix",
        "secret_hash",
        "previous_hash",
        "previous_until",
        "scopes",
        "allowed_ips",
        "rate_limit",
        "expires_at",
        "created_at",
        "updated_at",
        "revoked_at",
        "deleted_at",
    ],
)
.owned_by("user_id")
.renewed_by_use(ACCOUNT_STAYS)
.purged_after(KEPT_AFTER_END)
.checked_from_memory();

impl RecordId for ApiKeyId {
    type Record = ApiKey;
}

impl Record for ApiKey {
    type Id = ApiKeyId;

    const TABLE: &'static Table = &API_KEYS;

    fn id(&self) -> ApiKeyId {
        self.id
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, _now: Timestamp) -> Duration {
        ACCOUNT_STAYS
    }
}

impl Owned for ApiKey {
    fn owner(&self) -> UserId {
        self.user_id
    }
}
