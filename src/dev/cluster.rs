//! A private Redis Cluster: three primaries on loopback, alone or with a replica each.

use std::path::Path;
use std::time::Duration;

use super::process::POLL;
use super::redis::{PrivateRedis, RedisOptions};
use super::{Binaries, Error, folder, port};
use crate::clock::{self, Stopwatch};

const PRIMARIES: usize = 3;
const SLOTS: usize = 16_384;
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Three Redis primaries that share the slots, and their replicas where there are any. Ends when dropped, or with
/// this process.
#[derive(Debug)]
pub struct PrivateCluster {
    nodes: Vec<PrivateRedis>,
}

impl PrivateCluster {
    /// Starts three primaries with their data in folders inside `folder`, joins them, and waits until each of
    /// them says that the cluster is well.
    ///
    /// # Errors
    /// When Redis is not installed, a node does not get ready, or the cluster does not form.
    pub async fn start(
        binaries: &Binaries,
        folder: &Path,
        options: RedisOptions,
    ) -> Result<Self, Error> {
        let nodes = Self::start_nodes(PRIMARIES, binaries, folder, options).await?;
        let cluster = Self { nodes };
        cluster.join().await?;
        cluster.wait_until_ok().await?;
        Ok(cluster)
    }

    /// As [`PrivateCluster::start`], with a replica of each primary: node 3 of node 0, and so on.
    ///
    /// # Errors
    /// As [`PrivateCluster::start`].
    pub async fn start_replicated(
        binaries: &Binaries,
        folder: &Path,
        options: RedisOptions,
    ) -> Result<Self, Error> {
        let nodes = Self::start_nodes(2 * PRIMARIES, binaries, folder, options).await?;
        let cluster = Self { nodes };
        cluster.join().await?;
        cluster.wait_until_ok().await?;
        let (primaries, replicas) = cluster.nodes.split_at(PRIMARIES);
        for (primary, replica) in primaries.iter().zip(replicas) {
            let id = primary.ask(&["CLUSTER", "MYID"]).await?;
            replica.ask(&["CLUSTER", "REPLICATE", &id]).await?;
        }
        cluster.wait_until_ok().await?;
        Ok(cluster)
    }

    async fn start_nodes(
        count: usize,
        binaries: &Binaries,
        folder: &Path,
        options: RedisOptions,
    ) -> Result<Vec<PrivateRedis>, Error> {
        folder::make(folder, 0o700)?;
        let password = super::new_password();
        let mut nodes = Vec::with_capacity(count);
        for number in 0..count {
            let node = folder.join(format!("node-{number}"));
            folder::make(&node, 0o700)?;
            // One password for all: clients know only one.
            folder::write_private(&node.join("password"), &password)?;
            let options = options
                .clone()
                .with("cluster-enabled", "yes")
                .with("cluster-config-file", "nodes.conf")
                .with("cluster-node-timeout", "2000")
                .with("cluster-port", &port::free().to_string());
            nodes.push(PrivateRedis::start(binaries, &node, options).await?);
        }
        Ok(nodes)
    }

    /// `redis-cluster://…` with all nodes, as the client spells it.
    #[must_use]
    pub fn url(&self) -> String {
        let first = &self.nodes[0];
        let others: Vec<String> = self.nodes[1..]
            .iter()
            .map(|node| format!("node=127.0.0.1:{}", node.port()))
            .collect();
        format!(
            "redis-cluster://default:{}@127.0.0.1:{}?{}",
            first.password(),
            first.port(),
            others.join("&")
        )
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[PrivateRedis] {
        &self.nodes
    }

    /// One node, to kill, pause, restart. Nodes 0, 1 and 2 begin as primaries.
    pub fn node(&mut self, number: usize) -> &mut PrivateRedis {
        &mut self.nodes[number]
    }

    /// Ends all nodes in an orderly way.
    pub async fn stop(&mut self) {
        for node in &mut self.nodes {
            node.stop().await;
        }
    }

    /// Waits until every node knows all others and says that all slots are served, and every replica is in step.
    ///
    /// # Errors
    /// [`Error::Refused`] when that does not happen within a minute.
    pub async fn wait_until_ok(&self) -> Result<(), Error> {
        let watch = Stopwatch::start();
        while !self.is_ok().await {
            if watch.elapsed() > READY_WITHIN {
                return Err(Error::Refused("the Redis Cluster did not form".to_owned()));
            }
            clock::sleep(POLL * 4).await;
        }
        Ok(())
    }

    async fn is_ok(&self) -> bool {
        let known = format!("cluster_known_nodes:{}\r\n", self.nodes.len());
        for node in &self.nodes {
            match node.ask(&["CLUSTER", "INFO"]).await {
                Ok(info) if info.contains("cluster_state:ok\r\n") && info.contains(&known) => {}
                _ => return false,
            }
            match node.ask(&["INFO", "replication"]).await {
                Ok(info) if !info.contains("master_link_status:down") => {}
                _ => return false,
            }
        }
        true
    }

    async fn join(&self) -> Result<(), Error> {
        for (number, node) in self.nodes.iter().take(PRIMARIES).enumerate() {
            let first = (SLOTS * number / PRIMARIES).to_string();
            let last = (SLOTS * (number + 1) / PRIMARIES - 1).to_string();
            let epoch = (number + 1).to_string();
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])
                .await?;
        }
        for node in &self.nodes[1..] {
            let port = node.port().to_string();
            let bus = node.ask(&["CLUSTER", "MYID"]).await?;
            let bus = bus_port(&node.ask(&["CLUSTER", "NODES"]).await?, &bus);
            self.nodes[0]
                .ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
                .await?;
        }
        Ok(())
    }
}

/// The bus port of node `id` in an answer to CLUSTER NODES: `id host:port@bus …`.
fn bus_port(nodes: &str, id: &str) -> String {
    let line = nodes.lines().find(|line| line.starts_with(id));
    let address = line.and_then(|line| line.split_whitespace().nth(1));
    let bus = address.and_then(|address| address.split_once('@'));
    bus.map(|(_, bus)| bus.split(',').next().unwrap_or(bus).to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bus_port_is_found_with_and_without_host_name() {
        let nodes = "aa 127.0.0.1:1@11 master - 0\nbb 127.0.0.1:2@22,host myself,master - 0\n";
        assert_eq!(bus_port(nodes, "aa"), "11");
        assert_eq!(bus_port(nodes, "bb"), "22");
    }
}
