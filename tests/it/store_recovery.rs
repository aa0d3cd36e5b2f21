//! Service after a store went away: how much is lost (nothing, where nothing was), and who must be asked.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use sallyport::dev::{PrivateRedis, RedisOptions};
use sallyport::model::{Session, User};
use sallyport::store::{Class, Error, Store};

use crate::harness::store_servers::{binaries, own_folder};
use crate::harness::{Kind, LoggedIn, Options, OwnStores, RedisProxy, TestServer, TestStores};
use crate::harness::{eventually, records};

/// Accounts, in almost as many partitions.
const ACCOUNTS: usize = 40;
/// A hold that no test outlives.
const FOR_EVER: Duration = Duration::from_secs(3600);

async fn accounts(store: &Store, stores: &TestStores) -> Vec<User> {
    let users: Vec<User> = (0..ACCOUNTS)
        .map(|number| stores.user(&format!("user{number}")))
        .collect();
    for user in &users {
        let _ = records::add(store, stores, user).await.expect("commit");
        let challenge = stores.challenge(user);
        let put = store.transact(Class::Session, challenge.id, |_, draft| {
            draft.put(&challenge);
            Ok::<_, Error>(())
        });
        let _ = put.await.expect("commit");
    }
    store.flush().await.expect("flush");
    users
}

/// Accounts are read and changed by every store at the same time until each has succeeded.
async fn all_are_served(on: &[&Store], users: &[User]) {
    let served = on.iter().flat_map(|store| {
        users.iter().map(async |user| {
            eventually("an account is served", async || {
                store.read(user.id).await.is_ok() && records::bump(store, user.id).await.is_ok()
            })
            .await;
        })
    });
    futures_util::future::join_all(served).await;
}

/// Incarnations of the partitions.
async fn incarnations(stores: &TestStores) -> BTreeSet<String> {
    let contents = stores.contents().await.into_iter();
    let incarnations = contents.filter(|(key, _)| key.ends_with(":era"));
    incarnations
        .map(|(key, value)| format!("{key} {value}"))
        .collect()
}

async fn open(own: &OwnStores, hold: Duration) -> TestStores {
    let mut stores = TestStores::over_own(own).await;
    stores.settings.loss_hold = hold;
    stores
}

#[tokio::test]
async fn a_restart_of_redis_with_its_whole_log_is_no_loss() {
    let mut own = OwnStores::start().await;
    let stores = open(&own, FOR_EVER).await;
    let (one, two) = (stores.running().await, stores.running().await);
    let users = accounts(&one, &stores).await;
    all_are_served(&[&two], &users).await;
    let before = incarnations(&stores).await;

    own.redis.written().await;
    own.redis.kill().await;
    own.redis.restart().await.expect("redis");
    all_are_served(&[&one, &two], &users).await;
    let stores = open(&own, FOR_EVER).await;
    assert_eq!(incarnations(&stores).await, before, "nothing was lost");
    let challenges = stores.keys().await.into_iter();
    let challenges = challenges.filter(|key| key.contains(":challenge:"));
    assert_eq!(challenges.count(), ACCOUNTS);
}

#[tokio::test]
async fn a_restart_that_an_instance_did_not_survive_is_no_loss_after_the_hold() {
    let mut own = OwnStores::start().await;
    let stores = open(&own, Duration::from_millis(500)).await;
    let (one, two) = (stores.running().await, stores.stepped().await);
    let users = accounts(&two, &stores).await;
    all_are_served(&[&one], &users).await;
    let before = incarnations(&stores).await;

    // It will not say what it has seen.
    drop(two);
    own.redis.written().await;
    own.redis.kill().await;
    own.redis.restart().await.expect("redis");
    all_are_served(&[&one], &users).await;
    let stores = open(&own, FOR_EVER).await;
    assert_eq!(incarnations(&stores).await, before, "nothing was lost");
    // Nobody waits for it twice.
    own.redis.restart().await.expect("redis");
    all_are_served(&[&one], &users).await;
}

#[tokio::test]
async fn a_clean_restart_of_service_and_redis_is_no_loss() {
    let mut own = OwnStores::start().await;
    let stores = open(&own, FOR_EVER).await;
    let store = stores.running().await;
    let users = accounts(&store, &stores).await;
    let before = incarnations(&stores).await;
    store.close(Duration::from_secs(300)).await;
    own.redis.restart().await.expect("redis");

    let stores = open(&own, FOR_EVER).await;
    let store = stores.running().await;
    all_are_served(&[&store], &users).await;
    assert_eq!(incarnations(&stores).await, before, "nothing was lost");
}

