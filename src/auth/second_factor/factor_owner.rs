//! The owner of second factors, and the consequences that every change of them has.
//!
//! Trusted devices end, and so does every other session's right to sensitive actions; the owner is told;
//! an entry is written. The session that made the change keeps its right.

use super::shown_code::write_codes;
use crate::auth::session::{self, SessionRecords, require_proof};
use crate::core::change::Change;
use crate::core::{Caller, Error};
use crate::model::{
    CodesId, Factors, FactorsId, MethodKind, SecurityEvent, SentCodes, Session, SessionId,
    Timestamp, User, UserId,
};
use crate::outbound::Event;

/// A caller who is logged in, and every record that a change of their second factors touches.
pub(super) struct FactorOwner {
    pub(super) session: Session,
    pub(super) user: User,
    pub(super) factors: Factors,
    pub(super) codes: SentCodes,
}

/// Keys of a [`FactorOwner`].
pub(super) type OwnerKeys = ((SessionId, UserId), (FactorsId, CodesId));
/// Records of a [`FactorOwner`], as far as they were found.
pub(super) type OwnerRecords = (SessionRecords, (Option<Factors>, Option<SentCodes>));

/// Keys of the caller's [`FactorOwner`].
pub(super) fn keys(caller: &Caller) -> OwnerKeys {
    let user = caller.user.id;
    (caller.keys(), (user.factors(), user.codes()))
}

impl FactorOwner {
    /// The owner, when session and account are live. An account without any second factor has no record of them.
    ///
    /// # Errors
    /// [`ProblemKind::Unauthenticated`](crate::core::ProblemKind::Unauthenticated).
    pub(super) fn live(records: OwnerRecords, now: Timestamp) -> Result<Self, Error> {
        let (pair, (factors, codes)) = records;
        let (session, user) = session::live(pair, now)?;
        Ok(Self {
            factors: factors.unwrap_or_else(|| Factors::none(user.id, now)),
            codes: codes.unwrap_or_else(|| SentCodes::none(user.id.codes())),
            session,
            user,
        })
    }

    /// As [`FactorOwner::live`], for a change of something sensitive. The recent proof was checked before the use
    /// case; that no other session changed the factors since is checked here, in the commit.
    ///
    /// # Errors
    /// [`ProblemKind::Unauthenticated`](crate::core::ProblemKind::Unauthenticated), [`Error::ReauthenticationRequired`].
    pub(super) fn proven(records: OwnerRecords, now: Timestamp) -> Result<Self, Error> {
        let owner = Self::live(records, now)?;
        require_proof(&owner.session, &owner.user, Some(&owner.factors))?;
        Ok(owner)
    }

    /// Voids the login code that was sent by a method of this kind: the method leads elsewhere now.
    pub(super) fn void_code(&mut self, kind: MethodKind) {
        self.codes.drop_code(kind);
    }

    /// Writes a change of second factors that `self.factors` already shows.
    ///
    /// # Errors
    /// [`Error::Internal`] when the notice cannot be sealed.
    pub(super) fn write_change(
        &mut self,
        event: &SecurityEvent,
        told: Event,
        change: &mut Change<'_>,
    ) -> Result<(), Error> {
        let due = !self.factors.methods.is_empty();
        self.user.change_factors(due, change.now());
        self.session.keep_proof(&self.user);
        write_codes(&self.codes, change);
        change
            .record(&self.session, event)
            .put(&self.factors)
            .put(&self.user)
            .put(&self.session)
            .notify(&self.user, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ProblemKind;
    use crate::core::fixtures::{alice, session_of, start};

    #[test]
    fn a_change_elsewhere_takes_the_right_to_the_next_one() {
        let user = alice();
        let session = session_of(&user, "hash");
        let proven = |user: &User| {
            let pair = (Some(session.clone()), Some(user.clone()));
            FactorOwner::proven((pair, (None, None)), start()).map(|owner| owner.factors)
        };
        let none = proven(&user).expect("proven");
        assert!(none.methods.is_empty());

        let mut changed = user.clone();
        changed.change_factors(true, start());
        let refused = proven(&changed);
        assert!(matches!(
            refused,
            Err(Error::ReauthenticationRequired { .. })
        ));

        let mut revoked = user;
        revoked.end_sessions(start());
        assert!(matches!(
            proven(&revoked),
            Err(Error::Refused(ProblemKind::Unauthenticated))
        ));
    }
}
