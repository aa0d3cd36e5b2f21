//! The cheapest thing that somebody logged in does: the session is looked up, the account shown. Beside a private
//! service the same visitors then ask bare servers: hyper alone, and hyper with one GET of Redis.

use bytes::Bytes;

use super::Played;
use crate::bare::Bare;
use crate::crowd::{self, Enrol};
use crate::error::Error;
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::target::Target;
use crate::visitor::{Next, Turn, Visitor};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let people =
        crowd::register(run, settings.users.max(settings.connections), Enrol::Nobody).await?;
    let visitors = crowd::seat(run, people, settings.connections);
    let (report, visitors) = run.phase(&Phase::of("me", settings), Look, visitors).await;
    let mut phases = vec![report];
    let closed = settings.rate.is_none() && !run.stop.is_asked();
    if let (Some(redis_url), true) = (run.target.redis_url(), closed) {
        phases.extend(ask_bare(run, &redis_url?, visitors).await?);
    }
    let findings = findings(&phases);
    Ok((phases, findings))
}

const ALONE: &str = "hyper alone";
const WITH_GET: &str = "hyper with one GET";

/// The same people with the same requests, and nobody who looks at them.
async fn ask_bare(
    run: &Run,
    redis_url: &str,
    mut visitors: Vec<Visitor>,
) -> Result<Vec<PhaseReport>, Error> {
    let bare = Bare::start(redis_url)?;
    let mut phases = Vec::new();
    for (name, address) in [(ALONE, bare.alone), (WITH_GET, bare.with_get)] {
        for visitor in &mut visitors {
            visitor.turn_to(Target::client_of(address, &run.settings)?);
        }
        let phase = Phase {
            beside: true,
            ..Phase::of(name, &run.settings)
        };
        let (report, back) = run.phase(&phase, Look, visitors).await;
        visitors = back;
        phases.push(report);
    }
    Ok(phases)
}

fn findings(phases: &[PhaseReport]) -> Vec<Finding> {
    let rate = |name: &str| {
        let mut phases = phases.iter();
        let phase = phases.find(|phase| phase.name == name);
        phase.map_or(0.0, |phase| phase.rate_of(Route::Me, 200))
    };
    let over = |name: &str, what, note: &str| {
        let ratio = rate("me") / rate(name);
        Finding::new(what, ratio, "ratio", note.to_owned())
    };
    vec![
        over(WITH_GET, "checks over hyper with one GET", "target ≥ 0.85"),
        over(ALONE, "checks over hyper alone", ""),
    ]
}

/// Each of a visitor's people in turn.
pub(super) struct Look;

impl Turn for Look {
    async fn take(&self, visitor: &mut Visitor) -> Next {
        visitor.current = (visitor.current + 1) % visitor.people.len();
        visitor.ask_signed_in(Route::Me, Bytes::new()).await;
        Next::Again
    }
}
