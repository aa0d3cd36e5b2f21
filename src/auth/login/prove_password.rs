//! Proof of an account by its password: for login, and again for sensitive actions.
//!
//! Unknown account, wrong password and disabled account take the same steps and cost the same hash; they
//! differ only in metrics and audit.

use super::failure_limits::{self, FailureReservation};
use super::subject::LoginSubject;
use crate::core::audit::RequestContext;
use crate::core::{Caller, Client, Core, Error, ProblemKind, change};
use crate::crypto::{HashError, HashPermit, Verified};
use crate::model::{Password, SecurityEvent, User};
use crate::store;
use crate::telemetry::mask_name;

/// A password that shall prove an account.
pub(crate) struct Evidence<'a> {
    pub(crate) password: &'a Password,
    pub(crate) permit: &'a mut HashPermit,
    /// Name of the use case in the audit entry of a failure.
    pub(crate) during: &'static str,
}

/// A password was right.
pub(super) struct Proof {
    /// The account as it was read before the hash.
    pub(super) user: User,
    /// The same password under today's parameters, when the stored hash has others.
    pub(super) rehashed: Option<String>,
    /// Reservation in the limits of failures, to be released.
    pub(super) reservation: FailureReservation,
}

/// Reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    UnknownAccount,
    WrongPassword,
    /// The account's limits are full: the password was hashed and not compared.
    Throttled,
    Disabled,
}

/// A proof that failed: for a reason that the caller must not learn, or by another error.
pub(super) enum Failure {
    Refused(Reason),
    Error(Error),
}

impl Reason {
    /// Label in metrics and audit.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::WrongPassword => "wrong_password",
            Self::Throttled => "throttled",
            Self::Disabled => "disabled",
        }
    }
}

impl Failure {
    /// Label in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Refused(reason) => reason.label(),
            Self::Error(error) => error.code(),
        }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Failure {
    /// The error that the caller may learn.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Refused(_) => Error::Refused(ProblemKind::InvalidCredentials),
            Self::Error(error) => error,
        }
    }
}

/// Reserves in the account's limits too, reads the account, compares the password. A refusal is still to be recorded,
/// see [`record_failure`].
///
/// # Errors
/// [`Failure::Refused`] for the one reason that it is; [`Failure::Error`] when nothing could be compared.
pub(super) async fn prove_password(
    core: &Core,
    client: &Client,
    reservation: FailureReservation,
    subject: &LoginSubject,
    evidence: Evidence<'_>,
) -> Result<Proof, Failure> {
    let reserve = failure_limits::reserve_by_account(core, client, reservation, subject);
    let (reservation, user) = tokio::join!(reserve, Box::pin(account(core, subject)));
    let reservation = reservation?;
    // An account that cannot be read costs the same hash, and counts the same, as one that is not there.
    let (user, unread) = match user {
        Ok(user) => (user, None),
        Err(error) => (None, Some(error)),
    };
    let mut compared = compare(user, subject, evidence.password, evidence.permit).await;
    if !reservation.may_compare() {
        compared = never_compared(compared);
    }
    match compared {
        Ok((user, rehashed)) => Ok(Proof {
            user,
            rehashed,
            reservation,
        }),
        Err(Failure::Refused(reason)) => {
            reservation.fail(client);
            if let Some(error) = unread {
                return Err(error.into());
            }
            Err(Failure::Refused(reason))
        }
        Err(Failure::Error(error)) => {
            failure_limits::release(core, client, reservation).await;
            Err(Failure::Error(error))
        }
    }
}

/// The outcome where a password must not be compared: the same refusal whether it was right or wrong.
fn never_compared<T>(compared: Result<T, Failure>) -> Result<T, Failure> {
    match compared {
        Err(Failure::Refused(Reason::UnknownAccount) | Failure::Error(_)) => compared,
        Ok(_) | Err(Failure::Refused(_)) => Err(Failure::Refused(Reason::Throttled)),
    }
}

/// Checks the password of a caller who is logged in. Returns the account that it was right for.
///
/// # Errors
/// [`ProblemKind::InvalidCredentials`], which counts for the session; [`Error::RateLimited`], [`Error::Overloaded`], [`Error::StoreAway`].
pub(crate) async fn prove_again(
    core: &Core,
    client: &Client,
    caller: &Caller,
    evidence: Evidence<'_>,
) -> Result<User, Error> {
    let subject = LoginSubject::of(&caller.user);
    let session = caller.session.id;
    let reservation = failure_limits::reserve_by_session(core, client, session).await?;
    let during = evidence.during;
    let proof = prove_password(core, client, reservation, &subject, evidence).await;
    if let Err(Failure::Refused(reason)) = &proof {
        record_failure(core, client, &subject, *reason, during);
    }
    let proof = proof.map_err(Failure::into_error)?;
    failure_limits::release(core, client, proof.reservation).await;
    Ok(proof.user)
}

