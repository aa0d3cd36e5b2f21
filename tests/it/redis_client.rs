//! The connection to Redis: it comes back by itself after a fail-over, while slots move, and when Redis was away at
//! the start; what cannot mend itself is named.

use std::collections::BTreeSet;

use bytes::Bytes;
use fred::util::redis_keyslot;
use http::{Method, StatusCode};
use sallyport::clock::Clock;
use sallyport::crypto::Keys;
use sallyport::dev::{PrivateCluster, PrivateRedis, PrivateSentinel, RedisOptions, free_port};
use sallyport::store::{Error, Store};

use crate::harness::store_servers::{binaries, own_folder};
use crate::harness::stores::INDEX_KEY;
use crate::harness::{
    Anonymous, Options, OwnStores, PASSWORD, RedisProxy, TestServer, TestStores, eventually,
};

/// Accounts enough to have some on every primary of a Cluster.
const NAMES: [&str; 12] = [
    "ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hal", "ida", "jon", "kim", "leo",
];

async fn logs_in(server: &TestServer, names: &[&str]) -> bool {
    for name in names {
        if server.try_login(name, PASSWORD).await.status != StatusCode::OK {
            return false;
        }
    }
    true
}

async fn is_ready(server: &TestServer) -> bool {
    let path = "/health/ready";
    let answer = server.ask(Method::GET, path, &[], Bytes::new()).await;
    answer.status == StatusCode::OK
}

async fn register_all(server: &TestServer) {
    for name in NAMES {
        server.register(name).await;
    }
}

#[tokio::test]
async fn behind_sentinel_both_instances_leave_a_paused_primary_though_they_have_traffic() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let sentinel = PrivateSentinel::start(&binaries(), folder.path(), options).await;
    let mut sentinel = sentinel.expect("started");
    let stores = TestStores::over_redis(&own, &sentinel.url()).await;
    let here = TestServer::open(&stores, Options::unlimited()).await;
    let there = here.another(&stores, Options::unlimited()).await;
    here.register("alice").await;
    here.store.flush().await.expect("flushed");
    sentinel.node(0).pause();
    for server in [&here, &there] {
        eventually("it writes to the promoted one", async || {
            logs_in(server, &["alice"]).await && is_ready(server).await
        })
        .await;
    }
    assert_eq!(sentinel.primary().await.expect("agreed"), 1);
}

#[tokio::test]
async fn behind_sentinel_a_planned_fail_over_is_followed() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let sentinel = PrivateSentinel::start(&binaries(), folder.path(), options).await;
    let sentinel = sentinel.expect("started");
    let stores = TestStores::over_redis(&own, &sentinel.url()).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    sentinel.fail_over().await.expect("agreed");
    eventually("the other one is promoted", async || {
        sentinel.primary().await.is_ok_and(|primary| primary == 1)
    })
    .await;
    eventually("it writes there", async || {
        logs_in(&server, &["alice"]).await
    })
    .await;
}

#[tokio::test]
async fn behind_sentinel_an_old_primary_that_goes_on_as_one_is_left() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let sentinel = PrivateSentinel::start(&binaries(), folder.path(), options).await;
    let sentinel = sentinel.expect("started");
    let stores = TestStores::over_redis(&own, &sentinel.url()).await;
    let here = TestServer::open(&stores, Options::unlimited()).await;
    let there = here.another(&stores, Options::unlimited()).await;
    here.register("alice").await;
    here.store.flush().await.expect("flushed");
    let [old, promoted] = sentinel.nodes() else {
        panic!("two nodes")
    };
    // The Sentinels cannot make it a replica, as they cannot while it is cut off from them.
    let stays = ["ACL", "SETUSER", "default", "-replicaof", "-slaveof"];
    old.ask(&stays).await.expect("forbidden");
    sentinel.fail_over().await.expect("agreed");
    eventually("the other one is promoted", async || {
        sentinel.primary().await.is_ok_and(|primary| primary == 1)
    })
    .await;
    let keys = async || promoted.ask(&["DBSIZE"]).await.expect("counted");
    for server in [&here, &there] {
        eventually("its logins are at the promoted one", async || {
            let before = keys().await;
            logs_in(server, &["alice"]).await && keys().await != before
        })
        .await;
    }
    let role = old.ask(&["INFO", "replication"]).await.expect("told");
    assert!(role.contains("role:master"), "{role}");
}

