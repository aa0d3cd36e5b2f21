//! Answers to challenges with codes of an authenticator.
//!
//! A step counts once and an account has few of them at a time, so there are many accounts, and the service
//! grants many steps of drift. A challenge needs a login: those come first, uncounted, with the cheapest
//! hash.

use super::Played;
use crate::account;
use crate::population::{self, Enrol};
use crate::report::Finding;
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::virtual_user::{Next, Turn, VirtualUser};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let accounts = population::register(run, settings.users, Enrol::All).await?;
    let users = population::assign(run, accounts, settings.connections);
    let users = run
        .prepare(
            "logging in, for as many challenges as there are codes",
            Challenge,
            users,
        )
        .await?;
    let prepared: usize = users.iter().map(|user| user.challenges.len()).sum();
    let phase = Phase::of("second-factor", settings);
    let (report, left) = run.phase(&phase, Answer, users).await;
    let left: usize = left.iter().map(|user| user.challenges.len()).sum();
    let note = format!("{left} of {prepared} challenges were left when the time was over");
    let answered = u32::try_from(prepared - left).map_or(0.0, f64::from);
    let findings = vec![Finding::new("challenges answered", answered, "count", note)];
    Ok((vec![report], findings))
}

/// One login in a turn, until each of a virtual user's accounts has a challenge for each code.
struct Challenge;

impl Turn for Challenge {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        let number = user.current;
        let waiting = user.challenges.iter().filter(|one| one.0 == number);
        let waiting = waiting.count() as u64;
        let authenticator = user.account().authenticator.as_ref();
        if authenticator.is_none_or(|app| app.codes_left() <= waiting) {
            user.current += 1;
            return end_of_row(user);
        }
        let body = user.account().credentials();
        let answer = user.ask_patiently(Route::Login, body, false).await;
        match user.account().keep_tokens(&answer.body) {
            Some(challenge) if answer.is_ok() => user.challenges.push((number, challenge)),
            _ => {
                user.failure = Some(population::describe_failure(Route::Login, &answer));
                return Next::Done;
            }
        }
        Next::Again
    }
}

fn end_of_row(user: &mut VirtualUser) -> Next {
    if user.current < user.accounts.len() {
        return Next::Again;
    }
    user.current = 0;
    Next::Done
}

/// One challenge in a turn.
struct Answer;

impl Turn for Answer {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        let Some((number, challenge)) = user.challenges.pop() else {
            return Next::Done;
        };
        user.current = number;
        let Some(code) = user.account().next_code() else {
            user.skip("no code left");
            return Next::Again;
        };
        let body = account::second_factor(&challenge, &code);
        user.ask(Route::SecondFactor, body).await;
        Next::Again
    }
}