#[tokio::test]
async fn a_loss_noted_by_a_clock_that_was_ahead_holds_up_no_other_server() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let store = stores.stepped().await;
    let user = stores.user("nora");
    let _ = records::add(&store, &stores, &user).await.expect("commit");
    store.flush().await.expect("flush");
    let meta = format!("{{{}}}:meta", user.id.partition());
    let text = own.redis.ask(&["GET", &meta]).await.expect("meta");
    let mut words: Vec<&str> = text.split(' ').collect();
    words[3] = "4000000000000000";
    own.redis
        .ask(&["SET", &meta, &words.join(" ")])
        .await
        .expect("set");
    assert!(records::bump(&store, user.id).await.is_err(), "it is held");
    own.redis.written().await;
    own.redis.restart().await.expect("restart");
    eventually("it takes commits", async || {
        records::bump(&store, user.id).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn an_emptied_redis_begins_anew_once_for_every_partition() {
    let mut own = OwnStores::start().await;
    let stores = open(&own, Duration::from_millis(500)).await;
    let (one, two) = (stores.running().await, stores.stepped().await);
    let users = accounts(&one, &stores).await;
    all_are_served(&[&one, &two], &users).await;
    one.flush().await.expect("flush");
    two.flush().await.expect("flush");

    own.redis.restart_empty().await.expect("redis");
    all_are_served(&[&one], &users).await;
    let stores = open(&own, Duration::from_millis(500)).await;
    let first = incarnations(&stores).await;
    // The other one tells later what it had seen on the server before.
    all_are_served(&[&two], &users).await;
    two.check().await.expect("check");
    one.check().await.expect("check");
    assert_eq!(incarnations(&stores).await, first);
    one.flush().await.expect("flush");
    two.flush().await.expect("flush");
    let lost = stores.count("SELECT count(*) FROM users WHERE device_epoch < 4");
    assert_eq!(lost.await, 0, "every change counts");
}

#[tokio::test]
async fn with_postgres_away_a_restart_is_confirmed_by_those_who_have_seen_all_of_it() {
    let mut own = OwnStores::start().await;
    let stores = open(&own, FOR_EVER).await;
    let (one, two) = (stores.running().await, stores.running().await);
    let users = accounts(&one, &stores).await;
    all_are_served(&[&one, &two], &users).await;
    let before = incarnations(&stores).await;
    own.postgres.stop().await;

    own.redis.written().await;
    own.redis.kill().await;
    own.redis.restart().await.expect("redis");
    all_are_served(&[&one, &two], &users).await;
    // Another store could not be opened on a PostgreSQL that is away.
    own.postgres.restart().await.expect("postgres");
    let stores = open(&own, FOR_EVER).await;
    assert_eq!(incarnations(&stores).await, before, "nothing was lost");
}

#[tokio::test]
async fn after_a_fail_over_an_instance_that_saw_no_logout_does_not_accept_the_session() {
    let stores = TestStores::new(Kind::Single).await;
    let (one, two) = (stores.stepped().await, stores.stepped().await);
    let user = stores.user("alice");
    let _ = records::add(&one, &stores, &user).await.expect("commit");
    let (session, _) = records::open_session(&one, &stores, &user)
        .await
        .expect("session");
    one.flush().await.expect("flush");
    assert!(two.read(session).await.expect("read").is_some());
    let lagging = stores.picture().await;
    let end = |found: Option<Session>, draft: &mut sallyport::store::Draft| {
        let mut found = found.expect("session");
        found.end(found.created_at);
        draft.put(&found);
        Ok::<_, Error>(())
    };
    let _ = one
        .transact(Class::Restrict, session, end)
        .await
        .expect("commit");
    one.flush().await.expect("flush");

    stores.rewind(lagging).await;
    let (found, _) = two.look_up(session, user.id).await.expect("read");
    assert!(found.is_none_or(|session| session.deleted_at.is_some()));
}

#[tokio::test]
async fn what_was_committed_on_an_old_primary_reaches_the_promoted_one_though_that_went_further() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let promoted = PrivateRedis::start(&binaries(), folder.path(), RedisOptions::throwaway()).await;
    let promoted = promoted.expect("started");
    let (password, port) = (own.redis.password(), own.redis.port().to_string());
    for command in [
        &["ACL", "SETUSER", "default", &format!(">{password}")][..],
        &["CONFIG", "SET", "masterauth", password],
        &["REPLICAOF", "127.0.0.1", &port],
    ] {
        promoted.ask(command).await.expect("set");
    }
    let proxies = [
        RedisProxy::to(own.redis.port()).await,
        RedisProxy::to(own.redis.port()).await,
    ];
    let url = |proxy: &RedisProxy| format!("redis://:{password}@127.0.0.1:{}", proxy.port);
    let stores = TestStores::over_redis(&own, &url(&proxies[0])).await;
    let (one, two) = (
        stores.running().await,
        TestStores::over_redis(&own, &url(&proxies[1]))
            .await
            .running()
            .await,
    );
    let user = stores.user("alice");
    let _ = records::add(&one, &stores, &user).await.expect("commit");
    one.flush().await.expect("flush");
    assert!(two.read(user.id).await.expect("read").is_some());
    eventually("the replica is in step", async || {
        let in_step = own.redis.ask(&["WAIT", "1", "1000"]).await;
        in_step.is_ok_and(|replicas| replicas == "1")
    })
    .await;

    let challenge = stores.challenge(&user);
    let goes_further = async || {
        let put = one.transact(Class::Session, challenge.id, |_, draft| {
            draft.put(&challenge);
            Ok::<_, Error>(())
        });
        put.await.is_ok()
    };
    let move_on = |proxy: &RedisProxy| {
        proxy.lead_to(promoted.port());
        proxy.silence();
    };
    promoted
        .ask(&["REPLICAOF", "NO", "ONE"])
        .await
        .expect("promoted");
    move_on(&proxies[0]);
    eventually("one has left the old primary", goes_further).await;
    let _ = records::bump(&two, user.id).await.expect("commit");
    two.flush().await.expect("flush");
    assert!(goes_further().await);

    move_on(&proxies[1]);
    for store in [&two, &one] {
        eventually("the change is in Redis", async || {
            let found = store.read(user.id).await;
            found.is_ok_and(|found| found.is_some_and(|user| user.device_epoch == 1))
        })
        .await;
    }
}

#[tokio::test]
async fn a_service_starts_and_serves_while_postgres_is_away() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    own.postgres.stop().await;

    let server = server.restart(&stores, Options::unlimited()).await;
    assert_eq!(server.me(&alice).await, StatusCode::OK);
    let alice = server.login("alice").await;
    let refreshed = server.refresh(&alice.refresh).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.text);
    assert_eq!(server.me(&LoggedIn::of(&refreshed)).await, StatusCode::OK);
    let ready = server.send_absolute("GET /health/ready", &[], None).await;
    assert_eq!(ready.status, StatusCode::OK, "{}", ready.text);
    let bob = server.try_register("bob").await;
    assert_eq!(bob.status, StatusCode::SERVICE_UNAVAILABLE, "{}", bob.text);
    own.postgres.restart().await.expect("postgres");
    eventually("names can be promised again", async || {
        server.try_register("bob").await.status == StatusCode::CREATED
    })
    .await;
}

