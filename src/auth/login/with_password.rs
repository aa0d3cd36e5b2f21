//! Login with a password.

use std::time::Duration;

use super::failure_limits::{self, FailureReservation};
use super::first_factor::{FirstFactor, Step, after_first_factor};
use super::prove_password::{Evidence, Failure, Proof, Reason, prove_password};
use super::subject::{self, LoginSubject};
use super::{ChallengeIssued, SignedIn};
use crate::auth::device::trust::{self, TokenVerdict};
use crate::auth::session::presented_token::PresentedToken;
use crate::clock::{self, Stopwatch};
use crate::core::{Client, Core, Error, hash_admission};
use crate::model::{DeviceId, Identifier, Password, UserId};
use crate::store;
use crate::telemetry::names;

/// Proofs of one login. A password that changes meanwhile is proven again: once for a rehash by a parallel login,
/// once for a change, once to spare.
const MAX_PROOFS: usize = 3;

/// Refusals leave at multiples of this after the login began. A name that no account has costs a question to
/// PostgreSQL more, an account an audit entry: up to a few milliseconds, which many measurements would
/// show. The step is several times that, and about one hash: it delays a refusal by half a hash on
/// average and a success by nothing.
const REFUSAL_STEP: Duration = Duration::from_millis(25);

/// Credentials of a login. Unchecked.
pub struct Credentials {
    /// E-mail address or username.
    pub identifier: String,
    /// Password.
    pub password: Password,
    /// The token of a trusted device, if the client has one.
    pub device_token: Option<String>,
}

/// Outcome of a right password.
pub enum LoginOutcome {
    /// A session.
    SignedIn(Box<SignedIn>),
    /// A challenge: the second factor is due.
    SecondFactorDue(ChallengeIssued),
}

/// Checks the password and issues a session, or the challenge that leads to one.
///
/// # Errors
/// [`ProblemKind::InvalidCredentials`](crate::core::ProblemKind::InvalidCredentials) for an unknown account, a wrong password and a disabled account alike;
/// [`Error::RateLimited`] after too many failures; [`Error::Overloaded`], [`Error::StoreAway`].
pub async fn with_password(
    core: &Core,
    client: &Client,
    input: Credentials,
) -> Result<LoginOutcome, Error> {
    let watch = Stopwatch::start();
    let outcome = try_login(core, client, &input).await;
    if matches!(outcome, Err(Failure::Refused(_))) {
        clock::sleep(to_next_step(watch.elapsed())).await;
    }
    count(&outcome);
    outcome.map_err(Failure::into_error)
}

fn count(outcome: &Result<LoginOutcome, Failure>) {
    let label = match outcome {
        Ok(LoginOutcome::SignedIn(_)) => "success",
        Ok(LoginOutcome::SecondFactorDue(_)) => {
            metrics::counter!(names::CHALLENGES, "outcome" => "issued").increment(1);
            "second_factor_due"
        }
        Err(failure) => failure.label(),
    };
    metrics::counter!(names::LOGINS, "outcome" => label).increment(1);
}

async fn try_login(
    core: &Core,
    client: &Client,
    input: &Credentials,
) -> Result<LoginOutcome, Failure> {
    let mut permit = hash_admission::admit(core, client)?;
    for _ in 0..MAX_PROOFS {
        let device = trust::present(core, client, input.device_token.as_deref());
        let (reservation, subject) =
            find_subject(core, client, &input.identifier, device.as_ref()).await?;
        let evidence = Evidence {
            password: &input.password,
            permit: &mut permit,
            during: "login",
        };
        let proof = prove_password(core, client, reservation, &subject, evidence).await?;
        match sign_in(core, client, proof, device).await? {
            Step::Done(outcome) => return Ok(outcome),
            Step::Inactive => return Err(Failure::Refused(Reason::Disabled)),
            Step::Changed => {}
        }
    }
    Err(Failure::Error(Error::Overloaded {
        retry_after: Duration::from_secs(1),
    }))
}

/// Finds the account of a typed identifier, else counts the identifier itself. Redis's index is asked while the
/// limits are, PostgreSQL only once they allow it.
async fn find_subject(
    core: &Core,
    client: &Client,
    typed: &str,
    device: Option<&PresentedToken>,
) -> Result<(FailureReservation, LoginSubject), Error> {
    let name = Identifier::parse_login(typed);
    if let (Some(device), Some(name)) = (device, &name)
        && let Some(id) = owner_of(core, device, name).await?
    {
        let reservation = failure_limits::reserve_by_device(core, client, device.opened.id).await?;
        let called = Some(name.clone());
        return Ok((reservation, LoginSubject::Account { id, called }));
    }
    let identifier = subject::normal_form(name.as_ref(), typed);
    let reserve = failure_limits::reserve_by_identifier(core, client, &identifier);
    let (reservation, indexed) = tokio::join!(reserve, find_indexed(core, name.as_ref()));
    let reservation = reservation?;
    let account = match (indexed, &name) {
        (Ok(None), Some(name)) => core.store.find_stored(name).await,
        (indexed, _) => indexed,
    };
    match account {
        Ok(account) => Ok((reservation, LoginSubject::named(name, typed, account))),
        Err(error) => {
            failure_limits::release(core, client, reservation).await;
            Err(error.into())
        }
    }
}

/// Owner of the trusted device, when that is the account meant. Outsiders fill the limits of an identifier and of
/// an address; a device has a limit of its own, which only its owner can fill.
async fn owner_of(
    core: &Core,
    token: &PresentedToken,
    name: &Identifier,
) -> Result<Option<UserId>, Error> {
    let id = DeviceId::from(token.opened.id);
    let Some(device) = core.store.read(id).await? else {
        return Ok(None);
    };
    let user = core.store.read(device.user_id).await?;
    let user = user.filter(|user| user.is_called(name));
    Ok(user.and_then(|user| {
        let verdict = trust::judge(core, Some(device), &user, token);
        matches!(verdict, TokenVerdict::Rotated(_) | TokenVerdict::Again(_)).then_some(user.id)
    }))
}

async fn find_indexed(
    core: &Core,
    name: Option<&Identifier>,
) -> Result<Option<UserId>, store::Error> {
    match name {
        Some(name) => core.store.find_indexed(name).await,
        None => Ok(None),
    }
}

/// Releases the reservation while the session is committed: the password was right, whatever becomes of the
/// rest.
async fn sign_in(
    core: &Core,
    client: &Client,
    proof: Proof,
    device: Option<PresentedToken>,
) -> Result<Step, Error> {
    let factor = FirstFactor {
        user_id: proof.user.id,
        password_hash: proof.user.password_hash,
        rehashed: proof.rehashed,
        method: "pwd",
        device,
    };
    let (step, ()) = tokio::join!(
        after_first_factor(core, client, &factor),
        failure_limits::release(core, client, proof.reservation),
    );
    step
}

/// Delay of a refusal after `elapsed`: always a little, never a whole step more.
fn to_next_step(elapsed: Duration) -> Duration {
    let steps = elapsed.as_nanos() / REFUSAL_STEP.as_nanos() + 1;
    let next = REFUSAL_STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
    next.saturating_sub(elapsed)
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
