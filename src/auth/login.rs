//! Login with a password.

use std::time::Duration;

use super::arrival::Arrival;
use super::attempt::Attempt;
use super::device::Trusted;
use super::proof::{Evidence, Failure, Proof, Reason};
use super::sign_in::{FirstFactor, Step};
use super::target::{self, Target};
use super::{Auth, ChallengeIssued, Client, Error, SignedIn};
use crate::clock::{self, Stopwatch};
use crate::model::{DeviceId, Identifier, Password, UserId};
use crate::store;
use crate::telemetry::names;

/// A password that moves under our hands is proven again this often: once for a rehash by a parallel
/// login, once for a change, once to spare.
const MAX_PROOFS: usize = 3;

/// Refusals leave at multiples of this after the login began. A name that nobody has costs a question to
/// PostgreSQL more, an account an audit entry: up to a few milliseconds, which many measurements would
/// show. The step is several times that, and about one hash: it delays a refusal by half a hash on
/// average and a success by nothing.
const REFUSAL_STEP: Duration = Duration::from_millis(25);

/// What a person sends to log in. Unchecked.
pub struct Credentials {
    /// E-mail address or username.
    pub identifier: String,
    /// Password.
    pub password: Password,
    /// The token of a trusted device, if the client has one.
    pub device_token: Option<String>,
}

/// Where a right password leads.
pub enum LoginOutcome {
    /// To a session.
    SignedIn(Box<SignedIn>),
    /// To the second door.
    SecondFactorDue(ChallengeIssued),
}

/// How long a refusal after `elapsed` is still held back: always a little, never a whole step more.
fn to_next_step(elapsed: Duration) -> Duration {
    let steps = elapsed.as_nanos() / REFUSAL_STEP.as_nanos() + 1;
    let next = REFUSAL_STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
    next.saturating_sub(elapsed)
}

impl Auth {
    /// Checks the password and issues a session.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] for an unknown account, a wrong password and a disabled account alike;
    /// [`Error::RateLimited`] after too many failures; [`Error::Overloaded`], [`Error::StoreAway`].
    pub async fn login(&self, client: &Client, input: Credentials) -> Result<LoginOutcome, Error> {
        let watch = Stopwatch::start();
        let outcome = self.login_with_password(client, &input).await;
        if matches!(outcome, Err(Failure::Refused(_))) {
            clock::sleep(to_next_step(watch.elapsed())).await;
        }
        let label = outcome.as_ref().map_or_else(Failure::label, |_| "success");
        metrics::counter!(names::LOGINS, "outcome" => label).increment(1);
        outcome.map_err(Failure::into_error)
    }

    async fn login_with_password(
        &self,
        client: &Client,
        input: &Credentials,
    ) -> Result<LoginOutcome, Failure> {
        let mut place = self.hash_place(client)?;
        for _ in 0..MAX_PROOFS {
            let arrival = self.device_arrival(client, input.device_token.as_deref());
            let (attempt, target) = self
                .target(client, &input.identifier, arrival.as_ref())
                .await?;
            let evidence = Evidence {
                password: &input.password,
                place: &mut place,
                during: "login",
            };
            let proof = self
                .prove_password(client, attempt, &target, evidence)
                .await?;
            match self.sign_in(client, proof, arrival).await? {
                Step::Done(outcome) => return Ok(outcome),
                Step::Inactive => return Err(Failure::Refused(Reason::Disabled)),
                Step::Moved => {}
            }
        }
        Err(Failure::Error(Error::Overloaded {
            retry_after: Duration::from_secs(1),
        }))
    }

    /// Whose failures are counted: the account of that name, or the name itself. Redis's index is asked
    /// while the outer door opens, PostgreSQL only for those who are let in.
    async fn target(
        &self,
        client: &Client,
        typed: &str,
        arrival: Option<&Arrival>,
    ) -> Result<(Attempt, Target), Error> {
        let name = Identifier::parse_login(typed);
        if let (Some(arrival), Some(name)) = (arrival, &name)
            && let Some(owner) = self.owner_of(arrival, name).await?
        {
            let attempt = self.knock_as_device(client, arrival.presented.id).await?;
            let called = Some(name.clone());
            return Ok((attempt, Target::Account { id: owner, called }));
        }
        let form = target::form(name.as_ref(), typed);
        let (attempt, indexed) =
            tokio::join!(self.knock(client, &form), self.indexed(name.as_ref()));
        let attempt = attempt?;
        let account = match (indexed, &name) {
            (Ok(None), Some(name)) => self.store.find_stored(name).await,
            (indexed, _) => indexed,
        };
        match account {
            Ok(account) => Ok((attempt, Target::called(name, typed, account))),
            Err(error) => {
                self.give_back(client, attempt).await;
                Err(error.into())
            }
        }
    }

    /// Whose trusted device it is, when that is the account meant. Outsiders fill the limits of a name, of an
    /// address; a device has a lane of its own, which only its owner can fill.
    async fn owner_of(
        &self,
        arrival: &Arrival,
        name: &Identifier,
    ) -> Result<Option<UserId>, Error> {
        let id = DeviceId::from(arrival.presented.id);
        let Some(device) = self.store.read(id).await? else {
            return Ok(None);
        };
        let user = self.store.read(device.user_id).await?;
        let user = user.filter(|user| user.is_called(name));
        Ok(user.and_then(|user| {
            let trusted = self.judge_device(Some(device), &user, arrival);
            matches!(trusted, Trusted::Rotated(_) | Trusted::Again(_)).then_some(user.id)
        }))
    }

    async fn indexed(&self, name: Option<&Identifier>) -> Result<Option<UserId>, store::Error> {
        match name {
            Some(name) => self.store.find_indexed(name).await,
            None => Ok(None),
        }
    }

    /// Gives the place in the limits back while the session is committed: the password was right, whatever
    /// becomes of the rest.
    async fn sign_in(
        &self,
        client: &Client,
        proof: Proof,
        device: Option<Arrival>,
    ) -> Result<Step, Error> {
        let factor = FirstFactor {
            user_id: proof.user.id,
            password_hash: proof.user.password_hash,
            rehashed: proof.rehashed,
            method: "pwd",
            device,
        };
        let (step, ()) = tokio::join!(
            self.after_first_factor(client, &factor),
            self.give_back(client, proof.attempt),
        );
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_leave_at_whole_steps() {
        for (elapsed, left) in [(0, 25), (1, 24), (24, 1), (25, 25), (26, 24), (110, 15)] {
            let elapsed = Duration::from_millis(elapsed);
            assert_eq!(to_next_step(elapsed), Duration::from_millis(left));
        }
    }
}
