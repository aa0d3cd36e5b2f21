//! Carries out the schedule of faults.

use std::time::Duration;

use sallyport::clock;
use tokio::process::{Child, Command};

use super::history::History;
use super::plan::{Fault, Round};
use super::servers::Servers;
use crate::error::Error;

/// A pause that no Sentinel and no Cluster takes for a death.
const SHORT_PAUSE: Duration = Duration::from_millis(900);
/// Longest wait until what was committed before a fault has reached PostgreSQL.
const DRAINS_WITHIN: Duration = Duration::from_secs(30);
/// After Redis lost state: the hold, and the time that instances take to bring what they hold in memory to PostgreSQL.
const LOSS_SETTLES: Duration = Duration::from_secs(6);
const RESHARDED_SLOTS: u64 = 300;

/// The faults of one run, and the two kinds of loss that must not meet.
pub(super) struct Injector<'a> {
    servers: &'a mut Servers,
    history: &'a History,
    /// An instance died or stood still, and what it held may not be in PostgreSQL.
    instance_lost: bool,
    /// Redis lost state, and what it held may not be in PostgreSQL.
    redis_lost: bool,
    locks: Vec<Child>,
    /// Number of faults that were carried out.
    pub(super) count: usize,
}

impl<'a> Injector<'a> {
    pub(super) fn new(servers: &'a mut Servers, history: &'a History) -> Self {
        Self {
            servers,
            history,
            instance_lost: false,
            redis_lost: false,
            locks: Vec::new(),
            count: 0,
        }
    }

    /// One round: quiet, one or two faults, and their ends.
    ///
    /// # Errors
    /// When a server of the checker's own does not do what it is told.
    pub(super) async fn take(&mut self, round: &Round) -> Result<(), Error> {
        clock::sleep(round.pause).await;
        let (first, lasts) = round.first;
        let begun = self.begin(first, lasts).await?;
        let mut second_begun = None;
        if let Some((second, after, second_lasts)) = round.second {
            clock::sleep(after).await;
            if self.begin(second, lasts + second_lasts).await? {
                second_begun = Some((second, second_lasts));
            }
        }
        if begun {
            clock::sleep(lasts).await;
            self.end(first).await?;
        }
        if let Some((second, lasts)) = second_begun {
            clock::sleep(lasts).await;
            self.end(second).await?;
        }
        Ok(())
    }

    /// Begins a fault, after what an earlier one left behind has reached PostgreSQL where both together are excluded.
    /// Returns false where it could not begin.
    async fn begin(&mut self, fault: Fault, lasts: Duration) -> Result<bool, Error> {
        let excluded = fault.loses_state() && self.instance_lost
            || fault.stops_an_instance() && self.redis_lost;
        if excluded && !self.settle().await {
            self.history
                .note(format!("left out, the log did not drain: {fault:?}"));
            return Ok(false);
        }
        self.history.note(format!("BEGIN {fault:?}"));
        self.count += 1;
        self.instance_lost |= fault.stops_an_instance();
        self.redis_lost |= fault.loses_state();
        self.carry_out(fault, lasts).await
    }

    async fn settle(&mut self) -> bool {
        if self.redis_lost {
            clock::sleep(LOSS_SETTLES).await;
        }
        let drained = self.servers.drains(DRAINS_WITHIN).await;
        if drained {
            (self.instance_lost, self.redis_lost) = (false, false);
        }
        drained
    }

