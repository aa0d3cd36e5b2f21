//! One seed: servers, clients, faults, healing, reads, judgement.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sallyport::clock::{self, Stopwatch};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::check::{self, Rule, Snapshot, Violation};
use super::client::Client;
use super::history::{History, Operation, Outcome};
use super::inject::Injector;
use super::options::Options;
use super::plan;
use super::servers::Servers;
use crate::error::Error;
use crate::target::Address;

/// Quiet before the first fault, while accounts register.
const BEGINNING: Duration = Duration::from_secs(3);
/// Quiet after the last, while clients go on.
const END: Duration = Duration::from_secs(2);

/// Result of a seed.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) seed: u64,
    /// Seconds from start to judgement.
    pub(super) seconds: f64,
    /// Seconds from the end of the last fault until both instances were ready.
    pub(super) healed_seconds: f64,
    pub(super) faults: usize,
    pub(super) operations: usize,
    pub(super) done: usize,
    pub(super) refused: usize,
    pub(super) unavailable: usize,
    pub(super) unknown: usize,
    pub(super) violations: Vec<Violation>,
}

/// Plays one seed.
///
/// # Errors
/// When the checker's own servers do not do what they are told.
pub(super) async fn seed(options: &Options, binary: &Path, seed: u64) -> Result<Verdict, Error> {
    let watch = Stopwatch::start();
    let mut servers = Servers::start(options.topology, binary).await?;
    let mut run = Run::new(options, &servers, seed)?;
    let rounds = plan::draw(seed, options.topology, options.length(), &options.only)?;
    let mut healed = Duration::ZERO;
    let mut faults = 0;
    let ended = async {
        let clients = run.start_clients();
        clock::sleep(BEGINNING).await;
        let mut injector = Injector::new(&mut servers, &run.history);
        for round in &rounds {
            injector.take(round).await?;
        }
        faults = injector.count;
        drop(injector);
        run.history.note("HEAL");
        healed = servers.heal().await?;
        run.history.note("WELL");
        clock::sleep(END).await;
        run.stop_clients(clients).await;
        run.read_at_last(&mut servers).await
    }
    .await;
    let (operations, happenings) = run.history.read();
    let mut violations = check::history(&operations, &happenings);
    violations.append(&mut run.violations);
    if let Err(error) = ended {
        violations.push(Violation {
            rule: Rule::NotHealed,
            account: None,
            what: error.to_string(),
            trace: happenings
                .iter()
                .map(|one| format!("{} {}", super::history::seconds(one.at), one.what))
                .collect(),
        });
    }
    violations.extend(panics(servers.folder()));
    violations.sort_by_key(|violation| violation.rule);
    if !violations.is_empty() {
        keep(options, seed, &servers, &operations, &violations)?;
    }
    Ok(verdict(
        seed,
        &watch,
        healed,
        faults,
        &operations,
        violations,
    ))
}

/// Clients and history of one seed.
struct Run {
    accounts: Vec<Arc<Account>>,
    addresses: Vec<Arc<Address>>,
    history: Arc<History>,
    seed: u64,
    stop: CancellationToken,
    violations: Vec<Violation>,
}

impl Run {
    fn new(options: &Options, servers: &Servers, seed: u64) -> Result<Self, Error> {
        let accounts =
            (0..options.accounts()).map(|number| Arc::new(Account::new(number, &seed.to_string())));
        let address = |socket: std::net::SocketAddr| {
            Address::new(socket, &socket.to_string(), "/api").map(Arc::new)
        };
        let addresses: Result<_, Error> = servers.addresses().into_iter().map(address).collect();
        Ok(Self {
            accounts: accounts.collect(),
            addresses: addresses?,
            history: Arc::new(History::new()),
            seed,
            stop: CancellationToken::new(),
            violations: Vec::new(),
        })
    }

    fn client(&self, account: &Arc<Account>, number: usize) -> Client {
        Client::new(account, number, &self.history, &self.addresses, self.seed)
    }

