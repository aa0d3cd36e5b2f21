//! The end of sessions, and their owner's view of them: logout, list, revoke.

use super::audit::Trail;
use super::{Auth, Caller, Client, Error};
use crate::model::{Action, Session, SessionId, Timestamp, User, device_name};
use crate::store::{Class, Draft, Durability};
use crate::telemetry::names;

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Whether it is the caller's own.
    pub current: bool,
    /// What the client seems to be, from its user agent: "Firefox on Linux".
    pub device: String,
}

/// One session to end.
pub(super) struct Ending<'a> {
    pub(super) id: SessionId,
    /// Ends it only as a live session of this account.
    pub(super) owner: Option<&'a User>,
    /// What the audit entry says; `None` writes none.
    pub(super) action: Option<Action>,
    /// For metrics and audit.
    pub(super) reason: &'static str,
}

impl Auth {
    /// Ends the session of whichever token is given, an expired access token too. Unknown tokens are fine.
    ///
    /// # Errors
    /// Only when the store cannot end it: then it would be wrong to say that it is over.
    pub async fn logout(
        &self,
        client: &Client,
        refresh_token: Option<&str>,
        access_token: Option<&str>,
    ) -> Result<(), Error> {
        let trail = self.trail(client);
        let by_refresh = refresh_token.and_then(|text| self.session_of(text));
        let by_access = access_token.and_then(|text| self.session_of_access(text));
        let other = by_access.filter(|id| Some(*id) != by_refresh);
        for id in by_refresh.into_iter().chain(other) {
            let ending = Ending {
                id,
                owner: None,
                action: Some(Action::UserLogout),
                reason: "logout",
            };
            self.end_session(&trail, ending).await?;
        }
        Ok(())
    }

    /// The caller's live sessions, newest first.
    ///
    /// # Errors
    /// [`Error::StoreAway`].
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionView>, Error> {
        let sessions = self.live_sessions(caller).await?;
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
    /// [`Error::NotFound`] for an unknown id and for somebody else's.
    pub async fn revoke_session(
        &self,
        client: &Client,
        caller: &Caller,
        id: SessionId,
    ) -> Result<Durability, Error> {
        if id.partition() != caller.user.id.partition() {
            return Err(Error::NotFound);
        }
        let ending = Ending {
            id,
            owner: Some(&caller.user),
            action: Some(Action::SessionRevoked),
            reason: "revoked",
        };
        let ended = self.end_session(&self.trail(client), ending).await?;
        ended.ok_or(Error::NotFound)
    }

    /// Ends all sessions of the caller, or all others: by one write of the account, whatever their number.
    /// Returns how many ended, as far as they could be counted: with PostgreSQL away they end uncounted.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when the caller's own session ended meanwhile.
    pub async fn revoke_sessions(
        &self,
        client: &Client,
        caller: &Caller,
        keep_current: bool,
    ) -> Result<(usize, Durability), Error> {
        let live = self.live_sessions(caller).await.ok();
        let kept = keep_current.then_some(caller.session.id);
        let count = live.map(|live| live.iter().filter(|one| Some(one.id) != kept).count());
        let trail = self.trail(client);
        let decide = |records: (Option<Session>, Option<User>), draft: &mut Draft| {
            let (mut session, mut user) = live_pair(records, trail.now)?;
            user.end_sessions(trail.now);
            draft.put(&user);
            if keep_current {
                session.outlive(&user);
                draft.put(&session);
            }
            let details = serde_json::json!({ "count": count, "keepCurrent": keep_current });
            let entry = trail.session_entry(Action::SessionRevoked, user.id, session.id);
            draft.trace(&entry.with(details));
            Ok::<_, Error>(())
        };
        let keys = (caller.session.id, caller.user.id);
        let ((), receipt) = self.store.transact(Class::Restrict, keys, decide).await?;
        let ended = u64::try_from(count.unwrap_or(1)).unwrap_or(u64::MAX);
        metrics::counter!(names::SESSIONS_ENDED, "reason" => "revoked_all").increment(ended);
        Ok((count.unwrap_or(0), receipt.durable().await?))
    }

    /// Ends a session for good. `None` when there was none to end.
    pub(super) async fn end_session(
        &self,
        trail: &Trail,
        ending: Ending<'_>,
    ) -> Result<Option<Durability>, Error> {
        let decide = |session: Option<Session>, draft: &mut Draft| {
            let Some(session) = ended(session, ending.owner, trail.now) else {
                return Ok(false);
            };
            draft.put(&session);
            if let Some(action) = ending.action {
                let details = serde_json::json!({ "reason": ending.reason });
                let entry = trail.session_entry(action, session.user_id, session.id);
                draft.trace(&entry.with(details));
            }
            Ok::<_, Error>(true)
        };
        let (any, receipt) = self
            .store
            .transact(Class::Restrict, ending.id, decide)
            .await?;
        if !any {
            return Ok(None);
        }
        metrics::counter!(names::SESSIONS_ENDED, "reason" => ending.reason).increment(1);
        Ok(Some(receipt.durable().await?))
    }

    /// The session that an access token of ours names, expired or not. Asks no store: the session may be
    /// over. Good for ending it and for nothing else.
    #[must_use]
    pub fn session_of_access(&self, token: &str) -> Option<SessionId> {
        let claims = self.access_tokens.verify_expired(token).ok()?;
        Some(claims.session_id)
    }

    async fn live_sessions(&self, caller: &Caller) -> Result<Vec<Session>, Error> {
        let now = self.clock.now();
        let mut sessions = self.store.owned_by::<Session>(caller.user.id).await?;
        sessions.retain(|session| session.is_live(&caller.user, now));
        Ok(sessions)
    }
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

/// Session and account, if both still stand.
pub(super) fn live_pair(
    records: (Option<Session>, Option<User>),
    now: Timestamp,
) -> Result<(Session, User), Error> {
    match records {
        (Some(session), Some(user)) if session.is_live(&user, now) => Ok((session, user)),
        _ => Err(Error::Unauthenticated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fixtures::{alice, session_of, start};

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
            live_pair(pair, start()),
            Err(Error::Unauthenticated)
        ));
    }
}
