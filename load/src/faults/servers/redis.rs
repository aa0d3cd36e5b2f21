//! Redis as one server, behind Sentinel, or as a Cluster with replicas.

mod form;

use std::path::Path;
use std::time::Duration;

use sallyport::clock::{self, Stopwatch};
use sallyport::dev::{Binaries, PrivateRedis};
use tokio::process::Command;

use super::child::Child;
use super::dev;
use crate::error::Error;
use crate::faults::options::Topology;

const POLL: Duration = Duration::from_millis(50);
/// Longest wait for a fail-over, and for a replica that catches up. A demoted primary is told so after ten seconds.
const SETTLES_WITHIN: Duration = Duration::from_secs(45);
/// Name of the primary among the Sentinels.
const SERVICE: &str = "sallyport";

/// All nodes, and the Sentinels where there are any.
pub(in crate::faults) struct Redis {
    topology: Topology,
    nodes: Vec<PrivateRedis>,
    paused: Vec<bool>,
    sentinels: Vec<(u16, Child)>,
    url: String,
}

impl Redis {
    /// Starts all of it in `folder`.
    pub(super) async fn start(
        topology: Topology,
        binaries: &Binaries,
        folder: &Path,
    ) -> Result<Self, Error> {
        let mut redis = match topology {
            Topology::Single => form::single(binaries, folder).await?,
            Topology::Sentinel => form::sentinel(binaries, folder).await?,
            Topology::Cluster => form::cluster(binaries, folder).await?,
        };
        redis.heal().await?;
        Ok(redis)
    }

    /// The URL that the service gets; of a single server, `port` stands in for its own.
    pub(super) fn url(&self, port: Option<u16>) -> String {
        match port {
            Some(port) => {
                let own = self.nodes[0].port();
                self.url.replace(&format!(":{own}"), &format!(":{port}"))
            }
            None => self.url.clone(),
        }
    }

    /// Port of the single server; `None` where clients learn of ports by themselves and no proxy can stand between.
    pub(in crate::faults) fn single_port(&self) -> Option<u16> {
        (self.topology == Topology::Single).then(|| self.nodes[0].port())
    }

    /// A node, to be asked.
    pub(in crate::faults) fn node(&self, number: usize) -> &PrivateRedis {
        &self.nodes[number]
    }

    /// Numbers of the nodes that serve writes now.
    pub(in crate::faults) async fn primaries(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let named = match self.topology {
            Topology::Sentinel => self.named_by_sentinel().await,
            _ => None,
        };
        for (number, node) in self.nodes.iter().enumerate() {
            let is_primary = match self.topology {
                Topology::Single => true,
                Topology::Sentinel => named == Some(node.port()),
                Topology::Cluster => serves_slots(node).await,
            };
            if is_primary {
                found.push(number);
            }
        }
        found
    }

    /// The port that most Sentinels name: `master0:name=…,address=127.0.0.1:PORT,…`.
    async fn named_by_sentinel(&self) -> Option<u16> {
        let mut named = Vec::new();
        for (port, _) in &self.sentinels {
            let info = cli(*port, &["INFO", "sentinel"]).await.unwrap_or_default();
            let address = info.split("address=127.0.0.1:").nth(1);
            let port = address.and_then(|rest| rest.split(',').next());
            named.extend(port.and_then(|port| port.trim().parse::<u16>().ok()));
        }
        let votes = |port: &u16| named.iter().filter(|named| *named == port).count();
        named.iter().copied().max_by_key(votes)
    }

    /// Number of a replica of `primary` that has caught up.
    pub(in crate::faults) async fn replica_of(&self, primary: usize) -> Option<usize> {
        let port = format!("master_port:{}\r\n", self.nodes[primary].port());
        for (number, node) in self.nodes.iter().enumerate() {
            if self.paused[number] {
                continue;
            }
            if let Ok(info) = node.ask(&["INFO", "replication"]).await
                && info.contains("role:slave")
                && info.contains(&port)
                && info.contains("master_link_status:up")
            {
                return Some(number);
            }
        }
        None
    }

    pub(in crate::faults) fn pause(&mut self, number: usize) {
        self.nodes[number].pause();
        self.paused[number] = true;
    }

    pub(in crate::faults) async fn kill(&mut self, number: usize) {
        self.nodes[number].kill().await;
    }

    /// Starts a node again without its file.
    pub(in crate::faults) async fn restart_empty(&mut self, number: usize) -> Result<(), Error> {
        self.nodes[number].restart_empty().await.map_err(dev)
    }

    /// Forgets everything, on all primaries.
    pub(in crate::faults) async fn flush_all(&self) {
        for number in self.primaries().await {
            let _ = self.nodes[number].ask(&["FLUSHALL"]).await;
        }
    }

    /// Waits until `primary` no longer serves writes, or [`SETTLES_WITHIN`] is over. Returns whether it happened.
    pub(in crate::faults) async fn failed_over(&self, primary: usize) -> bool {
        self.settles(async || {
            let primaries = self.primaries().await;
            !primaries.is_empty() && !primaries.contains(&primary)
        })
        .await
    }

