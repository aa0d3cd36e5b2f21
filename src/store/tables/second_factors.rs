//! Second factors: table `second_factors`, one row for each account that has or had some.

use std::time::Duration;

use super::{ACCOUNT_STAYS, Table};
use crate::model::{Factors, FactorsId, Timestamp};
use crate::store::record::{Record, RecordId};

pub(super) static SECOND_FACTORS: Table = Table::durable(
    "factors",
    "second_factors",
    &[
        "id",
        "methods",
        "preferred",
        "backup",
        "sealed_with",
        "created_at",
        "updated_at",
        "deleted_at",
    ],
)
.renewed_by_use(ACCOUNT_STAYS)
.sealed_with("sealed_with");

impl RecordId for FactorsId {
    type Record = Factors;
}

impl Record for Factors {
    type Id = FactorsId;

    const TABLE: &'static Table = &SECOND_FACTORS;

    fn id(&self) -> FactorsId {
        self.id
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, _now: Timestamp) -> Duration {
        ACCOUNT_STAYS
    }
}
