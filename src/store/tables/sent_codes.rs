//! Codes on their way to their owners: in Redis alone.

use std::time::Duration;

use super::{EXPIRY_MARGIN, Table};
use crate::model::{CodesId, SentCodes, Timestamp};
use crate::store::record::{Record, RecordId};

static SENT_CODES: Table = Table::fleeting("codes");

impl RecordId for CodesId {
    type Record = SentCodes;
}

impl Record for SentCodes {
    type Id = CodesId;

    const TABLE: &'static Table = &SENT_CODES;

    fn id(&self) -> CodesId {
        self.id
    }

    fn stays(&self, now: Timestamp) -> Duration {
        self.expires_at().since(now) + EXPIRY_MARGIN
    }
}
