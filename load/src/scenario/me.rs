//! The cheapest authenticated request: the session is looked up, the account shown. Beside a private service the same
//! virtual users then ask the reference servers: hyper alone, and hyper with one GET of Redis.

use bytes::Bytes;

use super::Played;
use crate::error::Error;
use crate::population::{self, Enrol};
use crate::reference::ReferenceServers;
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::target::Target;
use crate::virtual_user::{Next, Turn, VirtualUser};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let accounts =
        population::register(run, settings.users.max(settings.connections), Enrol::None).await?;
    let users = population::assign(run, accounts, settings.connections);
    check(run, "me", users).await
}

/// The checks of these virtual users in a phase of this name, then the same of the reference servers.
pub(super) async fn check(run: &Run, name: &'static str, users: Vec<VirtualUser>) -> Played {
    let settings = &run.settings;
    let (report, users) = run.phase(&Phase::of(name, settings), GetMe, users).await;
    let mut phases = vec![report];
    let closed = settings.rate.is_none() && !run.stop.is_asked();
    if let (Some(redis_url), true) = (run.target.redis_url(), closed) {
        phases.extend(ask_references(run, &redis_url?, users).await?);
    }
    let findings = findings(name, &phases);
    Ok((phases, findings))
}

const ALONE: &str = "hyper alone";
const WITH_GET: &str = "hyper with one GET";

/// The same virtual users with the same requests, to the reference servers.
async fn ask_references(
    run: &Run,
    redis_url: &str,
    mut users: Vec<VirtualUser>,
) -> Result<Vec<PhaseReport>, Error> {
    let references = ReferenceServers::start(redis_url)?;
    let mut phases = Vec::new();
    for (name, address) in [(ALONE, references.alone), (WITH_GET, references.with_get)] {
        for user in &mut users {
            user.set_client(Target::client_of(address, &run.settings)?);
        }
        let phase = Phase {
            beside: true,
            ..Phase::of(name, &run.settings)
        };
        let (report, back) = run.phase(&phase, GetMe, users).await;
        users = back;
        phases.push(report);
    }
    Ok(phases)
}

fn findings(measured: &str, phases: &[PhaseReport]) -> Vec<Finding> {
    let rate = |name: &str| {
        let mut phases = phases.iter();
        let phase = phases.find(|phase| phase.name == name);
        phase.map_or(0.0, |phase| phase.rate_of(Route::Me, 200))
    };
    let over = |name: &str, what, note: &str| {
        let ratio = rate(measured) / rate(name);
        Finding::new(what, ratio, "ratio", note.to_owned())
    };
    vec![
        over(WITH_GET, "checks over hyper with one GET", "target ≥ 0.85"),
        over(ALONE, "checks over hyper alone", ""),
    ]
}

/// A check of the session of each account of a virtual user in turn.
pub(super) struct GetMe;

impl Turn for GetMe {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        user.current = (user.current + 1) % user.accounts.len();
        user.ask_signed_in(Route::Me, Bytes::new()).await;
        Next::Again
    }
}
