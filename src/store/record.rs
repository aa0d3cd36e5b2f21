//! The register of record types. A new durable record is one entry here: its id, its kind, its table,
//! its columns, how long Redis keeps it.
//!
//! A record is stored and logged as one JSON image whose members are the columns of its table. The same
//! image stands in Redis, in the log and (row by row) in PostgreSQL, so nothing between them needs to
//! know what a record means.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;
use crate::model::{
    Challenge, ChallengeId, CodesId, DeviceId, Enrolment, EnrolmentId, Factors, FactorsId, Id,
    SentCodes, Session, SessionId, Timestamp, TrustedDevice, User, UserId,
};

/// Accounts that nobody used for this long leave Redis; PostgreSQL brings them back.
const USER_STAYS: Duration = Duration::from_secs(30 * 24 * 3600);
/// Redis keeps what expires a little longer than its expiry, for clocks that disagree.
const MARGIN: Duration = Duration::from_secs(60);

/// Where records of one kind are stored.
#[derive(Debug)]
pub struct Table {
    /// Segment of the Redis key.
    pub kind: &'static str,
    /// Name of the table.
    pub name: &'static str,
    /// Its columns, which are the members of the image. (`ver`, `gen`, `partition` are added.)
    pub columns: &'static [&'static str],
    /// Whether PostgreSQL has it too. What has not lives in Redis alone, and is gone when Redis
    /// loses it.
    pub durable: bool,
    /// Being read by a commit lets Redis keep it for this long again.
    pub renewed_by_use: Option<Duration>,
}

impl Table {
    const fn durable(
        kind: &'static str,
        name: &'static str,
        columns: &'static [&'static str],
    ) -> Self {
        Self {
            kind,
            name,
            columns,
            durable: true,
            renewed_by_use: None,
        }
    }

    const fn fleeting(kind: &'static str) -> Self {
        Self {
            kind,
            name: "",
            columns: &[],
            durable: false,
            renewed_by_use: None,
        }
    }

    const fn renewed_by_use(mut self, stays: Duration) -> Self {
        self.renewed_by_use = Some(stays);
        self
    }
}

/// Every table that the flusher fills, parents first.
pub static TABLES: &[&Table] = &[
    &USERS,
    &SECOND_FACTORS,
    &TRUSTED_DEVICES,
    &SESSIONS,
    &AUDIT_LOGS,
];

/// Accounts.
pub(super) static USERS: Table = Table::durable(
    "user",
    "users",
    &[
        "id",
        "email",
        "email_key",
        "username",
        "username_key",
        "email_verified_at",
        "password_hash",
        "two_factor_enabled",
        "roles",
        "session_epoch",
        "device_epoch",
        "proof_epoch",
        "disabled_at",
        "created_at",
        "updated_at",
        "deleted_at",
    ],
)
.renewed_by_use(USER_STAYS);

/// Sessions.
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
        "proof_epoch",
        "amr",
        "auth_time",
        "ip_address",
        "user_agent",
        "created_at",
        "last_used_at",
        "idle_expires_at",
        "expires_at",
        "deleted_at",
    ],
);

/// Second factors, one row for each account that has or had some.
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
.renewed_by_use(USER_STAYS);

/// Trusted devices.
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
);

/// Logins that wait for their second factor.
static CHALLENGES: Table = Table::fleeting("challenge");

/// Codes on their way to their owners.
static SENT_CODES: Table = Table::fleeting("codes");

/// Second factors that are being set up.
static ENROLMENTS: Table = Table::fleeting("enrolment");

/// Audit entries, which only pass through Redis's log.
pub(super) static AUDIT_LOGS: Table = Table::durable(
    "audit",
    "audit_logs",
    &[
        "id",
        "user_id",
        "session_id",
        "action",
        "success",
        "ip_address",
        "user_agent",
        "request_id",
        "details",
        "created_at",
    ],
);

/// The table of a kind.
pub(super) fn table(kind: &str) -> Option<&'static Table> {
    TABLES.iter().copied().find(|table| table.kind == kind)
}

/// A record: one key, and when it is durable one row.
pub trait Record: Clone + Serialize + DeserializeOwned + Send + 'static {
    /// Where it is stored.
    const TABLE: &'static Table;

    /// Which one it is.
    fn id(&self) -> Id;

    /// Whether it is a tombstone.
    fn is_deleted(&self) -> bool;

    /// How long Redis keeps it without use.
    fn stays(&self, now: Timestamp) -> Duration;
}

impl Record for User {
    const TABLE: &'static Table = &USERS;

    fn id(&self) -> Id {
        self.id.id()
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, _now: Timestamp) -> Duration {
        USER_STAYS
    }
}

impl Record for Session {
    const TABLE: &'static Table = &SESSIONS;

    fn id(&self) -> Id {
        self.id.id()
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, now: Timestamp) -> Duration {
        self.idle_expires_at.min(self.expires_at).since(now) + MARGIN
    }
}

impl Record for Factors {
    const TABLE: &'static Table = &SECOND_FACTORS;

    fn id(&self) -> Id {
        self.id.id()
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, _now: Timestamp) -> Duration {
        USER_STAYS
    }
}

impl Record for TrustedDevice {
    const TABLE: &'static Table = &TRUSTED_DEVICES;

