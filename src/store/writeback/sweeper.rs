//! The sweeper: takes over log entries that have waited too long, whoever wrote them, and counts those
//! that wait.
//!
//! A lease per partition keeps two sweepers from doing the same work. It is not needed for safety: every
//! write is guarded by `ver`, so doing work twice changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fred::types::Value;

use crate::clock::{self, Stopwatch};
use crate::model::Partition;
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::jobs::WaitingJobs;
use crate::store::postgres::RowImage;
use crate::store::redis::Op;
use crate::store::writeback::flusher::BATCH;
use crate::store::writeback::queue::{Change, Entry, Flag};
use crate::telemetry::names;

/// Between two rounds over all partitions.
const ROUND: Duration = Duration::from_millis(500);
/// Entries younger than this are still their writer's business.
const MIN_AGE: Duration = Duration::from_secs(1);
/// A sweeper that died gives its partitions free after this.
const LEASE: Duration = Duration::from_secs(5);
/// Entries taken from one partition at a time.
const PER_PARTITION: usize = 256;
/// Partitions asked at the same time.
const ABREAST: usize = 32;

/// State of one partition's log, with the entries that were taken from it.
struct PartitionScan {
    waiting: u64,
    oldest_millis: u64,
    bytes: i64,
    entries: Vec<Entry>,
    /// Entries with kinds of records that this version does not know.
    unknown: usize,
    /// Id of the last entry, when there may be more behind it.
    last: Option<String>,
    /// Another server wrote here last, or none: it has to be confirmed.
    moved: bool,
    /// Kinds of which jobs are due, by their position in the schema.
    due: Vec<usize>,
    /// For each kind of the schema.
    jobs: Vec<WaitingJobs>,
}

/// Entries of the log as they were read.
#[derive(Default)]
struct Page {
    entries: Vec<Entry>,
    /// How many have kinds that this version does not know.
    unknown: usize,
    /// Id of the last one.
    last: Option<String>,
}

