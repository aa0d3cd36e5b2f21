//! The newest creation of an API key of each account: in Redis alone, for as long as another may be under way.

use std::time::Duration;

use super::Table;
use crate::model::{ApiKeyCreation, ApiKeyCreationId, Timestamp};
use crate::store::record::{Record, RecordId};

static CREATIONS: Table = Table::fleeting("apikeycreation");

/// Longer than any request takes.
const STAYS: Duration = Duration::from_mins(10);

impl RecordId for ApiKeyCreationId {
    type Record = ApiKeyCreation;
}

impl Record for ApiKeyCreation {
    type Id = ApiKeyCreationId;

    const TABLE: &'static Table = &CREATIONS;

    fn id(&self) -> ApiKeyCreationId {
        self.id
    }

    fn stays(&self, _now: Timestamp) -> Duration {
        STAYS
    }
}
