//! Jobs: what is promised with a commit is done at least once, and in the ordinary case once; a durable job survives
//! the loss of Redis.

use std::time::Duration;

use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{Builder, ClusterHash, CustomCommand};
use sallyport::model::{JobId, User};
use sallyport::store::{
    Class, Error, JobKind, JobOutcome, LETTER, LeasedJob, NewJob, Retry, Schema, Store,
};
use sallyport::telemetry::Metrics;

use crate::harness::records;
use crate::harness::stores::INDEX_KEY;
use crate::harness::{BOTH, Kind, TestStores};
use crate::metrics::value;

/// A kind whose jobs survive the loss of Redis, tried three times without a pause to speak of.
static DELIVERY: JobKind = JobKind {
    name: "delivery",
    queue: "deliveries",
    durable: true,
    retry: Retry {
        first: Duration::from_millis(1),
        factor: 1,
        longest: Duration::from_millis(1),
        most_attempts: 3,
    },
};

/// As [`DELIVERY`], but fleeting.
static HINT: JobKind = JobKind {
    name: "hint",
    queue: "hints",
    durable: false,
    retry: DELIVERY.retry,
};

/// A store that knows the kinds of this test, and takes a step only when told to.
async fn stepped(stores: &TestStores) -> Store {
    let schema = Schema::default().with_jobs(&DELIVERY).with_jobs(&HINT);
    let clock = stores.clock.clone();
    Store::connect_with(
        schema,
        &stores.redis,
        &stores.postgres,
        &stores.settings,
        INDEX_KEY,
        clock,
    )
    .await
    .expect("store")
}

fn job(stores: &TestStores, kind: &'static JobKind, user: &User, content: &str) -> NewJob {
    NewJob {
        kind,
        id: stores.clock.new_id_in(user.id.partition()),
        content: content.to_owned(),
        due_in: Duration::ZERO,
        expires_at: stores.clock.now().after(Duration::from_mins(5)),
    }
}

async fn enqueue(
    store: &Store,
    stores: &TestStores,
    kind: &'static JobKind,
    user: &User,
    content: &str,
) -> JobId {
    let enqueued = store.transact(Class::Session, user.id, |_: Option<User>, draft| {
        let job = job(stores, kind, user, content);
        let id = job.id;
        draft.enqueue(job);
        Ok::<_, Error>(id)
    });
    enqueued.await.expect("enqueued").0
}