    fn id(&self) -> Id {
        self.id.id()
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, now: Timestamp) -> Duration {
        self.expires_at.since(now) + MARGIN
    }
}

/// Fleeting records are removed, not buried, and live until they expire.
macro_rules! fleeting {
    ($($record:ty: $table:ident, $expires_at:expr;)*) => {$(
        impl Record for $record {
            const TABLE: &'static Table = &$table;

            fn id(&self) -> Id {
                self.id.id()
            }

            fn is_deleted(&self) -> bool {
                false
            }

            fn stays(&self, now: Timestamp) -> Duration {
                let expires_at: fn(&Self) -> Timestamp = $expires_at;
                expires_at(self).since(now) + MARGIN
            }
        }
    )*};
}

fleeting! {
    Challenge: CHALLENGES, |challenge| challenge.expires_at;
    SentCodes: SENT_CODES, SentCodes::expires_at;
    Enrolment: ENROLMENTS, |enrolment| enrolment.expires_at;
}

/// A record of which an account may have many.
pub trait Owned: Record {
    /// Finds, of account `$1`, the newest `$3` ids that are neither ended nor expired at `$2`.
    const LIVE: &'static str;

    /// Whose it is.
    fn owner(&self) -> UserId;
}

impl Owned for Session {
    const LIVE: &'static str = "SELECT id FROM sessions WHERE user_id = $1 AND deleted_at IS NULL \
         AND least(expires_at, idle_expires_at) > $2::text::timestamptz ORDER BY id DESC LIMIT $3";

    fn owner(&self) -> UserId {
        self.user_id
    }
}

impl Owned for TrustedDevice {
    const LIVE: &'static str = "SELECT id FROM trusted_devices WHERE user_id = $1 AND deleted_at IS NULL \
         AND expires_at > $2::text::timestamptz ORDER BY id DESC LIMIT $3";

    fn owner(&self) -> UserId {
        self.user_id
    }
}

/// How the log and `pend` call a record: `session:0190…`.
pub(super) fn name(table: &Table, id: Id) -> String {
    format!("{}:{id}", table.kind)
}

/// Undoes [`name`].
pub(super) fn parse_name(name: &str) -> Option<(&'static Table, Id)> {
    let (kind, id) = name.split_once(':')?;
    Some((table(kind)?, id.parse().ok()?))
}

/// The image of a record.
pub(super) fn image<T: Serialize>(record: &T) -> Result<String, Error> {
    serde_json::to_string(record).map_err(|error| Error::Corrupt(error.to_string()))
}

/// The record of an image.
pub(super) fn decode<R: Record>(image: &str) -> Result<R, Error> {
    serde_json::from_str(image)
        .map_err(|error| Error::Corrupt(format!("{}: {error}", R::TABLE.kind)))
}

/// Names one record in a read.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub(super) table: &'static Table,
    pub(super) id: Id,
}

impl Place {
    /// Of a record of this type.
    pub(super) fn of<R: Record>(id: Id) -> Self {
        Self {
            table: R::TABLE,
            id,
        }
    }

    /// Whether both name the same record.
    pub(super) fn is(self, other: Self) -> bool {
        self.table.kind == other.table.kind && self.id == other.id
    }
}

/// What to read: an id, or a pair of such, all in one partition.
pub trait Keys: Copy + Send + Sync {
    /// `Option<Record>` for each id.
    type Records: Send;

    /// Appends the places, in order.
    fn places(&self, into: &mut Vec<Place>);

    /// Takes the records from their images, in the same order.
    fn records(
        &self,
        images: &mut dyn Iterator<Item = Option<&str>>,
    ) -> Result<Self::Records, Error>;
}

impl<A: Keys, B: Keys> Keys for (A, B) {
    type Records = (A::Records, B::Records);

    fn places(&self, into: &mut Vec<Place>) {
        self.0.places(into);
        self.1.places(into);
    }

    fn records(
        &self,
        images: &mut dyn Iterator<Item = Option<&str>>,
    ) -> Result<Self::Records, Error> {
        Ok((self.0.records(images)?, self.1.records(images)?))
    }
}

macro_rules! key_of {
    ($($id:ty => $record:ty),*) => {$(
        impl Keys for $id {
            type Records = Option<$record>;

            fn places(&self, into: &mut Vec<Place>) {
                into.push(Place { table: <$record>::TABLE, id: self.id() });
            }

            fn records(
                &self,
                images: &mut dyn Iterator<Item = Option<&str>>,
            ) -> Result<Self::Records, Error> {
                images.next().flatten().map(decode::<$record>).transpose()
            }
        }
    )*};
}

key_of!(
    UserId => User,
    SessionId => Session,
    FactorsId => Factors,
    DeviceId => TrustedDevice,
    ChallengeId => Challenge,
    CodesId => SentCodes,
    EnrolmentId => Enrolment
);

/// Some id, or none: then nothing is read and nothing comes back.
impl<A: Keys> Keys for Option<A> {
    type Records = Option<A::Records>;

    fn places(&self, into: &mut Vec<Place>) {
        if let Some(keys) = self {
            keys.places(into);
        }
    }

    fn records(
        &self,
        images: &mut dyn Iterator<Item = Option<&str>>,
    ) -> Result<Self::Records, Error> {
        self.as_ref().map(|keys| keys.records(images)).transpose()
    }
}
