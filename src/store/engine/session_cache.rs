//! Sessions and API keys with their accounts, checked from memory for as long as Redis would tell of a change.
//!
//! # Why what is remembered may be believed
//!
//! The records were read on a connection that Redis tells of their next change (RESP3 client tracking). What it
//! tells travels in order on that connection, so an answer to a question that was sent at `s` says: every
//! change made before `s` has been told. This process asks again and again, and believes its memory until
//! `s` + lease, not longer. A stalled connection, a slow process, a Redis that is gone: the lease runs out and the
//! records are read again. (The clock of a lease may stand still while a whole machine is suspended.)
//!
//! Whoever takes something away (ends a session, revokes a key, changes a password, disables an account) waits for one lease
//! between the commit and the answer. A process that has not heard of the change by then has no lease any more. So
//! **what was answered as revoked is refused everywhere from that moment on**, with no bound to add. The
//! process that made the change forgets at once.
//!
//! # What is remembered
//!
//! A record is remembered when its read on the tracking connection agrees with the snapshot that was answered
//! from, when nothing was told of it since before that read, and when neither the connection nor the
//! partition's incarnation has changed since (see [`Validity`]). Memory only ever lets somebody in: what refuses was
//! read just then.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fred::types::Key;
use metrics::Counter;
use quick_cache::sync::Cache;
use tokio::sync::Notify;

use crate::clock::{self, Stopwatch};
use crate::model::{Id, Partition, User, UserId};
use crate::store::Error;
use crate::store::engine::read::{Snapshot, Stored};
use crate::store::inner::Inner;
use crate::store::record::{Owned, Record, RecordRef};
use crate::store::redis::keys::TrackedKey;
use crate::store::redis::tracking::{Changes, Connections, Missed, TrackingClient};
use crate::telemetry::names;

/// Records remembered; about 1.5 KiB each.
const REMEMBERED: usize = 32_768;
/// Questions in one lease: one that is late by two still comes in time.
const PINGS_PER_LEASE: u32 = 4;
/// First and longest pause before a lost connection is looked at again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A session or key and its account, as far as they are there.
pub type Checked<R> = (Option<Arc<R>>, Option<Arc<User>>);

/// Sessions, keys and accounts that this process may check from memory.
#[derive(Debug)]
pub(crate) struct SessionCache {
    tracking: TrackingClient,
    lease: Duration,
    /// When this was made; leases are counted from here.
    began: Stopwatch,
    /// Until when memory may be believed, in µs since `began`; 0: it may not.
    until: AtomicU64,
    /// Number of the tracking connections. Grows whenever they are others than before.
    connection: AtomicU64,
    /// Number of each partition's incarnation. Grows whenever it gets a new one.
    incarnations: Vec<AtomicU64>,
    records: Cache<Name, Arc<Slot>>,
    /// Whether anybody checked anything since the last question.
    used: AtomicBool,
    /// Somebody would like to check something and there is no lease.
    wanted: Notify,
    from_memory: Counter,
    from_redis: Counter,
}

/// Kind and id.
type Name = (&'static str, Id);

/// Connection and incarnation under which a record was read. It is believed while both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Validity {
    connection: u64,
    incarnation: u64,
}

/// A record that is read, or was. Whoever hears of a change takes the slot out of the table, and a reader who
/// fills it after that fills it for nobody.
#[derive(Debug)]
struct Slot {
    validity: Validity,
    /// The record, of the type that its name says.
    known: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// The slots of a session or key and its account while they are read.
type Fill = [Arc<Slot>; 2];

impl SessionCache {
    /// Remembers nothing yet, and nothing ever with a lease of zero.
    pub(crate) fn new(tracking: TrackingClient, lease: Duration) -> Self {
        Self {
            tracking,
            lease,
            began: Stopwatch::start(),
            until: AtomicU64::new(0),
            connection: AtomicU64::new(0),
            incarnations: (0..Partition::COUNT).map(|_| AtomicU64::new(0)).collect(),
            records: Cache::new(REMEMBERED),
            used: AtomicBool::new(false),
            wanted: Notify::new(),
            from_memory: metrics::counter!(names::SESSION_CHECKS, "found" => "memory"),
            from_redis: metrics::counter!(names::SESSION_CHECKS, "found" => "redis"),
        }
    }

