//! Every key string of the service. Nobody else spells one.

use crate::model::{Id, IdentifierKind, Partition, UserId};

use crate::store::jobs::JobKind;
use crate::store::record::RecordRef;
use crate::store::tables::TABLES;

/// A key whose changes end what the session cache remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrackedKey {
    /// The incarnation of a partition.
    Incarnation(Partition),
    /// A record, by kind and id.
    Record(&'static str, Id),
}

/// Makes keys, each behind the deployment's prefix.
#[derive(Clone, Debug)]
pub(crate) struct KeySpace {
    prefix: String,
}

impl KeySpace {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    fn tagged(&self, partition: Partition, rest: &str) -> String {
        format!("{}{{{partition}}}:{rest}", self.prefix)
    }

    /// The partition's incarnation, clock, log size and last loss: `gen ver bytes lost run`.
    pub(crate) fn meta(&self, partition: Partition) -> String {
        self.tagged(partition, "meta")
    }

    /// Newest migration that was found in PostgreSQL.
    pub(crate) fn schema(&self) -> String {
        format!("{}schema", self.prefix)
    }

    /// Written by health checks; nobody reads it.
    pub(crate) fn probe(&self) -> String {
        format!("{}probe", self.prefix)
    }

    /// Hash of instance to the server that it has told what it had seen, the version, and when (µs):
    /// `run ver since`. `older` are all instances of versions without this hash.
    pub(crate) fn instances(&self, partition: Partition) -> String {
        self.tagged(partition, "instances")
    }

    /// The servers that wrote, oldest first, each with the version with which it began: `run ver run ver …`.
    pub(crate) fn writers(&self, partition: Partition) -> String {
        self.tagged(partition, "writers")
    }

    /// Stream of commits that are not yet in PostgreSQL.
    pub(crate) fn log(&self, partition: Partition) -> String {
        self.tagged(partition, "log")
    }

    /// Hash of record name to newest version in the log.
    pub(crate) fn pend(&self, partition: Partition) -> String {
        self.tagged(partition, "pend")
    }

    /// Lease of the sweeper that has the partition at present.
    pub(crate) fn lease(&self, partition: Partition) -> String {
        self.tagged(partition, "lease")
    }

    /// Sorted set of jobs of a kind, by the time when they are due (ms).
    pub(crate) fn due_jobs(&self, partition: Partition, kind: &JobKind) -> String {
        self.tagged(partition, kind.queue)
    }

    /// Hash of job to `attempts expires content`. (The name is that of the first version, which this one may run
    /// beside.)
    pub(crate) fn job_bodies(&self, partition: Partition) -> String {
        self.tagged(partition, "parcels")
    }

    /// A record: `gen ver image`.
    pub(crate) fn record(&self, record: RecordRef) -> String {
        self.tagged(record.id.partition(), &record.name())
    }

    /// The partition's incarnation alone: changes only with it.
    pub(crate) fn incarnation(&self, partition: Partition) -> String {
        self.tagged(partition, "era")
    }

    /// The meaning of a tracked key; `None` for any other.
    pub(crate) fn tracked(&self, key: &str) -> Option<TrackedKey> {
        let (partition, rest) = key
            .strip_prefix(&*self.prefix)?
            .strip_prefix('{')?
            .split_once("}:")?;
        if rest == "era" {
            let partition = u8::from_str_radix(partition, 16).ok()?;
            return Some(TrackedKey::Incarnation(Partition(partition)));
        }
        let (kind, id) = rest.split_once(':')?;
        let mut tables = TABLES.iter().filter(|table| table.checked_from_memory);
        let table = tables.find(|table| table.kind == kind)?;
        Some(TrackedKey::Record(table.kind, id.parse().ok()?))
    }

    /// Sorted set of the sessions of an account, by their end in ms.
    pub(crate) fn noted_sessions(&self, user: UserId) -> String {
        self.tagged(user.partition(), &format!("noted:sessions:{user}"))
    }

    /// Hash of clients that logged in to an account, each to the time of its last login in ms.
    pub(crate) fn noted_clients(&self, user: UserId) -> String {
        self.tagged(user.partition(), &format!("noted:clients:{user}"))
    }

    /// A rate-limit bucket; `digest` names the subject.
    pub(crate) fn bucket(&self, partition: Partition, policy: &str, digest: &str) -> String {
        self.tagged(partition, &format!("limit:{policy}:{digest}"))
    }

    /// The index entry of an e-mail address or username; its slot follows the name, not the user.
    pub(crate) fn index(&self, kind: IdentifierKind, digest: &[u8; 32]) -> String {
        let kind = match kind {
            IdentifierKind::Email => "email",
            IdentifierKind::Username => "username",
        };
        self.tagged(
            Partition(digest[0]),
            &format!("ix:{kind}:{}", hex::encode(&digest[..16])),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::User;
    use crate::model::{Id, Timestamp};
    use crate::store::jobs::LETTER;
    use crate::store::record::Record;

    #[test]
    fn all_keys_of_one_partition_carry_one_hash_tag() {
        let keys = KeySpace::new("t1:");
        let id = Id::new(Timestamp::from_micros(0), [1; 10]).in_partition(Partition(0x0f));
        for key in [
            keys.meta(id.partition()),
            keys.log(id.partition()),
            keys.pend(id.partition()),
            keys.due_jobs(id.partition(), &LETTER),
            keys.job_bodies(id.partition()),
            keys.record(RecordRef {
                table: User::TABLE,
                id,
            }),
            keys.bucket(id.partition(), "login", "ab"),
            keys.incarnation(id.partition()),
        ] {
            assert!(key.starts_with("t1:{0f}:"), "{key}");
        }
    }

    #[test]
    fn tracked_keys_are_understood_and_others_are_none() {
        let keys = KeySpace::new("t1:");
        let id = Id::new(Timestamp::from_micros(0), [1; 10]).in_partition(Partition(0x0f));
        let record = keys.record(RecordRef {
            table: User::TABLE,
            id,
        });
        assert_eq!(keys.tracked(&record), Some(TrackedKey::Record("user", id)));
        let era = keys.incarnation(Partition(0xfe));
        assert_eq!(
            keys.tracked(&era),
            Some(TrackedKey::Incarnation(Partition(0xfe)))
        );
        for other in [
            "",
            "t1:",
            "t2:{0f}:era",
            "t1:{0f}:meta",
            "t1:{xx}:era",
            "t1:{0f}:user:x",
        ] {
            assert_eq!(keys.tracked(other), None, "{other}");
        }
    }
}