/// All jobs of a kind that are due, without waiting.
async fn take(store: &Store, kind: &'static JobKind) -> Vec<LeasedJob> {
    store.sweep(Duration::ZERO).await.expect("swept");
    let mut all = Vec::new();
    loop {
        let some = store.take_jobs(kind).await.expect("taken");
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// The only job of a kind that is due.
async fn take_one(store: &Store, kind: &'static JobKind) -> LeasedJob {
    let mut taken = take(store, kind).await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken.remove(0)
}

/// As if the time of a lease had passed in Redis.
async fn end_lease(stores: &TestStores, job: &LeasedJob) {
    let config = Config::from_url(&stores.redis.url).expect("url");
    let client = Builder::from_config(config).build().expect("client");
    client.init().await.expect("connected");
    let (prefix, partition) = (&stores.redis.prefix, job.id.partition());
    let key = format!("{prefix}{{{partition}}}:{}", job.kind.queue);
    let zadd = CustomCommand::new_static("ZADD", ClusterHash::FirstKey, false);
    let args = vec![key, "0".to_owned(), job.id.to_string()];
    let changed: i64 = client.custom(zadd, args).await.expect("set");
    assert_eq!(changed, 0, "it was there");
}

async fn post(store: &Store, stores: &TestStores, user: &User, content: &str) -> JobId {
    enqueue(store, stores, &LETTER, user, content).await
}

async fn account(store: &Store, stores: &TestStores, name: &str) -> User {
    let user = stores.user(name);
    let _ = records::add(store, stores, &user).await.expect("account");
    user
}

/// All letters that are known to be due, without waiting.
async fn collect(store: &Store) -> Vec<LeasedJob> {
    let mut all = Vec::new();
    loop {
        let some = store.take_jobs(&LETTER).await.expect("collected");
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

#[tokio::test]
async fn a_letter_is_taken_by_one_and_gone_when_finished() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let alice = account(&store, &stores, "alice").await;
        let id = post(&store, &stores, &alice, "s1.sealed with spaces ä").await;
        store.jobs_due(&LETTER).await;
        let taken = collect(&store).await;
        let [letter] = taken.as_slice() else {
            panic!("{kind:?}: one letter: {taken:?}");
        };
        assert_eq!((letter.id, letter.attempt), (id, 1));
        assert_eq!(letter.content, "s1.sealed with spaces ä");
        assert_eq!(
            letter.expires_at,
            stores.clock.now().after(Duration::from_mins(5))
        );
        store.sweep(Duration::ZERO).await.expect("swept");
        assert_eq!(
            collect(&store).await,
            [],
            "{kind:?}: its worker has it alone"
        );
        store.finish_job(letter).await.expect("settled");
        let left = stores.keys().await;
        let left = left
            .iter()
            .filter(|key| key.ends_with(":outbox") || key.ends_with(":parcels"));
        assert_eq!(left.count(), 0, "{kind:?}: nothing is left of it");
    }
}

#[tokio::test]
async fn what_is_handed_back_comes_again_in_time_and_counts_its_attempts() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let alice = account(&store, &stores, "alice").await;
        post(&store, &stores, &alice, "content").await;
        let first = collect(&store).await.remove(0);
        store
            .postpone_job(&first, Duration::from_hours(1), "away")
            .await
            .expect("handed back");
        store.sweep(Duration::ZERO).await.expect("swept");
        assert_eq!(collect(&store).await, [], "{kind:?}: not yet");
        store
            .postpone_job(&first, Duration::ZERO, "away")
            .await
            .expect("handed back");
        store.sweep(Duration::ZERO).await.expect("swept");
        let again = collect(&store).await;
        assert_eq!(again.len(), 1, "{kind:?}");
        assert_eq!(again[0].attempt, 2, "{kind:?}");
        assert_eq!(again[0].content, first.content);
        // Whoever was too slow has no say any more.
        store.finish_job(&first).await.expect("without effect");
        store
            .postpone_job(&again[0], Duration::ZERO, "away")
            .await
            .expect("handed back");
        store.sweep(Duration::ZERO).await.expect("swept");
        assert_eq!(collect(&store).await[0].attempt, 3, "{kind:?}");
    }
}

#[tokio::test]
async fn another_process_delivers_what_a_dead_one_had_posted() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let dead = stores.stepped().await;
        let mut ids = Vec::new();
        for name in ["alice", "bob", "carol"] {
            let user = account(&dead, &stores, name).await;
            ids.push(post(&dead, &stores, &user, name).await);
        }
        drop(dead);
        let store = stores.stepped().await;
        assert_eq!(collect(&store).await, [], "nothing was posted here");
        store
            .sweep(Duration::from_secs(1))
            .await
            .expect("looked around");
        let mut found: Vec<JobId> = collect(&store).await.iter().map(|one| one.id).collect();
        found.sort_unstable();
        ids.sort_unstable();
        assert_eq!(found, ids, "{kind:?}");
    }
}

