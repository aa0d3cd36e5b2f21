//! Ids: `UUIDv7` (RFC 9562) whose last byte names the partition.
//!
//! Every id issued for a user carries the user's partition, so that an id alone tells the partition of its
//! record, and all records of one user can change in one atomic step.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Timestamp;

/// One of the 256 transaction domains: one user, one partition, one Redis slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u8);

impl Partition {
    /// Number of partitions.
    pub const COUNT: usize = 256;

    /// All partitions, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

/// A `UUIDv7`: time-ordered, and with enough random bits that it cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(Uuid);

/// The text was not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct IdError;

impl Id {
    /// An id made at `now` from ten random bytes; the last of them is the partition.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Time at which it was made, in whole milliseconds (RFC 9562, section 5.7).
    #[must_use]
    pub fn created_at(self) -> Timestamp {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0.as_bytes()[..6]);
        Timestamp::from_micros(i64::from_be_bytes(millis) * 1000)
    }

    /// The same id moved to `partition`.
    #[must_use]
    pub fn in_partition(self, partition: Partition) -> Self {
        let mut bytes = self.0.into_bytes();
        bytes[15] = partition.0;
        Self(Uuid::from_bytes(bytes))
    }

    /// Partition of the record with this id.
    #[must_use]
    pub fn partition(self) -> Partition {
        Partition(self.0.as_bytes()[15])
    }

    /// The sixteen bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The id of sixteen bytes made by [`Id::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The same id in the UUID type of the stores' clients.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for Id {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| IdError)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Defines an id type of its own for each kind of record, so that they cannot be mixed up.
macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Id);

        impl $name {
            /// The untyped id.
            #[must_use]
            pub fn id(self) -> Id {
                self.0
            }

            /// Partition of the record.
            #[must_use]
            pub fn partition(self) -> Partition {
                self.0.partition()
            }
        }

        impl From<Id> for $name {
            fn from(id: Id) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Id {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

id_types! {
    /// Id of an account. Its last byte is the partition of everything that the account owns.
    UserId;
    /// Id of a session, which is also the family of its refresh tokens.
    SessionId;
    /// Id of an audit entry.
    AuditId;
    /// Id of the second factors of an account; equals the account's id.
    FactorsId;
    /// Id of one method among the second factors.
    MethodId;
    /// Id of a login that waits for its second factor.
    ChallengeId;
    /// Id of the codes sent to an account; equals the account's id.
    CodesId;
    /// Id of a second factor that is being set up; equals the id of the session that sets it up.
    EnrolmentId;
    /// Id of a trusted device, which is also the family of its tokens.
    DeviceId;
    /// Id of an API key; carried by its text.
    ApiKeyId;
    /// Id of the newest creation of an API key of an account; equals the account's id.
    ApiKeyCreationId;
    /// Id of the one record of all roles.
    RolesId;
    /// Id of a job; that of a letter is also the letter's id.
    JobId;
}

impl UserId {
    /// Id of the account's second factors.
    #[must_use]
    pub fn factors(self) -> FactorsId {
        FactorsId(self.0)
    }

    /// Id of the newest creation of an API key of the account.
    #[must_use]
    pub fn api_key_creation(self) -> ApiKeyCreationId {
        ApiKeyCreationId(self.0)
    }

    /// Id of the codes sent to the account.
    #[must_use]
    pub fn codes(self) -> CodesId {
        CodesId(self.0)
    }
}

impl RolesId {
    /// The only one.
    pub const ONLY: Self = Self(Id(Uuid::nil()));
}

impl SessionId {
    /// Id of the session's enrolment.
    #[must_use]
    pub fn enrolment(self) -> EnrolmentId {
        EnrolmentId(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_partition_and_keeps_its_version() {
        let id = Id::new(Timestamp::from_micros(1_800_000_000_000_000), [7; 10]);
        let moved = id.in_partition(Partition(0xab));
        assert_eq!(moved.partition(), Partition(0xab));
        assert_eq!(moved.uuid().get_version_num(), 7);
        assert_eq!(moved.to_string().parse::<Id>(), Ok(moved));
        assert_eq!("nonsense".parse::<Id>(), Err(IdError));
    }

    #[test]
    fn ids_sort_by_time() {
        let early = Id::new(Timestamp::from_micros(1_000_000), [255; 10]);
        let late = Id::new(Timestamp::from_micros(2_000_000), [0; 10]);
        assert!(early < late);
    }
}
