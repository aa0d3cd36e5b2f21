//! Many users at once, each with the same fifteen requests, from registration to logout. Limits on: 429 is
//! intended, and steps that need a refused one are skipped.

use std::time::Duration;

use bytes::Bytes;

use super::Played;
use crate::account::{self, Account};
use crate::client::Answer;
use crate::machine::Machine;
use crate::report::{Finding, PhaseReport};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::settings::Limits;
use crate::virtual_user::{Next, Turn, VirtualUser};

/// Requests of one user.
const STEPS: u64 = 15;

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let marker = u32::from_be_bytes(sallyport::clock::random());
    let one = |number| {
        let account = Account::new(number, format!("load{marker:08x}x{number}"));
        let client = run.target.client(number, settings);
        VirtualUser::new(number, client, vec![account])
    };
    let users = (0..settings.users).map(one).collect();
    let phase = Phase {
        warm_up: Duration::ZERO,
        intended: if settings.limits == Limits::On {
            &[429]
        } else {
            &[]
        },
        ..Phase::of("stress", settings)
    };
    let turn = Journey {
        skew_steps: settings.totp_skew_steps,
    };
    let (report, _) = run.phase(&phase, turn, users).await;
    let findings = findings(&report, settings.users);
    Ok((vec![report], findings))
}

/// A whole user journey as one turn.
struct Journey {
    skew_steps: u8,
}

impl Turn for Journey {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        let done = self.run(user).await;
        for _ in done.unwrap_or_else(|done| done)..STEPS {
            user.skip("after a refusal");
        }
        Next::Done
    }
}

impl Journey {
    /// Makes all requests of a user.
    ///
    /// # Errors
    /// The number of requests made, when one was refused that the next ones need.
    async fn run(&self, user: &mut VirtualUser) -> Result<u64, u64> {
        let body = user.account().registration();
        keep(user, Route::Register, body, 1).await?;
        request(user, Route::Me).await;
        let body = user.account().credentials();
        keep(user, Route::Login, body, 3).await?;
        request(user, Route::Me).await;
        self.enrol(user).await?;
        let body = user.account().credentials();
        let challenge = keep(user, Route::Login, body, 7).await?.ok_or(7_u64)?;
        let code = user.account().next_code().ok_or(7_u64)?;
        let body = account::second_factor(&challenge, &code);
        keep(user, Route::SecondFactor, body, 8).await?;
        request(user, Route::Me).await;
        request(user, Route::Methods).await;
        request(user, Route::BackupCodesCount).await;
        let body = user.account().refresh_body().ok_or(11_u64)?;
        keep(user, Route::Refresh, body, 12).await?;
        request(user, Route::Sessions).await;
        request(user, Route::Me).await;
        let body = user.account().refresh_body().ok_or(14_u64)?;
        user.ask(Route::Logout, body).await;
        user.account().forget_tokens();
        Ok(STEPS)
    }

    async fn enrol(&self, user: &mut VirtualUser) -> Result<(), u64> {
        let setup = request(user, Route::TotpSetup).await;
        let account = user.account();
        let code = account
            .scan(&setup.body, self.skew_steps)
            .and_then(|()| account.next_code())
            .ok_or(5_u64)?;
        let body = account::confirmation(&code);
        let answer = user.ask_signed_in(Route::TotpVerifySetup, body).await;
        if answer.is_ok() { Ok(()) } else { Err(6) }
    }
}

async fn request(user: &mut VirtualUser, route: Route) -> Answer {
    user.ask_signed_in(route, Bytes::new()).await
}

/// Requests tokens and keeps them; returns the challenge when there is one. `done` requests were made then.
async fn keep(
    user: &mut VirtualUser,
    route: Route,
    body: Bytes,
    done: u64,
) -> Result<Option<String>, u64> {
    let answer = user.ask(route, body).await;
    if answer.is_ok() {
        Ok(user.account().keep_tokens(&answer.body))
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
