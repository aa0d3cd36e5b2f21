//! Login with a password.

use std::time::Duration;

use super::failure_limits::{self, FailureReservation};
use super::first_factor::{FirstFactor, Step, after_first_factor};
use super::prove_password::{Evidence, Failure, Proof, Reason, prove_password, record_failure};
use super::subject::{self, LoginSubject};
use super::{ChallengeIssued, SignedIn};
use crate::auth::device::trust::{self, TokenVerdict};
use crate::auth::session::presented_token::PresentedToken;
use crate::clock::{self, Stopwatch};
use crate::core::{Client, Core, Error, Limit, Party, hash_admission, limits};
use crate::model::{DeviceId, Identifier, Password, User, UserId};
use crate::store;
use crate::telemetry::{mask_name, names};

/// Proofs of one login. A password that changes meanwhile is proven again: once for a rehash by a parallel login,
/// once for a change, once to spare.
const MAX_PROOFS: usize = 3;

/// Name of the use case in audit entries of failures.
const DURING: &str = "login";

/// Refusals leave at multiples of this after the login began. All of them wait for the same questions to
/// PostgreSQL and for one hash; what else differs (an entry of the index, an audit entry) takes up to a few
/// milliseconds. The step is several times that, and about one hash: it delays a refusal by half a hash on
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
/// [`Error::RateLimited`] after too many failures with this identifier or from this address, or too many logins;
/// [`Error::Overloaded`]; [`Error::StoreAway`] with Redis away, and with PostgreSQL away for a name that Redis does not
/// know.
pub async fn with_password(
    core: &Core,
    client: &Client,
    input: Credentials,
) -> Result<LoginOutcome, Error> {
    let watch = Stopwatch::start();
    let outcome = try_login(core, client, &input).await;
    let refused = matches!(
        outcome,
        Err(Failure::Refused(_) | Failure::Error(Error::StoreAway(_)))
    );
    if refused {
        clock::sleep(to_next_step(watch.elapsed())).await;
    }
    count(&outcome);
    if let Err(failure) = &outcome {
        log_refusal(core, client, &input.identifier, failure);
    }
    outcome.map_err(Failure::into_error)
}

/// Writes a refused login into the log, with the name masked; of many only some. Overload is counted alone.
fn log_refusal(core: &Core, client: &Client, typed: &str, failure: &Failure) {
    if matches!(failure, Failure::Error(Error::Overloaded { .. })) {
        return;
    }
    if let Some(left_out) = core.refused_logins.admit() {
        let (name, reason) = (mask_name(typed.trim()), failure.label());
        let address = client.address;
        tracing::info!(name, reason, %address, left_out, "a login was refused");
    }
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
        let found = find_subject(core, client, &input.identifier, device.as_ref()).await?;
        let (reservation, target) = found;
        let evidence = Evidence {
            password: &input.password,
            permit: &mut permit,
            during: DURING,
        };
        let proof = prove_password(core, client, reservation, &target.subject, evidence).await;
        let proof = match proof {
            Err(Failure::Refused(reason)) => {
                drop(permit);
                return Err(refuse(core, client, target, reason).await);
            }
            other => other?,
        };
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

/// The subject of a login attempt, and how it was found.
struct Target {
    subject: LoginSubject,
    /// The name, if the identifier can be one.
    name: Option<Identifier>,
    /// Whether PostgreSQL was asked for it.
    asked_stored: bool,
    /// PostgreSQL could not say whether there is an account.
    unanswered: Option<store::Error>,
    /// Refusal of the limit that a client sees, in spite of which one that the account knows is let in. To be answered
    /// where the password is wrong: anything else would tell that the account exists.
    limited: Option<Error>,
}

/// The refusal of an attempt. What PostgreSQL was not asked before the hash it is asked now, whatever it answers: so a
/// refusal waits for the same questions and one hash, whoever is named. Only then is the failure recorded, or its
/// way to PostgreSQL would be in the way of the questions about some names and not of others.
async fn refuse(core: &Core, client: &Client, target: Target, reason: Reason) -> Failure {
    if let Some(error) = target.unanswered {
        return error.into();
    }
    if let (LoginSubject::Account { id, .. }, Some(name)) = (&target.subject, &target.name)
        && !target.asked_stored
    {
        let _ = core.store.ask_stored(name, *id).await;
    }
    record_failure(core, client, &target.subject, reason, DURING);
    target
        .limited
        .map_or(Failure::Refused(reason), Failure::Error)
}

/// Finds the account of a typed identifier, else counts the identifier itself. Redis's index is asked while the
/// limits are, PostgreSQL only once they allow it.
async fn find_subject(
    core: &Core,
    client: &Client,
    typed: &str,
    device: Option<&PresentedToken>,
) -> Result<(FailureReservation, Target), Error> {
    let name = Identifier::parse_login(typed);
    if let (Some(device), Some(name)) = (device, &name)
        && let Some(id) = owner_of(core, device, name).await?
    {
        let reservation =
            failure_limits::reserve_by_device(core, client, device.opened.id.into()).await?;
        let called = Some(name.clone());
        let target = Target {
            subject: LoginSubject::Account { id, called },
            name: Some(name.clone()),
            asked_stored: false,
            unanswered: None,
            limited: None,
        };
        return Ok((reservation, target));
    }
    let identifier = subject::normal_form(name.as_ref(), typed);
    let reserve = failure_limits::reserve_by_identifier(core, client, &identifier);
    let (reservation, indexed) = tokio::join!(reserve, find_indexed(core, name.as_ref()));
    let (reservation, limited) = match reservation {
        Err(refused @ Error::RateLimited { .. }) => {
            let account = indexed.as_ref().ok().copied().flatten();
            let known = failure_limits::reserve_by_known_client(core, client, account).await?;
            match known {
                Some(reservation) => (reservation, Some(refused)),
                None => return Err(refused),
            }
        }
        reservation => (reservation?, None),
    };
    let indexed = match indexed {
        Ok(indexed) => indexed,
        Err(error) => {
            failure_limits::release(core, client, reservation).await;
            return Err(error.into());
        }
    };
    let (account, asked_stored) = match (indexed, &name) {
        (None, Some(name)) => (core.store.find_stored(name).await, true),
        (indexed, _) => (Ok(indexed), false),
    };
    let (account, unanswered) = match account {
        Ok(account) => (account, None),
        Err(error) => (None, Some(error)),
    };
    let target = Target {
        subject: LoginSubject::named(name.clone(), typed, account),
        name,
        asked_stored,
        unanswered,
        limited,
    };
    Ok((reservation, target))
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
    let party = proof.reservation.party();
    if let Err(refused) = count_success(core, client, &proof.user, party).await {
        failure_limits::release(core, client, proof.reservation).await;
        return Err(refused);
    }
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

/// Counts a right password, of `party` where the account knows the client. The limit is shown only when it refuses.
async fn count_success(
    core: &Core,
    client: &Client,
    user: &User,
    party: Option<Party>,
) -> Result<(), Error> {
    let limit = Limit::LoginSuccess;
    let reservation = match party {
        Some(party) => limits::reserve(core, client, Some(limit(party))).await?,
        // Whoever has the password has fewer rights than the owner only where that is not all.
        None if user.two_factor_enabled => {
            limits::reserve_as_known(core, client, user.id, limit).await?
        }
        None => limits::reserve(core, client, Some(limit(Party::Everybody(user.id)))).await?,
    };
    reservation.admitted(client).map(drop)
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
