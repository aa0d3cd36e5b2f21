//! Login with a password.

use std::time::Duration;

use super::proof::{Failure, Proof, Reason};
use super::sign_in::{FirstFactor, Step};
use super::target::Target;
use super::{Auth, Client, Error, SignedIn};
use crate::model::{Identifier, Password, UserId};
use crate::telemetry::names;

/// A password that moves under our hands is proven again this often: once for a rehash by a parallel
/// login, once for a change, once to spare.
const MAX_PROOFS: usize = 3;

/// What a person sends to log in. Unchecked.
pub struct Credentials {
    /// E-mail address or username.
    pub identifier: String,
    /// Password.
    pub password: Password,
}

/// Where a right password leads.
pub enum LoginOutcome {
    /// To a session.
    SignedIn(Box<SignedIn>),
}

impl Auth {
    /// Checks the password and issues a session.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] for an unknown account, a wrong password and a disabled account alike;
    /// [`Error::RateLimited`] after too many failures; [`Error::Overloaded`], [`Error::StoreAway`].
    pub async fn login(&self, client: &Client, input: Credentials) -> Result<LoginOutcome, Error> {
        let outcome = self.login_with_password(client, &input).await;
        let label = outcome.as_ref().map_or_else(Failure::label, |_| "success");
        metrics::counter!(names::LOGINS, "outcome" => label).increment(1);
        outcome.map_err(Failure::into_error)
    }

    async fn login_with_password(
        &self,
        client: &Client,
        input: &Credentials,
    ) -> Result<LoginOutcome, Failure> {
        let target = self.target(&input.identifier).await?;
        for _ in 0..MAX_PROOFS {
            let proof = self
                .prove_password(client, &target, &input.password, "login")
                .await?;
            match self.sign_in(client, proof).await? {
                Step::Done(outcome) => return Ok(outcome),
                Step::Inactive => return Err(Failure::Refused(Reason::Disabled)),
                Step::PasswordMoved => {}
            }
        }
        Err(Failure::Error(Error::Overloaded {
            retry_after: Duration::from_secs(1),
        }))
    }

    /// Whose failures would be counted: the account of that name, or the name itself.
    async fn target(&self, typed: &str) -> Result<Target, Error> {
        let identifier = Identifier::parse_login(typed);
        let account: Option<UserId> = match &identifier {
            Some(identifier) => self.store.find_user(identifier).await?,
            None => None,
        };
        Ok(Target::called(identifier, typed, account))
    }

    /// Gives the place in the limits back while the session is committed: the password was right, whatever
    /// becomes of the rest.
    async fn sign_in(&self, client: &Client, proof: Proof) -> Result<Step, Error> {
        let factor = FirstFactor {
            user_id: proof.user.id,
            password_hash: proof.user.password_hash,
            rehashed: proof.rehashed,
            method: "pwd",
        };
        let (step, ()) = tokio::join!(
            self.after_first_factor(client, &factor),
            self.give_back(client, proof.attempt),
        );
        step
    }
}
