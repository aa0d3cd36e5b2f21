//! Growth: the same logins with a thousand accounts and with many, chosen at random, to show whether many accounts
//! make logins slower. The hash is the cheapest there is, so that the store's share is visible.

use std::sync::Arc;

use bytes::Bytes;

use super::Played;
use super::overload::LogInAsAny;
use crate::account::Account;
use crate::error::Error;
use crate::population::{self, Enrol};
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::virtual_user::VirtualUser;

/// Users of the first measurement.
pub(super) const FEW: usize = 1000;

pub(super) async fn play(run: &Run) -> Played {
    let mut bodies = register(run, FEW).await?;
    let few = measure(run, &bodies).await;
    match register(run, run.settings.users - FEW).await {
        Ok(more) => bodies.extend(more),
        // The finished phase is reported.
        Err(Error::Interrupted) => return Ok((vec![few], Vec::new())),
        Err(other) => return Err(other),
    }
    let many = measure(run, &bodies).await;
    let findings = findings(&few, &many);
    Ok((vec![few, many], findings))
}

async fn register(run: &Run, count: usize) -> Result<Vec<Bytes>, Error> {
    let accounts = population::register(run, count, Enrol::None).await?;
    Ok(accounts.iter().map(Account::credentials).collect())
}

async fn measure(run: &Run, bodies: &[Bytes]) -> PhaseReport {
    let settings = &run.settings;
    let one = |number| VirtualUser::new(number, run.target.client(number, settings), Vec::new());
    let users = (0..settings.connections).map(one).collect();
    let phase = Phase::of(&format!("login with {} users", bodies.len()), settings);
    let turn = LogInAsAny(Arc::from(bodies));
    run.phase(&phase, turn, users).await.0
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
