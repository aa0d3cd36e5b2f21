//! The cheapest request by a program: its API key is looked up, the account shown. As `me`, with a key of each account in
//! place of its access token.

use bytes::Bytes;

use super::{Played, me};
use crate::population::{self, Enrol};
use crate::route::Route;
use crate::run::Run;
use crate::virtual_user::{Next, Turn, VirtualUser};

pub(super) async fn play(run: &Run) -> Played {
    let settings = &run.settings;
    let count = settings.users.max(settings.connections);
    let accounts = population::register(run, count, Enrol::None).await?;
    let users = population::assign(run, accounts, settings.connections);
    let what = format!("making {count} API keys");
    let users = run.prepare(&what, MakeKey, users).await?;
    me::check(run, "api-key", users).await
}

/// One account in a turn makes a key, and goes on with it.
struct MakeKey;

impl Turn for MakeKey {
    async fn take(&self, user: &mut VirtualUser) -> Next {
        let body = Bytes::from_static(br#"{"name":"load","scopes":["user:read"]}"#);
        let answer = user.ask_patiently(Route::MakeApiKey, body, true).await;
        if !answer.is_ok() || !user.account().keep_api_key(&answer.body) {
            user.failure = Some(population::describe_failure(Route::MakeApiKey, &answer));
            return Next::Done;
        }
        user.current += 1;
        if user.current < user.accounts.len() {
            return Next::Again;
        }
        user.current = 0;
        Next::Done
    }
}
