//! Authentication: from an access token to a live session and an active account.

use std::sync::Arc;
use std::time::Duration;

use crate::config::RequiredOf;
use crate::core::permission::is_privileged;
use crate::core::{Caller, Client, Core, Error, Limit, ProblemKind, change, limits};
use crate::crypto::Claims;
use crate::model::{Session, Timestamp, User};
use crate::store::{self, Class, Draft};

/// Age of a session's last use after which another is written: a session in use costs one write a minute, however
/// busy it is.
const TOUCH_AFTER: Duration = Duration::from_mins(1);

/// Verifies the token, then reads its session and account and takes one from the account's limit in
/// one round trip. A token that is not valid takes nothing from the account: an attacker with an ended one
/// could otherwise lock the owner out.
///
/// # Errors
/// [`ProblemKind::Unauthenticated`] when token, session or account is not valid;
/// [`Error::RateLimited`]; [`Error::StoreAway`] when that cannot be known.
pub async fn authenticate(
    core: &Core,
    client: &Client,
    access_token: &str,
    limited: bool,
) -> Result<Caller, Error> {
    let now = core.clock.now();
    let claims = core
        .access_tokens
        .verify(access_token, now)
        .map_err(|_| Error::Refused(ProblemKind::Unauthenticated))?;
    let limit = limited.then_some(Limit::Account(claims.user_id));
    let live = live_session(core, &claims, now);
    let (live, reservation) = tokio::join!(live, limits::reserve(core, client, limit));
    let reservation = reservation?;
    let Ok(Some((session, user))) = live else {
        limits::release(core, reservation).await;
        live?;
        return Err(Error::Refused(ProblemKind::Unauthenticated));
    };
    reservation.settle(client)?;
    touch(core, client, &session, &claims, now);
    Ok(Caller {
        user,
        session,
        claims,
    })
}

/// The session of a token and its account, if that session is live: from memory where that is fresh enough, from
/// Redis otherwise, and always from Redis before a refusal.
async fn live_session(
    core: &Core,
    claims: &Claims,
    now: Timestamp,
) -> Result<Option<(Arc<Session>, Arc<User>)>, store::Error> {
    let (session_id, user_id) = (claims.session_id, claims.user_id);
    let live = |(session, user): &(Arc<Session>, Arc<User>)| {
        user.id == user_id && session.is_live(user, now)
    };
    if let Some(remembered) = core.store.remembered(session_id).filter(live) {
        return Ok(Some(remembered));
    }
    // Boxed: seldom needed, and far larger than everything else that a request carries.
    let looked_up = Box::pin(core.store.look_up(session_id, user_id));
    let (session, user) = looked_up.await?;
    Ok(session.zip(user).filter(live))
}

/// Refuses a caller whose last proof of identity is older than `RECENT_AUTH_TTL`: both what the token
/// says and what the session says must be recent, so that neither an older token of a session that was
/// proven again nor a session that lost its state passes. A proof from before another session changed
/// the second factors is none. Where the account has a second factor, one must have been shown: neither the
/// password nor a trusted device opens what protects the account.
///
/// # Errors
/// [`Error::ReauthenticationRequired`]; [`Error::StoreAway`] when that cannot be known.
pub async fn require_recent(core: &Core, caller: &Caller) -> Result<(), Error> {
    let Caller {
        user,
        session,
        claims,
    } = caller;
    let (now, ttl) = (core.clock.now(), core.settings.tokens.recent_auth_ttl);
    let proven = |session: &Session, user: &User| {
        now.since(claims.auth_time) < ttl && session.has_recently_proven(user, now, ttl)
    };
    if proven(session, user) {
        return Ok(());
    }
    // The cached session may be from before a proof that another instance took a moment ago.
    let looked_up = Box::pin(core.store.look_up(session.id, user.id));
    match looked_up.await? {
        (Some(session), Some(user)) if proven(&session, &user) => Ok(()),
        _ => {
            let factors = core.store.read(user.id.factors()).await?;
            Err(super::reauthentication_required(factors.as_ref()))
        }
    }
}

/// Whether an account has no second factor although `REQUIRE_2FA` asks it for one.
#[must_use]
pub fn owes_second_factor(core: &Core, user: &User) -> bool {
    let required = match core.settings.second_factors.required_of {
        RequiredOf::Nobody => false,
        RequiredOf::Admins => is_privileged(&user.roles),
        RequiredOf::All => true,
    };
    required && !user.two_factor_enabled
}

/// Refuses the account of a caller, person or API key, that owes a second factor.
///
/// # Errors
/// [`ProblemKind::TwoFactorRequired`]; [`Error::StoreAway`] when that cannot be known.
pub async fn require_set_up(core: &Core, user: &User) -> Result<(), Error> {
    if !owes_second_factor(core, user) {
        return Ok(());
    }
    // The cached account may be from before a set-up that another instance finished a moment ago.
    let read = Box::pin(core.store.read(user.id));
    match read.await? {
        Some(user) if !owes_second_factor(core, &user) => Ok(()),
        _ => Err(Error::Refused(ProblemKind::TwoFactorRequired)),
    }
}

/// Writes the use of a session without delaying the answer. A lost write does no harm.
fn touch(core: &Core, client: &Client, session: &Session, claims: &Claims, now: Timestamp) {
    let (id, issued_at) = (session.id, claims.issued_at);
    let due = is_stale(session, now) || session.is_first_use_of_newest(issued_at);
    if !due || !core.session_uses.begin(id) {
        return;
    }
    let address = client.address;
    let idle = core.settings.tokens.session_idle_ttl;
    let (store, uses) = (core.store.clone(), core.session_uses.clone());
    tokio::spawn(async move {
        let touch = |session: Option<Session>, draft: &mut Draft| {
            let Some(mut session) = session.filter(|session| session.deleted_at.is_none()) else {
                return Ok(());
            };
            let first_use = session.is_first_use_of_newest(issued_at);
            if first_use {
                session.note_use_of_newest(now);
            }
            if first_use || is_stale(&session, now) {
                session.touch(address, now, idle);
                draft.put(&session);
            }
            Ok::<_, store::Error>(())
        };
        let written = change::bookkeeping(&store, Class::Touch, id, touch);
        if let Err(error) = written.await {
            tracing::debug!(%error, "the use of a session was not written");
        }
        uses.end(id);
    });
}

/// Whether a live session's last use lies far enough back to be written anew.
fn is_stale(session: &Session, now: Timestamp) -> bool {
    session.deleted_at.is_none() && now.since(session.last_used_at) >= TOUCH_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{alice, session_of, start};

    #[test]
    fn a_use_is_written_once_a_minute_and_never_of_what_is_over() {
        let mut session = session_of(&alice(), "hash");
        let minute = start().after(TOUCH_AFTER);
        assert!(!is_stale(&session, start()));
        assert!(is_stale(&session, minute));
        session.end(start());
        assert!(!is_stale(&session, minute));
    }
}
