//! Logins with a password. One hash each, so they show the limit of the hash pool and its engine.

use super::Played;
use crate::population::{self, Enrol};
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::virtual_user::{Next, Turn, VirtualUser};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let accounts =
        population::register(run, settings.users.max(settings.connections), Enrol::None).await?;
    let users = population::assign(run, accounts, settings.connections);
    let phase = Phase::of("login", settings);
    let (report, _) = run.phase(&phase, LogIn, users).await;
    let findings = against_the_hash(&report).into_iter().collect();
    Ok((vec![report], findings))
}

/// A login of each account of a virtual user in turn.
pub(super) struct LogIn;

impl Turn for LogIn {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        user.current = (user.current + 1) % user.accounts.len();
        let body = user.account().credentials();
        user.ask(Route::Login, body).await;
        Next::Again
    }
}

/// Logins per second over what all cores could hash if they did nothing else.
fn against_the_hash(report: &PhaseReport) -> Option<Finding> {
    let hash_seconds = report.server.as_ref()?.hash.run_mean?;
    let cores = crate::machine::Machine::this().cores;
    let possible = f64::from(u32::try_from(cores).ok()?) / hash_seconds;
    let note = format!(
        "of {possible:.0}/s: {cores} cores ÷ {:.2} ms, the mean time of one hash in this run",
        hash_seconds * 1000.0
    );
    let share = report.rate_of(Route::Login, 200) / possible;
    Some(Finding::new(
        "logins over the bound of the hash",
        share,
        "ratio",
        note,
    ))
}
