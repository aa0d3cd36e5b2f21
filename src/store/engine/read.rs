//! Reading records: one round trip when they are warm, PostgreSQL when they are cold.

use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;

use crate::model::{Id, Partition, UserId};
use crate::store::Error;
use crate::store::engine::partition::Meta;
use crate::store::image;
use crate::store::inner::Inner;
use crate::store::postgres::StoredRow;
use crate::store::record::{Keys, Owned, Record, RecordRef};
use crate::store::redis::Op;
use crate::telemetry::names;

/// How often a read starts over because the partition changed under it.
const ATTEMPTS: usize = 12;
/// How long it is believed that PostgreSQL does not have a record.
const ABSENT: Duration = Duration::from_secs(2);
/// Redis keeps a hydrated record for a day, unless a commit says otherwise.
const HYDRATED_STAYS: Duration = Duration::from_secs(24 * 3600);

/// Records read at the same time.
const ABREAST: usize = 32;

/// Records of one partition at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) partition: Partition,
    pub(crate) meta: Meta,
    pub(crate) stored: Vec<Stored>,
}

/// One record of a snapshot: its version and image, when there is one.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) record: RecordRef,
    pub(crate) found: Option<(i64, Arc<str>)>,
}

impl Snapshot {
    /// The records in the shape that was asked for.
    pub(crate) fn records<K: Keys>(&self, keys: &K) -> Result<K::Records, Error> {
        let mut images = self
            .stored
            .iter()
            .map(|stored| stored.found.as_ref().map(|found| &*found.1));
        keys.records(&mut images)
    }

    /// The version of an earlier incarnation upon which this one has built a record, when it has: the version that
    /// was brought back, as all later images repeat it.
    pub(super) fn base(&self, record: RecordRef) -> Option<i64> {
        let mut stored = self.stored.iter();
        let (ver, image) = stored.find(|one| one.record.is(record))?.found.as_ref()?;
        image::base(image).or((*ver <= self.meta.gen_).then_some(*ver))
    }
}

/// A row of PostgreSQL, when there is one.
pub(crate) type FoundRow = Result<Option<Arc<StoredRow>>, Error>;

/// Outcome of a hydration.
enum Hydrated {
    Found((i64, Arc<str>)),
    Absent,
    /// The partition changed: read again.
    Again,
    /// PostgreSQL is ahead of Redis, or Redis is another server than the one that wrote last.
    Rewound,
    /// The log still holds something newer than PostgreSQL.
    Wait,
}

impl Inner {
    /// Reads records that share a partition.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when Redis is away, or PostgreSQL while a record is cold.
    pub(crate) async fn snapshot<K: Keys>(self: &Arc<Self>, keys: &K) -> Result<Snapshot, Error> {
        let mut records = Vec::with_capacity(2);
        keys.append_to(&mut records);
        self.snapshot_of(&records).await
    }

    async fn snapshot_of(self: &Arc<Self>, records: &[RecordRef]) -> Result<Snapshot, Error> {
        let partition = one_partition(records)?;
        for _ in 0..ATTEMPTS {
            if let Some(snapshot) = self.try_snapshot(partition, records).await? {
                self.remember(&snapshot);
                return Ok(snapshot);
            }
        }
        Err(Error::Unavailable("postgres"))
    }

    /// One attempt; `None` when the partition changed under it.
    async fn try_snapshot(
        self: &Arc<Self>,
        partition: Partition,
        records: &[RecordRef],
    ) -> Result<Option<Snapshot>, Error> {
        let high = self.partitions.high(partition);
        let mut keys = Vec::with_capacity(records.len() + 1);
        keys.push(self.redis.keys.meta(partition));
        keys.extend(records.iter().map(|record| self.redis.keys.record(*record)));
        let mut values = self.redis.mget(keys).await?.into_iter();
        let meta = values.next().flatten().as_deref().and_then(Meta::parse);
        let Some(meta) = meta.filter(|meta| self.believes(partition, high, *meta)) else {
            Box::pin(self.confirm(partition)).await?;
            return Ok(None);
        };
        self.partitions.saw_meta(partition, meta);
        let mut is_torn = false;
        let mut stored = Vec::with_capacity(records.len());
        for (record, value) in records.iter().zip(values) {
            let found = match value.and_then(|value| warm(&value, meta.gen_)) {
                Some(found) => {
                    count_read(*record, "redis");
                    Some(found)
                }
                None if !record.table.durable => None,
                None => match Box::pin(self.hydrate(meta, *record)).await? {
                    Hydrated::Found(found) => {
                        count_read(*record, "postgres");
                        is_torn = records.len() > 1;
                        Some(found)
                    }
                    Hydrated::Absent => {
                        count_read(*record, "nowhere");
                        None
                    }
                    Hydrated::Again => return Ok(None),
                    Hydrated::Wait => {
                        self.wait_out_hold().await;
                        return Ok(None);
                    }
                    Hydrated::Rewound => {
                        Box::pin(self.confirm(partition)).await?;
                        return Ok(None);
                    }
                },
            };
            stored.push(Stored {
                record: *record,
                found,
            });
        }
        // A record that was brought back may be newer than those beside it; now all can be read at one moment.
        Ok((!is_torn).then_some(Snapshot {
            partition,
            meta,
            stored,
        }))
    }

