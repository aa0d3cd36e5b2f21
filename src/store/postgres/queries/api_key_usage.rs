//! Usage of API keys by day.

use std::collections::HashMap;

use sqlx::types::Uuid;

use crate::model::{ApiKeyId, ApiKeyUsage, Id, KeyRefusals, Timestamp};
use crate::store::Error;
use crate::store::postgres::Postgres;

/// A row: day, requests, refusals (ended, owner, address, scope, limit), last use in µs, its address.
type UsageRow = (i32, i64, i64, i64, i64, i64, i64, i64, String);

impl Postgres {
    /// Adds counts to their rows. Sorted, so that two processes lock rows in the same order.
    pub(crate) async fn add_key_usage(
        &self,
        usage: &[(ApiKeyId, ApiKeyUsage)],
    ) -> Result<(), Error> {
        let mut sorted: Vec<_> = usage.iter().collect();
        sorted.sort_by_key(|(key, counts)| (*key, counts.day));
        let counted = |of: fn(&ApiKeyUsage) -> u64| -> Vec<i64> {
            let counts = sorted.iter().map(|(_, counts)| of(counts));
            counts
                .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
                .collect()
        };
        let texts = |of: fn(&ApiKeyUsage) -> String| -> Vec<String> {
            sorted.iter().map(|(_, counts)| of(counts)).collect()
        };
        let keys: Vec<Uuid> = sorted.iter().map(|(key, _)| key.id().uuid()).collect();
        let added = self.ask_if_up("add_key_usage", async |connection| {
            sqlx::query(ADD)
                .bind(keys)
                .bind(texts(ApiKeyUsage::date))
                .bind(counted(|counts| counts.requests))
                .bind(counted(|counts| counts.refused.ended))
                .bind(counted(|counts| counts.refused.owner))
                .bind(counted(|counts| counts.refused.address))
                .bind(counted(|counts| counts.refused.scope))
                .bind(counted(|counts| counts.refused.limit))
                .bind(texts(|counts| counts.last_used_at.to_string()))
                .bind(texts(|counts| counts.last_address.to_string()))
                .execute(connection)
                .await
        });
        added.await.map(|_| ())
    }

    /// Rows of a key from a day on, the newest first.
    pub(crate) async fn key_usage(
        &self,
        key: ApiKeyId,
        from: i64,
    ) -> Result<Vec<ApiKeyUsage>, Error> {
        let from = i32::try_from(from).unwrap_or(i32::MAX);
        let rows = self.ask_if_up("key_usage", async |connection| {
            sqlx::query_as::<_, UsageRow>(
                "SELECT day - date '1970-01-01', requests, refused_ended, refused_owner, \
                 refused_address, refused_scope, refused_limit, \
                 (extract(epoch FROM last_used_at) * 1000000)::bigint, last_address \
                 FROM api_key_usage WHERE key_id = $1 AND day >= date '1970-01-01' + $2 \
                 ORDER BY day DESC",
            )
            .bind(key.id().uuid())
            .bind(from)
            .fetch_all(connection)
            .await
        });
        rows.await?.into_iter().map(read).collect()
    }

    /// The last use of each key that has any.
    pub(crate) async fn key_last_uses(
        &self,
        keys: &[ApiKeyId],
    ) -> Result<HashMap<ApiKeyId, Timestamp>, Error> {
        let keys: Vec<Uuid> = keys.iter().map(|key| key.id().uuid()).collect();
        let rows = self.ask_if_up("key_last_uses", async |connection| {
            sqlx::query_as::<_, (Uuid, i64)>(
                "SELECT key_id, (extract(epoch FROM max(last_used_at)) * 1000000)::bigint \
                 FROM api_key_usage WHERE key_id = ANY($1) GROUP BY key_id",
            )
            .bind(keys)
            .fetch_all(connection)
            .await
        });
        let rows = rows.await?.into_iter();
        Ok(rows
            .map(|(key, micros)| (Id::from(key).into(), Timestamp::from_micros(micros)))
            .collect())
    }

    /// Removes at most `most` rows of days before `day`. Returns how many.
    pub(crate) async fn purge_key_usage(&self, day: i64, most: u32) -> Result<u64, Error> {
        let day = i32::try_from(day).unwrap_or(0);
        let purged = self.ask_if_up("purge_key_usage", async |connection| {
            sqlx::query(
                "DELETE FROM api_key_usage WHERE (key_id, day) IN \
                 (SELECT key_id, day FROM api_key_usage WHERE day < date '1970-01-01' + $1 \
                  LIMIT $2 FOR UPDATE SKIP LOCKED)",
            )
            .bind(day)
            .bind(i64::from(most))
            .execute(connection)
            .await
        });
        Ok(purged.await?.rows_affected())
    }
}

const ADD: &str = "INSERT INTO api_key_usage AS t (key_id, day, requests, refused_ended, refused_owner, \
     refused_address, refused_scope, refused_limit, last_used_at, last_address) \
     SELECT * FROM UNNEST($1::uuid[], $2::text[]::date[], $3::bigint[], $4::bigint[], $5::bigint[], \
     $6::bigint[], $7::bigint[], $8::bigint[], $9::text[]::timestamptz[], $10::text[]) \
     ON CONFLICT (key_id, day) DO UPDATE SET \
     requests = t.requests + excluded.requests, \
     refused_ended = t.refused_ended + excluded.refused_ended, \
     refused_owner = t.refused_owner + excluded.refused_owner, \
     refused_address = t.refused_address + excluded.refused_address, \
     refused_scope = t.refused_scope + excluded.refused_scope, \
     refused_limit = t.refused_limit + excluded.refused_limit, \
     last_used_at = greatest(t.last_used_at, excluded.last_used_at), \
     last_address = CASE WHEN excluded.last_used_at >= t.last_used_at \
         THEN excluded.last_address ELSE t.last_address END";

fn read(row: UsageRow) -> Result<ApiKeyUsage, Error> {
    let (day, requests, ended, owner, address, scope, limit, last, last_address) = row;
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let last_address = last_address.parse();
    Ok(ApiKeyUsage {
        day: day.into(),
        requests: count(requests),
        refused: KeyRefusals {
            ended: count(ended),
            owner: count(owner),
            address: count(address),
            scope: count(scope),
            limit: count(limit),
        },
        last_used_at: Timestamp::from_micros(last),
        last_address: last_address.map_err(|_| Error::Corrupt("usage of a key".to_owned()))?,
    })
}
