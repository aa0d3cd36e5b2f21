//! Refresh: one token of a family in, the next one out.

use std::time::Duration;

use super::arrival::Arrival;
use super::audit::Trail;
use super::sessions::Ending;
use super::{Auth, Client, Error, RefreshToken};
use crate::crypto::{Opened, TokenKind};
use crate::model::{Action, Rotation, Session, SessionId, User};
use crate::store::{Class, Draft};
use crate::telemetry::names;

/// A refresh went through.
pub struct Refreshed {
    /// New access token.
    pub access_token: String,
    /// The newest refresh token.
    pub refresh_token: RefreshToken,
}

/// What a presented token leads to.
#[derive(Debug, PartialEq)]
enum Turn {
    /// It was the newest; this is the session after its rotation.
    Rotated(Box<(User, Session)>),
    /// It was the one before, in time: the newest is handed out again.
    Again(Box<(User, Session)>),
    /// It was used before.
    Reused,
    /// It is newer than what the store holds.
    Ahead,
    /// The session is over.
    Over,
}

impl Auth {
    /// Rotates a refresh token. One that was used before ends its whole family.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when it is forged, unknown, expired or was used before.
    pub async fn refresh(&self, client: &Client, token: &str) -> Result<Refreshed, Error> {
        let outcome = self.try_refresh(client, token).await;
        let label = outcome
            .as_ref()
            .map_or_else(Error::code, |(label, _)| label);
        metrics::counter!(names::REFRESHES, "outcome" => label).increment(1);
        outcome?.1.ok_or(Error::Unauthenticated)
    }

    async fn try_refresh(
        &self,
        client: &Client,
        token: &str,
    ) -> Result<(&'static str, Option<Refreshed>), Error> {
        let arrival = self
            .arrival(TokenKind::Refresh, client, token)
            .map_err(|_| Error::Unauthenticated)?;
        let trail = self.trail(client);
        match self.turn(&arrival).await? {
            Turn::Rotated(pair) => Ok(("rotated", Some(self.refreshed(&pair, &arrival.next)))),
            Turn::Again(pair) => Ok(("grace", self.refreshed_again(&pair, &arrival))),
            Turn::Reused => {
                self.end_family(&arrival, &trail, "reuse").await?;
                Ok(("reused", None))
            }
            Turn::Ahead => {
                self.end_family(&arrival, &trail, "state_lost").await?;
                Ok(("ahead", None))
            }
            Turn::Over => Ok(("over", None)),
        }
    }

    /// Decides, and commits the new generation before anybody sees its token.
    async fn turn(&self, arrival: &Arrival) -> Result<Turn, Error> {
        let session_id = SessionId::from(arrival.presented.id);
        // Whose it is never changes, so any image of it will do.
        let seen = self.store.last_seen(session_id).flatten();
        let session = match seen {
            Some(session) => Some(session),
            None => self.store.read(session_id).await?,
        };
        let Some(session) = session else {
            return Ok(Turn::Over);
        };
        let decide = |(session, user): (Option<Session>, Option<User>), draft: &mut Draft| {
            let turn = self.decide(arrival, session, user);
            if let Turn::Rotated(pair) = &turn {
                draft.put(&pair.1);
            }
            Ok::<_, Error>(turn)
        };
        let keys = (session_id, session.user_id);
        let (turn, _) = self.store.transact(Class::Touch, keys, decide).await?;
        Ok(turn)
    }

    fn decide(&self, arrival: &Arrival, session: Option<Session>, user: Option<User>) -> Turn {
        let tokens = &self.settings.tokens;
        decide(
            arrival,
            session,
            user,
            tokens.refresh_grace,
            tokens.session_idle_ttl,
        )
    }

    fn refreshed(&self, (user, session): &(User, Session), newest: &Opened) -> Refreshed {
        Refreshed {
            access_token: self.access_token(user, session),
            refresh_token: self.refresh_token(session, newest),
        }
    }

    /// Hands the newest token out again.
    fn refreshed_again(&self, pair: &(User, Session), arrival: &Arrival) -> Option<Refreshed> {
        let session = &pair.1;
        let (successor, hash) = (session.successor.as_deref(), &session.refresh_hash);
        let newest = self.newest_again(arrival, successor, hash)?;
        Some(self.refreshed(pair, &newest))
    }