    /// A note for operators while Redis forbids to be watched.
    pub(crate) fn note(&self) -> Option<String> {
        self.tracking.note()
    }

    /// Time for which a change that takes something away waits before it is answered.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// A record and its account, when both are remembered and may be believed.
    pub(crate) fn known<R: Owned>(&self, id: R::Id) -> Option<(Arc<R>, Arc<User>)> {
        if !self.holds_lease() {
            return None;
        }
        let id = id.into();
        let validity = self.validity(id.partition());
        let record = self.record::<R>(id, validity)?;
        let user = self.record::<User>(record.owner().id(), validity)?;
        self.from_memory.increment(1);
        Some((record, user))
    }

    fn record<R: Record>(&self, id: Id, validity: Validity) -> Option<Arc<R>> {
        let slot = self.records.get(&(R::TABLE.kind, id))?;
        let known = slot.known.get().filter(|_| slot.validity == validity)?;
        Arc::clone(known).downcast().ok()
    }

    /// Forgets a record, because it changed.
    pub(crate) fn forget(&self, record: RecordRef) {
        if record.table.checked_from_memory {
            self.records.remove(&(record.table.kind, record.id));
        }
    }

    fn holds_lease(&self) -> bool {
        if self.lease.is_zero() {
            return false;
        }
        self.used.store(true, Ordering::Relaxed);
        let holds = self.now() < self.until.load(Ordering::Acquire);
        if !holds {
            self.wanted.notify_one();
        }
        holds
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn validity(&self, partition: Partition) -> Validity {
        Validity {
            connection: self.connection.load(Ordering::Acquire),
            incarnation: self.incarnations[usize::from(partition.0)].load(Ordering::Acquire),
        }
    }

    /// Begins a read. From now on everything that is told of the records spoils it.
    fn begin(&self, records: [RecordRef; 2]) -> Option<Fill> {
        // The connection first: a lease says nothing of connections that came after it.
        let validity = self.validity(records[0].id.partition());
        self.holds_lease().then(|| {
            records.map(|record| {
                let slot = Arc::new(Slot {
                    validity,
                    known: OnceLock::new(),
                });
                let name = (record.table.kind, record.id);
                self.records.insert(name, Arc::clone(&slot));
                slot
            })
        })
    }

    /// Forgets the records whose keys Redis has named.
    fn apply(&self, keys: &[Key]) {
        for key in keys {
            match key
                .as_str()
                .and_then(|key| self.tracking.keys().tracked(key))
            {
                Some(TrackedKey::Record(kind, id)) => {
                    self.records.remove(&(kind, id));
                }
                Some(TrackedKey::Incarnation(partition)) => {
                    self.incarnations[usize::from(partition.0)].fetch_add(1, Ordering::AcqRel);
                }
                None => {}
            }
        }
    }

    /// Nothing remembered may be believed from now on.
    fn end(&self) {
        self.until.store(0, Ordering::Release);
        self.connection.fetch_add(1, Ordering::AcqRel);
        self.records.clear();
        metrics::gauge!(names::WATCH_UP).set(0.0);
    }

    /// Watches one connection until it is another one, or something was missed.
    async fn keep(&self, changes: &mut Changes, connections: &Connections) -> Result<(), Missed> {
        metrics::gauge!(names::WATCH_UP).set(1.0);
        let pause = self.lease / PINGS_PER_LEASE;
        loop {
            let asked = self.now();
            if !self.tracking.are_still(connections).await {
                return Ok(());
            }
            // Invalidations sent before the answer wait in the channel by now.
            while let Some(keys) = changes.at_hand()? {
                self.apply(&keys);
            }
            let lease = u64::try_from(self.lease.as_micros()).unwrap_or(0);
            self.until.store(asked + lease, Ordering::Release);
            self.rest(changes, pause).await?;
        }
    }

    /// Acts on changes until it is time to ask again. Nobody asks while nobody checks anything.
    async fn rest(&self, changes: &mut Changes, pause: Duration) -> Result<(), Missed> {
        let pause = clock::sleep(pause);
        tokio::pin!(pause);
        let mut rested = false;
        loop {
            tokio::select! {
                keys = changes.next() => self.apply(&keys?),
                () = &mut pause, if !rested => rested = true,
                () = self.wanted.notified(), if rested => return Ok(()),
            }
            if rested && self.used.swap(false, Ordering::Relaxed) {
                return Ok(());
            }
        }
    }
}

impl Inner {
    /// See [`crate::store::Store::look_up`].
    pub(crate) async fn look_up<R: Owned>(
        self: &Arc<Self>,
        id: R::Id,
        user: UserId,
    ) -> Result<Checked<R>, Error> {
        self.session_cache.from_redis.increment(1);
        let keys = (id, user);
        let records = [RecordRef::of::<R>(id), RecordRef::of::<User>(user)];
        let Some(fill) = self.session_cache.begin(records) else {
            let (record, user) = self.snapshot(&keys).await?.records(&keys)?;
            return Ok((record.map(Arc::new), user.map(Arc::new)));
        };
        let space = &self.redis.keys;
        let watched = vec![
            space.incarnation(user.partition()),
            space.record(records[0]),
            space.record(records[1]),
        ];
        // A connection that stalls holds nobody up for longer than it may be believed.
        let seen = tokio::time::timeout(
            self.session_cache.lease,
            self.session_cache.tracking.read(watched),
        );
        let (seen, snapshot) = tokio::join!(seen, self.snapshot(&keys));
        let snapshot = snapshot?;
        let (record, user) = snapshot.records(&keys)?;
        let (record, user): Checked<R> = (record.map(Arc::new), user.map(Arc::new));
        if let Ok(Ok(seen)) = seen
            && agree(seen.get(1..).unwrap_or_default(), &snapshot)
            && let (Some(record), Some(user)) = (&record, &user)
        {
            let [of_record, of_user] = &fill;
            let _ = of_record.known.set(Arc::<R>::clone(record));
            let _ = of_user.known.set(Arc::<User>::clone(user));
        }
        Ok((record, user))
    }