#[tokio::test]
async fn in_a_cluster_both_instances_leave_a_paused_primary_though_they_have_traffic() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let cluster = PrivateCluster::start_replicated(&binaries(), folder.path(), options).await;
    let mut cluster = cluster.expect("started");
    let stores = TestStores::over_redis(&own, &cluster.url()).await;
    let here = TestServer::open(&stores, Options::unlimited()).await;
    let there = here.another(&stores, Options::unlimited()).await;
    register_all(&here).await;
    here.store.flush().await.expect("flushed");
    cluster.node(0).pause();
    for server in [&here, &there] {
        eventually("it writes to the promoted one", async || {
            logs_in(server, &NAMES).await && is_ready(server).await
        })
        .await;
    }
}

/// The stores of `own`, with Redis behind a proxy.
async fn behind(proxy: &RedisProxy, own: &OwnStores) -> TestStores {
    let url = format!("redis://:{}@127.0.0.1:{}", own.redis.password(), proxy.port);
    TestStores::over_redis(own, &url).await
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_though_commands_are_sent_to_it() {
    let own = OwnStores::start().await;
    let proxy = RedisProxy::to(own.redis.port()).await;
    let stores = behind(&proxy, &own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    proxy.silence();
    eventually("it connects anew", async || {
        logs_in(&server, &["alice"]).await && is_ready(&server).await
    })
    .await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_any_more_is_left_for_another_though_it_answers() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let next = PrivateRedis::start(&binaries(), folder.path(), RedisOptions::throwaway()).await;
    let next = next.expect("started");
    let password = ["CONFIG", "SET", "requirepass", own.redis.password()];
    next.ask(&password).await.expect("set");
    let proxy = RedisProxy::to(own.redis.port()).await;
    let stores = behind(&proxy, &own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    server.store.flush().await.expect("flushed");
    proxy.lead_to(next.port());
    // Its new primary does not matter here.
    let demoted = own.redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    demoted.expect("demoted");
    eventually("it writes to the other one", async || {
        logs_in(&server, &["alice"]).await && is_ready(&server).await
    })
    .await;
}

/// A slot of a Cluster that moves from one primary to another.
struct Move<'a> {
    slot: String,
    from: &'a PrivateRedis,
    to: &'a PrivateRedis,
}

impl<'a> Move<'a> {
    /// The move of a slot that holds keys, to the primary after its own.
    async fn of(slot: u16, nodes: &'a [PrivateRedis]) -> Self {
        let slot = slot.to_string();
        for (number, from) in nodes.iter().enumerate() {
            let held = from.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).await;
            if held.expect("counted") != "0" {
                let to = &nodes[(number + 1) % nodes.len()];
                return Self { slot, from, to };
            }
        }
        panic!("no node has keys of slot {slot}");
    }

    /// From now on both primaries know of the move.
    async fn announce(&self) {
        let (from, to) = (id(self.from).await, id(self.to).await);
        set_slot(self.to, &self.slot, &["IMPORTING", &from]).await;
        set_slot(self.from, &self.slot, &["MIGRATING", &to]).await;
    }

    /// All keys are at the new primary now, and the old one refers to it.
    async fn carry(&self, keys: &[String]) {
        let port = self.to.port().to_string();
        let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "REPLACE"];
        command.extend(["AUTH", self.to.password(), "KEYS"]);
        command.extend(keys.iter().map(String::as_str));
        self.from.ask(&command).await.expect("migrated");
    }

    /// The slot belongs to the new primary.
    async fn end(&self, nodes: &[PrivateRedis]) {
        let to = id(self.to).await;
        set_slot(self.to, &self.slot, &["NODE", &to]).await;
        for node in nodes {
            set_slot(node, &self.slot, &["NODE", &to]).await;
        }
    }
}

async fn id(node: &PrivateRedis) -> String {
    node.ask(&["CLUSTER", "MYID"]).await.expect("an id")
}

async fn set_slot(node: &PrivateRedis, slot: &str, state: &[&str]) {
    let command = [&["CLUSTER", "SETSLOT", slot], state].concat();
    node.ask(&command).await.expect("set");
}