    /// Ends the family: with an alarm when a token was used twice, quietly when the store lost state. A
    /// transaction of its own, because ending is never refused and rotating is.
    async fn end_family(
        &self,
        arrival: &Arrival,
        trail: &Trail,
        reason: &'static str,
    ) -> Result<(), Error> {
        let ending = Ending {
            id: SessionId::from(arrival.presented.id),
            owner: None,
            action: (reason == "reuse").then_some(Action::SessionRefreshReused),
            reason,
        };
        self.end_session(trail, ending).await.map(|_| ())
    }
}

/// What the token leads to, given the session and the account as they are.
fn decide(
    arrival: &Arrival,
    session: Option<Session>,
    user: Option<User>,
    grace: Duration,
    idle: Duration,
) -> Turn {
    let (Some(mut session), Some(user)) = (session, user) else {
        return Turn::Over;
    };
    if !session.is_live(&user, arrival.now) {
        return Turn::Over;
    }
    let same_client = arrival.seen.user_agent == session.user_agent;
    match session.judge(arrival.presented(), arrival.now, grace, same_client) {
        Rotation::Current => {
            session.rotate(arrival.successor(), arrival.seen.clone(), arrival.now, idle);
            Turn::Rotated(Box::new((user, session)))
        }
        Rotation::Grace => Turn::Again(Box::new((user, session))),
        Rotation::Reused => Turn::Reused,
        Rotation::Ahead => Turn::Ahead,
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::auth::fixtures::{alice, session_of, start};
    use crate::model::Seen;

    const GRACE: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_hours(1);

    fn arrival(session: &Session, generation: i64, hash: &str, user_agent: &str) -> Arrival {
        let token = |generation| Opened {
            id: session.id.id(),
            generation,
            secret: Zeroizing::new([7; 32]),
        };
        Arrival {
            presented: token(generation),
            hash: hash.to_owned(),
            next: token(generation + 1),
            wrapped: "masked".to_owned(),
            seen: Seen {
                ip_address: [192, 0, 2, 9].into(),
                user_agent: user_agent.to_owned(),
            },
            now: start(),
        }
    }

    fn turn(arrival: &Arrival, session: &Session, user: &User) -> Turn {
        decide(
            arrival,
            Some(session.clone()),
            Some(user.clone()),
            GRACE,
            IDLE,
        )
    }

    fn rotated(session: &Session, user: &User) -> Session {
        let first = arrival(session, 1, "first", "curl/8");
        match turn(&first, session, user) {
            Turn::Rotated(pair) => pair.1,
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
        let same = arrival(&session, 1, "first", "curl/8");
        let again = Turn::Again(Box::new((user.clone(), session.clone())));
        assert_eq!(turn(&same, &session, &user), again, "nothing changes");
        let other = arrival(&session, 1, "first", "Firefox");
        assert_eq!(turn(&other, &session, &user), Turn::Reused);
        let mut late = arrival(&session, 1, "first", "curl/8");
        late.now = start().after(GRACE);
        assert_eq!(turn(&late, &session, &user), Turn::Reused);
    }

    #[test]
    fn a_token_ahead_of_the_store_is_no_reuse() {
        let user = alice();
        let session = session_of(&user, "first");
        let ahead = arrival(&session, 3, "third", "curl/8");
        assert_eq!(turn(&ahead, &session, &user), Turn::Ahead);
    }

    #[test]
    fn what_is_over_raises_no_alarm_any_more() {
        let user = alice();
        let session = session_of(&user, "first");
        let token = arrival(&session, 1, "first", "curl/8");
        let mut ended = session.clone();
        ended.end(start());
        assert_eq!(turn(&token, &ended, &user), Turn::Over);
        let mut disabled = user.clone();
        disabled.disabled_at = Some(start());
        assert_eq!(turn(&token, &session, &disabled), Turn::Over);
        assert_eq!(decide(&token, None, Some(user), GRACE, IDLE), Turn::Over);
        let without_account = decide(&token, Some(session), None, GRACE, IDLE);
        assert_eq!(without_account, Turn::Over);
    }
}