impl Inner {
    /// Sweeps until told to stop.
    pub(crate) async fn run_sweeper(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let swept = if self.settings.workers {
                self.sweep_once(MIN_AGE).await
            } else {
                self.count_once().await
            };
            if !matches!(swept, Ok(taken) if taken > 0) {
                tokio::select! {
                    () = clock::sleep(ROUND) => {}
                    () = self.stop.cancelled() => {}
                }
            }
        }
    }

    /// One round over all partitions: takes entries older than `min_age` to PostgreSQL. Returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when either store is away.
    pub(crate) async fn sweep_once(self: &Arc<Self>, min_age: Duration) -> Result<usize, Error> {
        if !self.postgres.is_up() {
            return self.count_once().await;
        }
        let entries = self.look(PER_PARTITION, min_age).await?;
        let swept = entries.len();
        let mut rest = entries;
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(BATCH / 2));
            self.persist(rest)
                .await
                .map_err(|_| Error::Unavailable("postgres"))?;
            rest = later;
        }
        metrics::counter!(names::STORE_SWEPT).increment(swept as u64);
        Ok(swept)
    }

    /// One round that only counts.
    async fn count_once(self: &Arc<Self>) -> Result<usize, Error> {
        self.look(0, MIN_AGE).await.map(|_| 0)
    }

    async fn look(self: &Arc<Self>, most: usize, min_age: Duration) -> Result<Vec<Entry>, Error> {
        let (mut waiting, mut oldest, mut bytes, mut unknown) = (0, 0, 0, 0);
        let (mut entries, mut moved) = (Vec::new(), Vec::new());
        let sweeper = self.name.to_string();
        let mut jobs = vec![WaitingJobs::default(); self.schema.jobs.len()];
        let partitions: Vec<Partition> = Partition::all().collect();
        for abreast in partitions.chunks(ABREAST) {
            let scans = abreast
                .iter()
                .map(|partition| self.scan_partition(&sweeper, *partition, most, min_age));
            let scans = futures_util::future::join_all(scans).await;
            for (partition, scan) in abreast.iter().zip(scans) {
                let scan = scan?;
                waiting += scan.waiting;
                oldest = oldest.max(scan.oldest_millis);
                bytes += scan.bytes;
                unknown += scan.unknown;
                entries.extend(scan.entries);
                moved.extend(scan.moved.then_some(*partition));
                for kind in scan.due {
                    self.jobs.note(self.schema.jobs[kind], *partition);
                }
                for (all, here) in jobs.iter_mut().zip(scan.jobs) {
                    all.add(&here);
                }
            }
        }
        self.note(waiting, oldest, bytes);
        for (kind, jobs) in self.schema.jobs.iter().zip(&jobs) {
            jobs.measure(kind, self.clock.now());
        }
        if most > 0 {
            self.note_unknown_kinds(unknown);
        }
        if moved.is_empty() {
            self.is_unconfirmed.store(false, Ordering::Relaxed);
        } else if !self.is_confirming.swap(true, Ordering::Relaxed) {
            // In a task of its own: it waits, and sweeping must go on meanwhile.
            let inner = Arc::clone(self);
            self.tasks.spawn(async move {
                inner.confirm_all(moved).await;
                inner.is_confirming.store(false, Ordering::Relaxed);
            });
        }
        Ok(entries)
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    fn note(&self, waiting: u64, oldest_millis: u64, bytes: i64) {
        self.backlog.pending.store(waiting, Ordering::Relaxed);
        self.backlog
            .oldest_millis
            .store(oldest_millis, Ordering::Relaxed);
        self.backlog.bytes.store(bytes, Ordering::Relaxed);
        metrics::gauge!(names::STORE_PENDING).set(waiting as f64);
        metrics::gauge!(names::STORE_OLDEST).set(oldest_millis as f64 / 1000.0);
        metrics::gauge!(names::STORE_LOG_BYTES).set(bytes as f64);
    }

    /// Entries of kinds that this version does not know stay in the log for newer instances.
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    fn note_unknown_kinds(&self, unknown: usize) {
        metrics::gauge!(names::STORE_UNKNOWN_KINDS).set(unknown as f64);
        if self.backlog.unknown_kinds.swap(unknown, Ordering::Relaxed) == 0 && unknown > 0 {
            tracing::warn!(
                entries = unknown,
                "the log holds kinds of records that this version does not know; newer instances must bring them to \
                 PostgreSQL"
            );
        }
    }

    /// Takes everything in one partition's log to PostgreSQL, whoever else may be at it.
    pub(crate) async fn drain(self: &Arc<Self>, partition: Partition) -> Result<(), Error> {
        loop {
            let entries = self.whole_log(partition).await?;
            if entries.is_empty() {
                return Ok(());
            }
            self.persist(entries)
                .await
                .map_err(|_| Error::Unavailable("postgres"))?;
        }
    }

    /// All entries in one partition's log, whatever their age, but for those that are being settled.
    pub(super) async fn whole_log(&self, partition: Partition) -> Result<Vec<Entry>, Error> {
        let (mut entries, mut last) = (Vec::new(), String::new());
        loop {
            let scan = self.scan_page("", partition, PER_PARTITION, Duration::ZERO, &last);
            let scan = scan.await?;
            entries.extend(scan.entries);
            match scan.last {
                Some(id) => last = id,
                None => return Ok(entries),
            }
        }
    }

    /// The first page of a partition's log that has entries for this process.
    async fn scan_partition(
        &self,
        sweeper: &str,
        partition: Partition,
        most: usize,
        min_age: Duration,
    ) -> Result<PartitionScan, Error> {
        let mut scan = self
            .scan_page(sweeper, partition, most, min_age, "")
            .await?;
        while let (true, Some(last)) = (scan.entries.is_empty(), scan.last.take()) {
            let next = self
                .scan_page(sweeper, partition, most, min_age, &last)
                .await?;
            scan.unknown += next.unknown;
            scan.entries = next.entries;
            scan.last = next.last;
        }
        Ok(scan)
    }

    async fn scan_page(
        &self,
        sweeper: &str,
        partition: Partition,
        most: usize,
        min_age: Duration,
        after: &str,
    ) -> Result<PartitionScan, Error> {
        let space = &self.redis.keys;
        let oldest = self.unflushed.oldest(partition);
        let mut keys = vec![
            space.meta(partition),
            space.log(partition),
            space.lease(partition),
        ];
        keys.extend(
            self.schema
                .jobs
                .iter()
                .map(|kind| space.due_jobs(partition, kind)),
        );
        let answer: Vec<Value> = self
            .redis
            .run(
                Op::Sweep,
                keys,
                vec![
                    Value::from(sweeper),
                    Value::from(LEASE.as_millis().to_string()),
                    Value::from(min_age.as_millis().to_string()),
                    Value::from(most.to_string()),
                    Value::from(after),
                    Value::from(oldest.map_or_else(String::new, |gen_| gen_.to_string())),
                ],
            )
            .await
            .map_err(|_| Error::Unavailable("redis"))?;
        Ok(self.read_scan(partition, &answer, most))
    }

    /// Reads the script's answer.
    fn read_scan(&self, partition: Partition, answer: &[Value], most: usize) -> PartitionScan {
        let number = |index: usize| answer.get(index).and_then(Value::as_i64).unwrap_or(0);
        let array = |index: usize| {
            let array = answer.get(index).cloned().map(Value::into_array);
            array.unwrap_or_default()
        };
        let (page, due, jobs) = (array(3), array(5), array(6));
        let due = due.iter().map(|count| count.as_i64().unwrap_or(0));
        let is_full = most > 0 && page.len() >= most;
        let page = self.read_page(partition, page);
        PartitionScan {
            waiting: u64::try_from(number(0)).unwrap_or(0),
            oldest_millis: u64::try_from(number(1)).unwrap_or(0),
            bytes: number(2),
            moved: answer.get(4).and_then(Value::as_string).as_deref() == Some("1"),
            due: due
                .enumerate()
                .filter(|(_, count)| *count > 0)
                .map(|(kind, _)| kind)
                .collect(),
            jobs: jobs.chunks(2).filter_map(WaitingJobs::read).collect(),
            entries: page.entries,
            unknown: page.unknown,
            last: page.last.filter(|_| is_full),
        }
    }

    /// Reads entries of the log, but for those that are being settled.
    fn read_page(&self, partition: Partition, page: Vec<Value>) -> Page {
        let mut read = Page::default();
        for entry in page {
            let Some((log_id, fields)) = split_entry(entry) else {
                continue;
            };
            read.last = Some(log_id.clone());
            if self.refused.has(partition, &log_id) {
                continue;
            }
            match read_entry(self, partition, log_id, fields) {
                Some(entry) => read.entries.push(entry),
                None => read.unknown += 1,
            }
        }
        read
    }
}

