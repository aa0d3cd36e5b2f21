//! Schedule of faults, drawn from the seed: rounds of one or two faults at a time.
//!
//! The promise covers the loss of any one process. A change that was answered while PostgreSQL was slow is held by
//! Redis and by the instance that committed it; it is excluded that both lose it before it reached PostgreSQL. So these
//! never come together: a fault in which Redis loses state, and one in which an instance dies or stands still.
//! The injector also waits between the two until everything has reached PostgreSQL.

use std::time::Duration;

use super::options::Topology;
use super::random::Random;
use crate::error::Error;

/// Something that goes wrong. Instances are numbered 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An instance is killed, and started again after the time.
    KillInstance(usize),
    /// An instance stands still.
    PauseInstance(usize),
    /// Redis stands still (of several nodes: a primary, for less time than a fail-over takes to begin).
    PauseRedis,
    /// Redis is killed, and started again with its file.
    RestartRedis,
    /// Redis is killed, and started again with nothing.
    EmptyRedis,
    /// Redis stands still, goes on for so many milliseconds, and is started again with nothing. In between it does
    /// what it was told while it stood still, and clients repeat what they do not know the outcome of.
    EmptyAfterPause(u64),
    /// Redis forgets everything while it runs.
    FlushAll,
    /// PostgreSQL is stopped in an orderly way.
    StopPostgres,
    /// PostgreSQL is killed.
    KillPostgres,
    /// PostgreSQL stands still.
    PausePostgres,
    /// A session in PostgreSQL locks a table against writing and reading.
    LockTable(&'static str),
    /// Everything between one instance and PostgreSQL takes so many milliseconds longer.
    SlowPostgres(usize, u64),
    /// What one instance and Redis say to each other disappears; connections stay open.
    SilentRedis(usize),
    /// What one instance and PostgreSQL say to each other disappears; connections stay open.
    SilentPostgres(usize),
    /// The primary is killed until its replica has taken over.
    FailOverByKill,
    /// The primary stands still until its replica has taken over.
    FailOverByPause,
    /// The replica is told to take over.
    FailOverByCommand,
    /// Slots move from one primary to another.
    Reshard,
}

impl Fault {
    /// Whether Redis may lose acknowledged state by it. Replication is asynchronous: a fail-over loses its tail.
    pub(super) fn loses_state(self) -> bool {
        matches!(
            self,
            Self::EmptyRedis
                | Self::EmptyAfterPause(_)
                | Self::FlushAll
                | Self::FailOverByKill
                | Self::FailOverByPause
                | Self::FailOverByCommand
        )
    }

    /// Whether an instance cannot bring to PostgreSQL what it holds.
    pub(super) fn stops_an_instance(self) -> bool {
        matches!(self, Self::KillInstance(_) | Self::PauseInstance(_))
    }

    fn touches_redis(self) -> bool {
        self.loses_state()
            || matches!(
                self,
                Self::PauseRedis | Self::RestartRedis | Self::SilentRedis(_) | Self::Reshard
            )
    }

    fn touches_postgres(self) -> bool {
        matches!(
            self,
            Self::StopPostgres
                | Self::KillPostgres
                | Self::PausePostgres
                | Self::LockTable(_)
                | Self::SlowPostgres(..)
                | Self::SilentPostgres(_)
        )
    }

    /// Whether both may happen in one round: two faults of different servers, and never what the promise excludes.
    fn goes_with(self, other: Self) -> bool {
        let excluded = |one: Self, two: Self| one.loses_state() && two.stops_an_instance();
        let same = self.touches_redis() && other.touches_redis()
            || self.touches_postgres() && other.touches_postgres()
            || self.stops_an_instance() && other.stops_an_instance();
        !same && !excluded(self, other) && !excluded(other, self)
    }
}

/// One or two faults that overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// Quiet before it.
    pub(super) pause: Duration,
    /// The first fault and how long it lasts.
    pub(super) first: (Fault, Duration),
    /// Another, and how long after the first it begins. It lasts until the first has ended, and so long.
    pub(super) second: Option<(Fault, Duration, Duration)>,
}

/// Faults for as long as `length`, in rounds. `only` are beginnings of names of faults; none stands for all of them.
///
/// # Errors
/// When no fault of the topology has such a name.
pub(super) fn draw(
    seed: u64,
    topology: Topology,
    length: Duration,
    only: &[String],
) -> Result<Vec<Round>, Error> {
    let mut random = Random::new(seed, 0);
    let mut rounds = Vec::new();
    let mut planned = Duration::ZERO;
    while planned < length {
        let round = round(&mut random, topology, only)?;
        planned += round.pause + round.first.1;
        if let Some((_, after, lasts)) = round.second {
            planned += after + lasts;
        }
        rounds.push(round);
    }
    Ok(rounds)
}

