//! Starts the nodes of each topology and joins them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use sallyport::dev::{Binaries, PrivateRedis, RedisOptions, free_port};

use super::{Redis, SERVICE};
use crate::error::Error;
use crate::faults::options::Topology;
use crate::faults::servers::child::Child;
use crate::faults::servers::dev;

const SENTINELS: usize = 3;
const PRIMARIES: usize = 3;
const SLOTS: usize = 16_384;

pub(super) async fn single(binaries: &Binaries, folder: &Path) -> Result<Redis, Error> {
    let node = start(binaries, folder, 0, RedisOptions::throwaway()).await?;
    let url = node.url();
    Ok(assembled(Topology::Single, vec![node], url))
}

/// A primary, a replica and three Sentinels that call it dead after a second and a half.
pub(super) async fn sentinel(binaries: &Binaries, folder: &Path) -> Result<Redis, Error> {
    let mut nodes = Vec::new();
    for number in 0..2 {
        nodes.push(start(binaries, folder, number, RedisOptions::throwaway()).await?);
    }
    let (primary, password) = (nodes[0].port().to_string(), nodes[0].password().to_owned());
    let made_replica = nodes[1].ask(&["REPLICAOF", "127.0.0.1", &primary]).await;
    made_replica.map_err(dev)?;
    let mut sentinels = Vec::new();
    for number in 0..SENTINELS {
        let port = free_port();
        let child = start_sentinel(folder, number, port, &primary, &password)?;
        sentinels.push((port, child));
    }
    let others = sentinels[1..].iter();
    let others: Vec<String> = others
        .map(|(port, _)| format!("node=127.0.0.1:{port}"))
        .collect();
    let url = format!(
        "redis-sentinel://default:{password}@127.0.0.1:{}?{}&sentinelServiceName={SERVICE}",
        sentinels[0].0,
        others.join("&")
    );
    let mut redis = assembled(Topology::Sentinel, nodes, url);
    redis.sentinels = sentinels;
    Ok(redis)
}

fn start_sentinel(
    folder: &Path,
    number: usize,
    port: u16,
    primary: &str,
    password: &str,
) -> Result<Child, Error> {
    let home = folder.join(format!("sentinel-{number}"));
    std::fs::create_dir_all(&home).map_err(Error::io("making a folder"))?;
    let mut text = String::new();
    for line in [
        format!("port {port}"),
        "bind 127.0.0.1".to_owned(),
        format!("dir {}", home.display()),
        format!("sentinel monitor {SERVICE} 127.0.0.1 {primary} 2"),
        format!("sentinel auth-pass {SERVICE} {password}"),
        format!("sentinel down-after-milliseconds {SERVICE} 1500"),
        format!("sentinel failover-timeout {SERVICE} 6000"),
    ] {
        let _ = writeln!(text, "{line}");
    }
    let file = home.join("sentinel.conf");
    std::fs::write(&file, text).map_err(Error::io("writing sentinel.conf"))?;
    let mut command = Command::new("redis-server");
    command.arg(&file).arg("--sentinel").current_dir(&home);
    Child::start(&mut command, &home.join("sentinel.log"))
}

/// Three primaries with a replica each, which calls its primary dead after two seconds.
pub(super) async fn cluster(binaries: &Binaries, folder: &Path) -> Result<Redis, Error> {
    let (mut nodes, mut buses) = (Vec::new(), Vec::new());
    for number in 0..PRIMARIES * 2 {
        let bus = free_port().to_string();
        let options = RedisOptions::throwaway()
            .with("cluster-enabled", "yes")
            .with("cluster-config-file", "nodes.conf")
            .with("cluster-node-timeout", "2000")
            .with("cluster-replica-validity-factor", "0")
            .with("cluster-port", &bus);
        nodes.push(start(binaries, folder, number, options).await?);
        buses.push(bus);
    }
    for (number, node) in nodes.iter().enumerate() {
        let epoch = (number + 1).to_string();
        ask(node, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
        if number < PRIMARIES {
            let first = (SLOTS * number / PRIMARIES).to_string();
            let last = (SLOTS * (number + 1) / PRIMARIES - 1).to_string();
            ask(node, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
        }
    }
    for (node, bus) in nodes.iter().zip(&buses).skip(1) {
        let port = node.port().to_string();
        ask(&nodes[0], &["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await?;
    }
    let url = cluster_url(&nodes);
    let redis = assembled(Topology::Cluster, nodes, url);
    replicate(&redis).await?;
    Ok(redis)
}

/// Gives each primary its replica, as soon as they know of each other.
async fn replicate(redis: &Redis) -> Result<(), Error> {
    for number in 0..PRIMARIES {
        let id = ask(&redis.nodes[number], &["CLUSTER", "MYID"]).await?;
        let replica = &redis.nodes[number + PRIMARIES];
        let replicated = redis
            .settles(async || replica.ask(&["CLUSTER", "REPLICATE", &id]).await.is_ok())
            .await;
        if !replicated {
            return Err(Error::Target("the Redis Cluster did not form".to_owned()));
        }
    }
    Ok(())
}

fn cluster_url(nodes: &[PrivateRedis]) -> String {
    let others = nodes[1..].iter();
    let others: Vec<String> = others
        .map(|node| format!("node=127.0.0.1:{}", node.port()))
        .collect();
    format!(
        "redis-cluster://default:{}@127.0.0.1:{}?{}",
        nodes[0].password(),
        nodes[0].port(),
        others.join("&")
    )
}

fn assembled(topology: Topology, nodes: Vec<PrivateRedis>, url: String) -> Redis {
    Redis {
        topology,
        paused: vec![false; nodes.len()],
        nodes,
        sentinels: Vec::new(),
        url,
    }
}

/// A node in a folder of its own. All have one password, for clients know only one.
async fn start(
    binaries: &Binaries,
    folder: &Path,
    number: usize,
    options: RedisOptions,
) -> Result<PrivateRedis, Error> {
    let home = folder.join(format!("redis-{number}"));
    std::fs::create_dir_all(&home).map_err(Error::io("making a folder"))?;
    let first = folder.join("redis-0").join("password");
    if number > 0 {
        let copied = std::fs::copy(first, home.join("password"));
        copied.map_err(Error::io("writing a password"))?;
    }
    PrivateRedis::start(binaries, &home, options)
        .await
        .map_err(dev)
}

async fn ask(node: &PrivateRedis, command: &[&str]) -> Result<String, Error> {
    node.ask(command).await.map_err(dev)
}
