//! Change of the password by its owner.

use crate::auth::login::{Evidence, prove_again};
use crate::auth::session::{self, SessionRecords};
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{Caller, Client, Core, Durability, Error, FieldError, Limit};
use crate::core::{hash_admission, limits};
use crate::model::{ForbiddenWords, Password, SecurityEvent, Session, Timestamp, User};
use crate::outbound::Event;
use crate::store::Class;
use crate::telemetry::names;

/// A change of password.
pub struct PasswordChange {
    /// The one that holds now.
    pub current: Password,
    /// The one that shall hold.
    pub new: Password,
}

/// Changes the password; every other session and all trusted devices end.
///
/// # Errors
/// [`Error::Invalid`] when the new one breaks a rule; [`ProblemKind::InvalidCredentials`](crate::core::ProblemKind::InvalidCredentials) when the current
/// one is wrong, which counts as a failed login; [`Error::RateLimited`] after several changes.
pub async fn change(
    core: &Core,
    client: &Client,
    caller: &Caller,
    input: PasswordChange,
) -> Result<Durability, Error> {
    let words = ForbiddenWords {
        email_key: &caller.user.email_key,
        username_key: &caller.user.username_key,
        service: &core.settings.second_factors.totp_issuer,
    };
    (input.new.check(words))
        .map_err(|e| Error::Invalid(vec![FieldError::password("newPassword", e)]))?;
    let mut permit = hash_admission::admit(core, client)?;
    let evidence = Evidence {
        password: &input.current,
        permit: &mut permit,
        during: "password_change",
    };
    let proven = prove_again(core, client, caller, evidence).await?;
    limits::take(core, client, Limit::PasswordChange(proven.id)).await?;
    let hash = permit.hash(input.new).await?;
    let context = RequestContext::new(core, client);
    let decide = |records: SessionRecords, change: &mut Change<'_>| {
        let (mut session, mut user) = proven_pair(records, &proven, change.now())?;
        user.change_password(hash.clone(), change.now());
        session.outlive(&user);
        change
            .record(&session, &SecurityEvent::UserPasswordChanged {})
            .put(&user)
            .put(&session)
            .notify(&user, Event::PasswordChanged)?;
        Ok(())
    };
    let changed = change::commit(core, &context, Class::Grant, caller.keys(), decide).await?;
    metrics::counter!(names::SESSIONS_ENDED, "reason" => "password_changed").increment(1);
    Ok(changed.durable().await?.1)
}

/// Session and account, if both are live and the password is the one that was proven.
fn proven_pair(
    records: SessionRecords,
    proven: &User,
    now: Timestamp,
) -> Result<(Session, User), Error> {
    let (session, user) = session::live(records, now)?;
    session::same_password(&user, proven)?;
    Ok((session, user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ProblemKind;
    use crate::core::fixtures::{alice, session_of, start};

    #[test]
    fn what_was_proven_must_still_hold_when_it_is_committed() {
        let proven = alice();
        let session = session_of(&proven, "hash");
        let judged = |user: &User| {
            proven_pair(
                (Some(session.clone()), Some(user.clone())),
                &proven,
                start(),
            )
        };
        assert!(judged(&proven).is_ok());

        let mut changed = proven.clone();
        changed.rehash_password("another".to_owned(), start());
        assert!(matches!(
            judged(&changed),
            Err(Error::Refused(ProblemKind::InvalidCredentials))
        ));

        let mut revoked = proven.clone();
        revoked.end_sessions(start());
        assert!(matches!(
            judged(&revoked),
            Err(Error::Refused(ProblemKind::Unauthenticated))
        ));
    }
}