    /// Brings a cold record back from PostgreSQL.
    async fn hydrate(self: &Arc<Self>, meta: Meta, record: RecordRef) -> Result<Hydrated, Error> {
        let now = self.clock.now();
        if self
            .absent
            .get(&record.id)
            .is_some_and(|(until, gen_)| now < until && gen_ == meta.gen_)
        {
            return Ok(Hydrated::Absent);
        }
        let row = self.row(record).await?;
        let (ver, image) = match &row {
            Some(row) => (row.ver.to_string(), row.image.clone()),
            None => ("-".to_owned(), String::new()),
        };
        let answer: Vec<String> = self
            .redis
            .run(
                Op::Hydrate,
                vec![
                    self.redis.keys.meta(record.id.partition()),
                    self.redis.keys.pend(record.id.partition()),
                    self.redis.keys.record(record),
                ],
                vec![
                    Value::from(meta.gen_.to_string()),
                    Value::from(self.settings.loss_hold.as_micros().to_string()),
                    Value::from(record.name()),
                    Value::from(ver),
                    Value::from(image),
                    Value::from(HYDRATED_STAYS.as_millis().to_string()),
                ],
            )
            .await
            .map_err(|_| Error::Unavailable("redis"))?;
        let mut words = answer.into_iter();
        let outcome = match (words.next().as_deref(), words.next(), words.next()) {
            (Some("ok"), Some(ver), Some(image)) => match ver.parse() {
                Ok(ver) => Hydrated::Found((ver, image.into())),
                Err(_) => return Err(Error::Corrupt(format!("version {ver}"))),
            },
            (Some("absent"), ..) => {
                self.absent
                    .insert(record.id, (now.after(ABSENT), meta.gen_));
                Hydrated::Absent
            }
            (Some("rewound" | "moved"), ..) => {
                let stored = row.map_or(0, |row| row.ver);
                self.partitions.saw(record.id.partition(), stored);
                Hydrated::Rewound
            }
            (Some("held" | "pending"), ..) => Hydrated::Wait,
            _ => Hydrated::Again,
        };
        metrics::counter!(names::STORE_HYDRATIONS, "outcome" => outcome.label()).increment(1);
        Ok(outcome)
    }

    /// A row of PostgreSQL, asked once for all who read it at the same time. It may be a little older than the
    /// question; the script that hydrates compares it with Redis afterwards, for each reader.
    async fn row(self: &Arc<Self>, record: RecordRef) -> FoundRow {
        let inner = Arc::clone(self);
        let ask = || async move { Ok(inner.postgres.row(record).await?.map(Arc::new)) };
        self.rows.run((record.table.kind, record.id), ask).await
    }
}

/// Counts where a lasting record was found.
fn count_read(record: RecordRef, found: &'static str) {
    if record.table.durable {
        metrics::counter!(names::STORE_READS, "kind" => record.table.kind, "found" => found)
            .increment(1);
    }
}

impl Inner {
    /// See [`crate::store::Store::owned_before`].
    pub(crate) async fn owned_before<R: Owned>(
        self: &Arc<Self>,
        owner: UserId,
        before: Option<R::Id>,
        most: usize,
    ) -> Result<Vec<R>, Error> {
        let (now, before) = (self.clock.now(), before.map(Into::into));
        // The log first: what leaves it meanwhile is in PostgreSQL.
        let pend = self
            .redis
            .fields(self.redis.keys.pend(owner.partition()))
            .await?;
        let mut ids: Vec<Id> = pend
            .iter()
            .filter_map(|name| self.schema.parse_name(name))
            .filter_map(|record| (record.table.kind == R::TABLE.kind).then_some(record.id))
            .filter(|id| before.is_none_or(|before| *id < before))
            .collect();
        let mut before = before;
        let mut records = Vec::new();
        loop {
            let stored = self
                .postgres
                .live(R::TABLE, owner, now, before, most)
                .await?;
            before = stored.last().copied();
            let is_last = stored.len() < most;
            ids.extend(stored);
            ids.sort_unstable_by(|a, b| b.cmp(a));
            ids.dedup();
            // Of what is pending only that which lies within what PostgreSQL has told of.
            let told = ids.partition_point(|id| is_last || before.is_some_and(|last| *id >= last));
            let told: Vec<Id> = ids.drain(..told).collect();
            for abreast in told.chunks(ABREAST) {
                let reads = abreast.iter().map(|id| self.one::<R>(R::Id::from(*id)));
                for record in futures_util::future::try_join_all(reads).await? {
                    let owned = record.filter(|record| record.owner() == owner);
                    records.extend(owned.filter(|record| !record.is_deleted()));
                }
            }
            if is_last || records.len() >= most {
                records.truncate(most);
                return Ok(records);
            }
        }
    }

    /// One record.
    ///
    /// # Errors
    /// As [`Inner::snapshot`].
    pub(crate) async fn one<R: Record>(self: &Arc<Self>, id: R::Id) -> Result<Option<R>, Error> {
        let record = RecordRef::of::<R>(id);
        let snapshot = self.snapshot_of(&[record]).await?;
        let image = snapshot.stored.first().and_then(|one| one.found.as_ref());
        image.map(|(_, image)| image::decode(image)).transpose()
    }
}

impl Hydrated {
    fn label(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Absent => "absent",
            Self::Again => "again",
            Self::Rewound => "rewound",
            Self::Wait => "wait",
        }
    }
}

/// Version and image of a value, when it is of the present incarnation.
fn warm(value: &str, gen_: i64) -> Option<(i64, Arc<str>)> {
    let (record_gen, rest) = value.split_once(' ')?;
    let (ver, image) = rest.split_once(' ')?;
    (record_gen.parse() == Ok(gen_)).then_some(())?;
    Some((ver.parse().ok()?, image.into()))
}

pub(crate) fn one_partition(records: &[RecordRef]) -> Result<Partition, Error> {
    let partition = records.first().map(|record| record.id.partition());
    match partition {
        Some(partition)
            if records
                .iter()
                .all(|record| record.id.partition() == partition) =>
        {
            Ok(partition)
        }
        _ => Err(Error::Corrupt(
            "a read reaches over its partition".to_owned(),
        )),
    }
}
