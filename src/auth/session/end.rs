//! The end of sessions, and their owner's view of them: logout, list, revoke.

use super::SessionRecords;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{Caller, Client, Core, Durability, Error, ProblemKind};
use crate::crypto::TokenKind;
use crate::model::{SecurityEvent, Session, SessionId, Timestamp, User, device_name};
use crate::store::Class;
use crate::telemetry::names;

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Whether it is the caller's own.
    pub current: bool,
    /// Description of the client, from its user agent: "Firefox on Linux".
    pub device: String,
}

/// One session to end.
pub(super) struct Ending<'a> {
    id: SessionId,
    /// Ends it only as a live session of this account.
    owner: Option<&'a User>,
    event: SecurityEvent,
    /// Label in metrics.
    reason: &'static str,
}

impl<'a> Ending<'a> {
    fn by_logout(id: SessionId) -> Self {
        let reason = "logout";
        Self {
            id,
            owner: None,
            event: SecurityEvent::UserLogout { reason },
            reason,
        }
    }

    fn by_owner(id: SessionId, owner: &'a User) -> Self {
        let reason = "revoked";
        Self {
            id,
            owner: Some(owner),
            event: SecurityEvent::SessionRevoked {
                reason: Some(reason),
                count: None,
                keep_current: None,
            },
            reason,
        }
    }

    /// A refresh token was used twice.
    pub(super) fn reused(id: SessionId) -> Self {
        let reason = "reuse";
        Self {
            id,
            owner: None,
            event: SecurityEvent::SessionRefreshReused { reason },
            reason,
        }
    }

    /// A refresh token is newer than what the stores still know: no alarm.
    pub(super) fn state_lost(id: SessionId) -> Self {
        let reason = "state_lost";
        Self {
            id,
            owner: None,
            event: SecurityEvent::SessionStateLost { reason },
            reason,
        }
    }
}

/// Ends the session of whichever token is given, an expired access token too. Unknown tokens are fine.
///
/// # Errors
/// The store's error when it cannot end the session: the client must not be told that it is over.
pub async fn logout(
    core: &Core,
    client: &Client,
    refresh_token: Option<&str>,
    access_token: Option<&str>,
) -> Result<(), Error> {
    let context = RequestContext::new(core, client);
    let by_refresh = refresh_token.and_then(|text| session_of_refresh_token(core, text));
    let by_access = access_token.and_then(|text| session_of_access_token(core, text));
    let other = by_access.filter(|id| Some(*id) != by_refresh);
    for id in by_refresh.into_iter().chain(other) {
        end(core, &context, Ending::by_logout(id)).await?;
    }
    Ok(())
}

/// The caller's live sessions, newest first.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn list(core: &Core, caller: &Caller) -> Result<Vec<SessionView>, Error> {
    let sessions = live_sessions(core, caller).await?;
    let view = |session: Session| SessionView {
        current: session.id == caller.session.id,
        device: device_name(&session.user_agent),
        session,
    };
    Ok(sessions.into_iter().map(view).collect())
}

/// Ends one of the caller's sessions.
///
/// # Errors
/// [`ProblemKind::NotFound`] for an unknown id and for another account's.
pub async fn revoke(
    core: &Core,
    client: &Client,
    caller: &Caller,
    id: SessionId,
) -> Result<Durability, Error> {
    if id.partition() != caller.user.id.partition() {
        return Err(Error::Refused(ProblemKind::NotFound));
    }
    let context = RequestContext::new(core, client);
    let ended = end(core, &context, Ending::by_owner(id, &caller.user)).await?;
    ended.ok_or(Error::Refused(ProblemKind::NotFound))
}