/// Keys of a slot.
async fn keys_of(stores: &TestStores, slot: u16) -> Vec<String> {
    let mut keys = stores.keys().await;
    keys.retain(|key| redis_keyslot(key.as_bytes()) == slot);
    keys
}

#[tokio::test]
async fn slots_that_move_are_waited_for_without_a_restart_and_without_an_unknown_outcome() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let cluster = PrivateCluster::start(&binaries(), folder.path(), options).await;
    let cluster = cluster.expect("started");
    let stores = TestStores::over_redis(&own, &cluster.url()).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    server.store.flush().await.expect("flushed");
    let keys = stores.keys().await;
    let slots: BTreeSet<u16> = keys
        .iter()
        .map(|key| redis_keyslot(key.as_bytes()))
        .collect();
    let mut moves = Vec::new();
    for slot in slots {
        let step = Move::of(slot, cluster.nodes()).await;
        step.announce().await;
        step.carry(&keys_of(&stores, slot).await).await;
        moves.push(step);
    }
    for _ in 0..3 {
        let answer = server.try_login("alice", PASSWORD).await;
        let (status, code) = answer.problem();
        assert_eq!((status, code.as_str()), (503, "unavailable"));
    }
    for step in &moves {
        step.end(cluster.nodes()).await;
    }
    eventually("it follows", async || {
        logs_in(&server, &["alice"]).await && is_ready(&server).await
    })
    .await;
}

