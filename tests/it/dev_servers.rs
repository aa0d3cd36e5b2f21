//! The private servers: what the fault tests and `sallyport dev` rely on.

use std::time::Duration;

use sallyport::dev::{
    AppendFsync, Lifetime, PrivateCluster, PrivatePostgres, PrivateRedis, PrivateSentinel,
    RedisOptions,
};
use sqlx::{Connection, PgConnection};

use crate::harness::eventually;
use crate::harness::store_servers::{OwnStores, SharedStores, binaries, own_folder};

#[tokio::test]
async fn redis_keeps_acknowledged_writes_when_killed_and_loses_them_when_restarted_empty() {
    let folder = own_folder();
    let options = RedisOptions {
        append_fsync: AppendFsync::Always,
        ..RedisOptions::throwaway()
    };
    let mut redis = PrivateRedis::start(&binaries(), folder.path(), options)
        .await
        .unwrap();
    let (port, pid) = (redis.port(), redis.pid());
    redis.ask(&["SET", "key", "value"]).await.unwrap();

    redis.kill().await;
    assert!(!redis.is_running());
    assert!(redis.ask(&["PING"]).await.is_err());
    redis.restart().await.unwrap();
    assert_eq!(redis.port(), port);
    assert_ne!(redis.pid(), pid);
    assert_eq!(redis.ask(&["GET", "key"]).await.unwrap(), "value");

    redis.restart_empty().await.unwrap();
    assert_eq!(redis.port(), port);
    assert_eq!(redis.ask(&["DBSIZE"]).await.unwrap(), "0");
}

#[tokio::test]
async fn redis_never_evicts_and_asks_for_its_password() {
    let folder = own_folder();
    let redis = PrivateRedis::start(&binaries(), folder.path(), RedisOptions::lasting())
        .await
        .unwrap();
    let info = redis.ask(&["INFO", "everything"]).await.unwrap();
    assert!(info.contains("maxmemory_policy:noeviction"));
    assert!(info.contains("aof_enabled:1"));
    assert!(redis.url().contains(redis.password()));
    let stranger = tokio::net::TcpStream::connect(("127.0.0.1", redis.port())).await;
    let answer = first_answer(stranger.unwrap(), b"PING\r\n").await;
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
}

#[tokio::test]
async fn paused_redis_is_silent_and_goes_on_afterwards() {
    let folder = own_folder();
    let mut redis = PrivateRedis::start(&binaries(), folder.path(), RedisOptions::throwaway())
        .await
        .unwrap();
    redis.pause();
    let error = redis.ask(&["PING"]).await.unwrap_err().to_string();
    assert!(error.contains("timed out"), "{error}");
    assert!(redis.is_running());
    redis.resume();
    assert_eq!(redis.ask(&["PING"]).await.unwrap(), "PONG");
}

#[tokio::test]
async fn redis_left_behind_by_an_earlier_run_is_replaced_with_its_data_kept() {
    let folder = own_folder();
    let earlier = PrivateRedis::start(&binaries(), folder.path(), RedisOptions::lasting())
        .await
        .unwrap();
    earlier.ask(&["SET", "key", "value"]).await.unwrap();
    let (port, pid) = (earlier.port(), earlier.pid());
    // Reaps the earlier one while the next ends it, as init does when the parent is gone.
    let reaper = tokio::spawn(async move {
        let mut earlier = earlier;
        while earlier.is_running() {
            clock_tick().await;
        }
    });
    let next = PrivateRedis::start(&binaries(), folder.path(), RedisOptions::lasting())
        .await
        .unwrap();
    reaper.await.unwrap();
    assert_eq!(next.port(), port);
    assert_ne!(next.pid(), pid);
    assert_eq!(next.ask(&["GET", "key"]).await.unwrap(), "value");
}

#[tokio::test]
async fn server_that_cannot_start_shows_its_log() {
    let folder = own_folder();
    let options = RedisOptions::throwaway().with("no-such-setting", "1");
    let error = PrivateRedis::start(&binaries(), folder.path(), options)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-setting"), "{error}");
}

#[tokio::test]
async fn dropped_servers_and_their_folder_are_gone() {
    let own = OwnStores::start().await;
    let (redis, postgres) = (own.redis.port(), own.postgres.port());
    drop(own);
    for port in [redis, postgres] {
        let refused = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        assert!(refused.is_err(), "{port}");
    }
}