/// Ends all sessions of the caller, or all others: by one write of the account, whatever their number.
/// Returns how many ended, as far as they could be counted: with PostgreSQL away they end uncounted.
///
/// # Errors
/// [`ProblemKind::Unauthenticated`] when the caller's own session ended meanwhile.
pub async fn revoke_all(
    core: &Core,
    client: &Client,
    caller: &Caller,
    keep_current: bool,
) -> Result<(usize, Durability), Error> {
    let live = live_sessions(core, caller).await.ok();
    let kept = keep_current.then_some(caller.session.id);
    let count = live.map(|live| live.iter().filter(|one| Some(one.id) != kept).count());
    let context = RequestContext::new(core, client);
    let decide = |records: SessionRecords, change: &mut Change<'_>| {
        let (mut session, mut user) = super::live(records, change.now())?;
        user.end_sessions(change.now());
        let event = SecurityEvent::SessionRevoked {
            reason: None,
            count,
            keep_current: Some(keep_current),
        };
        let written = change.record(&session, &event).put(&user);
        if keep_current {
            session.outlive(&user);
            written.put(&session);
        }
        Ok(())
    };
    let changed = change::commit(core, &context, Class::Restrict, caller.keys(), decide).await?;
    let ended = u64::try_from(count.unwrap_or(1)).unwrap_or(u64::MAX);
    metrics::counter!(names::SESSIONS_ENDED, "reason" => "revoked_all").increment(ended);
    let ((), durability) = changed.durable().await?;
    Ok((count.unwrap_or(0), durability))
}

/// Ends a session for good. `None` when there was none to end.
///
/// # Errors
/// As [`change::commit`] and [`Receipt::durable`](crate::store::Receipt::durable).
pub(super) async fn end(
    core: &Core,
    context: &RequestContext,
    ending: Ending<'_>,
) -> Result<Option<Durability>, Error> {
    let decide = |session: Option<Session>, change: &mut Change<'_>| {
        let Some(session) = ended(session, ending.owner, change.now()) else {
            return Ok(false);
        };
        change.record(&session, &ending.event).put(&session);
        Ok(true)
    };
    let changed = change::commit(core, context, Class::Restrict, ending.id, decide).await?;
    if changed.value {
        metrics::counter!(names::SESSIONS_ENDED, "reason" => ending.reason).increment(1);
    }
    // Also where there was nothing to end: it may have ended in a change that is still on its way.
    let (ended, durability) = changed.durable().await?;
    Ok(ended.then_some(durability))
}

/// The session that a refresh token names, when its MAC is right. Asks no store: the session may be over.
#[must_use]
pub fn session_of_refresh_token(core: &Core, refresh_token: &str) -> Option<SessionId> {
    let opened = core.opaque_tokens.open(TokenKind::Refresh, refresh_token);
    opened.ok().map(|token| SessionId::from(token.id))
}

/// The session that an access token of ours names, expired or not. Asks no store: the session may be
/// over. Good for ending it and for nothing else.
fn session_of_access_token(core: &Core, token: &str) -> Option<SessionId> {
    let claims = core.access_tokens.verify_expired(token).ok()?;
    Some(claims.session_id)
}

async fn live_sessions(core: &Core, caller: &Caller) -> Result<Vec<Session>, Error> {
    let now = core.clock.now();
    let mut sessions = core.store.owned_by::<Session>(caller.user.id).await?;
    sessions.retain(|session| session.is_live(&caller.user, now));
    Ok(sessions)
}

/// The session after its end. `None` when it is over already, or not a live one of `owner`.
fn ended(session: Option<Session>, owner: Option<&User>, now: Timestamp) -> Option<Session> {
    let mut session = session.filter(|session| session.deleted_at.is_none())?;
    if owner.is_some_and(|owner| !session.is_live(owner, now)) {
        return None;
    }
    session.end(now);
    Some(session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{alice, session_of, start};

    #[test]
    fn a_session_ends_once_for_its_owner_and_for_nobody_else() {
        let user = alice();
        let session = session_of(&user, "hash");
        let over = ended(Some(session.clone()), Some(&user), start()).expect("ended");
        assert_eq!(over.deleted_at, Some(start()));
        assert_eq!(ended(Some(over), None, start()), None, "once");
        assert_eq!(ended(None, None, start()), None);
        assert_eq!(ended(Some(session.clone()), Some(&alice()), start()), None);
        assert!(ended(Some(session), None, start()).is_some(), "logout");
    }

    #[test]
    fn a_session_that_is_over_by_epoch_is_not_there_to_be_revoked() {
        let mut user = alice();
        let session = session_of(&user, "hash");
        user.end_sessions(start());
        assert_eq!(ended(Some(session.clone()), Some(&user), start()), None);
        let pair = (Some(session), Some(user));
        assert!(matches!(
            super::super::live(pair, start()),
            Err(Error::Refused(ProblemKind::Unauthenticated))
        ));
    }
}