async fn account(core: &Core, subject: &LoginSubject) -> Result<Option<User>, store::Error> {
    let LoginSubject::Account { id, called } = subject else {
        return Ok(None);
    };
    let user = core.store.read(*id).await?;
    let is_meant = |user: &User| user.deleted_at.is_none() && subject.is_met_by(user);
    if let Some(name) = called
        .clone()
        .filter(|_| !user.as_ref().is_some_and(is_meant))
    {
        // The entry is out of date and would hide whoever has the name now.
        let (store, id) = (core.store.clone(), *id);
        tokio::spawn(async move { store.forget_name(&name, id).await });
    }
    Ok(user)
}

/// Compares with the stored hash or with none: the hash is always paid for, and judged only then.
async fn compare(
    user: Option<User>,
    subject: &LoginSubject,
    password: &Password,
    permit: &mut HashPermit,
) -> Result<(User, Option<String>), Failure> {
    let stored = user
        .as_ref()
        .filter(|_| password.is_within_bounds())
        .and_then(|user| user.password_hash.clone());
    let verified = verify(password, stored, user.as_ref(), permit).await?;
    let user = judge(user, subject, verified.matches).map_err(Failure::Refused)?;
    Ok((user, verified.rehashed))
}

/// Verifies against a stored hash. One that cannot be verified is a fault of the service, but must look like any
/// wrong password, and has cost the same.
async fn verify(
    password: &Password,
    stored: Option<String>,
    user: Option<&User>,
    permit: &mut HashPermit,
) -> Result<Verified, HashError> {
    match permit.verify(password.clone(), stored).await {
        Err(HashError::Unusable) => {
            let user_id = user.map(|user| user.id.to_string());
            tracing::error!(user_id, "the stored password hash cannot be verified");
            Ok(Verified {
                matches: false,
                rehashed: None,
            })
        }
        verified => verified,
    }
}

/// Records a failure against an account, or against a name that no account has; of those only some while there are
/// many. Beside the answer and not before it: the difference must not be felt.
pub(super) fn record_failure(
    core: &Core,
    client: &Client,
    subject: &LoginSubject,
    reason: Reason,
    during: &'static str,
) {
    let user_id = match subject {
        LoginSubject::Account { id, .. } if reason != Reason::UnknownAccount => Some(*id),
        _ => None,
    };
    if user_id.is_none() && core.unknown_names.admit().is_none() {
        return;
    }
    let name = subject.name().filter(|_| user_id.is_none());
    let event = SecurityEvent::UserLoginFailed {
        reason: reason.label(),
        during,
        name: name.map(mask_name),
    };
    let (store, context) = (core.store.clone(), RequestContext::new(core, client));
    tokio::spawn(async move {
        let recorded = match user_id {
            Some(id) => change::record_event(&store, &context, id, &event).await,
            None => change::record_unowned_event(&store, &context, &event).await,
        };
        if let Err(error) = recorded {
            tracing::warn!(%error, "a failed login was not recorded");
        }
    });
}

/// Verdict over an account and a comparison. The index that led to the account is only a hint, so the
/// account must itself answer to the name.
fn judge(user: Option<User>, subject: &LoginSubject, matches: bool) -> Result<User, Reason> {
    let user = user.filter(|user| user.deleted_at.is_none() && subject.is_met_by(user));
    match user {
        None => Err(Reason::UnknownAccount),
        Some(_) if !matches => Err(Reason::WrongPassword),
        Some(user) if !user.is_active() => Err(Reason::Disabled),
        Some(user) => Ok(user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::alice;
    use crate::model::Identifier;

    #[test]
    fn only_the_right_password_of_an_active_account_proves_it() {
        let user = alice();
        let mut disabled = user.clone();
        disabled.disabled_at = Some(user.created_at);
        let mut erased = user.clone();
        erased.deleted_at = Some(user.created_at);
        let judged =
            |user: &User, matches| judge(Some(user.clone()), &LoginSubject::of(user), matches);
        assert_eq!(judged(&user, true), Ok(user.clone()));
        assert_eq!(judged(&user, false), Err(Reason::WrongPassword));
        assert_eq!(judged(&disabled, true), Err(Reason::Disabled));
        assert_eq!(judged(&disabled, false), Err(Reason::WrongPassword));
        assert_eq!(judged(&erased, true), Err(Reason::UnknownAccount));
        let nobody = judge(None, &LoginSubject::of(&user), true);
        assert_eq!(nobody, Err(Reason::UnknownAccount));
    }

    #[test]
    fn an_account_that_does_not_answer_to_the_name_is_not_the_one() {
        let user = alice();
        let called = |name: &str| {
            let subject = LoginSubject::named(Identifier::parse_login(name), name, Some(user.id));
            judge(Some(user.clone()), &subject, true)
        };
        assert_eq!(called("alice"), Ok(user.clone()));
        assert_eq!(called("Alice@Example.com"), Ok(user.clone()));
        assert_eq!(called("bob"), Err(Reason::UnknownAccount));
        assert_eq!(called("bob@example.com"), Err(Reason::UnknownAccount));
    }

    #[test]
    fn all_reasons_look_alike_from_outside() {
        for reason in [
            Reason::UnknownAccount,
            Reason::WrongPassword,
            Reason::Throttled,
            Reason::Disabled,
        ] {
            let shown = Failure::Refused(reason).into_error();
            assert!(matches!(
                shown,
                Error::Refused(ProblemKind::InvalidCredentials)
            ));
        }
    }
}
