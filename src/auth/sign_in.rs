//! Where every way of logging in ends: a first factor was proven, and either a session begins or the
//! second door comes (see `challenge`).

use super::arrival::Arrival;
use super::audit::Trail;
use super::{Auth, Client, Error, LoginOutcome, RefreshToken, SignedIn};
use crate::crypto::{Claims, Opened, TokenKind};
use crate::model::{Action, Issue, Session, SessionId, Timestamp, User, UserId};
use crate::store::{Class, Draft, Durability};

/// What was proven, and against which state of the account.
pub(super) struct FirstFactor {
    /// Whose account.
    pub(super) user_id: UserId,
    /// The password hash that the password was right for.
    pub(super) password_hash: Option<String>,
    /// The same password under today's parameters, when the stored hash has others.
    pub(super) rehashed: Option<String>,
    /// How it was proven (RFC 8176).
    pub(super) method: &'static str,
    /// The device token that came with it.
    pub(super) device: Option<Arrival>,
}

/// Where a first factor leads, judged by the account as it is when the session would be issued.
pub(super) enum Step {
    /// The login is over, or goes on with a challenge.
    Done(LoginOutcome),
    /// What was proven is of yesterday: another password is stored by now, or the same one under other
    /// parameters, or the second factor was switched off. Prove it again.
    Moved,
    /// The account was disabled or erased meanwhile.
    Inactive,
}

/// What the account allows. Nothing but [`Standing::Welcome`] may be given a session at the first door.
#[derive(Debug, PartialEq)]
pub(super) enum Standing {
    Welcome(Box<User>),
    Moved,
    Inactive,
    SecondFactorDue(Box<User>),
}

/// The first refresh token of a session that is about to be issued.
pub(super) struct Family {
    pub(super) session_id: SessionId,
    pub(super) newest: Opened,
}

impl Auth {
    /// Issues the session that a first factor earned, or leads on to the second door. No way of logging in
    /// comes to a session but through here.
    pub(super) async fn after_first_factor(
        &self,
        client: &Client,
        proof: &FirstFactor,
    ) -> Result<Step, Error> {
        let trail = self.trail(client);
        let family = self.new_family(proof.user_id);
        let decide = |user: Option<User>, draft: &mut Draft| match standing(user, proof) {
            Standing::Welcome(mut user) => {
                let session = self.session(&user, &family, client, &[proof.method], trail.now);
                write_login(draft, &trail, &mut user, &session, proof);
                Ok::<_, Error>(Ok((*user, session)))
            }
            other => Ok(Err(other)),
        };
        // The session class is answered from Redis: nobody waits for the receipt.
        let (decided, _) = self
            .store
            .transact(Class::Session, proof.user_id, decide)
            .await?;
        match decided {
            Ok((user, session)) => {
                let signed_in =
                    self.signed_in(user, &session, &family.newest, Durability::Committed);
                let outcome = LoginOutcome::SignedIn(Box::new(signed_in));
                Ok(Step::Done(outcome))
            }
            Err(Standing::SecondFactorDue(_)) => self.second_door(client, proof).await,
            Err(Standing::Inactive) => Ok(Step::Inactive),
            Err(Standing::Moved | Standing::Welcome(_)) => Ok(Step::Moved),
        }
    }

    /// Names a session and draws the secret of its first refresh token.
    pub(super) fn new_family(&self, user_id: UserId) -> Family {
        let session_id: SessionId = self.clock.new_id_in(user_id.partition());
        Family {
            session_id,
            newest: self
                .opaque_tokens
                .mint(TokenKind::Refresh, session_id.id(), 1),
        }
    }

    /// The session of a family, to be committed before any of its tokens is handed out.
    pub(super) fn session(
        &self,
        user: &User,
        family: &Family,
        client: &Client,
        amr: &[&str],
        now: Timestamp,
    ) -> Session {
        let issue = Issue {
            id: family.session_id,
            user,
            refresh_hash: family.newest.hash(),
            seen: client.seen(),
            amr: amr.iter().map(|how| (*how).to_owned()).collect(),
            lifetimes: self.settings.lifetimes(),
        };
        Session::issue(issue, now)
    }

