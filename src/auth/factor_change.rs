//! What every change of second factors brings with it, whatever is changed.
//!
//! Trusted devices end, and so does every other session's right to what is sensitive; the owner is told;
//! an entry is written. The session that made the change keeps its right.

use super::audit::Trail;
use super::second_factor::write_codes;
use super::sessions::live_pair;
use super::{Auth, Caller, Error};
use crate::model::{
    AuditEvent, CodesId, Factors, FactorsId, MethodKind, SentCodes, Session, SessionId, Timestamp,
    User, UserId,
};
use crate::outbound::Event;
use crate::store::Draft;

/// Somebody who is logged in, and everything that a change of their second factors touches.
pub(super) struct Holder {
    pub(super) session: Session,
    pub(super) user: User,
    pub(super) factors: Factors,
    pub(super) codes: SentCodes,
}

/// Ids of a [`Holder`].
pub(super) type HolderKeys = ((SessionId, UserId), (FactorsId, CodesId));
/// Records of a [`Holder`], as far as they are there.
pub(super) type HolderRecords = (
    (Option<Session>, Option<User>),
    (Option<Factors>, Option<SentCodes>),
);

impl Caller {
    /// What their [`Holder`] is read by.
    pub(super) fn holder_keys(&self) -> HolderKeys {
        let user = self.user.id;
        ((self.session.id, user), (user.factors(), user.codes()))
    }
}

impl Holder {
    /// Session and account must still stand. Without any second factor there are none, and none is an answer.
    pub(super) fn of(records: HolderRecords, now: Timestamp) -> Result<Self, Error> {
        let (pair, (factors, codes)) = records;
        let (session, user) = live_pair(pair, now)?;
        Ok(Self {
            factors: factors.unwrap_or_else(|| Factors::none(user.id, now)),
            codes: codes.unwrap_or_else(|| SentCodes::none(user.id.codes())),
            session,
            user,
        })
    }

    /// As [`Holder::of`], for those who may change something sensitive. That they proved who they are a short
    /// time ago was seen at the door; that nobody changed the factors since is seen here, in the commit.
    pub(super) fn proven(records: HolderRecords, now: Timestamp) -> Result<Self, Error> {
        let holder = Self::of(records, now)?;
        require_proof(&holder.session, &holder.user)?;
        Ok(holder)
    }

    /// Voids the login code that was sent by a method of this kind: it went where the method no longer leads.
    pub(super) fn void_code(&mut self, kind: MethodKind) {
        self.codes.drop_code(kind);
    }
}

impl Auth {
    /// Writes a change of second factors that the holder's factors already show.
    pub(super) fn write_change(
        &self,
        holder: &mut Holder,
        trail: &Trail,
        entry: &AuditEvent,
        event: Event,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let due = !holder.factors.methods.is_empty();
        holder.user.change_factors(due, trail.now);
        holder.session.keep_proof(&holder.user);
        draft.put(&holder.factors);
        draft.put(&holder.user);
        draft.put(&holder.session);
        write_codes(&holder.codes, draft);
        draft.trace(entry);
        self.notify(draft, trail, &holder.user, event)
    }
}

/// Refuses a session whose owner proved who they are before somebody else changed the factors.
pub(super) fn require_proof(session: &Session, user: &User) -> Result<(), Error> {
    if session.has_proven(user) {
        Ok(())
    } else {
        Err(Error::ReauthenticationRequired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fixtures::{alice, session_of, start};

    #[test]
    fn a_change_elsewhere_takes_the_right_to_the_next_one() {
        let user = alice();
        let session = session_of(&user, "hash");
        let proven = |user: &User| {
            let pair = (Some(session.clone()), Some(user.clone()));
            Holder::proven((pair, (None, None)), start()).map(|holder| holder.factors)
        };
        let none = proven(&user).expect("proven");
        assert!(none.methods.is_empty());

        let mut changed = user.clone();
        changed.change_factors(true, start());
        let refused = proven(&changed);
        assert!(matches!(refused, Err(Error::ReauthenticationRequired)));

        let mut revoked = user;
        revoked.end_sessions(start());
        assert!(matches!(proven(&revoked), Err(Error::Unauthenticated)));
    }
}
