//! Proving an account by its password: for login, and again for what is sensitive.
//!
//! Unknown account, wrong password and disabled account take the same steps and cost the same hash; they
//! differ only in metrics and audit.

use super::attempt::Attempt;
use super::target::Target;
use super::{Auth, Client, Error};
use crate::crypto::{HashError, HashPlace, Verified};
use crate::model::{Action, Password, User};
use crate::store::{self, Class};

/// A password that shall prove something.
pub(super) struct Evidence<'a> {
    pub(super) password: &'a Password,
    /// Where it is hashed.
    pub(super) place: &'a mut HashPlace,
    /// Names the use case in the audit entry of a failure.
    pub(super) during: &'static str,
}

/// A password was right.
pub(super) struct Proof {
    /// The account as it was read before the hash.
    pub(super) user: User,
    /// The same password under today's parameters, when the stored hash has others.
    pub(super) rehashed: Option<String>,
    /// The place in the limits, to be given back.
    pub(super) attempt: Attempt,
}

/// Why a password proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    UnknownAccount,
    WrongPassword,
    Disabled,
}

/// A proof that failed: for a reason that the caller must not learn, or by something else.
pub(super) enum Failure {
    Refused(Reason),
    Error(Error),
}

impl Reason {
    /// For metrics and audit.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::WrongPassword => "wrong_password",
            Self::Disabled => "disabled",
        }
    }
}

impl Failure {
    /// For metrics.
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
    /// What the caller may learn.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Refused(_) => Error::InvalidCredentials,
            Self::Error(error) => error,
        }
    }
}

impl Auth {
    /// Goes through the inner door with the attempt that knocked at the outer one, reads the account,
    /// compares the password.
    pub(super) async fn prove_password(
        &self,
        client: &Client,
        attempt: Attempt,
        target: &Target,
        evidence: Evidence<'_>,
    ) -> Result<Proof, Failure> {
        let (attempt, user) =
            tokio::join!(self.enter(client, attempt, target), self.account(target));
        let attempt = attempt?;
        let compared = match user {
            Ok(user) => Self::compare(user, target, evidence.password, evidence.place).await,
            Err(error) => Err(error.into()),
        };
        match compared {
            Ok((user, rehashed)) => Ok(Proof {
                user,
                rehashed,
                attempt,
            }),
            Err(Failure::Refused(reason)) => {
                attempt.fail(client);
                self.note_failure(client, target, reason, evidence.during);
                Err(Failure::Refused(reason))
            }
            Err(Failure::Error(error)) => {
                self.give_back(client, attempt).await;
                Err(Failure::Error(error))
            }
        }
    }

    async fn account(&self, target: &Target) -> Result<Option<User>, store::Error> {
        match target {
            Target::Account { id, .. } => self.store.read(*id).await,
            Target::Name(_) => Ok(None),
        }
    }

    /// Compares, whatever there is to compare with: the hash is always paid for, and judged only then.
    async fn compare(
        user: Option<User>,
        target: &Target,
        password: &Password,
        place: &mut HashPlace,
    ) -> Result<(User, Option<String>), Failure> {
        let stored = user
            .as_ref()
            .filter(|_| password.is_within_bounds())
            .and_then(|user| user.password_hash.clone());
        let verified = Self::verify(password, stored, user.as_ref(), place).await?;
        let user = judge(user, target, verified.matches).map_err(Failure::Refused)?;
        Ok((user, verified.rehashed))
    }

    /// A stored hash that nobody can verify is our fault, but it must look like any wrong password, and it
    /// has cost the same.
    async fn verify(
        password: &Password,
        stored: Option<String>,
        user: Option<&User>,
        place: &mut HashPlace,
    ) -> Result<Verified, HashError> {
        match place.verify(password.clone(), stored).await {
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

    /// Writes down a failure against an account. Beside the answer and not before it, because nothing is
    /// written for a name that nobody has, and the difference must not be felt.
    fn note_failure(&self, client: &Client, target: &Target, reason: Reason, during: &'static str) {
        let user_id = match target {
            Target::Account { id, .. } if reason != Reason::UnknownAccount => *id,
            _ => return,
        };
        let details = serde_json::json!({ "reason": reason.label(), "during": during });
        let trail = self.trail(client);
        let entry = trail.entry(Action::UserLoginFailed, user_id).with(details);
        let store = self.store.clone();
        tokio::spawn(async move {
            let written = store.transact(Class::Session, user_id, |user: Option<User>, draft| {
                if user.is_some() {
                    draft.trace(&entry);
                }
                Ok::<_, store::Error>(())
            });
            if let Err(error) = written.await {
                tracing::warn!(%error, "a failed login was not written down");
            }
        });
    }
}

/// What an account and a comparison amount to. The index that led to the account is only a hint, so the
/// account must itself answer to the name.
fn judge(user: Option<User>, target: &Target, matches: bool) -> Result<User, Reason> {
    let user = user.filter(|user| user.deleted_at.is_none() && target.is_met_by(user));
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
    use crate::auth::fixtures::alice;
    use crate::model::Identifier;

    #[test]
    fn only_the_right_password_of_an_active_account_proves_it() {
        let user = alice();
        let mut disabled = user.clone();
        disabled.disabled_at = Some(user.created_at);
        let mut erased = user.clone();
        erased.deleted_at = Some(user.created_at);
        let judged = |user: &User, matches| judge(Some(user.clone()), &Target::of(user), matches);
        assert_eq!(judged(&user, true), Ok(user.clone()));
        assert_eq!(judged(&user, false), Err(Reason::WrongPassword));
        assert_eq!(judged(&disabled, true), Err(Reason::Disabled));
        assert_eq!(judged(&disabled, false), Err(Reason::WrongPassword));
        assert_eq!(judged(&erased, true), Err(Reason::UnknownAccount));
        let nobody = judge(None, &Target::of(&user), true);
        assert_eq!(nobody, Err(Reason::UnknownAccount));
    }

    #[test]
    fn an_account_that_does_not_answer_to_the_name_is_not_the_one() {
        let user = alice();
        let called = |name: &str| {
            let target = Target::called(Identifier::parse_login(name), name, Some(user.id));
            judge(Some(user.clone()), &target, true)
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
            Reason::Disabled,
        ] {
            let shown = Failure::Refused(reason).into_error();
            assert!(matches!(shown, Error::InvalidCredentials));
        }
    }
}
