//! Rate limits: never more than the quota in any span of the window, counted in Redis for all instances.

use std::collections::BTreeMap;
use std::sync::Arc;

use fred::types::Value;

use crate::config::Quota;
use crate::model::{Partition, Timestamp, UserId};
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::redis::Op;

/// Subject that a limit counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account that exists: counted in its own partition.
    Account(UserId),
    /// Anything else, by text that names it unmistakably: an address, a name, both.
    Text(String),
}

/// One limit to take from.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Name of the policy, as `RateLimit-Policy` shows it.
    pub policy: &'static str,
    /// How many in how long.
    pub quota: Quota,
    /// Subject that it counts.
    pub subject: Subject,
}

/// State of a limit after it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the policy.
    pub policy: &'static str,
    /// Its quota.
    pub quota: u32,
    /// Its window in seconds.
    pub window_seconds: u64,
    /// How many are left.
    pub remaining: u32,
    /// Seconds until at least one more is free (when none remains), else until the window is fresh.
    pub reset_seconds: u64,
    /// Whether this one may pass.
    pub allowed: bool,
}

/// Takings from several buckets, which can be given back.
#[derive(Debug)]
pub struct Taken {
    /// One for each bucket, in the order asked. When one refuses, nothing is taken from any.
    pub verdicts: Vec<Verdict>,
    /// How many were taken from each.
    pub amount: u32,
    at: Timestamp,
    groups: BTreeMap<Partition, Group>,
}

/// Buckets of one partition, which one script call takes from.
#[derive(Clone, Debug, Default)]
struct Group {
    /// Their positions in the question.
    order: Vec<usize>,
    keys: Vec<String>,
    quotas: Vec<Quota>,
}

impl Taken {
    /// Whether every bucket let it pass.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.allowed)
    }
}

impl Inner {
    /// See [`crate::store::Store::take_up_to`].
    pub(crate) async fn take_up_to(
        self: &Arc<Self>,
        bucket: &Bucket,
        most: u32,
    ) -> Result<Taken, Error> {
        let groups = self.group(std::slice::from_ref(bucket));
        let at = self.clock.now();
        let (mut verdicts, mut amount) = (Vec::new(), 0);
        for (partition, group) in &groups {
            for row in self.take_group(*partition, group, at, most).await? {
                verdicts.push(verdict(bucket, &row));
                amount = u32::try_from(row[0]).unwrap_or(0);
            }
        }
        Ok(Taken {
            verdicts,
            amount,
            at,
            groups,
        })
    }

    /// See [`crate::store::Store::take`].
    pub(crate) async fn take(self: &Arc<Self>, buckets: &[Bucket]) -> Result<Taken, Error> {
        let groups = self.group(buckets);
        let at = self.clock.now();
        let asked = groups
            .iter()
            .map(|(partition, group)| self.take_group(*partition, group, at, 1));
        let answers = futures_util::future::try_join_all(asked).await?;
        let mut found: Vec<(usize, Verdict)> = Vec::with_capacity(buckets.len());
        for (group, rows) in groups.values().zip(&answers) {
            for (position, row) in group.order.iter().zip(rows) {
                found.push((*position, verdict(&buckets[*position], row)));
            }
        }
        found.sort_by_key(|(position, _)| *position);
        let mut taken = Taken {
            verdicts: found.into_iter().map(|(_, verdict)| verdict).collect(),
            amount: 1,
            at,
            groups,
        };
        if !taken.allowed() {
            // A group that passed has taken; it gives back, because another one refused.
            let refused = |group: &Group| {
                group
                    .order
                    .iter()
                    .any(|position| !taken.verdicts[*position].allowed)
            };
            let mut passed = taken.groups.clone();
            passed.retain(|_, group| !refused(group));
            self.give_back_groups(&passed, at, 1).await;
            taken.groups.clear();
        }
        Ok(taken)
    }

    /// See [`crate::store::Store::give_back`].
    pub(crate) async fn give_back(&self, taken: Taken, amount: u32) {
        let amount = amount.min(taken.amount);
        self.give_back_groups(&taken.groups, taken.at, amount).await;
    }

    async fn give_back_groups(
        &self,
        groups: &BTreeMap<Partition, Group>,
        at: Timestamp,
        amount: u32,
    ) {
        let calls = groups.values().map(|group| {
            let mut args = vec![
                Value::from(at.micros().to_string()),
                Value::from(amount.to_string()),
            ];
            args.extend(
                group
                    .quotas
                    .iter()
                    .map(|quota| Value::from(quota.window.as_micros().to_string())),
            );
            self.redis
                .run::<Value>(Op::GiveBack, group.keys.clone(), args)
        });
        futures_util::future::join_all(calls).await;
    }

    fn group(&self, buckets: &[Bucket]) -> BTreeMap<Partition, Group> {
        let mut groups: BTreeMap<Partition, Group> = BTreeMap::new();
        for (position, bucket) in buckets.iter().enumerate() {
            let (partition, name) = match &bucket.subject {
                Subject::Account(user) => (user.partition(), user.to_string()),
                Subject::Text(text) => {
                    let digest = self.mac(&[b"limit:", text.as_bytes()]);
                    (Partition(digest[0]), hex::encode(&digest[..16]))
                }
            };
            let group = groups.entry(partition).or_default();
            group.order.push(position);
            group
                .keys
                .push(self.redis.keys.bucket(partition, bucket.policy, &name));
            group.quotas.push(bucket.quota);
        }
        groups
    }

    async fn take_group(
        self: &Arc<Self>,
        partition: Partition,
        group: &Group,
        at: Timestamp,
        amount: u32,
    ) -> Result<Vec<[i64; 4]>, Error> {
        let mut keys = vec![self.redis.keys.meta(partition)];
        keys.extend(group.keys.iter().cloned());
        let mut args = vec![
            Value::from(at.micros().to_string()),
            Value::from(amount.to_string()),
        ];
        for quota in &group.quotas {
            args.push(Value::from(quota.quota.to_string()));
            args.push(Value::from(quota.window.as_micros().to_string()));
        }
        for _ in 0..2 {
            let answer: Vec<Value> = self
                .redis
                .run(Op::Limit, keys.clone(), args.clone())
                .await
                .map_err(|_| Error::Unavailable("redis"))?;
            if answer.first().is_some_and(Value::is_array) {
                return answer.into_iter().map(read_row).collect();
            }
            Box::pin(self.confirm(partition)).await?;
        }
        Err(Error::Unavailable("redis"))
    }
}

fn read_row(row: Value) -> Result<[i64; 4], Error> {
    let numbers: Vec<i64> = row.into_array().iter().filter_map(Value::as_i64).collect();
    numbers
        .try_into()
        .map_err(|_| Error::Corrupt("answer of a limit".to_owned()))
}

fn verdict(bucket: &Bucket, row: &[i64; 4]) -> Verdict {
    let [given, _, remaining, reset_micros] = *row;
    Verdict {
        policy: bucket.policy,
        quota: bucket.quota.quota,
        window_seconds: bucket.quota.window.as_secs(),
        remaining: u32::try_from(remaining).unwrap_or(0),
        reset_seconds: u64::try_from(reset_micros).unwrap_or(0).div_ceil(1_000_000),
        allowed: given > 0,
    }
}