#[tokio::test]
async fn a_service_that_knows_nothing_of_the_schema_answers_503_until_postgres_is_there() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    own.postgres.stop().await;
    own.redis.restart_empty().await.expect("redis");

    let server = server.restart(&stores, Options::unlimited()).await;
    assert_eq!(server.me(&alice).await, StatusCode::SERVICE_UNAVAILABLE);
    let login = server.try_login("alice", crate::harness::PASSWORD).await;
    assert_eq!(
        login.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        login.text
    );
    let ready = server.send_absolute("GET /health/ready", &[], None).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let live = server.send_absolute("GET /health/live", &[], None).await;
    assert_eq!(live.status, StatusCode::OK);
    own.postgres.restart().await.expect("postgres");
    eventually("it serves", async || {
        server.me(&alice).await == StatusCode::OK
    })
    .await;
    let ready = server.send_absolute("GET /health/ready", &[], None).await;
    assert_eq!(ready.status, StatusCode::OK, "{}", ready.text);
}

#[tokio::test]
async fn a_schema_newer_than_the_program_is_called_so_whether_postgres_is_there_or_not() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    stores.running().await.close(Duration::from_secs(10)).await;
    let newer = "INSERT INTO _sqlx_migrations \
                 (version, description, success, checksum, execution_time) \
                 VALUES (29990101000000, 'newer', true, '', 0)";
    let inserted = sqlx::query(newer).execute(&stores.pool).await;
    inserted.expect("insert");
    let refusal = async || {
        let stores = (&stores.redis, &stores.postgres, &stores.settings);
        let clock = sallyport::clock::Clock::system();
        let opened = Store::connect(stores.0, stores.1, stores.2, [7; 32], clock).await;
        opened.expect_err("refused").to_string()
    };
    assert!(refusal().await.contains("newer"), "{}", refusal().await);

    let remembered = "29990101000000";
    let key = stores.keys().await.into_iter().find(|key| key == "schema");
    let key = key.expect("the schema is remembered");
    let set = own.redis.ask(&["SET", &key, remembered]).await;
    set.expect("set");
    own.postgres.stop().await;
    assert!(refusal().await.contains("newer"), "{}", refusal().await);
}