#[tokio::test]
async fn of_many_workers_one_has_a_job() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let alice = account(&store, &stores, "alice").await;
        for number in 0..100 {
            post(&store, &stores, &alice, &number.to_string()).await;
        }
        let others = [
            stores.stepped().await,
            stores.stepped().await,
            stores.stepped().await,
        ];
        for other in &others {
            other
                .sweep(Duration::from_secs(1))
                .await
                .expect("looked around");
        }
        let all = others.iter().map(collect);
        let taken: Vec<LeasedJob> = futures_util::future::join_all(all).await.concat();
        let mut contents: Vec<u32> = taken
            .iter()
            .map(|one| one.content.parse().unwrap())
            .collect();
        contents.sort_unstable();
        assert_eq!(contents, (0..100).collect::<Vec<_>>(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_commit_that_fails_promises_nothing() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let alice = account(&store, &stores, "alice").await;
    let refused = store.transact(Class::Session, alice.id, |_: Option<User>, draft| {
        draft.enqueue(job(&stores, &LETTER, &alice, "content"));
        Err::<(), _>(Error::Busy)
    });
    assert!(refused.await.is_err());
    store.sweep(Duration::ZERO).await.expect("swept");
    assert_eq!(collect(&store).await, []);
    let bob = stores.user("bob");
    let elsewhere = store.transact(Class::Session, alice.id, |_: Option<User>, draft| {
        draft.enqueue(job(&stores, &LETTER, &bob, "content"));
        Ok::<_, Error>(())
    });
    let same = alice.id.partition() == bob.id.partition();
    assert!(same || matches!(elsewhere.await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn kinds_have_queues_of_their_own_and_one_commit_may_fill_several() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stepped(&stores).await;
        let alice = account(&store, &stores, "alice").await;
        let promised = store.transact(Class::Session, alice.id, |_: Option<User>, draft| {
            draft.enqueue(job(&stores, &LETTER, &alice, "letter"));
            draft.enqueue(job(&stores, &DELIVERY, &alice, "first {\"a\": 1}"));
            draft.enqueue(job(&stores, &HINT, &alice, "hint"));
            draft.enqueue(job(&stores, &DELIVERY, &alice, "second"));
            let later = NewJob {
                due_in: Duration::from_hours(1),
                ..job(&stores, &DELIVERY, &alice, "later")
            };
            draft.enqueue(later);
            Ok::<_, Error>(())
        });
        let _ = promised.await.expect("promised");
        let contents = |jobs: Vec<LeasedJob>| {
            let mut contents: Vec<String> = jobs.into_iter().map(|job| job.content).collect();
            contents.sort_unstable();
            contents
        };
        let deliveries = contents(take(&store, &DELIVERY).await);
        assert_eq!(deliveries, ["first {\"a\": 1}", "second"], "{kind:?}");
        assert_eq!(contents(take(&store, &LETTER).await), ["letter"]);
        assert_eq!(contents(take(&store, &HINT).await), ["hint"]);
    }
}

#[tokio::test]
async fn a_durable_job_survives_the_loss_of_redis_and_is_done_once() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stepped(&stores).await;
        let alice = account(&store, &stores, "alice").await;
        let done = enqueue(&store, &stores, &DELIVERY, &alice, "done").await;
        let first = take_one(&store, &DELIVERY).await;
        store.finish_job(&first).await.expect("finished");
        let left = enqueue(&store, &stores, &DELIVERY, &alice, "left").await;
        let lost = enqueue(&store, &stores, &HINT, &alice, "lost").await;
        store.flush().await.expect("flushed");
        assert_eq!(
            stores.count("SELECT count(*) FROM jobs").await,
            2,
            "{kind:?}"
        );

        stores.empty_redis().await;
        stores.clock.advance(Duration::from_secs(60));
        let other = stepped(&stores).await;
        other.check().await.expect("checked");
        let found = take_one(&other, &DELIVERY).await;
        assert_eq!((found.id, &*found.content), (left, "left"), "{kind:?}");
        assert_eq!(take(&other, &HINT).await, [], "{kind:?}: {lost} is gone");

        // As long as a worker has it, and after it is done, it is not found again.
        other.check().await.expect("checked");
        assert_eq!(take(&other, &DELIVERY).await, [], "{kind:?}");
        other.finish_job(&found).await.expect("finished");
        other.check().await.expect("checked");
        assert_eq!(
            take(&other, &DELIVERY).await,
            [],
            "{kind:?}: {done}, {left}"
        );
        other.flush().await.expect("flushed");
        let open = "SELECT count(*) FROM jobs WHERE deleted_at IS NULL";
        assert_eq!(stores.count(open).await, 0, "{kind:?}");
        stores.clock.advance(Duration::from_hours(7 * 24 + 1));
        assert_eq!(other.purge().await.expect("purged"), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn a_job_is_given_up_after_its_attempts_and_listed_even_when_redis_forgot_some() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stepped(&stores).await;
    let alice = account(&store, &stores, "alice").await;
    let id = enqueue(&store, &stores, &DELIVERY, &alice, "content").await;
    for attempt in 1..=3 {
        stores.clock.advance(Duration::from_secs(60));
        store.flush().await.expect("flushed");
        stores.empty_redis().await;
        store.check().await.expect("checked");
        let taken = take_one(&store, &DELIVERY).await;
        assert_eq!((taken.id, taken.attempt), (id, attempt));
        let outcome = store.fail_job(&taken, "410 Gone").await.expect("failed");
        assert_eq!(outcome == JobOutcome::Dead, attempt == 3, "{outcome:?}");
    }
    store.flush().await.expect("flushed");
    stores.clock.advance(Duration::from_secs(60));
    store.check().await.expect("checked");
    assert_eq!(take(&store, &DELIVERY).await, [], "nobody tries it again");
    let dead = store.dead_jobs(10).await.expect("listed");
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].id, dead[0].attempts), (id, 3));
    assert_eq!(dead[0].failure.as_deref(), Some("410 Gone"));
    assert_eq!(dead[0].content, "content");
}

