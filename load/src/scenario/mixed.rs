//! A realistic day: of a hundred turns 70 are checks, 20 refreshes, 8 logins (half of them with a second
//! factor), 2 look around. A login changes the acting account, so the checks that follow are of another session.

use bytes::Bytes;

use super::{Played, refresh};
use crate::account;
use crate::population::{self, Enrol};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::virtual_user::{Next, Turn, VirtualUser};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    // Each virtual user has accounts with and without a second factor.
    let count = settings.users.max(2 * settings.connections);
    let accounts = population::register(run, count, Enrol::Half).await?;
    let (with, without): (Vec<_>, Vec<_>) = accounts
        .into_iter()
        .partition(|account| account.authenticator.is_some());
    let mut users = population::assign(run, with, settings.connections);
    let others = population::assign(run, without, settings.connections);
    for (user, other) in users.iter_mut().zip(others) {
        user.accounts.extend(other.accounts);
    }
    let phase = Phase::of("mixed", settings);
    let (report, _) = run.phase(&phase, Day, users).await;
    Ok((vec![report], Vec::new()))
}

struct Day;

impl Turn for Day {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        match user.random_below(100) {
            0..70 => {
                user.ask_signed_in(Route::Me, Bytes::new()).await;
            }
            70..90 => {
                // An account without a live session logs in again.
                if refresh::rotate(user).await == Next::Done {
                    log_in(user).await;
                }
            }
            90..94 => log_in(user).await,
            94..98 => log_in_with_code(user).await,
            98 => {
                user.ask_signed_in(Route::Sessions, Bytes::new()).await;
            }
            _ => {
                user.ask_signed_in(Route::Methods, Bytes::new()).await;
            }
        }
        Next::Again
    }
}

/// Logs in with an account without a second factor.
async fn log_in(user: &mut VirtualUser) {
    choose(user, |account| account.authenticator.is_none());
    let body = user.account().credentials();
    let answer = user.ask(Route::Login, body).await;
    if answer.is_ok() {
        user.account().keep_tokens(&answer.body);
    }
}

/// Logs in with an account that has an unused code; without a second factor when none has.
async fn log_in_with_code(user: &mut VirtualUser) {
    let has_code = |account: &account::Account| {
        let app = account.authenticator.as_ref();
        app.is_some_and(|app| app.codes_left() > 0)
    };
    if !choose(user, has_code) {
        user.skip("second factor: every code was used (give more --users)");
        return log_in(user).await;
    }
    let body = user.account().credentials();
    let answer = user.ask(Route::Login, body).await;
    let challenge = user.account().keep_tokens(&answer.body);
    let (Some(challenge), Some(code)) = (challenge, user.account().next_code()) else {
        return;
    };
    let body = account::second_factor(&challenge, &code);
    let answer = user.ask(Route::SecondFactor, body).await;
    if answer.is_ok() {
        user.account().keep_tokens(&answer.body);
    }
}

/// Selects the next account of a virtual user that suits. Returns whether there is one.
fn choose(user: &mut VirtualUser, suits: impl Fn(&account::Account) -> bool) -> bool {
    let count = user.accounts.len();
    let next = (1..=count)
        .map(|step| (user.current + step) % count)
        .find(|number| suits(&user.accounts[*number]));
    if let Some(number) = next {
        user.current = number;
    }
    next.is_some()
}
