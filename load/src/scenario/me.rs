//! The cheapest thing that somebody logged in does: the session is looked up, the account shown.

use bytes::Bytes;

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
    let (report, _) = run.phase(&Phase::of("me", settings), Look, visitors).await;
    Ok((vec![report], Vec::new()))
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