#[tokio::test]
async fn readers_of_one_cold_record_share_one_question_to_postgres() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.postgres.connections = 2;
    let store = stores.stepped().await;
    let (busy, other) = (stores.user("alice"), stores.user("bob"));
    for user in [&busy, &other] {
        let _ = records::add(&store, &stores, user).await.expect("commit");
    }
    let (session, _) = records::open_session(&store, &stores, &other)
        .await
        .expect("session");
    store.flush().await.expect("flush");
    stores.evict(":user:").await;
    stores.evict(":session:").await;
    let mut slow = stores.pool.begin().await.expect("begin");
    let lock = sqlx::query("LOCK TABLE users IN ACCESS EXCLUSIVE MODE");
    lock.execute(&mut *slow).await.expect("lock");

    let crowd: Vec<_> = (0..200)
        .map(|_| {
            let (store, id) = (store.clone(), busy.id);
            tokio::spawn(async move { store.read(id).await })
        })
        .collect();
    eventually("PostgreSQL is asked", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        stores.count(waiting).await > 0
    })
    .await;
    let session = store.read(session).await;
    assert!(session.expect("one connection is free").is_some());
    slow.rollback().await.expect("rollback");
    for reader in crowd {
        let user = reader.await.expect("reader").expect("read");
        assert_eq!(user.as_ref(), Some(&busy));
    }
}

#[tokio::test]
async fn records_of_which_one_was_cold_are_read_as_of_one_moment() {
    let own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let (reader, writer) = (stores.stepped().await, stores.stepped().await);
    let user = stores.user("olga");
    let _ = records::add(&writer, &stores, &user).await.expect("commit");
    let opened = records::open_session(&writer, &stores, &user).await;
    let (session, _) = opened.expect("session");
    writer.flush().await.expect("flush");
    let keys = stores.keys().await;
    let key = keys
        .iter()
        .find(|key| key.contains(":user:"))
        .expect("a key");
    let warm = own.redis.ask(&["GET", key]).await.expect("an image");
    stores.evict(":user:").await;
    let mut lock = stores.pool.begin().await.expect("begin");
    let locked = sqlx::query("LOCK TABLE users IN ACCESS EXCLUSIVE MODE");
    locked.execute(&mut *lock).await.expect("lock");

    let read = tokio::spawn({
        let (reader, user) = (reader.clone(), user.id);
        async move { reader.read((session, user)).await }
    });
    eventually("PostgreSQL is asked", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        stores.count(waiting).await > 0
    })
    .await;
    own.redis.ask(&["SET", key, &warm]).await.expect("set");
    let keys = (session, user.id);
    let changed = writer.transact(
        Class::Restrict,
        keys,
        |(session, user): (Option<Session>, Option<User>), draft| {
            let (mut session, mut user) = (session.expect("session"), user.expect("user"));
            user.session_epoch += 1;
            session.outlive(&user);
            draft.put(&session);
            draft.put(&user);
            Ok::<_, Error>(())
        },
    );
    let _ = changed.await.expect("commit");
    lock.rollback().await.expect("rollback");
    let (session, user) = read.await.expect("reader").expect("read");
    let (session, user) = (session.expect("session"), user.expect("user"));
    assert_eq!(session.epoch, user.session_epoch);
}
