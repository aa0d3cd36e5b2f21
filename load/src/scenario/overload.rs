//! Ten times the logins that are possible. First the capacity is measured, then it is offered tenfold at a
//! constant rate, while a side stream does something cheap at a rate of its own. Then the same comes from one
//! address alone, while others log in now and then, each from an address of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Played, login, me};
use crate::crowd::{self, Enrol};
use crate::person::Person;
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::visitor::{Next, Turn, Visitor};

/// How much more is offered than is possible.
const TIMES: f64 = 10.0;
/// Visitors of the closed loop that measures the capacity.
const CAPACITY_CONNECTIONS: usize = 50;
/// Visitors and rate of the side stream.
const SIDE_CONNECTIONS: usize = 50;
const SIDE_RATE: f64 = 200.0;
/// Visitors and rate of those who log in beside the greedy address.
const OTHERS: usize = 50;
const OTHERS_RATE: f64 = 5.0;

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let users = settings.users.max(2 * CAPACITY_CONNECTIONS);
    let mut people = crowd::register(run, users, Enrol::Nobody).await?;
    let bodies: Arc<[Bytes]> = people.iter().map(Person::credentials).collect();
    let aside = people.split_off(people.len() - SIDE_CONNECTIONS);
    let visitors = crowd::seat(run, people, CAPACITY_CONNECTIONS);
    let (capacity, _) = run
        .phase(&capacity_phase(run), login::LogIn, visitors)
        .await;
    let possible = capacity.rate_of(Route::Login, 200);
    if possible <= 0.0 || run.stop.is_asked() {
        return Ok((vec![capacity], Vec::new()));
    }
    let phase = storm_phase(run, "overload", possible);
    let beside = beside(&phase, SIDE_RATE);
    let everybody = (0..run.settings.connections).collect();
    let storm = LogInAsAny(Arc::clone(&bodies));
    let storm = run.phase(&phase, storm, strangers(run, everybody));
    let side = run.phase(&beside, me::Look, crowd::seat(run, aside, SIDE_CONNECTIONS));
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

/// The same storm from one address, and beside it those who have nothing to do with it.
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
    let greedy = run.phase(&phase, log_in(), strangers(run, one_address));
    let others = run.phase(&beside, log_in(), strangers(run, other_addresses));
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

/// What goes on beside a phase, where nobody may be refused.
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

/// Visitors who are nobody yet, each with the number of an address.
fn strangers(run: &Run, addresses: Vec<usize>) -> Vec<Visitor> {
    let one = |(number, address)| {
        let client = run.target.client(address, &run.settings);
        Visitor::new(number, client, Vec::new())
    };
    addresses.into_iter().enumerate().map(one).collect()
}

/// Whoever comes logs in as somebody of all.
pub(super) struct LogInAsAny(pub(super) Arc<[Bytes]>);

impl Turn for LogInAsAny {
    async fn take(&self, visitor: &mut Visitor) -> Next {
        let chosen = visitor.roll(self.0.len() as u64);
        let chosen = usize::try_from(chosen).unwrap_or(0);
        visitor.ask(Route::Login, self.0[chosen].clone()).await;
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
