//! Refresh: one token of a family is presented, the next one is returned.

use std::time::Duration;

use super::end::{Ending, end};
use super::presented_token::PresentedToken;
use super::{RefreshToken, SessionRecords, access_token, refresh_token};
use crate::core::audit::RequestContext;
use crate::core::{Client, Core, Error, Limit, ProblemKind, change, limits};
use crate::crypto::{Opened, TokenKind};
use crate::model::{Rotation, Session, SessionId, User};
use crate::store::{Class, Draft};
use crate::telemetry::names;

/// New tokens of a session.
pub struct Refreshed {
    /// New access token.
    pub access_token: String,
    /// The newest refresh token.
    pub refresh_token: RefreshToken,
}

/// Decision over a presented token.
#[derive(Debug, PartialEq)]
enum RefreshOutcome {
    /// It was the newest; this is the session after its rotation.
    Rotated(Box<(User, Session)>),
    /// It was the one before, in time: the newest is returned again.
    Again(Box<(User, Session)>),
    /// It was used before, by whoever has a copy of this account's token.
    Reused(Box<User>),
    /// It is newer than what the store holds.
    Ahead,
    /// The session is over.
    Over,
}

/// Rotates a refresh token. One that was used before ends its whole family.
///
/// # Errors
/// [`ProblemKind::Unauthenticated`] when it is forged, unknown, expired or was used before; [`Error::RateLimited`]: a
/// token of ours is counted by its session, any other text by address.
pub async fn refresh(core: &Core, client: &Client, token: &str) -> Result<Refreshed, Error> {
    let refreshed = try_refresh(core, client, token).await;
    let outcome = refreshed
        .as_ref()
        .map_or_else(Error::code, |(label, _)| label);
    metrics::counter!(names::REFRESHES, "outcome" => outcome).increment(1);
    refreshed?
        .1
        .ok_or(Error::Refused(ProblemKind::Unauthenticated))
}

async fn try_refresh(
    core: &Core,
    client: &Client,
    token: &str,
) -> Result<(&'static str, Option<Refreshed>), Error> {
    let Ok(presented) = PresentedToken::open(core, TokenKind::Refresh, client, token) else {
        limits::take(core, client, Limit::Anonymous).await?;
        return Err(Error::Refused(ProblemKind::Unauthenticated));
    };
    limits::take(core, client, Limit::Token(presented.opened.id)).await?;
    let session_id = SessionId::from(presented.opened.id);
    match rotate(core, &presented).await? {
        RefreshOutcome::Rotated(pair) => {
            let refreshed = refreshed(core, &pair, &presented.next);
            Ok(("rotated", Some(refreshed)))
        }
        RefreshOutcome::Again(pair) => Ok(("grace", refreshed_again(core, &pair, &presented))),
        RefreshOutcome::Reused(owner) => {
            end_family(core, client, Ending::reused(session_id, &owner)).await?;
            Ok(("reused", None))
        }
        RefreshOutcome::Ahead => {
            end_family(core, client, Ending::state_lost(session_id)).await?;
            Ok(("ahead", None))
        }
        RefreshOutcome::Over => Ok(("over", None)),
    }
}

/// Decides, and commits the new generation before its token leaves the process.
async fn rotate(core: &Core, presented: &PresentedToken) -> Result<RefreshOutcome, Error> {
    let session_id = SessionId::from(presented.opened.id);
    // The owner of a session never changes, so any image of it will do.
    let seen = core.store.last_seen(session_id).flatten();
    let session = match seen {
        Some(session) => Some(session),
        None => core.store.read(session_id).await?,
    };
    let Some(session) = session else {
        return Ok(RefreshOutcome::Over);
    };
    let tokens = &core.settings.tokens;
    let (grace, idle) = (tokens.refresh_grace, tokens.session_idle_ttl);
    let decide = |records: SessionRecords, draft: &mut Draft| {
        let outcome = decide(presented, records, grace, idle);
        if let RefreshOutcome::Rotated(pair) = &outcome {
            draft.put(&pair.1);
        }
        Ok::<_, Error>(outcome)
    };
    let keys = (session_id, session.user_id);
    change::bookkeeping(&core.store, Class::Touch, keys, decide).await
}

fn refreshed(core: &Core, (user, session): &(User, Session), newest: &Opened) -> Refreshed {
    Refreshed {
        access_token: access_token(core, user, session),
        refresh_token: refresh_token(core, session, newest),
    }
}

/// Returns the newest token again.
fn refreshed_again(
    core: &Core,
    pair: &(User, Session),
    presented: &PresentedToken,
) -> Option<Refreshed> {
    let session = &pair.1;
    let newest = presented.newest(core, session.successor.as_deref(), &session.refresh_hash)?;
    Some(refreshed(core, pair, &newest))
}