    fn start_clients(&self) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for account in &self.accounts {
            for number in 0..2 {
                let mut client = self.client(account, number);
                let stop = self.stop.clone();
                clients.spawn(async move { client.live(stop).await });
            }
        }
        clients
    }

    async fn stop_clients(&self, mut clients: JoinSet<()>) {
        self.stop.cancel();
        while clients.join_next().await.is_some() {}
    }

    /// Reads everything: from Redis as it is, from both stores, and from a Redis that has lost everything, which leaves
    /// what PostgreSQL has.
    async fn read_at_last(&mut self, servers: &mut Servers) -> Result<(), Error> {
        if !servers.is_drained().await {
            return Err(Error::Target(
                "changes were still pending a minute after the end".to_owned(),
            ));
        }
        self.history.note("DRAINED; reads");
        self.read_everything().await;
        if !servers.is_drained().await {
            return Err(Error::Target(
                "changes of the last reads stayed pending".to_owned(),
            ));
        }
        let (operations, _) = self.history.read();
        let snapshot = Snapshot::read(servers).await?;
        self.violations
            .extend(snapshot.check(&self.accounts, &operations));
        self.history.note("FLUSHALL; reads");
        servers.redis.flush_all().await;
        servers.wait_until_ready().await?;
        self.read_everything().await;
        Ok(())
    }

    async fn read_everything(&self) {
        let mut readers = JoinSet::new();
        for account in &self.accounts {
            let mut client = self.client(account, 0);
            readers.spawn(async move { client.read_everything().await });
        }
        while readers.join_next().await.is_some() {}
    }
}

/// Panics that the instances logged.
fn panics(folder: &Path) -> Vec<Violation> {
    let mut found = Vec::new();
    for number in 0..2 {
        let log = std::fs::read(folder.join(format!("instance-{number}.log"))).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines = log.lines().filter(|line| line.contains("panicked"));
        found.extend(lines.take(2).map(|line| Violation {
            rule: Rule::InternalError,
            account: None,
            what: format!("instance {number} panicked: {line}"),
            trace: Vec::new(),
        }));
    }
    found
}

fn keep(
    options: &Options,
    seed: u64,
    servers: &Servers,
    operations: &[Operation],
    violations: &[Violation],
) -> Result<(), Error> {
    let Some(folder) = &options.keep else {
        return Ok(());
    };
    let folder = folder.join(format!("seed-{seed}"));
    let writing = || Error::io(format!("writing to {}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(writing())?;
    let lines = operations
        .iter()
        .map(|one| format!("account {}  {one}\n", one.account));
    std::fs::write(folder.join("history.txt"), lines.collect::<String>()).map_err(writing())?;
    let account = super::report::account(options, seed, violations);
    std::fs::write(folder.join("violations.txt"), account).map_err(writing())?;
    for number in 0..2 {
        let name = format!("instance-{number}.log");
        std::fs::copy(servers.folder().join(&name), folder.join(&name)).map_err(writing())?;
    }
    Ok(())
}

fn verdict(
    seed: u64,
    watch: &Stopwatch,
    healed: Duration,
    faults: usize,
    operations: &[Operation],
    violations: Vec<Violation>,
) -> Verdict {
    let count = |is: fn(&Outcome) -> bool| operations.iter().filter(|one| is(&one.outcome)).count();
    Verdict {
        seed,
        seconds: watch.seconds(),
        healed_seconds: healed.as_secs_f64(),
        faults,
        operations: operations.len(),
        done: count(|outcome| matches!(outcome, Outcome::Done(_))),
        refused: count(|outcome| matches!(outcome, Outcome::Refused(_))),
        unavailable: count(|outcome| matches!(outcome, Outcome::Unavailable(_))),
        unknown: count(|outcome| matches!(outcome, Outcome::Unknown(_))),
        violations,
    }
}
