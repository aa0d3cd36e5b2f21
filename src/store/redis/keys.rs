//! Every key string of the service. Nobody else spells one.

use crate::model::{IdentifierKind, Partition};

use super::super::record::Place;

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

    /// Stream of commits that are not yet in PostgreSQL.
    pub(crate) fn log(&self, partition: Partition) -> String {
        self.tagged(partition, "log")
    }

    /// Hash of record name to newest version in the log.
    pub(crate) fn pend(&self, partition: Partition) -> String {
        self.tagged(partition, "pend")
    }

    /// Who sweeps the partition at present.
    pub(crate) fn lease(&self, partition: Partition) -> String {
        self.tagged(partition, "lease")
    }

    /// Sorted set of parcels, by when they are due.
    pub(crate) fn outbox(&self, partition: Partition) -> String {
        self.tagged(partition, "outbox")
    }

    /// Hash of parcel to `attempts expires content`.
    pub(crate) fn parcels(&self, partition: Partition) -> String {
        self.tagged(partition, "parcels")
    }

    /// A record: `gen ver image`.
    pub(crate) fn record(&self, place: Place) -> String {
        self.tagged(
            place.id.partition(),
            &format!("{}:{}", place.table.kind, place.id),
        )
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
    use crate::model::{Id, Timestamp};
    use crate::store::record::USERS;

    #[test]
    fn all_keys_of_one_partition_carry_one_hash_tag() {
        let keys = KeySpace::new("t1:");
        let id = Id::new(Timestamp::from_micros(0), [1; 10]).in_partition(Partition(0x0f));
        for key in [
            keys.meta(id.partition()),
            keys.log(id.partition()),
            keys.pend(id.partition()),
            keys.outbox(id.partition()),
            keys.parcels(id.partition()),
            keys.record(Place { table: &USERS, id }),
            keys.bucket(id.partition(), "login", "ab"),
        ] {
            assert!(key.starts_with("t1:{0f}:"), "{key}");
        }
    }
}
