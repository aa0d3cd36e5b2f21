//! Whether many accounts make logins slower. The same logins with a thousand accounts and with many, the
//! people chosen at random. The hash is the cheapest there is, so that it hides nothing of the store.

use std::sync::Arc;

use bytes::Bytes;

use super::Played;
use super::overload::LogInAsAny;
use crate::crowd::{self, Enrol};
use crate::error::Error;
use crate::person::Person;
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::visitor::Visitor;

/// Users of the first measurement.
pub(super) const FEW: usize = 1000;

pub(super) async fn play(run: &Run) -> Played {
    let mut bodies = arrive(run, FEW).await?;
    let few = measure(run, &bodies).await;
    match arrive(run, run.settings.users - FEW).await {
        Ok(more) => bodies.extend(more),
        // What was measured is told.
        Err(Error::Interrupted) => return Ok((vec![few], Vec::new())),
        Err(other) => return Err(other),
    }
    let many = measure(run, &bodies).await;
    let findings = findings(&few, &many);
    Ok((vec![few, many], findings))
}

async fn arrive(run: &Run, count: usize) -> Result<Vec<Bytes>, Error> {
    let people = crowd::register(run, count, Enrol::Nobody).await?;
    Ok(people.iter().map(Person::credentials).collect())
}

async fn measure(run: &Run, bodies: &[Bytes]) -> PhaseReport {
    let settings = &run.settings;
    let one = |number| Visitor::new(number, run.target.client(number, settings), Vec::new());
    let visitors = (0..settings.connections).map(one).collect();
    let phase = Phase::of(&format!("login with {} users", bodies.len()), settings);
    let turn = LogInAsAny(Arc::from(bodies));
    run.phase(&phase, turn, visitors).await.0
}

fn findings(few: &PhaseReport, many: &PhaseReport) -> Vec<Finding> {
    let (Some(before), Some(after)) = (few.row(Route::Login, 200), many.row(Route::Login, 200))
    else {
        return Vec::new();
    };
    let p99 = after.latency.p99_millis() / before.latency.p99_millis();
    let p50 = after.latency.p50_millis() / before.latency.p50_millis();
    let rate = after.rate / before.rate;
    let finding = |name, value, note: &str| Finding::new(name, value, "ratio", note.to_owned());
    vec![
        finding("login p99, many over few", p99, "target ≤ 1.1"),
        finding("login p50, many over few", p50, ""),
        finding("login rate, many over few", rate, ""),
    ]
}
