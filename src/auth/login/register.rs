//! Registration: an account and its first session, in one commit.

use super::{SignedIn, signed_in};
use crate::auth::session;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change, Changed};
use crate::core::{Client, Core, Durability, Error, FieldError, hash_admission};
use crate::crypto::HashPermit;
use crate::model::{Email, Identifier, Password, SecurityEvent, User, UserId, Username};
use crate::store::{self, Claim, Class};
use crate::telemetry::names;

/// Fields of a registration. Unchecked.
pub struct Registration {
    /// E-mail address.
    pub email: String,
    /// Username.
    pub username: String,
    /// Password.
    pub password: Password,
}

/// A registration that keeps all rules.
struct Applicant {
    email: Email,
    username: Username,
    password: Password,
}

/// Makes an account and its first session.
///
/// # Errors
/// [`Error::Invalid`] with every field that breaks a rule; [`ProblemKind::EmailTaken`](crate::core::ProblemKind::EmailTaken),
/// [`ProblemKind::UsernameTaken`](crate::core::ProblemKind::UsernameTaken); [`Error::StoreAway`] when it cannot be known whether the names are free.
pub async fn register(
    core: &Core,
    client: &Client,
    input: Registration,
) -> Result<SignedIn, Error> {
    let registered = try_register(core, client, input).await;
    let outcome = registered.as_ref().map_or_else(Error::code, |_| "success");
    metrics::counter!(names::REGISTRATIONS, "outcome" => outcome).increment(1);
    registered
}

async fn try_register(
    core: &Core,
    client: &Client,
    input: Registration,
) -> Result<SignedIn, Error> {
    let applicant = check(input)?;
    let permit = hash_admission::admit(core, client)?;
    let user_id: UserId = core.clock.new_id();
    let names = [
        Identifier::email(&applicant.email),
        Identifier::username(&applicant.username),
    ];
    let claim = core.store.claim(user_id, &names).await?;
    let user = match make_user(core, user_id, applicant, &claim, permit).await {
        Ok(user) => user,
        Err(error) => {
            claim.release().await;
            return Err(error);
        }
    };
    commit(core, client, user, claim).await
}

/// Asks PostgreSQL about the names while the password is hashed; the first to fail ends the other.
async fn make_user(
    core: &Core,
    user_id: UserId,
    applicant: Applicant,
    claim: &Claim,
    mut permit: HashPermit,
) -> Result<User, Error> {
    let Applicant {
        email,
        username,
        password,
    } = applicant;
    let check = async { claim.check().await.map_err(Error::from) };
    let hash = async { permit.hash(password).await.map_err(Error::from) };
    let ((), hash) = tokio::try_join!(check, hash)?;
    let now = core.clock.now();
    Ok(User::register(user_id, &email, &username, hash, now))
}

/// Commits account, session and audit entry together, waits for PostgreSQL's last word on the names,
/// and only then hands out tokens.
async fn commit(core: &Core, client: &Client, user: User, claim: Claim) -> Result<SignedIn, Error> {
    let context = RequestContext::new(core, client);
    let first = session::new_session(core, user.id);
    let session = session::start(core, &user, &first, client, &["pwd"], context.now);
    let decide = |_: Option<User>, change: &mut Change<'_>| {
        change
            .record(&session, &SecurityEvent::UserRegistered {})
            .put(&user)
            .put(&session);
        Ok(())
    };
    let committed = change::commit(core, &context, Class::Grant, user.id, decide).await;
    let durability = settle(committed, claim).await?;
    Ok(signed_in(core, user, &session, &first.token, durability))
}

/// Decides over the claim by the outcome of the commit. A claim that is neither kept nor released expires by
/// itself, which is right when the outcome is unknown.
async fn settle(committed: Result<Changed<()>, Error>, claim: Claim) -> Result<Durability, Error> {
    let durability = match committed {
        Ok(changed) => changed.receipt.durable_patiently().await,
        Err(Error::OutcomeUnknown) => return Err(Error::OutcomeUnknown),
        Err(error) => {
            claim.release().await;
            return Err(error);
        }
    };
    match &durability {
        // Withdrawn: PostgreSQL knows another owner of the name.
        Err(store::Error::Taken(_)) => claim.release().await,
        Ok(_) => claim.keep().await,
        // Nobody knows yet whose the name is. The account may still come to be: then PostgreSQL knows it.
        Err(_) => {}
    }
    durability.map_err(Error::from)
}

/// Checks all fields, so that the client learns of every mistake at once.
fn check(input: Registration) -> Result<Applicant, Error> {
    let email = Email::parse(&input.email);
    let username = Username::parse(&input.username);
    let password = input.password.check(
        email.as_ref().map_or("", Email::key),
        username.as_ref().map_or("", Username::key),
    );
    match (email, username, password) {
        (Ok(email), Ok(username), Ok(())) => Ok(Applicant {
            email,
            username,
            password: input.password,
        }),
        (email, username, password) => {
            let email = email.err().map(|e| FieldError::identifier("email", e));
            let username = username
                .err()
                .map(|e| FieldError::identifier("username", e));
            let password = password.err().map(|e| FieldError::password("password", e));
            let errors = [email, username, password].into_iter().flatten();
            Err(Error::Invalid(errors.collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors_of(email: &str, username: &str, password: &str) -> Vec<(&'static str, &'static str)> {
        let input = Registration {
            email: email.to_owned(),
            username: username.to_owned(),
            password: Password::new(password.to_owned()),
        };
        match check(input) {
            Ok(_) => Vec::new(),
            Err(Error::Invalid(errors)) => errors.iter().map(|e| (e.field, e.code)).collect(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_registration_that_keeps_the_rules_passes() {
        assert!(errors_of("user@example.com", "johndoe", "SecurePass123!").is_empty());
    }

    #[test]
    fn all_fields_are_told_at_once() {
        assert_eq!(
            errors_of("nobody", "x", "short"),
            [
                ("email", "invalid_email"),
                ("username", "too_short"),
                ("password", "too_short")
            ]
        );
        assert_eq!(
            errors_of("", "", ""),
            [
                ("email", "required"),
                ("username", "required"),
                ("password", "too_short")
            ]
        );
    }

    #[test]
    fn the_password_is_checked_against_whichever_name_is_valid() {
        assert_eq!(
            errors_of("no address", "Wonderland", "in-wonderland-42"),
            [
                ("email", "invalid_characters"),
                ("password", "contains_identifier")
            ]
        );
    }
}
