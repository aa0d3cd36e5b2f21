//! Answers to challenges with codes of an authenticator.
//!
//! A step counts once and an account has few of them at a time, so there are many accounts, and the service
//! grants many steps of drift. A challenge needs a login: those come first, uncounted, with the cheapest
//! hash.

use super::Played;
use crate::crowd::{self, Enrol};
use crate::person;
use crate::report::Finding;
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::visitor::{Next, Turn, Visitor};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let people = crowd::register(run, settings.users, Enrol::Everybody).await?;
    let visitors = crowd::seat(run, people, settings.connections);
    let visitors = run
        .prepare(
            "logging in, for as many challenges as there are codes",
            Challenge,
            visitors,
        )
        .await?;
    let prepared: usize = visitors
        .iter()
        .map(|visitor| visitor.challenges.len())
        .sum();
    let phase = Phase::of("second-factor", settings);
    let (report, left) = run.phase(&phase, Answer, visitors).await;
    let left: usize = left.iter().map(|visitor| visitor.challenges.len()).sum();
    let note = format!("{left} of {prepared} challenges were left when the time was over");
    let answered = u32::try_from(prepared - left).map_or(0.0, f64::from);
    let findings = vec![Finding::new("challenges answered", answered, "count", note)];
    Ok((vec![report], findings))
}

/// One login in a turn, until each of a visitor's people has a challenge for each code.
struct Challenge;

impl Turn for Challenge {
    async fn take(&self, visitor: &mut Visitor) -> Next {
        let number = visitor.current;
        let waiting = visitor.challenges.iter().filter(|one| one.0 == number);
        let waiting = waiting.count() as u64;
        let authenticator = visitor.person().authenticator.as_ref();
        if authenticator.is_none_or(|app| app.codes_left() <= waiting) {
            visitor.current += 1;
            return end_of_row(visitor);
        }
        let body = visitor.person().credentials();
        let answer = visitor.ask_patiently(Route::Login, body, false).await;
        match visitor.person().keep_tokens(&answer.body) {
            Some(challenge) if answer.is_ok() => visitor.challenges.push((number, challenge)),
            _ => {
                visitor.trouble = Some(crowd::trouble(Route::Login, &answer));
                return Next::Spent;
            }
        }
        Next::Again
    }
}

fn end_of_row(visitor: &mut Visitor) -> Next {
    if visitor.current < visitor.people.len() {
        return Next::Again;
    }
    visitor.current = 0;
    Next::Spent
}

/// One challenge in a turn.
struct Answer;

impl Turn for Answer {
    async fn take(&self, visitor: &mut Visitor) -> Next {
        let Some((number, challenge)) = visitor.challenges.pop() else {
            return Next::Spent;
        };
        visitor.current = number;
        let Some(code) = visitor.person().next_code() else {
            visitor.skip("no code left");
            return Next::Again;
        };
        let body = person::second_factor(&challenge, &code);
        visitor.ask(Route::SecondFactor, body).await;
        Next::Again
    }
}
