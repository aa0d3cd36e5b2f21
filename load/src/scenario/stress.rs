//! Many users at once, each with the same fifteen requests, from registration to logout. Limits on: 429 is
//! intended, and what follows from a refused step is not asked.

use std::time::Duration;

use bytes::Bytes;

use super::Played;
use crate::client::Answer;
use crate::machine::Machine;
use crate::person::{self, Person};
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::settings::Limits;
use crate::visitor::{Next, Turn, Visitor};

/// Requests of one user.
const STEPS: u64 = 15;

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let marker = u32::from_be_bytes(sallyport::clock::random());
    let one = |number| {
        let person = Person::new(number, format!("load{marker:08x}x{number}"));
        let client = run.target.client(number, settings);
        Visitor::new(number, client, vec![person])
    };
    let visitors = (0..settings.users).map(one).collect();
    let phase = Phase {
        warm_up: Duration::ZERO,
        intended: if settings.limits == Limits::On {
            &[429]
        } else {
            &[]
        },
        ..Phase::of("stress", settings)
    };
    let turn = Life {
        skew_steps: settings.totp_skew_steps,
    };
    let (report, _) = run.phase(&phase, turn, visitors).await;
    let findings = findings(&report, settings.users);
    Ok((vec![report], findings))
}

/// All of a user's requests are one turn.
struct Life {
    skew_steps: u8,
}

impl Turn for Life {
    async fn take(&self, visitor: &mut Visitor) -> Next {
        let done = self.live(visitor).await;
        for _ in done.unwrap_or_else(|done| done)..STEPS {
            visitor.skip("after a refusal");
        }
        Next::Spent
    }
}

impl Life {
    /// # Errors
    /// How many requests were made, when one of them was refused that the next ones need.
    async fn live(&self, visitor: &mut Visitor) -> Result<u64, u64> {
        let body = visitor.person().registration();
        keep(visitor, Route::Register, body, 1).await?;
        look(visitor, Route::Me).await;
        let body = visitor.person().credentials();
        keep(visitor, Route::Login, body, 3).await?;
        look(visitor, Route::Me).await;
        self.enrol(visitor).await?;
        let body = visitor.person().credentials();
        let challenge = keep(visitor, Route::Login, body, 7).await?.ok_or(7_u64)?;
        let code = visitor.person().next_code().ok_or(7_u64)?;
        let body = person::second_factor(&challenge, &code);
        keep(visitor, Route::SecondFactor, body, 8).await?;
        look(visitor, Route::Me).await;
        look(visitor, Route::Methods).await;
        look(visitor, Route::BackupCodesCount).await;
        let body = visitor.person().refresh_body().ok_or(11_u64)?;
        keep(visitor, Route::Refresh, body, 12).await?;
        look(visitor, Route::Sessions).await;
        look(visitor, Route::Me).await;
        let body = visitor.person().refresh_body().ok_or(14_u64)?;
        visitor.ask(Route::Logout, body).await;
        visitor.person().forget_tokens();
        Ok(STEPS)
    }

    async fn enrol(&self, visitor: &mut Visitor) -> Result<(), u64> {
        let setup = look(visitor, Route::TotpSetup).await;
        let person = visitor.person();
        let code = person
            .scan(&setup.body, self.skew_steps)
            .and_then(|()| person.next_code())
            .ok_or(5_u64)?;
        let body = person::confirmation(&code);
        let answer = visitor.ask_signed_in(Route::TotpVerifySetup, body).await;
        if answer.is_ok() { Ok(()) } else { Err(6) }
    }
}

async fn look(visitor: &mut Visitor, route: Route) -> Answer {
    visitor.ask_signed_in(route, Bytes::new()).await
}

/// Asks for tokens and keeps them; returns the challenge when there is one. `done` requests were made then.
async fn keep(
    visitor: &mut Visitor,
    route: Route,
    body: Bytes,
    done: u64,
) -> Result<Option<String>, u64> {
    let answer = visitor.ask(route, body).await;
    if answer.is_ok() {
        Ok(visitor.person().keep_tokens(&answer.body))
    } else {
        Err(done)
    }
}

fn findings(report: &PhaseReport, users: usize) -> Vec<Finding> {
    let mut findings = vec![Finding::new(
        "whole time",
        report.summary.seconds,
        "seconds",
        format!("{users} users, {STEPS} requests each"),
    )];
    let cores = u32::try_from(Machine::this().cores).map_or(1.0, f64::from);
    if let Some(server) = &report.server
        && server.hash.run_sum > 0.0
    {
        let least = server.hash.run_sum / cores;
        let note = format!(
            "{:.0} hashes of {:.2} ms on {cores} cores take {least:.2} s",
            server.hash.count,
            server.hash.run_mean.unwrap_or(0.0) * 1000.0
        );
        let ratio = report.summary.seconds / least;
        findings.push(Finding::new(
            "whole time over that of the hashes",
            ratio,
            "ratio",
            note,
        ));
    }
    findings
}