#[tokio::test]
async fn a_login_waits_until_a_slot_has_moved() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let cluster = PrivateCluster::start(&binaries(), folder.path(), options).await;
    let cluster = cluster.expect("started");
    let stores = TestStores::over_redis(&own, &cluster.url()).await;
    let here = TestServer::open(&stores, Options::unlimited()).await;
    let there = here.another(&stores, Options::unlimited()).await;
    register_all(&here).await;
    // Those of the accounts and of their names: to move all would take minutes.
    let keys = stores.keys().await.into_iter();
    let keys = keys.filter(|key| key.contains(":user:") || key.contains(":ix:"));
    let slots: BTreeSet<u16> = keys.map(|key| redis_keyslot(key.as_bytes())).collect();
    let moving = async {
        for slot in slots {
            let step = Move::of(slot, cluster.nodes()).await;
            step.announce().await;
            // A login may add a key in between, which has to go along.
            loop {
                let keys = keys_of(&stores, slot).await;
                if keys.is_empty() {
                    break;
                }
                step.carry(&keys).await;
                let left = step
                    .from
                    .ask(&["CLUSTER", "COUNTKEYSINSLOT", &step.slot])
                    .await;
                if left.is_ok_and(|left| left == "0") {
                    break;
                }
            }
            step.end(cluster.nodes()).await;
        }
    };
    let done = std::cell::Cell::new(false);
    let load = async |server: &TestServer| {
        let mut codes = Vec::new();
        while !done.get() {
            for name in NAMES {
                let answer = server.try_login(name, PASSWORD).await;
                if answer.status != StatusCode::OK {
                    codes.push(answer.problem().1);
                }
            }
        }
        codes
    };
    let moving = async {
        moving.await;
        done.set(true);
    };
    let (here, there, ()) = tokio::join!(load(&here), load(&there), moving);
    assert_eq!((here, there), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_service_that_starts_without_redis_refuses_and_serves_once_redis_is_there() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    own.redis.stop().await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let answer = server.try_login("alice", PASSWORD).await;
    assert_eq!(answer.problem(), (503, "unavailable".to_owned()));
    assert!(!is_ready(&server).await);
    own.redis.restart().await.expect("started");
    eventually("it is ready", async || is_ready(&server).await).await;
    eventually("it registers", async || {
        let answer = server.try_register("alice").await;
        answer.status != StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    server.login("alice").await;
    eventually("it has examined Redis", async || {
        let notes = server.store.notes();
        notes.iter().any(|note| note.contains("appendfsync"))
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_evicts_is_found_out_though_it_was_away_at_the_start() {
    let mut own =
        OwnStores::start_with(RedisOptions::throwaway().with("maxmemory-policy", "allkeys-lru"))
            .await;
    let stores = TestStores::over_own(&own).await;
    let refused = open(&stores).await.expect_err("evicts").to_string();
    assert!(
        refused.contains("maxmemory-policy is allkeys-lru"),
        "{refused}"
    );

    own.redis.stop().await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    own.redis.restart().await.expect("started");
    eventually("it has examined Redis", async || {
        let notes = server.store.notes();
        notes.iter().any(|note| note.contains("maxmemory-policy"))
    })
    .await;
    assert!(!is_ready(&server).await);
    let policy = ["CONFIG", "SET", "maxmemory-policy", "noeviction"];
    own.redis.ask(&policy).await.expect("set");
    eventually("it is ready", async || is_ready(&server).await).await;
}

async fn open(stores: &TestStores) -> Result<Store, Error> {
    let (redis, postgres, settings) = (&stores.redis, &stores.postgres, &stores.settings);
    Store::open(redis, postgres, settings, INDEX_KEY, stores.clock.clone()).await
}

#[tokio::test]
async fn a_wrong_password_ends_the_start_and_is_named_without_being_told() {
    let own = OwnStores::start().await;
    let mut stores = TestStores::over_own(&own).await;
    let address = format!("127.0.0.1:{}", own.redis.port());
    for (url, cause) in [
        (format!("redis://:s3cret-word@{address}"), "WRONGPASS"),
        (format!("redis://{address}"), "NOAUTH"),
        (
            format!("redis-cluster://:{}@{address}", own.redis.password()),
            "Cluster",
        ),
    ] {
        stores.redis.url = url;
        let refused = open(&stores).await.expect_err("no entry").to_string();
        for part in [cause, &address, "REDIS_URL"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        assert!(!refused.contains("s3cret-word"), "{refused}");
        assert!(!refused.contains(own.redis.password()), "{refused}");
    }
}

#[tokio::test]
async fn the_log_names_the_cause_while_redis_is_away_and_requests_are_answered() {
    let own = OwnStores::start().await;
    let folder = own_folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    Keys::generate(folder.path().join("keys").as_path(), Clock::system().now()).expect("keys");
    let (port, nobody) = (free_port(), free_port());
    let log = std::fs::File::create(path("log")).expect("log");
    let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_sallyport"));
    serve
        .arg("serve")
        .env_clear()
        .env("KEYS_FILE", path("keys"))
        .env("DATABASE_URL", own.database_url())
        .env("REDIS_URL", format!("redis://:s3cret@127.0.0.1:{nobody}"))
        .env("HOST", "127.0.0.1")
        .env("PORT", port.to_string())
        .env("ADMIN_ADDR", format!("127.0.0.1:{}", free_port()))
        .stdout(log.try_clone().expect("log"))
        .stderr(log);
    let mut serve = serve.spawn().expect("started");
    let read = || std::fs::read_to_string(path("log")).expect("read");
    eventually("the cause is in the log", async || {
        let log = read();
        let address = format!("127.0.0.1:{nobody}");
        log.contains("connection refused") && log.contains(&address)
    })
    .await;
    let server = Anonymous::at(([127, 0, 0, 1], port).into());
    let answer = server.try_login("alice", PASSWORD).await;
    assert_eq!(answer.problem(), (503, "unavailable".to_owned()));
    assert!(!read().contains("s3cret"), "{}", read());
    serve.kill().expect("killed");
    serve.wait().expect("ended");
}

#[tokio::test]
async fn a_redis_that_forbids_config_and_tracking_serves_with_notes() {
    let own = OwnStores::start().await;
    let user = ["ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all"];
    let denied = [
        "-config",
        "-client|tracking",
        "-client|trackinginfo",
        "-script",
        "-role",
    ];
    let command = [&user[..], &denied].concat();
    own.redis.ask(&command).await.expect("set");
    let mut stores = TestStores::over_own(&own).await;
    stores.redis.url = format!("redis://app:word@127.0.0.1:{}", own.redis.port());
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    assert_eq!(server.me(&alice).await, StatusCode::OK);
    for part in ["CONFIG", "CLIENT TRACKING"] {
        eventually(part, async || {
            let notes = server.store.notes();
            notes.iter().any(|note| note.contains(part))
        })
        .await;
    }
    assert!(is_ready(&server).await);
    assert_eq!(alice.through(&server).logout().await.status, StatusCode::OK);
    assert_eq!(server.me(&alice).await, StatusCode::UNAUTHORIZED);
}