    /// Tells the replica of `primary` to take over.
    pub(in crate::faults) async fn order_fail_over(&self, primary: usize) {
        if let Some((port, _)) = self.sentinels.first() {
            let _ = cli(*port, &["SENTINEL", "FAILOVER", SERVICE]).await;
        } else if let Some(replica) = self.replica_of(primary).await {
            let _ = self.nodes[replica].ask(&["CLUSTER", "FAILOVER"]).await;
        }
    }

    /// Moves `slots` slots from one primary to another, as `redis-cli` does it. Where that stops midway, its open slots
    /// are closed as an operator would. Returns its complaint.
    pub(in crate::faults) async fn reshard(&self, slots: u64) -> Result<(), String> {
        let primaries = self.primaries().await;
        let (Some(from), Some(to)) = (primaries.first(), primaries.last()) else {
            return Err("there are no two primaries".to_owned());
        };
        let id = async |number: &usize| self.nodes[*number].ask(&["CLUSTER", "MYID"]).await;
        let from_id = id(from).await.map_err(|error| error.to_string())?;
        let to_id = id(to).await.map_err(|error| error.to_string())?;
        let slots = slots.to_string();
        let options = ["--cluster-from", &from_id, "--cluster-to", &to_id];
        let options = [options.as_slice(), &["--cluster-slots", &slots]].concat();
        let moved = self.manage(*from, "reshard", &options).await;
        if moved.is_err() {
            let _ = self.manage(*from, "fix", &[]).await;
        }
        moved
    }

    /// Runs `redis-cli --cluster COMMAND` over all nodes, which it finds by one. Returns its last words when it fails.
    async fn manage(&self, node: usize, command: &str, options: &[&str]) -> Result<(), String> {
        let node = &self.nodes[node];
        let output = Command::new("redis-cli")
            .args(["--no-auth-warning", "-a", node.password()])
            .args(["--cluster", command, &format!("127.0.0.1:{}", node.port())])
            .args(options)
            .arg("--cluster-yes")
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = |line: &&str| line.chars().any(char::is_alphabetic) && line.len() > 4;
        Err(text.lines().rev().find(told).unwrap_or_default().to_owned())
    }

    /// Lets paused nodes go on and starts those that do not run, with their files. Does not wait for replicas.
    pub(in crate::faults) async fn revive(&mut self) -> Result<(), Error> {
        for (node, paused) in self.nodes.iter_mut().zip(&mut self.paused) {
            node.resume();
            *paused = false;
            if !node.is_running() {
                node.restart().await.map_err(dev)?;
            }
        }
        Ok(())
    }

    /// Revives everything and waits until all nodes have their part. What a move of slots beside a fail-over leaves to nobody,
    /// or half moved, is mended as an operator would.
    pub(in crate::faults) async fn heal(&mut self) -> Result<(), Error> {
        self.revive().await?;
        let is_well = self.settles(async || self.is_well().await).await;
        if is_well && !self.has_open_slots().await {
            return Ok(());
        }
        if self.topology == Topology::Cluster {
            let _ = self.manage(0, "fix", &[]).await;
            let is_mended = async || self.is_well().await && !self.has_open_slots().await;
            if self.settles(is_mended).await {
                return Ok(());
            }
        }
        Err(Error::Target("Redis did not become well again".to_owned()))
    }

    /// Whether a node of a Cluster counts a slot as half moved (`[slot->-node]` or `[slot-<-node]`).
    async fn has_open_slots(&self) -> bool {
        if self.topology != Topology::Cluster {
            return false;
        }
        for node in &self.nodes {
            let nodes = node.ask(&["CLUSTER", "NODES"]).await.unwrap_or_default();
            if nodes.contains(" [") {
                return true;
            }
        }
        false
    }

    async fn is_well(&self) -> bool {
        let primaries = self.primaries().await;
        let wanted = match self.topology {
            Topology::Single => return self.nodes[0].ask(&["PING"]).await.is_ok(),
            Topology::Sentinel => 1,
            Topology::Cluster => 3,
        };
        if primaries.len() != wanted {
            return false;
        }
        for primary in primaries {
            if self.replica_of(primary).await.is_none() {
                return false;
            }
        }
        if self.topology == Topology::Cluster {
            for node in &self.nodes {
                let info = node.ask(&["CLUSTER", "INFO"]).await.unwrap_or_default();
                if !info.contains("cluster_state:ok") {
                    return false;
                }
            }
        }
        true
    }

    async fn settles(&self, reached: impl AsyncFn() -> bool) -> bool {
        let watch = Stopwatch::start();
        while watch.elapsed() < SETTLES_WITHIN {
            if reached().await {
                return true;
            }
            clock::sleep(POLL).await;
        }
        false
    }
}

/// `id address flags … slot…`, of the node that was asked.
async fn serves_slots(node: &PrivateRedis) -> bool {
    let nodes = node.ask(&["CLUSTER", "NODES"]).await.unwrap_or_default();
    let own = nodes.lines().find(|line| line.contains("myself"));
    own.is_some_and(|line| line.contains("master") && line.split_whitespace().count() > 8)
}

/// Asks a Sentinel, which has no password.
async fn cli(port: u16, command: &[&str]) -> Option<String> {
    let output = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(command)
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
