//! Refresh tokens are rotated, each with the one that the rotation before gave.

use super::Played;
use crate::crowd::{self, Enrol};
use crate::route::Route;
use crate::run::{Phase, Run};
use crate::visitor::{Next, Turn, Visitor};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let people =
        crowd::register(run, settings.users.max(settings.connections), Enrol::Nobody).await?;
    let visitors = crowd::seat(run, people, settings.connections);
    let phase = Phase::of("refresh", settings);
    let (report, _) = run.phase(&phase, Rotate, visitors).await;
    Ok((vec![report], Vec::new()))
}

struct Rotate;

impl Turn for Rotate {
    async fn take(&self, visitor: &mut Visitor) -> Next {
        visitor.current = (visitor.current + 1) % visitor.people.len();
        rotate(visitor).await
    }
}

/// Rotates the token of who acts now, who is out of the game when the service says that it is none.
pub(super) async fn rotate(visitor: &mut Visitor) -> Next {
    let Some(body) = visitor.person().refresh_body() else {
        return Next::Spent;
    };
    let answer = visitor.ask(Route::Refresh, body).await;
    if answer.is_ok() {
        visitor.person().keep_tokens(&answer.body);
    }
    if answer.status == 401 {
        return Next::Spent;
    }
    Next::Again
}