/// Ends the family, in a transaction of its own, because ending is never refused and rotating is.
async fn end_family(core: &Core, client: &Client, ending: Ending<'_>) -> Result<(), Error> {
    let context = RequestContext::new(core, client);
    end(core, &context, ending).await.map(|_| ())
}

/// The outcome of a token, given the session and the account as they are.
fn decide(
    presented: &PresentedToken,
    records: SessionRecords,
    grace: Duration,
    idle: Duration,
) -> RefreshOutcome {
    let Ok((mut session, user)) = super::live(records, presented.now) else {
        return RefreshOutcome::Over;
    };
    let same_client = presented.client.user_agent == session.user_agent;
    match session.judge(presented.presented(), presented.now, grace, same_client) {
        Rotation::Current => {
            let client = presented.client.clone();
            session.rotate(presented.successor(), client, presented.now, idle);
            RefreshOutcome::Rotated(Box::new((user, session)))
        }
        Rotation::Grace => RefreshOutcome::Again(Box::new((user, session))),
        Rotation::Reused => RefreshOutcome::Reused(Box::new(user)),
        Rotation::Ahead => RefreshOutcome::Ahead,
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::core::fixtures::{alice, session_of, start};
    use crate::model::ClientInfo;

    const GRACE: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_hours(1);

    fn token(session: &Session, generation: i64, hash: &str, user_agent: &str) -> PresentedToken {
        let opened = |generation| Opened {
            id: session.id.id(),
            generation,
            secret: Zeroizing::new([7; 32]),
        };
        PresentedToken {
            opened: opened(generation),
            hash: hash.to_owned(),
            next: opened(generation + 1),
            wrapped_next: "masked".to_owned(),
            client: ClientInfo {
                ip_address: [192, 0, 2, 9].into(),
                user_agent: user_agent.to_owned(),
            },
            now: start(),
        }
    }

    fn outcome(presented: &PresentedToken, session: &Session, user: &User) -> RefreshOutcome {
        let records = (Some(session.clone()), Some(user.clone()));
        decide(presented, records, GRACE, IDLE)
    }

    fn rotated(session: &Session, user: &User) -> Session {
        let first = token(session, 1, "first", "curl/8");
        match outcome(&first, session, user) {
            RefreshOutcome::Rotated(pair) => pair.1,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_newest_token_rotates_the_session() {
        let user = alice();
        let session = session_of(&user, "first");
        let next = rotated(&session, &user);
        assert_eq!(next.generation, 2);
        assert_eq!(next.previous_hash.as_deref(), Some("first"));
        assert_eq!(next.successor.as_deref(), Some("masked"));
    }

    #[test]
    fn the_token_before_gets_the_newest_again_only_from_the_same_client() {
        let user = alice();
        let session = rotated(&session_of(&user, "first"), &user);
        let same = token(&session, 1, "first", "curl/8");
        let again = RefreshOutcome::Again(Box::new((user.clone(), session.clone())));
        assert_eq!(outcome(&same, &session, &user), again, "nothing changes");
        let reused = RefreshOutcome::Reused(Box::new(user.clone()));
        let other = token(&session, 1, "first", "Firefox");
        assert_eq!(outcome(&other, &session, &user), reused);
        let mut late = token(&session, 1, "first", "curl/8");
        late.now = start().after(GRACE);
        assert_eq!(
            outcome(&late, &session, &user),
            again,
            "the newest is unused"
        );
        let mut used = session.clone();
        used.note_use_of_newest(start());
        assert_eq!(outcome(&late, &used, &user), reused);
    }

    #[test]
    fn a_token_ahead_of_the_store_is_no_reuse() {
        let user = alice();
        let session = session_of(&user, "first");
        let ahead = token(&session, 3, "third", "curl/8");
        assert_eq!(outcome(&ahead, &session, &user), RefreshOutcome::Ahead);
    }

    #[test]
    fn what_is_over_raises_no_alarm_any_more() {
        let user = alice();
        let session = session_of(&user, "first");
        let token = token(&session, 1, "first", "curl/8");
        let mut ended = session.clone();
        ended.end(start());
        assert_eq!(outcome(&token, &ended, &user), RefreshOutcome::Over);
        let mut disabled = user.clone();
        disabled.disabled_at = Some(start());
        assert_eq!(outcome(&token, &session, &disabled), RefreshOutcome::Over);
        assert_eq!(
            decide(&token, (None, Some(user)), GRACE, IDLE),
            RefreshOutcome::Over
        );
        let without_account = decide(&token, (Some(session), None), GRACE, IDLE);
        assert_eq!(without_account, RefreshOutcome::Over);
    }
}