#[tokio::test]
async fn postgres_recovers_from_a_kill_and_stops_with_clients_connected() {
    let folder = own_folder();
    let mut postgres = PrivatePostgres::start(&binaries(), folder.path(), Lifetime::Throwaway)
        .await
        .unwrap();
    postgres.create_database("kept").await.unwrap();
    postgres.create_database("kept").await.unwrap();
    let (port, url) = (postgres.port(), postgres.url("kept"));
    let mut client = PgConnection::connect(&url).await.unwrap();
    run(&mut client, "CREATE TABLE t (n int)").await.unwrap();
    run(&mut client, "INSERT INTO t VALUES (7)").await.unwrap();

    postgres.kill().await;
    assert!(run(&mut client, "SELECT 1").await.is_err());
    assert!(PgConnection::connect(&url).await.is_err());
    postgres.restart().await.unwrap();
    assert_eq!(postgres.port(), port);
    let mut client = PgConnection::connect(&url).await.unwrap();
    assert_eq!(number(&mut client).await, 7);

    postgres.stop().await;
    assert!(!postgres.is_running());
    assert!(run(&mut client, "SELECT 1").await.is_err());
    postgres.restart().await.unwrap();
    postgres.copy_database("kept", "copy").await.unwrap();
    let mut copy = PgConnection::connect(&postgres.url("copy")).await.unwrap();
    assert_eq!(number(&mut copy).await, 7);
    postgres.stop().await;
}

#[tokio::test]
async fn paused_postgres_is_silent_on_open_connections_too() {
    let mut own = OwnStores::start().await;
    let mut client = PgConnection::connect(&own.database_url()).await.unwrap();
    own.postgres.pause();
    let silent = tokio::time::timeout(Duration::from_millis(300), run(&mut client, "SELECT 1"));
    assert!(silent.await.is_err());
    own.postgres.resume();
    let mut client = PgConnection::connect(&own.database_url()).await.unwrap();
    run(&mut client, "SELECT 1").await.unwrap();
}

#[tokio::test]
async fn cluster_serves_all_slots_and_recovers_when_a_node_comes_back() {
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let mut cluster = PrivateCluster::start(&binaries(), folder.path(), options)
        .await
        .unwrap();
    let url = cluster.url();
    assert_eq!(url.matches("127.0.0.1:").count(), 3, "{url}");
    let info = cluster.nodes()[2].ask(&["CLUSTER", "INFO"]).await.unwrap();
    assert!(info.contains("cluster_slots_ok:16384"), "{info}");
    assert!(info.contains("cluster_size:3"), "{info}");

    cluster.node(1).kill().await;
    cluster.node(1).restart().await.unwrap();
    cluster.wait_until_ok().await.unwrap();
    assert_eq!(cluster.url(), url);
}

#[tokio::test]
async fn replica_takes_over_from_a_killed_primary_of_a_cluster() {
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let mut cluster = PrivateCluster::start_replicated(&binaries(), folder.path(), options)
        .await
        .unwrap();
    assert_eq!(cluster.nodes().len(), 6);
    let role = cluster.nodes()[3].ask(&["INFO", "replication"]).await;
    assert!(role.unwrap().contains("role:slave"));
    cluster.node(0).kill().await;
    eventually("the replica is promoted", async || {
        let role = cluster.nodes()[3].ask(&["INFO", "replication"]).await;
        role.is_ok_and(|role| role.contains("role:master"))
    })
    .await;
}

#[tokio::test]
async fn sentinels_promote_the_replica_of_a_paused_primary() {
    let folder = own_folder();
    let options = RedisOptions::throwaway();
    let mut service = PrivateSentinel::start(&binaries(), folder.path(), options)
        .await
        .unwrap();
    assert_eq!(service.primary().await.unwrap(), 0);
    let url = service.url();
    assert_eq!(url.matches("127.0.0.1:").count(), 3, "{url}");
    service.node(0).pause();
    eventually("the replica is promoted", async || {
        service.primary().await.is_ok_and(|primary| primary == 1)
    })
    .await;
    service.node(0).resume();
    service.wait_until_ok().await.unwrap();
    eventually("the sentinels agree to it", async || {
        service.fail_over().await.is_ok()
    })
    .await;
    eventually("the first one is promoted again", async || {
        service.primary().await.is_ok_and(|primary| primary == 0)
    })
    .await;
}

#[tokio::test]
async fn shared_stores_give_every_test_a_database_and_a_prefix_of_its_own() {
    let stores = SharedStores::shared();
    let (one, other) = tokio::join!(stores.fresh_database(), stores.fresh_database());
    assert_ne!(one, other);
    for url in [&one, &other] {
        let mut client = PgConnection::connect(url).await.unwrap();
        run(&mut client, "CREATE TABLE only_here (n int)")
            .await
            .unwrap();
    }
    assert_ne!(stores.fresh_prefix(), stores.fresh_prefix());
    assert!(stores.redis_url.starts_with("redis://"));
    assert!(stores.cluster_url.starts_with("redis-cluster://"));
}

async fn run(client: &mut PgConnection, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(statement).execute(client).await.map(|_| ())
}

async fn number(client: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT n FROM t")
        .fetch_one(client)
        .await
        .unwrap()
}

async fn first_answer(mut stream: tokio::net::TcpStream, question: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(question).await.unwrap();
    let mut buffer = [0; 256];
    let length = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

async fn clock_tick() {
    sallyport::clock::sleep(Duration::from_millis(2)).await;
}
