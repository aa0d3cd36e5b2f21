//! The store on real servers: a read, a commit, a whole flusher batch.
//!
//! References of the same run: a plain `GET` and a plain `SET` through the same client, and the same rows written with
//! one array per column instead of one JSON image per row.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot go on has failed"
)]

use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::Builder;
use fred::types::config::Config;
use sallyport::clock::Clock;
use sallyport::config;
use sallyport::dev::{Binaries, SearchPath, ThrowawayStores};
use sallyport::model::{Session, User};
use sallyport::store::{Class, Error, Store};
use tokio::runtime::Runtime;

const BATCH: usize = 256;

struct Bench {
    runtime: Runtime,
    stores: ThrowawayStores,
    store: Store,
    pool: sqlx::PgPool,
    plain: Client,
    clock: Clock,
}

impl Bench {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let clock = Clock::system();
        let (stores, store, pool, plain) = runtime.block_on(async {
            #[expect(
                clippy::disallowed_methods,
                reason = "the search path of the servers' programs"
            )]
            let path = std::env::var("PATH").ok().map(Into::into);
            let binaries = Binaries::find(SearchPath {
                pg_bin: None,
                redis_bin: None,
                path,
            });
            let stores = ThrowawayStores::start(&binaries, Path::new("/tmp"))
                .await
                .unwrap();
            stores.postgres.create_database("bench").await.unwrap();
            let url = stores.postgres.url("bench");
            sallyport::store::migrate(&url).await.unwrap();
            let redis = config::Redis {
                url: stores.redis.url(),
                ..config::Redis::default()
            };
            let postgres = config::Postgres {
                url: url.clone(),
                connections: 4,
                ..config::Postgres::default()
            };
            let settings = config::Store::default();
            let store = Store::connect(&redis, &postgres, &settings, [7; 32], clock.clone())
                .await
                .unwrap();
            let plain = Builder::from_config(Config::from_url(&redis.url).unwrap())
                .build()
                .unwrap();
            plain.init().await.unwrap();
            (
                stores,
                store,
                sqlx::PgPool::connect(&url).await.unwrap(),
                plain,
            )
        });
        Self {
            runtime,
            stores,
            store,
            pool,
            plain,
            clock,
        }
    }

    fn user(&self) -> User {
        let (id, now) = (
            self.clock.new_id::<sallyport::model::UserId>(),
            self.clock.now(),
        );
        let name = id.to_string();
        User {
            id,
            email: format!("{name}@example.com"),
            email_key: format!("{name}@example.com"),
            username: name.clone(),
            username_key: name,
            email_verified_at: None,
            password_hash: Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2E$".repeat(2)),
            two_factor_enabled: false,
            roles: Vec::new(),
            session_epoch: 0,
            device_epoch: 0,
            proof_epoch: 0,
            disabled_at: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }

    fn session(&self, user: &User) -> Session {
        let now = self.clock.now();
        Session {
            id: self.clock.new_id_in(user.id.partition()),
            user_id: user.id,
            epoch: 0,
            generation: 1,
            refresh_hash: "5a".repeat(32),
            previous_hash: Some("a5".repeat(32)),
            successor: Some("3c".repeat(32)),
            rotated_at: now,
            newest_used_at: None,
            second_factor_at: None,
            proof_epoch: 0,
            amr: vec!["pwd".to_owned()],
            auth_time: now,
            ip_address: "192.0.2.7".parse().unwrap(),
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
                .to_owned(),
            created_at: now,
            last_used_at: now,
            idle_expires_at: now.after(Duration::from_hours(168)),
            expires_at: now.after(Duration::from_hours(720)),
            deleted_at: None,
        }
    }

    async fn commit(&self, session: &Session) {
        let keys = (session.id, session.user_id);
        let committed = self.store.transact(Class::Session, keys, |_, draft| {
            draft.put(session);
            Ok::<_, Error>(())
        });
        let _ = committed.await.unwrap();
    }
}