fn round(random: &mut Random, topology: Topology, only: &[String]) -> Result<Round, Error> {
    let millis =
        |random: &mut Random, least, most| Duration::from_millis(random.between(least, most));
    let pause = millis(random, 500, 3000);
    let first = fault(random, topology, only)?;
    let lasts = millis(random, 300, 5000);
    let second = random.chance(40).then(|| fault(random, topology, only));
    let second = second
        .transpose()?
        .filter(|second| first.goes_with(*second));
    let second = second.map(|second| (second, millis(random, 0, 1500), millis(random, 200, 3000)));
    Ok(Round {
        pause,
        first: (first, lasts),
        second,
    })
}

fn fault(random: &mut Random, topology: Topology, only: &[String]) -> Result<Fault, Error> {
    let instance = random.index(2);
    let table = random.weighted(&[(3, "users"), (2, "sessions"), (1, "audit_logs")]);
    let common = [
        (4, Fault::KillInstance(instance)),
        (3, Fault::PauseInstance(instance)),
        (4, Fault::PauseRedis),
        (2, Fault::StopPostgres),
        (2, Fault::KillPostgres),
        (2, Fault::PausePostgres),
        (3, Fault::LockTable(table)),
        (3, Fault::SlowPostgres(instance, random.between(20, 400))),
        (2, Fault::SilentPostgres(instance)),
    ];
    let own: &[(u64, Fault)] = match topology {
        Topology::Single => &[
            (5, Fault::RestartRedis),
            (4, Fault::EmptyRedis),
            (3, Fault::EmptyAfterPause(random.between(300, 1000))),
            (3, Fault::FlushAll),
            (3, Fault::SilentRedis(instance)),
        ],
        Topology::Sentinel => &[
            (5, Fault::FailOverByKill),
            (5, Fault::FailOverByPause),
            (4, Fault::FailOverByCommand),
            (1, Fault::FlushAll),
        ],
        Topology::Cluster => &[
            (4, Fault::FailOverByKill),
            (4, Fault::FailOverByPause),
            (4, Fault::FailOverByCommand),
            (4, Fault::Reshard),
            (1, Fault::FlushAll),
        ],
    };
    let mut choices: Vec<(u64, Fault)> = common.iter().chain(own).copied().collect();
    if !only.is_empty() {
        let is_meant = |name: &str| only.iter().any(|only| name.starts_with(only));
        choices.retain(|(_, fault)| is_meant(&format!("{fault:?}")));
    }
    if choices.is_empty() {
        let only = only.join(", ");
        return Err(Error::Target(format!("{topology:?} has no fault {only}")));
    }
    Ok(random.weighted(&choices))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn draw(seed: u64, topology: Topology, length: Duration) -> Vec<Round> {
        super::draw(seed, topology, length, &[]).unwrap()
    }

    #[test]
    fn faults_can_be_chosen_by_their_names() {
        let draw = |only: &str| super::draw(7, Topology::Single, MINUTE, &[only.to_owned()]);
        let pauses = draw("Pause").unwrap();
        let is_pause = |fault| format!("{fault:?}").starts_with("Pause");
        assert!(pauses.iter().all(|round| is_pause(round.first.0)));
        assert!(draw("Reshard").is_err(), "that needs a Cluster");
    }

    #[test]
    fn a_seed_repeats_its_schedule() {
        for topology in [Topology::Single, Topology::Sentinel, Topology::Cluster] {
            assert_eq!(draw(7, topology, MINUTE), draw(7, topology, MINUTE));
        }
        assert_ne!(
            draw(7, Topology::Single, MINUTE),
            draw(8, Topology::Single, MINUTE)
        );
    }

    #[test]
    fn no_round_takes_a_change_from_both_of_its_holders() {
        for seed in 0..500 {
            for topology in [Topology::Single, Topology::Sentinel, Topology::Cluster] {
                for round in draw(seed, topology, MINUTE) {
                    let Some((second, ..)) = round.second else {
                        continue;
                    };
                    let both = [round.first.0, second];
                    let lost = both.iter().any(|fault| fault.loses_state());
                    let stopped = both.iter().any(|fault| fault.stops_an_instance());
                    assert!(!(lost && stopped), "seed {seed}: {both:?}");
                }
            }
        }
    }

    #[test]
    fn every_fault_of_a_topology_is_drawn() {
        let drawn = |topology| {
            let rounds = (0..100).flat_map(|seed| draw(seed, topology, MINUTE));
            let faults = rounds.map(|round| std::mem::discriminant(&round.first.0));
            faults.collect::<std::collections::HashSet<_>>().len()
        };
        assert_eq!(drawn(Topology::Single), 14);
        assert_eq!(drawn(Topology::Sentinel), 13);
        assert_eq!(drawn(Topology::Cluster), 14);
    }
}