    async fn carry_out(&mut self, fault: Fault, lasts: Duration) -> Result<bool, Error> {
        let primary = self.servers.redis.primaries().await.first().copied();
        match (fault, primary) {
            (Fault::KillInstance(number), _) => self.servers.instances[number].kill().await,
            (Fault::PauseInstance(number), _) => self.servers.instances[number].pause(),
            (Fault::StopPostgres, _) => self.servers.postgres.stop().await,
            (Fault::KillPostgres, _) => self.servers.postgres.kill().await,
            (Fault::PausePostgres, _) => self.servers.postgres.pause(),
            (Fault::LockTable(table), _) => self.lock(table, lasts)?,
            (Fault::SlowPostgres(instance, delay), _) => {
                let delay = Duration::from_millis(delay);
                self.servers.slow_postgres(instance, Some(delay));
            }
            (Fault::SilentRedis(instance), _) => self.servers.silence_redis(instance, true),
            (Fault::SilentPostgres(instance), _) => self.servers.silence_postgres(instance, true),
            (_, None) => {
                self.history
                    .note(format!("left out, Redis is not well: {fault:?}"));
                return Ok(false);
            }
            (fault, Some(primary)) => return self.break_redis(fault, primary).await,
        }
        Ok(true)
    }

    async fn break_redis(&mut self, fault: Fault, primary: usize) -> Result<bool, Error> {
        let redis = &mut self.servers.redis;
        let fails_over = matches!(
            fault,
            Fault::FailOverByKill | Fault::FailOverByPause | Fault::FailOverByCommand
        );
        if fails_over && redis.replica_of(primary).await.is_none() {
            self.history
                .note(format!("left out, there is no replica: {fault:?}"));
            return Ok(false);
        }
        match fault {
            Fault::PauseRedis | Fault::EmptyAfterPause(_) | Fault::FailOverByPause => {
                redis.pause(primary);
            }
            Fault::RestartRedis | Fault::FailOverByKill => redis.kill(primary).await,
            Fault::EmptyRedis => redis.restart_empty(primary).await?,
            Fault::FlushAll => redis.flush_all().await,
            Fault::FailOverByCommand => redis.order_fail_over(primary).await,
            Fault::Reshard => {
                let done = redis.reshard(RESHARDED_SLOTS).await;
                let told =
                    done.map_or_else(|why| format!("reshard: {why}"), |()| "resharded".into());
                self.history.note(told);
            }
            _ => {}
        }
        if fails_over {
            let happened = redis.failed_over(primary).await;
            self.history.note(format!("failed over: {happened}"));
        } else if fault == Fault::PauseRedis && redis.single_port().is_none() {
            clock::sleep(SHORT_PAUSE).await;
            redis.revive().await?;
        }
        Ok(true)
    }

    fn lock(&mut self, table: &str, lasts: Duration) -> Result<(), Error> {
        let statement = format!(
            "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({})",
            lasts.as_secs_f64()
        );
        let child = Command::new("psql")
            .arg(self.servers.postgres.url("postgres"))
            .args(["--no-psqlrc", "--quiet", "--command", &statement])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("starting psql"))?;
        self.locks.push(child);
        Ok(())
    }

    async fn end(&mut self, fault: Fault) -> Result<(), Error> {
        let servers = &mut *self.servers;
        match fault {
            Fault::KillInstance(number) => servers.instances[number].start()?,
            Fault::PauseInstance(number) => servers.instances[number].resume(),
            Fault::StopPostgres | Fault::KillPostgres => servers.restart_postgres().await?,
            Fault::PausePostgres => servers.postgres.resume(),
            Fault::SlowPostgres(instance, _) => servers.slow_postgres(instance, None),
            Fault::SilentRedis(instance) => servers.silence_redis(instance, false),
            Fault::SilentPostgres(instance) => servers.silence_postgres(instance, false),
            Fault::EmptyAfterPause(millis) => {
                servers.redis.revive().await?;
                self.history.note("Redis goes on");
                clock::sleep(Duration::from_millis(millis)).await;
                // There is one node, for only a single server is treated so.
                servers.redis.restart_empty(0).await?;
            }
            Fault::PauseRedis
            | Fault::RestartRedis
            | Fault::FailOverByKill
            | Fault::FailOverByPause => servers.redis.revive().await?,
            Fault::LockTable(_)
            | Fault::EmptyRedis
            | Fault::FlushAll
            | Fault::FailOverByCommand
            | Fault::Reshard => {}
        }
        self.history.note(format!("END   {fault:?}"));
        Ok(())
    }
}
