//! Second factors that are being set up: in Redis alone.

use std::time::Duration;

use super::{EXPIRY_MARGIN, Table};
use crate::model::{Enrolment, EnrolmentId, Timestamp};
use crate::store::record::{Record, RecordId};

static ENROLMENTS: Table = Table::fleeting("enrolment");

impl RecordId for EnrolmentId {
    type Record = Enrolment;
}

impl Record for Enrolment {
    type Id = EnrolmentId;

    const TABLE: &'static Table = &ENROLMENTS;

    fn id(&self) -> EnrolmentId {
        self.id
    }

    fn stays(&self, now: Timestamp) -> Duration {
        self.expires_at.since(now) + EXPIRY_MARGIN
    }
}
