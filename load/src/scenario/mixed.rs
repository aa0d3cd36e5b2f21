//! A realistic day: of a hundred turns 70 are checks, 20 refreshes, 8 logins (half of them with a second
//! factor), 2 look around. A login changes who acts, so the checks that follow are of another session.

use bytes::Bytes;

use super::{Played, refresh};
use crate::crowd::{self, Enrol};
use crate::person;
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::visitor::{Next, Turn, Visitor};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    // Each visitor has people with and without a second factor.
    let users = settings.users.max(2 * settings.connections);
    let people = crowd::register(run, users, Enrol::Half).await?;
    let (with, without): (Vec<_>, Vec<_>) = people
        .into_iter()
        .partition(|person| person.authenticator.is_some());
    let mut visitors = crowd::seat(run, with, settings.connections);
    let others = crowd::seat(run, without, settings.connections);
    for (visitor, other) in visitors.iter_mut().zip(others) {
        visitor.people.extend(other.people);
    }
    let phase = Phase::of("mixed", settings);
    let (report, _) = run.phase(&phase, Day, visitors).await;
    Ok((vec![report], Vec::new()))
}

struct Day;

impl Turn for Day {
    async fn take(&self, visitor: &mut Visitor) -> Next {
        match visitor.roll(100) {
            0..70 => {
                visitor.ask_signed_in(Route::Me, Bytes::new()).await;
            }
            70..90 => {
                // Whose session is over logs in again.
                if refresh::rotate(visitor).await == Next::Spent {
                    log_in(visitor).await;
                }
            }
            90..94 => log_in(visitor).await,
            94..98 => log_in_with_code(visitor).await,
            98 => {
                visitor.ask_signed_in(Route::Sessions, Bytes::new()).await;
            }
            _ => {
                visitor.ask_signed_in(Route::Methods, Bytes::new()).await;
            }
        }
        Next::Again
    }
}

/// As somebody without a second factor.
async fn log_in(visitor: &mut Visitor) {
    choose(visitor, |person| person.authenticator.is_none());
    let body = visitor.person().credentials();
    let answer = visitor.ask(Route::Login, body).await;
    if answer.is_ok() {
        visitor.person().keep_tokens(&answer.body);
    }
}

/// As somebody whose authenticator has a code that was not used; as another one when there is nobody.
async fn log_in_with_code(visitor: &mut Visitor) {
    let has_code = |person: &person::Person| {
        let app = person.authenticator.as_ref();
        app.is_some_and(|app| app.codes_left() > 0)
    };
    if !choose(visitor, has_code) {
        visitor.skip("second factor: every code was used (give more --users)");
        return log_in(visitor).await;
    }
    let body = visitor.person().credentials();
    let answer = visitor.ask(Route::Login, body).await;
    let challenge = visitor.person().keep_tokens(&answer.body);
    let (Some(challenge), Some(code)) = (challenge, visitor.person().next_code()) else {
        return;
    };
    let body = person::second_factor(&challenge, &code);
    let answer = visitor.ask(Route::SecondFactor, body).await;
    if answer.is_ok() {
        visitor.person().keep_tokens(&answer.body);
    }
}

/// The next of a visitor's people who suits acts from now on. Nobody new when nobody does.
fn choose(visitor: &mut Visitor, suits: impl Fn(&person::Person) -> bool) -> bool {
    let count = visitor.people.len();
    let next = (1..=count)
        .map(|step| (visitor.current + step) % count)
        .find(|number| suits(&visitor.people[*number]));
    if let Some(number) = next {
        visitor.current = number;
    }
    next.is_some()
}
