//! Password change and re-authentication.

use super::error::FieldError;
use super::proof::Failure;
use super::sessions::live_pair;
use super::target::Target;
use super::{Auth, Caller, Client, Error};
use crate::model::{Action, Password, Session, Timestamp, User};
use crate::store::{Class, Draft, Durability};
use crate::telemetry::names;

/// A change of password.
pub struct PasswordChange {
    /// The one that holds now.
    pub current: Password,
    /// The one that shall hold.
    pub new: Password,
}

impl Auth {
    /// Changes the password; every other session and all trusted devices end.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the new one breaks a rule; [`Error::InvalidCredentials`] when the current
    /// one is wrong, which counts as a failed login.
    pub async fn change_password(
        &self,
        client: &Client,
        caller: &Caller,
        input: PasswordChange,
    ) -> Result<Durability, Error> {
        let (email, username) = (&caller.user.email_key, &caller.user.username_key);
        (input.new.check(email, username))
            .map_err(|e| Error::Invalid(vec![FieldError::password("newPassword", e)]))?;
        let proven = self
            .prove_again(client, caller, &input.current, "password_change")
            .await?;
        let hash = self.pool.hash(input.new).await?;
        let trail = self.trail(client);
        let decide = |records: (Option<Session>, Option<User>), draft: &mut Draft| {
            let (mut session, mut user) = still(records, &proven, trail.now)?;
            user.change_password(hash.clone(), trail.now);
            session.outlive(&user);
            draft.put(&user);
            draft.put(&session);
            draft.trace(&trail.session_entry(Action::UserPasswordChanged, user.id, session.id));
            Ok::<_, Error>(())
        };
        let keys = (caller.session.id, caller.user.id);
        let ((), receipt) = self.store.transact(Class::Grant, keys, decide).await?;
        metrics::counter!(names::SESSIONS_ENDED, "reason" => "password_changed").increment(1);
        Ok(receipt.durable().await?)
    }

    /// Proves again who the caller is: a new access token with a new `auth_time`.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when the password is wrong, which counts as a failed login.
    pub async fn reauthenticate(
        &self,
        client: &Client,
        caller: &Caller,
        password: Password,
    ) -> Result<String, Error> {
        let proven = self
            .prove_again(client, caller, &password, "reauthentication")
            .await?;
        let trail = self.trail(client);
        let decide = |records: (Option<Session>, Option<User>), draft: &mut Draft| {
            let (mut session, user) = still(records, &proven, trail.now)?;
            session.reauthenticated(&user, "pwd", trail.now);
            draft.put(&session);
            draft.trace(&trail.session_entry(Action::UserReauthenticated, user.id, session.id));
            Ok::<_, Error>((user, session))
        };
        let keys = (caller.session.id, caller.user.id);
        let ((user, session), _) = self.store.transact(Class::Session, keys, decide).await?;
        Ok(self.access_token(&user, &session))
    }

    /// Checks the password of somebody who is logged in. Returns the account that it was right for.
    async fn prove_again(
        &self,
        client: &Client,
        caller: &Caller,
        password: &Password,
        during: &'static str,
    ) -> Result<User, Error> {
        let target = Target::of(&caller.user);
        let attempt = self.knock(client, &target.to_string()).await?;
        let proof = self
            .prove_password(client, attempt, &target, password, during)
            .await
            .map_err(Failure::into_error)?;
        self.give_back(client, proof.attempt).await;
        Ok(proof.user)
    }
}

/// Session and account, if both still stand and the password is the one that was proven.
fn still(
    records: (Option<Session>, Option<User>),
    proven: &User,
    now: Timestamp,
) -> Result<(Session, User), Error> {
    let (session, user) = live_pair(records, now)?;
    if user.password_hash != proven.password_hash {
        return Err(Error::InvalidCredentials);
    }
    Ok((session, user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fixtures::{alice, session_of, start};

    #[test]
    fn what_was_proven_must_still_hold_when_it_is_committed() {
        let proven = alice();
        let session = session_of(&proven, "hash");
        let judged = |user: &User| {
            still(
                (Some(session.clone()), Some(user.clone())),
                &proven,
                start(),
            )
        };
        assert!(judged(&proven).is_ok());

        let mut changed = proven.clone();
        changed.rehash_password("another".to_owned(), start());
        assert!(matches!(judged(&changed), Err(Error::InvalidCredentials)));

        let mut revoked = proven.clone();
        revoked.end_sessions(start());
        assert!(matches!(judged(&revoked), Err(Error::Unauthenticated)));
    }
}