fn redis(c: &mut Criterion) {
    let bench = Bench::start();
    let user = bench.user();
    let added = bench.store.transact(Class::Session, user.id, |_, draft| {
        draft.put(&user);
        Ok::<_, Error>(())
    });
    let _ = bench.runtime.block_on(added).unwrap();
    let session = bench.session(&user);
    bench.runtime.block_on(bench.commit(&session));
    bench
        .runtime
        .block_on(
            bench
                .plain
                .set::<(), _, _>("k", "v".repeat(500), None, None, false),
        )
        .unwrap();

    let mut group = c.benchmark_group("redis");
    group.bench_function("reference: one GET", |b| {
        b.iter(|| {
            bench
                .runtime
                .block_on(bench.plain.get::<String, _>("k"))
                .unwrap()
        });
    });
    group.bench_function("read session and user", |b| {
        b.iter(|| {
            bench
                .runtime
                .block_on(bench.store.read((session.id, user.id)))
                .unwrap()
        });
    });
    group.bench_function("reference: one SET", |b| {
        let value = "v".repeat(500);
        b.iter(|| {
            let set = bench
                .plain
                .set::<(), _, _>("k", value.clone(), None, None, false);
            bench.runtime.block_on(set).unwrap();
        });
    });
    group.bench_function("transaction: read two, commit one", |b| {
        b.iter(|| bench.runtime.block_on(bench.commit(&session)));
    });
    group.finish();
    drop(bench.stores);
}

fn flush(c: &mut Criterion) {
    let bench = Bench::start();
    let user = bench.user();
    let mut group = c.benchmark_group("flush");
    group
        .throughput(Throughput::Elements(BATCH as u64))
        .sample_size(30);
    let fresh = || -> Vec<Session> { (0..BATCH).map(|_| bench.session(&user)).collect() };
    group.bench_function("reference: one array per column, no log", |b| {
        b.iter_batched(
            fresh,
            |rows| bench.runtime.block_on(columns(&bench.pool, &rows)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("flusher: 256 sessions, written and trimmed", |b| {
        let commit_all = || {
            bench.runtime.block_on(async {
                for session in fresh() {
                    bench.commit(&session).await;
                }
            });
        };
        b.iter_batched(
            commit_all,
            |()| bench.runtime.block_on(bench.store.flush()).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    drop(bench.stores);
}

/// A flusher batch with a statement made for one table.
async fn columns(pool: &sqlx::PgPool, rows: &[Session]) {
    let time = |pick: fn(&Session) -> sallyport::model::Timestamp| {
        rows.iter()
            .map(|row| pick(row).to_string())
            .collect::<Vec<_>>()
    };
    let text = |pick: fn(&Session) -> String| rows.iter().map(pick).collect::<Vec<_>>();
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO sessions (id, ver, gen, partition, user_id, epoch, generation, refresh_hash, \
         previous_hash, successor, rotated_at, amr, auth_time, ip_address, user_agent, created_at, \
         last_used_at, idle_expires_at, expires_at) \
         SELECT id, 1, 1, 1, user_id, 0, 1, h, p, s, r::timestamptz, ARRAY[amr], a::timestamptz, ip::inet, ua, \
         c::timestamptz, l::timestamptz, i::timestamptz, e::timestamptz \
         FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], \
         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[]) \
         AS t(id, user_id, h, p, s, r, amr, a, ip, ua, c, l, i, e) \
         ON CONFLICT (id) DO UPDATE SET ver = excluded.ver WHERE sessions.ver < excluded.ver",
    )
    .bind(rows.iter().map(|row| row.id.id().uuid()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.user_id.id().uuid()).collect::<Vec<_>>())
    .bind(text(|row| row.refresh_hash.clone()))
    .bind(text(|row| row.previous_hash.clone().unwrap_or_default()))
    .bind(text(|row| row.successor.clone().unwrap_or_default()))
    .bind(time(|row| row.rotated_at))
    .bind(text(|row| row.amr[0].clone()))
    .bind(time(|row| row.auth_time))
    .bind(text(|row| row.ip_address.to_string()))
    .bind(text(|row| row.user_agent.clone()))
    .bind(time(|row| row.created_at))
    .bind(time(|row| row.last_used_at))
    .bind(time(|row| row.idle_expires_at))
    .bind(time(|row| row.expires_at))
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();
}

criterion_group!(benches, redis, flush);
criterion_main!(benches);
