//! Password change and re-authentication, which takes a password or a code.

use super::error::FieldError;
use super::limits::Gate;
use super::proof::{Evidence, Failure};
use super::sessions::live_pair;
use super::target::Target;
use super::{Auth, Caller, Client, Error};
use crate::model::{
    Action, Authenticator, Factors, FactorsId, MethodKind, Password, Session, SessionId, SixDigits,
    Timestamp, User, UserId,
};
use crate::outbound::Event;
use crate::store::{Class, Draft, Durability};
use crate::telemetry::names;

/// Names re-authentication in audit entries of failures.
const DURING: &str = "reauthentication";

/// A change of password.
pub struct PasswordChange {
    /// The one that holds now.
    pub current: Password,
    /// The one that shall hold.
    pub new: Password,
}

/// How somebody who is logged in proves again who they are.
pub enum Reproof {
    /// With the password.
    Password(Password),
    /// With a code of the authenticator app, as it was typed.
    Code(String),
}

/// What a re-authentication by code is decided by.
type ProverKeys = ((SessionId, UserId), FactorsId);
type ProverRecords = ((Option<Session>, Option<User>), Option<Factors>);

impl Auth {
    /// Changes the password; every other session and all trusted devices end.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the new one breaks a rule; [`Error::InvalidCredentials`] when the current
    /// one is wrong, which counts as a failed login; [`Error::RateLimited`] after several changes.
    pub async fn change_password(
        &self,
        client: &Client,
        caller: &Caller,
        input: PasswordChange,
    ) -> Result<Durability, Error> {
        let (email, username) = (&caller.user.email_key, &caller.user.username_key);
        (input.new.check(email, username))
            .map_err(|e| Error::Invalid(vec![FieldError::password("newPassword", e)]))?;
        let mut place = self.hash_place(client)?;
        let evidence = Evidence {
            password: &input.current,
            place: &mut place,
            during: "password_change",
        };
        let proven = self.prove_again(client, caller, evidence).await?;
        self.pass(client, Gate::PasswordChange(proven.id)).await?;
        let hash = place.hash(input.new).await?;
        let trail = self.trail(client);
        let decide = |records: (Option<Session>, Option<User>), draft: &mut Draft| {
            let (mut session, mut user) = still(records, &proven, trail.now)?;
            user.change_password(hash.clone(), trail.now);
            session.outlive(&user);
            draft.put(&user);
            draft.put(&session);
            draft.trace(&trail.session_entry(Action::UserPasswordChanged, user.id, session.id));
            self.notify(draft, &trail, &user, Event::PasswordChanged)
        };
        let keys = (caller.session.id, caller.user.id);
        let ((), receipt) = self.store.transact(Class::Grant, keys, decide).await?;
        metrics::counter!(names::SESSIONS_ENDED, "reason" => "password_changed").increment(1);
        Ok(receipt.durable().await?)
    }

    /// Proves again who the caller is: a new access token with a new `auth_time`.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when the password is wrong, which counts as a failed login;
    /// [`Error::InvalidCode`] when the code is, which counts against the app;
    /// [`Error::MethodNotAvailable`] for a code when the account has no app, or it was disabled.
    pub async fn reauthenticate(
        &self,
        client: &Client,
        caller: &Caller,
        proof: Reproof,
    ) -> Result<String, Error> {
        match proof {
            Reproof::Password(password) => {
                self.reauthenticate_by_password(client, caller, &password)
                    .await
            }
            Reproof::Code(code) => self.reauthenticate_by_code(client, caller, &code).await,
        }
    }

    async fn reauthenticate_by_password(
        &self,
        client: &Client,
        caller: &Caller,
        password: &Password,
    ) -> Result<String, Error> {
        let evidence = Evidence {
            password,
            place: &mut self.hash_place(client)?,
            during: DURING,
        };
        let proven = self.prove_again(client, caller, evidence).await?;
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

    async fn reauthenticate_by_code(
        &self,
        client: &Client,
        caller: &Caller,
        code: &str,
    ) -> Result<String, Error> {
        let code = SixDigits::parse(code).ok_or(Error::InvalidCode)?;
        if !caller.user.two_factor_enabled {
            return Err(Error::MethodNotAvailable);
        }
        self.pass(client, Gate::SecondFactor(caller.user.id))
            .await?;
        let user_id = caller.user.id;
        let keys: ProverKeys = ((caller.session.id, user_id), user_id.factors());
        let decide = |records: ProverRecords, draft: &mut Draft| {
            self.decide_code(client, records, &code, draft)
        };
        let (proven, _) = self.store.transact(Class::Session, keys, decide).await?;
        let (user, session) = proven.ok_or(Error::InvalidCode)?;
        Ok(self.access_token(&user, &session))
    }

    /// Judges a code and counts it, in one commit. `None` when it is wrong.
    fn decide_code(
        &self,
        client: &Client,
        (pair, factors): ProverRecords,
        code: &SixDigits,
        draft: &mut Draft,
    ) -> Result<Option<(User, Session)>, Error> {
        let trail = self.trail(client);
        let (mut session, user) = live_pair(pair, trail.now)?;
        let usable = |factors: &Factors| {
            let app = factors.method(MethodKind::Totp);
            app.is_some_and(|app| app.strikes.allow())
        };
        let mut factors = factors.filter(usable).ok_or(Error::MethodNotAvailable)?;
        let app = Authenticator::Method(MethodKind::Totp);
        if !self.shows_totp(&mut factors, code, trail.now, draft)? {
            self.strike(client, &user, &mut factors, app, DURING, draft)?;
            return Ok(None);
        }
        factors.succeed(app, trail.now);
        session.reauthenticated(&user, app.reference(), trail.now);
        draft.put(&factors);
        draft.put(&session);
        let details = serde_json::json!({ "method": app.label() });
        let entry = trail.session_entry(Action::UserReauthenticated, user.id, session.id);
        draft.trace(&entry.with(details));
        Ok(Some((user, session)))
    }

    /// Checks the password of somebody who is logged in. Returns the account that it was right for.
    async fn prove_again(
        &self,
        client: &Client,
        caller: &Caller,
        evidence: Evidence<'_>,
    ) -> Result<User, Error> {
        let target = Target::of(&caller.user);
        let attempt = self.knock(client, &target.to_string()).await?;
        let proof = self
            .prove_password(client, attempt, &target, evidence)
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