    /// Watches until told to stop.
    pub(crate) async fn run_session_cache(self: Arc<Self>) {
        if self.session_cache.lease.is_zero() {
            return;
        }
        let tracking = &self.session_cache.tracking;
        tracking.connect();
        let mut pause = PAUSE.0;
        loop {
            let watched = async {
                if let Ok((connections, mut changes)) = tracking.begin().await {
                    pause = PAUSE.0;
                    let _ = self.session_cache.keep(&mut changes, &connections).await;
                    metrics::counter!(names::WATCH_RESETS).increment(1);
                }
                self.session_cache.end();
                tokio::select! {
                    () = clock::sleep(pause) => pause = (pause * 2).min(PAUSE.1),
                    () = tracking.connected() => {}
                }
            };
            tokio::select! {
                () = watched => {}
                () = self.stop.cancelled() => break,
            }
        }
        self.session_cache.end();
        tracking.close();
    }
}

/// Whether the values read on the tracking connection are those of the snapshot.
fn agree(seen: &[Option<String>], snapshot: &Snapshot) -> bool {
    let same = |(value, stored): (&Option<String>, &Stored)| {
        let Some((ver, _)) = &stored.found else {
            return false;
        };
        let value = value.as_deref().unwrap_or_default();
        value.starts_with(&format!("{} {ver} ", snapshot.meta.gen_))
    };
    seen.len() == snapshot.stored.len() && seen.iter().zip(&snapshot.stored).all(same)
}
