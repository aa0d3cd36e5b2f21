//! The end of every first factor: it was proven, and either a session begins or a second factor is due
//! (see `challenge`).

use super::challenge::ask_for_second_factor;
use super::{LoginOutcome, SignedIn};
use crate::auth::session::presented_token::PresentedToken;
use crate::auth::session::{self, access_token, owes_second_factor, refresh_token};
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{Client, Core, Durability, Error};
use crate::crypto::Opened;
use crate::model::{SecurityEvent, Session, User, UserId};
use crate::store::Class;

/// A proven first factor, and the state of the account that it was proven against.
pub(super) struct FirstFactor {
    pub(super) user_id: UserId,
    /// The password hash that the password was right for.
    pub(super) password_hash: Option<String>,
    /// The same password under today's parameters, when the stored hash has others.
    pub(super) rehashed: Option<String>,
    /// Kind of proof (RFC 8176).
    pub(super) method: &'static str,
    /// The device token that came with it.
    pub(super) device: Option<PresentedToken>,
}

/// Result of a first factor, judged by the account as it is when the session would be issued.
pub(super) enum Step {
    /// The login is over, or goes on with a challenge.
    Done(LoginOutcome),
    /// The account has changed since the proof: another password is stored by now, or the same one under other
    /// parameters, or the second factor was switched off. Prove it again.
    Changed,
    /// The account was disabled or erased meanwhile.
    Inactive,
}

/// Permission of the account. Only [`AccountState::MayBegin`] gets a session for its first factor.
#[derive(Debug, PartialEq)]
pub(super) enum AccountState {
    MayBegin(Box<User>),
    Changed,
    Inactive,
    SecondFactorDue(Box<User>),
}

/// Issues the session that a first factor earned, or asks for the second factor. No way of logging in
/// comes to a session but through here.
///
/// # Errors
/// [`Error::StoreAway`], [`Error::Overloaded`], [`Error::OutcomeUnknown`].
pub(super) async fn after_first_factor(
    core: &Core,
    client: &Client,
    factor: &FirstFactor,
) -> Result<Step, Error> {
    let context = RequestContext::new(core, client);
    let first = session::new_session(core, factor.user_id);
    let decide = |user: Option<User>, change: &mut Change<'_>| match account_state(user, factor) {
        AccountState::MayBegin(mut user) => {
            let session =
                session::start(core, &user, &first, client, &[factor.method], change.now());
            factor.write_rehash(change, &mut user);
            change
                .record(&session, &login_event(&session))
                .put(&session);
            Ok(Ok((*user, session)))
        }
        other => Ok(Err(other)),
    };
    // The session class is answered from Redis: no receipt is waited for.
    let decided = change::commit(core, &context, Class::Session, factor.user_id, decide).await?;
    match decided.value {
        Ok((user, session)) => {
            session::note_login(core, client, &user, &session);
            let signed_in = signed_in(core, user, &session, &first.token, Durability::Committed);
            Ok(Step::Done(LoginOutcome::SignedIn(Box::new(signed_in))))
        }
        Err(AccountState::SecondFactorDue(_)) => {
            ask_for_second_factor(core, client, &context, factor).await
        }
        Err(AccountState::Inactive) => Ok(Step::Inactive),
        Err(AccountState::Changed | AccountState::MayBegin(_)) => Ok(Step::Changed),
    }
}

/// Tokens of a session that is committed.
pub(crate) fn signed_in(
    core: &Core,
    user: User,
    session: &Session,
    newest: &Opened,
    durability: Durability,
) -> SignedIn {
    SignedIn {
        access_token: access_token(core, &user, session),
        refresh_token: refresh_token(core, session, newest),
        owes_second_factor: owes_second_factor(core, &user),
        user,
        durability,
        device_token: None,
        backup_codes_left: None,
    }
}

/// State of the account now, which may not be what it was when the proof began.
pub(super) fn account_state(user: Option<User>, factor: &FirstFactor) -> AccountState {
    match user {
        None => AccountState::Inactive,
        Some(user) if !user.is_active() => AccountState::Inactive,
        Some(user)
            if factor.password_hash.is_some() && user.password_hash != factor.password_hash =>
        {
            AccountState::Changed
        }
        Some(user) if user.two_factor_enabled => AccountState::SecondFactorDue(Box::new(user)),
        Some(user) => AccountState::MayBegin(Box::new(user)),
    }
}

/// The event of a login.
pub(crate) fn login_event(session: &Session) -> SecurityEvent {
    SecurityEvent::UserLogin {
        method: session.amr.join("+"),
    }
}

impl FirstFactor {
    /// Stores the password under today's parameters, where it has others.
    pub(super) fn write_rehash(&self, change: &mut Change<'_>, user: &mut User) {
        if let Some(hash) = &self.rehashed {
            user.rehash_password(hash.clone(), change.now());
            change
                .record(user.id, &SecurityEvent::UserPasswordRehashed {})
                .put(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::alice;

    fn proof_of(user: &User) -> FirstFactor {
        FirstFactor {
            user_id: user.id,
            password_hash: user.password_hash.clone(),
            rehashed: None,
            method: "pwd",
            device: None,
        }
    }

    #[test]
    fn an_account_as_it_was_proven_gets_a_session() {
        let user = alice();
        let proof = proof_of(&user);
        assert_eq!(
            account_state(Some(user.clone()), &proof),
            AccountState::MayBegin(Box::new(user))
        );
    }

    #[test]
    fn a_password_changed_meanwhile_must_be_proven_again() {
        let mut user = alice();
        let proof = proof_of(&user);
        user.change_password("another".to_owned(), user.created_at);
        assert_eq!(account_state(Some(user), &proof), AccountState::Changed);
    }

    #[test]
    fn an_account_disabled_or_gone_meanwhile_gets_no_session() {
        let user = alice();
        let proof = proof_of(&user);
        let mut disabled = user.clone();
        disabled.disabled_at = Some(user.created_at);
        let mut erased = user.clone();
        erased.deleted_at = Some(user.created_at);
        for account in [None, Some(disabled), Some(erased)] {
            assert_eq!(account_state(account, &proof), AccountState::Inactive);
        }
    }

    #[test]
    fn no_way_of_logging_in_passes_a_second_factor_by() {
        let mut user = alice();
        user.two_factor_enabled = true;
        let mut proof = proof_of(&user);
        let due = AccountState::SecondFactorDue(Box::new(user.clone()));
        assert_eq!(account_state(Some(user.clone()), &proof), due);
        proof.password_hash = None;
        assert_eq!(account_state(Some(user), &proof), due);
    }
}