    /// Hands out the tokens of a session that is committed.
    pub(super) fn signed_in(
        &self,
        user: User,
        session: &Session,
        newest: &Opened,
        durability: Durability,
    ) -> SignedIn {
        SignedIn {
            access_token: self.access_token(&user, session),
            refresh_token: self.refresh_token(session, newest),
            user,
            durability,
            device_token: None,
            backup_codes_left: None,
        }
    }

    /// An access token of a committed session. It never outlives the session's last day.
    pub(super) fn access_token(&self, user: &User, session: &Session) -> String {
        let now = self.clock.now();
        let expires_at = now.after(self.settings.tokens.access_ttl);
        self.access_tokens.issue(&Claims {
            user_id: user.id,
            session_id: session.id,
            issued_at: now,
            expires_at: expires_at.min(session.expires_at),
            auth_time: session.auth_time,
            amr: session.amr.clone(),
            roles: user.roles.clone(),
        })
    }

    /// The newest refresh token of a committed session.
    pub(super) fn refresh_token(&self, session: &Session, newest: &Opened) -> RefreshToken {
        RefreshToken {
            text: self.opaque_tokens.encode(TokenKind::Refresh, newest),
            expires_at: session.idle_expires_at,
        }
    }
}

/// Judges the account as it is now, which may not be as it was when the proof began.
pub(super) fn standing(user: Option<User>, proof: &FirstFactor) -> Standing {
    match user {
        None => Standing::Inactive,
        Some(user) if !user.is_active() => Standing::Inactive,
        Some(user)
            if proof.password_hash.is_some() && user.password_hash != proof.password_hash =>
        {
            Standing::Moved
        }
        Some(user) if user.two_factor_enabled => Standing::SecondFactorDue(Box::new(user)),
        Some(user) => Standing::Welcome(Box::new(user)),
    }
}

/// A login in one commit: the session, its audit entry, and where it is due the password's new hash.
pub(super) fn write_login(
    draft: &mut Draft,
    trail: &Trail,
    user: &mut User,
    session: &Session,
    proof: &FirstFactor,
) {
    proof.write_rehash(draft, trail, user);
    draft.put(session);
    draft.trace(&login_entry(trail, session));
}

/// Tells of a login, and how it was made.
pub(super) fn login_entry(trail: &Trail, session: &Session) -> crate::model::AuditEvent {
    let details = serde_json::json!({ "method": session.amr.join("+") });
    let entry = trail.session_entry(Action::UserLogin, session.user_id, session.id);
    entry.with(details)
}

impl FirstFactor {
    /// Stores the password under today's parameters, where it has others.
    pub(super) fn write_rehash(&self, draft: &mut Draft, trail: &Trail, user: &mut User) {
        if let Some(hash) = &self.rehashed {
            user.rehash_password(hash.clone(), trail.now);
            draft.put(user);
            draft.trace(&trail.entry(Action::UserPasswordRehashed, user.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fixtures::alice;

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
    fn an_account_as_it_was_proven_is_welcome() {
        let user = alice();
        let proof = proof_of(&user);
        assert_eq!(
            standing(Some(user.clone()), &proof),
            Standing::Welcome(Box::new(user))
        );
    }

    #[test]
    fn a_password_changed_meanwhile_must_be_proven_again() {
        let mut user = alice();
        let proof = proof_of(&user);
        user.change_password("another".to_owned(), user.created_at);
        assert_eq!(standing(Some(user), &proof), Standing::Moved);
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
            assert_eq!(standing(account, &proof), Standing::Inactive);
        }
    }

    #[test]
    fn no_way_of_logging_in_passes_a_second_factor_by() {
        let mut user = alice();
        user.two_factor_enabled = true;
        let mut proof = proof_of(&user);
        let due = Standing::SecondFactorDue(Box::new(user.clone()));
        assert_eq!(standing(Some(user.clone()), &proof), due);
        proof.password_hash = None;
        assert_eq!(standing(Some(user), &proof), due);
    }
}
