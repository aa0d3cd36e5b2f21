//! A private Redis behind Sentinel: a primary, a replica, and three sentinels on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::process::{POLL, Process};
use super::redis::{PrivateRedis, RedisOptions};
use super::{Binaries, Error, folder, port, redis_protocol};
use crate::clock::{self, Stopwatch};

/// Name under which the sentinels know the primary.
const SERVICE: &str = "sallyport";
const SENTINELS: usize = 3;
const READY_WITHIN: Duration = Duration::from_mins(1);
const END_WITHIN: Duration = Duration::from_secs(10);

/// Two Redis servers, one of them the primary, and the sentinels that promote the other one. Ends when dropped,
/// or with this process.
#[derive(Debug)]
pub struct PrivateSentinel {
    nodes: [PrivateRedis; 2],
    sentinels: Vec<Sentinel>,
    password: String,
}

/// One sentinel.
#[derive(Debug)]
struct Sentinel {
    port: u16,
    process: Process,
}

impl PrivateSentinel {
    /// Starts all servers with their data in folders inside `folder`, and waits until each sentinel knows the
    /// replica and the other sentinels. A primary that is silent for a second is replaced.
    ///
    /// # Errors
    /// When Redis is not installed, a server does not get ready, or they do not find each other.
    pub async fn start(
        binaries: &Binaries,
        folder: &Path,
        options: RedisOptions,
    ) -> Result<Self, Error> {
        folder::make(folder, 0o700)?;
        let password = super::new_password();
        let node = async |name: &str| {
            let home = folder.join(name);
            folder::make(&home, 0o700)?;
            folder::write_private(&home.join("password"), &password)?;
            PrivateRedis::start(binaries, &home, options.clone()).await
        };
        let nodes = [node("node-0").await?, node("node-1").await?];
        let port = nodes[0].port().to_string();
        nodes[1].ask(&["REPLICAOF", "127.0.0.1", &port]).await?;
        let mut sentinels = Vec::with_capacity(SENTINELS);
        for number in 0..SENTINELS {
            let home = folder.join(format!("sentinel-{number}"));
            folder::make(&home, 0o700)?;
            let program = binaries.redis_server()?;
            let launch = Launch { program, home };
            sentinels.push(launch.sentinel(nodes[0].port(), &password).await?);
        }
        let service = Self {
            nodes,
            sentinels,
            password,
        };
        service.wait_until_ok().await?;
        Ok(service)
    }

    /// `redis-sentinel://…` with all sentinels, as the client spells it.
    #[must_use]
    pub fn url(&self) -> String {
        let others = self.sentinels[1..].iter();
        let others: Vec<String> = others
            .map(|sentinel| format!("node=127.0.0.1:{}", sentinel.port))
            .collect();
        let (first, others, password) = (self.sentinels[0].port, others.join("&"), &self.password);
        format!(
            "redis-sentinel://default:{password}@127.0.0.1:{first}?{others}&sentinelServiceName={SERVICE}\
             &sentinelUsername=default&sentinelPassword={password}"
        )
    }

    /// Both Redis servers.
    #[must_use]
    pub fn nodes(&self) -> &[PrivateRedis] {
        &self.nodes
    }

    /// One Redis server, to kill, pause, restart. There are nodes 0, which begins as the primary, and 1.
    pub fn node(&mut self, number: usize) -> &mut PrivateRedis {
        &mut self.nodes[number]
    }

    /// Number of the Redis server that most sentinels call the primary.
    ///
    /// # Errors
    /// When a sentinel does not answer, or they do not agree.
    pub async fn primary(&self) -> Result<usize, Error> {
        let mut votes = [0; 2];
        for sentinel in &self.sentinels {
            let told = self.tells(sentinel).await?;
            let voted = |node: &PrivateRedis| told.contains(&format!(":{},", node.port()));
            if let Some(number) = self.nodes.iter().position(voted) {
                votes[number] += 1;
            }
        }
        let chosen = votes.iter().position(|votes| *votes * 2 > SENTINELS);
        chosen.ok_or_else(|| Error::Refused("the sentinels do not agree".to_owned()))
    }

