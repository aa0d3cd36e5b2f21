//! Roles of the service: table `roles`, which has one row.

use std::time::Duration;

use super::{ACCOUNT_STAYS, Table};
use crate::model::{Roles, RolesId, Timestamp};
use crate::store::record::{Record, RecordId};

pub(super) static ROLES: Table = Table::durable(
    "roles",
    "roles",
    &["id", "defined", "administrators", "updated_at"],
)
.renewed_by_use(ACCOUNT_STAYS);

impl RecordId for RolesId {
    type Record = Roles;
}

impl Record for Roles {
    type Id = RolesId;

    const TABLE: &'static Table = &ROLES;

    fn id(&self) -> RolesId {
        self.id
    }

    fn stays(&self, _now: Timestamp) -> Duration {
        ACCOUNT_STAYS
    }
}
