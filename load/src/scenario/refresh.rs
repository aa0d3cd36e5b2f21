//! Refresh tokens are rotated, each with the one that the rotation before gave.

use super::Played;
use crate::population::{self, Enrol};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::virtual_user::{Next, Turn, VirtualUser};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let accounts =
        population::register(run, settings.users.max(settings.connections), Enrol::None).await?;
    let users = population::assign(run, accounts, settings.connections);
    let phase = Phase::of("refresh", settings);
    let (report, _) = run.phase(&phase, Rotate, users).await;
    Ok((vec![report], Vec::new()))
}

struct Rotate;

impl Turn for Rotate {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        user.current = (user.current + 1) % user.accounts.len();
        rotate(user).await
    }
}

/// Rotates the token of the acting account. The user is done when the service refuses the token.
pub(super) async fn rotate(user: &mut VirtualUser) -> Next {
    let Some(body) = user.account().refresh_body() else {
        return Next::Done;
    };
    let answer = user.ask(Route::Refresh, body).await;
    if answer.is_ok() {
        user.account().keep_tokens(&answer.body);
    }
    if answer.status == 401 {
        return Next::Done;
    }
    Next::Again
}