    /// Has the sentinels promote the other server although the primary is well.
    ///
    /// # Errors
    /// When the sentinel refuses, for instance because a fail-over is under way.
    pub async fn fail_over(&self) -> Result<(), Error> {
        self.ask(&self.sentinels[0], &["SENTINEL", "FAILOVER", SERVICE])
            .await
            .map(drop)
    }

    /// Waits until every sentinel knows the other ones, and a replica that is in step with the primary.
    ///
    /// # Errors
    /// [`Error::Refused`] when that does not happen within a minute.
    pub async fn wait_until_ok(&self) -> Result<(), Error> {
        let watch = Stopwatch::start();
        while !self.is_ok().await {
            if watch.elapsed() > READY_WITHIN {
                let why = "the sentinels did not find each other";
                return Err(Error::Refused(why.to_owned()));
            }
            clock::sleep(POLL * 4).await;
        }
        Ok(())
    }

    async fn is_ok(&self) -> bool {
        let whole = format!("slaves=1,sentinels={SENTINELS}");
        for sentinel in &self.sentinels {
            match self.tells(sentinel).await {
                Ok(told) if told.contains("status=ok") && told.contains(&whole) => {}
                _ => return false,
            }
        }
        let mut in_step = 0;
        for node in &self.nodes {
            let told = node.ask(&["INFO", "replication"]).await.unwrap_or_default();
            if told.contains("role:slave") && told.contains("master_link_status:up") {
                in_step += 1;
            }
        }
        in_step == 1
    }

    /// The line on our service in a sentinel's INFO: `master0:name=…,status=…,address=host:port,slaves=…,…`.
    async fn tells(&self, sentinel: &Sentinel) -> Result<String, Error> {
        let info = self.ask(sentinel, &["INFO", "sentinel"]).await?;
        let line = info.lines().find(|line| line.starts_with("master0:"));
        Ok(line.unwrap_or_default().to_owned())
    }

    async fn ask(&self, sentinel: &Sentinel, command: &[&str]) -> Result<String, Error> {
        let what = format!("asking the sentinel on port {}", sentinel.port);
        redis_protocol::ask(sentinel.port, &self.password, command)
            .await
            .map_err(Error::io(what))
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.process.end_now();
    }
}

/// Program and folder of a sentinel.
struct Launch {
    program: PathBuf,
    home: PathBuf,
}

impl Launch {
    async fn sentinel(&self, primary: u16, password: &str) -> Result<Sentinel, Error> {
        let launch = async |port| self.start(port, primary, password).await;
        let (port, process) = port::launch(&self.home.join("port"), launch).await?;
        Ok(Sentinel { port, process })
    }

    async fn start(&self, port: u16, primary: u16, password: &str) -> Result<Process, Error> {
        // A sentinel writes into its configuration, which is why the file is made anew for each start.
        let file = self.home.join("sentinel.conf");
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nrequirepass {password}\n\
             sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n\
             sentinel auth-pass {SERVICE} {password}\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 6000\n",
            self.home.display()
        );
        folder::write_private(&file, &text)?;
        let log = self.home.join("sentinel.log");
        let mut command = Command::new(&self.program);
        command.arg(&file).arg("--sentinel").current_dir(&self.home);
        let mut process = Process::spawn(&mut command, &log, Signal::SIGKILL)
            .map_err(Error::io(format!("starting {}", self.program.display())))?;
        let watch = Stopwatch::start();
        loop {
            if redis_protocol::ask(port, password, &["PING"]).await.is_ok() {
                return Ok(process);
            }
            if !process.is_running() || watch.elapsed() > READY_WITHIN {
                process.end(END_WITHIN).await;
                return Err(Error::not_started("redis-sentinel", "it is away", &log));
            }
            clock::sleep(POLL).await;
        }
    }
}