#[tokio::test]
async fn a_fleeting_job_that_is_given_up_is_listed_without_its_content() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stepped(&stores).await;
    let alice = account(&store, &stores, "alice").await;
    let id = enqueue(&store, &stores, &HINT, &alice, "a secret").await;
    for _ in 0..3 {
        sallyport::clock::sleep(Duration::from_millis(5)).await;
        let taken = take_one(&store, &HINT).await;
        store.fail_job(&taken, "no").await.expect("failed");
    }
    store.flush().await.expect("flushed");
    assert_eq!(take(&store, &HINT).await, []);
    let dead = store.dead_jobs(10).await.expect("listed");
    assert_eq!((dead.len(), dead[0].id), (1, id));
    assert_eq!((&*dead[0].kind, &*dead[0].content), ("hint", ""));
}

#[tokio::test]
async fn a_job_that_kills_every_worker_is_given_up() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stepped(&stores).await;
    let alice = account(&store, &stores, "alice").await;
    enqueue(&store, &stores, &DELIVERY, &alice, "content").await;
    for _ in 0..3 {
        let taken = take_one(&store, &DELIVERY).await;
        // Its worker dies, and the lease is over.
        end_lease(&stores, &taken).await;
    }
    assert_eq!(take(&store, &DELIVERY).await, []);
    store.flush().await.expect("flushed");
    assert_eq!(store.dead_jobs(10).await.expect("listed").len(), 1);
}

#[tokio::test]
async fn jobs_that_wait_and_jobs_that_were_given_up_are_measured() {
    for kind in BOTH {
        let metrics = Metrics::install().expect("recorder");
        let measured =
            |name: &str| value(&metrics, &format!("sallyport_jobs_{name}{{kind=\"hint\"}}"));
        let stores = TestStores::new(kind).await;
        let store = stepped(&stores).await;
        let alice = account(&store, &stores, "alice").await;
        store.sweep(Duration::ZERO).await.expect("swept");
        assert_eq!(
            (measured("waiting"), measured("oldest_seconds")),
            (0, 0),
            "{kind:?}"
        );
        enqueue(&store, &stores, &HINT, &alice, "one").await;
        stores.clock.advance(Duration::from_secs(90));
        enqueue(&store, &stores, &HINT, &alice, "two").await;
        store.sweep(Duration::ZERO).await.expect("swept");
        assert_eq!(
            (measured("waiting"), measured("oldest_seconds")),
            (2, 90),
            "{kind:?}"
        );

        for job in take(&store, &HINT).await {
            let job = LeasedJob { attempt: 3, ..job };
            let failed = store.fail_job(&job, "no").await.expect("failed");
            assert_eq!(failed, JobOutcome::Dead);
        }
        store.flush().await.expect("flushed");
        store.check().await.expect("checked");
        assert_eq!(measured("dead"), 2, "{kind:?}");
    }
}
