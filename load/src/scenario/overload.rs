//! Ten times the logins that are possible. First the capacity is measured, then it is offered tenfold at a
//! constant rate, while a side stream does something cheap at a rate of its own. Then the same comes from one
//! address alone, while others log in now and then, each from an address of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Played, login, me};
use crate::account::Account;
use crate::population::{self, Enrol};
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::virtual_user::{Next, Turn, VirtualUser};

/// Factor of the offered rate over the capacity.
const TIMES: f64 = 10.0;
/// Virtual users of the closed loop that measures the capacity.
const CAPACITY_CONNECTIONS: usize = 50;
/// Virtual users and rate of the side stream.
const SIDE_CONNECTIONS: usize = 50;
const SIDE_RATE: f64 = 200.0;
/// Virtual users and rate of logins from other addresses beside the greedy one.
const OTHERS: usize = 50;
const OTHERS_RATE: f64 = 5.0;

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let users = settings.users.max(2 * CAPACITY_CONNECTIONS);
    let mut accounts = population::register(run, users, Enrol::None).await?;
    let bodies: Arc<[Bytes]> = accounts.iter().map(Account::credentials).collect();
    let aside = accounts.split_off(accounts.len() - SIDE_CONNECTIONS);
    let users = population::assign(run, accounts, CAPACITY_CONNECTIONS);
    let (capacity, _) = run.phase(&capacity_phase(run), login::LogIn, users).await;
    let possible = capacity.rate_of(Route::Login, 200);
    if possible <= 0.0 || run.stop.is_asked() {
        return Ok((vec![capacity], Vec::new()));
    }
    let phase = storm_phase(run, "overload", possible);
    let beside = beside(&phase, SIDE_RATE);
    let all_addresses = (0..run.settings.connections).collect();
    let storm = LogInAsAny(Arc::clone(&bodies));
    let storm = run.phase(&phase, storm, users_from(run, all_addresses));
    let side = run.phase(
        &beside,
        me::GetMe,
        population::assign(run, aside, SIDE_CONNECTIONS),
    );
    let ((storm, _), (side, _)) = tokio::join!(storm, side);
    let mut findings = findings(&capacity, &storm, &side);
    let mut phases = vec![capacity, storm, side];
    if run.target.tells_addresses_apart() && !run.stop.is_asked() {
        let (greedy, others) = greedy_address(run, possible, &bodies).await;
        findings.extend(fairness(possible, &greedy, &others));
        phases.extend([greedy, others]);
    }
    Ok((phases, findings))
}

/// The same overload from one address, and logins from other addresses beside it.
async fn greedy_address(
    run: &Run,
    possible: f64,
    bodies: &Arc<[Bytes]>,
) -> (PhaseReport, PhaseReport) {
    let phase = storm_phase(run, "one greedy address", possible);
    let beside = beside(&phase, OTHERS_RATE);
    let log_in = || LogInAsAny(Arc::clone(bodies));
    let one_address = vec![0; run.settings.connections];
    let other_addresses = (1..=OTHERS).collect();
    let greedy = run.phase(&phase, log_in(), users_from(run, one_address));
    let others = run.phase(&beside, log_in(), users_from(run, other_addresses));
    let ((greedy, _), (others, _)) = tokio::join!(greedy, others);
    (greedy, others)
}

fn storm_phase(run: &Run, name: &str, possible: f64) -> Phase {
    Phase {
        rate: Some(possible * TIMES),
        turns: None,
        intended: &[503],
        ..Phase::of(name, &run.settings)
    }
}

/// A side stream beside a phase, of which no request may be refused.
fn beside(phase: &Phase, rate: f64) -> Phase {
    Phase {
        name: format!("beside: {}", phase.name),
        rate: Some(rate),
        beside: true,
        intended: &[],
        ..phase.clone()
    }
}

fn capacity_phase(run: &Run) -> Phase {
    Phase {
        length: run.settings.duration().min(Duration::from_secs(10)),
        rate: None,
        ..Phase::of("capacity", &run.settings)
    }
}

/// Virtual users without accounts, each with the number of an address.
fn users_from(run: &Run, addresses: Vec<usize>) -> Vec<VirtualUser> {
    let one = |(number, address)| {
        let client = run.target.client(address, &run.settings);
        VirtualUser::new(number, client, Vec::new())
    };
    addresses.into_iter().enumerate().map(one).collect()
}

/// A login with a random account of the population.
pub(super) struct LogInAsAny(pub(super) Arc<[Bytes]>);

impl Turn for LogInAsAny {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        let chosen = user.random_below(self.0.len() as u64);
        let chosen = usize::try_from(chosen).unwrap_or(0);
        user.ask(Route::Login, self.0[chosen].clone()).await;
        Next::Again
    }
}

fn findings(capacity: &PhaseReport, storm: &PhaseReport, side: &PhaseReport) -> Vec<Finding> {
    let possible = capacity.rate_of(Route::Login, 200);
    let good = storm.rate_of(Route::Login, 200);
    let mut findings = vec![
        finding(
            "capacity",
            possible,
            "per second",
            "logins in a closed loop",
        ),
        finding(
            "offered",
            storm.rate.unwrap_or(0.0),
            "per second",
            "logins in an open loop",
        ),
        finding(
            "goodput over capacity",
            good / possible,
            "ratio",
            "target ≥ 0.9",
        ),
        finding(
            "refused with 503",
            storm.share_of(Route::Login, 503),
            "share",
            "of those begun; without Retry-After they count as failed",
        ),
    ];
    if let Some(row) = storm.row(Route::Login, 503) {
        let millis = row.latency.p99_millis();
        findings.push(finding("p99 of the refusals", millis, "ms", "target ≤ 50"));
    }
    if let Some(row) = side.row(Route::Me, 200) {
        let millis = row.latency.p99_millis();
        findings.push(finding(
            "p99 of GET /auth/me beside it",
            millis,
            "ms",
            "target < 20",
        ));
    }
    if let Some(server) = &storm.server {
        let grown = server.memory_peak_mib - server.memory_before_mib;
        findings.push(finding(
            "memory gained at most",
            grown,
            "MiB",
            "of the service",
        ));
    }
    findings
}

fn fairness(possible: f64, greedy: &PhaseReport, others: &PhaseReport) -> Vec<Finding> {
    let good = greedy.rate_of(Route::Login, 200) + others.rate_of(Route::Login, 200);
    let mut findings = vec![
        finding(
            "goodput beside a greedy address",
            good / possible,
            "ratio",
            "over capacity, of all together; target ≥ 0.9",
        ),
        finding(
            "logins of others answered 200",
            others.share_of(Route::Login, 200),
            "share",
            "of those begun; target 1",
        ),
    ];
    if let Some(row) = others.row(Route::Login, 200) {
        let millis = row.latency.p99_millis();
        let note = "from the intended start";
        findings.push(finding("p99 of the logins of others", millis, "ms", note));
    }
    findings
}

fn finding(name: &str, value: f64, unit: &str, note: &str) -> Finding {
    Finding::new(name, value, unit, note.to_owned())
}
