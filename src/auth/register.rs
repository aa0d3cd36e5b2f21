//! Registration: an account and its first session, in one commit.

use super::error::FieldError;
use super::{Auth, Client, Error, SignedIn};
use crate::crypto::HashPlace;
use crate::model::{Action, Email, Identifier, Password, User, UserId, Username};
use crate::store::{self, Claim, Class, Draft, Receipt};
use crate::telemetry::names;

/// What a person sends to register. Unchecked.
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

impl Auth {
    /// Makes an account and its first session.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every field that breaks a rule; [`Error::EmailTaken`],
    /// [`Error::UsernameTaken`]; [`Error::StoreAway`] when nobody can tell whether the names are free.
    pub async fn register(&self, client: &Client, input: Registration) -> Result<SignedIn, Error> {
        let outcome = self.try_register(client, input).await;
        let label = outcome.as_ref().map_or_else(Error::code, |_| "success");
        metrics::counter!(names::REGISTRATIONS, "outcome" => label).increment(1);
        outcome
    }

    async fn try_register(&self, client: &Client, input: Registration) -> Result<SignedIn, Error> {
        let applicant = check(input)?;
        let place = self.hash_place(client)?;
        let user_id: UserId = self.clock.new_id();
        let names = [
            Identifier::email(&applicant.email),
            Identifier::username(&applicant.username),
        ];
        let claim = self.store.claim(user_id, &names).await?;
        let user = match self.make_user(user_id, applicant, &claim, place).await {
            Ok(user) => user,
            Err(error) => {
                claim.release().await;
                return Err(error);
            }
        };
        self.admit(client, user, claim).await
    }

    /// Asks PostgreSQL about the names while the password is hashed; whichever fails ends the other.
    async fn make_user(
        &self,
        user_id: UserId,
        applicant: Applicant,
        claim: &Claim,
        mut place: HashPlace,
    ) -> Result<User, Error> {
        let Applicant {
            email,
            username,
            password,
        } = applicant;
        let check = async { claim.check().await.map_err(Error::from) };
        let hash = async { place.hash(password).await.map_err(Error::from) };
        let ((), hash) = tokio::try_join!(check, hash)?;
        let now = self.clock.now();
        Ok(User::register(user_id, &email, &username, hash, now))
    }

    /// Commits account, session and audit entry together, waits for PostgreSQL's last word on the names,
    /// and only then hands out tokens.
    async fn admit(&self, client: &Client, user: User, claim: Claim) -> Result<SignedIn, Error> {
        let trail = self.trail(client);
        let family = self.new_family(user.id);
        let session = self.session(&user, &family, client, &["pwd"], trail.now);
        let decide = |_: Option<User>, draft: &mut Draft| {
            draft.put(&user);
            draft.put(&session);
            draft.trace(&trail.session_entry(Action::UserRegistered, user.id, session.id));
            Ok::<_, store::Error>(())
        };
        let committed = self.store.transact(Class::Grant, user.id, decide).await;
        let durability = settle(committed.map(|((), receipt)| receipt), claim).await?;
        Ok(self.signed_in(user, &session, &family.newest, durability))
    }
}

/// Decides over the claim by what became of the account. A claim that is neither kept nor released
/// expires by itself, which is right when nobody knows.
async fn settle(
    committed: Result<Receipt, store::Error>,
    claim: Claim,
) -> Result<store::Durability, Error> {
    let durability = match committed {
        Ok(receipt) => receipt.durable_patiently().await,
        Err(store::Error::Unknown) => return Err(Error::OutcomeUnknown),
        Err(error) => {
            claim.release().await;
            return Err(error.into());
        }
    };
    match &durability {
        // Withdrawn: PostgreSQL knows another owner of the name.
        Err(store::Error::Taken(_)) => claim.release().await,
        // Strict mode says "away" of a change that stays and will get through.
        Ok(_) | Err(store::Error::Unavailable(_)) => claim.keep().await,
        Err(_) => {}
    }
    durability.map_err(Error::from)
}

/// Checks all fields, so that a person learns everything at once.
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
