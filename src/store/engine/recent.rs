//! Records as this process last saw them: a transaction is tried on them before anything is read, which spares
//! it a round trip.
//!
//! They may be out of date, and nothing is answered from them alone. The commit script compares every version,
//! so a decision on outdated records ends in a conflict, and a decision that writes nothing or refuses is
//! made again on records just read.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::model::Id;
use crate::store::engine::read::{Snapshot, Stored, one_partition};
use crate::store::inner::Inner;
use crate::store::record::{Keys, RecordRef};

/// Images remembered, in bytes: some ten thousand accounts with their sessions.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// Guess at how many those are, for the size of the table.
const ESTIMATED_RECORDS: usize = 16_384;
/// Weight of an entry beside its image.
const ENTRY_BYTES: u64 = 128;

/// Kind and id.
type Name = (&'static str, Id);

/// Image of a record as last seen, and the incarnation of its partition then.
#[derive(Clone, Debug)]
struct Seen {
    gen_: i64,
    ver: i64,
    image: Arc<str>,
    /// Whether this process has handed it to its flusher.
    held: bool,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Name, Seen> for ByBytes {
    fn weight(&self, _: &Name, seen: &Seen) -> u64 {
        seen.image.len() as u64 + ENTRY_BYTES
    }
}

/// The records last seen. Bounded; what was not used for long goes first.
#[derive(Debug)]
pub(crate) struct Recent(Cache<Name, Seen, ByBytes>);

impl Default for Recent {
    fn default() -> Self {
        Self(Cache::with_weighter(ESTIMATED_RECORDS, MOST_BYTES, ByBytes))
    }
}

impl Recent {
    /// Remembers a record as it was found, or forgets it when it was not.
    pub(crate) fn note(&self, record: RecordRef, gen_: i64, found: Option<(i64, Arc<str>)>) {
        match found {
            Some((ver, image)) => {
                let held = self.holds(record, gen_, ver);
                self.insert(record, gen_, (ver, image), held);
            }
            None => self.forget(record),
        }
    }

    /// Remembers a record of which this process now holds the image until PostgreSQL has it.
    pub(crate) fn note_held(&self, record: RecordRef, gen_: i64, stands: (i64, Arc<str>)) {
        self.insert(record, gen_, stands, true);
    }

    /// Whether this process is known to hold the image of that version, or to have held it until PostgreSQL had it.
    pub(crate) fn holds(&self, record: RecordRef, gen_: i64, ver: i64) -> bool {
        let seen = self.0.get(&name(record));
        seen.is_some_and(|seen| seen.held && seen.gen_ == gen_ && seen.ver == ver)
    }

    fn insert(&self, record: RecordRef, gen_: i64, (ver, image): (i64, Arc<str>), held: bool) {
        let seen = Seen {
            gen_,
            ver,
            image,
            held,
        };
        self.0.insert(name(record), seen);
    }

    /// Forgets a record.
    pub(crate) fn forget(&self, record: RecordRef) {
        self.0.remove(&name(record));
    }
}

fn name(record: RecordRef) -> Name {
    (record.table.kind, record.id)
}

impl Inner {
    /// The records as last seen, when all of them were in the present incarnation. What is fleeting and was
    /// not seen is taken to be absent.
    pub(crate) fn recall<K: Keys>(&self, keys: &K) -> Option<Snapshot> {
        let mut records = Vec::with_capacity(4);
        keys.append_to(&mut records);
        let partition = one_partition(&records).ok()?;
        let meta = self.partitions.last(partition)?;
        let stored = records.into_iter().map(|record| {
            let seen = self.recent.0.get(&name(record));
            let found = match seen.filter(|seen| seen.gen_ == meta.gen_) {
                Some(seen) => Some((seen.ver, seen.image)),
                None if record.table.durable => return None,
                None => None,
            };
            Some(Stored { record, found })
        });
        let stored = stored.collect::<Option<Vec<_>>>()?;
        Some(Snapshot {
            partition,
            meta,
            stored,
        })
    }

    /// See [`crate::store::Store::last_seen`].
    pub(crate) fn last_seen<K: Keys>(&self, keys: K) -> Option<K::Records> {
        self.recall(&keys)?.records(&keys).ok()
    }

    /// Remembers what was just read.
    pub(crate) fn remember(&self, snapshot: &Snapshot) {
        for stored in &snapshot.stored {
            self.recent
                .note(stored.record, snapshot.meta.gen_, stored.found.clone());
        }
    }
}