/// Splits `[id, fields]`.
fn split_entry(entry: Value) -> Option<(String, Vec<Value>)> {
    let mut parts = entry.into_array().into_iter();
    Some((parts.next()?.into_string()?, parts.next()?.into_array()))
}

/// Reads `[g, gen, v, ver, name, flag ‖ image, …]`. `None` where a record is of a kind that this version does not
/// know.
fn read_entry(
    inner: &Inner,
    partition: Partition,
    log_id: String,
    fields: Vec<Value>,
) -> Option<Entry> {
    let mut fields = fields.into_iter().map(Value::into_string);
    let (_, gen_, _, ver) = (
        fields.next()?,
        fields.next()??,
        fields.next()?,
        fields.next()??,
    );
    let (gen_, ver) = (gen_.parse().ok()?, ver.parse().ok()?);
    let mut changes = Vec::new();
    while let (Some(Some(name)), Some(Some(flagged))) = (fields.next(), fields.next()) {
        let record = inner.schema.parse_name(&name)?;
        let flag = Flag::from_letter(*flagged.as_bytes().first()?)?;
        let row = RowImage {
            record,
            gen_,
            ver,
            image: flagged.get(1..)?.into(),
        };
        changes.push(Change {
            row,
            flag,
            lost_to: None,
        });
    }
    Some(Entry {
        partition,
        log_id: Some(log_id),
        changes,
        lazy: false,
        age: Stopwatch::start(),
        done: None,
        counted: inner.unflushed.count(partition, gen_),
    })
}
